/* store_private.h - the internal interface of store/: the open outbox, transactions, free space */
#ifndef OUTBOX_STORE_STORE_PRIVATE_H
#define OUTBOX_STORE_STORE_PRIVATE_H

#include <sys/types.h>

#include "outbox/db/db.h"
#include "outbox/file/lockfile.h"
#include "outbox/file/pairing.h"
#include "outbox/file/salvage.h"
#include "outbox/file/wal_owner.h"
#include "outbox/store/attempt_record.h"
#include "outbox/store/envelopes.h"
#include "outbox/store/key_clock.h"
#include "outbox/store/store.h"
#include "outbox/store/stored_counters.h"

/* Free space on the disk and within the limits (space.c, ballast.c). */
struct space {
	int ballast_fd;     /* -1: none configured, or it cannot be created */
	bool ballast_out;   /* released to the file system, or not yet allocated */
	bool ballast_spent; /* releasing it was not enough, which was logged */
	bool is_btrfs;      /* the file system copies what is overwritten (in_place.h) */
	bool is_copied;     /* that includes the database file */
	/* The file was moved or removed: events put now would be missing after a restart */
	bool gone;
	/* The same for its WAL: what only that holds would be missing after a crash */
	bool wal_gone;
	dev_t db_dev, wal_dev; /* devices when they were opened */
	ino_t db_ino, wal_ino; /* 0: no such file (a simulated disk) */
	/* A write found the disk full; no new events until there is room again */
	bool disk_full;
	const char *refusal; /* static text; NULL: there is room */
	/* Lines since start, because an episode may be over before anyone looks */
	uint64_t refused;
	const char *refused_why;
	uint64_t bytes_used; /* pages in use and WAL frames not yet copied */
	uint64_t file_system_free;
	uint64_t disk_free; /* that, plus the database's free pages */
	int64_t checked_mono_us;
	uint64_t put_bytes; /* bytes put since the last check */
};

/* The state of maintenance.c and garbage_collection.c. */
enum gc_phase { GC_IDLE, GC_MARK, GC_DELETE };
struct maintenance {
	int64_t active_mono_us;   /* time of the last write job */
	int64_t keys_due_mono_us; /* when dedup keys are checked next; INT64_MAX: there are none */
	/* Wall clock: no dead or kept row is due before it; INT64_MAX: there is none */
	int64_t settled_due_us;
	int64_t settled_mono_us;  /* start of the last scan for them */
	uint64_t settled_cursor;  /* position of the current scan; 0: none */
	int64_t settled_found_us; /* lowest due time found by it */
	uint64_t purged_dead;     /* since start */
	bool erase;               /* an operator dropped rows: collect their envelopes soon, and empty the WAL */
	enum gc_phase gc;
	uint64_t gc_cursor;     /* an event id or an envelope id */
	uint64_t gc_next_base;  /* envelopes from this id on belong to the next window */
	uint64_t gone_since_gc; /* rows deleted since the last garbage collection */
};

struct stream_row {
	char name[STORE_NAME_MAX + 1];
	enum pause_word pause;
};

/* What only the WAL holds (group.c). */
struct copy_debt {
	int frames; /* frames in the WAL at the last check */
	int pages;  /* approximate number of pages to copy */
	int added;  /* pages of the last commit */
	bool ahead; /* they are copied but not synced; since then: */
	int commits;
};

struct backup;
struct job;

/* An event to delete, and its stream; 0: not known. */
struct gone {
	uint64_t id;
	uint32_t sid;
};

struct store {
	struct store_config config; /* path points to the store's own copy */
	char *path, *dir;
	struct db db;
	struct lockfile lock;
	struct stored_counters counters;
	struct envelopes envelopes;
	struct stream_row streams[STORE_STREAMS_MAX]; /* by sid; "": none */
	bool streams_changed;                         /* in the open transaction */
	/* Delivered events of the open group, deleted together in sorted order before COMMIT */
	struct gone *gone;
	size_t n_gone, cap_gone;
	struct space space;
	struct copy_debt debt;
	struct maintenance maintenance;
	struct key_clock key_clock;
	struct backup *backup; /* the backup in progress; NULL: none */
	bool unclean_start;
	uint64_t maybe_twice;
	bool check; /* check the whole file before using it */
	struct pairing pairing;
	enum wal_kind wal;     /* the WAL found beside the file before it was opened */
	bool had_wal;          /* it was the outbox's own WAL, with a header */
	bool lacks_wal;        /* there was none, although the file's mark says that it needs one */
	bool is_older;         /* see store_stats */
	uint64_t failed_reads; /* jobs that could not read their rows, since start */
	char failed_read_why[200];
	bool fatal;
	char fatal_why[256];
	bool salvaged;        /* db is not the file but what was salvaged from it */
	struct salvaged what; /* … and what could not be salvaged */
	char damage[512];     /* the damage found then */
};

/* Maximum number of rows per slice of maintenance, a purge or a search (src/README.md, trap 6). */
enum { STORE_SLICE_ROWS = 5000 };

