/* service_user.c - reads the configuration as the service's user, because root can read what the service cannot */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "conf/conf.h"

#define SERVICE_USER "ga4relay"

struct user {
	uid_t uid;
	gid_t gid;
	char name[64]; /* "": not in the database of users, as with DynamicUser= */
};

/* The state directory belongs to the service's user, whatever its name; an outbox's directory of root's belongs to a
 * relay that runs as root. */
static bool find_user(const struct conf *conf, struct user *ret)
{
	const struct passwd *user = getpwnam(SERVICE_USER);
	char dir[4096];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s", conf->outbox.path);
	*strrchr(dir, '/') = '\0'; /* the path is absolute */
	if (stat(dir[0] ? dir : "/", &st) == 0) {
		user = getpwuid(st.st_uid);
		*ret = (struct user){.uid = st.st_uid, .gid = st.st_gid};
	}
	if (user) {
		*ret = (struct user){.uid = user->pw_uid, .gid = user->pw_gid};
		snprintf(ret->name, sizeof(ret->name), "%s", user->pw_name);
	}
	return ret->uid != 0;
}

static bool become(const struct user *user)
{
	if ((user->name[0] ? initgroups(user->name, user->gid) : setgroups(0, NULL)) < 0)
		return false;
	return setgid(user->gid) == 0 && setuid(user->uid) == 0;
}

/* In the child. Its exit status 1 says that the reason is in the pipe. */
static _Noreturn void check(const char *path, const struct user *user, int out)
{
	struct conf *conf;
	struct err err;

	log_set_level(LOG_LEVEL_ERROR); /* the parent has warned already */
	if (!become(user) || conf_load_check(&conf, path, &err) == 0)
		_exit(0);
	_exit(fd_write_all(out, err.text, strlen(err.text)) == 0 ? 1 : 0);
}

int conf_check_as_service(const struct conf *conf, struct err *err)
{
	struct user user = {0};
	char why[sizeof(err->text)];
	int ends[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (geteuid() != 0 || !conf->path || !find_user(conf, &user) || pipe2(ends, O_CLOEXEC) < 0)
		return 0;
	pid = fork();
	if (pid == 0)
		check(conf->path, &user, ends[1]);
	fd_close(ends[1]);
	n = pid > 0 ? read(ends[0], why, sizeof(why) - 1) : 0;
	why[n > 0 ? n : 0] = '\0';
	fd_close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
		return 0;
	if (user.name[0])
		return err_set(err, -EACCES, "good for root, but not for the service's user %s: %s", user.name, why);
	return err_set(err, -EACCES, "good for root, but not for the service's user (uid %u): %s", (unsigned)user.uid,
	               why);
}
