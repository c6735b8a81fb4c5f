/* hint.h - what to do about a refused line, by its code */
#ifndef GA4_HINT_H
#define GA4_HINT_H

#include "ga4/verdict.h"

/* One sentence; never NULL for a member of the enum but CODE_NONE. Static text. */
const char *hint_of(enum code code);

#endif
