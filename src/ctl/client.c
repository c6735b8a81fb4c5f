/* client.c - ctl's side of the control socket */
#include "ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "conf/conf.h"

enum { READ_CHUNK = 256 << 10, REQUEST_MAX = 16 << 20 };
#define STALLED "Is it stopped or stalled? systemctl status ga4relay, and its log: journalctl -u ga4relay"

int client_connect(const char *path, const char *suffix)
{
	const struct timeval patience = {.tv_sec = CLIENT_PATIENCE_MS / 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", path, suffix) >=
	    (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	r = -errno;
	fd_close(fd);
	return r;
}

int client_open_quietly(struct client *c, const char *path)
{
	int r;

	*c = (struct client){.fd = -1, .in = BUF_INIT(CLIENT_LINE_MAX), .request = BUF_INIT(REQUEST_MAX)};
	c->json = json_in_new(64);
	if (!c->json)
		return -ENOMEM;
	c->fd = client_connect(path, "");
	if (c->fd == -EACCES) { /* the socket of control.read_group */
		r = client_connect(path, CONTROL_READ_SUFFIX);
		c->fd = r >= 0 ? r : -EACCES;
	}
	if (c->fd < 0) {
		r = c->fd;
		c->fd = -1;
		client_close(c);
		return r;
	}
	return 0;
}

const char *client_explain_access(const char *path, char *out, size_t size)
{
	char readers[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool is_read = snprintf(readers, sizeof(readers), "%s" CONTROL_READ_SUFFIX, path) < (int)sizeof(readers) &&
	               access(readers, F_OK) == 0;

	return ctl_explain_access(is_read ? readers : path, ", or set control.group or control.read_group", out,
	                          size);
}

static enum ctl_exit explain(int r, const char *path)
{
	char why[400];

	switch (-r) {
	case ENOENT:
		ctl_complain("no daemon: %s is not there. Start it (systemctl start ga4relay), or name its control "
		             "socket with -s",
		             path);
		return CTL_NO_DAEMON;
	case ECONNREFUSED:
		ctl_complain(
		        "no daemon: nobody listens on %s. It stopped without tidying up; start it (systemctl start "
		        "ga4relay) and look into its log (journalctl -u ga4relay)",
		        path);
		return CTL_NO_DAEMON;
	case EACCES:
	case EPERM:
		ctl_complain("%s may not be opened by this user: %s", path,
		             client_explain_access(path, why, sizeof(why)));
		return CTL_NO_DAEMON;
	case EAGAIN:
		ctl_complain("no daemon: %s took no connection within %d s. " STALLED, path,
		             CLIENT_PATIENCE_MS / 1000);
		return CTL_NO_DAEMON;
	default:
		ctl_complain("%s: %s; name the control socket with -s", path, strerror(-r));
		return CTL_NO_DAEMON;
	}
}

enum ctl_exit client_open(struct client *c, const struct ctl *ctl)
{
	int r = client_open_quietly(c, ctl->args.socket);

	return r < 0 ? explain(r, ctl->args.socket) : CTL_DONE;
}

void client_close(struct client *c)
{
	c->fd = fd_close(c->fd);
	buf_free(&c->in);
	buf_free(&c->request);
	c->json = json_in_free(c->json);
}

/* The daemon's loop answers these by itself. The others work through the outbox, or ask an endpoint, before they say
 * anything. */
static bool is_answered_at_once(enum query_command command)
{
	static const bool at_once[QUERY_COMMAND_COUNT] = {
	        [QUERY_status] = true, [QUERY_paths] = true,   [QUERY_doctor] = true,    [QUERY_version] = true,
	        [QUERY_pause] = true,  [QUERY_resume] = true,  [QUERY_log_level] = true, [QUERY_flush] = true,
	        [QUERY_show] = true,   [QUERY_metrics] = true,
	};

	return at_once[command];
}

struct json_out *client_begin(struct client *c, enum query_command command)
{
	struct json_out *j;

	c->patience_ms = is_answered_at_once(command) ? CLIENT_PATIENCE_MS : -1;
	buf_clear(&c->request);
	j = json_out_begin(&c->request);
	if (j) {
		json_out_object(j);
		json_out_kv_str(j, "command", query_command_name(command));
	}
	return j;
}

static void add_states(struct json_out *j, const struct ctl_args *args)
{
	json_out_key(j, "states");
	json_out_array(j);
	if (args->dead)
		json_out_str(j, "dead");
	for (size_t i = 0; i < args->n_states; i++) {
		const char *p = args->states[i];

		while (*p) {
			size_t n = strcspn(p, ",");

			json_out_slice(j, (struct slice){p, n});
			p += n + (p[n] == ',');
		}
	}
	json_out_close(j);
}

void client_add_filter(struct json_out *j, const struct ctl_args *args)
{
	if (!j)
		return;
	if (args->dead || args->n_states)
		add_states(j, args);
	if (args->stream)
		json_out_kv_str(j, "stream", args->stream);
	if (args->client)
		json_out_kv_str(j, "client", args->client);
	if (args->name)
		json_out_kv_str(j, "name", args->name);
	if (args->reason)
		json_out_kv_str(j, "reason", args->reason);
	if (args->older_us > 0)
		json_out_kv_i64(j, "older_us", args->older_us);
}

void client_add_selection(struct json_out *j, const struct ctl_args *args)
{
	client_add_filter(j, args);
	if (j && args->limit > 0 && (args->command->options & OPT_LIMIT))
		json_out_kv_i64(j, "limit", (int64_t)(args->limit > INT64_MAX ? INT64_MAX : args->limit));
	if (j && args->reverse)
		json_out_kv_bool(j, "reverse", true);
	if (j && args->by)
		json_out_kv_str(j, "by", args->by);
}

void client_add_ids(struct json_out *j, const uint64_t *ids, size_t n)
{
	if (!j)
		return;
	json_out_key(j, "ids");
	json_out_array(j);
	for (size_t i = 0; i < n; i++)
		json_out_i64(j, (int64_t)ids[i]);
	json_out_close(j);
}

/* Sends the request; the descriptor fd, if any, is attached to the first byte. */
static int send_request(struct client *c, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {c->request.data, c->request.len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *control;

		message.msg_control = room;
		message.msg_controllen = sizeof(room);
		control = CMSG_FIRSTHDR(&message);
		control->cmsg_level = SOL_SOCKET;
		control->cmsg_type = SCM_RIGHTS;
		control->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(control), &fd, sizeof(int));
	}
	while (iov.iov_len > 0) {
		ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		message.msg_control = NULL;
		message.msg_controllen = 0;
	}
	return 0;
}

/* 0, -ETIME if nothing came within patience_ms, or another negative errno. */
static int await_input(const struct client *c)
{
	struct pollfd ready = {.fd = c->fd, .events = POLLIN};
	int r;

	do
		r = poll(&ready, 1, c->patience_ms);
	while (r < 0 && errno == EINTR);
	return r > 0 ? 0 : r == 0 ? -ETIME : -errno;
}

/* Reads the next line into *ret, valid until the next call. Returns 0, -EPIPE if the daemon closed the connection, or
 * another negative errno. */
static int next_line(struct client *c, struct slice *ret)
{
	for (;;) {
		char *lf = c->in.len > c->seen ? memchr(c->in.data + c->seen, '\n', c->in.len - c->seen) : NULL;
		ssize_t n;
		int r;

		if (lf) {
			*ret = (struct slice){c->in.data + c->taken, (size_t)(lf - c->in.data) - c->taken};
			c->taken = c->seen = (size_t)(lf - c->in.data) + 1;
			return 0;
		}
		buf_consume(&c->in, c->taken);
		c->taken = 0;
		c->seen = c->in.len;
		r = buf_reserve(&c->in, READ_CHUNK);
		if (r == 0)
			r = await_input(c);
		if (r < 0)
			return r;
		n = read(c->fd, c->in.data + c->in.len, READ_CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		c->in.len += (size_t)n;
	}
}

static enum ctl_exit broken(const struct client *c, int r)
{
	if (r == -ETIME || r == -EAGAIN)
		ctl_complain("the daemon did not answer within %d s. " STALLED,
		             (c->patience_ms > 0 ? c->patience_ms : CLIENT_PATIENCE_MS) / 1000);
	else if (r == -EPIPE || r == -ECONNRESET)
		ctl_complain("the daemon closed the connection before it had answered: is it stopping? See its log");
	else
		ctl_complain("the connection to the daemon broke: %s", strerror(-r));
	return CTL_NO_DAEMON;
}

static enum ctl_exit take_end(struct client *c, struct slice line, const struct json_doc **ret_end)
{
	const struct json_doc *end;
	struct slice message, code;
	struct err err;

	if (json_in_read(c->json, line, &end, &err) < 0) {
		ctl_complain("the daemon's answer makes no sense: %s", err.text);
		return CTL_REFUSED;
	}
	if (answer_flag(end, end->nodes, "ok")) {
		if (ret_end)
			*ret_end = end;
		return CTL_DONE;
	}
	message = answer_text(end, end->nodes, "message");
	code = answer_text(end, end->nodes, "code");
	ctl_complain("%.*s", SLICE_ARG(message));
	return slice_eq(code, SLICE_LIT("usage")) ? CTL_USAGE : CTL_REFUSED;
}

enum ctl_exit client_call(struct client *c, struct json_out *take_request, int fd, client_line_fn *on_line, void *arg,
                          const struct json_doc **ret_end)
{
	int r = take_request ? json_out_end(take_request) : -ENOMEM;
	enum ctl_exit code;
	struct slice line;

	if (r == 0)
		r = buf_append_char(&c->request, '\n');
	if (r < 0) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	r = send_request(c, fd);
	while (r == 0) {
		r = next_line(c, &line);
		if (r < 0)
			break;
		if (slice_starts(line, SLICE_LIT("{\"end\":")))
			return take_end(c, line, ret_end);
		if (slice_starts(line, SLICE_LIT("{\"ok\":"))) {
			ctl_complain("this is the event socket, not the control socket; name that one with -s");
			return CTL_NO_DAEMON;
		}
		code = on_line ? on_line(arg, line) : CTL_DONE;
		if (code != CTL_DONE)
			return code;
	}
	return broken(c, r);
}

/* ---- members of an answer ---- */

static const struct json_node *member(const struct json_doc *d, const struct json_node *object, const char *name,
                                      enum json_type type)
{
	const struct json_node *m = object && object->type == JSON_OBJECT ? json_member(d, object, name) : NULL;

	return m && m->type == type ? m : NULL;
}

struct slice answer_text(const struct json_doc *d, const struct json_node *object, const char *name)
{
	const struct json_node *m = member(d, object, name, JSON_STRING);

	return m ? json_value(d, m) : SLICE_LIT("");
}

bool answer_flag(const struct json_doc *d, const struct json_node *object, const char *name)
{
	const struct json_node *m = member(d, object, name, JSON_BOOL);

	return m && m->truth;
}

double answer_double(const struct json_doc *d, const struct json_node *object, const char *name, double otherwise)
{
	const struct json_node *m = member(d, object, name, JSON_NUMBER);
	double v;

	return m && parse_json_double(json_value(d, m), &v) == 0 ? v : otherwise;
}

int64_t answer_i64(const struct json_doc *d, const struct json_node *object, const char *name, int64_t otherwise)
{
	const struct json_node *m = member(d, object, name, JSON_NUMBER);
	struct slice text = m ? json_value(d, m) : SLICE_LIT("");
	bool negative = text.n && text.p[0] == '-';
	uint64_t v;

	if (negative)
		text = (struct slice){text.p + 1, text.n - 1};
	if (!m || parse_u64(text, &v) < 0 || v > INT64_MAX)
		return otherwise;
	return negative ? -(int64_t)v : (int64_t)v;
}

uint64_t answer_complain_each(const struct json_doc *d, const char *name, const char *why)
{
	const struct json_node *list = member(d, d->nodes, name, JSON_ARRAY);

	if (!list)
		return 0;
	for (const struct json_node *m = json_first(d, list); m; m = json_next(d, list, m))
		ctl_complain("event %.*s: %s", SLICE_ARG(json_value(d, m)), why);
	return list->count;
}

uint64_t answer_complain_unknown(const struct json_doc *d)
{
	const struct json_node *list = member(d, d->nodes, "unknown", JSON_ARRAY);
	int64_t next_id = answer_i64(d, d->nodes, "next_id", 0);
	const char *left =
	        answer_flag(d, d->nodes, "forwards")
	                ? "left the outbox: forwarded to the fleet's queue (ga4relay-ctl --fleet list), or "
	                  "dropped by an operator"
	                : "left the outbox: delivered, or dropped by an operator";

	if (!list)
		return 0;
	for (const struct json_node *m = json_first(d, list); m; m = json_next(d, list, m)) {
		struct slice text = json_value(d, m);
		uint64_t id;
		bool was_given = parse_u64(text, &id) == 0 && id > 0 && id < (uint64_t)next_id;

		ctl_complain("event %.*s: %s", SLICE_ARG(text), was_given ? left : "unknown id");
	}
	return list->count;
}
