/* readers.c - who follows the journal: open pages, and requests that wait for an event */
#include "http/page/readers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"

/* What one reader is written at most before it has taken it, and in one go. One that is not that far gets nothing. */
enum { UNWRITTEN_MAX = 512 << 10, PIECE_BYTES = 128 << 10, PIECE_MAX = 4 << 20 };
/* Between two pieces: states that follow each other faster are not seen. */
#define PACE_US (100 * US_PER_MS)
/* A proxy between may end what is silent for a minute. */
#define SILENCE_TICKS 15

struct reader {
	LIST_ENTRY(reader) link;
	struct readers *all;
	struct http_stream *stream;
	struct reader_want want;
	uint64_t seen;    /* number of the last change that was written, or passed over */
	uint64_t missed;  /* entries, not yet reported */
	int64_t until_us; /* monotonic: the end of the wait */
	bool served;      /* something was written: it waits no longer */
	unsigned silent;  /* ticks */
};

struct readers {
	struct journal *journal;
	const struct streams *const *streams;
	struct loop_timer *timer;
	LIST_HEAD(, reader) list;
	unsigned n, n_pages;
	struct buf piece;
};

void reader_filter_clear(struct reader_filter *f)
{
	free(f->name);
	free(f->client);
	free(f->verdict);
	free(f->state);
	*f = (struct reader_filter){NULL, NULL, NULL, NULL};
}

static void reader_free(struct reader *r)
{
	LIST_REMOVE(r, link);
	r->all->n--;
	r->all->n_pages -= r->want.is_page;
	reader_filter_clear(&r->want.filter);
	free(r);
}

static void reader_end(struct reader *r)
{
	http_stream_end(r->stream);
	reader_free(r);
}

/* Its client must not take what it has for the whole. */
static void reader_cut(struct reader *r)
{
	http_stream_cut(r->stream);
	reader_free(r);
}

static void on_closed(void *arg)
{
	reader_free(arg);
}

static void on_written(void *arg)
{
	const struct reader *r = arg;

	if (journal_after(r->all->journal, r->seen))
		readers_wake(r->all);
}

static const struct http_stream_ops stream_ops = {on_closed, on_written};

/* ---- writing ---- */

static bool matches(const char *wanted, struct slice s)
{
	return !wanted || slice_eq(slice_of(wanted), s);
}

static bool wants(const struct reader *r, const struct journal_entry *e)
{
	const struct reader_filter *f = &r->want.filter;

	return matches(f->name, e->name) && matches(f->client, e->client) &&
	       matches(f->verdict, slice_of(journal_verdict_name(e->verdict))) &&
	       matches(f->state, slice_of(journal_state_name(e->state)));
}

/* Entries, as JSON lines or, for a page, as one message with an array: a message each costs a browser more than its
 * contents. Returns the next entry that did not fit, or NULL; a negative error in *ret_error. */
static const struct journal_entry *fill(struct reader *r, struct buf *out, uint64_t *ret_seen, int *ret_error)
{
	const struct journal_entry *e = journal_after(r->all->journal, r->seen);
	bool is_page = r->want.is_page, any = false;
	int error = 0;

	*ret_seen = r->seen;
	for (; e && out->len < PIECE_BYTES && error == 0; e = TAILQ_NEXT(e, by_change)) {
		*ret_seen = e->changed;
		if (!wants(r, e))
			continue;
		if (is_page)
			error = any ? buf_append_char(out, ',') : buf_append_slice(out, SLICE_LIT("data: ["));
		if (error == 0)
			error = journal_write(out, e, *r->all->streams, is_page && e->made <= r->seen);
		if (error == 0 && !is_page)
			error = buf_append_char(out, '\n');
		any = true;
	}
	if (error == 0 && is_page && any)
		error = buf_printf(out, "]\nid: %llu\n\n", (unsigned long long)*ret_seen);
	r->served |= any;
	*ret_error = error;
	return e;
}

static int put_missed(struct reader *r, struct buf *out)
{
	int error = 0;

	if (r->missed > 0 && r->want.is_page)
		error = buf_printf(out, "event: missed\ndata: %llu\n\n", (unsigned long long)r->missed);
	r->missed = 0;
	return error;
}

/* True: there is more to be written, as soon as there is room. */
static bool serve(struct reader *r)
{
	struct buf *out = &r->all->piece;
	const struct journal_entry *more = NULL;
	uint64_t seen = r->seen;
	int error;

	if (http_stream_unwritten(r->stream) > UNWRITTEN_MAX)
		return false; /* on_written() comes back to it */
	buf_clear(out);
	error = put_missed(r, out);
	if (error == 0)
		more = fill(r, out, &seen, &error);
	if (error == 0)
		error = http_stream_write(r->stream, buf_slice(out));
	if (error < 0) {
		reader_cut(r);
		return false;
	}
	r->silent = out->len > 0 ? 0 : r->silent;
	r->seen = seen;
	if (!more && !r->want.is_page && (r->served || clock_mono_us() >= r->until_us))
		reader_end(r);
	return more != NULL;
}

