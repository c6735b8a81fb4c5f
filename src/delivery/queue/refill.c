/* refill.c - from the outbox into a stream's queue: fresh commits, slices of the backlog in id order, and going back
 */
#include <stdlib.h>

#include "delivery/queue/queue_private.h"

enum {
	REFILL_ROWS = 2048, /* a slice: some milliseconds of the writer's thread, and as many of the loop's */
	REFILL_EXAMINED = 20000,
	PENDING_MAX = 4096,            /* submissions that are kept while a refill is on its way */
	REFILL_AGAIN_US = 1000 * 1000, /* after one that failed */
};

struct refill {
	struct job_refill job;
	struct stream_queue *queue;
	int64_t mono_us; /* when it was asked for */
};

static void drop_pending(struct stream_queue *q)
{
	for (size_t i = 0; i < q->n_pending; i++)
		submission_unref(q->pending[i]);
	q->n_pending = 0;
}

static void keep_pending(struct stream_queue *q, struct submission *sub)
{
	if (!q->pending)
		q->pending = malloc(PENDING_MAX * sizeof(struct submission *));
	if (!q->pending || q->n_pending == PENDING_MAX || queue_room(q).events < q->n_pending + sub->n_events) {
		q->pending_overflow = true;
		drop_pending(q);
		return;
	}
	q->pending[q->n_pending++] = submission_ref(sub);
}

/* Straight into memory. What does not fit is on disk. */
static void accept_now(struct stream_queue *q, struct submission *sub, int64_t mono_us)
{
	struct queue_room room = queue_room(q);
	struct load_past past = {0};
	uint64_t last = sub->first_id + sub->n_events - 1;
	if (room.events < sub->n_events || room.bytes == 0 || queue_load(q, sub, &past, mono_us) < 0) {
		q->disk_more = true;
		return;
	}
	if (last > q->cursor)
		q->cursor = last;
}

void queue_accept(struct stream_queue *q, struct submission *sub, int64_t mono_us)
{
	if (q->stopped)
		return;
	if (!q->disk_more)
		accept_now(q, sub, mono_us);
	else if (q->refilling && !q->pending_overflow)
		keep_pending(q, sub);
}

void queue_forget_pending(struct stream_queue *q)
{
	if (q->n_pending == 0)
		return;
	q->pending_overflow = true;
	drop_pending(q);
}

void queue_rewind(struct stream_queue *q, uint64_t lowest_id)
{
	uint64_t to = lowest_id ? lowest_id - 1 : 0;
	if (q->refilling) {
		/* the slice on its way may have been read before: what lies below is not in it */
		q->rewind_to = q->rewound && q->rewind_to < to ? q->rewind_to : to;
		q->rewound = true;
		return;
	}
	if (to < q->cursor)
		q->cursor = to;
	q->disk_more = true;
}

/* One row into memory. False: no memory for it, it stays on disk. */
static bool take_row(struct stream_queue *q, struct refilled *row, int64_t mono_us)
{
	struct load_past past = {
	        .attempts = row->attempts,
	        .lingered = true,
	        .has_note = row->has_note,
	        .maybe_sent = row->maybe_sent,
	        .no_expiry = row->no_expiry,
	};
	if (!row->sub)
		return true; /* a dead letter by now */
	return queue_load(q, row->sub, &past, mono_us) == 0;
}

static void stop_filling(struct stream_queue *q)
{
	q->filling = q->thin = false;
}

/* The outbox held nothing more when the slice was read: what was committed since follows, if all of it is here. */
static void reach_end(struct stream_queue *q, int64_t mono_us)
{
	if (q->pending_overflow)
		return;
	q->disk_more = false;
	stop_filling(q);
	for (size_t i = 0; i < q->n_pending; i++) {
		if (q->disk_more)
			break;
		if (q->pending[i]->first_id > q->cursor)
			accept_now(q, q->pending[i], mono_us);
	}
}

static void try_again_later(struct stream_queue *q, int64_t mono_us)
{
	q->refill_not_before_us = mono_us + REFILL_AGAIN_US;
	stop_filling(q);
}

