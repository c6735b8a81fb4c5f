/* storage_log.h - log lines about the outbox: full, room again, failing, purged */
#ifndef DAEMON_STORAGE_LOG_H
#define DAEMON_STORAGE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "outbox/writer.h"

/* What was last logged. Zeroed at start. */
struct storage_log {
	bool full;
	unsigned room_ticks; /* consecutive ticks with room */
	uint64_t purged_dead, failed_commits, failed_reads, refused;
	int64_t full_since_us;  /* monotonic */
	int64_t failed_said_us; /* monotonic; 0: never */
	int64_t unread_said_us; /* likewise */
};

/* True if an episode goes on whose end a tick reports. */
bool storage_log_needs_tick(const struct storage_log *log);
/* Call once a second, on the loop thread: logs one line per change of state. */
void storage_log_tick(struct storage_log *log, struct writer *writer, int64_t mono_us);

#endif
