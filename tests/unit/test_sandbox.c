/* test_sandbox.c - the collector answers as GA4 does, prints what it got, and fails when it is told to */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/sandbox.h"
#include "sandbox/sandbox_print.h"
#include "json/json_read.h"

/* ---- the lines ---- */

static void expect_line(const char *body, int64_t wall_us, const char *wanted)
{
	struct json_in *in = json_in_new(32);
	_cleanup_(buf_free) struct buf out = BUF_INIT(8192);
	const struct json_doc *d;
	struct err err;

	if (json_in_read(in, slice_of(body), &d, &err) < 0)
		fail_msg("%s: %s", body, err.text);
	assert_int_equal(sandbox_print_events(&out, SANDBOX_RECEIVED, d, wall_us, false), 0);
	assert_int_equal(buf_append_char(&out, '\0'), 0);
	assert_string_equal(out.data, wanted);
	json_in_free(in);
}

static void one_line_an_event(void **state)
{
	(void)state;
	expect_line(
	        "{\"client_id\":\"123.456\",\"events\":[{\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-1\","
	        "\"currency\":\"EUR\",\"value\":9.5,\"items\":[{},{}],\"ok\":true,\"none\":null}}]}",
	        0, "✓ refund  client 123.456  transaction_id=T-1 value=9.5 EUR items=[2] ok=true none=null\n");
	expect_line("{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\"},{\"name\":\"b\",\"params\":{}}]}", 0,
	            "✓ a  client 1.2\n✓ b  client 1.2\n");
	expect_line("{\"app_instance_id\":\"00ff\",\"events\":[{\"name\":\"a\",\"params\":{\"currency\":\"EUR\"}}]}",
	            0, "✓ a  client 00ff  currency=EUR\n");
	expect_line("{\"client_id\":\"1.2\",\"user_properties\":{}}", 0, "✓ (no events)  client 1.2\n");
	expect_line("{\"client_id\":[],\"events\":[5,{\"name\":{},\"params\":[]}]}", 0,
	            "✓   client (none)\n✓   client (none)\n");
}

static void nothing_acts_on_the_terminal(void **state)
{
	(void)state;
	expect_line("{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\\u001b[31m\\n\",\"params\":{\"b\\u007f\":"
	            "\"c\\u009b\\u00e9\"}}]}",
	            0, "✓ a?[31m?  client 1.2  b?=c?é\n");
}

static void long_values_are_cut(void **state)
{
	char body[2048] = "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"params\":{\"k\":\"";

	(void)state;
	for (int i = 0; i < 39; i++)
		strcat(body, "x");
	strcat(body, "éééé\"}}]}");
	expect_line(body, 0, "✓ a  client 1.2  k=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\n");
	strcpy(body, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"params\":{\"p0\":0");
	for (int i = 1; i < 40; i++)
		snprintf(body + strlen(body), 64, ",\"parameter%02d\":%d", i, i);
	strcat(body, "}}]}");
	expect_line(body, 0,
	            "✓ a  client 1.2  p0=0 parameter01=1 parameter02=2 parameter03=3 parameter04=4 parameter05=5 "
	            "parameter06=6 parameter07=7 parameter08=8 parameter09=9 …\n");
}

static void waiting_is_told(void **state)
{
	static const char body[] =
	        "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"timestamp_micros\":1000000000000000}]}";

	(void)state;
	expect_line(body, INT64_C(1000000001999999), "✓ a  client 1.2\n");
	expect_line(body, INT64_C(1000000075000000), "✓ a  client 1.2  (happened 75 s ago)\n");
}

/* ---- the collector ---- */

static struct loop *loop;
static struct collector *collector;
static int output[2];
static struct tap tap;

