/* control.h - the daemon's side of ga4relay-ctl: one table row and one function per command
 *
 * Loop thread only. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/phase.h"
#include "delivery/delivery.h"
#include "event/fleet_state.h"
#include "event/stream_table.h"
#include "event/tap.h"
#include "intake/intake.h"
#include "metrics/counters.h"
#include "net/loop.h"
#include "outbox/writer.h"

struct control;

/* What commands can access. Everything here is borrowed and must outlive the struct control. */
struct control_context {
	struct loop *loop;
	struct writer *writer;
	struct intake *intake;
	struct delivery *delivery;
	const struct streams *streams; /* replaced by control_set_streams() after a reload */
	struct counters *counters;
	struct tap *tap;
	const enum phase *phase;
	int64_t started_mono_us, started_wall_us;
	/* The last start or reload that was taken, and whether the last reload was. */
	int64_t configured_wall_us;
	bool reload_refused;
	const char *set_aside; /* name under which a corrupt outbox was set aside; "" if none */
	/* Same effect as SIGHUP; 0 or negative errno. On success err holds what the reload could not do, or "". */
	int (*reload)(void *arg, struct err *err);
	void (*fleet)(void *arg, struct fleet_state *ret);
	void *arg;
};

/* Opens control.socket and, with control.read_group, the one of the readers. conf is not kept. */
int control_open(struct control **ret, const struct control_context *context, const struct conf *conf,
                 struct err *err) MUST_CHECK;
/* Call before writer_stop(): running operations submit no more slices. Accepts NULL. */
void control_stop(struct control *c);
struct control *control_free(struct control *c);
void control_set_streams(struct control *c, const struct streams *streams);
/* Call once per turn, in the tail: writes the answers. */
void control_flush_answers(struct control *c);
/* Call once a second: reports lines that tap missed, refreshes status watchers. */
void control_tick(struct control *c);
/* True while somebody follows the tap. */
bool control_needs_tick(const struct control *c);

/* Appends what the command status prints, and a LF. 0 or negative errno. */
int control_write_status(const struct control *c, struct buf *out) MUST_CHECK;
/* Queued events in the outbox, as of the last commit. */
uint64_t control_queued(const struct control *c);

/* Appends Prometheus text to out, for `ga4relay-ctl metrics` and GET /metrics. 0 or negative errno. */
int metrics_write(const struct control_context *context, const struct now *now, struct buf *out) MUST_CHECK;
/* Returns NULL while intake is durable, otherwise the reason why not (a static text). Used by /healthz. */
const char *health_problem(const struct control_context *context);

#endif
