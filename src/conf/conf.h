/* conf.h - the configuration: an immutable struct, filled in from one option table
 *
 * Immutable after loading, so any thread may read it. Durations are in microseconds, sizes in bytes. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/log.h"
#include "base/macros.h"
#include "ga4/stream_rules.h"

enum conf_ambiguous { AMBIGUOUS_RETRY, AMBIGUOUS_PARK };

enum conf_fleet_role { FLEET_NO_ROLE, FLEET_EDGE, FLEET_HUB };
enum conf_fleet_confirm { CONFIRM_LOCAL, CONFIRM_REPLICATED };

struct conf_stream {
	char *name;
	enum stream_type type;
	char *id;                  /* measurement_id or firebase_app_id */
	char *secret_file;         /* file that the secret was read from; NULL if not from api_secret_file */
	char *secret_credential;   /* systemd's name of the secret; NULL if not from api_secret_credential */
	char *secret;              /* read at load; the only copy besides libcurl's URL; wiped by conf_free() */
	char *endpoint;            /* never NULL: the stream's own or delivery.endpoint */
	char *validation_endpoint; /* never NULL */
	enum validation_mode validation;
	enum conf_ambiguous ambiguous;
	bool paused; /* the file's value; ga4relay-ctl overrides it */
};

/* Behind control.socket: the socket of control.read_group. */
#define CONTROL_READ_SUFFIX ".read"

struct conf {
	char *path; /* file it was read from; NULL: built in (sandbox) */
	struct conf_stream *streams;
	size_t n_streams;
	size_t default_stream; /* index into streams */
	size_t n_unseen;       /* secrets that conf_load_check() could not look at; they are NULL */

	struct {
		char *socket, *group;
		mode_t mode;
		unsigned max_connections;
		size_t max_line, max_unread_replies, max_memory; /* bytes */
		int64_t reply_patience_us, idle_timeout_us;
	} listen;
	struct {
		char *socket, *group, *read_group;
	} control;
	struct {
		char *path;
		bool sync_full;
		uint64_t max_events, max_bytes, min_free_disk, ballast;
		int64_t gather_us, dedup_window_us, keep_delivered_us, keep_dead_us;
		uint64_t keep_rejected;
		unsigned remember_delivered;
	} outbox;
	enum validation_mode validation;
	bool limits_360;
	struct {
		char *endpoint, *validation_endpoint;
		int64_t linger_us;
		unsigned max_batch, max_requests;
		bool http2;
		int64_t connect_timeout_us, timeout_us, retry_min_us, retry_max_us, max_age_us;
		enum conf_ambiguous ambiguous;
		int64_t refuse_after_us;
		int64_t drain_timeout_us;
		char *proxy, *ca_file;
		bool allow_plaintext;
	} delivery;
	struct {
		char *listen, *metrics;
		char **hosts; /* NULL-terminated */
		bool page;
	} http;
	struct {
		enum conf_fleet_role role;
		char *conninfo_file, *conninfo_credential;
		char *conninfo; /* what they hold, secret; wiped by conf_free(). NULL: no role, or not seen (n_unseen)
		                 */
		enum conf_fleet_confirm confirm;
		bool require_sync;
		unsigned batch, requests;
		int64_t lease_us, keep_keys_us;
	} fleet;
	struct {
		enum log_level level;
		enum log_format format;
	} log;
};

/* Reads and checks the file, fills in defaults and secrets. On success *ret is owned by the caller (conf_free()). On
 * failure returns -EINVAL, -ENOENT, -EACCES or another negative errno, with file, line and the nearest known name in
 * err, and leaves *ret untouched. Warnings, such as for an address that is not loopback, are logged. */
int conf_load(struct conf **ret, const char *path, struct err *err) MUST_CHECK;
/* Same as conf_load(), from text; messages use name in place of the path. */
int conf_parse(struct conf **ret, const char *text, const char *name, struct err *err) MUST_CHECK;
/* Same as conf_load(), for a program that checks a file of another process: a credential without
 * $CREDENTIALS_DIRECTORY is warned of and counted in n_unseen instead of refused. */
int conf_load_check(struct conf **ret, const char *path, struct err *err) MUST_CHECK;
/* Same as conf_load(), but without looking at streams: of a file that conf_load() refused. The result has none. */
int conf_load_without_streams(struct conf **ret, const char *path, struct err *err) MUST_CHECK;
struct conf *conf_free(struct conf *conf);

/* Reads conf->path again as the service's user, because root can read what the service cannot. The user is the owner
 * of the outbox's directory or, before that exists, "ga4relay". Returns 0 if all is well or nothing could be found
 * out (no root, no such user, no right to become that user), or a negative errno with a sentence in err. Forks. */
int conf_check_as_service(const struct conf *conf, struct err *err) MUST_CHECK;

/* Returns NULL, or what in the stream is still the sample's or a placeholder; static text. */
const char *conf_placeholder(const struct conf_stream *stream);

/* Copies options that need a restart from `now` to `next`, and calls warn() with the name of each that differs. */
int conf_keep_fixed(const struct conf *now, struct conf *next, void (*warn)(void *arg, const char *option),
                    void *arg) MUST_CHECK;

/* The option tables, for tests and documentation: dotted names, in the order of ga4relay.conf(5). */
struct option_word;
struct conf_option_info {
	const char *name, *type, *range, *def, *help;
	bool reloadable;
	/* How the value is read; private to conf/ (options.h). min and max are in the option's own notation. */
	struct {
		int type;            /* enum option_type */
		size_t offset, size; /* of the member in struct conf or struct conf_stream */
		const char *min, *max;
		const struct option_word *words;
		bool may_be_empty;
	} how;
};
const struct conf_option_info *conf_options(size_t *ret_n);
/* The members of a stream's group. */
const struct conf_option_info *conf_stream_options(size_t *ret_n);

/* Returns endpoint?measurement_id=…, with &api_secret=… if with_secret. malloc'd; the caller frees it, and wipes it
 * first if it holds the secret. NULL if out of memory. */
char *conf_endpoint_url(const char *endpoint, const struct conf_stream *stream, bool with_secret) MUST_CHECK;
/* Returns NULL, or why url is not the base of an API to which a token may be sent: https, or http on loopback,
 * without user, query and fragment; static text. */
const char *conf_api_url_problem(const char *url) MUST_CHECK;
/* Copies url to out without what precedes an '@' (user and password), for messages. Returns out. */
const char *conf_redact_url(const char *url, char *out, size_t size);

#endif
