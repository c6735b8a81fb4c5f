/* offline.h - the commands that read the outbox of a stopped daemon, under the daemon's lock
 *
 * All of them report problems on standard error. */
#ifndef CTL_OFFLINE_OFFLINE_H
#define CTL_OFFLINE_OFFLINE_H

#include "ctl/client.h"
#include "ctl/ctl.h"
#include "outbox/store/store.h"

/* Runs list, show, count or export on the file ctl->args.offline. Passes each row to print. */
enum ctl_exit offline_read(struct ctl *ctl, enum query_command command, client_line_fn *print) MUST_CHECK;
/* Reports a WAL beside path that was not read. */
void offline_say_passed_over(const struct store *store, const char *path);
void offline_say_anothers_wal(const char *path);
enum ctl_exit offline_check(struct ctl *ctl) MUST_CHECK;
enum offline_say { OFFLINE_SAY_ALL, OFFLINE_SAY_DAMAGE, OFFLINE_SAY_NOTHING };
/* Opens a file and reads all of it: backup verifies its copy with it, doctor a stopped daemon's outbox. */
enum ctl_exit offline_verify(struct ctl *ctl, const char *path, enum offline_say say) MUST_CHECK;

#endif
