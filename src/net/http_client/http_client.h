/* http_client.h - POSTs over curl-multi on libevent; knows no GA4 and no SQLite */
#ifndef NET_HTTP_CLIENT_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "net/loop.h"
#include "policy/outcome.h"

struct http_client;

struct http_client_config {
	unsigned max_requests; /* connections kept, transfers at most, in all */
	bool http2;
	int64_t connect_timeout_us, timeout_us;
	const char *proxy;   /* "" : none, whatever the environment says */
	const char *ca_file; /* "" : the system's store */
	const char *user_agent;
};

/* Once before the first thread starts: takes SSLKEYLOGFILE out of the environment, which libcurl would obey silently.
 * The first request does it too, but changing the environment is not safe beside threads. */
void http_client_prepare_process(void);
/* libcurl itself is initialised with the first request. */
int http_client_new(struct http_client **ret, struct loop *loop, const struct http_client_config *config,
                    struct err *err) MUST_CHECK;
/* Abandons what is in flight without done(). Takes NULL. */
struct http_client *http_client_free(struct http_client *c);
/* Frees the handles that are kept for later requests, some 7 KiB each. Connections stay. Takes NULL. */
void http_client_give_back(struct http_client *c);
/* For a reload: later requests use it. Connections that are open keep their HTTP version until they are retired. */
int http_client_set(struct http_client *c, const struct http_client_config *config, struct err *err) MUST_CHECK;

struct http_request;
/* url holds the secret and is copied; body must stay in place until done(); fresh: not on a kept connection.
 * answer_max: 0 keeps attempt.answer only, and the answer's body has a second to end; otherwise the body is gathered
 * up to that many bytes (validate --remote). done() is called exactly once, from http_client_reap(), never from
 * within http_post(). 0 or -ENOMEM, -EINVAL, -EBUSY: max_requests are in flight (waiting inside libcurl would count
 * against the request's timeout). */
typedef void http_done_fn(void *arg, const struct attempt *attempt, struct slice body);
int http_post(struct http_client *c, const char *url, struct slice body, bool fresh, size_t answer_max,
              http_done_fn *done, void *arg, struct http_request **ret) MUST_CHECK;
/* Ends a request now; done() comes with TRANSPORT_TIMEOUT and what is known of body_sent. */
void http_cancel(struct http_request *r);
/* Calls done() of finished requests: once in the tail. */
void http_client_reap(struct http_client *c);
unsigned http_client_in_flight(const struct http_client *c);

#endif
