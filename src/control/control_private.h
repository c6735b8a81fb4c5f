/* control_private.h - what the files of the control socket share: sessions, operations and what they ask with
 *
 * A session is a connection of ga4relay-ctl. It runs one operation at a time: a request that is answered at once has
 * none, the others live in a struct that begins with struct op, until the job they wait for came back (also when the
 * session went away meanwhile) and their last line was written. */
#ifndef CONTROL_CONTROL_PRIVATE_H
#define CONTROL_CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/collections/idmap.h"
#include "control/control.h"
#include "event/row_json.h"
#include "net/http_client/http_client.h"
#include "net/listener/listener.h"
#include "outbox/jobs/jobs.h"
#include "json/json_read.h"
#include "json/json_write.h"

enum {
	CONTROL_REQUEST_MORE = 64 << 10, /* bytes of a request beside a line to validate, the largest member */
	CONTROL_VALUES_MAX = 4096,       /* in a request; of ids there are 1000 at most */
	CONTROL_UNREAD_MAX = 64 << 20,
	CONTROL_CONNECTIONS = 16,
	CONTROL_ANSWER_MAX = 48 << 20, /* what one slice may append */
	CONTROL_HIGH = 256 << 10,      /* bytes unwritten above which the next slice waits … */
	CONTROL_LOW = 64 << 10,        /* … until so few are left */
	CONTROL_IDS_MAX = 1000,        /* a request */
	SLICE_EXAMINED = 400,          /* rows a slice looks at: about a millisecond of the writer's thread */
	SLICE_ROWS = 250,              /* rows a slice brings */
	SLICE_ROWS_WITH_BODY = 64      /* bodies are 130,000 bytes at most */
};

struct session;

struct op {
	struct session *session;      /* NULL: it went away; the operation ends when its job is back */
	bool job_out;                 /* a job is with the writer */
	void (*go_on)(struct op *op); /* the next slice: room for it again; NULL: never waits */
	void (*destroy)(struct op *op);
};

struct session {
	struct control *control;
	uint64_t conn;
	int fd;        /* came with the last request, or -1 */
	struct op *op; /* NULL: idle */
	LIST_ENTRY(session) by_tap;
	struct tap_session *tap; /* NULL: follows nothing */
};
LIST_HEAD(session_list, session);

struct act_op;
STAILQ_HEAD(act_list, act_op);

struct control {
	const struct control_context *context;
	struct listener *listener;
	struct json_in *json;
	size_t max_request;    /* bytes */
	struct idmap sessions; /* connection id to struct session */
	struct session_list taps;
	struct buf out;                                    /* what is being said */
	struct http_client *http;                          /* for validate --remote; made when first asked for */
	struct act_list acts;                              /* operators' changes that wait for the end of the turn */
	unsigned acts_out;                                 /* … and those that are at the writer */
	bool stopping;                                     /* no more jobs */
	char names[STORE_STREAMS_MAX][STORE_NAME_MAX + 1]; /* of streams by sid, removed ones too; "" : none */
};

/* What a request says; ends with the call. */
struct request {
	const struct json_doc *doc;
};

/* A command: answers at once, or starts an operation. Negative: err goes back as the answer. */
typedef int command_fn(struct session *s, const struct request *request, struct err *err);

/* The members of a request (request.c). A member that is missing is NULL, empty, 0 or false. */
struct slice request_text(const struct request *r, const char *name);
bool request_flag(const struct request *r, const char *name);
int request_u64(const struct request *r, const char *name, uint64_t *ret, struct err *err) MUST_CHECK;
/* malloc'd into *ret; *ret_n 0 and NULL without any. */
int request_ids(const struct request *r, uint64_t **ret, size_t *ret_n, struct err *err) MUST_CHECK;

/* Which rows (request.c). */
struct selection {
	struct event_filter filter;
	bool queued, inflight; /* of the rows that are queued on disk */
	bool by_filter;        /* something but ids was asked for */
	char *client, *name;
};
int selection_read(struct control *c, const struct request *r, uint32_t default_states, struct selection *ret,
                   struct err *err) MUST_CHECK;
void selection_clear(struct selection *sel);
/* Of a row that matched the filter on disk: does it match what is known here? */
bool selection_takes(const struct control *c, const struct selection *sel, const struct event_row *row);
uint32_t control_find_stream(const struct control *c, struct slice name);

/* A row with what only the process knows (request.c). */
void control_view(const struct control *c, const struct event_row *row, int64_t mono_us, struct row_view *ret);

/* Writing to a session (control.c). */
int control_say(struct session *s, const struct buf *text);
void session_end_ok(struct session *s);
/* The last line with members; finished by session_end_json(). NULL: no memory, the session was closed. */
struct json_out *session_begin_end(struct session *s, bool ok);
void session_finish_end(struct session *s, struct json_out *j);
void session_end_error(struct session *s, int code, const struct err *err);

/* Operations (control.c). */
void op_start(struct session *s, struct op *op, void (*go_on)(struct op *), void (*destroy)(struct op *));
/* Hands a job in; false when the daemon stops: the operation was ended. */
bool op_submit(struct op *op, struct job *job);
/* First thing in a job's done(): false when nobody is there any more and the operation was destroyed. */
bool op_back(struct op *op);
/* After a slice was said: go on now or when there is room. */
void op_next(struct op *op);
void op_end_ok(struct op *op);
void op_end_error(struct op *op, int code, const struct err *err);
/* Destroys after the last line was written by other means. */
void op_done(struct op *op);

/* The commands. */
command_fn control_list, control_show, control_export;
command_fn control_count;
command_fn control_retry, control_hold, control_release, control_drop;
command_fn control_pause, control_resume, control_flush_waiting;
command_fn control_status, control_metrics, control_version, control_paths;
command_fn control_reload, control_log_level, control_doctor;
command_fn control_tap, control_backup, control_check, control_validate, control_probe;

/* validate.c: does a request that was cut off, since it is too long, begin as one to validate a line? Then the answer
 * is what intake says of a line of that length. */
bool control_is_validate(struct slice text);
int control_validate_long(struct session *s, struct slice text, struct err *err) MUST_CHECK;
/* The client for what operators ask of the endpoints; made when first needed. */
int control_http(struct control *c, struct http_client **ret, struct err *err) MUST_CHECK;

/* act.c: after delivery's part of a turn. */
void control_submit_acts(struct control *c);

/* tap.c */
void tap_session_end(struct session *s);
void tap_tick(struct control *c);

/* stream_names.c: asks the outbox for the name of every stream. */
void control_load_names(struct control *c);

#endif
