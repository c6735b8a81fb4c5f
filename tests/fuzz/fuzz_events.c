/* fuzz_events.c - bytes on the event socket: as many replies as lines. The first byte cuts them into pieces */
#include "world.h"

static size_t count_lines(const char *p, size_t n)
{
	size_t lines = 0;
	bool something = false;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			lines += something;
			something = false;
		} else if (!strchr(" \t\r", p[i]) || p[i] == '\0') {
			something = true;
		}
	}
	return lines + something;
}

static size_t count_ends(const struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_free) struct buf answer = BUF_INIT(64 << 20);
	const char *text = (const char *)data + 1;
	struct world *w;
	bool closed;

	/* 16 KiB: so few lines that the replies stay below listen.max_unread_replies. */
	if (size < 1 || size > 16384)
		return 0;
	w = world_get();
	closed = world_talk(w, "event.sock", text, size - 1, data[0] < 8 ? size : (size_t)data[0] * 16, &answer);
	CHECK(closed);
	if (answer.len < 200000 && count_ends(&answer) != count_lines(text, size - 1)) {
		fprintf(stderr, "%zu replies to %zu lines:\n%.*s\n", count_ends(&answer), count_lines(text, size - 1),
		        (int)answer.len, answer.data);
		abort();
	}
	return 0;
}
