/* store_config.h - how an outbox is opened: its path, limits and times */
#ifndef OUTBOX_DB_STORE_CONFIG_H
#define OUTBOX_DB_STORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* Durations are microseconds, sizes bytes. Strings belong to the caller. */
struct store_config {
	const char *path;
	bool sync_full;
	uint64_t max_events, max_bytes, min_free_disk, ballast;
	int64_t dedup_window_us, keep_delivered_us, keep_dead_us;
	uint64_t keep_rejected;
	const char *vfs; /* SQLite VFS by name; NULL: the default. The tests' fault point. */
	bool read_only;  /* ctl --offline */
};

#endif
