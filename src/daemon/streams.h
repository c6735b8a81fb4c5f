/* streams.h - the configured streams as the running daemon knows them, with their numbers in the outbox */
#ifndef DAEMON_STREAMS_H
#define DAEMON_STREAMS_H

#include <stddef.h>
#include <stdint.h>

#include "codec/event_in.h"
#include "conf/conf.h"
#include "model/stream_rules.h"

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
