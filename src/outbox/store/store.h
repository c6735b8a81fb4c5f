/* store.h - the outbox file; synchronous, for the writer's thread only (or inline in tests) */
#ifndef OUTBOX_STORE_STORE_H
#define OUTBOX_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "event/event.h"
#include "event/event_state.h"
#include "event/outbox_identity.h"
#include "ga4/verdict.h"
#include "outbox/db/store_config.h"

struct store;

/* An operator's pause or resume of a stream, which overrides its configuration. Stored in the
 * outbox. */
enum pause_word { PAUSE_UNSET, PAUSE_PAUSED, PAUSE_RESUMED };

enum { STORE_NAME_MAX = 64, STORE_STREAMS_MAX = 256, STORE_PATH_MAX = 4096 };

/* Opens or creates the outbox. Errors: -EBUSY another process holds it (exit 75); -EPROTO not an
 * outbox of ga4relay, or of a newer version (exit 78); -E_DAMAGED a damaged outbox (the daemon
 * calls store_set_aside()); -ENOSPC, -EACCES, -EIO, … The file is unchanged on -EPROTO and
 * -EBUSY. */
int store_open(struct store **ret, const struct store_config *config, int64_t wall_us, struct err *err) MUST_CHECK;
/* For a read-only store, after a job failed: replaces the file with what can be salvaged from
 * it, and the job may be repeated. store_open() does this itself where necessary. Negative:
 * already done, the trouble was not damage, or nothing can be read. */
int store_salvage(struct store *st, struct err *err) MUST_CHECK;
/* The number of rows in a read-only store, from reading all of them. */
struct store_rows {
	bool damaged;        /* the file is damaged; these rows were salvaged from it */
	const char *problem; /* the damage; "": none known */
	uint64_t here;
	uint64_t counted; /* number of rows by the file's counters … */
	bool known;       /* … unless these are lost as well */
};
static inline bool store_rows_whole(const struct store_rows *rows)
{
	return rows->known && rows->here == rows->counted;
}
/* Counts events or rejected lines. Negative: cannot be read; store_salvage() may help. */
int store_count_rows(struct store *st, bool rejected, struct store_rows *ret) MUST_CHECK;
/* True if the file was damaged and its rows were salvaged. */
bool store_is_salvaged(const struct store *st);
/* Of a store that was opened read_only: another file's WAL lies beside it, and was not read. */
bool store_passed_over_wal(const struct store *st);
/* The file's mark says that it needs a WAL, and its own is not there: what was written last may be missing. */
bool store_lacks_wal(const struct store *st);
/* Checkpoints, truncates the WAL, closes. Takes NULL. */
struct store *store_close(struct store *st);
/* Renames a damaged outbox (and its WAL) to PATH.corrupt-YYYYMMDDTHHMMSSZ. The next store_open()
 * creates a new one, whose ids continue above the old ones. ret_name receives the new name. */
int store_set_aside(const struct store_config *config, int64_t wall_us, char *ret_name, size_t size,
                    struct err *err) MUST_CHECK;
/* The outboxes that were set aside and still exist, and leftovers: WALs and journals without
 * their outbox. */
struct store_asides {
	unsigned n, n_leftovers;
	char newest[STORE_PATH_MAX], leftover[STORE_PATH_MAX]; /* "": none */
};
int store_find_asides(const char *path, struct store_asides *ret, struct err *err) MUST_CHECK;
/* Removes an outbox that was set aside, or what is left of it, with all that belongs to it; said() gets each name.
 * -EINVAL: it is not one, and nothing was removed; -EBUSY: somebody reads it, or it has not been set aside to the
 * end; -ENOENT. */
int store_remove_aside(const char *path, void (*said)(const char *name), struct err *err) MUST_CHECK;
/* Restores a backup in place of the outbox of a stopped relay. The existing outbox is set aside
 * with its WAL. Ids continue above those of both. If interrupted, nothing has changed, or the
 * next start completes it. Returns -EBUSY if a process uses one of the two, -E_DAMAGED if the
 * backup is damaged, -EPROTO if one is not an outbox of ga4relay, or of a newer version. */
struct store_restored {
	uint64_t events, next_id;
	char aside[STORE_PATH_MAX]; /* "": there was none */
	/* A WAL beside the backup is not its own: it was neither read nor touched. Also set on failure */
	bool passed_over_wal;
};
int store_restore(const char *path, const char *backup, int64_t wall_us, struct store_restored *ret,
                  struct err *err) MUST_CHECK;
/* Sets the limits that a reload may change. */
void store_set_limits(struct store *st, const struct store_config *config);

/* Returns the number of a stream's name, which is assigned if it is new. Numbers start at 1, are
 * never reused and stay below STORE_STREAMS_MAX. Runs its own transaction. */
int store_stream_id(struct store *st, struct slice name, uint32_t *ret, struct err *err) MUST_CHECK;
/* Returns NULL if there is none. */
const char *store_stream_name(const struct store *st, uint32_t sid);
/* True if the names of all streams were lost, and all events are those of the first. */
bool store_has_one_lost_stream(struct store *st);

/* Counters that are kept in memory and stored in the outbox, so that a start needs no count(*). */
struct store_stats {
	uint64_t dead[DEAD_COUNT];
	uint64_t rejected;
	uint64_t bytes_used; /* pages in use and WAL frames not yet copied */
	uint64_t disk_free;  /* free space of the file system plus free pages of the database */
	uint64_t next_id;
	uint64_t delivered_total; /* delivered since the outbox was created */
	uint64_t dropped_total;   /* dropped by operators since the outbox was created */
	uint64_t purged_dead;     /* deleted after outbox.keep_dead since this process started */
	bool full;                /* new events are rejected with QUEUE_FULL */
	char full_why[128];       /* the current reason, or the last one */
	uint64_t refused;         /* lines rejected with QUEUE_FULL since start */
	bool unclean_start;       /* the last process did not close the outbox */
	uint64_t maybe_twice;     /* upper bound of the events in flight when it died */
	/* At start the file lacked the latest writes; ids continue above those used */
	bool is_older;
};
void store_get_stats(struct store *st, struct store_stats *ret);
/* Events by sid and state; 10 KB. */
struct store_events {
	uint64_t n[STORE_STREAMS_MAX][STATE_COUNT];
};
void store_get_events(const struct store *st, struct store_events *ret);

/* The damage of an outbox and what can be read of it: SQLite's own check, then every row. Takes
 * seconds with millions of rows. For ctl --offline, on a read-only store. */
struct store_check {
	bool sound;
	char problem[512];            /* the first problem; "": none */
	uint64_t events[STATE_COUNT]; /* complete events */
	/* Not as ga4relay writes them, or without their envelope */
	uint64_t incomplete;
	uint64_t counted;                /* number of events by the counters */
	bool counted_known;              /* … unless these are lost as well */
	uint64_t lost_pages, lost_cells; /* of a damaged file: what could not be read */
};
void store_check(struct store *st, struct store_check *ret);

/* What tells this outbox from others in a fleet. */
void store_get_identity(const struct store *st, struct outbox_identity *ret);

enum pause_word store_pause_word(const struct store *st, uint32_t sid);

#endif
