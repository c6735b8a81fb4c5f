/* control.c - the control socket: requests, the command table, operations that answer in slices */
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "control/control_private.h"

/* Each command is one row here and one function in the file of its topic. */
#define COMMAND(identifier, name, changes) {name, control_##identifier, changes},
static const struct command {
	const char *name;
	command_fn *run;
	bool changes;
} commands[] = {QUERY_COMMANDS(COMMAND)};
#undef COMMAND

static const struct command *find_command(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (slice_eq(slice_of(commands[i].name), name))
			return &commands[i];
	return NULL;
}

/* ---- writing answers ---- */

int control_say(struct session *s, const struct buf *text)
{
	if (listener_reply(s->socket->listener, s->conn, buf_slice(text)))
		return 0;
	/* Out of memory, or the client reads far too slowly: close the connection, so that it does not wait for an
	 * answer that never comes. */
	listener_close_conn(s->socket->listener, s->conn);
	return -EPIPE;
}

struct json_out *session_begin_end(struct session *s, bool ok)
{
	struct json_out *j;

	buf_clear(&s->control->out);
	j = json_out_begin(&s->control->out);
	if (!j) {
		listener_close_conn(s->socket->listener, s->conn);
		return NULL;
	}
	json_out_object(j);
	json_out_kv_bool(j, "end", true);
	json_out_kv_bool(j, "ok", ok);
	return j;
}

void session_finish_end(struct session *s, struct json_out *j)
{
	struct buf *out = &s->control->out;

	if (!j)
		return;
	/* Without its last line, an answer would leave ctl waiting; a closed connection is reported. */
	if (json_out_end(j) < 0 || buf_append_char(out, '\n') < 0 || control_say(s, out) < 0)
		listener_close_conn(s->socket->listener, s->conn);
}

void session_next_id(struct session *s, struct json_out *j)
{
	const struct control_context *context = s->control->context;
	struct writer_stats stats;
	struct fleet_state fleet;

	writer_get_stats(context->writer, &stats);
	context->fleet(context->arg, &fleet);
	json_out_kv_i64(j, "next_id", (int64_t)stats.store.next_id);
	json_out_kv_bool(j, "forwards", fleet.role && strcmp(fleet.role, "edge") == 0);
}

void session_end_ok(struct session *s)
{
	session_finish_end(s, session_begin_end(s, true));
}

void session_end_error(struct session *s, int code, const struct err *err)
{
	struct json_out *j = session_begin_end(s, false);

	if (!j)
		return;
	json_out_kv_str(j, "code", code == -ENOENT ? "unknown" : code == -EINVAL ? "usage" : "failed");
	json_out_kv_str(j, "message", err->text);
	session_finish_end(s, j);
}

/* ---- operations ---- */

void op_start(struct session *s, struct op *op, void (*go_on)(struct op *), void (*destroy)(struct op *))
{
	op->session = s;
	op->job_out = false;
	op->go_on = go_on;
	op->destroy = destroy;
	s->op = op;
}

void op_done(struct op *op)
{
	if (op->session)
		op->session->op = NULL;
	op->destroy(op);
}

void op_end_ok(struct op *op)
{
	session_end_ok(op->session);
	op_done(op);
}

void op_end_error(struct op *op, int code, const struct err *err)
{
	session_end_error(op->session, code, err);
	op_done(op);
}

bool op_submit(struct op *op, struct job *job)
{
	struct control *c = op->session->control;
	struct job_list list = STAILQ_HEAD_INITIALIZER(list);
	struct err err;

	if (c->stopping) {
		err_set(&err, -ESHUTDOWN, "the daemon is stopping");
		op_end_error(op, -ESHUTDOWN, &err);
		return false;
	}
	STAILQ_INSERT_TAIL(&list, job, link);
	op->job_out = true;
	writer_submit(c->context->writer, &list);
	return true;
}

bool op_back(struct op *op)
{
	op->job_out = false;
	if (op->session)
		return true;
	op->destroy(op);
	return false;
}

