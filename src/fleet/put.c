/* put.c - events on their way into the engine: sent, and what was there already compared
 *
 * Only what the engine acknowledged as committed counts as stored. Of keys that it had already the content's hash is
 * compared: equal, and it is the same event sent again; another, and this outbox is a copy of one that went on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/edge_private.h"
#include "fleet/key.h"
#include "fleet/sql.h"

static const struct pg_statement put_statement = {"ga4relay_put", FLEET_SQL_PUT};
static const struct pg_statement verify_statement = {"ga4relay_verify", FLEET_SQL_VERIFY};

static int send_events(struct put *p);

/* ---- memory: one block ---- */

static struct put *put_new(struct edge *e, const struct forward_event *events, size_t n)
{
	size_t each = sizeof(*events) + sizeof(int64_t) + 3;
	struct put *p = calloc(1, sizeof(*p) + n * each);

	if (!p)
		return NULL;
	p->edge = e;
	p->identity = e->identity;
	p->n = n;
	p->events = (struct forward_event *)(void *)(p + 1);
	p->hashes = (int64_t *)(void *)(p->events + n);
	p->stored = (bool *)(p->hashes + n);
	p->sent = p->stored + n;
	p->flags = (uint8_t *)(p->sent + n);
	memcpy(p->events, events, n * sizeof(*events));
	return p;
}

static void prepare(struct put *p)
{
	const struct outbox_identity *identity = &p->identity;

	for (size_t i = 0; i < p->n; i++) {
		const struct forward_event *event = &p->events[i];

		p->hashes[i] = fleet_content_hash(event);
		p->flags[i] = (uint8_t)((event->maybe_sent ? FLEET_MAYBE_SENT : 0) |
		                        (event->no_expiry ? FLEET_NO_EXPIRY : 0) |
		                        (event->id < identity->since ? FLEET_FORMER : 0));
		p->sent[i] = true;
	}
	p->n_sent = p->n;
}

void put_end(struct put *p, bool refused)
{
	const struct forwarded what = {.stored = p->stored, .refused = refused};
	struct edge *e = p->edge;

	LIST_REMOVE(p, link);
	e->n_puts--;
	e->in_flight -= p->n;
	for (size_t i = 0; i < p->n; i++)
		e->forwarded += p->stored[i];
	p->done(p->arg, &what);
	free(p);
	loop_again(e->loop);
}

/* ---- parameters ---- */

typedef int64_t number_fn(const struct put *p, size_t i);
typedef struct slice text_fn(const struct put *p, size_t i);

static int64_t id_of(const struct put *p, size_t i)
{
	return (int64_t)p->events[i].id;
}

static int64_t hash_of(const struct put *p, size_t i)
{
	return p->hashes[i];
}

static int64_t lane_of(const struct put *p, size_t i)
{
	return fleet_lane(&p->events[i]);
}

static int64_t flags_of(const struct put *p, size_t i)
{
	return p->flags[i];
}

static int64_t accepted_of(const struct put *p, size_t i)
{
	return p->events[i].sub->accepted_us;
}

static const struct event *event_of(const struct put *p, size_t i)
{
	return &p->events[i].sub->events[p->events[i].index];
}

static int64_t time_of(const struct put *p, size_t i)
{
	return event_of(p, i)->time_us;
}

static int64_t props_of(const struct put *p, size_t i)
{
	return event_of(p, i)->props_us;
}

static struct slice stream_of(const struct put *p, size_t i)
{
	return slice_of(p->events[i].stream);
}

/* Only for lists and filters; what is sent is in the envelope. PostgreSQL's texts hold no NUL. */
static struct slice client_of(const struct put *p, size_t i)
{
	struct slice client = p->events[i].sub->client;
	const char *nul = client.n ? memchr(client.p, 0, client.n) : NULL;

	return (struct slice){client.p, nul ? (size_t)(nul - client.p) : client.n};
}

static struct slice name_of(const struct put *p, size_t i)
{
	return event_of(p, i)->name;
}

static struct slice envelope_of(const struct put *p, size_t i)
{
	return p->events[i].sub->envelope;
}

static struct slice body_of(const struct put *p, size_t i)
{
	return event_of(p, i)->body;
}

static void add_numbers(struct put *p, number_fn *value)
{
	struct pg_args *args = &p->edge->args;

	pg_arg_i64s(args, p->n_sent);
	for (size_t i = 0; i < p->n; i++)
		if (p->sent[i])
			pg_arg_next_i64(args, value(p, i));
}

