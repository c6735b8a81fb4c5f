/* space.c - free space: the limits and the disk */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "outbox/file/beside.h"
#include "outbox/file/in_place.h"
#include "outbox/store/store_private.h"

/* Check again after this many bytes or this much time. */
#define CHECK_BYTES (256u << 10)
#define CHECK_US US_PER_S
/* Reserve on top of every limit, for writes that a check cannot foresee. */
#define MARGIN_BYTES (1u << 20)
/* Size of a WAL frame's header (sqlite.org/fileformat2.html, "The WAL File Format"). */
enum { FRAME_HEADER = 24 };

/* On btrfs these last bytes of free space are not counted: part of what statvfs() calls free may be unusable there,
 * and a write that has to search for room takes a fifth of a second. */
#define UNREACHABLE_BYTES (4u << 20)

static void take_ballast_back(struct store *st)
{
	if (ballast_is_missing(st) &&
	    st->space.file_system_free >= st->config.min_free_disk + st->config.ballast + MARGIN_BYTES)
		ballast_take(st);
}

/* Free space below which events are rejected. Where overwriting needs room, recording the outcomes of all events can
 * take as much room as the outbox has. */
static uint64_t least_room(const struct store *st)
{
	return st->config.min_free_disk + (st->space.is_copied ? st->space.bytes_used : 0);
}

/* Returns the room for new events. While the ballast is released, half of it is reserved for outcomes, which make
 * room; events do not. The database's free pages count as room even if the file system is full. */
static uint64_t room_for_events(const struct space *s, const struct store *st)
{
	uint64_t reserve = ballast_is_missing(st) ? st->config.ballast / 2 : 0,
	         unused = s->disk_free - s->file_system_free;

	return unused + (s->file_system_free > reserve ? s->file_system_free - reserve : 0);
}

static const char *find_refusal(const struct store *st)
{
	uint64_t room = room_for_events(&st->space, st);

	if (st->space.gone)
		return "the outbox file was moved, removed or replaced under the running daemon: put it back";
	if (st->space.wal_gone)
		return "the outbox's -wal file was moved, removed or replaced under the running daemon: restart it";
	if (st->space.disk_full || (ballast_is_missing(st) && room < least_room(st) + MARGIN_BYTES))
		return "the disk is full";
	if (st->config.max_bytes && st->space.bytes_used >= st->config.max_bytes)
		return "outbox.max_bytes is reached";
	if (room < least_room(st))
		return "less than outbox.min_free_disk is left on the disk";
	return NULL;
}

static int count_pages(struct store *st, uint64_t *ret_used, uint64_t *ret_free)
{
	int64_t pages, unused;
	int r = db_one(&st->db, SQL_PAGE_COUNT, 0, &pages);

	if (r == 0)
		r = db_one(&st->db, SQL_FREE_PAGES, 0, &unused);
	if (r < 0)
		return r;
	*ret_used = (uint64_t)(pages - unused) * (uint64_t)st->db.page_size;
	*ret_free = (uint64_t)unused * (uint64_t)st->db.page_size;
	return 0;
}

/* True if the file is missing or no longer the one that was opened. If that cannot be determined now, assumes that it
 * is still there. */
static bool is_gone(const struct store *st, const char *suffix, dev_t dev, ino_t ino)
{
	struct err err;
	struct stat sb;
	int r = ino == 0 ? -1 : beside_look(st->path, suffix, &sb, &err);

	return r == 0 || (r > 0 && (sb.st_ino != ino || sb.st_dev != dev));
}

/* Records the identity of the files. SQLite creates the WAL when it opens the database and keeps it until the end.
 * They are examined by name, because closing a descriptor would drop SQLite's locks (src/README.md, trap 2). */
static int remember_files(struct store *st, struct err *err)
{
	struct space *s = &st->space;
	struct stat sb;
	int r;

	if (st->config.read_only)
		return 0;
	r = beside_look(st->path, "", &sb, err);
	if (r > 0) {
		s->db_dev = sb.st_dev;
		s->db_ino = sb.st_ino;
		r = beside_look(st->path, "-wal", &sb, err);
	}
	if (r > 0) {
		s->wal_dev = sb.st_dev;
		s->wal_ino = sb.st_ino;
	}
	return r < 0 ? r : 0;
}

