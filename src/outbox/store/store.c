/* store.c - opening and closing the outbox; its streams, ids and counters */
#include "outbox/store/store.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ga4/stream_rules.h"
#include "outbox/db/rewrite_wal.h"
#include "outbox/db/schema.h"
#include "outbox/file/beside.h"
#include "outbox/file/identify.h"
#include "outbox/file/new_outbox.h"
#include "outbox/file/salvage.h"
#include "outbox/store/aside.h"
#include "outbox/store/store_private.h"

/* Ids are reserved in the lock file in blocks, so one small sync is needed per million ids. */
enum { ID_BLOCK = 1 << 20 };

static int set_paths(struct store *st, const char *path)
{
	char *copy;

	st->path = strdup(path);
	copy = strdup(path);
	if (st->path && copy)
		st->dir = strdup(dirname(copy));
	free(copy);
	if (!st->path || !st->dir)
		return -ENOMEM;
	st->config.path = st->path;
	return 0;
}

/* A name that no configuration can contain was written by something else. It is replaced by a
 * number, which cannot be the name of a configured stream. */
static void name_stream(struct stream_row *stream, uint32_t sid, struct slice name)
{
	if (stream_name_is_valid(name))
		snprintf(stream->name, sizeof(stream->name), "%.*s", SLICE_ARG(name));
	else
		snprintf(stream->name, sizeof(stream->name), "#%u", (unsigned)sid);
}

int store_load_streams(struct store *st)
{
	int r;

	memset(st->streams, 0, sizeof(st->streams));
	st->streams_changed = false;
	while ((r = db_row(&st->db, SQL_STREAMS)) > 0) {
		int64_t sid = db_col(&st->db, SQL_STREAMS, 0), pause = db_col(&st->db, SQL_STREAMS, 2);
		struct slice name = db_col_text(&st->db, SQL_STREAMS, 1);

		if (sid < 1 || sid >= STORE_STREAMS_MAX)
			continue;
		name_stream(&st->streams[sid], (uint32_t)sid, name);
		st->streams[sid].pause =
		        pause == PAUSE_PAUSED || pause == PAUSE_RESUMED ? (enum pause_word)pause : PAUSE_UNSET;
	}
	return r;
}

static int load_next_id(struct store *st)
{
	int64_t next = st->counters.now[STORED_NEXT_ID], event, rejected;

	if (db_one(&st->db, SQL_MAX_EVENT, 0, &event) < 0 || db_one(&st->db, SQL_MAX_REJECTED, 0, &rejected) < 0)
		return -EIO;
	if (!st->config.read_only &&
	    (event == INT64_MAX || rejected == INT64_MAX)) { /* not written by ga4relay: a damaged page */
		st->db.trouble = TROUBLE_CORRUPT;
		snprintf(st->db.trouble_text, sizeof(st->db.trouble_text), "an id is beyond any that was given");
		return -EIO;
	}
	/* The WAL is missing or of another file, or an older copy was restored: ids were used
	 * that this file does not know. */
	st->is_older = st->lacks_wal ||
	               (next > 0 && st->lock.known && !st->config.read_only && (uint64_t)next < st->lock.id_mark &&
	                (st->lock.closed || st->counters.now[STORED_CLEAN] || !st->had_wal));
	if ((next == 0 || st->is_older) && next < (int64_t)st->lock.id_mark)
		next = (int64_t)st->lock.id_mark;
	if (next <= event && event < INT64_MAX)
		next = event + 1;
	if (next <= rejected && rejected < INT64_MAX)
		next = rejected + 1;
	st->counters.now[STORED_NEXT_ID] = next > 0 ? next : 1;
	return 0;
}

static int load_envelopes(struct store *st)
{
	struct hash_key key = {(uint64_t)st->counters.now[STORED_HASH_K0],
	                       (uint64_t)st->counters.now[STORED_HASH_K1]};
	int64_t last;

	if (key.k0 == 0 && key.k1 == 0)
		hash_key_init(&key); /* note_start() stores it */
	if (db_one(&st->db, SQL_MAX_ENVELOPE, 0, &last) < 0)
		return -EIO;
	return envelopes_init(&st->envelopes, &key, (uint64_t)last + 1);
}

