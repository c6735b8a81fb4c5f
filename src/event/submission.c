/* submission.c - the beginning and the end of a submission, and an event's name in its body */
#include "event/event.h"

#include <stdlib.h>
#include <string.h>

static struct slice copy(char **at, struct slice s)
{
	struct slice there = {*at, s.n};

	if (s.n)
		*at = mempcpy(*at, s.p, s.n);
	return there;
}

struct submission *submission_of_one(const struct submission *head, const struct event *event)
{
	size_t structs = sizeof(struct submission) + sizeof(struct event);
	size_t texts = head->envelope.n + head->client.n + head->dedup_key.n + event->body.n;
	struct submission *sub = malloc(structs + texts);
	char *at;

	if (!sub)
		return NULL;
	at = (char *)sub + structs;
	*sub = *head;
	sub->block = sub;
	sub->refs = 1;
	sub->n_events = 1;
	sub->envelope = copy(&at, head->envelope);
	sub->client = copy(&at, head->client);
	sub->dedup_key = copy(&at, head->dedup_key);
	sub->events[0] = *event;
	sub->events[0].body = copy(&at, event->body);
	if (event->name.n)
		sub->events[0].name.p = sub->events[0].body.p + (event->name.p - event->body.p);
	return sub;
}

struct submission *submission_unref(struct submission *s)
{
	if (s && --s->refs == 0)
		free(s->block);
	return NULL;
}

bool event_body_name(struct slice body, struct slice *ret)
{
	static const struct slice start = {"{\"name\":\"", 9};
	size_t i;

	*ret = (struct slice){NULL, 0};
	if (body.n == 0)
		return true;
	if (!slice_starts(body, start) || body.p[body.n - 1] != '}')
		return false;
	for (i = start.n; i < body.n && body.p[i] != '"'; i++)
		i += body.p[i] == '\\';
	if (i >= body.n)
		return false;
	*ret = (struct slice){body.p + start.n, i - start.n};
	return true;
}
