/* door.h - the HTTP door: /mp/collect, /debug/mp/collect, /metrics, /healthz, the live page (ga4relay-ctl(8))
 *
 * Loop thread only. */
#ifndef HTTP_DOOR_H
#define HTTP_DOOR_H

#include "base/err.h"
#include "base/macros.h"
#include "conf/conf.h"
#include "control/control.h"
#include "http/page/page.h"

struct door;

/* Listens on conf's http.listen and http.metrics, of which one must be set. context and conf are borrowed: context
 * must outlive the door, as control and sandbox must, of which the live page tells; sandbox is NULL where there is
 * none. conf must live until door_free() or the next door_set_conf(). 0 or negative errno. */
int door_open(struct door **ret, const struct control_context *context, struct control *control,
              const struct page_switch *sandbox, const struct conf *conf, struct err *err) MUST_CHECK;
/* Closes all connections. Requests whose events are not committed yet get no answer; their clients must treat the
 * outcome as unknown. */
struct door *door_free(struct door *d);
/* On SIGTERM: accepts no new connections. door_drained() is true once every accepted event is stored and answered. */
void door_drain(struct door *d);
bool door_drained(const struct door *d);
/* After a reload. The listening address and the accepted Host names stay as they were at door_open(). */
void door_set_conf(struct door *d, const struct conf *conf);
/* Call once a second. */
void door_tick(struct door *d);
/* True while a page is open, or a request waits for an event. */
bool door_needs_tick(const struct door *d);

#endif
