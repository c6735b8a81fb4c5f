/* process.h - process-wide settings that each program makes before it opens or reads anything */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/* Call this first in main(). */
void process_begin(void);

#endif
