/* memory.h - how malloc() is to keep house for two threads, and giving memory back to the system */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

/* Before the process has a second thread. */
void memory_prepare_process(void);
/* What free() kept. Takes some milliseconds after a busy time: for when nobody waits. */
void memory_give_back(void);

#endif