/* Records that a process is running. */
static int note_start(struct store *st, void *arg UNUSED)
{
	/* Stored even before the first event: the counter distinguishes a used outbox from a new
	 * one, whose ids start at the lock file's mark. */
	stored_counters_set(&st->counters, STORED_NEXT_ID, st->counters.now[STORED_NEXT_ID]);
	stored_counters_set(&st->counters, STORED_HASH_K0, (int64_t)st->envelopes.key.k0);
	stored_counters_set(&st->counters, STORED_HASH_K1, (int64_t)st->envelopes.key.k1);
	/* The bound of events in flight stays until delivery stores a new one, so that a start
	 * that is killed does not lose it. */
	stored_counters_set(&st->counters, STORED_CLEAN, 0);
	store_begin_identity(st);
	return 0;
}

static int load(struct store *st)
{
	int r = stored_counters_load(&st->counters, &st->db);
	bool fresh = st->counters.now[STORED_NEXT_ID] == 0;

	if (r == 0)
		r = store_load_streams(st);
	if (r == 0)
		r = load_next_id(st);
	if (r == 0)
		r = load_envelopes(st);
	if (r == 0 && !st->config.read_only)
		r = pairing_load(&st->pairing, &st->db);
	st->unclean_start = !fresh && st->counters.now[STORED_CLEAN] == 0;
	st->maybe_twice = st->unclean_start ? (uint64_t)st->counters.now[STORED_IN_FLIGHT] : 0;
	/* In an empty outbox, any envelopes are left from a stop before garbage collection. */
	st->maintenance.gone_since_gc = st->unclean_start ? (uint64_t)st->counters.kept + 1 : st->counters.rows == 0;
	return r;
}

static int start_writing(struct store *st)
{
	int r = store_transaction(st, note_start, NULL);

	/* Retry once, because the ballast may have been released. */
	if (r == -ENOSPC)
		r = store_transaction(st, note_start, NULL);
	if (r == 0 && st->lock.suspect)
		r = lockfile_write(&st->lock, st->lock.id_mark, false);
	/* From here on the file says that it needs its WAL. If there is no room for that now, a
	 * later checkpoint does it. */
	if (r == 0 && db_checkpoint(&st->db, false) < 0)
		store_judge_trouble(st, "copying the WAL into the database");
	if (!st->fatal)
		db_forget_trouble(&st->db);
	st->pairing.begins = true;
	return st->fatal ? -EIO : r;
}

static int check_version(struct store *st, struct err *err)
{
	int64_t version;
	int r = db_exec_int(&st->db, "PRAGMA user_version", &version, err);

	if (r < 0)
		return r;
	/* The number in the header is older while the newer one is only in the WAL. */
	if (version > schema_version())
		return err_set(
		        err, -EPROTO,
		        "written by a newer ga4relay (format %d, this one knows %d) and left alone; install that "
		        "version again",
		        (int)version, schema_version());
	/* All older formats are read as they are. */
	if (st->config.read_only)
		return 0;
	return schema_migrate(&st->db, (int)version, err);
}

static int check_suspect(struct store *st, struct err *err)
{
	int r;

	if ((!st->lock.suspect && !st->check) || st->config.read_only)
		return 0;
	st->check = true;
	r = db_check_pages(&st->db, DB_CHECK_QUICK, err);
	return r == -E_DAMAGED ? err_set(err, r, "the file is damaged") : r;
}

