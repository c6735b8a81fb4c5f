/* hub_private.h - what the files of the hub share: its lanes, the events that it holds, and the statements under way
 */
#ifndef FLEET_HUB_PRIVATE_H
#define FLEET_HUB_PRIVATE_H

#include <sys/queue.h>

#include "base/collections/idmap.h"
#include "base/log.h"
#include "event/lent.h"
#include "fleet/hub.h"
#include "fleet/sql.h"

enum {
	HUB_EVENTS = 8192,    /* in memory, at most, … */
	HUB_EVENTS_MIN = 256, /* … and as few for a hub that delivers slowly: the rest is for others */
	HUB_BYTES = 8 << 20,  /* of their texts */
	HUB_OUTBOX_TEXT = 36, /* a uuid's characters */
	HUB_PARCEL = 500,     /* outcomes in one statement */
	HUB_PARCELS = 4,      /* statements with outcomes under way */
};

/* A lane whose lease the hub has, or had: events of it may still be unrecorded. */
struct lane {
	bool mine, releasing;
	bool read_once, ended; /* the last read found less than it might have had */
	int64_t until_us;      /* monotonic: the lease */
	int64_t read_us;       /* monotonic: the last read */
	int64_t after;         /* it was read up to this seq */
	int64_t taken;         /* up to this seq its last owner, which never released it, may have sent it */
	unsigned visit;        /* events read since it was taken */
	unsigned held;         /* events of it in memory, recorded or not */
	unsigned untried;      /* … of which delivery has said nothing yet */
};

/* Delivery's record of an event that stays, or died. */
struct note {
	enum dead_reason reason;
	uint32_t attempts;
	bool maybe_sent;
	int status;
	size_t n_error;
	char text[]; /* the error, then the answer's beginning, each with its end */
};

/* One event in memory. */
struct borrowed {
	TAILQ_ENTRY(borrowed) link; /* while listed */
	uint64_t id;                /* delivery's */
	int64_t seq, key;           /* the engine's: its order, and its id in the outbox that it comes from */
	char outbox[HUB_OUTBOX_TEXT + 1];
	uint8_t lane;
	bool tried;
	struct borrowed_list *listed; /* its outcome waits for a statement; NULL: not, … */
	bool sent;                    /* … or is in one, … */
	bool again;                   /* … and there is a newer one */
	enum { WITH_DELIVERY, DELIVERED, DEAD, RETURNED } where;
	uint32_t bytes;
	struct note *note; /* NULL: none that is not recorded */
};
TAILQ_HEAD(borrowed_list, borrowed);

struct hub {
	struct loop *loop;
	struct delivery *delivery;
	struct pg *pg;
	struct loop_timer *timer;
	struct lender lender;
	int64_t lease_us, keep_keys_us, keep_dead_us;
	struct pg_args args;
	char owner[96];
	struct now now; /* of this turn */
	bool draining, abandoned;

	/* hub_log.c */
	bool down_logged;
	struct log_limit unknown_log, refused_log;

	/* hub_events.c */
	struct idmap by_id, by_seq;
	uint64_t next_id;
	size_t n_events, bytes;

	/* hub_outcomes.c: two kinds of statement, [1] for what was delivered */
	struct borrowed_list outcomes[2];
	size_t n_unrecorded;
	unsigned parcels; /* under way */
	int64_t outcomes_not_before_us;
	unsigned recorded_now, limit; /* in this second; how many events may be in memory by it */
	int64_t second_us;

	/* hub_lanes.c */
	struct lane lanes[FLEET_LANES];
	unsigned n_mine;
	bool taking, renewing;
	unsigned releasing;
	int64_t take_not_before_us, take_sent_us, renew_at_us, renew_sent_us;
	uint64_t leases_lost;

	/* hub_read.c */
	bool reading;
	int64_t read_not_before_us;
	size_t read_rows, read_bytes, read_lanes; /* of the read under way: rows and bytes per lane; lanes */
	uint8_t reads[FLEET_LANES];
	uint64_t taken, unknown_stream;

	/* hub_maintenance.c */
	bool clock_asked, clock_known, clock_wrong;
	int64_t clock_at_us, clock_difference_us, oldest_age_us;
	bool forgetting;
	unsigned forget_turn;
	int64_t forget_at_us;
};

static inline bool hub_engine_is_up(const struct hub *h)
{
	struct pg_status s;

	pg_get_status(h->pg, &s);
	return s.state == PG_UP;
}

/* ---- hub_events.c ---- */

/* What delivery calls. */
void hub_on_settle(void *arg, uint64_t id, const struct lent_outcome *outcome);
void hub_on_returned(void *arg, uint64_t id);
/* Gives the event to delivery. It is not kept: for want of memory, or of its stream. */
struct arrival {
	struct slice outbox, stream, client, envelope, body;
	int64_t seq, key, accepted_us, time_us, props_us;
	uint8_t lane;
	struct lent_past past;
};
enum arrived { ARRIVED, KNOWN, UNKNOWN_STREAM, NO_ROOM };
enum arrived hub_events_arrive(struct hub *h, const struct arrival *a);
/* Its outcome is recorded, or it was given back and has none. */
void hub_event_free(struct hub *h, struct borrowed *b);
/* What delivery still has of a lane goes back. */
void hub_events_take_back(struct hub *h, uint8_t lane);
void hub_events_free_all(struct hub *h);

/* ---- hub_outcomes.c ---- */

/* There is an outcome that the engine does not have. */
void hub_outcomes_add(struct hub *h, struct borrowed *b);
void hub_outcomes_remove(struct hub *h, struct borrowed *b);
void hub_outcomes_send(struct hub *h);

/* ---- hub_lanes.c ---- */

void hub_lanes_take(struct hub *h);
void hub_lanes_renew(struct hub *h);
void hub_lanes_release(struct hub *h);
void hub_lanes_check(struct hub *h);

/* ---- hub_read.c ---- */

void hub_read(struct hub *h);
/* The lane has been read and shared out: another visit, of this hub or another, goes on. */
bool lane_visit_is_over(const struct lane *l);

/* ---- hub_maintenance.c ---- */

/* The engine's clock is asked for, and old keys and dead letters are deleted. */
void hub_maintenance(struct hub *h);

/* ---- hub_log.c ---- */

void hub_log_engine(struct hub *h);
void hub_log_unknown_stream(struct hub *h, struct slice name);
/* An error of the server: the statement did not happen. */
void hub_log_refused(struct hub *h, const char *what, const struct pg_answer *answer);

#endif
