/* scheduler_refill.c - between the outbox and a lane's window: fresh commits, slices in id order, and going back */
#include <errno.h>
#include <stdlib.h>

#include "daemon/delivery/scheduler.h"
#include "daemon/delivery/scheduler_private.h"

enum {
	REFILL_ROWS = 2048, /* a slice: some milliseconds of the writer's thread, and as many of the loop's */
	REFILL_EXAMINED = 20000,
	PENDING_MAX = 4096,            /* submissions that are kept while a refill is on its way */
	REFILL_AGAIN_US = 1000 * 1000, /* after one that failed */
};

struct refill {
	struct job_refill job;
	struct lane *lane;
	int64_t mono_us; /* when it was asked for */
};

static void drop_pending(struct lane *l)
{
	for (size_t i = 0; i < l->n_pending; i++)
		submission_unref(l->pending[i]);
	l->n_pending = 0;
}

static void keep_pending(struct lane *l, struct submission *sub)
{
	if (!l->pending)
		l->pending = malloc(PENDING_MAX * sizeof(struct submission *));
	if (!l->pending || l->n_pending == PENDING_MAX || lane_room(l).events < l->n_pending + sub->n_events) {
		l->pending_overflow = true;
		drop_pending(l);
		return;
	}
	l->pending[l->n_pending++] = submission_ref(sub);
}

/* Straight into the window. What does not fit is on disk. */
static void accept_now(struct lane *l, struct submission *sub, int64_t mono_us)
{
	struct lane_room room = lane_room(l);
	struct load_past past = {0};
	uint64_t last = sub->first_id + sub->n_events - 1;
	if (room.events < sub->n_events || room.bytes == 0 || lane_load(l, sub, &past, mono_us) < 0) {
		l->disk_more = true;
		return;
	}
	if (last > l->cursor)
		l->cursor = last;
}

void lane_accept(struct lane *l, struct submission *sub, int64_t mono_us)
{
	if (l->removed)
		return;
	if (!l->disk_more)
		accept_now(l, sub, mono_us);
	else if (l->refilling && !l->pending_overflow)
		keep_pending(l, sub);
}

void lane_forget_pending(struct lane *l)
{
	if (l->n_pending == 0)
		return;
	l->pending_overflow = true;
	drop_pending(l);
}

void lane_rewind(struct lane *l, uint64_t lowest_id)
{
	uint64_t to = lowest_id ? lowest_id - 1 : 0;
	if (l->refilling) {
		/* the slice on its way may have been read before: it says nothing about what lies below */
		l->rewind_to = l->rewound && l->rewind_to < to ? l->rewind_to : to;
		l->rewound = true;
		return;
	}
	if (to < l->cursor)
		l->cursor = to;
	l->disk_more = true;
}

/* One row into memory. False: no memory for it, it stays on disk. */
static bool take_row(struct lane *l, struct refilled *row, int64_t mono_us)
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
	return lane_load(l, row->sub, &past, mono_us) == 0;
}

/* The outbox held nothing more when the slice was read: what was committed meanwhile follows, if all of it is here.
 */
static void reach_end(struct lane *l, int64_t mono_us)
{
	if (l->pending_overflow)
		return;
	l->disk_more = l->filling = l->thin = false;
	for (size_t i = 0; i < l->n_pending; i++) {
		if (l->disk_more)
			break;
		if (l->pending[i]->first_id > l->cursor)
			accept_now(l, l->pending[i], mono_us);
	}
}

static void refill_apply(struct lane *l, struct refill *r)
{
	struct job_refill *j = &r->job;
	if (j->job.result < 0) {
		l->refill_not_before_us = r->mono_us + REFILL_AGAIN_US;
		l->filling = l->thin = false;
		return;
	}
	for (size_t i = 0; i < j->n; i++)
		if (!take_row(l, &j->rows[i], r->mono_us)) {
			l->cursor = j->rows[i].id - 1;
			l->refill_not_before_us = r->mono_us + REFILL_AGAIN_US;
			l->filling = l->thin = false;
			return;
		}
	l->cursor = j->examined_to > l->cursor ? j->examined_to : l->cursor;
	if (j->end && !l->rewound)
		reach_end(l, r->mono_us);
}

