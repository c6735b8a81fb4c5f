/* restore.c - restoring a backup in place of the outbox of a stopped relay
 *
 * The copy is completed, with its ids raised, and synced under its own name. Only then does the
 * lock file record that it will replace the outbox, and the existing one is set aside (aside.h).
 * If interrupted before that record, nothing has changed; after it, the next start completes the
 * operation. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "outbox/db/joined_writes.h"
#include "outbox/file/beside.h"
#include "outbox/file/identify.h"
#include "outbox/file/in_place.h"
#include "outbox/file/owner.h"
#include "outbox/store/aside.h"
#include "outbox/store/store_private.h"

struct restore {
	const char *path;
	char copy[PATH_MAX];
	struct store *backup;
	struct lockfile lock;
	bool replaces; /* an outbox exists that must be set aside */
	uint64_t next_id;
};

/* ---- the copy ---- */

/* Whose files the outbox's are, which root may restore for its service. In the directory of
 * another user root acts as that one (owner.h). */
static int find_owner(const char *path, struct stat *ret, struct err *err)
{
	int r = beside_look(path, "", ret, err);

	if (r == 0)
		*ret = (struct stat){.st_uid = geteuid(), .st_gid = getegid()};
	return r < 0 ? r : 0;
}

static int check_names(const char *path, struct err *err)
{
	struct stat sb;
	int r = find_owner(path, &sb, err);

	return r < 0 ? r : outbox_check_names(path, geteuid() == 0 ? sb.st_uid : geteuid(), err);
}

static int own_as(int fd, const char *path, struct err *err)
{
	struct stat sb;
	int r = find_owner(path, &sb, err);

	if (r < 0)
		return r;
	if (geteuid() == 0 && fchown(fd, sb.st_uid, sb.st_gid) < 0)
		return err_set(err, -errno, "%s: its owner cannot be set: %s", path, strerror(errno));
	return 0;
}

static int make_empty(const struct restore *x, struct err *err)
{
	static const char *const leftovers[] = {"", "-journal", "-wal"};
	_cleanup_(fd_closep) int fd = -1;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(leftovers); i++)
		r = beside_remove(x->copy, leftovers[i], err);
	if (r < 0)
		return r;
	fd = open(x->copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_set(err, -errno, "%s cannot be made: %s", x->copy, strerror(errno));
	in_place_set(fd);
	r = own_as(fd, x->path, err);
	return r < 0 ? r : own_as(x->lock.fd, x->path, err);
}

static int copy_pages(struct restore *x, struct db *db, struct err *err)
{
	sqlite3_backup *copy = sqlite3_backup_init(db->conn, "main", x->backup->db.conn, "main");
	int rc = copy ? sqlite3_backup_step(copy, -1) : sqlite3_errcode(db->conn);

	if (copy)
		sqlite3_backup_finish(copy);
	if (rc == SQLITE_DONE)
		return 0;
	return err_set(err, rc == SQLITE_FULL ? -ENOSPC : -EIO, "%s cannot be written: %s", x->copy,
	               sqlite3_errstr(rc));
}

/* Also stores the counts of events above the stored next id, because raising that id would
 * exclude them. */
static int write_numbers(struct restore *x, struct db *db, struct err *err)
{
	const int64_t *now = x->backup->counters.now;
	char sql[128];
	int r = 0;

	for (int key = 0; r == 0 && key < STORED_COUNT; key++) {
		if (now[key] == 0)
			continue;
		snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO counter VALUES(%d, %lld)", key,
		         key == STORED_NEXT_ID ? (long long)x->next_id : (long long)now[key]);
		r = db_exec(db, sql, err);
	}
	return r;
}

