/* control_private.h - what the files of control/ share: sessions, operations, requests and selections
 *
 * A session is one connection of ga4relay-ctl. It runs one operation at a time. A command that is answered at once
 * needs no operation; each other command has a struct that begins with struct op. The operation lives until its
 * outstanding job has completed, even if the session ends earlier, and its last line was written. */
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
#include "query/commands.h"
#include "query/request.h"
#include "query/selection.h"
#include "query/view.h"
#include "json/json_read.h"
#include "json/json_write.h"

enum {
	CONTROL_REQUEST_MORE = 64 << 10, /* bytes of a request besides a line to validate */
	CONTROL_VALUES_MAX = 4096,       /* JSON values per request, which may hold 1000 ids */
	CONTROL_UNREAD_MAX = 64 << 20,
	CONTROL_CONNECTIONS = 16,
	CONTROL_ANSWER_MAX = 48 << 20, /* bytes that one slice may append */
	CONTROL_HIGH = 256 << 10,      /* the next slice waits while more bytes than this are unwritten … */
	CONTROL_LOW = 64 << 10,        /* … and starts when at most this many are left */
	SLICE_EXAMINED = 400,          /* rows examined per slice: about a millisecond of the writer thread */
	SLICE_ROWS = 250,              /* rows returned per slice */
	SLICE_ROWS_WITH_BODY = 64      /* fewer with bodies, which have up to 130,000 bytes each */
};

struct session;

struct op {
	struct session *session;      /* NULL: disconnected; the operation ends when its job completes */
	bool job_out;                 /* a job is at the writer */
	void (*go_on)(struct op *op); /* starts the next slice when there is room; NULL: never waits */
	void (*destroy)(struct op *op);
};

/* control.socket, or the one of control.read_group, which takes only commands that change nothing. */
struct control_socket {
	struct control *control;
	struct listener *listener; /* NULL: not open */
	struct idmap sessions;     /* connection id to struct session */
	bool read_only;
};

struct session {
	struct control *control;
	struct control_socket *socket;
	uint64_t conn;
	int fd;        /* descriptor passed with the last request, or -1 */
	struct op *op; /* NULL: idle */
	LIST_ENTRY(session) by_tap;
	struct tap_session *tap; /* NULL: `tap` is not running */
};
LIST_HEAD(session_list, session);

struct act_op;
STAILQ_HEAD(act_list, act_op);

struct control {
	const struct control_context *context;
	struct control_socket sockets[2];
	struct json_in *json;
	size_t max_request; /* bytes */
	struct session_list taps;
	struct tap_follower tap;                           /* of all of them */
	struct buf out;                                    /* the answer being written */
	struct http_client *http;                          /* for what operators ask; created on first use */
	struct act_list acts;                              /* act operations waiting for the end of the turn */
	unsigned acts_out;                                 /* slices of act operations at the writer */
	bool stopping;                                     /* submit no more jobs */
	char names[STORE_STREAMS_MAX][STORE_NAME_MAX + 1]; /* by sid, removed streams too; "" if none */
};

/* Runs a command: answers at once or starts an operation. If it returns a negative errno, err is sent as the
 * answer. */
typedef int command_fn(struct session *s, const struct request *request, struct err *err);

/* control_rows.c. The rows that a request selects: as selection_read(), and then row by row, because only the process
 * knows whether a row is in flight. */
int control_read_selection(const struct control *c, const struct request *r, uint32_t default_states,
                           struct selection *ret, struct err *err) MUST_CHECK;
bool control_selects(const struct control *c, const struct selection *sel, const struct event_row *row);
void control_view(const struct control *c, const struct event_row *row, int64_t mono_us, struct row_view *ret);
/* 0: there is none. */
uint32_t control_find_stream(const struct control *c, struct slice name);

/* Writing to a session (control.c). control_say() returns -EPIPE after it had to close the connection. */
int control_say(struct session *s, const struct buf *text);
void session_end_ok(struct session *s);
/* Begins the last line of an answer, for members to be added; session_finish_end() sends it. NULL: out of memory, and
 * the connection was closed. */
struct json_out *session_begin_end(struct session *s, bool ok);
void session_finish_end(struct session *s, struct json_out *j);
/* Adds the members "next_id", below which an unknown id was given once, and "forwards": to a fleet's queue. */
void session_next_id(struct session *s, struct json_out *j);
void session_end_error(struct session *s, int code, const struct err *err);

/* Operations (control.c). */
void op_start(struct session *s, struct op *op, void (*go_on)(struct op *), void (*destroy)(struct op *));
/* Submits a job to the writer. False if the daemon is stopping; the operation has then ended. */
bool op_submit(struct op *op, struct job *job);
/* Call first in a job's done(). False if the session has ended; the operation was then destroyed. */
bool op_back(struct op *op);
/* Call after a slice was written: starts the next one, at once or when the connection has room. */
void op_next(struct op *op);
void op_end_ok(struct op *op);
void op_end_error(struct op *op, int code, const struct err *err);
/* Destroys the operation after its last line was written by other means. */
void op_done(struct op *op);

/* The commands: control_status, control_list, … */
#define CONTROL_COMMAND(identifier, name, changes) command_fn control_##identifier;
QUERY_COMMANDS(CONTROL_COMMAND)
#undef CONTROL_COMMAND

/* control_validate.c: whether a request that was cut off for its length begins as a request to validate a line. If
 * so, the answer is intake's verdict on a line of that length. */
bool control_is_validate(struct slice text);
int control_validate_long(struct session *s, struct slice text, struct err *err) MUST_CHECK;
/* The HTTP client for requests that operators cause (validate --remote, probe, verify); created on first use. */
int control_http(struct control *c, struct http_client **ret, struct err *err) MUST_CHECK;

/* act.c: call after delivery's part of a turn. */
void control_submit_acts(struct control *c);

/* tap.c */
void tap_session_end(struct session *s);
void tap_tick(struct control *c);

/* stream_names.c: reads the name of every stream from the outbox. */
void control_load_names(struct control *c);

#endif
