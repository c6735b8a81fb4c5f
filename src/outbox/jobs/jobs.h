/* jobs.h - what can be asked of the outbox: each a struct with its input, its result and its `done`
 *
 * A job is made by its submitter, handed to writer_submit() and comes back through done() on the submitter's
 * thread with `result` set: 0 or a negative errno. From submit to done the writer owns it. done() frees it. */
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

/* How a job takes part in a group: writes share the group's one transaction, reads run after its COMMIT. */
enum job_kind { JOB_WRITE, JOB_READ };

struct job_class {
	const char *name;
	enum job_kind kind;
	bool grows; /* stores something: refused when the disk is full, while the others still get through */
	bool blind; /* looks at no event row: those that the group puts may be written after it */
	/* In jobs_*.c; on the writer's thread. A write may run twice: the group is tried again when the disk was
	 * full. */
	int (*run)(struct store *st, struct job *job);
	size_t (*rows)(const struct job *job);  /* what it adds to a group; NULL: 1 */
	size_t (*bytes)(const struct job *job); /* NULL: little */
};

struct job {
	STAILQ_ENTRY(job) link;
	const struct job_class *class;
	void (*done)(struct job *job); /* on the loop's thread, from writer_reap() */
	int result;
};
STAILQ_HEAD(job_list, job);

/* PUT: a submission into the queue. result: 0 committed (first_id and count set; duplicate: those of the first
 * line); -EDQUOT the outbox is full (why); -EIO the group failed and nothing is known (STORAGE_ERROR). */
struct job_put {
	struct job job;
	struct submission *sub; /* first_id is set on success */
	int64_t wall_us;        /* for the dedup window … */
	int64_t boot_us;        /* … at the same time, when it has a dedup_key; 0: not known */
	uint64_t first_id;
	uint32_t count;
	bool duplicate;
	const char *why; /* static text for -EDQUOT */
};
void job_put_init(struct job_put *j, struct submission *sub, int64_t wall_us, void (*done)(struct job *));

/* REJECT: refused lines to keep (only the newest keep_rejected stay). Coalesced by the submitter. */
struct rejected_line {
	struct slice line; /* as received, cut at 8 KiB */
	enum code code;
	const char *field, *message;
	int64_t wall_us;
	uint32_t uid, pid;
	const char *address; /* of a TCP client, instead of uid and pid; NULL: a local process */
};
struct job_reject {
	struct job job;
	size_t n;
	struct rejected_line lines[];
};
void job_reject_init(struct job_reject *j, void (*done)(struct job *));

/* SETTLE: what became of events that were tried. */
enum settle_kind { SETTLE_DELIVERED, SETTLE_DEAD, SETTLE_FAILED /* stays queued; the attempt is noted */ };
struct settle {
	uint64_t id;
	enum settle_kind kind;
	enum dead_reason reason; /* for SETTLE_DEAD */
	bool has_note;           /* an earlier attempt was noted for this event */
	bool maybe_sent;
	uint32_t sid; /* its stream; 0: look it up */
};
struct job_settle {
	struct job job;
	struct settle_attempt attempt;
	size_t n;
	struct settle events[];
};
void job_settle_init(struct job_settle *j, void (*done)(struct job *));

/* REFILL: the next queued events of a stream in id order, examined rows bounded. */
struct refilled {
	struct submission *sub; /* one event, refs == 1; the receiver takes it (or unrefs); NULL: the row does not
	                         * parse (the job has made it a dead letter, reason corrupt) */
	uint64_t id;
	uint32_t attempts;
	bool has_note, maybe_sent;
	bool no_expiry; /* a retried dead letter: exempt from expiry once */
};
struct job_refill {
	struct job job;
	uint32_t sid;
	uint64_t after; /* ids > after */
	size_t max_rows, max_bytes, max_examined;
	/* result */
	struct refilled *rows; /* malloc; freed by job_refill_clear() */
	size_t n;
	uint64_t examined_to; /* go on from here */
	bool end;             /* nothing queued beyond it when this ran */
};
void job_refill_init(struct job_refill *j, uint32_t sid, uint64_t after, void (*done)(struct job *));
void job_refill_clear(struct job_refill *j); /* rows not taken are released */

/* A filter as list, count, export and the actions take it. All that is set must match. */
struct event_filter {
	uint32_t states;            /* bit 1u << enum event_state; 0: all but delivered */
	bool rejected;              /* the rejected lines instead of events */
	uint32_t sid;               /* 0: any */
	const char *client, *name;  /* NULL: any; exact */
	int reason;                 /* enum dead_reason or -1 */
	int64_t accepted_before_us; /* 0: any */
};

