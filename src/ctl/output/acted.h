/* acted.h - what a command that changes events reports at its end */
#ifndef CTL_OUTPUT_ACTED_H
#define CTL_OUTPUT_ACTED_H

#include "ctl/ctl.h"

struct acted {
	uint64_t changed, in_flight, unknown;
};

/* done: for example "dropped". */
void acted_print(const struct ctl *ctl, const struct acted *a, const char *done);

#endif
