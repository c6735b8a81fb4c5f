/* storage_log.c - log lines about the outbox: full, room again, failing, purged */
#include "daemon/storage_log.h"

#include "base/clock.h"
#include "base/log.h"

/* Seconds with room before the outbox counts as no longer full. At its limit it has room for a moment after each
 * delivery; that is one episode, not many. */
enum { ROOM_TICKS = 10 };
#define FAILED_EVERY_US (60 * US_PER_S)

static void tell_full(struct storage_log *log, const struct store_stats *stats, int64_t mono_us)
{
	/* refused also shows an episode that began and ended since the last tick. */
	bool full = stats->full || stats->refused > log->refused;

	log->refused = stats->refused;
	log->room_ticks = full ? 0 : log->room_ticks + 1;
	if (full && !log->full) {
		log->full = true;
		log->full_since_us = mono_us;
		log_warning("outbox full (%s): new events are answered QUEUE_FULL until delivery makes room, or: "
		            "ga4relay-ctl status, drop, or a higher outbox limit",
		            stats->full_why);
	}
	if (!log->full || log->room_ticks < ROOM_TICKS)
		return;
	log->full = false;
	log_info("outbox has room again after %lld s", (long long)((mono_us - log->full_since_us) / US_PER_S));
}

/* Logs failed commits at most once a minute. A fatal failure is logged elsewhere. */
static void tell_failed(struct storage_log *log, const struct writer_stats *stats, int64_t mono_us)
{
	if (stats->failed_commits == log->failed_commits || stats->fatal)
		return;
	if (log->failed_said_us && mono_us - log->failed_said_us < FAILED_EVERY_US)
		return;
	log_error("outbox could not be written (%s): %llu commits failed, their lines were answered STORAGE_ERROR",
	          stats->failed_why, (unsigned long long)(stats->failed_commits - log->failed_commits));
	log->failed_commits = stats->failed_commits;
	log->failed_said_us = mono_us;
}

static void tell_unread(struct storage_log *log, const struct writer_stats *stats, int64_t mono_us)
{
	if (stats->failed_reads == log->failed_reads || stats->fatal)
		return;
	if (log->unread_said_us && mono_us - log->unread_said_us < FAILED_EVERY_US)
		return;
	log_error("outbox could not be read (%s): %llu reads failed; queued events that cannot be read are not "
	          "delivered",
	          stats->failed_read_why, (unsigned long long)(stats->failed_reads - log->failed_reads));
	log->failed_reads = stats->failed_reads;
	log->unread_said_us = mono_us;
}

void storage_log_tick(struct storage_log *log, struct writer *writer, int64_t mono_us)
{
	struct writer_stats stats;

	writer_get_stats(writer, &stats);
	tell_full(log, &stats.store, mono_us);
	tell_failed(log, &stats, mono_us);
	tell_unread(log, &stats, mono_us);
	if (stats.store.purged_dead > log->purged_dead)
		log_warning("purged %llu dead letters older than outbox.keep_dead",
		            (unsigned long long)(stats.store.purged_dead - log->purged_dead));
	log->purged_dead = stats.store.purged_dead;
}

bool storage_log_needs_tick(const struct storage_log *log)
{
	return log->full;
}
