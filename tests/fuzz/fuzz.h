/* fuzz.h - what every target has: its entry, and a check that also holds in builds without assert() */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

/* What libFuzzer calls, and replay.c with each file of the corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(what)                                                                                                  \
	do {                                                                                                         \
		if (!(what)) {                                                                                       \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                           \
			abort();                                                                                     \
		}                                                                                                    \
	} while (0)

/* A copy of exactly that size: one byte too far is seen by the sanitizer. */
static inline char *fuzz_copy(const uint8_t *data, size_t size)
{
	char *p = malloc(size ? size : 1);

	CHECK(p);
	if (size)
		memcpy(p, data, size);
	return p;
}

#endif
