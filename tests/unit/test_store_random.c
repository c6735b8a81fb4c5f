/* test_store_random.c - a long random life of an outbox, against a plain model of what must be in it
 *
 * Puts, settles, operators, clocks, failing disks and restarts in any order; after each stretch every row is compared
 * with the model and every counter with a recount. The seed is printed; ga4relay_seed in the environment repeats one.
 */
#include <sqlite3.h>
#include <time.h>

#include "faulty_vfs.h"
#include "store_fixture.h"

enum { MODEL_MAX = 60000, STEPS = 4000, STRETCH = 100, GONE = STATE_COUNT };

struct model {
	uint8_t state[MODEL_MAX]; /* by id; GONE: not there */
	uint8_t sid[MODEL_MAX];
	uint8_t client[MODEL_MAX];
	uint64_t next; /* no id at or above was seen */
	int64_t wall_us, mono_us;
	uint64_t rng;
};

static uint32_t pick(struct model *m, uint32_t n)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return (uint32_t)(m->rng >> 33) % n;
}

static const char *client_name(uint32_t c, char buf[16])
{
	snprintf(buf, 16, "%u.%u", c, c);
	return buf;
}

static void random_put(struct fixture *f, struct model *m)
{
	struct job_put j;
	char client[16];
	uint32_t n = 1 + pick(m, 5), sid = 1 + pick(m, 2), c = pick(m, 40);

	if (m->next + n + 100 >= MODEL_MAX)
		return;
	if (try_put(f, sid, client_name(c, client), "refund", n, NULL, m->wall_us, &j) < 0)
		return;
	assert_true(j.first_id >= m->next); /* never again */
	for (uint32_t i = 0; i < n; i++) {
		m->state[j.first_id + i] = STATE_QUEUED;
		m->sid[j.first_id + i] = (uint8_t)sid;
		m->client[j.first_id + i] = (uint8_t)c;
	}
	m->next = j.first_id + n;
}

static void random_settle(struct fixture *f, struct model *m)
{
	static const enum settle_kind kinds[] = {SETTLE_DELIVERED, SETTLE_DELIVERED, SETTLE_FAILED, SETTLE_DEAD};
	enum settle_kind kind = kinds[pick(m, 4)];
	uint64_t ids[25];
	size_t n = 0;

	if (m->next < 30)
		return;
	for (uint64_t id = 1 + pick(m, (uint32_t)m->next - 1); id < m->next && n < 25; id += 1 + pick(m, 3))
		ids[n++] = id; /* also ones that are gone, dead or held */
	if (n == 0 || settle_at(f, ids, n, kind, DEAD_REFUSED, pick(m, 2), m->wall_us) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		uint8_t *s = &m->state[ids[i]];

		if (*s == GONE || kind == SETTLE_FAILED)
			continue;
		if (kind == SETTLE_DELIVERED)
			*s = GONE;
		else if (*s == STATE_QUEUED || *s == STATE_HELD)
			*s = STATE_DEAD;
	}
}

static void model_act(struct model *m, enum act_verb verb, uint64_t id)
{
	uint8_t *s = &m->state[id];

	switch (verb) {
	case ACT_RETRY:
		*s = *s == STATE_DEAD ? STATE_QUEUED : *s;
		break;
	case ACT_HOLD:
		*s = *s == STATE_QUEUED ? STATE_HELD : *s;
		break;
	case ACT_RELEASE:
		*s = *s == STATE_HELD ? STATE_QUEUED : *s;
		break;
	case ACT_DROP:
		*s = GONE;
		break;
	}
}

static void random_act(struct fixture *f, struct model *m)
{
	enum act_verb verb = (enum act_verb)pick(m, 4);
	uint32_t c = pick(m, 40);
	char client[16];
	struct job_act j;

	job_act_init(&j, verb, no_done);
	j.filter.client = client_name(c, client);
	if (run_write(f->st, &j.job) == 0) {
		for (uint64_t id = 1; id < j.next && id < m->next; id++)
			if (m->state[id] != GONE && m->client[id] == c)
				model_act(m, verb, id);
	}
	job_act_clear(&j);
}

static void random_reopen(struct fixture *f, struct model *m)
{
	if (pick(m, 2))
		f->st->fatal = true; /* as killed: nothing is written any more */
	faults_clear();
	fixture_reopen(f);
}

static void random_trouble(struct model *m)
{
	atomic_store(&faults.writes_before, (int)pick(m, 6));
	atomic_store(&faults.write, pick(m, 2) ? SQLITE_FULL : SQLITE_IOERR_WRITE);
}

static void step(struct fixture *f, struct model *m)
{
	uint32_t what = pick(m, 100);

	m->wall_us += pick(m, 100000);
	m->mono_us += pick(m, 100000);
	if (what < 50)
		random_put(f, m);
	else if (what < 85)
		random_settle(f, m);
	else if (what < 90)
		random_act(f, m);
	else if (what < 96)
		(void)store_maintenance(f->st, m->wall_us, m->mono_us += US_PER_MIN, true);
	else if (what < 98)
		random_reopen(f, m);
	else
		random_trouble(m);
	if (what < 98)
		faults_clear();
	/* A full disk is believed for a second. */
	space_check(f->st, m->mono_us, true);
}

static void compare(struct fixture *f, struct model *m)
{
	struct job_list_rows j;
	uint64_t id = 1;
	char client[16];

	assert_books_balance(f);
	job_list_init(&j, no_done);
	do {
		j.from = j.next;
		assert_int_equal(run_read(f->st, &j.job), 0);
		for (size_t i = 0; i < j.n; i++, id++) {
			for (; id < j.rows[i].id; id++)
				assert_int_equal(m->state[id], GONE);
			assert_int_equal(j.rows[i].state, m->state[id]);
			assert_int_equal(j.rows[i].sid, m->sid[id]);
			assert_true(slice_eq(j.rows[i].client, slice_of(client_name(m->client[id], client))));
			assert_true((j.rows[i].reason != DEAD_NONE) == (m->state[id] == STATE_DEAD));
		}
	} while (!j.end);
	for (; id < m->next; id++)
		assert_int_equal(m->state[id], GONE);
	job_list_clear(&j);
}

static void long_life(void **state)
{
	struct fixture *f = *state;
	struct model *m = calloc(1, sizeof(*m));
	const char *seed = getenv("ga4relay_seed");

	assert_non_null(m);
	memset(m->state, GONE, sizeof(m->state));
	m->rng = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2654435761u | 1;
	print_message("ga4relay_seed=%llu\n", (unsigned long long)m->rng);
	m->next = 1;
	m->wall_us = T0;
	m->mono_us = clock_mono_us();
	faults_clear();
	fixture_close(f);
	f->config.vfs = "faulty";
	f->config.sync_full = false; /* the faults are writes; syncs only take time here */
	assert_int_equal(fixture_open(f), 0);
	for (int i = 0; i < STEPS; i++) {
		step(f, m);
		if (i % STRETCH == STRETCH - 1) {
			faults_clear();
			compare(f, m);
		}
	}
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(long_life, setup, teardown),
	};

	faulty_vfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
