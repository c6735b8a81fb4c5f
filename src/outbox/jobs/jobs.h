/* jobs.h - the requests to the writer thread: each a struct with input, result and `done`
 *
 * The submitter creates a job and passes it to writer_submit(). From then on the writer owns it,
 * until done() is called on the submitter's thread with `result` set to 0 or a negative errno.
 * done() frees the job. */
#ifndef OUTBOX_JOBS_JOBS_H
#define OUTBOX_JOBS_JOBS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/slice.h"
#include "event/event.h"
#include "event/event_state.h"
#include "ga4/verdict.h"
#include "outbox/store/attempt_record.h"
#include "outbox/store/store.h"
#include "policy/clock_skew.h"

struct job;

/* Writes share the transaction of a group; reads run after its COMMIT. */
enum job_kind { JOB_WRITE, JOB_READ };

struct job_class {
	const char *name;
	enum job_kind kind;
	/* Stores something: rejected when the disk is full, while other jobs still run */
	bool grows;
	bool blind; /* reads no event rows, so the group's insert batch may be written after it */
	/* Implemented in jobs_*.c, called on the writer's thread. A write may run twice, because
	 * the group is repeated after a full disk. */
	int (*run)(struct store *st, struct job *job);
	size_t (*rows)(const struct job *job);  /* number of rows it adds to a group; NULL: 1 */
	size_t (*bytes)(const struct job *job); /* number of bytes it adds to a group; NULL: few */
};

struct job {
	STAILQ_ENTRY(job) link;
	const struct job_class *class;
	void (*done)(struct job *job); /* called on the loop's thread, from writer_reap() */
	int result;
};
STAILQ_HEAD(job_list, job);

/* PUT: stores a submission in the queue. result: 0 committed (first_id and count are set; for a
 * duplicate they are those of the first line); -EDQUOT the outbox is full (see why); -EIO the
 * group failed and the outcome is unknown (STORAGE_ERROR). */
struct job_put {
	struct job job;
	struct submission *sub; /* first_id is set on success */
	int64_t wall_us;        /* wall clock for the dedup window, in microseconds … */
	/* … and the boot-time clock at the same moment, if it has a dedup_key; 0: not known */
	int64_t boot_us;
	uint64_t first_id;
	uint32_t count;
	bool duplicate;
	const char *why; /* static text for -EDQUOT */
};
void job_put_init(struct job_put *j, struct submission *sub, int64_t wall_us, void (*done)(struct job *));

/* REJECT: rejected lines to keep (only the newest keep_rejected are kept). The submitter
 * combines them into few jobs. */
struct rejected_line {
	struct slice line; /* as received, truncated to 8 KiB */
	enum code code;
	const char *field, *message;
	int64_t wall_us;
	uint32_t uid, pid;
	/* Address of a TCP client, instead of uid and pid; NULL: a local process */
	const char *address;
};
struct job_reject {
	struct job job;
	size_t n;
	struct rejected_line lines[];
};
void job_reject_init(struct job_reject *j, void (*done)(struct job *));

/* SETTLE: the outcomes of events that were tried. */
enum settle_kind { SETTLE_DELIVERED, SETTLE_DEAD, SETTLE_FAILED /* stays queued; the attempt is recorded */ };
struct settle {
	uint64_t id;
	enum settle_kind kind;
	enum dead_reason reason; /* used with SETTLE_DEAD */
	bool has_note;           /* an attempt record exists for this event */
	bool maybe_sent;
	uint32_t sid; /* its stream; 0: not known */
};
struct job_settle {
	struct job job;
	struct settle_attempt attempt;
	size_t n;
	struct settle events[];
};
void job_settle_init(struct job_settle *j, void (*done)(struct job *));

/* REFILL: reads the next queued events of a stream in id order, from a bounded number of rows. */
struct refilled {
	/* One event, refs == 1; the receiver takes or unrefs it; NULL: the row is corrupt (the
	 * job made it a dead letter, reason corrupt) */
	struct submission *sub;
	uint64_t id;
	uint32_t attempts;
	bool has_note, maybe_sent;
	bool no_expiry; /* a requeued dead letter, which is exempt from expiry once */
};
struct job_refill {
	struct job job;
	uint32_t sid;
	uint64_t after; /* only ids above this one */
	size_t max_rows, max_bytes, max_examined;
	/* Result: */
	struct refilled *rows; /* malloc'd; freed by job_refill_clear() */
	size_t n;
	uint64_t examined_to; /* continue after this id */
	bool end;             /* no queued events followed when the job ran */
};
void job_refill_init(struct job_refill *j, uint32_t sid, uint64_t after, void (*done)(struct job *));
void job_refill_clear(struct job_refill *j); /* also releases rows that were not taken */

/* The filter of list, count, export and the actions. All fields that are set must match. */
struct event_filter {
	uint32_t states;            /* bits 1u << enum event_state; 0: all states but delivered */
	bool rejected;              /* rejected lines instead of events */
	uint32_t sid;               /* 0: any */
	const char *client, *name;  /* exact match; NULL: any */
	int reason;                 /* enum dead_reason or -1 */
	int64_t accepted_before_us; /* 0: any */
};

/* One row for display. Slices point into the job's arena. */
struct event_row {
	uint64_t id;
	enum event_state state;
	enum dead_reason reason;
	uint32_t sid;
	struct slice client, name, envelope, body;
	int64_t accepted_us, time_us, props_us;
	uint32_t attempts;
	int last_status; /* HTTP status; 0: none */
	struct slice last_error, answer;
	bool maybe_sent;
	uint32_t bytes; /* size of body and envelope */
	/* JSON array of the last 10 attempts: [{"when_micros","status","error","ms"}…], or empty */
	struct slice tries;
	/* For rejected lines only: */
	bool is_rejected;
	enum code code;
	struct slice field, message, line;
	uint32_t uid, pid;
	struct slice address; /* address of a TCP client, instead of uid and pid; n 0: none */
};

