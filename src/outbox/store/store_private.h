/* store_private.h - what the files of store/ share: the open outbox, its transactions, its room, its upkeep */
#ifndef OUTBOX_STORE_STORE_PRIVATE_H
#define OUTBOX_STORE_STORE_PRIVATE_H

#include <sys/types.h>

#include "outbox/db/db.h"
#include "outbox/file/lockfile.h"
#include "outbox/file/pairing.h"
#include "outbox/file/salvage.h"
#include "outbox/file/wal_owner.h"
#include "outbox/store/attempt_record.h"
#include "outbox/store/counters_kept.h"
#include "outbox/store/envelopes.h"
#include "outbox/store/key_clock.h"
#include "outbox/store/store.h"

/* Room on the disk and within the limits (space.c). */
struct space {
	int ballast_fd;        /* -1: none configured, or it cannot be made */
	bool ballast_out;      /* given back to the file system, or not yet made */
	bool gone;             /* the file was taken away: what is put now would not be there after a restart */
	bool wal_gone;         /* or its WAL: what only that holds would not be there after a crash */
	dev_t db_dev, wal_dev; /* when they were opened */
	ino_t db_ino, wal_ino; /* 0: no such file (a simulated disk) */
	bool disk_full;        /* a write met a full disk; nothing new until there is room again */
	const char *refusal;   /* static; NULL: there is room */
	uint64_t refused;      /* lines, since start: an episode may be over before anybody looks */
	const char *refused_why;
	uint64_t bytes_used; /* pages in use and WAL frames not yet copied */
	uint64_t file_system_free;
	uint64_t disk_free; /* that and the database's free pages */
	int64_t checked_mono_us;
	uint64_t put_bytes; /* since then */
};

/* Rows whose time is over and envelopes that nothing needs (upkeep.c, sweep.c). */
enum sweep_phase { SWEEP_IDLE, SWEEP_MARK, SWEEP_DELETE };
struct upkeep {
	int64_t active_mono_us;   /* last write job */
	int64_t keys_due_mono_us; /* when dedup keys are looked at; INT64_MAX: there are none */
	int64_t settled_due_us;   /* wall clock: no dead or kept row is due before; INT64_MAX: there is none */
	int64_t settled_mono_us;  /* when they were looked at last */
	uint64_t settled_cursor;  /* of the present look; 0: none is on */
	int64_t settled_found_us; /* least due time seen by it */
	uint64_t purged_dead;     /* since start */
	bool erase; /* an operator dropped rows: their envelopes go soon, and what the WAL holds of them */
	enum sweep_phase sweep;
	uint64_t sweep_cursor;     /* event id or envelope id */
	uint64_t sweep_next_base;  /* envelopes from here on are for the next window */
	uint64_t gone_since_sweep; /* rows that left */
};

struct stream_row {
	char name[STORE_NAME_MAX + 1];
	enum pause_word pause;
};

/* What only the WAL holds (group.c). */
struct copy_debt {
	int frames; /* of the WAL when it was looked at last */
	int pages;  /* to copy, about */
	int added;  /* pages of the last commit */
	bool ahead; /* they are copied, but not synced; since then: */
	int commits;
};

struct backup;
struct job;

/* An event that leaves, of that stream; 0: not known. */
struct gone {
	uint64_t id;
	uint32_t sid;
};

struct store {
	struct store_config config; /* path points at the store's own copy */
	char *path, *dir;
	struct db db;
	struct lockfile lock;
	struct ledger ledger;
	struct envelopes envelopes;
	struct stream_row streams[STORE_STREAMS_MAX]; /* by sid; "" : none */
	bool streams_changed;                         /* in the open transaction */
	struct gone *gone; /* what is delivered in the open group: deleted together, sorted, before COMMIT */
	size_t n_gone, cap_gone;
	struct space space;
	struct copy_debt debt;
	struct upkeep upkeep;
	struct key_clock key_clock;
	struct backup *backup; /* the one that is being made; NULL: none */
	bool unclean_start;
	uint64_t maybe_twice;
	bool check; /* reads the file whole before it is opened for work */
	struct pairing pairing;
	enum wal_kind wal;     /* what lay beside it before it was opened */
	bool had_wal;          /* one of its own, with a header */
	bool lacks_wal;        /* none, and the file's mark says that it needs one */
	bool is_older;         /* see store_stats */
	uint64_t failed_reads; /* jobs that could not read what they wanted, since start */
	char failed_read_why[200];
	bool fatal;
	char fatal_why[256];
	bool salvaged;        /* db is not the file, but what could be read of it */
	struct salvaged what; /* … and what could not */
	char damage[512];     /* what was wrong with the file then */
};

