/* daemon.h - the whole relay: assembled, run, taken apart */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdbool.h>

#include "base/macros.h"

/* The exit codes documented in ga4relay-ctl(8), for service managers and scripts. */
enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BUSY = 75, EXIT_CONFIG = 78 };

struct daemon_options {
	const char *conf_path;
	bool sandbox;
	const char *sandbox_dir;  /* NULL: a temporary directory that is removed at exit */
	const char *sandbox_http; /* address of its live page; NULL: none */
};

/* Runs until SIGTERM, SIGINT or a fatal error, which is logged. Call once, from the main thread. */
enum exit_code daemon_run(const struct daemon_options *options);
/* ga4relay -t: reads everything that a start reads, prints one line and returns the exit code. */
enum exit_code daemon_check_config(const char *conf_path);

#endif
