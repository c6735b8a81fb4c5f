/* conf.h - the configuration: one table in, one immutable struct out */
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

struct conf_stream {
	char *name;
	enum stream_type type;
	char *id;                  /* measurement_id or firebase_app_id */
	char *secret_file;         /* where it was read; NULL: elsewhere than api_secret_file */
	char *secret;              /* read at load; the only copy besides curl's URL; wiped by conf_free */
	char *endpoint;            /* never NULL: the stream's or delivery.endpoint */
	char *validation_endpoint; /* never NULL */
	enum validation_mode validation;
	enum conf_ambiguous ambiguous;
	bool paused; /* the file's word; ctl's overrides it */
};

struct conf {
	char *path; /* the file it was read from; NULL: built in (sandbox) */
	struct conf_stream *streams;
	size_t n_streams;
	size_t default_stream; /* index */

	struct {
		char *socket, *group;
		mode_t mode;
		unsigned max_connections;
		size_t max_line, max_unread_replies, max_memory; /* bytes */
		int64_t idle_timeout_us;
	} listen;
	struct {
		char *socket, *group;
	} control;
	struct {
		char *path;
		bool sync_full;
		uint64_t max_events, max_bytes, min_free_disk, ballast;
		int64_t dedup_window_us, keep_delivered_us, keep_dead_us;
		uint64_t keep_rejected;
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
		int64_t drain_timeout_us;
		char *proxy, *ca_file;
		bool allow_plaintext;
	} delivery;
	struct {
		char *listen;
		char **hosts; /* NULL-terminated */
	} http;
	struct {
		enum log_level level;
	} log;
};

/* Reads, checks and fills everything in, secrets included. 0; -EINVAL, -ENOENT, -EACCES, … with err saying
 * file, line and the nearest known name. *ret untouched on failure. Warnings (an address that is not loopback…)
 * are logged. */
int conf_load(struct conf **ret, const char *path, struct err *err) MUST_CHECK;
/* The same from text: name stands for the path in messages. */
int conf_parse(struct conf **ret, const char *text, const char *name, struct err *err) MUST_CHECK;
struct conf *conf_free(struct conf *conf);

/* What of `next` cannot be applied without a restart is copied back from `now` into `next`; each such option that
 * differs is named through warn(). */
int conf_keep_fixed(const struct conf *now, struct conf *next, void (*warn)(void *arg, const char *option),
                    void *arg) MUST_CHECK;

/* The option tables, for tests and documentation. Dotted names in the specification's order. */
struct option_word;
struct conf_option_info {
	const char *name, *type, *range, *def, *help;
	bool reloadable;
	/* How it is read: private to conf/ (options.h). min and max stand in the option's own notation. */
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

/* endpoint?measurement_id=…, and &api_secret=… with_secret: then the caller wipes it. malloc'd; NULL: no memory. */
char *conf_endpoint_url(const char *endpoint, const struct conf_stream *stream, bool with_secret) MUST_CHECK;
/* url as it may be shown: what stands before an '@' is left out. Returns out. */
const char *conf_redact_url(const char *url, char *out, size_t size);

#endif