static int setup(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(collector_open(&collector, loop, &tap, output[1], &err), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	collector = collector_free(collector);
	loop = loop_free(loop);
	close(output[0]);
	close(output[1]);
	return 0;
}

/* Sends one request on a connection of its own. */
static int begin(const char *request_line, const char *head, const char *body)
{
	static char text[16 * 1024];
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n;

	sin.sin_port = htons((uint16_t)collector_port(collector));
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	n = (size_t)snprintf(text, sizeof(text),
	                     "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
	                     request_line, head, strlen(body), body);
	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
	return fd;
}

/* Returns the whole answer. */
static const char *finish(int fd)
{
	static char text[16 * 1024];
	int64_t end = clock_mono_us() + 10 * US_PER_S;
	ssize_t got = -1;
	size_t n = 0;

	while (got != 0) {
		assert_int_equal(loop_turn(loop, false), 0);
		got = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT);
		n += got > 0 ? (size_t)got : 0;
		assert_true(got >= 0 || errno == EAGAIN);
		assert_true(clock_mono_us() < end);
		if (got < 0)
			poll(NULL, 0, 1);
	}
	text[n] = '\0';
	close(fd);
	return text;
}

static const char *ask(const char *request_line, const char *head, const char *body)
{
	return finish(begin(request_line, head, body));
}

