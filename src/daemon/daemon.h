/* daemon.h - the whole relay: put together, run, taken apart */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdbool.h>

#include "base/macros.h"

/* What a service manager and a script read off the process (ga4relay-ctl(8)). */
enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BUSY = 75, EXIT_CONFIG = 78 };

struct daemon_options {
	const char *conf_path;
	bool sandbox;
	const char *sandbox_dir; /* NULL: a temporary directory, removed at the end */
};

/* Runs until SIGTERM or SIGINT. Says why on the log when it ends otherwise. */
enum exit_code daemon_run(const struct daemon_options *options);
/* ga4relay -t: reads everything a start would read, prints one line. */
enum exit_code daemon_check_config(const char *conf_path);

#endif
