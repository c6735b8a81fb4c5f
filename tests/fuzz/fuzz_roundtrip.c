/* fuzz_roundtrip.c - what export prints becomes the same event again: the first byte picks the rules */
#include "lines.h"

static void check_same(const struct submission *a, uint32_t i, const struct submission *b)
{
	const struct event *x = &a->events[i], *y = &b->events[0];

	CHECK(b->n_events == 1 && a->sid == b->sid);
	CHECK(slice_eq(a->envelope, b->envelope));
	CHECK(slice_eq(a->client, b->client));
	CHECK(slice_eq(x->body, y->body));
	CHECK(slice_eq(x->name, y->name));
	CHECK(x->time_us == y->time_us);
	CHECK(x->body.n == 0 || x->props_us == y->props_us);
}

static void check_event(struct lines *l, const struct submission *sub, uint32_t i, size_t stream)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(16 << 20);
	struct submission *again;

	CHECK(payload_write_line(&b, sub, i, l->streams[stream].name) == 0);
	again = lines_read(l, buf_slice(&b));
	if (!again) {
		fprintf(stderr, "%.*s\nrefused: %s %s: %s\n", (int)b.len, b.data, code_name(l->result.refusal.code),
		        l->result.refusal.field, l->result.refusal.message);
		abort();
	}
	check_same(sub, i, again);
	submission_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lines l;
	struct submission *sub;
	size_t stream;
	char *text;

	if (size < 1)
		return 0;
	text = fuzz_copy(data + 1, size - 1);
	lines_set(&l, data[0] % LINES_WAYS);
	sub = lines_read(&l, (struct slice){text, size - 1});
	free(text);
	if (!sub)
		return 0;
	stream = l.result.stream;
	l.context.forced_stream = -1; /* the line goes to the event socket */
	for (uint32_t i = 0; i < sub->n_events && i < 30; i++)
		check_event(&l, sub, i, stream);
	submission_unref(sub);
	return 0;
}