static int fill_copy(struct restore *x, struct db *db, struct err *err)
{
	int r = db_exec(db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY", err);

	if (r == 0)
		r = copy_pages(x, db, err);
	if (r == 0)
		r = db_exec(db, "BEGIN", err);
	if (r == 0)
		r = write_numbers(x, db, err);
	if (r == 0)
		r = pairing_make(db, err);
	if (r == 0)
		r = db_exec(db, "COMMIT", err);
	return r;
}

static int sync_copy(const struct restore *x, struct err *err)
{
	_cleanup_(fd_closep) int fd = open(x->copy, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fsync(fd) < 0)
		return err_set(err, -errno, "%s cannot be synced: %s", x->copy, strerror(errno));
	return 0;
}

static int make_copy(struct restore *x, struct err *err)
{
	const char *vfs;
	struct db db;
	int r = make_empty(x, err);

	if (r < 0)
		return r;
	db_init_sqlite();
	vfs = joined_writes_vfs(NULL, JOINED_WRITES_ALONE);
	if (!vfs)
		return err_set(err, -ENOMEM, "out of memory");
	r = db_open(&db, x->copy, SQLITE_OPEN_READWRITE, vfs, err);
	if (r < 0)
		err_prefix(err, r, "%s", x->copy);
	if (r == 0) {
		r = fill_copy(x, &db, err);
		db_close(&db, r == 0);
	}
	/* SQLite leaves no WAL after copying all of it. */
	if (r == 0)
		r = beside_look(x->copy, "-wal", NULL, err);
	if (r > 0)
		return err_set(err, -EIO, "%s could not be written whole", x->copy);
	return r == 0 ? sync_copy(x, err) : r;
}

/* ---- the outbox that is replaced ---- */

static int look_at_outbox(struct restore *x, int64_t wall_us, struct err *err)
{
	uint64_t next = (uint64_t)x->backup->counters.now[STORED_NEXT_ID], mark;
	enum outbox_file file;
	int r = outbox_identify(x->path, &file, err);

	if (r == 0 && file == OUTBOX_STRANGE)
		r = err_set(err, -EPROTO, "%s is not an outbox of ga4relay; left unchanged", x->path);
	if (r == 0)
		r = beside_look(x->path, "", NULL, err);
	if (r < 0)
		return r;
	x->replaces = r > 0;
	/* Without an earlier outbox, only the backup's ids were used. */
	mark = x->replaces || x->lock.known ? aside_id_mark(&x->lock, wall_us) : 0;
	x->next_id = next > mark ? next : mark;
	return 0;
}

/* From here on a start completes the operation. */
static int put_in_place(struct restore *x, int64_t wall_us, char *ret_aside, size_t size, struct err *err)
{
	int r;

	x->lock.restore = true;
	x->lock.closed = false;
	if (x->replaces)
		r = aside_begin(x->path, &x->lock, ASIDE_REPLACED, x->next_id, wall_us, err);
	else
		r = aside_begin_empty(x->path, &x->lock, x->next_id, err);
	if (r < 0)
		return r;
	snprintf(ret_aside, size, "%s%s", x->replaces ? x->path : "", x->lock.aside);
	return aside_go_on(x->path, &x->lock, err);
}

static int restore_locked(struct restore *x, int64_t wall_us, struct store_restored *ret, struct err *err)
{
	int r = check_names(x->path, err);

	if (r == 0)
		r = aside_go_on(x->path, &x->lock, err);
	if (r == 0)
		r = look_at_outbox(x, wall_us, err);
	if (r == 0)
		r = make_copy(x, err);
	if (r < 0)
		return r;
	ret->next_id = x->next_id;
	return put_in_place(x, wall_us, ret->aside, sizeof(ret->aside), err);
}

/* ---- the backup ---- */

static int check_backup(struct store *st, struct store_restored *ret, struct err *err)
{
	struct store_check check;

	if (store_lacks_wal(st))
		return err_set(
		        err, -E_DAMAGED,
		        "%s was copied without its -wal file, which may hold what was written last: copy both, "
		        "or bring back what is in it: ga4relay-ctl --offline %s export | ga4relay-ctl send -",
		        st->path, st->path);
	store_check(st, &check);
	if (!check.sound)
		return err_set(err, -E_DAMAGED,
		               "%s is damaged (%.200s); bring back what is readable instead: ga4relay-ctl --offline "
		               "%s export | ga4relay-ctl send -",
		               st->path, check.problem, st->path);
	for (int state = 0; state < STATE_COUNT; state++)
		ret->events += check.events[state];
	return 0;
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int open_backup(struct restore *x, const char *backup, int64_t wall_us, struct store_restored *ret,
                       struct err *err)
{
	const struct store_config config = {
	        .path = backup, .read_only = true, .max_events = UINT64_MAX, .max_bytes = UINT64_MAX};
	int r;

	if (is_same_file(backup, x->path))
		return err_set(err, -EINVAL, "%s is the outbox itself", backup);
	r = store_open(&x->backup, &config, wall_us, err);
	if (r < 0)
		return r;
	ret->passed_over_wal = store_passed_over_wal(x->backup);
	return check_backup(x->backup, ret, err);
}

int store_restore(const char *path, const char *backup, int64_t wall_us, struct store_restored *ret, struct err *err)
{
	struct restore x = {.path = path, .lock.fd = -1};
	struct owner_root root = {.acts = false};
	int r = beside_name(x.copy, path, ASIDE_RESTORING, err);

	*ret = (struct store_restored){.events = 0};
	if (r == 0)
		r = open_backup(&x, backup, wall_us, ret, err);
	if (r == 0)
		r = owner_act(&root, path, err);
	if (r == 0)
		r = lockfile_take(&x.lock, path, err);
	if (r == 0)
		r = restore_locked(&x, wall_us, ret, err);
	if (r < 0 && x.lock.fd >= 0 && !x.lock.restore)
		(void)unlink(x.copy);
	if (x.lock.fd >= 0)
		lockfile_release(&x.lock, path);
	if (r == -EACCES && root.acts)
		err_prefix(err, r,
		           "with the rights of the directory's user, which root has in another user's directory");
	owner_end(&root);
	store_close(x.backup);
	return r;
}
