/* fuzz_framing.c - where HTTP requests end, and which bytes are heads and bodies, does not depend on how the bytes
 * are cut. The first byte cuts them into pieces */
#include "fuzz.h"
#include "net/http_server/http_server_framing.h"

/* The kind of each byte, until a problem. */
static size_t feed(struct http_framing *f, const char *p, size_t n, size_t cut, char *kinds)
{
	size_t at = 0, end = 0;

	while (at < n && !f->problem) {
		struct http_piece piece;

		end = at < end ? end : n - at < cut ? n : at + cut;
		piece = http_framing_next(f, p + at, end - at);
		CHECK(piece.n > 0 && piece.n <= end - at);
		memset(kinds + at, piece.kind, piece.n);
		at += piece.n;
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_framing whole = {0}, cut = {0};
	char *p, *a, *b;
	size_t n;

	if (size < 1)
		return 0;
	p = fuzz_copy(data + 1, size - 1);
	a = fuzz_copy(data + 1, size - 1);
	b = fuzz_copy(data + 1, size - 1);
	n = feed(&whole, p, size - 1, size, a);
	CHECK(feed(&cut, p, size - 1, data[0] ? data[0] : 1, b) == n);
	CHECK(whole.problem == cut.problem && whole.state == cut.state && whole.left == cut.left);
	CHECK(memcmp(a, b, n) == 0);
	free(p);
	free(a);
	free(b);
	return 0;
}
