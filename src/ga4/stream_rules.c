/* stream_rules.c - what a stream may be called */
#include "ga4/stream_rules.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool stream_name_is_valid(struct slice name)
{
	if (name.n < 1 || name.n > STREAM_NAME_MAX || !is_alnum(name.p[0]))
		return false;
	for (size_t i = 1; i < name.n; i++)
		if (!is_alnum(name.p[i]) && name.p[i] != '_' && name.p[i] != '.' && name.p[i] != '-')
			return false;
	return true;
}