static void on_pace(void *arg)
{
	struct readers *all = arg;
	struct reader *r, *next;
	bool more = false;

	for (r = LIST_FIRST(&all->list); r; r = next) {
		next = LIST_NEXT(r, link);
		more |= serve(r);
	}
	buf_trim(&all->piece, 2 * PIECE_BYTES);
	if (more)
		loop_timer_set(all->timer, 10 * US_PER_MS);
}

static void on_forget(void *arg, const struct journal_entry *e)
{
	struct readers *all = arg;
	struct reader *r;

	LIST_FOREACH(r, &all->list, link)
	r->missed += e->changed > r->seen && wants(r, e);
}

void readers_wake(struct readers *r)
{
	if (r->n > 0 && !loop_timer_is_set(r->timer))
		loop_timer_set(r->timer, PACE_US);
}

static void tell(struct reader *r, struct slice text)
{
	r->silent = 0;
	if (http_stream_unwritten(r->stream) <= UNWRITTEN_MAX && http_stream_write(r->stream, text) < 0)
		reader_cut(r);
}

void readers_tell(struct readers *r, struct slice text)
{
	struct reader *one, *next;

	for (one = LIST_FIRST(&r->list); one; one = next) {
		next = LIST_NEXT(one, link);
		if (one->want.is_page && text.n > 0)
			tell(one, text);
	}
}

void readers_tick(struct readers *r, struct slice pages)
{
	struct reader *one, *next;
	int64_t now_us = clock_mono_us();

	readers_tell(r, pages);
	for (one = LIST_FIRST(&r->list); one; one = next) {
		next = LIST_NEXT(one, link);
		if (!one->want.is_page && now_us >= one->until_us && !one->served)
			reader_end(one);
		else if (one->want.is_page && ++one->silent >= SILENCE_TICKS)
			tell(one, SLICE_LIT(":\n\n"));
	}
}

/* ---- coming and going ---- */

static void refuse(struct http_exchange *x, struct reader_want *want)
{
	static const char *const later[] = {"Retry-After", "5", NULL};

	reader_filter_clear(&want->filter);
	http_answer(x, 503, "text/plain; charset=utf-8",
	            SLICE_LIT("too many pages and waiting requests are open (16): close one\n"), later);
}

void readers_add(struct readers *all, struct http_exchange *x, struct reader_want *want)
{
	static const char *const headers[] = {
	        "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff", "Cross-Origin-Resource-Policy",
	        "same-origin",   NULL};
	struct reader *r = all->n < READERS_MAX ? calloc(1, sizeof(*r)) : NULL;

	if (!r) {
		refuse(x, want);
		return;
	}
	*r = (struct reader){.all = all, .want = *want, .seen = want->since};
	if (r->seen > all->journal->last) /* of a clock that was set back */
		r->seen = 0;
	r->until_us = clock_mono_us() + want->wait_us;
	LIST_INSERT_HEAD(&all->list, r, link);
	all->n++;
	all->n_pages += want->is_page;
	r->stream = http_stream_begin(x, want->is_page ? "text/event-stream" : "application/x-ndjson", headers,
	                              &stream_ops, r);
	if (!r->stream)
		reader_free(r);
	else if (want->first.n > 0 && http_stream_write(r->stream, want->first) < 0)
		reader_cut(r);
	else
		loop_timer_set(all->timer, 0);
}

void readers_end(struct readers *all)
{
	while (!LIST_EMPTY(&all->list))
		reader_end(LIST_FIRST(&all->list));
}

unsigned readers_count(const struct readers *all)
{
	return all->n;
}

unsigned readers_pages(const struct readers *all)
{
	return all->n_pages;
}

struct readers *readers_new(struct loop *loop, struct journal *journal, const struct streams *const *streams)
{
	struct readers *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->journal = journal;
	all->streams = streams;
	all->timer = loop_timer_new(loop, on_pace, all);
	if (!all->timer) {
		free(all);
		return NULL;
	}
	journal->on_forget = on_forget;
	journal->arg = all;
	LIST_INIT(&all->list);
	buf_init(&all->piece, PIECE_MAX);
	return all;
}

struct readers *readers_free(struct readers *all)
{
	if (!all)
		return NULL;
	loop_timer_free(all->timer);
	buf_free(&all->piece);
	free(all);
	return NULL;
}
