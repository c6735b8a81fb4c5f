/* sandbox.h - a loopback stand-in for GA4: judges each request by the local rules and prints what it received
 *
 * Loop thread only. */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "event/tap.h"
#include "net/loop.h"

struct collector;

/* Listens on 127.0.0.1, any port. Prints received events to out_fd, one readable line each, invalid ones with the
 * reason, and, as a follower of tap, refused lines and those with warnings; out_fd and tap stay the caller's.
 * POST /control?fail=503&for=N makes the next N collect requests fail (fail=204 ends it), for the demo. 0 or negative
 * errno; free *ret with collector_free(). */
int collector_open(struct collector **ret, struct loop *loop, struct tap *tap, int out_fd,
                   struct err *err) MUST_CHECK;
/* How requests on /mp/collect are answered from now on: "204", another status from 200 to 599, or "hang": not at all,
 * until it is told something else, which then also goes to those that hang. 0 or -EINVAL. */
int collector_set_answer(struct collector *c, const char *answer) MUST_CHECK;
enum { COLLECTOR_ANSWER_MAX = 8 };
/* The same, as it is now. Returns out. */
const char *collector_answer(const struct collector *c, char out[COLLECTOR_ANSWER_MAX]);
unsigned collector_port(const struct collector *c);
struct collector *collector_free(struct collector *c);

#endif
