/* test_payload.c - request bodies: exact sizes, times for events and user properties, lines that become the event
 * again */
#include "line_fixture.h"

#include <errno.h>

#include "event/payload.h"

#define assert_slice(s, wanted) assert_slice_at((s), (wanted), __FILE__, __LINE__)
static void assert_slice_at(struct slice s, const char *wanted, const char *file, int line)
{
	if (slice_eq(s, slice_of(wanted)))
		return;
	print_error("got    %.*s\nwanted %s\n", SLICE_ARG(s), wanted);
	_fail(file, line);
}

/* Up to four events of one envelope, each of a submission of its own. */
struct batch {
	union {
		struct submission sub;
		char room[sizeof(struct submission) + sizeof(struct event)];
	} rows[4];
	struct payload_event events[4];
	size_t n;
};

static void add(struct batch *b, const char *envelope, const char *body, int64_t time_us, int64_t props_us)
{
	struct submission *sub = &b->rows[b->n].sub;

	*sub = (struct submission){.envelope = slice_of(envelope), .n_events = 1};
	sub->events[0] = (struct event){.body = slice_of(body), .time_us = time_us, .props_us = props_us};
	b->events[b->n] = (struct payload_event){sub, 0};
	b->n++;
}

static void assert_body(struct batch *b, const char *wanted)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(65536);
	size_t sum = payload_envelope_size(b->events[0].sub);

	assert_int_equal(payload_write(&out, b->events, b->n), 0);
	assert_slice(buf_slice(&out), wanted);
	assert_int_equal(payload_size(b->events, b->n), out.len);
	if (b->n == 1) {
		struct envelope_size size = payload_measure_envelope(b->events[0].sub->envelope);

		assert_int_equal(payload_lone_size(&size, &b->events[0].sub->events[0]), out.len);
	}
	for (size_t i = 0; i < b->n; i++)
		sum += payload_event_size(&b->events[i].sub->events[0]);
	/* What a batch is filled by never says less than it weighs. */
	assert_true(sum >= out.len);
	b->n = 0;
}

static void events_and_their_times(void **state)
{
	struct batch b = {.n = 0};

	(void)state;
	add(&b, "{\"client_id\":\"1.2\"}", "{\"name\":\"a\"}", 1760000000000000, 0);
	assert_body(&b,
	            "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"timestamp_micros\":1760000000000000}]}");
	add(&b, "{\"client_id\":\"1.2\"}", "{\"name\":\"a\",\"params\":{ \"x\":1.10 }}", 7, 0);
	add(&b, "{\"client_id\":\"1.2\"}", "{\"name\":\"b\"}", -3, 0);
	assert_body(&b, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"params\":{ \"x\":1.10 "
	                "},\"timestamp_micros\":7},"
	                "{\"name\":\"b\",\"timestamp_micros\":-3}]}");
	add(&b, "{}", "{\"name\":\"a\"}", INT64_MIN, 0);
	assert_body(&b, "{\"events\":[{\"name\":\"a\",\"timestamp_micros\":-9223372036854775808}]}");
}

static void user_properties_get_a_time(void **state)
{
	static const char envelope[] =
	        "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"timestamp_micros\":1,\"value\":\"\\\"}\"},"
	        "\"b\":{\"value\":\"{\"}}}";
	struct batch b = {.n = 0};

	(void)state;
	/* The payload's time. */
	add(&b, envelope, "{\"name\":\"n\"}", 500, 400);
	assert_body(
	        &b,
	        "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"timestamp_micros\":1,\"value\":\"\\\"}\"},"
	        "\"b\":{"
	        "\"timestamp_micros\":400,\"value\":\"{\"}},\"events\":[{\"name\":\"n\",\"timestamp_micros\":500}]}");
	/* Else the newest event's. */
	add(&b, envelope, "{\"name\":\"n\"}", 500, 0);
	add(&b, envelope, "{\"name\":\"m\"}", 300, 0);
	assert_body(&b, "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"timestamp_micros\":1,\"value\":\"\\\"}"
	                "\"},\"b\":{"
	                "\"timestamp_micros\":500,\"value\":\"{\"}},\"events\":[{\"name\":\"n\",\"timestamp_micros\":"
	                "500},{\"name\":\"m\","
	                "\"timestamp_micros\":300}]}");
	/* With both, the newest of them. */
	add(&b, envelope, "{\"name\":\"n\"}", 500, 0);
	add(&b, envelope, "{\"name\":\"m\"}", 900, 600);
	assert_body(&b, "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"timestamp_micros\":1,\"value\":\"\\\"}"
	                "\"},\"b\":{"
	                "\"timestamp_micros\":600,\"value\":\"{\"}},\"events\":[{\"name\":\"n\",\"timestamp_micros\":"
	                "500},{\"name\":\"m\","
	                "\"timestamp_micros\":900}]}");
}

