/* owner.h - acting as the user who owns an outbox's directory, for root
 *
 * That user can put a link in the place of any file there, between a look at it and its opening.
 * What such a link leads to is then opened with rights that the user has anyway. */
#ifndef OUTBOX_FILE_OWNER_H
#define OUTBOX_FILE_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

enum { OWNER_GROUPS_MAX = 64 };

struct owner_root {
	bool acts; /* owner_act() changed something */
	gid_t gid, groups[OWNER_GROUPS_MAX];
	int n_groups;
};

/* Gives up root's rights until owner_end(), if the directory of the outbox is another user's.
 * Changes nothing for any other user than root. Returns -EPERM if nobody can be told to whom
 * the directory belongs: others than root may change names there. */
int owner_act(struct owner_root *ret, const char *outbox_path, struct err *err) MUST_CHECK;
void owner_end(struct owner_root *root);

#endif
