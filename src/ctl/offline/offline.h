/* offline.h - the reading commands on the outbox of a stopped daemon, under the same lock */
#ifndef CTL_OFFLINE_OFFLINE_H
#define CTL_OFFLINE_OFFLINE_H

#include "ctl/client.h"
#include "ctl/ctl.h"
#include "outbox/store/store.h"

/* list, show, count or export of ctl->args.offline. */
enum ctl_exit offline_read(struct ctl *ctl, const char *command, client_line_fn *print) MUST_CHECK;
/* Complains about a WAL that lies beside path and was not read. */
void offline_say_passed_over(const struct store *store, const char *path);
enum ctl_exit offline_check(struct ctl *ctl) MUST_CHECK;
enum offline_say { OFFLINE_SAY_ALL, OFFLINE_SAY_DAMAGE, OFFLINE_SAY_NOTHING };
/* Opens and looks through a file: what backup does with its copy, and doctor with a stopped daemon's. */
enum ctl_exit offline_verify(struct ctl *ctl, const char *path, enum offline_say say) MUST_CHECK;

#endif
