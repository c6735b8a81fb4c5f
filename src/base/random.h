/* random.h - chance from the kernel, drawn outside of policy and passed in */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
/* In [0, 1). */
double random_unit(void);

#endif
