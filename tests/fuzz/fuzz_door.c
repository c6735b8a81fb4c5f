/* fuzz_door.c - bytes on the HTTP door: what comes back begins as HTTP does. The first byte cuts them into pieces */
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_free) struct buf answer = BUF_INIT(64 << 20);
	struct world *w;

	if (size < 1 || size > WORLD_INPUT_MAX)
		return 0;
	w = world_get();
	world_talk(w, "door.sock", (const char *)data + 1, size - 1, data[0] < 8 ? size : (size_t)data[0] * 16,
	           &answer);
	CHECK(answer.len == 0 || slice_starts(buf_slice(&answer), SLICE_LIT("HTTP/")));
	return 0;
}
