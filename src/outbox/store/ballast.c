/* ballast.c - disk space reserved for recording outcomes on a full disk
 *
 * PATH.ballast is a file of allocated blocks without content. When a write of the outbox finds the disk full, the
 * blocks are released to the file system, so that outcomes can be committed and make room. Once there is room again,
 * they are allocated anew. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "outbox/file/beside.h"
#include "outbox/file/in_place.h"
#include "outbox/store/store_private.h"

static bool has_no_room(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

static int open_file(struct store *st, struct err *err)
{
	struct space *s = &st->space;
	char path[PATH_MAX];
	struct stat sb;
	int r = beside_name(path, st->path, ".ballast", err);

	if (r < 0)
		return r;
	s->ballast_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (s->ballast_fd < 0)
		return has_no_room(errno) ? 0
		                          : err_set(err, -errno, "outbox: its ballast %s cannot be opened: %s", path,
		                                    strerror(errno));
	(void)fchmod(s->ballast_fd, 0600);
	in_place_set(s->ballast_fd);
	if (fstat(s->ballast_fd, &sb) < 0)
		return err_set(err, -errno, "outbox: its ballast %s cannot be looked at: %s", path, strerror(errno));
	/* Blocks instead of size, because a sparse file reserves nothing. st_blocks is in units of 512 bytes. */
	s->ballast_out = (uint64_t)sb.st_blocks * 512 < st->config.ballast;
	return 0;
}

int ballast_open(struct store *st, struct err *err)
{
	st->space.ballast_fd = -1;
	st->space.ballast_out = true;
	return st->config.ballast == 0 || st->config.read_only ? 0 : open_file(st, err);
}

void ballast_close(struct store *st)
{
	st->space.ballast_fd = fd_close(st->space.ballast_fd);
}

bool ballast_is_missing(const struct store *st)
{
	return st->space.ballast_out && st->config.ballast > 0;
}

void ballast_take(struct store *st)
{
	struct space *s = &st->space;
	struct err err;

	if (s->ballast_fd < 0 && (open_file(st, &err) < 0 || s->ballast_fd < 0))
		return;
	if (posix_fallocate(s->ballast_fd, 0, (off_t)st->config.ballast) == 0)
		s->ballast_out = s->ballast_spent = false;
	else if (ftruncate(s->ballast_fd, 0) < 0)
		log_warning("outbox: a part of the ballast stays on the disk: %s", strerror(errno));
}

/* On btrfs even truncating a file needs room, while removing one may use a reserve of the file system. The blocks are
 * only free at the end of btrfs's transaction, up to 30 s later unless it is ended by syncfs(). */
static void remove_file(struct store *st)
{
	_cleanup_(fd_closep) int dir = open(st->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err;

	if (beside_remove(st->path, ".ballast", &err) < 0)
		return;
	ballast_close(st);
	st->space.ballast_out = true;
	if (dir >= 0)
		(void)syncfs(dir);
}

void ballast_give_back(struct store *st)
{
	struct space *s = &st->space;

	if (s->ballast_fd < 0 || s->ballast_out)
		return;
	if (in_place_matters(s->ballast_fd) || ftruncate(s->ballast_fd, 0) < 0)
		remove_file(st);
	else
		s->ballast_out = true;
}

void ballast_note_spent(struct store *st)
{
	struct space *s = &st->space;

	if (s->ballast_spent || !ballast_is_missing(st))
		return;
	s->ballast_spent = true;
	log_warning("outbox %s: the disk is still full, although its ballast was given back: something else took the "
	            "room. Deliveries are recorded as soon as there is any; make room",
	            st->path);
}
