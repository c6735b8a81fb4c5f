/* notify.c - systemd's protocols: sd_notify, watchdog interval, inherited sockets */
#include "net/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"

enum { LISTEN_FDS_START = 3, LISTEN_FDS_MAX = 1024 };

/* Parses "/path" or "@abstract" (sd_notify(3)). Returns 0 or -EINVAL. */
static int notify_address(const char *name, struct sockaddr_un *ret, socklen_t *ret_size)
{
	size_t n = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(ret->sun_path))
		return -EINVAL;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, name, n);
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
	return 0;
}

int notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int fd;

	if (!name || !*name)
		return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		log_warning("systemd cannot be told how we are: %s", strerror(errno));
	return fd;
}

void notify_send(int fd, const char *text)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t size;

	if (fd < 0 || !name)
		return;
	if (notify_address(name, &address, &size) < 0) {
		log_warning("NOTIFY_SOCKET is neither a path nor an abstract name: systemd is not told how we are");
		return;
	}
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, size) < 0)
		log_warning("systemd could not be told '%.20s': %s", text, strerror(errno));
}

static bool env_number(const char *name, uint64_t *ret)
{
	const char *text = getenv(name);

	return text && parse_u64(slice_of(text), ret) == 0;
}

int64_t notify_watchdog_interval_us(void)
{
	uint64_t us, pid;

	if (!env_number("WATCHDOG_USEC", &us) || us == 0 || us > INT64_MAX)
		return 0;
	if (getenv("WATCHDOG_PID") && (!env_number("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
		return 0;
	return us / 2 > 0 ? (int64_t)(us / 2) : 1;
}

static bool is_listening_unix_stream(int fd)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address), int_size = sizeof(int);
	int listening = 0, type = 0;

	return getsockname(fd, (struct sockaddr *)&address, &size) == 0 && address.sun_family == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_size) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_size) == 0 && listening;
}

static bool is_bound_to(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNSPEC};
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || size <= offsetof(struct sockaddr_un, sun_path))
		return false;
	return strnlen(address.sun_path, sizeof(address.sun_path)) == strlen(path) &&
	       strncmp(address.sun_path, path, sizeof(address.sun_path)) == 0;
}

static void clear_listen_variables(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

/* Returns the index-th name of "a:b:c", or an empty slice. */
static struct slice fd_name(const char *names, int index)
{
	struct slice name = {NULL, 0};

	for (const char *p = names; p; index--) {
		const char *end = strchrnul(p, ':');
		if (index == 0)
			return (struct slice){p, (size_t)(end - p)};
		p = *end ? end + 1 : NULL;
	}
	return name;
}

/* Ranks an inherited descriptor: bound to our path, then named for us, then any listening Unix
 * stream socket. */
static int fitness(int fd, int index, const char *path, const char *names)
{
	struct slice name = fd_name(names, index);

	if (!is_listening_unix_stream(fd))
		return 0;
	if (is_bound_to(fd, path))
		return 3;
	return slice_eq(name, SLICE_LIT("ga4relay")) || slice_eq(name, SLICE_LIT("ga4relay.socket")) ? 2 : 1;
}

/* Returns the first of the best-ranked descriptors, or -1; closes the others. */
static int choose_fd(int n, const char *path, const char *names)
{
	int best = -1, best_fitness = 0;

	for (int i = 0; i < n; i++) {
		int f = fitness(LISTEN_FDS_START + i, i, path, names);
		if (f > best_fitness) {
			best = LISTEN_FDS_START + i;
			best_fitness = f;
		}
	}
	for (int fd = LISTEN_FDS_START; fd < LISTEN_FDS_START + n; fd++) {
		if (fd == best)
			continue;
		log_warning("inherited descriptor %d is of no use here and was closed", fd);
		fd_close(fd);
	}
	return best;
}

int notify_take_listen_fd(const char *path, int *ret_fd, struct err *err)
{
	uint64_t pid, n;
	int fd, r;

	if (!env_number("LISTEN_PID", &pid) || pid != (uint64_t)getpid() || !env_number("LISTEN_FDS", &n) || n == 0) {
		/* Never passed on, whether or not they were for this process */
		clear_listen_variables();
		*ret_fd = -1;
		return 0;
	}
	if (n > LISTEN_FDS_MAX)
		return err_set(err, -EINVAL, "LISTEN_FDS=%llu: more than %d inherited descriptors",
		               (unsigned long long)n, LISTEN_FDS_MAX);
	fd = choose_fd((int)n, path, getenv("LISTEN_FDNAMES"));
	clear_listen_variables();
	if (fd < 0)
		return err_set(err, -EINVAL,
		               "systemd handed over %d descriptors, none of them a listening Unix stream "
		               "socket: the unit needs ListenStream= with a path",
		               (int)n);
	r = fd_set_nonblock(fd);
	if (r == 0)
		r = fd_set_cloexec(fd);
	if (r < 0) {
		fd_close(fd);
		return err_set(err, r, "inherited socket: %s", strerror(-r));
	}
	*ret_fd = fd;
	return 0;
}
