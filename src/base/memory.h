/* memory.h - the resident memory of the process, and returning free memory to the system */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Returns the resident bytes (proc(5), statm), or 0 if they are not known. */
size_t memory_resident(void);
/* Returns freed memory to the system. Takes some milliseconds after a busy period. */
void memory_give_back(void);

#endif