/* Uses the directory, because opening the database file would drop SQLite's locks (src/README.md, trap 2). */
static uint64_t find_free(const struct store *st)
{
	struct statvfs vfs;
	uint64_t n;

	if (statvfs(st->dir, &vfs) < 0)
		return st->space.file_system_free;
	n = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (!st->space.is_btrfs)
		return n;
	return n > UNREACHABLE_BYTES ? n - UNREACHABLE_BYTES : 0;
}

/* Creates the WAL before SQLite does, so that it is overwritten in place, and checks whether the database is. */
static int prepare_files(struct store *st, struct err *err)
{
	_cleanup_(fd_closep) int wal = -1, db = -1;
	char path[PATH_MAX];
	int r = beside_name(path, st->path, "-wal", err);

	if (r < 0)
		return r;
	wal = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	db = open(st->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (wal >= 0)
		in_place_set(wal);
	st->space.is_copied = db >= 0 && !in_place_is_set(db);
	if (st->space.is_copied)
		log_warning(
		        "outbox %s: btrfs copies this file when it is written over, so that on a full disk nothing "
		        "can be recorded. As much room as the outbox takes is kept free. Better: stop the relay, and "
		        "restore a backup of the outbox, which makes a file that is not copied",
		        st->path);
	return 0;
}

int space_prepare(struct store *st, struct err *err)
{
	_cleanup_(fd_closep) int dir = -1;
	int r = ballast_open(st, err);

	if (r < 0 || st->config.read_only)
		return r;
	dir = open(st->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	st->space.is_btrfs = dir >= 0 && in_place_matters(dir);
	if (!st->space.is_btrfs)
		return 0;
	if (find_free(st) == 0) /* a write that searches for room takes a fifth of a second */
		ballast_give_back(st);
	return prepare_files(st, err);
}

void space_check(struct store *st, int64_t mono_us, bool now)
{
	struct space *s = &st->space;
	uint64_t used, unused;

	/* While the outbox is full, each check may find room that deliveries made. */
	now = now || s->refusal || s->put_bytes >= CHECK_BYTES || mono_us - s->checked_mono_us >= CHECK_US;
	if (!now)
		return;
	s->checked_mono_us = mono_us;
	s->put_bytes = 0;
	if (count_pages(st, &used, &unused) < 0)
		return;
	s->bytes_used = used + (uint64_t)st->db.wal_frames * (uint64_t)(st->db.page_size + FRAME_HEADER);
	s->file_system_free = find_free(st);
	s->disk_free = s->file_system_free + unused;
	s->gone = is_gone(st, "", s->db_dev, s->db_ino);
	s->wal_gone = is_gone(st, "-wal", s->wal_dev, s->wal_ino);
	if (!st->config.read_only)
		take_ballast_back(st);
	if (s->disk_full && room_for_events(s, st) >= least_room(st) + MARGIN_BYTES)
		s->disk_full = false;
	s->refusal = find_refusal(st);
}

bool space_is_tight(const struct store *st)
{
	const struct space *s = &st->space;

	if (ballast_is_missing(st))
		return s->file_system_free < MARGIN_BYTES;
	return s->is_btrfs && s->file_system_free == 0;
}

const char *space_refuses(const struct store *st, uint32_t n)
{
	if (st->space.refusal)
		return st->space.refusal;
	if (st->config.max_events && (uint64_t)st->counters.kept + n > st->config.max_events)
		return "outbox.max_events is reached";
	return NULL;
}

void space_disk_full(struct store *st)
{
	struct space *s = &st->space;

	s->disk_full = true;
	s->refusal = find_refusal(st);
	ballast_give_back(st);
}

int space_open(struct store *st, struct err *err)
{
	int r = remember_files(st, err);

	st->space.file_system_free = UINT64_MAX / 2; /* until it is known */
	space_check(st, clock_mono_us(), true);
	return r;
}

void space_close(struct store *st)
{
	ballast_close(st);
}
