/* sandbox.h - a loopback stand-in for GA4: judges each request by the local rules and prints what it received
 *
 * Loop thread only. */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "ga4/verdict.h"
#include "net/loop.h"

struct collector;

/* Listens on 127.0.0.1, any port. Prints received events to out_fd, one readable line each, invalid ones with the
 * reason; out_fd stays the caller's. POST /control?fail=503&for=N makes the next N collect requests fail (fail=204
 * ends it), for the demo. 0 or negative errno; free *ret with collector_free(). */
int collector_open(struct collector **ret, struct loop *loop, int out_fd, struct err *err) MUST_CHECK;
/* Prints what intake said of a line: why it was refused, or, with refusal NULL, the warnings of one that was taken,
 * in the form of struct line_result. */
void collector_print_remark(struct collector *c, struct slice line, const struct finding *refusal,
                            struct slice warnings_json);
unsigned collector_port(const struct collector *c);
struct collector *collector_free(struct collector *c);

#endif
