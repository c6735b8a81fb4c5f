/* delivered.c - what is remembered of delivered events: a ring of records in blocks that are allocated as it fills */
#include "delivery/delivered.h"

#include <assert.h>
#include <stdlib.h>

#include "ga4/limits.h"

enum { BLOCK_RECORDS = 8192 };

/* Records of one request follow each other and have its number. */
struct record {
	uint64_t id;
	uint64_t when_us : 56, n_events : 8;
	uint32_t request;
	uint16_t status;
	uint8_t attempts; /* at most 255 */
	uint8_t sid;
};
static_assert(sizeof(struct record) == 24, "100,000 of them are kept by default");
static_assert(STORE_STREAMS_MAX <= 256 && LIMIT_EVENTS_PER_REQUEST < 256, "a record has a byte for each");

struct delivered_log {
	size_t max, n, next; /* next: place of the next record */
	struct record request;
	size_t n_blocks;
	struct record *blocks[];
};

struct delivered_log *delivered_log_new(size_t max)
{
	size_t n_blocks = (max + BLOCK_RECORDS - 1) / BLOCK_RECORDS;
	struct delivered_log *l = calloc(1, sizeof(*l) + n_blocks * sizeof(l->blocks[0]));

	if (!l)
		return NULL;
	l->max = max;
	l->n_blocks = n_blocks;
	return l;
}

struct delivered_log *delivered_log_free(struct delivered_log *l)
{
	if (!l)
		return NULL;
	for (size_t i = 0; i < l->n_blocks; i++)
		free(l->blocks[i]);
	free(l);
	return NULL;
}

void delivered_log_begin(struct delivered_log *l, const struct delivered_request *request)
{
	l->request = (struct record){
	        .when_us = (uint64_t)request->when_us,
	        .n_events = (uint8_t)request->n_events,
	        .request = l->request.request + 1,
	        .status = (uint16_t)request->status,
	        .sid = (uint8_t)request->sid,
	};
}

void delivered_log_add(struct delivered_log *l, uint64_t id, uint32_t attempts)
{
	struct record **block = &l->blocks[l->next / BLOCK_RECORDS], *r;

	if (l->max == 0)
		return;
	if (!*block)
		*block = malloc(BLOCK_RECORDS * sizeof(**block));
	if (!*block)
		return;
	r = &(*block)[l->next % BLOCK_RECORDS];
	*r = l->request;
	r->id = id;
	r->attempts = (uint8_t)(attempts < UINT8_MAX ? attempts : UINT8_MAX);
	l->next = l->next + 1 < l->max ? l->next + 1 : 0;
	l->n += l->n < l->max;
}

/* The record of that age: 0 is the newest; age < l->n. */
static const struct record *at_age(const struct delivered_log *l, size_t age)
{
	size_t place = l->next > age ? l->next - 1 - age : l->next + l->max - 1 - age;

	return &l->blocks[place / BLOCK_RECORDS][place % BLOCK_RECORDS];
}

/* The request's other events stand around it. */
static void find_neighbours(const struct delivered_log *l, size_t age, struct delivered_event *ret)
{
	uint32_t request = at_age(l, age)->request;
	size_t newest = age, oldest = age;

	while (newest > 0 && at_age(l, newest - 1)->request == request)
		newest--;
	while (oldest + 1 < l->n && at_age(l, oldest + 1)->request == request)
		oldest++;
	ret->first_id = at_age(l, oldest)->id;
	ret->last_id = at_age(l, newest)->id;
}

bool delivered_log_find(const struct delivered_log *l, uint64_t id, struct delivered_event *ret)
{
	for (size_t age = 0; age < l->n; age++) {
		const struct record *r = at_age(l, age);

		if (r->id != id)
			continue;
		*ret = (struct delivered_event){
		        .id = id,
		        .sid = r->sid,
		        .when_us = (int64_t)r->when_us,
		        .attempts = r->attempts,
		        .status = r->status,
		        .n_events = r->n_events,
		};
		find_neighbours(l, age, ret);
		return true;
	}
	return false;
}