/* Rows a slice of upkeep, a purge or a search touches at most (src/README.md, trap 6). */
enum { STORE_SLICE_ROWS = 5000 };

/* group.c */
/* Runs write jobs in one transaction; every job's result is set afterwards. */
void store_group(struct store *st, struct job **jobs, size_t n);
/* One read job, outside of any transaction. */
void store_read(struct store *st, struct job *job);
/* After results were published: copies the WAL when it is time. */
void store_after_commit(struct store *st);
/* A transaction of our own: body's trouble, if any, was handled (made fatal, or room) when it returns negative. */
int store_transaction(struct store *st, int (*body)(struct store *st, void *arg), void *arg) MUST_CHECK;
/* Copies the WAL into the database and empties it, between two transactions of no account. Negative: not all of it
 * was done; db.trouble was judged. */
int store_empty_wal(struct store *st) MUST_CHECK;
/* Looks at db.trouble: fatal ones are noted for good, a full disk gives the ballast back. */
void store_judge_trouble(struct store *st, const char *doing);

/* store.c */
int store_load_streams(struct store *st) MUST_CHECK;
/* n ids in a row. */
uint64_t store_take_ids(struct store *st, uint32_t n);
/* Where a walk up the ids ends, or it would follow what comes in meanwhile for ever. A file that is only read stands
 * still, and its counters may be damaged. */
uint64_t store_last_id(const struct store *st);
int store_add_stream(struct store *st, struct slice name, uint32_t *ret) MUST_CHECK;

/* space.c */
int space_open(struct store *st, struct err *err) MUST_CHECK;
void space_close(struct store *st);
void space_check(struct store *st, int64_t mono_us, bool now);
/* Why not another n events: static text, or NULL. */
const char *space_refuses(const struct store *st, uint32_t n);
void space_disk_full(struct store *st);

/* jobs_settle.c: deletes what was delivered in this group. Before anything that looks at rows, and before COMMIT. */
int store_flush_gone(struct store *st) MUST_CHECK;
/* Deletes [first, last] with notes; counters follow. */
int store_delete_run(struct store *st, uint64_t first, uint64_t last) MUST_CHECK;
/* jobs_put.c: writes the rows of what was put in this group. Before anything that looks at rows, and before COMMIT.
 */
int store_flush_puts(struct store *st) MUST_CHECK;
void job_put_refuse(struct job *job, const char *why);

/* jobs_reject.c: deletes a slice of what is over keep_rejected, the oldest first; for store_transaction() */
int store_trim_rejected(struct store *st, void *arg) MUST_CHECK;

/* jobs_backup.c */
void store_end_backup(struct store *st);
void store_end_abandoned_backup(struct store *st, int64_t mono_us);

/* upkeep.c: one bounded piece of what is due. idle: nobody waits. Returns when to come again, microseconds from now
 * (0: at once; INT64_MAX: not before the next write). */
int64_t store_upkeep(struct store *st, int64_t wall_us, int64_t mono_us, bool idle);
/* sweep.c: envelopes that no event needs any more. Whether it has work, and one slice of it. */
bool sweep_is_due(const struct store *st);
void sweep_step(struct store *st);
/* When a dead or kept row may go. */
int64_t upkeep_due_us(const struct store *st, enum dead_reason reason, int64_t settled_us);
/* jobs_settle.c: an id for store_flush_gone(); most likely queued in that stream, 0: not known. */
int store_gather_gone(struct store *st, uint64_t id, uint32_t sid) MUST_CHECK;

/* An event's state becomes dead or kept; counters follow. */
int store_set_state(struct store *st, uint64_t id, uint32_t sid, enum event_state from,
                    enum event_state to) MUST_CHECK;
/* 1: found; 0: no such event. */
int store_get_state(struct store *st, uint64_t id, uint32_t *ret_sid, enum event_state *ret_state) MUST_CHECK;
/* Makes a dead letter of a row without an attempt (expired, corrupt). */
int store_bury(struct store *st, uint64_t id, uint32_t sid, enum event_state from, enum dead_reason reason,
               int64_t wall_us) MUST_CHECK;

#endif
