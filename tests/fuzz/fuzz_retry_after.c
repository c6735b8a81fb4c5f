/* fuzz_retry_after.c - any Retry-After: -1, or a waiting time of at most an hour; and any Date */
#include "base/clock.h"
#include "fuzz.h"
#include "net/http_client/retry_after_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t walls[] = {0, INT64_C(784111777) * US_PER_S, INT64_C(1760000000) * US_PER_S,
	                                INT64_C(4102444800) * US_PER_S};
	char *text = fuzz_copy(data, size);

	for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		int64_t us = http_retry_after((struct slice){text, size}, walls[i]);

		CHECK(us >= -1 && us <= US_PER_H);
	}
	CHECK(http_date_us((struct slice){text, size}) >= 0);
	free(text);
	return 0;
}
