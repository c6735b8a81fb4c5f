/* stream_table.c - the configured streams, as judging a line needs them */
#include "event/stream_table.h"

#include <errno.h>
#include <stdlib.h>

int streams_init(struct streams *s, const struct conf *conf, const uint32_t *sids)
{
	struct stream_rules *rules = calloc(conf->n_streams, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_streams; i++) {
		const struct conf_stream *stream = &conf->streams[i];
		rules[i] = (struct stream_rules){.name = slice_of(stream->name),
		                                 .sid = sids[i],
		                                 .type = stream->type,
		                                 .mode = stream->validation};
	}
	*s = (struct streams){
	        .conf = conf,
	        .rules = rules,
	        .context = {.streams = rules,
	                    .n_streams = conf->n_streams,
	                    .default_stream = conf->default_stream,
	                    .limits_360 = conf->limits_360,
	                    .max_age_us = conf->delivery.max_age_us,
	                    .forced_stream = -1},
	};
	return 0;
}

void streams_free(struct streams *s)
{
	free(s->rules);
	*s = (struct streams){0};
}

size_t streams_find_sid(const struct streams *s, uint32_t sid)
{
	for (size_t i = 0; i < s->context.n_streams; i++)
		if (s->rules[i].sid == sid)
			return i;
	return SIZE_MAX;
}