static void lane_free_now(struct lane *l)
{
	drop_pending(l);
	free(l->pending);
	free(l);
}

static void refill_done(struct job *job)
{
	struct refill *r = CONTAINER_OF(job, struct refill, job.job);
	struct lane *l = r->lane;
	l->refilling = false;
	if (!l->scheduler) { /* freed meanwhile */
		lane_free_now(l);
	} else {
		l->scheduler->jobs_out--;
		if (!l->removed)
			refill_apply(l, r);
		drop_pending(l);
		l->pending_overflow = false;
		if (l->rewound) {
			l->rewound = false;
			lane_rewind(l, l->rewind_to + 1);
		}
	}
	job_refill_clear(&r->job);
	free(r);
}

/* Batches that were put back to disk for want of room are looked for again. */
static void revisit_evicted(struct lane *l, int64_t mono_us)
{
	if (l->evicted_until_us == 0 || mono_us < l->evicted_until_us || l->n_parked > SCHEDULER_PARKED_EVENTS / 2)
		return;
	l->evicted_until_us = 0;
	lane_rewind(l, l->evicted_low);
}

int64_t lane_refill_at_us(const struct lane *l)
{
	int64_t at = INT64_MAX;
	if (l->refilling)
		return at;
	if (l->evicted_until_us != 0 && l->n_parked <= SCHEDULER_PARKED_EVENTS / 2)
		at = l->evicted_until_us;
	if (l->disk_more && l->refill_not_before_us < at)
		at = l->refill_not_before_us;
	return at > l->refill_not_before_us ? at : l->refill_not_before_us;
}

/* Filling begins when a sixteenth of the window is free and more is on disk, and ends when nothing fits or nothing is
 * left: the fuller the window, the longer the oldest has gathered company when its turn comes. When filling falls
 * behind, by an eighth, the window is thin: partial batches wait for what will make them fuller. */
static void review_filling(struct lane *l)
{
	struct lane_room room = lane_room(l);
	if (!l->disk_more || room.events == 0 || room.bytes < REQUEST_BYTES)
		l->filling = l->disk_more && l->n_events == 0;
	else if (room.events >= SCHEDULER_LANE_EVENTS / 16 && room.bytes >= l->bytes / 15)
		l->filling = true;
	l->thin = l->filling && room.events >= SCHEDULER_LANE_EVENTS / 8 && room.bytes >= l->bytes / 7;
}

void lane_refill(struct lane *l, int64_t mono_us, bool nothing_queued)
{
	if (l->refilling)
		review_filling(l);
	if (l->removed || l->refilling || mono_us < l->refill_not_before_us)
		return;
	revisit_evicted(l, mono_us);
	if (nothing_queued)
		l->disk_more = l->filling = l->thin = false;
	review_filling(l);
	if (!l->filling)
		return;
	struct refill *r = calloc(1, sizeof(*r));
	if (!r) {
		l->refill_not_before_us = mono_us + REFILL_AGAIN_US;
		l->filling = l->thin = false;
		return;
	}
	struct lane_room room = lane_room(l);
	job_refill_init(&r->job, l->sid, l->cursor, refill_done);
	r->job.max_rows = room.events < REFILL_ROWS ? room.events : REFILL_ROWS;
	/* only texts are counted there: an event's bookkeeping takes as much again */
	r->job.max_bytes = room.bytes / 2 > REQUEST_BYTES ? room.bytes / 2 : REQUEST_BYTES;
	r->job.max_examined = REFILL_EXAMINED;
	r->job.room = LOAD_ROOM;
	r->lane = l;
	r->mono_us = mono_us;
	l->refilling = true;
	l->scheduler->jobs_out++;
	STAILQ_INSERT_TAIL(&l->scheduler->jobs, &r->job.job, link);
}

struct lane *scheduler_lane_free(struct lane *l)
{
	if (!l)
		return NULL;
	struct scheduler *s = l->scheduler;
	lane_clear(l);
	s->n_lanes--;
	if (l->refilling) {
		s->jobs_out--;
		l->scheduler = NULL;
	} else {
		lane_free_now(l);
	}
	return NULL;
}