/* One row as shown. Slices point into the job's own arena. */
struct event_row {
	uint64_t id;
	enum event_state state;
	enum dead_reason reason;
	uint32_t sid;
	struct slice client, name, envelope, body;
	int64_t accepted_us, time_us, props_us;
	uint32_t attempts;
	int last_status; /* 0: none */
	struct slice last_error, answer;
	bool maybe_sent;
	uint32_t bytes;     /* of body and envelope */
	struct slice tries; /* JSON array of the last 10: [{"when_micros","status","error","ms"}…] or empty */
	/* rejected lines only */
	bool is_rejected;
	enum code code;
	struct slice field, message, line;
	uint32_t uid, pid;
	struct slice address; /* instead of uid and pid; n 0: none */
};

/* LIST: one slice of rows. The submitter asks again from `next` until `end`. */
struct job_list_rows {
	struct job job;
	struct event_filter filter; /* strings must live until done */
	bool reverse, want_body;
	uint64_t from; /* first id to look at; 0: the beginning (or the end, in reverse) */
	uint64_t to;   /* upwards the last one; 0: the last that is given, which is noted here for the next slice */
	size_t max_rows, max_examined;
	/* result */
	struct event_row *rows;
	size_t n;
	uint64_t next;
	bool end;
	struct buf arena;
};
void job_list_init(struct job_list_rows *j, void (*done)(struct job *));
void job_list_clear(struct job_list_rows *j);

/* SHOW: one row by id. result -ENOENT when there is none. rows/n/arena as in LIST. */
void job_show_init(struct job_list_rows *j, uint64_t id, void (*done)(struct job *));

/* ACT: change the state of rows: by ids, or one slice of a filter. */
enum act_verb { ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_DROP };
enum act_result { ACT_DONE = 0, ACT_UNKNOWN = 1, ACT_IN_FLIGHT = 2, ACT_UNCHANGED = 3 };
struct job_act {
	struct job job;
	enum act_verb verb;
	/* by ids … */
	const uint64_t *ids;
	uint8_t *id_results; /* enum act_result each; same length as ids */
	size_t n_ids;
	/* … or by filter, from id `from`, at most max_examined rows a slice */
	struct event_filter filter;
	uint64_t from, to; /* as in LIST */
	size_t max_examined;
	/* ids that are in flight now, sorted: refused */
	const uint64_t *in_flight;
	size_t n_in_flight;
	/* result */
	uint64_t changed, refused_in_flight;
	uint64_t lowest_queued; /* least id that became queued, or 0: the stream queue's cursor goes back there */
	uint64_t *changed_ids;  /* malloc'd, freed by job_act_clear(): so that the stream queue forgets them */
	size_t n_changed;
	uint64_t next;
	bool end;
};
void job_act_init(struct job_act *j, enum act_verb verb, void (*done)(struct job *));
void job_act_clear(struct job_act *j);

/* EXPIRE: one slice of the search for queued events that are too old; they become dead letters, reason expired. */
struct job_expire {
	struct job job;
	uint64_t from;
	size_t max_examined;
	int64_t expire_before_us; /* in the skew's time line; an event at or before it dies */
	bool dry_run;             /* only counts */
	struct clock_skew skew;   /* a copy */
	uint64_t *in_flight;      /* ids that are left alone, ascending; malloc'd by the submitter, freed by clear */
	size_t n_in_flight;
	/* result */
	uint64_t expired, queued_seen;
	int64_t oldest_time_us; /* of queued events seen that stay; INT64_MAX: none */
	uint64_t *expired_ids;  /* malloc'd, freed by clear */
	uint32_t *expired_sids;
	size_t n_expired;
	uint64_t next;
	bool end;
};
void job_expire_init(struct job_expire *j, void (*done)(struct job *));
void job_expire_clear(struct job_expire *j);

/* PAUSE: remembers an operator's pause or resume of a stream (survives a restart). */
struct job_pause {
	struct job job;
	uint32_t sid;
	enum pause_word word;
};
void job_pause_init(struct job_pause *j, uint32_t sid, enum pause_word word, void (*done)(struct job *));

/* IN_FLIGHT: remembers the most events that may be in flight, so that a start after a crash can tell the bound.
 * Submitted when the bound grows past a power of two and when it falls to 0; rides in any group. */
struct job_in_flight {
	struct job job;
	uint64_t bound;
};
void job_in_flight_init(struct job_in_flight *j, uint64_t bound, void (*done)(struct job *));

/* STREAM: store_stream_id() for a reload. result 0 and sid set. */
struct job_stream {
	struct job job;
	struct slice name;
	uint32_t sid;
};
void job_stream_init(struct job_stream *j, struct slice name, void (*done)(struct job *));

/* STREAM_NAMES: every stream's name by its sid, removed streams included; "": none. About 16 KB. */
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

/* BACKUP: one step of a consistent copy into a descriptor (ctl's). -EAGAIN in result: submit again. */
struct job_backup {
	struct job job;
	int fd;      /* receives the file; not closed */
	void *state; /* NULL at first; the job's own */
	uint64_t pages_done, pages_total;
	struct err err;
};
void job_backup_init(struct job_backup *j, int fd, void (*done)(struct job *));
void job_backup_clear(struct job_backup *j);

#endif
