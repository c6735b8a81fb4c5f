/* raw_yajl.c - the limit of parsing: yajl's SAX over the same lines with callbacks that do nothing */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include <yajl/yajl_parse.h>

#include "base/clock.h"
#include "base/macros.h"
#include "lines.h"

static int on_number(void *arg UNUSED, const char *text UNUSED, size_t n UNUSED)
{
	return 1;
}

static int on_string(void *arg UNUSED, const unsigned char *text UNUSED, size_t n UNUSED)
{
	return 1;
}

static int on_mark(void *arg UNUSED)
{
	return 1;
}

static int on_boolean(void *arg UNUSED, int value UNUSED)
{
	return 1;
}

static const yajl_callbacks callbacks = {.yajl_null = on_mark,
                                         .yajl_boolean = on_boolean,
                                         .yajl_number = on_number,
                                         .yajl_string = on_string,
                                         .yajl_start_map = on_mark,
                                         .yajl_map_key = on_string,
                                         .yajl_end_map = on_mark,
                                         .yajl_start_array = on_mark,
                                         .yajl_end_array = on_mark};

int main(int argc, char **argv)
{
	struct lines_config config = {.n = 4096, .clients = 1000, .bytes = 320};
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	struct lines lines;
	int64_t start_us, us;

	if (lines_make(&lines, &config) < 0)
		return 1;
	start_us = clock_mono_us();
	for (uint64_t i = 0; i < n; i++) {
		size_t k = i % lines.n;
		const unsigned char *line = (const unsigned char *)lines.text + lines.start[k];
		yajl_handle h = yajl_alloc(&callbacks, NULL, NULL);

		if (!h || yajl_parse(h, line, lines.start[k + 1] - lines.start[k]) != yajl_status_ok ||
		    yajl_complete_parse(h) != yajl_status_ok) {
			fputs("raw_yajl: a line was not understood\n", stderr);
			return 1;
		}
		yajl_free(h);
	}
	us = clock_mono_us() - start_us;
	printf("{\"lines\":%" PRIu64 ",\"seconds\":%.3f,\"lines_per_s\":%.0f}\n", n, (double)us / 1e6,
	       (double)n * 1e6 / (double)us);
	return 0;
}