static void on_room(void *arg, uint64_t conn)
{
	struct control_socket *socket = arg;
	struct session *s = idmap_get(&socket->sessions, conn);

	if (s && s->op && !s->op->job_out && s->op->go_on)
		s->op->go_on(s->op);
}

void op_next(struct op *op)
{
	struct session *s = op->session;

	if (listener_unwritten(s->socket->listener, s->conn) > CONTROL_HIGH)
		listener_when_drained(s->socket->listener, s->conn, CONTROL_LOW, on_room, s->socket);
	else
		op->go_on(op);
}

/* ---- sessions ---- */

static struct session *session_of(struct control_socket *socket, uint64_t conn)
{
	struct session *s = idmap_get(&socket->sessions, conn);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->control = socket->control;
	s->socket = socket;
	s->conn = conn;
	s->fd = -1;
	if (idmap_put(&socket->sessions, conn, s) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

static void session_free(struct session *s)
{
	struct op *op = s->op;

	tap_session_end(s);
	fd_close(s->fd);
	if (op) {
		op->session = NULL;
		if (!op->job_out)
			op->destroy(op);
	}
	free(s);
}

static void on_close(void *arg, uint64_t conn)
{
	struct control_socket *socket = arg;
	struct session *s = idmap_remove(&socket->sessions, conn);

	if (s)
		session_free(s);
}

static void on_fd(void *arg, uint64_t conn, int fd)
{
	struct session *s = session_of(arg, conn);

	if (!s) {
		fd_close(fd);
		return;
	}
	fd_close(s->fd);
	s->fd = fd;
}

static int run_command(struct session *s, enum line_kind kind, struct slice text, struct err *err)
{
	struct request request;
	const struct command *command;
	struct slice name;

	if (s->op || s->tap)
		return err_set(err, -EBUSY, "the request before this one is still being answered");
	if (kind == LINE_LONG && text.n > s->control->max_request && control_is_validate(text))
		return control_validate_long(s, text, err);
	if (kind != LINE_OK)
		return err_set(err, -EINVAL, "the request is longer than %zu bytes, or was cut off",
		               s->control->max_request);
	if (json_in_read(s->control->json, text, &request.doc, err) < 0)
		return err_prefix(err, -EINVAL, "request");
	name = request_text(&request, "command");
	command = find_command(name);
	if (!command)
		return err_set(err, -EINVAL,
		               "this daemon (%s) knows no command \"%.*s\"; is ga4relay-ctl of the same version?",
		               GA4RELAY_VERSION, name.n > 40 ? 40 : (int)name.n, name.p ? name.p : "");
	if (command->changes && s->socket->read_only)
		return err_set(err, -EPERM,
		               "%s changes something: it is for root, the service's user and control.group, not for "
		               "control.read_group",
		               command->name);
	return command->run(s, &request, err);
}

static void on_line(void *arg, uint64_t conn, enum line_kind kind, struct slice text, const struct peer *peer UNUSED)
{
	struct control_socket *socket = arg;
	struct session *s = session_of(socket, conn);
	struct err err;
	int r;

	if (!s) {
		listener_close_conn(socket->listener, conn);
		return;
	}
	r = run_command(s, kind, text, &err);
	if (r < 0)
		session_end_error(s, r, &err);
}

/* ---- the control socket as a whole ---- */

static int open_socket(struct control_socket *socket, struct control *c, const char *path, const char *group,
                       struct err *err)
{
	const struct listener_ops ops = {.on_line = on_line, .on_close = on_close, .on_fd = on_fd, .arg = socket};
	const struct listener_config config = {
	        .path = path,
	        .mode = group[0] ? 0660 : 0600,
	        .group = group,
	        .inherited_fd = -1,
	        .max_connections = CONTROL_CONNECTIONS,
	        .max_line = c->max_request,
	        .max_unread = CONTROL_UNREAD_MAX,
	        .max_memory = CONTROL_UNREAD_MAX,
	        .idle_timeout_us = 5 * US_PER_MIN,
	        .reply_patience_us = US_PER_S,
	};

	return listener_open(&socket->listener, c->context->loop, &config, &ops, err);
}

/* A file has one group, so the readers' group has a socket of its own. */
static int open_sockets(struct control *c, const struct conf *conf, struct err *err)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int r = open_socket(&c->sockets[0], c, conf->control.socket, conf->control.group, err);

	if (r < 0 || conf->control.read_group[0] == '\0')
		return r;
	snprintf(path, sizeof(path), "%s" CONTROL_READ_SUFFIX, conf->control.socket);
	c->sockets[1].read_only = true;
	return open_socket(&c->sockets[1], c, path, conf->control.read_group, err);
}

int control_open(struct control **ret, const struct control_context *context, const struct conf *conf,
                 struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(err, -ENOMEM, "control socket: out of memory");
	c->context = context;
	LIST_INIT(&c->taps);
	STAILQ_INIT(&c->acts);
	for (size_t i = 0; i < ARRAY_LEN(c->sockets); i++) {
		c->sockets[i].control = c;
		idmap_init(&c->sockets[i].sessions);
	}
	buf_init(&c->out, CONTROL_ANSWER_MAX);
	/* twice max_line, because each byte of a line may be escaped */
	c->max_request = 2 * conf->listen.max_line + CONTROL_REQUEST_MORE;
	c->json = json_in_new(32);
	if (c->json)
		json_in_limit(c->json, CONTROL_VALUES_MAX);
	r = c->json ? open_sockets(c, conf, err) : err_set(err, -ENOMEM, "control socket: out of memory");
	if (r < 0) {
		control_free(c);
		return r;
	}
	control_load_names(c);
	*ret = c;
	return 0;
}

void control_stop(struct control *c)
{
	if (c)
		c->stopping = true;
}

static void close_listeners(struct control *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->sockets); i++)
		if (c->sockets[i].listener)
			c->sockets[i].listener = listener_free(c->sockets[i].listener);
}

