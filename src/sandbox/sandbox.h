/* sandbox.h - a loopback stand-in for GA4: judges every request by the local rules and prints what it received */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "net/loop.h"

struct collector;

/* Listens on 127.0.0.1, any port. Received events are printed to out_fd, one readable line each; wrong ones with why.
 * POST /control?fail=503&for=N (loopback only) makes the next N collect answers fail (fail=204 ends it), for the
 * demo. */
int collector_open(struct collector **ret, struct loop *loop, int out_fd, struct err *err) MUST_CHECK;
unsigned collector_port(const struct collector *c);
struct collector *collector_free(struct collector *c);

#endif