/* group.c */
/* Runs write jobs in one transaction and sets every job's result. */
void store_group(struct store *st, struct job **jobs, size_t n);
/* Runs one read job, outside of any transaction. */
void store_read(struct store *st, struct job *job);
/* Call after results were published: copies the WAL if that is due. */
void store_after_commit(struct store *st);
/* Runs body in a transaction of its own. If the result is negative, any trouble was already
 * handled (made fatal, or room was made). */
int store_transaction(struct store *st, int (*body)(struct store *st, void *arg), void *arg) MUST_CHECK;
/* Copies the WAL into the database and empties it, between two empty transactions. Negative: not
 * completed; db.trouble was judged. */
int store_empty_wal(struct store *st) MUST_CHECK;
/* Handles db.trouble: fatal ones are recorded permanently, a full disk releases the ballast. */
void store_judge_trouble(struct store *st, const char *doing);

/* store.c */
int store_load_streams(struct store *st) MUST_CHECK;
/* Reserves n consecutive ids and returns the first. */
uint64_t store_take_ids(struct store *st, uint32_t n);
/* Returns the last id for ascending scans, which would otherwise follow new events for ever. A
 * read-only file does not change, and its counters may be damaged. */
uint64_t store_last_id(const struct store *st);
int store_add_stream(struct store *st, struct slice name, uint32_t *ret) MUST_CHECK;

/* ballast.c */
int space_open(struct store *st, struct err *err) MUST_CHECK;
void space_close(struct store *st);
void space_check(struct store *st, int64_t mono_us, bool now);
/* Returns static text saying why n more events are rejected, or NULL. */
const char *space_refuses(const struct store *st, uint32_t n);
/* True if there is so little room that transactions must stay small. */
bool space_is_tight(const struct store *st);
void space_disk_full(struct store *st);
/* Call before the database is opened, because closing a descriptor of its file would drop SQLite's locks. */
int space_prepare(struct store *st, struct err *err) MUST_CHECK;

/* ballast.c */
int ballast_open(struct store *st, struct err *err) MUST_CHECK;
void ballast_close(struct store *st);
/* True if a ballast is configured and not allocated. */
bool ballast_is_missing(const struct store *st);
void ballast_take(struct store *st);
void ballast_give_back(struct store *st);
/* Logs that outcomes cannot be committed although the ballast was released: once, until it is allocated again. */
void ballast_note_spent(struct store *st);

/* jobs_settle.c: deletes the events delivered in this group. Call before reading rows, and
 * before COMMIT. */
int store_flush_gone(struct store *st) MUST_CHECK;
/* Deletes events [first, last] with their attempt records, and updates the counters. */
int store_delete_run(struct store *st, uint64_t first, uint64_t last) MUST_CHECK;
/* jobs_put.c: writes the group's insert batch. Call before reading rows, and before COMMIT. */
int store_flush_puts(struct store *st) MUST_CHECK;
void job_put_refuse(struct job *job, const char *why);

/* identity.c: in the open transaction. */
void store_begin_identity(struct store *st);
void store_renew_identity(struct store *st);

/* jobs_reject.c: deletes a slice of the oldest lines above keep_rejected; for
 * store_transaction(). */
int store_trim_rejected(struct store *st, void *arg) MUST_CHECK;

/* jobs_backup.c */
void store_end_backup(struct store *st);
void store_end_abandoned_backup(struct store *st, int64_t mono_us);

/* maintenance.c: does one bounded piece of what is due. idle: no jobs wait. Returns the time
 * until the next call in microseconds (0: at once; INT64_MAX: not before the next write). */
int64_t store_maintenance(struct store *st, int64_t wall_us, int64_t mono_us, bool idle);
/* garbage_collection.c: envelopes that no event uses. Whether it has work to do, and one slice
 * of it. */
bool gc_is_due(const struct store *st);
void gc_step(struct store *st);
/* Returns when a dead or kept row may be deleted (wall clock). */
int64_t maintenance_due_us(const struct store *st, enum dead_reason reason, int64_t settled_us);
/* jobs_settle.c: adds an id for store_flush_gone(). sid: the stream in which it is most likely
 * queued; 0: not known. */
int store_gather_gone(struct store *st, uint64_t id, uint32_t sid) MUST_CHECK;

/* Changes an event's state and updates the counters. */
int store_set_state(struct store *st, uint64_t id, uint32_t sid, enum event_state from,
                    enum event_state to) MUST_CHECK;
/* Returns 1 if found, 0 if there is no such event. */
int store_get_state(struct store *st, uint64_t id, uint32_t *ret_sid, enum event_state *ret_state) MUST_CHECK;
/* Makes a dead letter of an event without an attempt (expired, corrupt). */
int store_bury(struct store *st, uint64_t id, uint32_t sid, enum event_state from, enum dead_reason reason,
               int64_t wall_us) MUST_CHECK;

#endif
