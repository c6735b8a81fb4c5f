/* event_socket.c - finds and opens the event socket */
#include "ctl/event_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "ctl/client.h"

static int connect_to(const char *path)
{
	int fd = client_connect(path, ""), r = fd < 0 ? fd : fd_set_nonblock(fd);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return fd;
}

/* Returns the event socket's path: asks the daemon; if none runs, assumes the default path, because systemd may hold
 * the socket and start the daemon. */
static char *find_path(const struct ctl *ctl)
{
	const struct json_doc *end;
	struct client client;
	char *path = NULL;

	if (ctl->args.event_socket)
		return strdup(ctl->args.event_socket);
	if (client_open_quietly(&client, ctl->args.socket) == 0) {
		if (client_call(&client, client_begin(&client, QUERY_paths), -1, NULL, NULL, &end) == CTL_DONE) {
			struct slice text = answer_text(end, end->nodes, "event_socket");

			path = strndup(text.p, text.n);
		}
		client_close(&client);
	}
	return path ? path : strdup(CTL_DEFAULT_EVENT_SOCKET);
}

enum ctl_exit event_socket_open(const struct ctl *ctl, int *ret_fd)
{
	char *path = find_path(ctl), why[400];
	int fd = path ? connect_to(path) : -ENOMEM;

	if (fd == -EACCES)
		ctl_complain("%s may not be opened by this user: %s", path,
		             ctl_explain_access(path, ", or set listen.group", why, sizeof(why)));
	else if (fd < 0)
		ctl_complain("%s: %s. Is ga4relay running (systemctl status ga4relay)? --socket names another event "
		             "socket",
		             path ? path : "event socket", strerror(-fd));
	else
		*ret_fd = fd;
	free(path);
	return fd < 0 ? CTL_NO_DAEMON : CTL_DONE;
}
