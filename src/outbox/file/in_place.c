/* in_place.c - files whose bytes are written over in place, also on btrfs, which copies them */
#include "outbox/file/in_place.h"

#include <sys/ioctl.h>
#include <sys/vfs.h>

/* Of <linux/fs.h> and <linux/magic.h>, which not every libc comes with. */
#define GET_FLAGS _IOR('f', 1, long)
#define SET_FLAGS _IOW('f', 2, long)
#define FLAG_NOCOW 0x00800000
#define MAGIC_BTRFS 0x9123683eu

bool in_place_matters(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (unsigned)fs.f_type == MAGIC_BTRFS;
}

void in_place_set(int fd)
{
	int flags; /* whatever the numbers of the calls say */

	if (!in_place_matters(fd) || ioctl(fd, GET_FLAGS, &flags) < 0 || flags & FLAG_NOCOW)
		return;
	flags |= FLAG_NOCOW;
	(void)ioctl(fd, SET_FLAGS, &flags);
}

bool in_place_is_set(int fd)
{
	int flags;

	return !in_place_matters(fd) || ioctl(fd, GET_FLAGS, &flags) < 0 || flags & FLAG_NOCOW;
}
