/* conf_text.h - syntax checks for paths, groups, URLs and addresses in the configuration; private to conf/ */
#ifndef CONF_CONF_TEXT_H
#define CONF_CONF_TEXT_H

#include <stdbool.h>

#include "base/macros.h"

/* Returns NULL, or a short static text on what is wrong that quotes nothing. type is an enum option_type. */
const char *text_problem(int type, const char *text) MUST_CHECK;
/* Whether text is a host name without a port; Host headers are compared without theirs. */
bool text_is_host_name(const char *text);

#endif
