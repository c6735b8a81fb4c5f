/* commands.c - the table of ga4relay-ctl's commands, one row each, and the dispatcher */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"

#define ANY_NUMBER SIZE_MAX
#define IDS_FROM_STDIN "IDs are decimal numbers; `-` reads them from standard input, one a line.\n"
#define ACTS_ON_FILTER                                                                                               \
	"Instead of ids it takes list's filters. Events in flight are left alone: those\n"                           \
	"given by id are named and the exit code is 1.\n" IDS_FROM_STDIN

static const struct ctl_command commands[] = {
        {"status", "", "one screen: queue, rates, destinations, outbox, dead",
         "With --watch it repeats every second until q or the interrupt key.\n", OPT_WATCH | OPTS_FLEET, 0,
         ctl_status},
        {"list", "", "events in the order of their ids",
         "Without --state: queued, inflight and held. Rejected lines: --state rejected.\n",
         OPTS_FILTER | OPT_LIMIT | OPT_REVERSE | OPT_OFFLINE | OPTS_FLEET, 0, ctl_list},
        {"show", "ID…", "one event whole: payload, times, attempts", IDS_FROM_STDIN, OPT_OFFLINE | OPTS_FLEET,
         ANY_NUMBER, ctl_show},
        {"count", "", "how many, with list's filters",
         "Without --state: queued, inflight and held. Ages: in doubling buckets.\n",
         OPTS_FILTER | OPT_BY | OPT_OFFLINE | OPTS_FLEET, 0, ctl_count},
        {"retry", "ID…", "due now; dead letters go back to the queue, same id",
         "retry --dead takes all dead letters.\n" ACTS_ON_FILTER, OPTS_FILTER | OPT_DEAD | OPTS_FLEET, ANY_NUMBER,
         ctl_retry},
        {"hold", "ID…", "keep from being sent", ACTS_ON_FILTER, OPTS_FILTER | OPTS_FLEET, ANY_NUMBER, ctl_hold},
        {"release", "ID…", "let go what was held", ACTS_ON_FILTER, OPTS_FILTER | OPTS_FLEET, ANY_NUMBER, ctl_release},
        {"drop", "ID…|ALL", "remove for good",
         "Anything but ids needs --yes. ALL takes everything that is not in flight, dead\n"
         "letters included.\n"
         "Without --state a filter takes events of every state: drop --client X\n"
         "--yes erases a person's.\n" ACTS_ON_FILTER,
         OPTS_FILTER | OPT_DEAD | OPT_YES | OPTS_FLEET, ANY_NUMBER, ctl_drop},
        {"pause", "[STREAM]", "stop delivering, of one stream or all; intake goes on",
         "Survives a restart, and overrides the file's `paused` until resume.\n", 0, 1, ctl_pause},
        {"resume", "[STREAM]", "deliver again", NULL, 0, 1, ctl_resume},
        {"flush", "", "end the waiting (linger and backoff) now", NULL, 0, 0, ctl_flush},
        {"tap", "", "follow events as they are accepted, sent and settled",
         "A reader that is too slow misses lines, and is told how many.\n", OPT_STREAM | OPT_NAME, 0, ctl_tap},
        {"send", "[FILE]", "lines, or what export printed, to the event socket",
         "FILE is - or left out: standard input. Prints what was refused with its line\n"
         "number, then a summary.\n",
         OPT_EVENT_SOCKET, 1, ctl_send},
        {"validate", "[FILE]", "check lines against the rules without storing them",
         "By the running daemon's configuration, or by --config FILE without a daemon.\n",
         OPT_CONFIG | OPT_REMOTE | OPT_RELAXED, 1, ctl_validate},
        {"export", "[ID…]", "JSON lines that `send` takes; whole backlog or filtered",
         "Without --state: queued, inflight and held.\n" IDS_FROM_STDIN, OPTS_FILTER | OPT_OFFLINE | OPTS_FLEET,
         ANY_NUMBER, ctl_export},
        {"backup", "FILE", "a consistent copy of the outbox while the daemon runs",
         "FILE must not exist. The copy is checked before it is reported done.\n", 0, 1, ctl_backup},
        {"check", "", "integrity and counts of the outbox",
         "The running daemon's, row by row; with --offline FILE also what SQLite says\nof the file.\n", OPT_OFFLINE,
         0, ctl_check},
        {"remove", "", "with --offline FILE: take a set-aside outbox away",
         "FILE is one that was set aside, or what is left of one; all that belongs to it\n"
         "(its -wal, its -journal) goes with it. Needs --yes.\n",
         OPT_OFFLINE | OPT_YES, 0, ctl_remove},
        {"restore", "BACKUP", "with --offline FILE: put a backup in FILE's place",
         "The daemon must be stopped. The backup is checked first, and copied. What was at\n"
         "FILE is set aside with all that belongs to it; ids go on above both.\n",
         OPT_OFFLINE, 1, ctl_restore},
        {"fleet-init", "", "make or migrate the fleet's tables in PostgreSQL",
         "The connection string is that of fleet.conninfo_file, or in FILE.\n"
         "Its user must be allowed to create a schema, and becomes the tables' owner.\n"
         "Harmless when nothing is to be done.\n",
         OPT_CONNINFO, 0, ctl_fleet_init},
        {"metrics", "", "Prometheus text", NULL, 0, 0, ctl_metrics},
        {"check-config", "[FILE]", "as ga4relay -t (" CTL_DEFAULT_CONFIG ")", NULL, 0, 1, ctl_check_config},
        {"reload", "", "apply the changed configuration, all or nothing", NULL, 0, 0, ctl_reload},
        {"log-level", "LEVEL", "error, warning, info or debug, until the next reload", NULL, 0, 1, ctl_log_level},
        {"version", "", "of this program and of the daemon", NULL, 0, 0, ctl_version},
        {"verify", "", "prove the secret: a test event, then GA4's Realtime",
         "Sends one event with a name of its own and asks the Realtime report of\n"
         "--property ID until it is there. --token-file holds a token with the scope\n"
         "analytics.readonly, as gcloud auth print-access-token prints it. A user's token\n"
         "(not a service account's) may need --quota-project, a project with the API on.\n",
         OPT_STREAM | OPT_PROPERTY | OPT_TOKEN_FILE | OPT_QUOTA_PROJECT | OPT_WAIT | OPT_API | OPT_EVENT_SOCKET, 0,
         ctl_verify},
        {"doctor", "", "find what is wrong, and say what to do", NULL, OPT_CONFIG, 0, ctl_doctor},
};

