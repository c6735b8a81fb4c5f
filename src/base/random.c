/* random.c - random numbers from the kernel */
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t r = getrandom(at, n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			abort(); /* cannot happen on a supported kernel; a predictable hash key would be worse than
			            stopping */
		at += r;
		n -= (size_t)r;
	}
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}

double random_unit(void)
{
	return (double)(random_u64() >> 11) * 0x1.0p-53;
}