static void add_texts(struct put *p, text_fn *value)
{
	struct pg_args *args = &p->edge->args;

	pg_arg_texts(args, p->n_sent);
	for (size_t i = 0; i < p->n; i++)
		if (p->sent[i])
			pg_arg_next_text(args, value(p, i));
}

static void begin_args(struct put *p)
{
	struct pg_args *args = &p->edge->args;

	pg_args_clear(args);
	pg_arg_uuid(args, p->identity.uuid);
	pg_arg_uuid(args, p->identity.former);
}

/* ---- what is there already ---- */

static size_t find(const struct put *p, uint64_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->events[i].id == id)
			return i;
	return SIZE_MAX;
}

/* Of the events that the engine has under their key with other content: those that were tried under the former uuid
 * go under the present one next. True: others are among them. */
static bool judge_others(struct put *p, const struct pg_answer *answer, uint64_t *ret_id)
{
	bool is_copy = false;

	memset(p->sent, 0, p->n);
	p->n_sent = 0;
	for (unsigned row = 0; row < pg_rows(answer); row++) {
		size_t i = find(p, (uint64_t)pg_i64(answer, row, 0));

		if (i == SIZE_MAX || p->stored[i])
			continue;
		p->stored[i] = pg_bool(answer, row, 1);
		if (p->stored[i])
			continue;
		if (!(p->flags[i] & FLEET_FORMER)) {
			is_copy = true;
			*ret_id = p->events[i].id;
			continue;
		}
		p->flags[i] &= (uint8_t)~FLEET_FORMER;
		p->sent[i] = true;
		p->n_sent++;
	}
	return is_copy;
}

static void on_verified(void *arg, const struct pg_answer *answer)
{
	struct put *p = arg;
	struct edge *e = p->edge;
	uint64_t id = 0;
	bool is_copy;

	if (answer->outcome != PG_COMMITTED) {
		if (answer->outcome == PG_REFUSED)
			edge_refused(e, answer, p->n);
		put_end(p, false);
		return;
	}
	is_copy = judge_others(p, answer, &id);
	if (is_copy)
		edge_is_copy(e, &p->identity, id);
	if (is_copy || p->n_sent == 0 || send_events(p) < 0)
		put_end(p, false);
}

static int verify(struct put *p)
{
	begin_args(p);
	add_numbers(p, id_of);
	add_numbers(p, hash_of);
	add_numbers(p, flags_of);
	return pg_send(p->edge->pg, &verify_statement, &p->edge->args, PG_DURABLE, on_verified, p);
}

/* ---- the statement ---- */

static void all_stored(struct put *p)
{
	for (size_t i = 0; i < p->n; i++)
		p->stored[i] |= p->sent[i];
	if (p->edge->limit < p->edge->config.batch)
		p->edge->limit *= 2; /* room() keeps it below fleet.batch */
	put_end(p, false);
}

static void on_put(void *arg, const struct pg_answer *answer)
{
	struct put *p = arg;
	struct edge *e = p->edge;

	if (answer->outcome != PG_COMMITTED) {
		if (answer->outcome == PG_REFUSED)
			edge_refused(e, answer, p->n);
		put_end(p, answer->outcome == PG_REFUSED && p->n == 1);
		return;
	}
	if (answer->affected == p->n_sent) {
		all_stored(p);
		return;
	}
	e->known += p->n_sent - answer->affected;
	if (verify(p) < 0)
		put_end(p, false);
}

static int send_events(struct put *p)
{
	begin_args(p);
	add_numbers(p, id_of);
	add_numbers(p, hash_of);
	add_numbers(p, lane_of);
	add_numbers(p, flags_of);
	add_numbers(p, accepted_of);
	add_numbers(p, time_of);
	add_numbers(p, props_of);
	add_texts(p, stream_of);
	add_texts(p, client_of);
	add_texts(p, name_of);
	add_texts(p, envelope_of);
	add_texts(p, body_of);
	return pg_send(p->edge->pg, &put_statement, &p->edge->args, PG_DURABLE, on_put, p);
}

int put_send(struct edge *e, const struct forward_event *events, size_t n, forward_done_fn *done, void *done_arg)
{
	struct put *p = put_new(e, events, n);
	int r;

	if (!p)
		return -ENOMEM;
	p->done = done;
	p->arg = done_arg;
	prepare(p);
	r = send_events(p);
	if (r < 0) {
		free(p);
		return r;
	}
	LIST_INSERT_HEAD(&e->puts, p, link);
	e->n_puts++;
	e->in_flight += n;
	return 0;
}
