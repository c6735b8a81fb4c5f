/* health.c - whether intake is durable right now */
#include "control/control.h"

const char *health_problem(const struct control_context *context)
{
	struct writer_stats stats;

	if (writer_is_fatal(context->writer))
		return "a sync of the outbox failed: the daemon is about to stop";
	writer_get_stats(context->writer, &stats);
	if (stats.last_failed)
		return "the outbox could not be written: lines are answered STORAGE_ERROR";
	if (stats.store.full)
		return "the outbox is full: new events are answered QUEUE_FULL until delivery makes room";
	return NULL;
}
