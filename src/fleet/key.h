/* key.h - an event's content in one number, and its client's lane; part of the schema: they never change */
#ifndef FLEET_KEY_H
#define FLEET_KEY_H

#include <stdint.h>

#include "event/forward.h"

/* Of what is stored and sent: stream, envelope, body and times. */
int64_t fleet_content_hash(const struct forward_event *e);
/* 0 to FLEET_LANES - 1. */
int64_t fleet_lane(const struct forward_event *e);

#endif
