/* http_client.h - POST requests over curl-multi on libevent; loop thread only */
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
	unsigned max_requests; /* limit of connections kept and of transfers in flight */
	bool http2;
	int64_t connect_timeout_us, timeout_us;
	const char *proxy;   /* "": no proxy, even if the environment names one */
	const char *ca_file; /* "": the system's certificate store */
	const char *user_agent;
};

/* Call once before the first thread starts. Removes SSLKEYLOGFILE from the environment, because
 * libcurl obeys it silently. The first request would do it too, but changing the environment is
 * unsafe while other threads run. */
void http_client_prepare_process(void);
/* Creates a client. libcurl itself is initialised with the first request. */
int http_client_new(struct http_client **ret, struct loop *loop, const struct http_client_config *config,
                    struct err *err) MUST_CHECK;
/* Abandons requests in flight without calling done(). Accepts NULL. */
struct http_client *http_client_free(struct http_client *c);
/* Frees the handles that are kept for later requests, about 7 KiB each. Connections stay open.
 * Accepts NULL. */
void http_client_give_back(struct http_client *c);
/* Replaces the configuration of later requests (for a reload). Open connections keep their HTTP
 * version until they are closed. */
int http_client_set(struct http_client *c, const struct http_client_config *config, struct err *err) MUST_CHECK;
/* A number that changes when http_client_set() is called with another proxy, another ca_file or
 * another content of the same ca_file: earlier failures then say nothing about the present. */
unsigned http_client_way(const struct http_client *c);

struct http_request;
/* Starts a POST request. url holds the secret and is copied; body must stay valid until done();
 * fresh means not on a kept connection. With answer_max 0 only attempt.answer is kept, and the
 * answer's body gets one second to end; otherwise up to answer_max bytes of the body are
 * collected (validate --remote). done() is called exactly once, from http_client_reap(), never
 * from http_post(). Returns 0, -ENOMEM, -EINVAL, or -EBUSY if max_requests are in flight (a wait
 * inside libcurl would count against the request's timeout). */
typedef void http_done_fn(void *arg, const struct attempt *attempt, struct slice body);
int http_post(struct http_client *c, const char *url, struct slice body, bool fresh, size_t answer_max,
              http_done_fn *done, void *arg, struct http_request **ret) MUST_CHECK;
/* The rights of a request to one of Google's APIs. The caller has checked both for characters that could end a
 * header. */
struct http_authorization {
	const char *token;        /* a bearer token (RFC 6750) */
	const char *user_project; /* the Cloud project whose quota is used; "": the token's own */
};
/* Same as http_post(), with that authorization and on a new connection. The handle, which has a copy
 * of the token, is not kept. */
int http_post_authorized(struct http_client *c, const char *url, const struct http_authorization *authorization,
                         struct slice body, size_t answer_max, http_done_fn *done, void *arg,
                         struct http_request **ret) MUST_CHECK;
/* Ends a request now; done() reports TRANSPORT_TIMEOUT and what is known about body_sent. */
void http_cancel(struct http_request *r);
/* Calls done() for finished requests. Call it once in the loop's tail. */
void http_client_reap(struct http_client *c);
/* Reads what has arrived and then reaps, so that a request is not cancelled while its answer waits. */
void http_client_catch_up(struct http_client *c);
unsigned http_client_in_flight(const struct http_client *c);

#endif