static void only_real_properties_are_dated(void **state)
{
	struct batch b = {.n = 0};

	(void)state;
	add(&b,
	    "{\"user_properties\":{\"a\":{},\"b\":5,\"timestamp_micros\":{\"value\":{\"timestamp_micros\":1}}},"
	    "\"x\":{\"user_properties\":{\"c\":{\"value\":1}}}}",
	    "{\"name\":\"n\"}", 5, 0);
	assert_body(&b, "{\"user_properties\":{\"a\":{\"timestamp_micros\":5},\"b\":5,\"timestamp_micros\":{"
	                "\"timestamp_micros\":5,"
	                "\"value\":{\"timestamp_micros\":1}}},\"x\":{\"user_properties\":{\"c\":{\"value\":1}}},"
	                "\"events\":[{\"name\":\"n\","
	                "\"timestamp_micros\":5}]}");
}

static void without_events(void **state)
{
	struct batch b = {.n = 0};

	(void)state;
	add(&b, "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"value\":1}}}", "", 5, 0);
	assert_body(&b, "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"timestamp_micros\":5,\"value\":1}},"
	                "\"timestamp_micros\":5}");
}

static void a_full_buffer_stays_as_it_was(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(40);
	struct batch b = {.n = 0};

	(void)state;
	assert_int_equal(buf_append_slice(&out, SLICE_LIT("x")), 0);
	add(&b, "{\"client_id\":\"1.2\"}", "{\"name\":\"a\"}", 5, 0);
	assert_int_equal(payload_write(&out, b.events, 1), -ENOBUFS);
	assert_int_equal(payload_write_line(&out, b.events[0].sub, 0, SLICE_LIT("web")), -ENOBUFS);
	assert_slice(buf_slice(&out), "x");
}

/* ---- lines ---- */

static const char *line_of(struct fixture *f, struct buf *out, uint32_t index)
{
	buf_clear(out);
	assert_int_equal(payload_write_line(out, f->result.sub, index, SLICE_LIT("web")), 0);
	assert_int_equal(buf_append_char(out, '\0'), 0);
	return out->data;
}

static void lines_have_a_shape(void **state)
{
	static const char *const cases[][2] = {
	        {"{\"name\":\"a\",\"client_id\":\"1.2\",\"timestamp_micros\":7}",
	         "{\"stream\":\"web\",\"client_id\":\"1.2\",\"name\":\"a\",\"timestamp_micros\":7}"},
	        {"{\"client_id\":\"1.2\",\"events\":[{\"params\":{ \"x\":1e2},\"name\":\"a\"}]}",
	         "{\"stream\":\"web\",\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{ "
	         "\"x\":1e2},\"timestamp_micros\":1760000000000000}"},
	        {"{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\"}],\"timestamp_micros\":9}",
	         "{\"stream\":\"web\",\"client_id\":\"1.2\",\"timestamp_micros\":9,\"events\":[{\"name\":\"a\","
	         "\"timestamp_micros\":9}]}"},
	        {"{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"x\":{}}]}",
	         "{\"stream\":\"web\",\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"x\":{},\"timestamp_"
	         "micros\":1760000000000000}]}"},
	        {"{\"client_id\":\"1.2\",\"params\":1,\"events\":[{\"name\":\"a\"}]}",
	         "{\"stream\":\"web\",\"client_id\":\"1.2\",\"params\":1,\"events\":[{\"name\":\"a\",\"timestamp_"
	         "micros\":1760000000000000}]}"},
	        {"{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"value\":1}},\"timestamp_micros\":9}",
	         "{\"stream\":\"web\",\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"value\":1}},\"timestamp_"
	         "micros\":9}"},
	};
	struct fixture *f = *state;
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096), again = BUF_INIT(4096);

	fixture_set(f, OFF);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(fixture_read(f, cases[i][0]), "ok");
		assert_string_equal(line_of(f, &out, 0), cases[i][1]);
		/* Read and written once more it is the same line. */
		assert_string_equal(fixture_read(f, out.data), "ok");
		assert_string_equal(line_of(f, &again, 0), cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(events_and_their_times),         cmocka_unit_test(user_properties_get_a_time),
	        cmocka_unit_test(only_real_properties_are_dated), cmocka_unit_test(without_events),
	        cmocka_unit_test(a_full_buffer_stays_as_it_was),  cmocka_unit_test(lines_have_a_shape),
	};

	return cmocka_run_group_tests(tests, fixture_up, fixture_down);
}
