/* memory.h - giving memory back to the system */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

/* What free() kept. Takes some milliseconds after a busy time: for when nobody waits. */
void memory_give_back(void);

#endif
