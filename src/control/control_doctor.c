/* control_doctor.c - the facts for `ga4relay-ctl doctor` and `verify` that only the running daemon knows */
#include "base/clock.h"
#include "control/control_private.h"

static void write_endpoints(struct json_out *j, const struct conf *conf)
{
	json_out_key(j, "streams");
	json_out_array(j);
	for (size_t i = 0; i < conf->n_streams; i++) {
		char shown[512];

		json_out_object(j);
		json_out_kv_str(j, "name", conf->streams[i].name);
		json_out_kv_str(j, "endpoint", conf_redact_url(conf->streams[i].endpoint, shown, sizeof(shown)));
		json_out_kv_str(j, conf->streams[i].type == STREAM_WEB ? "measurement_id" : "firebase_app_id",
		                conf->streams[i].id);
		json_out_kv_bool(j, "default", i == conf->default_stream);
		json_out_close(j);
	}
	json_out_close(j);
}

static void write_proxy(struct json_out *j, const struct conf *conf)
{
	const char *proxy = conf->delivery.proxy;
	char shown[512];

	json_out_kv_str(j, "proxy", proxy && proxy[0] ? conf_redact_url(proxy, shown, sizeof(shown)) : NULL);
}

int control_doctor(struct session *s, const struct request *request UNUSED, struct err *err UNUSED)
{
	const struct control_context *context = s->control->context;
	const char *problem = health_problem(context);
	struct writer_stats stats;
	struct intake_stats intake;
	struct json_out *j;

	writer_get_stats(context->writer, &stats);
	intake_get_stats(context->intake, &intake);
	j = session_begin_end(s, true);
	if (j) {
		json_out_kv_str(j, "problem", problem);
		json_out_kv_i64(j, "disk_free", (int64_t)stats.store.disk_free);
		json_out_kv_i64(j, "failed_commits", (int64_t)stats.failed_commits);
		json_out_kv_i64(j, "wall_micros", clock_wall_us());
		json_out_kv_i64(j, "top_client_events", (int64_t)intake.top_client_share[0]);
		json_out_kv_i64(j, "recent_events", (int64_t)intake.top_client_share[1]);
		json_out_kv_str(j, "set_aside",
		                context->set_aside && context->set_aside[0] ? context->set_aside : NULL);
		json_out_kv_i64(j, "timeout_ms", context->streams->conf->delivery.timeout_us / US_PER_MS);
		write_proxy(j, context->streams->conf);
		write_endpoints(j, context->streams->conf);
		session_finish_end(s, j);
	}
	return 0;
}
