/* random.h - random numbers from the kernel; policy code gets them as arguments */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
/* Returns a number in [0, 1). */
double random_unit(void);

#endif
