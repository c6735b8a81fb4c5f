/* health.c - is intake durable right now? */
#include <stdlib.h>

#include "daemon/control/control.h"

const char *health_problem(const struct control_context *context)
{
	struct writer_stats *stats;
	const char *problem = NULL;

	if (writer_is_fatal(context->writer))
		return "a sync of the outbox failed: the daemon is about to stop";
	stats = malloc(sizeof(*stats));
	if (!stats)
		return "out of memory";
	writer_get_stats(context->writer, stats);
	if (stats->last_failed)
		problem = "the outbox could not be written: lines are answered STORAGE_ERROR";
	else if (stats->store.full)
		problem = "the outbox is full: new events are answered QUEUE_FULL until delivery makes room";
	free(stats);
	return problem;
}