const struct ctl_command *ctl_commands(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(commands);
	return commands;
}

void ctl_complain(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("ga4relay-ctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static bool wants_color(bool tty)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return tty && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
}

/* A write error on standard output means failure: a full disk behind `export >file` must not look like success. */
static int finish(enum ctl_exit code)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		ctl_complain("standard output cannot be written: %s", strerror(errno));
		return CTL_REFUSED;
	}
	return code;
}

int ctl_main(int argc, char **argv)
{
	struct ctl ctl = {0};
	struct err err;
	enum ctl_exit code;
	int r;

	setlocale(LC_CTYPE, "");
	r = args_parse(&ctl.args, argc, argv, &err);
	if (r < 0) {
		ctl_complain("%s", err.text);
		return r == -EINVAL ? CTL_USAGE : CTL_REFUSED;
	}
	ctl.tty = isatty(STDOUT_FILENO);
	ctl.tty_err = isatty(STDERR_FILENO);
	ctl.color = wants_color(ctl.tty);
	if (ctl.args.help) {
		if (ctl.args.command)
			help_print(ctl.args.command);
		else
			help_print_all();
		code = CTL_DONE;
	} else {
		code = ctl.args.fleet ? ctl_fleet(&ctl) : ctl.args.command->run(&ctl);
	}
	args_clear(&ctl.args);
	return finish(code);
}
