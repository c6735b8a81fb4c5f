/* commands.c - the names of the control socket's commands */
#include "query/commands.h"

const char *query_command_name(enum query_command command)
{
#define NAME(identifier, name, changes) [QUERY_##identifier] = name,
	static const char *const names[] = {QUERY_COMMANDS(NAME)};
#undef NAME

	return names[command];
}
