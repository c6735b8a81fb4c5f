/* args.c - parses the command line: options anywhere, the command, its words; errors name the nearest valid name */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "base/parse.h"
#include "ctl/ctl.h"

static const struct ctl_option_info options[] = {
        {"control", 's', "SOCKET", OPT_SOCKET, "the daemon's control socket (" CTL_DEFAULT_SOCKET ")"},
        {"json", 0, NULL, OPT_JSON, "one JSON object a line, nothing else"},
        {"help", 'h', NULL, OPT_HELP, "explain the command"},
        {"offline", 0, "FILE", OPT_OFFLINE, "the outbox of a stopped daemon instead"},
        {"state", 0, "STATE", OPT_STATE, "queued,inflight,held,dead,delivered,rejected: any list"},
        {"stream", 0, "NAME", OPT_STREAM, "events of this stream"},
        {"client", 0, "ID", OPT_CLIENT, "events of this client_id or app_instance_id"},
        {"name", 0, "NAME", OPT_NAME, "events of this name"},
        {"reason", 0, "REASON", OPT_REASON, "dead for: refused too-large expired ambiguous corrupt"},
        {"older", 0, "DURATION", OPT_OLDER, "accepted longer ago: 30s 5m 72h 7d"},
        {"limit", 0, "N", OPT_LIMIT, "at most so many (default 20; 0: all)"},
        {"reverse", 0, NULL, OPT_REVERSE, "newest first"},
        {"by", 0, "WHAT", OPT_BY, "count by stream, name, state, reason or age"},
        {"dead", 0, NULL, OPT_DEAD, "the dead letters: --state dead"},
        {"yes", 0, NULL, OPT_YES, "do it without asking again"},
        {"watch", 0, NULL, OPT_WATCH, "repeat every second"},
        {"config", 'c', "FILE", OPT_CONFIG, "judge by this configuration, without a daemon"},
        {"remote", 0, NULL, OPT_REMOTE, "ask Google's validation endpoint too"},
        {"relaxed", 0, NULL, OPT_RELAXED, "with --remote: without ENFORCE_RECOMMENDATIONS"},
        {"socket", 0, "SOCKET", OPT_EVENT_SOCKET, "the event socket (default: as the daemon says)"},
        {"property", 0, "ID", OPT_PROPERTY, "the GA4 property's id, a number"},
        {"fleet", 0, NULL, OPT_FLEET, "the fleet's queue in PostgreSQL instead"},
        {"conninfo-file", 0, "FILE", OPT_CONNINFO, "with --fleet: its connection string"},
        {"token-file", 0, "FILE", OPT_TOKEN_FILE, "an OAuth access token; - reads standard input"},
        {"quota-project", 0, "PROJECT", OPT_QUOTA_PROJECT, "Cloud project that pays the quota of a user's token"},
        {"wait", 0, "DURATION", OPT_WAIT, "how long to look for the event (default 10m)"},
        {"api", 0, "URL", OPT_API, "Data API (https://analyticsdata.googleapis.com)"},
};

const struct ctl_option_info *ctl_options(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(options);
	return options;
}

enum { OPTS_ALWAYS = OPT_SOCKET | OPT_JSON | OPT_HELP, OPTION_NAMES_MAX = 32, COMMAND_NAMES_MAX = 64 };

static const struct ctl_command *find_command(const char *name)
{
	size_t n;
	const struct ctl_command *commands = ctl_commands(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *word, struct err *err)
{
	const char *names[COMMAND_NAMES_MAX], *near;
	size_t n;
	const struct ctl_command *commands = ctl_commands(&n);

	for (size_t i = 0; i < n && i < COMMAND_NAMES_MAX; i++)
		names[i] = commands[i].name;
	near = nearest_name(slice_of(word), names, n < COMMAND_NAMES_MAX ? n : COMMAND_NAMES_MAX);
	if (near)
		return err_set(err, -EINVAL, "there is no command \"%s\"; did you mean \"%s\"?", word, near);
	return err_set(err, -EINVAL, "there is no command \"%s\"; ga4relay-ctl --help lists them", word);
}

static uint32_t allowed_by(const struct ctl_command *command)
{
	return OPTS_ALWAYS | (command ? command->options : ~0u);
}

static int unknown_option(const struct ctl_command *command, const char *word, struct err *err)
{
	const char *names[OPTION_NAMES_MAX], *near, *of = command ? command->name : "", *colon = command ? ": " : "";
	size_t n = 0, length = strcspn(word, "=");

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].bit & allowed_by(command))
			names[n++] = options[i].name;
	near = nearest_name((struct slice){word, length}, names, n);
	if (near)
		return err_set(err, -EINVAL, "%s%sthere is no option --%.*s; did you mean --%s?", of, colon,
		               (int)length, word, near);
	return err_set(err, -EINVAL, "%s%sthere is no option --%.*s; --help lists them", of, colon, (int)length,
	               word);
}

