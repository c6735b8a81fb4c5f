/* probe.c - the command probe: whether a stream's endpoint can be reached from here; used by `ga4relay-ctl doctor`
 *
 * The daemon sends the probe because only the daemon has its proxy, its CA bundle and its sandbox. The probe posts an
 * empty payload without the secret to the validation endpoint, which counts nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/control_private.h"

enum { ANSWER_MAX = 4096 /* only the response's head is used */ };

struct probe_op {
	struct op op;
};

static void probe_destroy(struct op *op)
{
	free(CONTAINER_OF(op, struct probe_op, op));
}

static void on_answer(void *arg, const struct attempt *attempt, struct slice body UNUSED)
{
	struct probe_op *p = arg;
	struct json_out *j;

	if (!op_back(&p->op))
		return;
	j = session_begin_end(p->op.session, true);
	if (j) {
		json_out_kv_str(j, "transport", transport_name(attempt->transport));
		json_out_kv_i64(j, "status", attempt->status);
		json_out_kv_i64(j, "proxy_status", attempt->proxy_status);
		json_out_kv_str(j, "error", attempt->error[0] ? attempt->error : NULL);
		json_out_kv_i64(j, "ms", attempt->duration_us / US_PER_MS);
		if (attempt->date_us)
			json_out_kv_i64(j, "clock_ahead_s", (clock_wall_us() - attempt->date_us) / US_PER_S);
		session_finish_end(p->op.session, j);
	}
	op_done(&p->op);
}

static const struct conf_stream *find_stream(const struct control *c, struct slice name)
{
	const struct conf *conf = c->context->streams->conf;

	for (size_t i = 0; i < conf->n_streams; i++)
		if (slice_eq(slice_of(conf->streams[i].name), name))
			return &conf->streams[i];
	return NULL;
}

int control_probe(struct session *s, const struct request *request, struct err *err)
{
	const struct conf_stream *stream = find_stream(s->control, request_text(request, "stream"));
	struct http_request *http_request;
	struct http_client *client;
	struct probe_op *p;
	int r;

	if (!stream)
		return err_set(err, -ENOENT, "no such stream");
	r = control_http(s->control, &client, err);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	op_start(s, &p->op, NULL, probe_destroy);
	r = http_post(client, stream->validation_endpoint, SLICE_LIT("{}"), true, ANSWER_MAX, on_answer, p,
	              &http_request);
	if (r < 0) {
		op_done(&p->op);
		return err_set(err, r, "the request cannot be started: %s", strerror(-r));
	}
	p->op.job_out = true;
	return 0;
}
