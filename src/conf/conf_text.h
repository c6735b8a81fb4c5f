/* conf_text.h - what a path, a group, a URL or an address in the configuration must look like; private to conf/ */
#ifndef CONF_CONF_TEXT_H
#define CONF_CONF_TEXT_H

#include <stdbool.h>

#include "base/macros.h"

/* NULL, or what is wrong with it in a few words that quote nothing. type is an enum option_type. */
const char *text_problem(int type, const char *text) MUST_CHECK;
/* A Host header's name: the port is compared without. */
bool text_is_host_name(const char *text);

#endif
