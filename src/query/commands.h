/* commands.h - the commands of the control socket: their names, and which of them change something
 *
 * The daemon runs them (control/), ga4relay-ctl sends them (ctl/). The protocol is private to the two. */
#ifndef QUERY_COMMANDS_H
#define QUERY_COMMANDS_H

/* X(identifier, name, true if it changes something and is therefore refused to control.read_group) */
#define QUERY_COMMANDS(X)                                                                                            \
	X(status, "status", false)                                                                                   \
	X(list, "list", false)                                                                                       \
	X(show, "show", false)                                                                                       \
	X(count, "count", false)                                                                                     \
	X(export, "export", false)                                                                                   \
	X(retry, "retry", true)                                                                                      \
	X(hold, "hold", true)                                                                                        \
	X(release, "release", true)                                                                                  \
	X(drop, "drop", true)                                                                                        \
	X(pause, "pause", true)                                                                                      \
	X(resume, "resume", true)                                                                                    \
	X(flush, "flush", true)                                                                                      \
	X(tap, "tap", false)                                                                                         \
	X(metrics, "metrics", false)                                                                                 \
	X(version, "version", false)                                                                                 \
	X(paths, "paths", false)                                                                                     \
	X(reload, "reload", true)                                                                                    \
	X(log_level, "log-level", true)                                                                              \
	X(backup, "backup", false)                                                                                   \
	X(check, "check", false)                                                                                     \
	X(validate, "validate", false)                                                                               \
	X(doctor, "doctor", false)                                                                                   \
	X(probe, "probe", false)                                                                                     \
	X(verify, "verify", true)

#define QUERY_COMMAND(identifier, name, changes) QUERY_##identifier,
enum query_command { QUERY_COMMANDS(QUERY_COMMAND) QUERY_COMMAND_COUNT };
#undef QUERY_COMMAND

/* Its name, as the control socket and ga4relay-ctl's command line have it. */
const char *query_command_name(enum query_command command);

#endif