/* LIST: reads one slice of rows. The submitter repeats it from `next` until `end`. */
struct job_list_rows {
	struct job job;
	struct event_filter filter; /* its strings must stay valid until done() */
	bool reverse, want_body;
	uint64_t from; /* first id to read; 0: the first one (the last one, in reverse) */
	/* Last id to read when ascending; 0: the newest id, which is stored here for the next
	 * slices */
	uint64_t to;
	size_t max_rows, max_examined;
	/* Result: */
	struct event_row *rows;
	size_t n;
	uint64_t next;
	bool end;
	struct buf arena;
};
void job_list_init(struct job_list_rows *j, void (*done)(struct job *));
void job_list_clear(struct job_list_rows *j);

/* SHOW: reads one row by id. result is -ENOENT if there is none; rows, n and arena are as in
 * LIST. */
void job_show_init(struct job_list_rows *j, uint64_t id, void (*done)(struct job *));

/* ACT: changes the state of rows, by ids or for one slice of a filter. */
enum act_verb { ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_DROP };
enum act_result { ACT_DONE = 0, ACT_UNKNOWN = 1, ACT_IN_FLIGHT = 2, ACT_UNCHANGED = 3 };
struct job_act {
	struct job job;
	enum act_verb verb;
	/* Either by ids … */
	const uint64_t *ids;
	uint8_t *id_results; /* an enum act_result per id */
	size_t n_ids;
	/* … or by filter, from id `from`, at most max_examined rows per slice. */
	struct event_filter filter;
	uint64_t from, to; /* as in LIST */
	size_t max_examined;
	/* Ids that are in flight, ascending; their rows are not changed. */
	const uint64_t *in_flight;
	size_t n_in_flight;
	/* Result: */
	uint64_t changed, refused_in_flight;
	/* Lowest id that became queued, or 0: the stream's queue is read again from there */
	uint64_t lowest_queued;
	/* malloc'd, freed by job_act_clear(); the stream's queue drops these ids */
	uint64_t *changed_ids;
	size_t n_changed;
	uint64_t next;
	bool end;
};
void job_act_init(struct job_act *j, enum act_verb verb, void (*done)(struct job *));
void job_act_clear(struct job_act *j);

/* EXPIRE: turns queued events that are too old into dead letters (reason expired), one slice of
 * the queue at a time. */
struct job_expire {
	struct job job;
	uint64_t from;
	size_t max_examined;
	int64_t expire_before_us; /* on the skew's time scale; events at or before it expire */
	bool dry_run;             /* only counts */
	struct clock_skew skew;   /* a copy */
	/* Ids to skip, ascending; malloc'd by the submitter, freed by job_expire_clear() */
	uint64_t *in_flight;
	size_t n_in_flight;
	/* Result: */
	uint64_t expired, queued_seen;
	int64_t oldest_time_us; /* of the queued events seen that stay; INT64_MAX: none */
	uint64_t *expired_ids;  /* malloc'd, freed by job_expire_clear() */
	uint32_t *expired_sids;
	size_t n_expired;
	uint64_t next;
	bool end;
};
void job_expire_init(struct job_expire *j, void (*done)(struct job *));
void job_expire_clear(struct job_expire *j);

/* PAUSE: stores an operator's pause or resume of a stream, which survives a restart. */
struct job_pause {
	struct job job;
	uint32_t sid;
	enum pause_word word;
};
void job_pause_init(struct job_pause *j, uint32_t sid, enum pause_word word, void (*done)(struct job *));

/* IN_FLIGHT: stores the upper bound of events in flight, so that a start after a crash can
 * report it. Submitted when the bound exceeds a power of two and when it falls to 0; runs in any
 * group. */
struct job_in_flight {
	struct job job;
	uint64_t bound;
};
void job_in_flight_init(struct job_in_flight *j, uint64_t bound, void (*done)(struct job *));

/* IDENTITY: this outbox is a copy and gets a uuid of its own. */
struct job_identity {
	struct job job;
	struct outbox_identity identity; /* result */
};
void job_identity_init(struct job_identity *j, void (*done)(struct job *));

/* STREAM: store_stream_id() for a reload. result is 0, and sid is set. */
struct job_stream {
	struct job job;
	struct slice name;
	uint32_t sid;
};
void job_stream_init(struct job_stream *j, struct slice name, void (*done)(struct job *));

/* STREAM_NAMES: every stream's name by its sid, including removed streams; "": none. About 16
 * KB. */
struct job_stream_names {
	struct job job;
	char names[STORE_STREAMS_MAX][STORE_NAME_MAX + 1];
};
void job_stream_names_init(struct job_stream_names *j, void (*done)(struct job *));

/* LIMITS: store_set_limits() for a reload. */
struct job_limits {
	struct job job;
	struct store_config config;
};
void job_limits_init(struct job_limits *j, const struct store_config *config, void (*done)(struct job *));

/* BACKUP: one step of a consistent copy into a descriptor (opened by ctl). result -EAGAIN:
 * submit it again. */
struct job_backup {
	struct job job;
	int fd;      /* receives the file; not closed */
	void *state; /* NULL at first; owned by the job */
	uint64_t pages_done, pages_total;
	struct err err;
};
void job_backup_init(struct job_backup *j, int fd, void (*done)(struct job *));
void job_backup_clear(struct job_backup *j);

#endif
