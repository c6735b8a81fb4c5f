/* owner.c - acting as the user who owns an outbox's directory, for root */
#include "outbox/file/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "outbox/file/beside.h"

/* By its descriptor, because the last component may be a link of root's to the directory. */
static int look_at_directory(const char *path, struct stat *ret, struct err *err)
{
	_cleanup_(fd_closep) int fd = -1;
	char copy[PATH_MAX];
	int r = beside_name(copy, path, "", err);

	if (r < 0)
		return r;
	fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret) < 0)
		return err_set(err, -errno, "outbox %s: its directory cannot be looked at: %s", path,
		               strerror(errno));
	return 0;
}

static bool others_change_names(const struct stat *directory)
{
	return directory->st_mode & 0022 && !(directory->st_mode & S_ISVTX);
}

/* Finds out as whom root acts there; 0 is root. */
static int find(const char *path, struct stat *ret, struct err *err)
{
	int r = look_at_directory(path, ret, err);

	if (r < 0 || ret->st_uid != 0 || !others_change_names(ret))
		return r;
	r = beside_look(path, "", ret, err);
	if (r < 0 || (r > 0 && ret->st_uid != 0))
		return r < 0 ? r : 0;
	return err_set(err, -EPERM,
	               "outbox %s: others than root may write to its directory, and could have root write elsewhere; "
	               "run this as the user of the service",
	               path);
}

int owner_act(struct owner_root *ret, const char *outbox_path, struct err *err)
{
	struct stat owner;
	int r;

	*ret = (struct owner_root){.gid = getegid()};
	if (geteuid() != 0)
		return 0;
	r = find(outbox_path, &owner, err);
	if (r < 0 || owner.st_uid == 0)
		return r;
	ret->n_groups = getgroups(OWNER_GROUPS_MAX, ret->groups);
	if (ret->n_groups >= 0 && setgroups(0, NULL) == 0) {
		ret->acts = true;
		if (setegid(owner.st_gid) == 0 && seteuid(owner.st_uid) == 0)
			return 0;
	}
	r = -errno;
	owner_end(ret);
	return err_set(err, r, "outbox %s: root cannot act as uid %u, to whom its directory belongs: %s", outbox_path,
	               (unsigned)owner.st_uid, strerror(-r));
}

void owner_end(struct owner_root *root)
{
	if (!root->acts)
		return;
	root->acts = false;
	/* Only as root again may this process remove what it made elsewhere. */
	if (seteuid(0) < 0 || setegid(root->gid) < 0 || setgroups((size_t)root->n_groups, root->groups) < 0)
		abort();
}