static int set_modes(struct store *st, struct err *err)
{
	int r;

	if (st->config.read_only)
		return db_exec(&st->db, "PRAGMA query_only = ON; PRAGMA cell_size_check = ON", err);
	r = db_exec(&st->db, st->config.sync_full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
	if (r == 0)
		r = db_exec(&st->db, "PRAGMA journal_mode = WAL", err);
	return r;
}

/* On a full disk that copies what is written over, with the room of the ballast. */
static int rewrite_old_wal(struct store *st, struct err *err)
{
	int r = st->config.read_only ? 0 : rewrite_wal(st->path, st->config.vfs, err);

	if (r != -ENOSPC)
		return r;
	ballast_give_back(st);
	return rewrite_wal(st->path, st->config.vfs, err);
}

static int try_database(struct store *st, struct err *err)
{
	int r = rewrite_old_wal(st, err);

	if (r == 0)
		r = new_outbox_open(&st->db, &st->config, st->wal, err);
	if (r == 0)
		r = set_modes(st, err);
	if (r == 0)
		r = check_version(st, err);
	if (r == 0)
		r = check_suspect(st, err);
	if (r == 0)
		r = db_prepare(&st->db, err);
	if (r < 0)
		return r;
	r = load(st);
	if (st->db.trouble != TROUBLE_NONE)
		r = err_set(err, trouble_errno(st->db.trouble), "%s", st->db.trouble_text);
	else if (r < 0)
		err_set(err, r, "%s", err_text(r));
	return r;
}

/* Damage is believed only after a second connection has read the whole file again. */
static int open_database(struct store *st, struct err *err)
{
	int r = try_database(st, err);

	if (r != -E_DAMAGED || st->config.read_only || st->check)
		return r;
	log_warning("outbox %s: %s; reading it again to be sure", st->path, err->text);
	db_close(&st->db, false);
	envelopes_free(&st->envelopes);
	st->check = true;
	return try_database(st, err);
}

/* Without a lock file it is unknown which ids were used in a WAL that is missing or not the
 * outbox's own. */
static void note_missing_wal(struct store *st, int64_t wall_us)
{
	st->lacks_wal = true;
	st->check = true; /* the file may be half of an interrupted copy */
	if (!st->lock.known)
		st->lock.id_mark = aside_id_mark(&st->lock, wall_us);
}

/* Must precede SQLite, which would replay any WAL or journal that it finds. */
static int settle_wal(struct store *st, int64_t wall_us, struct err *err)
{
	struct wal_look look;
	int r = wal_look(st->path, &look, err);

	if (r < 0)
		return r;
	st->wal = look.kind;
	st->had_wal = look.kind == WAL_OWN || look.kind == WAL_UNUSED;
	if (st->config.read_only) {
		st->lacks_wal = !st->had_wal && look.is_needed;
		return 0;
	}
	r = wal_keep_anothers(st->path, &look, err);
	if (r > 0 || (!st->had_wal && look.is_needed))
		note_missing_wal(st, wall_us);
	return r < 0 ? r : 0;
}

static int make_file(struct store *st, struct err *err)
{
	if (st->config.read_only)
		return err_set(err, -ENOENT, "outbox %s: there is no such file, or it is empty", st->path);
	return new_outbox_create(&st->config, err);
}

/* Called with the lock held, so that no other process creates or replaces the file. */
static int settle_file(struct store *st, int64_t wall_us, struct err *err)
{
	enum outbox_file file;
	int r = st->config.read_only ? 0 : aside_go_on(st->path, &st->lock, err);

	if (r == 0)
		r = outbox_identify(st->path, &file, err);
	/* A read-only file is salvaged with its own WAL; set_aside.c handles another file's WAL. */
	if (r == 0 && st->config.read_only)
		r = settle_wal(st, wall_us, err);
	if (r < 0)
		return r;
	if (file == OUTBOX_DAMAGED || file == OUTBOX_STRANGE)
		return err_set(err, -E_DAMAGED, "outbox %s: its header is damaged", st->path);
	if (!st->config.read_only)
		r = settle_wal(st, wall_us, err);
	return r == 0 && file == OUTBOX_MISSING ? make_file(st, err) : r;
}

static int find_file(struct store *st, int64_t wall_us, struct err *err)
{
	enum outbox_file file;
	int r = st->config.read_only ? 0 : outbox_check_names(st->path, geteuid(), err);

	if (r == 0)
		r = outbox_identify(st->path, &file, err);
	if (r < 0)
		return r;
	if (file == OUTBOX_MISSING && st->config.read_only)
		return err_set(err, -ENOENT, "outbox %s: there is no such file, or it is empty", st->path);
	/* An outbox that was set aside has no lock file; its rows will show whether it is ours. */
	if (file == OUTBOX_STRANGE && !st->config.read_only)
		return err_set(err, -EPROTO,
		               "outbox %s: that is no outbox of ga4relay and was left alone; name another file in "
		               "outbox.path",
		               st->path);
	r = lockfile_take(&st->lock, st->path, err);
	return r < 0 ? r : settle_file(st, wall_us, err);
}

static int keep_id_mark(struct store *st)
{
	uint64_t next = (uint64_t)st->counters.now[STORED_NEXT_ID];

	if (st->config.read_only)
		return 0;
	st->lock.closed = false;
	/* Written even if the mark is still high enough, because its sync may have failed
	 * (rewrite_wal.c). */
	return lockfile_write(&st->lock,
	                      st->lock.known && next < st->lock.id_mark ? st->lock.id_mark : next + ID_BLOCK,
	                      st->lock.suspect);
}

/* Copies the last process's WAL into the database. Its last transaction contains a new mark, by
 * which this process's WAL is distinguished from it. If there is no room for that, the WAL is
 * continued. */
static int end_inherited_wal(struct store *st)
{
	int r;

	if (st->config.read_only || !st->had_wal)
		return 0;
	r = store_empty_wal(st);
	/* Retry once, because the ballast may have been released. */
	if (r == -ENOSPC)
		r = store_empty_wal(st);
	return st->fatal ? r : 0;
}

static int take_salvaged(struct store *st, struct err *err)
{
	int r;

	db_close(&st->db, false);
	envelopes_free(&st->envelopes);
	st->salvaged = true;
	r = salvage(&st->db, st->path, st->wal != WAL_ANOTHERS, &st->what, err);
	if (r == 0)
		r = db_prepare(&st->db, err);
	if (r == 0 && load(st) < 0)
		r = err_set(err, -EIO, "what could be read cannot be used: %s", st->db.trouble_text);
	return r < 0 ? err_prefix(err, r, "outbox %s: damaged", st->path) : 0;
}

int store_salvage(struct store *st, struct err *err)
{
	if (!st->config.read_only || st->salvaged || st->db.trouble != TROUBLE_CORRUPT)
		return err_set(err, -EIO, "outbox %s: %s", st->path, st->db.trouble_text);
	snprintf(st->damage, sizeof(st->damage), "%s", st->db.trouble_text);
	return take_salvaged(st, err);
}

static int open_all(struct store *st, int64_t wall_us, struct err *err)
{
	int r = find_file(st, wall_us, err);
	bool found = r == 0;

	if (found)
		r = space_prepare(st, err);
	if (found && r == 0)
		r = open_database(st, err);
	if (r == -E_DAMAGED && st->config.read_only) {
		snprintf(st->damage, sizeof(st->damage), "%s", err->text);
		return take_salvaged(st, err);
	}
	if (r < 0)
		return found ? err_prefix(err, r, "outbox %s", st->path) : r;
	r = space_open(st, err);
	/* By now SQLite has created the WAL. It syncs the directory itself but ignores the
	 * result. */
	if (r == 0 && !st->config.read_only)
		r = beside_sync(st->path, err);
	if (r < 0)
		return r;
	r = end_inherited_wal(st);
	if (r == 0)
		r = keep_id_mark(st);
	if (r == 0 && !st->config.read_only)
		r = start_writing(st);
	if (r < 0)
		err_set(err, r, "outbox %s: cannot be written: %s", st->path,
		        st->db.trouble != TROUBLE_NONE ? st->db.trouble_text : err_text(r));
	return r;
}

int store_open(struct store **ret, const struct store_config *config, int64_t wall_us, struct err *err)
{
	struct store *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return err_set(err, -ENOMEM, "outbox %s: out of memory", config->path);
	st->config = *config;
	st->lock.fd = -1;
	st->space.ballast_fd = -1;
	r = set_paths(st, config->path);
	r = r < 0 ? err_set(err, r, "outbox %s: out of memory", config->path) : open_all(st, wall_us, err);
	if (r < 0) {
		st->fatal = true; /* write nothing on the way out */
		store_close(st);
		return r;
	}
	*ret = st;
	return 0;
}

static int note_stop(struct store *st, void *arg UNUSED)
{
	st->pairing.wanted = st->pairing.whole = true;
	stored_counters_set(&st->counters, STORED_CLEAN, 1);
	stored_counters_set(&st->counters, STORED_IN_FLIGHT, 0);
	return 0;
}

/* SQLite creates a WAL to read a database in WAL mode. A WAL with content from a crash stays. */
static void remove_empty_wal(const struct store *st)
{
	char path[PATH_MAX];
	struct stat wal;

	if (st->lock.fd >= 0 && snprintf(path, sizeof(path), "%s-wal", st->path) < (int)sizeof(path) &&
	    lstat(path, &wal) == 0 && wal.st_size == 0)
		(void)unlink(path);
}

/* Records that no higher id was used, so that a file that knows fewer at the next start is
 * recognised as older. If this fails, the old mark stays, which is higher. */
static void note_last_id(struct store *st, bool closed)
{
	int r;

	st->lock.closed = closed;
	r = lockfile_write(&st->lock, (uint64_t)st->counters.now[STORED_NEXT_ID], st->lock.suspect);
	(void)r;
}

static bool note_end(struct store *st)
{
	int r;

	note_last_id(st, true);
	r = store_transaction(st, note_stop, NULL);
	/* Retry once, because the ballast may have been released. */
	if (r == -ENOSPC)
		r = store_transaction(st, note_stop, NULL);
	/* The file does not know the ids of failed transactions, although nothing is missing
	 * from it. */
	if (r < 0)
		note_last_id(st, false);
	return r == 0;
}

struct store *store_close(struct store *st)
{
	bool sound;

	if (!st)
		return NULL;
	store_end_backup(st);
	sound = !st->fatal && !st->config.read_only;
	if (sound)
		sound = note_end(st) && db_checkpoint(&st->db, true) == 0;
	/* After a failed sync, recovery at the next start decides, so nothing is copied here. */
	db_close(&st->db, sound);
	if (st->config.read_only)
		remove_empty_wal(st);
	envelopes_free(&st->envelopes);
	space_close(st);
	if (st->lock.fd >= 0)
		lockfile_release(&st->lock, st->path);
	free(st->gone);
	free(st->path);
	free(st->dir);
	free(st);
	return NULL;
}

void store_set_limits(struct store *st, const struct store_config *config)
{
	st->config.max_events = config->max_events;
	st->config.max_bytes = config->max_bytes;
	st->config.keep_delivered_us = config->keep_delivered_us;
	st->config.keep_dead_us = config->keep_dead_us;
	st->config.keep_rejected = config->keep_rejected;
	st->maintenance.settled_due_us = 0; /* check again, because other rows may be due now */
	space_check(st, clock_mono_us(), true);
}

uint64_t store_take_ids(struct store *st, uint32_t n)
{
	uint64_t first = (uint64_t)st->counters.now[STORED_NEXT_ID];

	if (unlikely(first + n > st->lock.id_mark) &&
	    lockfile_write(&st->lock, first + n + ID_BLOCK, st->lock.suspect) < 0)
		db_fail(&st->db, "the lock file cannot be written");
	stored_counters_add(&st->counters, STORED_NEXT_ID, n);
	return first;
}

uint64_t store_last_id(const struct store *st)
{
	return st->config.read_only ? INT64_MAX : (uint64_t)st->counters.now[STORED_NEXT_ID] - 1;
}

bool store_passed_over_wal(const struct store *st)
{
	return st->config.read_only && st->wal == WAL_ANOTHERS;
}

bool store_lacks_wal(const struct store *st)
{
	return st->lacks_wal;
}

const char *store_stream_name(const struct store *st, uint32_t sid)
{
	return sid > 0 && sid < STORE_STREAMS_MAX && st->streams[sid].name[0] ? st->streams[sid].name : NULL;
}

bool store_has_one_lost_stream(struct store *st)
{
	int64_t last;
	struct err err;

	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX; sid++)
		if (st->streams[sid].name[0])
			return false;
	return db_exec_int(&st->db, "SELECT coalesce(max(sid), 0) FROM event", &last, &err) == 0 && last <= 1;
}

