/* expiry.h - events that grow too old become dead letters, and no wrong or stepped clock makes them so
 *
 * An event's age is its age at acceptance plus the boot-time clock since. All comparing is done in one time line: the
 * boot-time clock plus the offset to the wall clock that is trusted for what was in the outbox at start. An event
 * that came in while the clock was off by more has its own offset, remembered by its first id. */
#ifndef DAEMON_DELIVERY_EXPIRY_H
#define DAEMON_DELIVERY_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "daemon/delivery/dispatch.h"
#include "daemon/delivery/scheduler.h"
#include "model/clock_skew.h"
#include "store/writer.h"

enum expiry_mode {
	EXPIRY_ASKING,    /* after start: how much would expire? Nothing does yet */
	EXPIRY_SUSPENDED, /* a tenth or more would: nothing does for ten minutes */
	EXPIRY_RUNNING
};

struct expiry {
	struct writer *writer;
	struct scheduler *scheduler;
	struct dispatch *dispatch;
	int64_t max_age_us;
	struct clock_skew skew;
	enum expiry_mode mode;
	int64_t first_us;           /* no queued event is older than that, in the common line; INT64_MIN: unknown */
	int64_t suspended_until_us; /* monotonic */
	/* the search through the outbox, in slices */
	bool scanning, slice_out, again; /* again: first_us became unknown during a scan */
	uint64_t from, scan_expired, scan_seen;
	int64_t scan_oldest_us, noted_oldest_us; /* of what stays; of what came in meanwhile */
	int64_t next_slice_us;                   /* monotonic: also when the next scan may start */
	int64_t next_check_us;                   /* of the two-thirds warning */
	bool warned;
	uint64_t unreported;    /* expired since the last line about it */
	int64_t next_report_us; /* at most one a minute */
};

void expiry_init(struct expiry *e, struct writer *writer, struct scheduler *scheduler, struct dispatch *dispatch,
                 int64_t max_age_us, const struct now *now);
void expiry_set_max_age(struct expiry *e, int64_t max_age_us);
/* Committed just now. */
void expiry_accept(struct expiry *e, const struct submission *sub, const struct now *now);
/* Something old may have become queued: look again. */
void expiry_unknown(struct expiry *e);

enum expiry_word { EXPIRY_NO, EXPIRY_YES, EXPIRY_WAIT /* looks too old, but the clock is not trusted yet */ };
/* Asked when an event is about to be sent. */
enum expiry_word expiry_decide(const struct expiry *e, const struct due *d, const struct now *now);
/* Until when an event that must wait does; monotonic. */
int64_t expiry_wait_until_us(const struct expiry *e, const struct now *now);

/* Once a turn: a slice of the search when one is due, the warning. */
void expiry_pump(struct expiry *e, const struct now *now);
int64_t expiry_next_us(const struct expiry *e, const struct now *now);

/* Event time (in the common line) of the oldest undelivered event, and of the oldest that can expire; INT64_MAX:
 * none. */
struct expiry_oldest {
	int64_t any_us, expirable_us;
};
struct expiry_oldest expiry_get_oldest(const struct expiry *e);
/* The common line's present. */
int64_t expiry_now_us(const struct expiry *e, const struct now *now);

#endif