static const char *printed(void)
{
	static char text[16 * 1024];
	ssize_t n = read(output[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

#define COLLECT "POST /mp/collect?measurement_id=G-X&api_secret=s"
#define DEBUG "POST /debug/mp/collect?measurement_id=G-X&api_secret=s"
#define JSON "Content-Type: application/json\r\n"
#define GOOD                                                                                                         \
	"{\"client_id\":\"123.456\",\"events\":[{\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-1\","        \
	"\"value\":9.5,"                                                                                             \
	"\"currency\":\"EUR\"}}]}"
#define RESERVED "{\"client_id\":\"123.456\",\"events\":[{\"name\":\"session_start\",\"params\":{}}]}"

static void expect_status(const char *answer, const char *status)
{
	if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, status, 3) != 0)
		fail_msg("%s instead of %s", answer, status);
}

static void receives(void **state)
{
	(void)state;
	expect_status(ask(COLLECT, JSON, GOOD), "204");
	assert_string_equal(printed(), "✓ refund  client 123.456  transaction_id=T-1 value=9.5 EUR\n");
}

/* GA4 answers 204 to these too. */
static void complains(void **state)
{
	const char *text;

	(void)state;
	expect_status(ask(COLLECT, JSON, RESERVED), "204");
	text = printed();
	assert_non_null(strstr(text, "✗ session_start"));
	assert_non_null(strstr(text, "GA4 would drop this: events[0].name: "));
	assert_non_null(strstr(text, "(NAME_RESERVED)"));
	expect_status(ask(COLLECT, JSON, "not json"), "204");
	assert_non_null(strstr(printed(), "(JSON_INVALID)"));
	expect_status(ask("POST /mp/collect?measurement_id=G-X", JSON, GOOD), "204");
	assert_non_null(strstr(printed(), "api_secret"));
	expect_status(ask("POST /mp/collect?api_secret=s", JSON, GOOD), "204");
	assert_non_null(strstr(printed(), "measurement_id"));
	expect_status(ask(COLLECT "&firebase_app_id=1", JSON, GOOD), "204");
	assert_non_null(strstr(printed(), "exactly one"));
	expect_status(ask(COLLECT, "Content-Type: text/plain\r\n", GOOD), "204");
	assert_non_null(strstr(printed(), "Content-Type"));
}

static void too_many_events(void **state)
{
	char body[4096] = "{\"client_id\":\"1.2\",\"events\":[";

	(void)state;
	for (int i = 0; i < 25; i++)
		strcat(body, i ? ",{\"name\":\"a\"}" : "{\"name\":\"a\"}");
	strcat(body, "]}");
	ask(COLLECT, JSON, body);
	assert_null(strstr(printed(), "would drop"));
	body[strlen(body) - 2] = '\0';
	strcat(body, ",{\"name\":\"a\"}]}");
	ask(COLLECT, JSON, body);
	assert_non_null(strstr(printed(), "(EXCEEDED_MAX_ENTITIES)"));
}

static void app_streams(void **state)
{
	(void)state;
	ask("POST /mp/collect?firebase_app_id=1&api_secret=s", JSON,
	    "{\"app_instance_id\":\"0123456789abcdef0123456789abcdef\",\"events\":[{\"name\":\"a\"}]}");
	assert_string_equal(printed(), "✓ a  client 0123456789abcdef0123456789abcdef\n");
	ask("POST /mp/collect?firebase_app_id=1&api_secret=s", JSON, GOOD);
	assert_non_null(strstr(printed(), "would drop"));
}

static void validates(void **state)
{
	const char *answer = ask(DEBUG, JSON, GOOD);

	(void)state;
	expect_status(answer, "200");
	assert_non_null(strstr(answer, "\r\n\r\n{\"validationMessages\":[]}"));
	answer = ask(DEBUG, JSON, RESERVED);
	assert_non_null(strstr(answer, "\"validationCode\":\"NAME_RESERVED\""));
	answer = ask(DEBUG, JSON, "{\"events\":[{\"name\":\"a\"}]}");
	assert_non_null(strstr(answer, "Measurement requires a client_id."));
	answer = ask(DEBUG, JSON, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"names\":1}]}");
	assert_non_null(strstr(
	        answer, "{\"description\":\"Unable to parse Measurement Protocol JSON payload. (events[0]) names: "
	                "Cannot find field.\",\"validationCode\":\"VALUE_INVALID\"}"));
	answer = ask(DEBUG, JSON, "{\"client_id\":\"1.2\",\"clientid\":\"1.2\",\"events\":[{\"name\":\"a\"}]}");
	assert_non_null(strstr(answer, "payload. clientid: Cannot find field."));
	/* ENFORCE_RECOMMENDATIONS refuses what is only worth a warning otherwise. */
	answer = ask(DEBUG, JSON, "{\"client_id\":\"no-number\",\"events\":[{\"name\":\"a\"}]}");
	assert_non_null(strstr(answer, "{\"validationMessages\":[]}"));
	answer = ask(DEBUG, JSON,
	             "{\"client_id\":\"no-number\",\"validation_behavior\":\"ENFORCE_RECOMMENDATIONS\","
	             "\"events\":[{\"name\":\"a\"}]}");
	assert_null(strstr(answer, "{\"validationMessages\":[]}"));
	assert_string_equal(printed(), "");
}

static void fails_as_told(void **state)
{
	(void)state;
	expect_status(ask("POST /control?fail=503&for=2", "", ""), "204");
	assert_string_equal(printed(), "… the collector will answer 503 to the next 2 requests\n");
	for (int i = 0; i < 2; i++) {
		const char *answer = ask(COLLECT, JSON, GOOD);

		expect_status(answer, "503");
		assert_non_null(strstr(answer, "\r\nRetry-After: 1\r\n"));
		assert_non_null(strstr(printed(), "answering 503"));
	}
	expect_status(ask(COLLECT, JSON, GOOD), "204");
	/* Until told otherwise. */
	printed();
	expect_status(ask("POST /control?fail=400", "", ""), "204");
	assert_string_equal(printed(), "… the collector will answer 400 to requests until told otherwise\n");
	for (int i = 0; i < 5; i++)
		expect_status(ask(COLLECT, JSON, GOOD), "400");
	expect_status(ask("POST /control?fail=204", "", ""), "204");
	expect_status(ask(COLLECT, JSON, GOOD), "204");
}

static void tells_what_intake_said(void **state)
{
	static const struct finding refusal = {
	        .code = CODE_NAME_RESERVED, .field = "name", .message = "'error' is\033 kept"};
	char line[400], expected[600];

	(void)state;
	tap_line(&tap, &(struct tap_line){.line = SLICE_LIT("{\"name\":\"error\"}"), .refusal = &refusal});
	assert_string_equal(printed(),
	                    "✗ refused: name: 'error' is? kept (NAME_RESERVED)\n    {\"name\":\"error\"}\n");
	memset(line, 'x', sizeof(line));
	tap_line(&tap, &(struct tap_line){.line = {line, sizeof(line)},
	                                  .refusal = &(struct finding){.code = CODE_JSON_INVALID, .message = "no"}});
	snprintf(expected, sizeof(expected), "✗ refused: no (JSON_INVALID)\n    %.160s…\n", line);
	assert_string_equal(printed(), expected);
	tap_line(&tap,
	         &(struct tap_line){.line = SLICE_LIT("{\"name\":\"a\"}"),
	                            .warnings_json = SLICE_LIT(
	                                    ",\"warnings\":[{\"code\":\"VALUE_INVALID\",\"field\":\"params.x\","
	                                    "\"message\":\"'x' is null\"},{\"code\":\"VALUE_REQUIRED\",\"field\":"
	                                    "\"params.y\",\"message\":\"y is missing\"}],\"warnings_omitted\":3")});
	assert_string_equal(printed(), "! with warnings: {\"name\":\"a\"}\n"
	                               "    params.x: 'x' is null (VALUE_INVALID)\n"
	                               "    params.y: y is missing (VALUE_REQUIRED)\n");
}

/* Those that hang get the answer that ends it. */
static void hangs_until_told_otherwise(void **state)
{
	char answer[COLLECTOR_ANSWER_MAX];
	int fd;

	(void)state;
	assert_string_equal(collector_answer(collector, answer), "204");
	assert_int_equal(collector_set_answer(collector, "never"), -EINVAL);
	assert_int_equal(collector_set_answer(collector, "199"), -EINVAL);
	expect_status(ask("POST /control?fail=hang", "", ""), "204");
	assert_string_equal(printed(), "… the collector will not answer requests until told otherwise\n");
	assert_string_equal(collector_answer(collector, answer), "hang");
	fd = begin(COLLECT, JSON, GOOD);
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(loop, false), 0);
	assert_int_equal(recv(fd, answer, 1, MSG_DONTWAIT), -1);
	assert_non_null(strstr(printed(), "not answering, as asked"));
	assert_int_equal(collector_set_answer(collector, "400"), 0);
	expect_status(finish(fd), "400");
	assert_string_equal(collector_answer(collector, answer), "400");
	assert_int_equal(collector_set_answer(collector, "hang"), 0);
	close(begin(COLLECT, JSON, GOOD));
	fd = begin(COLLECT, JSON, GOOD);
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(loop, false), 0);
	close(fd);
}

static void refuses_what_is_not_its_own(void **state)
{
	(void)state;
	expect_status(ask("GET /mp/collect?measurement_id=G-X&api_secret=s", "", ""), "405");
	expect_status(ask("POST /elsewhere", JSON, GOOD), "404");
	expect_status(ask("POST /control?fail=503", "Origin: http://evil.example\r\n", ""), "403");
	expect_status(ask("POST /control", "", ""), "400");
	expect_status(ask("POST /control?fail=abc", "", ""), "400");
	expect_status(ask("POST /control?fail=99", "", ""), "400");
	expect_status(ask("POST /control?fail=503&for=-1", "", ""), "400");
	expect_status(ask(COLLECT, JSON, GOOD), "204");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_line_an_event),
	        cmocka_unit_test(nothing_acts_on_the_terminal),
	        cmocka_unit_test(long_values_are_cut),
	        cmocka_unit_test(waiting_is_told),
	        T(receives),
	        T(complains),
	        T(too_many_events),
	        T(app_streams),
	        T(validates),
	        T(fails_as_told),
	        T(tells_what_intake_said),
	        T(hangs_until_told_otherwise),
	        T(refuses_what_is_not_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
