/* access.c - why a user may not open a socket, and what to do about it */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"

static const char *user_name(uid_t uid, char out[64])
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		snprintf(out, 64, "%s", user->pw_name);
	else
		snprintf(out, 64, "uid %u", (unsigned)uid);
	return out;
}

static bool is_listed(const struct group *group, const char *user)
{
	for (char **member = group->gr_mem; *member; member++)
		if (strcmp(*member, user) == 0)
			return true;
	return false;
}

static void of_group(gid_t gid, char *out, size_t size)
{
	const struct group *group = getgrgid(gid);
	char user[64];

	user_name(geteuid(), user);
	if (!group)
		snprintf(out, size, "user %s is not in its group, gid %u", user, (unsigned)gid);
	else if (is_listed(group, user))
		snprintf(out, size,
		         "user %s is in the group %s since after this login: log in again (a service: restart it)",
		         user, group->gr_name);
	else
		snprintf(out, size,
		         "user %s is not in the group %s: usermod -a -G %s %s, then log in again (a service: restart "
		         "it)",
		         user, group->gr_name, group->gr_name, user);
}

const char *ctl_explain_access(const char *path, const char *otherwise, char *out, size_t size)
{
	struct stat st;
	char owner[64];

	if (stat(path, &st) < 0)
		snprintf(out, size, "%s; its directory may not be entered by this user", strerror(errno));
	else if ((st.st_mode & S_IWGRP) && st.st_gid != 0)
		of_group(st.st_gid, out, size);
	else
		snprintf(out, size, "only %s%s may open it: run it as root%s", user_name(st.st_uid, owner),
		         st.st_uid ? " and root" : "", otherwise);
	return out;
}