enum pause_word store_pause_word(const struct store *st, uint32_t sid)
{
	return sid < STORE_STREAMS_MAX ? st->streams[sid].pause : PAUSE_UNSET;
}

int store_add_stream(struct store *st, struct slice name, uint32_t *ret)
{
	uint32_t sid;

	if (name.n == 0 || name.n > STORE_NAME_MAX)
		return -EINVAL;
	for (sid = 1; sid < STORE_STREAMS_MAX && st->streams[sid].name[0]; sid++) {
		if (slice_eq(slice_of(st->streams[sid].name), name)) {
			*ret = sid;
			return 0;
		}
	}
	if (sid == STORE_STREAMS_MAX)
		return -ENOSPC;
	db_int(&st->db, SQL_ADD_STREAM, 1, sid);
	db_text(&st->db, SQL_ADD_STREAM, 2, name);
	if (db_run(&st->db, SQL_ADD_STREAM) < 0)
		return -EIO;
	st->streams_changed = true;
	memcpy(st->streams[sid].name, name.p, name.n);
	st->streams[sid].name[name.n] = '\0';
	*ret = sid;
	return 0;
}

struct stream_wish {
	struct slice name;
	uint32_t sid;
};

static int add_wished(struct store *st, void *arg)
{
	struct stream_wish *wish = arg;

	return store_add_stream(st, wish->name, &wish->sid);
}

