/* selection_args.h - the filters of the command line, read as the daemon reads them */
#ifndef CTL_SELECTION_ARGS_H
#define CTL_SELECTION_ARGS_H

#include "ctl/ctl.h"
#include "query/selection.h"

/* As selection_read() and selection_read_by() of the request that the daemon would get, so that a filter means the
 * same wherever it is applied. */
int selection_of_args(const struct ctl_args *args, const struct query_streams *streams, uint32_t default_states,
                      struct selection *ret, enum count_by *ret_by, struct err *err) MUST_CHECK;

#endif