static void free_sessions(struct control_socket *socket)
{
	struct session *s;
	size_t at = 0;

	while ((s = idmap_next(&socket->sessions, &at, NULL))) {
		if (s->op)
			s->op->job_out = false;
		session_free(s);
	}
	idmap_free(&socket->sessions);
}

struct control *control_free(struct control *c)
{
	if (!c)
		return NULL;
	c->stopping = true;
	close_listeners(c);
	/* No job or request completes after this: the writer was stopped, and freeing the HTTP client cancels its
	 * requests. */
	c->http = http_client_free(c->http);
	for (size_t i = 0; i < ARRAY_LEN(c->sockets); i++)
		free_sessions(&c->sockets[i]);
	c->json = json_in_free(c->json);
	buf_free(&c->out);
	free(c);
	return NULL;
}

void control_set_streams(struct control *c, const struct streams *streams UNUSED)
{
	/* The context holds the streams themselves; the control keeps only the outbox's stream names by sid. */
	control_load_names(c);
	/* The client was created with the old options; it is created again when needed. */
	if (c->http && http_client_in_flight(c->http) == 0)
		c->http = http_client_free(c->http);
}

void control_flush_answers(struct control *c)
{
	if (c->http)
		http_client_reap(c->http);
	control_submit_acts(c);
	for (size_t i = 0; i < ARRAY_LEN(c->sockets); i++)
		if (c->sockets[i].listener)
			listener_flush(c->sockets[i].listener);
	/* Give back a large buffer between two slices. */
	if (c->out.cap > (1u << 20)) {
		buf_clear(&c->out);
		buf_trim(&c->out, 0);
	}
}

void control_tick(struct control *c)
{
	tap_tick(c);
}

bool control_needs_tick(const struct control *c)
{
	return !LIST_EMPTY(&c->taps);
}
