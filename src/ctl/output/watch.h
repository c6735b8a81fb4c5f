/* watch.h - the terminal under a screen that repeats: its height, a pause between two screens, and the key that ends
 * it */
#ifndef CTL_OUTPUT_WATCH_H
#define CTL_OUTPUT_WATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/macros.h"

/* From here on keys are read one by one and not shown, if there is a terminal at all. */
void watch_begin(void);
void watch_end(void);
/* Waits a second, or until the window changes its size. False: q, the interrupt key or SIGTERM wants an end. */
bool watch_pause(void);
/* The screen in place of the one before, cut at the window's height. */
int watch_show(struct buf *screen) MUST_CHECK;

#endif
