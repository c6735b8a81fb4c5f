/* watch.h - the terminal for a screen that repeats: its height, the pause between two screens, the key that ends
 * it */
#ifndef CTL_OUTPUT_WATCH_H
#define CTL_OUTPUT_WATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/macros.h"

/* Switches the terminal, if there is one, to read keys singly and without echo. Undo with watch_end(). */
void watch_begin(void);
void watch_end(void);
/* Waits one second, or less if the window changes its size. Returns false after q, the interrupt key or SIGTERM. */
bool watch_pause(void);
/* Replaces the previous screen by this one, cut at the window's height. Returns 0, or negative on a write error. */
int watch_show(struct buf *screen) MUST_CHECK;

#endif
