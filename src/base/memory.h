/* memory.h - how much memory is resident, and giving some back to the system */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Bytes, as the system counts them (proc(5), statm); 0: it does not tell. */
size_t memory_resident(void);
/* What free() kept. Takes some milliseconds after a busy time. */
void memory_give_back(void);

#endif