static int set_older(struct ctl_args *args, const char *value, struct err *err)
{
	if (parse_duration_us(slice_of(value), &args->older_us) < 0 || args->older_us <= 0)
		return err_set(err, -EINVAL, "--older %s: not a duration; write 30s, 5m, 72h or 7d", value);
	return 0;
}

/* The Realtime report goes back 29 minutes. */
static int set_wait(struct ctl_args *args, const char *value, struct err *err)
{
	if (parse_duration_us(slice_of(value), &args->wait_us) < 0)
		return err_set(err, -EINVAL, "--wait %s: not a duration; write 30s or 10m", value);
	if (args->wait_us < US_PER_S || args->wait_us > 29 * 60 * US_PER_S)
		return err_set(err, -EINVAL, "--wait %s: not from 1s to 29m, how far Realtime goes back", value);
	return 0;
}

static int set_limit(struct ctl_args *args, const char *value, struct err *err)
{
	if (parse_u64(slice_of(value), &args->limit) < 0)
		return err_set(err, -EINVAL, "--limit %s: not a whole number", value);
	return 0;
}

static int add_state(struct ctl_args *args, const char *value, struct err *err)
{
	if (args->n_states >= CTL_STATES_MAX)
		return err_set(err, -EINVAL, "--state: given too often; write a list: --state queued,held");
	args->states[args->n_states++] = value;
	return 0;
}

/* Options whose value is kept as it stands. */
static const struct {
	enum ctl_option bit;
	size_t offset;
} texts[] = {
        {OPT_SOCKET, offsetof(struct ctl_args, socket)},
        {OPT_OFFLINE, offsetof(struct ctl_args, offline)},
        {OPT_CONFIG, offsetof(struct ctl_args, config)},
        {OPT_EVENT_SOCKET, offsetof(struct ctl_args, event_socket)},
        {OPT_PROPERTY, offsetof(struct ctl_args, property)},
        {OPT_TOKEN_FILE, offsetof(struct ctl_args, token_file)},
        {OPT_QUOTA_PROJECT, offsetof(struct ctl_args, quota_project)},
        {OPT_CONNINFO, offsetof(struct ctl_args, conninfo_file)},
        {OPT_API, offsetof(struct ctl_args, api)},
        {OPT_STREAM, offsetof(struct ctl_args, stream)},
        {OPT_CLIENT, offsetof(struct ctl_args, client)},
        {OPT_NAME, offsetof(struct ctl_args, name)},
        {OPT_REASON, offsetof(struct ctl_args, reason)},
        {OPT_BY, offsetof(struct ctl_args, by)},
};

static int set_value(struct ctl_args *args, enum ctl_option bit, const char *value, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].bit == bit)
			memcpy((char *)args + texts[i].offset, &value, sizeof(value));
	if (bit == OPT_WAIT)
		return set_wait(args, value, err);
	if (bit == OPT_STATE)
		return add_state(args, value, err);
	if (bit == OPT_OLDER)
		return set_older(args, value, err);
	return bit == OPT_LIMIT ? set_limit(args, value, err) : 0;
}

static void set_flags(struct ctl_args *args)
{
	args->json = args->given & OPT_JSON;
	args->help = args->given & OPT_HELP;
	args->reverse = args->given & OPT_REVERSE;
	args->dead = args->given & OPT_DEAD;
	args->yes = args->given & OPT_YES;
	args->watch = args->given & OPT_WATCH;
	args->remote = args->given & OPT_REMOTE;
	args->relaxed = args->given & OPT_RELAXED;
	args->fleet = args->given & OPTS_FLEET;
}

