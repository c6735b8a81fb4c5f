/* fuzz_line.c - one line under all rules: what is taken can be sent, and stricter rules never take more */
#include "lines.h"

static struct json_in *reader;

static void check_json(struct slice text)
{
	const struct json_doc *d;
	struct err err;

	if (!reader)
		reader = json_in_new(32);
	CHECK(reader);
	if (json_in_read(reader, text, &d, &err) < 0) {
		fprintf(stderr, "%s\n%.*s\n", err.text, SLICE_ARG(text));
		abort();
	}
}

static void check_warnings(struct slice json)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);

	if (json.n == 0)
		return;
	CHECK(buf_append_char(&b, '{') == 0);
	CHECK(buf_append(&b, json.p + 1, json.n - 1) == 0 && buf_append_char(&b, '}') == 0);
	check_json(buf_slice(&b));
}

/* Each event alone, and all of them as far as a request takes them. */
static void check_requests(const struct submission *sub)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(64 << 20);
	struct payload_event events[25];
	size_t n = sub->n_events < 25 ? sub->n_events : 25;

	for (uint32_t i = 0; i < sub->n_events; i++) {
		struct payload_event one = {sub, i};

		buf_clear(&b);
		CHECK(payload_write(&b, &one, 1) == 0);
		CHECK(b.len == payload_size(&one, 1) && b.len < 130000);
		if (i < 3)
			check_json(buf_slice(&b));
		if (i < n)
			events[i] = one;
	}
	if (sub->events[0].body.n == 0)
		return;
	buf_clear(&b);
	CHECK(payload_write(&b, events, n) == 0 && b.len == payload_size(events, n));
	check_json(buf_slice(&b));
}

static bool judge(struct lines *l, unsigned way, struct slice line)
{
	struct submission *sub;

	lines_set(l, way);
	sub = lines_read(l, line);
	if (!sub)
		return false;
	check_warnings(l->result.warnings_json);
	check_requests(sub);
	submission_unref(sub);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lines l;
	char *text = fuzz_copy(data, size);
	struct slice line = {text, size};

	for (unsigned way = 0; way < 4; way++) {
		unsigned base = (way & 1 ? LINES_APP : 0) | (way & 2 ? LINES_DOOR : 0);
		bool strict = judge(&l, base | LINES_STRICT, line), standard = judge(&l, base, line),
		     off = judge(&l, base | LINES_OFF, line);

		CHECK(!strict || standard);
		CHECK(!standard || off);
		if (way < 2)
			CHECK(!standard || judge(&l, base | LINES_360, line));
	}
	free(text);
	return 0;
}