int store_stream_id(struct store *st, struct slice name, uint32_t *ret, struct err *err)
{
	struct stream_wish wish = {.name = name};
	int r = store_transaction(st, add_wished, &wish);

	if (r < 0)
		return err_set(err, r, "outbox %s: stream %.*s cannot be numbered: %s", st->path, SLICE_ARG(name),
		               r == -ENOSPC && st->db.trouble == TROUBLE_NONE
		                       ? "255 names were used already; a removed one cannot be used again"
		                       : err_text(r));
	*ret = wish.sid;
	return 0;
}

void store_get_events(const struct store *st, struct store_events *ret)
{
	for (uint32_t sid = 0; sid < STORE_STREAMS_MAX; sid++)
		for (int state = 0; state < STATE_COUNT; state++)
			ret->n[sid][state] =
			        (uint64_t)st->counters.committed[stored_counter_of(sid, (enum event_state)state)];
}

void store_get_stats(struct store *st, struct store_stats *ret)
{
	const int64_t *n = st->counters.committed;

	*ret = (struct store_stats){
	        .rejected = (uint64_t)n[STORED_REJECTED],
	        .bytes_used = st->space.bytes_used,
	        .disk_free = st->space.disk_free,
	        .next_id = (uint64_t)st->counters.now[STORED_NEXT_ID],
	        .delivered_total = (uint64_t)n[STORED_DELIVERED],
	        .dropped_total = (uint64_t)n[STORED_DROPPED],
	        .purged_dead = st->maintenance.purged_dead,
	        .unclean_start = st->unclean_start,
	        .maybe_twice = st->maybe_twice,
	        .is_older = st->is_older,
	};
	for (int reason = 0; reason < DEAD_COUNT; reason++)
		ret->dead[reason] = (uint64_t)n[STORED_DEAD + reason];
	const char *why = space_refuses(st, 1);
	ret->full = why != NULL;
	ret->refused = st->space.refused;
	if (!why)
		why = st->space.refused_why;
	if (why)
		strncpy(ret->full_why, why, sizeof(ret->full_why) - 1);
}
