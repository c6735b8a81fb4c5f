/* control.h - the daemon's side of ga4relay-ctl: one row and one function a command */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/phase.h"
#include "delivery/delivery.h"
#include "event/stream_table.h"
#include "event/tap.h"
#include "intake/intake.h"
#include "metrics/counters.h"
#include "net/loop.h"
#include "outbox/writer.h"

struct control;

/* What a command may reach. All outlive the control. */
struct control_context {
	struct loop *loop;
	struct writer *writer;
	struct ingest *ingest;
	struct delivery *delivery;
	const struct streams *streams; /* control_set_streams() after a reload */
	struct counters *counters;
	struct tap *tap; /* the control fills it in while somebody follows */
	const enum phase *phase;
	int64_t started_mono_us;
	const char *set_aside;                     /* a corrupt outbox was set aside under this name; "" : none */
	int (*reload)(void *arg, struct err *err); /* as SIGHUP */
	void *arg;
};

int control_open(struct control **ret, const struct control_context *context, const char *path, const char *group,
                 struct err *err) MUST_CHECK;
/* Before writer_stop(): operations that work in slices ask the writer for nothing more. Takes NULL. */
void control_stop(struct control *c);
struct control *control_free(struct control *c);
void control_set_streams(struct control *c, const struct streams *streams);
/* Once in the tail: writes answers. */
void control_flush(struct control *c);
/* Once a second: tap's loss reports, status watchers. */
void control_tick(struct control *c);

/* Prometheus text, for `ga4relay-ctl metrics` and GET /metrics. Appends to out. */
int metrics_write(const struct control_context *context, const struct now *now, struct buf *out) MUST_CHECK;
/* NULL: intake is durable; otherwise why not. For /healthz. */
const char *health_problem(const struct control_context *context);

#endif
