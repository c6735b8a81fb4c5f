/* store_config.h - the settings of an outbox: path, limits and times */
#ifndef OUTBOX_DB_STORE_CONFIG_H
#define OUTBOX_DB_STORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* Durations are in microseconds, sizes in bytes. The strings belong to the caller and must
 * outlive the store. */
struct store_config {
	const char *path;
	bool sync_full;
	uint64_t max_events, max_bytes, min_free_disk, ballast;
	int64_t dedup_window_us, keep_delivered_us, keep_dead_us;
	uint64_t keep_rejected;
	const char *vfs; /* name of the SQLite VFS; NULL: the default. Tests inject faults here */
	bool read_only;  /* for ctl --offline */
};

#endif
