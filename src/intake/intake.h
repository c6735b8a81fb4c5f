/* intake.h - lines from the event socket to the outbox, and each connection's replies in order
 *
 * Invariant 1 holds here: an ok is written only in the done() of a job whose COMMIT returned. Loop thread only. */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macros.h"
#include "base/phase.h"
#include "event/stream_table.h"
#include "event/tap.h"
#include "metrics/counters.h"
#include "net/listener/listener.h"
#include "outbox/writer.h"

struct ingest;

/* All outlive the ingest. */
struct ingest_context {
	struct loop *loop;
	struct writer *writer;
	struct counters *counters;
	const struct tap *tap;
	const enum phase *phase;
	/* A submission was committed: the receiver takes a reference if it wants to keep it. */
	void (*on_committed)(void *arg, struct submission *sub);
	void *arg;
};

/* listener: the socket and its limits. */
int ingest_new(struct ingest **ret, const struct ingest_context *context, const struct listener_config *listener,
               const struct streams *streams, uint64_t keep_rejected, struct err *err) MUST_CHECK;
/* After writer_stop(), whose done() calls need it. What never reached the writer is answered SHUTTING_DOWN. */
struct ingest *ingest_free(struct ingest *in);
/* For a reload. */
void ingest_set_streams(struct ingest *in, const struct streams *streams, uint64_t keep_rejected);
/* The tail's part before writer_reap(): hands what was parsed to the writer in one list, writes the rejected lines
 * off the hot path, applies back-pressure. After writer_reap(): ingest_flush() writes the replies. */
void ingest_submit(struct ingest *in, const struct now *now);
void ingest_flush(struct ingest *in);
/* One line from elsewhere (the HTTP door): same judging, same commit. done() is called exactly once, possibly before
 * this returns; refusal is NULL if the event was stored. On -ENOMEM it is never called. */
typedef void ingest_done_fn(void *arg, const struct finding *refusal, uint64_t id, uint32_t count);
int ingest_payload(struct ingest *in, struct slice text, int forced_stream, const struct peer *peer,
                   ingest_done_fn *done, void *arg) MUST_CHECK;
/* Judges without storing (validate, the door's debug path). The result is valid until the next line. */
int ingest_judge(struct ingest *in, struct slice text, int forced_stream, struct line_result *ret) MUST_CHECK;
/* The same as with validation off: what can be sent of a line that the rules refuse. */
int ingest_judge_off(struct ingest *in, struct slice text, struct line_result *ret) MUST_CHECK;
/* The phase is PHASE_DRAINING from now on: reads what was written to the socket to its end. */
void ingest_drain(struct ingest *in);
/* Every line that clients wrote is stored or refused, and answered. */
bool ingest_drained(const struct ingest *in);
/* For status and metrics. */
struct ingest_stats {
	unsigned connections;
	bool paused;
	size_t memory;
	uint64_t top_client_share[2]; /* most frequent recent client's events, and the events looked at */
};
void ingest_get_stats(const struct ingest *in, struct ingest_stats *ret);

#endif
