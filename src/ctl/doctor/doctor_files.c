/* doctor_files.c - the doctor's checks of sockets, the outbox and its disk */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/doctor/doctor.h"
#include "ctl/offline/offline.h"
#include "ctl/output/terminal_text.h"

enum { CHECK_ROWS_MAX = 1000000 /* a larger file takes too long to check here */ };

static const char *group_name(gid_t gid)
{
	const struct group *group = getgrgid(gid);

	return group ? group->gr_name : "?";
}

static int try_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -EINVAL;
	strcpy(address.sun_path, path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

static void check_socket_mode(struct doctor *d, const char *path, const struct stat *sb, mode_t wanted,
                              const char *group)
{
	mode_t mode = sb->st_mode & 07777;

	if (mode != wanted)
		doctor_say(d, FINDING_FAILED, "event socket",
		           "set SocketMode= in ga4relay.socket, or listen.mode without systemd, then restart",
		           "%s has mode %04o, the configuration says %04o%s", path, (unsigned)mode, (unsigned)wanted,
		           mode & 0006     ? ": everybody may write events"
		           : (mode & 0020) ? ""
		                           : ": nobody but its owner may write events");
	else if (group[0] && strcmp(group_name(sb->st_gid), group) != 0)
		doctor_say(d, FINDING_FAILED, "event socket", "set SocketGroup= in ga4relay.socket, or listen.group",
		           "%s belongs to group %s, the configuration says %s", path, group_name(sb->st_gid), group);
	else
		doctor_say(d, FINDING_OK, "event socket", NULL, "%s, mode %04o, group %s", path, (unsigned)mode,
		           group_name(sb->st_gid));
}

static void check_event_socket(struct doctor *d, const char *path)
{
	struct stat sb;
	char why[400];
	int r;

	if (stat(path, &sb) < 0) {
		doctor_say(d, FINDING_FAILED, "event socket",
		           "systemctl enable --now ga4relay.socket, or start the daemon", "%s: %s", path,
		           strerror(errno));
		return;
	}
	if (!S_ISSOCK(sb.st_mode)) {
		doctor_say(d, FINDING_FAILED, "event socket", "remove it, then restart the daemon", "%s is no socket",
		           path);
		return;
	}
	r = try_connect(path);
	if (r < 0)
		doctor_say(d, FINDING_FAILED, "event socket",
		           r == -EACCES ? ctl_explain_access(path, ", or set listen.group", why, sizeof(why))
		                        : "start the daemon: systemctl start ga4relay",
		           "%s: %s", path, strerror(-r));
	else if (!d->conf)
		doctor_say(d, FINDING_OK, "event socket", NULL, "%s: this user may write events", path);
	else
		check_socket_mode(d, path, &sb, d->conf->listen.mode, d->conf->listen.group);
}

static void check_disk(struct doctor *d, const char *outbox)
{
	char dir[4096], available[16], reserve[16];
	const char *slash = strrchr(outbox, '/');
	struct statvfs fs;
	uint64_t room;

	snprintf(dir, sizeof(dir), "%.*s", slash && slash > outbox ? (int)(slash - outbox) : 1, slash ? outbox : ".");
	if (statvfs(dir, &fs) < 0) {
		doctor_say(d, FINDING_FAILED, "disk", "make the directory, owned by the daemon's user, mode 0700",
		           "%s: %s", dir, strerror(errno));
		return;
	}
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	text_bytes(room, available);
	text_bytes(d->conf->outbox.min_free_disk, reserve);
	if (fs.f_flag & ST_RDONLY)
		doctor_say(d, FINDING_FAILED, "disk", "mount it writable", "%s is mounted read-only", dir);
	else if (room < d->conf->outbox.min_free_disk)
		doctor_say(d, FINDING_FAILED, "disk", "make room: new events are answered QUEUE_FULL until then",
		           "%s has %s left, less than outbox.min_free_disk (%s)", dir, available, reserve);
	else if (room < 2 * d->conf->outbox.min_free_disk)
		doctor_say(d, FINDING_WARNING, "disk", "make room before the reserve is reached",
		           "%s has %s left; the reserve is %s", dir, available, reserve);
	else
		doctor_say(d, FINDING_OK, "disk", NULL, "%s has %s left", dir, available);
}

static void check_outbox_mode(struct doctor *d, const char *path)
{
	struct stat sb;

	if (stat(path, &sb) < 0) {
		if (d->running || errno != ENOENT)
			doctor_say(d, FINDING_WARNING, "outbox", "run doctor as root", "%s: %s", path,
			           strerror(errno));
		return;
	}
	if (sb.st_mode & 0077)
		doctor_say(d, FINDING_FAILED, "outbox", "chmod 0600 the file: it holds user ids",
		           "%s has mode %04o: others may read it", path, (unsigned)(sb.st_mode & 07777));
}

static void check_secrets(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->n_streams; i++) {
		const char *path = d->conf->streams[i].secret_file;
		struct stat sb;

		if (path && stat(path, &sb) == 0 && (sb.st_mode & 0007))
			doctor_say(d, FINDING_FAILED, "secret", "chmod o= the file, and make a new secret in GA4",
			           "%s has mode %04o: everybody on this machine can read it", path,
			           (unsigned)(sb.st_mode & 07777));
	}
}

