/* process.h - what each of our programs is before it opens or reads anything */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/* First in main(). */
void process_begin(void);

#endif
