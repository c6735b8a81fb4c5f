/* http_server_framing.h - requests that two readers could read differently, in end or target, are not taken */
#ifndef NET_HTTP_SERVER_FRAMING_H
#define NET_HTTP_SERVER_FRAMING_H

struct evkeyvalq;

/* target: as it was written. Static text, or NULL when nothing is wrong. */
const char *http_framing_problem(const char *target, const struct evkeyvalq *headers);

#endif
