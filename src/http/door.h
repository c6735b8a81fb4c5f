/* door.h - the HTTP door: /mp/collect, /debug/mp/collect, /metrics, /healthz (ga4relay-ctl(8)) */
#ifndef HTTP_DOOR_H
#define HTTP_DOOR_H

#include "base/err.h"
#include "base/macros.h"
#include "conf/conf.h"
#include "control/control.h"

struct door;

/* Listens at conf's http.listen, which is set. context and conf outlive it (or the next door_set_conf()). */
int door_open(struct door **ret, const struct control_context *context, const struct conf *conf,
              struct err *err) MUST_CHECK;
/* Requests whose events are not committed yet get no answer: their clients treat them as unknown. */
struct door *door_free(struct door *d);
/* SIGTERM: no new connections; drained when every event that was taken is stored and answered. */
void door_drain(struct door *d);
bool door_drained(const struct door *d);
/* After a reload. The address and the names stay as they were. */
void door_set_conf(struct door *d, const struct conf *conf);

#endif
