/* finding.h - one finding of a check, as `doctor` and `verify` print it */
#ifndef CTL_OUTPUT_FINDING_H
#define CTL_OUTPUT_FINDING_H

#include "ctl/ctl.h"

enum ctl_finding { FINDING_OK, FINDING_NOTE, FINDING_WARNING, FINDING_FAILED };

/* Prints what was checked, the result, and what to do about it (advice NULL: nothing). */
void finding_print(const struct ctl *ctl, enum ctl_finding result, const char *what, const char *advice,
                   const char *detail);

#endif
