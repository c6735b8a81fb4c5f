/* store.h - the outbox file, synchronous: called by the writer's thread only (or inline in tests) */
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
#include "ga4/verdict.h"
#include "outbox/db/store_config.h"

struct store;

/* What an operator said of a stream, over its configuration. Stored in the outbox. */
enum pause_word { PAUSE_UNSET, PAUSE_PAUSED, PAUSE_RESUMED };

enum { STORE_NAME_MAX = 64, STORE_STREAMS_MAX = 256, STORE_PATH_MAX = 4096 };

/* Opens or creates. Errors: -EBUSY another process holds it (exit 75); -EPROTO not ours, or newer (exit 78);
 * -EUCLEAN ours but corrupt (the daemon sets it aside: store_set_aside); -ENOSPC, -EACCES, -EIO, …
 * The file is left untouched on -EPROTO and -EBUSY. */
int store_open(struct store **ret, const struct store_config *config, int64_t wall_us, struct err *err) MUST_CHECK;
/* Of a store that was opened read_only, after a job failed: what can be read of the file takes its place, and the job
 * may be run once more. Opening does it by itself where it must. Negative: it was done already, the trouble was no
 * damage, or nothing can be read. */
int store_salvage(struct store *st, struct err *err) MUST_CHECK;
/* How much of its rows a store holds that was opened read_only: a look at all of them. */
struct store_rows {
	bool damaged;        /* the file; what is here was salvaged from it */
	const char *problem; /* what is wrong with it; "" : nothing is known to be */
	uint64_t here;
	uint64_t counted; /* as many the file's counters say there were … */
	bool known;       /* … unless they are lost as well */
};
static inline bool store_rows_whole(const struct store_rows *rows)
{
	return rows->known && rows->here == rows->counted;
}
/* Of events, or of refused lines. Negative: it was not to be read; store_salvage() may help. */
int store_count_rows(struct store *st, bool rejected, struct store_rows *ret) MUST_CHECK;
/* Was the file damaged, and what is here salvaged from it? */
bool store_is_salvaged(const struct store *st);
/* Of a store that was opened read_only: another file's WAL lies beside it, and was not read. */
bool store_passed_over_wal(const struct store *st);
/* Checkpoints, truncates the WAL, closes. Takes NULL. */
struct store *store_close(struct store *st);
/* Renames a corrupt outbox (and its WAL) to PATH.corrupt-YYYYMMDDTHHMMSSZ; the next store_open() starts a new one
 * whose ids go on above the old. ret_name gets the new name. */
int store_set_aside(const struct store_config *config, int64_t wall_us, char *ret_name, size_t size,
                    struct err *err) MUST_CHECK;
/* What was set aside and is still there: outboxes, and what is left over: WALs and journals without their outbox. */
struct store_asides {
	unsigned n, n_leftovers;
	char newest[STORE_PATH_MAX], leftover[STORE_PATH_MAX]; /* "" : there is none */
};
int store_find_asides(const char *path, struct store_asides *ret, struct err *err) MUST_CHECK;
/* Removes an outbox that was set aside, or what is left of it, with all that belongs to it; said() gets each name.
 * -EINVAL: it is not one, and nothing was removed; -EBUSY: somebody reads it; -ENOENT. */
int store_remove_aside(const char *path, void (*said)(const char *name), struct err *err) MUST_CHECK;
/* Puts a backup in the place of the outbox of a stopped relay. What was there is set aside with its WAL; nothing of
 * it stays beside the backup. Ids go on above both. Stopped at any point, it did not begin, or a start ends it.
 * -EBUSY: a process has one of the two; -EUCLEAN: the backup is damaged; -EPROTO: one is not ours, or newer. */
struct store_restored {
	uint64_t events, next_id;
	char aside[STORE_PATH_MAX]; /* "" : there was none */
};
int store_restore(const char *path, const char *backup, int64_t wall_us, struct store_restored *ret,
                  struct err *err) MUST_CHECK;
/* What a reload may change. */
void store_set_limits(struct store *st, const struct store_config *config);

/* The number of a stream's name, made when it is new. Numbers start at 1, are never used again and stay below
 * STORE_STREAMS_MAX. Own transaction. */
int store_stream_id(struct store *st, struct slice name, uint32_t *ret, struct err *err) MUST_CHECK;
/* NULL when there is none. */
const char *store_stream_name(const struct store *st, uint32_t sid);

/* Counters kept in memory and in the outbox: no count(*) at start. */
struct store_stats {
	uint64_t dead[DEAD_COUNT];
	uint64_t rejected;
	uint64_t bytes_used; /* pages in use and WAL frames not yet checkpointed */
	uint64_t disk_free;  /* of the file system, free pages of the database included */
	uint64_t next_id;
	uint64_t dropped_total; /* by operators, since the outbox was made */
	uint64_t purged_dead;   /* after outbox.keep_dead, since this process started */
	bool full;              /* new events are answered QUEUE_FULL */
	char full_why[128];     /* now, or when it was so last */
	uint64_t refused;       /* lines answered QUEUE_FULL, since start */
	bool unclean_start;     /* the last process did not close the outbox */
	uint64_t maybe_twice;   /* the most events that were in flight when it died */
	bool is_older; /* at the start the file lacked what was written last; ids went on above what was given */
};
void store_get_stats(struct store *st, struct store_stats *ret);
/* Events by sid and state, 10 KB. */
struct store_events {
	uint64_t n[STORE_STREAMS_MAX][STATE_COUNT];
};
void store_get_events(const struct store *st, struct store_events *ret);

/* What is wrong with an outbox, and what of it can be read: SQLite's own check, then every row. Takes seconds with
 * millions of rows: for ctl --offline, on a store that was opened read_only. */
struct store_check {
	bool sound;
	char problem[512];               /* the first one; "" : none */
	uint64_t events[STATE_COUNT];    /* read whole */
	uint64_t incomplete;             /* found, but not as ga4relay writes them, or without their envelope */
	uint64_t counted;                /* as many there should be */
	bool counted_known;              /* … unless that is lost as well */
	uint64_t lost_pages, lost_cells; /* of a damaged file: what could not be read of it */
};
void store_check(struct store *st, struct store_check *ret);

enum pause_word store_pause_word(const struct store *st, uint32_t sid);

#endif