/* The parser's position. */
struct walk {
	int argc, at;
	char *const *argv;
	bool only_words; /* set after "--" */
};

static int take_option(struct ctl_args *args, struct walk *w, const struct ctl_option_info *o, const char *value,
                       struct err *err)
{
	args->given |= o->bit;
	if (!o->value)
		return value ? err_set(err, -EINVAL, "--%s takes no value", o->name) : 0;
	if (!value && ++w->at >= w->argc)
		return err_set(err, -EINVAL, "--%s needs a value: --%s %s", o->name, o->name, o->value);
	value = value ? value : w->argv[w->at];
	/* Usually an unset variable in a script. If this were taken as "no such filter", drop would delete every
	 * event. */
	if (!*value)
		return err_set(err, -EINVAL, "--%s: its value is empty (a variable that is not set?)", o->name);
	return set_value(args, (enum ctl_option)o->bit, value, err);
}

static const struct ctl_option_info *find_option(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, name, n) == 0)
			return &options[i];
	return NULL;
}

static int take_long(struct ctl_args *args, struct walk *w, const char *word, struct err *err)
{
	size_t n = strcspn(word, "=");
	const struct ctl_option_info *o = find_option(word, n);

	if (!o)
		return unknown_option(args->command, word, err);
	return take_option(args, w, o, word[n] == '=' ? word + n + 1 : NULL, err);
}

static int take_letter(struct ctl_args *args, struct walk *w, const char *word, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].letter && options[i].letter == word[1])
			return take_option(args, w, &options[i], word[2] ? word + 2 : NULL, err);
	return err_set(err, -EINVAL, "there is no option -%c; --help lists them", word[1]);
}

static int take_word(struct ctl_args *args, const char *word, struct err *err)
{
	if (args->command) {
		args->words[args->n_words++] = word;
		return 0;
	}
	args->command = find_command(word);
	return args->command ? 0 : unknown_command(word, err);
}

static int take(struct ctl_args *args, struct walk *w, struct err *err)
{
	const char *word = w->argv[w->at];

	if (w->only_words || word[0] != '-' || word[1] == '\0')
		return take_word(args, word, err);
	if (strcmp(word, "--") == 0) {
		w->only_words = true;
		return 0;
	}
	return word[1] == '-' ? take_long(args, w, word + 2, err) : take_letter(args, w, word, err);
}

/* Options may precede the command, so which of them it accepts is known only at the end. */
static int check(const struct ctl_args *args, struct err *err)
{
	uint32_t wrong = args->given & ~allowed_by(args->command);

	if (!args->command)
		return args->help ? 0 : err_set(err, -EINVAL, "no command given; ga4relay-ctl --help lists them");
	for (size_t i = 0; i < ARRAY_LEN(options) && !args->help; i++)
		if (options[i].bit & wrong)
			return err_set(err, -EINVAL, "%s does not take --%s; ga4relay-ctl %s --help",
			               args->command->name, options[i].name, args->command->name);
	if (args->n_words > args->command->max_words && !args->help)
		return err_set(err, -EINVAL, "%s: unexpected \"%s\"; ga4relay-ctl %s --help", args->command->name,
		               args->words[args->command->max_words], args->command->name);
	return 0;
}

void args_clear(struct ctl_args *args)
{
	free(args->words);
	args->words = NULL;
	args->n_words = 0;
}

int args_parse(struct ctl_args *ret, int argc, char *const argv[], struct err *err)
{
	struct ctl_args args = {.socket = CTL_DEFAULT_SOCKET, .limit = CTL_LIMIT_DEFAULT};
	struct walk w = {.argc = argc, .argv = argv};
	int r = 0;

	args.words = calloc((size_t)argc + 1, sizeof(*args.words));
	if (!args.words)
		return err_set(err, -ENOMEM, "out of memory");
	for (w.at = 1; w.at < argc && r == 0; w.at++)
		r = take(&args, &w, err);
	set_flags(&args);
	if (r == 0)
		r = check(&args, err);
	if (r < 0)
		args_clear(&args);
	else
		*ret = args;
	return r;
}