static enum ctl_exit sum_events(void *arg, struct slice line)
{
	uint64_t *total = arg;
	struct json_in *json = json_in_new(32);
	const struct json_doc *d;
	struct err err;

	if (json && json_in_read(json, line, &d, &err) == 0) {
		const struct json_node *events = json_member(d, d->nodes, "events");

		*total = (uint64_t)(answer_i64(d, events, "queued", 0) + answer_i64(d, events, "held", 0) +
		                    answer_i64(d, events, "dead", 0) + answer_i64(d, events, "delivered", 0));
	}
	json_in_free(json);
	return CTL_DONE;
}

static void check_rows(struct doctor *d)
{
	uint64_t total = 0;

	if (client_call(&d->client, client_begin(&d->client, QUERY_status), -1, sum_events, &total, NULL) != CTL_DONE)
		return;
	if (total > CHECK_ROWS_MAX)
		doctor_say(d, FINDING_NOTE, "outbox", "ga4relay-ctl check reads them all",
		           "%llu events: not read one by one here", (unsigned long long)total);
	else if (client_call(&d->client, client_begin(&d->client, QUERY_check), -1, NULL, NULL, NULL) != CTL_DONE)
		doctor_say(d, FINDING_FAILED, "outbox",
		           "stop the daemon, keep a copy, ga4relay-ctl --offline FILE check",
		           "damaged: not every event can be read");
	else
		doctor_say(d, FINDING_OK, "outbox", NULL, "every event can be read");
}

static void check_file(struct doctor *d, const char *path)
{
	struct stat sb;

	if (stat(path, &sb) < 0) {
		if (errno == ENOENT)
			doctor_say(d, FINDING_NOTE, "outbox", NULL, "%s is not there yet: the daemon makes it", path);
		return;
	}
	if (offline_verify(d->ctl, path, OFFLINE_SAY_NOTHING) == CTL_DONE)
		doctor_say(d, FINDING_OK, "outbox", NULL, "%s is sound", path);
	else
		doctor_say(d, FINDING_FAILED, "outbox",
		           "the daemon sets a damaged outbox aside at its start and says how to bring back the rest",
		           "%s cannot be used as it is", path);
}

void doctor_files(struct doctor *d)
{
	if (d->conf) {
		check_event_socket(d, d->conf->listen.socket);
		check_disk(d, d->conf->outbox.path);
		check_outbox_mode(d, d->conf->outbox.path);
		check_secrets(d);
	}
	if (!d->conf && !d->running)
		check_event_socket(d, CTL_DEFAULT_EVENT_SOCKET);
	if (d->running)
		check_rows(d);
	else if (d->conf && !d->no_access)
		check_file(d, d->conf->outbox.path);
}
