/* http_server_framing.h - requests whose end two readers could see in different places are not taken */
#ifndef NET_HTTP_SERVER_FRAMING_H
#define NET_HTTP_SERVER_FRAMING_H

struct evkeyvalq;

/* Static text, or NULL when nothing is wrong. */
const char *http_framing_problem(const struct evkeyvalq *headers);

#endif
