/* stream_table.h - the configured streams as the running daemon knows them, with their numbers in the outbox */
#ifndef EVENT_STREAM_TABLE_H
#define EVENT_STREAM_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "event/event_in.h"
#include "ga4/stream_rules.h"

/* Built at start and at every reload from (conf, sids[i] of conf->streams[i]); conf must outlive it. */
struct streams {
	const struct conf *conf;
	struct stream_rules *rules;  /* [conf->n_streams]; sid in each */
	struct line_context context; /* points at rules */
};
int streams_init(struct streams *s, const struct conf *conf, const uint32_t *sids) MUST_CHECK;
void streams_free(struct streams *s);
/* Index into conf->streams, or SIZE_MAX: removed streams are normal. */
size_t streams_find_sid(const struct streams *s, uint32_t sid);

#endif
