/* hub_read.c - events of leased lanes are read, a bounded number of each, and lent to delivery */
#include "fleet/hub_private.h"
#include "fleet/hub_sql.h"

enum {
	READ_ROWS = 2048, /* of all lanes of a read */
	LANE_ROWS_MIN = 64,
	VISIT_EVENTS = 1024,    /* of a lane before other hubs may have it */
	STUCK_US = 1000 * 1000, /* between reads of a lane of which everything waits for another try */
	READ_FAILED_US = 1000 * 1000,
	BYTES_MIN = 256 << 10,
};
enum column { LANE, SEQ, OUTBOX, KEY, STREAM, CLIENT, ENVELOPE, BODY, ACCEPTED, TIME, PROPS, ATTEMPTS, FLAGS, SIZE };

bool lane_visit_is_over(const struct lane *l)
{
	return l->visit >= VISIT_EVENTS;
}

/* What failed may wait for hours: others of its lane go on, in further visits. */
static bool is_stuck(const struct hub *h, const struct lane *l)
{
	return l->held > 0 && l->untried == 0 && h->now.mono_us - l->read_us >= STUCK_US;
}

static bool wants_read(const struct hub *h, const struct lane *l)
{
	if (!l->mine || l->releasing)
		return false;
	return !l->read_once || is_stuck(h, l) || (!l->ended && !lane_visit_is_over(l));
}

/* ---- the answer ---- */

static enum arrived take_row(struct hub *h, const struct pg_answer *a, unsigned row, uint8_t lane)
{
	int64_t seq = pg_i64(a, row, SEQ), flags = pg_i64(a, row, FLAGS);
	const struct arrival arrival = {
	        .outbox = pg_text(a, row, OUTBOX),
	        .stream = pg_text(a, row, STREAM),
	        .client = pg_text(a, row, CLIENT),
	        .envelope = pg_text(a, row, ENVELOPE),
	        .body = pg_text(a, row, BODY),
	        .seq = seq,
	        .key = pg_i64(a, row, KEY),
	        .accepted_us = pg_i64(a, row, ACCEPTED),
	        .time_us = pg_i64(a, row, TIME),
	        .props_us = pg_i64(a, row, PROPS),
	        .lane = lane,
	        .past = {.attempts = (uint32_t)pg_i64(a, row, ATTEMPTS),
	                 .maybe_sent = flags & FLEET_MAYBE_SENT || seq <= h->lanes[lane].taken,
	                 .no_expiry = flags & FLEET_NO_EXPIRY},
	};
	enum arrived r = hub_events_arrive(h, &arrival);

	if (r == UNKNOWN_STREAM) {
		h->unknown_stream++;
		hub_log_unknown_stream(h, arrival.stream);
	}
	return r;
}

struct lane_read {
	size_t rows, bytes;
	bool stopped; /* for want of memory: there is more */
};

static void take_rows(struct hub *h, const struct pg_answer *a, struct lane_read reads[FLEET_LANES])
{
	for (unsigned i = 0; i < pg_rows(a); i++) {
		int64_t n = pg_i64(a, i, LANE);
		struct lane *l = n >= 0 && n < FLEET_LANES ? &h->lanes[n] : NULL;

		if (!l || !l->mine || reads[n].stopped)
			continue;
		reads[n].rows++;
		reads[n].bytes += (size_t)pg_i64(a, i, SIZE);
		switch (take_row(h, a, i, (uint8_t)n)) {
		case ARRIVED:
			l->visit++;
			h->taken++;
			break;
		case KNOWN:
		case UNKNOWN_STREAM:
			break;
		case NO_ROOM: /* what follows of it must not go before */
			reads[n].stopped = true;
			continue;
		}
		l->after = pg_i64(a, i, SEQ);
	}
}

static void on_read(void *arg, const struct pg_answer *answer)
{
	struct hub *h = arg;
	struct lane_read reads[FLEET_LANES] = {{0}};

	h->reading = false;
	if (answer->outcome != PG_COMMITTED) {
		h->read_not_before_us = h->now.mono_us + READ_FAILED_US;
		if (answer->outcome == PG_REFUSED)
			hub_log_refused(h, "events cannot be read", answer);
		return;
	}
	take_rows(h, answer, reads);
	for (size_t i = 0; i < h->read_lanes; i++) {
		struct lane *l = &h->lanes[h->reads[i]];
		const struct lane_read *r = &reads[h->reads[i]];

		l->read_once = true;
		l->read_us = h->now.mono_us;
		/* Fewer than asked for: the next read begins anew, since an edge whose transaction took longer may
		 * have added something below. */
		l->ended = r->rows < h->read_rows && r->bytes < h->read_bytes && !r->stopped;
		if (l->ended)
			l->after = 0;
	}
	loop_again(h->loop);
}

/* ---- the statement ---- */

static size_t room(const struct hub *h)
{
	return h->n_events < h->limit && h->bytes + BYTES_MIN < HUB_BYTES ? h->limit - h->n_events : 0;
}

static size_t choose(struct hub *h, size_t rows)
{
	size_t n = 0, most = rows / LANE_ROWS_MIN;

	for (size_t i = 0; i < FLEET_LANES && n < (most ? most : 1); i++)
		if (wants_read(h, &h->lanes[i]))
			h->reads[n++] = (uint8_t)i;
	return n;
}

static void begin_visit(struct hub *h, struct lane *l)
{
	if (is_stuck(h, l))
		l->visit = 0;
}

static void write_args(struct hub *h, size_t n)
{
	pg_args_clear(&h->args);
	pg_arg_text(&h->args, slice_of(h->owner));
	pg_arg_i64s(&h->args, n);
	for (size_t i = 0; i < n; i++)
		pg_arg_next_i64(&h->args, h->reads[i]);
	pg_arg_i64s(&h->args, n);
	for (size_t i = 0; i < n; i++)
		pg_arg_next_i64(&h->args, h->lanes[h->reads[i]].after);
	pg_arg_i64(&h->args, (int64_t)h->read_rows);
	pg_arg_i64(&h->args, (int64_t)h->read_bytes);
}

void hub_read(struct hub *h)
{
	size_t rows = room(h), n;

	rows = rows < READ_ROWS ? rows : READ_ROWS;
	if (h->reading || h->releasing > 0 || rows == 0 || h->now.mono_us < h->read_not_before_us)
		return;
	n = choose(h, rows);
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		begin_visit(h, &h->lanes[h->reads[i]]);
	h->read_rows = rows / n;
	h->read_bytes = (HUB_BYTES - h->bytes) / n;
	h->read_lanes = n;
	write_args(h, n);
	if (pg_send(h->pg, &SQL_HUB_READ, &h->args, PG_ANY, on_read, h) == 0)
		h->reading = true;
}
