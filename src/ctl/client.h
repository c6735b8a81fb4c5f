/* client.h - the control socket from ctl's side: a request line out, lines back, the last of them `{"end":true,…}` */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "base/buf.h"
#include "base/slice.h"
#include "ctl/ctl.h"
#include "json/json_read.h"
#include "json/json_write.h"

enum { CLIENT_LINE_MAX = 48 << 20 };

struct client {
	int fd;             /* -1: not connected */
	struct buf in;      /* read and not yet taken */
	size_t taken, seen; /* bytes of in: handed out; looked through for a LF */
	struct buf request;
	struct json_in *json;
};

/* Connects; says on standard error why not and what to do. CTL_DONE, CTL_NO_DAEMON, CTL_REFUSED. */
enum ctl_exit client_open(struct client *c, const struct ctl *ctl) MUST_CHECK;
/* The same without a word. 0 or negative errno. */
int client_open_quietly(struct client *c, const char *path) MUST_CHECK;
void client_close(struct client *c);

/* A request is begun, given members, and sent by client_call(). Memory errors show there. */
struct json_out *client_begin(struct client *c, const char *command);
/* The members for --state, --stream, … */
void client_add_filter(struct json_out *j, const struct ctl_args *args);

/* The member "ids". */
void client_add_ids(struct json_out *j, const uint64_t *ids, size_t n);

/* One line of an answer, without LF. Not CTL_DONE ends the call with it. */
typedef enum ctl_exit client_line_fn(void *arg, struct slice line);
/* Sends, hands every line but the last to on_line (NULL: none is expected), and gives the last line's members.
 * *ret_end (may be NULL) is valid until the next call. fd >= 0 goes along. What the daemon refuses is said on
 * standard error: CTL_REFUSED, or CTL_USAGE when the request was wrong; a broken connection is CTL_NO_DAEMON. */
enum ctl_exit client_call(struct client *c, struct json_out *take_request, int fd, client_line_fn *on_line, void *arg,
                          const struct json_doc **ret_end) MUST_CHECK;

/* Members of an answer. Missing or null: empty, or the given default. */
struct slice answer_text(const struct json_doc *d, const struct json_node *object, const char *name);
int64_t answer_i64(const struct json_doc *d, const struct json_node *object, const char *name, int64_t otherwise);
double answer_double(const struct json_doc *d, const struct json_node *object, const char *name, double otherwise);
bool answer_flag(const struct json_doc *d, const struct json_node *object, const char *name);
/* Says on standard error why each of the ids that an answer lists under name was not done; how many they are. */
uint64_t answer_complain_each(const struct json_doc *d, const char *name, const char *why);

#endif
