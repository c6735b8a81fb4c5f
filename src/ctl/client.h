/* client.h - ctl's side of the control socket: one request line out, answer lines in, the last one
 * `{"end":true,…}` */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "base/buf.h"
#include "base/slice.h"
#include "ctl/ctl.h"
#include "query/commands.h"
#include "json/json_read.h"
#include "json/json_write.h"

enum { CLIENT_LINE_MAX = 48 << 20, CLIENT_PATIENCE_MS = 15000 };

struct client {
	int fd;             /* -1: not connected */
	struct buf in;      /* bytes read and not yet handed out */
	size_t taken, seen; /* offsets in in: end of what was handed out, end of what was searched for LF */
	struct buf request;
	int patience_ms; /* how long the daemon may say nothing; -1: for ever */
	struct json_in *json;
};

/* Connects to a Unix socket. Returns a descriptor on which connect(2) and send(2) give up after CLIENT_PATIENCE_MS,
 * with EAGAIN; or negative errno. */
int client_connect(const char *path, const char *suffix) MUST_CHECK;
/* Connects. On failure prints the reason and what to do to standard error. CTL_DONE, CTL_NO_DAEMON or CTL_REFUSED;
 * after CTL_DONE call client_close(). */
enum ctl_exit client_open(struct client *c, const struct ctl *ctl) MUST_CHECK;
/* Same as client_open(), but prints nothing. 0 or negative errno. */
int client_open_quietly(struct client *c, const char *path) MUST_CHECK;
/* After client_open_quietly() gave -EACCES: a clause on why this user may not, and what to do. Returns out. */
const char *client_explain_access(const char *path, char *out, size_t size);
void client_close(struct client *c);

/* Begins a request; the caller adds members, then passes it to client_call(), which reports memory errors. Sets
 * patience_ms: limited for commands that a daemon answers at once unless it is stalled. */
struct json_out *client_begin(struct client *c, enum query_command command);
/* Adds the members for --state, --stream and the other filter options. */
void client_add_filter(struct json_out *j, const struct ctl_args *args);
/* Adds those, and --limit, --reverse and --by. */
void client_add_selection(struct json_out *j, const struct ctl_args *args);

/* Adds the member "ids". */
void client_add_ids(struct json_out *j, const uint64_t *ids, size_t n);

/* Called for each answer line, without LF, valid during the call. Any result but CTL_DONE ends client_call() with
 * that result. */
typedef enum ctl_exit client_line_fn(void *arg, struct slice line);
/* Sends the request, passes every answer line but the last to on_line (NULL: none is expected), and sets *ret_end to
 * the last line's members, valid until the next call (ret_end may be NULL). fd is passed along if >= 0. An error
 * answer is printed to standard error and gives CTL_REFUSED, or CTL_USAGE if the request was wrong. A broken
 * connection, or silence for longer than patience_ms, gives CTL_NO_DAEMON. */
enum ctl_exit client_call(struct client *c, struct json_out *take_request, int fd, client_line_fn *on_line, void *arg,
                          const struct json_doc **ret_end) MUST_CHECK;

/* Members of an answer. If missing or null: an empty slice, false, or the given default. */
struct slice answer_text(const struct json_doc *d, const struct json_node *object, const char *name);
int64_t answer_i64(const struct json_doc *d, const struct json_node *object, const char *name, int64_t otherwise);
double answer_double(const struct json_doc *d, const struct json_node *object, const char *name, double otherwise);
bool answer_flag(const struct json_doc *d, const struct json_node *object, const char *name);
/* Prints to standard error, for each id that the answer lists under name, why nothing was done. Returns the number of
 * ids. */
uint64_t answer_complain_each(const struct json_doc *d, const char *name, const char *why);
/* The same of the ids that the outbox does not have: whether each was never given, or left it. */
uint64_t answer_complain_unknown(const struct json_doc *d);

#endif