static void refill_apply(struct stream_queue *q, struct refill *r)
{
	struct job_refill *j = &r->job;
	if (j->job.result < 0) {
		try_again_later(q, r->mono_us);
		return;
	}
	for (size_t i = 0; i < j->n; i++)
		if (!take_row(q, &j->rows[i], r->mono_us)) {
			q->cursor = j->rows[i].id - 1;
			try_again_later(q, r->mono_us);
			return;
		}
	q->cursor = j->examined_to > q->cursor ? j->examined_to : q->cursor;
	if (j->end && !q->rewound)
		reach_end(q, r->mono_us);
}

static void refill_done(struct job *job)
{
	struct refill *r = CONTAINER_OF(job, struct refill, job.job);
	struct stream_queue *q = r->queue;
	outbox_jobs_back(q->queues->jobs);
	q->refilling = false;
	if (!q->stopped)
		refill_apply(q, r);
	drop_pending(q);
	q->pending_overflow = false;
	if (q->rewound) {
		q->rewound = false;
		queue_rewind(q, q->rewind_to + 1);
	}
	job_refill_clear(&r->job);
	free(r);
}

/* Batches that were put back to disk for want of room are looked for again. */
static void revisit_evicted(struct stream_queue *q, int64_t mono_us)
{
	if (q->evicted_until_us == 0 || mono_us < q->evicted_until_us || q->n_parked > QUEUE_PARKED_EVENTS / 2)
		return;
	q->evicted_until_us = 0;
	queue_rewind(q, q->evicted_low);
}

int64_t queue_refill_at_us(const struct stream_queue *q)
{
	int64_t at = INT64_MAX;
	if (q->refilling)
		return at;
	if (q->evicted_until_us != 0 && q->n_parked <= QUEUE_PARKED_EVENTS / 2)
		at = q->evicted_until_us;
	if (q->disk_more && q->refill_not_before_us < at)
		at = q->refill_not_before_us;
	return at > q->refill_not_before_us ? at : q->refill_not_before_us;
}

/* Filling begins when a sixteenth of the room in memory is free and more is on disk, and ends when nothing more fits
 * or nothing is left: the fuller the memory, the more company an event has found when its turn comes. When filling
 * falls behind by an eighth the queue is thin: partial batches wait for events that make them fuller. */
static void review_filling(struct stream_queue *q)
{
	struct queue_room room = queue_room(q);
	if (!q->disk_more || room.events == 0 || room.bytes < LIMIT_REQUEST_BYTES)
		q->filling = q->disk_more && q->n_events == 0;
	else if (room.events >= QUEUE_EVENTS / 16 && room.bytes >= q->bytes / 15)
		q->filling = true;
	q->thin = q->filling && room.events >= QUEUE_EVENTS / 8 && room.bytes >= q->bytes / 7;
}

static void submit_refill(struct stream_queue *q, int64_t mono_us)
{
	struct queue_room room = queue_room(q);
	struct refill *r = calloc(1, sizeof(*r));
	if (!r) {
		try_again_later(q, mono_us);
		return;
	}
	job_refill_init(&r->job, q->sid, q->cursor, refill_done);
	r->job.max_rows = room.events < REFILL_ROWS ? room.events : REFILL_ROWS;
	/* the job counts texts alone; an event's bookkeeping takes as much again */
	r->job.max_bytes = room.bytes / 2 > LIMIT_REQUEST_BYTES ? room.bytes / 2 : LIMIT_REQUEST_BYTES;
	r->job.max_examined = REFILL_EXAMINED;
	r->queue = q;
	r->mono_us = mono_us;
	q->refilling = true;
	outbox_jobs_add(q->queues->jobs, &r->job.job);
}

/* The outbox is not searched for a stream of which it has nothing queued. */
static bool nothing_queued(const struct stream_queue *q)
{
	return q->disk_more && q->n_events == 0 && writer_queued(q->queues->jobs->writer, q->sid) == 0;
}

void queue_refill(struct stream_queue *q, int64_t mono_us)
{
	if (!q->disk_more && q->evicted_until_us == 0)
		return;
	if (q->refilling)
		review_filling(q);
	if (q->stopped || q->refilling || mono_us < q->refill_not_before_us)
		return;
	revisit_evicted(q, mono_us);
	if (nothing_queued(q)) {
		q->disk_more = false;
		stop_filling(q);
	}
	review_filling(q);
	if (q->filling)
		submit_refill(q, mono_us);
}
