/* ctl.h - one run of ga4relay-ctl: its arguments, the tables of commands and options
 *
 * Single-threaded. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"

/* Exit codes, for scripts; documented in ga4relay-ctl(8). */
enum ctl_exit { CTL_DONE = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_NO_DAEMON = 3 };

#define CTL_DEFAULT_SOCKET "/run/ga4relay/control.sock"
#define CTL_DEFAULT_EVENT_SOCKET "/run/ga4relay.sock"
#define CTL_DEFAULT_CONFIG GA4RELAY_SYSCONFDIR "/ga4relay/ga4relay.conf"

/* Bits of the set of options that a command takes. */
enum ctl_option {
	OPT_SOCKET = 1u << 0,
	OPT_JSON = 1u << 1,
	OPT_HELP = 1u << 2,
	OPT_OFFLINE = 1u << 3,
	OPT_STATE = 1u << 4,
	OPT_STREAM = 1u << 5,
	OPT_CLIENT = 1u << 6,
	OPT_NAME = 1u << 7,
	OPT_REASON = 1u << 8,
	OPT_OLDER = 1u << 9,
	OPT_LIMIT = 1u << 10,
	OPT_REVERSE = 1u << 11,
	OPT_BY = 1u << 12,
	OPT_DEAD = 1u << 13,
	OPT_YES = 1u << 14,
	OPT_WATCH = 1u << 15,
	OPT_CONFIG = 1u << 16,
	OPT_REMOTE = 1u << 17,
	OPT_RELAXED = 1u << 18,
	OPT_EVENT_SOCKET = 1u << 19,
	OPT_PROPERTY = 1u << 20,
	OPT_TOKEN_FILE = 1u << 21,
	OPT_WAIT = 1u << 22,
	OPT_API = 1u << 23,
	OPT_CONNINFO = 1u << 24,
	OPT_QUOTA_PROJECT = 1u << 25,
	OPT_FLEET = 1u << 26
};
enum {
	OPTS_FILTER = OPT_STATE | OPT_STREAM | OPT_CLIENT | OPT_NAME | OPT_REASON | OPT_OLDER,
	OPTS_FLEET = OPT_FLEET | OPT_CONNINFO,
	CTL_STATES_MAX = 8,
	CTL_LIMIT_DEFAULT = 20
};

struct ctl_command;

/* The parsed command line. Strings point into argv. */
struct ctl_args {
	const struct ctl_command *command; /* NULL: --help without a command */
	uint32_t given;                    /* set of enum ctl_option */
	bool json, help, reverse, dead, yes, watch, remote, relaxed, fleet;
	const char *socket, *offline, *config, *event_socket;
	const char *stream, *client, *name, *reason, *by;
	const char *property, *token_file, *quota_project, *api, *conninfo_file;
	const char *states[CTL_STATES_MAX]; /* each may be a comma-separated list */
	size_t n_states;
	int64_t older_us;   /* 0: not given */
	int64_t wait_us;    /* 0: not given */
	uint64_t limit;     /* 0: no limit */
	const char **words; /* the words after the command; strings of argv; array freed by args_clear() */
	size_t n_words;
};
/* Parses argv from argv[1] on. Returns 0, and then the caller frees *ret with args_clear(); or -EINVAL or -ENOMEM
 * with a sentence in err. */
int args_parse(struct ctl_args *ret, int argc, char *const argv[], struct err *err) MUST_CHECK;
void args_clear(struct ctl_args *args);

struct ctl {
	struct ctl_args args;
	bool color;   /* color standard output */
	bool tty;     /* standard output is a terminal */
	bool tty_err; /* standard error is a terminal: progress may be shown */
};

/* A command is one row of the table in commands.c and one function. */
struct ctl_command {
	const char *name, *words; /* words: its arguments as help prints them, such as "ID…" */
	const char *help;         /* one line of help */
	const char *detail;       /* more lines of help, or NULL */
	uint32_t options;         /* options accepted besides OPT_SOCKET, OPT_JSON, OPT_HELP */
	size_t max_words;
	enum ctl_exit (*run)(struct ctl *ctl);
};
const struct ctl_command *ctl_commands(size_t *ret_n);

int ctl_main(int argc, char **argv);

/* access.c: after connect() gave EACCES: a clause on why this user may not open the socket and what to do, written to
 * out; otherwise: what else can be done where only its owner may. Returns out. */
const char *ctl_explain_access(const char *path, const char *otherwise, char *out, size_t size);

/* help.c */
void help_print_all(void);
void help_print(const struct ctl_command *command);
/* The table of options, for the parser, help, suggestions and tests. */
struct ctl_option_info {
	const char *name;  /* without "--" */
	char letter;       /* 0: no short form */
	const char *value; /* name of its value in help; NULL: takes none */
	uint32_t bit;
	const char *help;
};
const struct ctl_option_info *ctl_options(size_t *ret_n);

/* Prints one line to standard error, after "ga4relay-ctl: ". */
void ctl_complain(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The functions of the commands. */
typedef enum ctl_exit ctl_run_fn(struct ctl *ctl);
ctl_run_fn ctl_status, ctl_list, ctl_show, ctl_count, ctl_export, ctl_retry, ctl_hold, ctl_release, ctl_drop,
        ctl_pause, ctl_resume, ctl_flush, ctl_tap, ctl_send, ctl_validate, ctl_backup, ctl_check, ctl_metrics,
        ctl_check_config, ctl_reload, ctl_log_level, ctl_version, ctl_doctor, ctl_verify, ctl_remove, ctl_restore,
        ctl_fleet_init, ctl_fleet;

#endif
