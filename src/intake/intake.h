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

struct intake;

/* Everything here is borrowed and must outlive the intake. */
struct intake_context {
	struct loop *loop;
	struct writer *writer;
	struct counters *counters;
	const struct tap *tap;
	const enum phase *phase;
	/* Called after a submission was committed. The receiver takes a reference if it keeps the submission. */
	void (*on_committed)(void *arg, struct submission *sub);
	void *arg;
};

/* listener has the socket and its limits. keep_rejected: how many rejected lines to keep. *ret is freed with
 * intake_free(). 0 or negative errno. */
int intake_new(struct intake **ret, const struct intake_context *context, const struct listener_config *listener,
               const struct streams *streams, uint64_t keep_rejected, struct err *err) MUST_CHECK;
/* Call after writer_stop(), whose done() calls need the intake. Lines that never reached the writer are answered
 * SHUTTING_DOWN. Returns NULL. */
struct intake *intake_free(struct intake *in);
/* After a reload: streams must outlive the intake or the next call. */
void intake_set_streams(struct intake *in, const struct streams *streams, uint64_t keep_rejected);
/* intake_submit() runs in the tail before writer_reap(): submits all parsed lines to the writer in one list, saves
 * rejected lines off the hot path, applies back-pressure. intake_flush() runs after writer_reap() and writes the
 * replies. */
void intake_submit(struct intake *in, const struct now *now);
void intake_flush(struct intake *in);
/* Submits a line that did not come from the event socket (the HTTP door), with the same judging and commit. done() is
 * called exactly once, possibly before this returns; refusal is NULL if the event was stored. On -ENOMEM it is never
 * called. */
typedef void intake_done_fn(void *arg, const struct finding *refusal, uint64_t id, uint32_t count);
int intake_payload(struct intake *in, struct slice text, int forced_stream, const struct peer *peer,
                   intake_done_fn *done, void *arg) MUST_CHECK;
/* Judges a line without storing it (validate). The result is valid until the next line. */
int intake_judge(struct intake *in, struct slice text, struct line_result *ret) MUST_CHECK;
/* The same for a payload of that stream (the door's debug path), with its findings in ret->warnings. */
int intake_judge_payload(struct intake *in, struct slice text, int stream, struct line_result *ret) MUST_CHECK;
/* Same as intake_judge(), with validation off: shows what could be sent of a line that the rules refuse. */
int intake_judge_off(struct intake *in, struct slice text, struct line_result *ret) MUST_CHECK;
/* Call once the phase is PHASE_DRAINING: reads to its end what clients have already written to the socket. */
void intake_drain(struct intake *in);
/* Whether every line that clients wrote has been stored or refused, and answered. */
bool intake_drained(const struct intake *in);
/* Figures for status and metrics; memory is in bytes. */
struct intake_stats {
	unsigned connections;
	bool paused;
	size_t memory;
	uint64_t top_client_share[2]; /* events of the most frequent recent client_id, of how many */
};
void intake_get_stats(const struct intake *in, struct intake_stats *ret);

#endif
