/* fuzz_framing.c - where HTTP requests end does not depend on how the bytes are cut, and nothing but a chunk's
 * extension is written over. The first byte cuts them into pieces */
#include "fuzz.h"
#include "net/http_server/http_server_framing.h"

static const char *feed(struct http_framing *f, char *p, size_t n, size_t piece)
{
	for (size_t at = 0; at < n; at += piece)
		http_framing_feed(f, p + at, n - at < piece ? n - at : piece);
	return f->problem;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_framing whole = {0}, cut = {0};
	char *a, *b;

	if (size < 1)
		return 0;
	a = fuzz_copy(data + 1, size - 1);
	b = fuzz_copy(data + 1, size - 1);
	CHECK(feed(&whole, a, size - 1, size) == feed(&cut, b, size - 1, data[0] ? data[0] : 1));
	CHECK(whole.problem || (whole.state == cut.state && whole.left == cut.left));
	CHECK(memcmp(a, b, size - 1) == 0);
	for (size_t i = 0; i < size - 1; i++)
		CHECK(a[i] == (char)data[i + 1] || (a[i] == ' ' && data[i + 1] != '\n'));
	free(a);
	free(b);
	return 0;
}
