/* http_client_private.h - the internal interface of net/http_client/ */
#ifndef NET_HTTP_CLIENT_HTTP_CLIENT_PRIVATE_H
#define NET_HTTP_CLIENT_HTTP_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/http_client/http_client.h"

/* Limits of an answer's size. GA4's answers have no body, and a validation answer has about 10
 * KiB. */
enum { ANSWER_HEAD_MAX = 32 * 1024, ANSWER_BODY_MAX = 64 * 1024, ANSWER_GATHER_MAX = 1024 * 1024 };

/* A transfer and its easy handle. Both are reused; the handle's options stay set except for URL
 * and body. */
struct http_request {
	struct http_client *client;
	CURL *easy;
	char *url;                      /* the URL that is set in easy, … */
	CURLU *url_cut;                 /* … split into its parts; NULL: libcurl splits it */
	TAILQ_ENTRY(http_request) link; /* in client->active, held, cancelled or idle */
	uint64_t options_version;       /* version of the configuration that easy was set up with */
	bool added;                     /* the multi handle has it */
	bool authorized;                /* easy has a bearer token, … */
	struct curl_slist *own_headers; /* … and these headers instead of the client's */

	http_done_fn *done;
	void *arg;
	size_t body_size, answer_max;
	int64_t started_wall_us, started_mono_us, deadline_mono_us;

	/* Recorded by the callbacks. */
	unsigned begun;      /* number of times that libcurl was about to send the request */
	curl_off_t uploaded; /* maximum of the body bytes sent on one connection */
	size_t head_bytes, body_bytes;
	int status;               /* last status that is not 1xx */
	int proxy_status;         /* likewise, of a proxy's answer to CONNECT */
	int64_t retry_after_us;   /* from the head of the last answer, a proxy's included */
	int64_t date_us;          /* likewise, if the answer is wanted */
	int64_t answered_mono_us; /* when that answer's head was complete; 0: not yet */
	/* We stopped reading because the answer was too long or too slow */
	bool cut;
	/* Used by http_client_conns.c. */
	/* Taken back before it was sent, because the kept connection was unusable */
	bool hung_up;
	bool opened;      /* it was the first request on its connection */
	bool connected;   /* likewise, and libcurl opened the connection for it */
	uint64_t conn_id; /* its connection; 0: not known */
	/* With HTTP/2 only: */
	bool http2;
	/* Taken back before it was sent, because its connection has not answered yet */
	bool held;
	bool proves;      /* other requests wait until this one is answered */
	bool counted;     /* it is in flight on its connection */
	bool refused;     /* the server said that it did not process it */
	bool multiplexed; /* its connection is not known to be HTTP/1 */
	char answer[sizeof(((struct attempt *)0)->answer)];
	size_t answer_len;
	struct buf gathered;
	char error[CURL_ERROR_SIZE];
};
TAILQ_HEAD(http_request_list, http_request);

/* Call before any other use of libcurl; repeated calls are allowed. */
int http_options_global(void) MUST_CHECK;
/* Sets all options that are the same for every request. headers must outlive the handle. */
int http_options_set(struct http_request *r, const struct http_client_config *config, struct curl_slist *headers,
                     struct err *err) MUST_CHECK;
/* Frees the URL that http_options_request() keeps. The easy handle must have been cleaned up. */
void http_options_forget_url(struct http_request *r);
/* Sets the options of one request. Returns 0, -ENOMEM or -EINVAL. */
int http_options_request(struct http_request *r, const char *url, struct slice body, bool fresh) MUST_CHECK;
/* Adds an Authorization header with a bearer token, and x-goog-user-project. Returns 0, -ENOMEM or -EINVAL. */
int http_options_authorize(struct http_request *r, const struct http_authorization *authorization) MUST_CHECK;
/* The headers of every request, and user_project's unless it is "". NULL: out of memory. */
struct curl_slist *http_options_headers(const char *user_project);

/* Time limit for the rest of a transfer after the answer's head, if the answer's body is not
 * wanted: the body may arrive one byte at a time. Over HTTP/2 libcurl 7.88 stalls streams that
 * were answered before their body was read; ending one of them does not close the connection. */
#define HTTP_REST_US (1 * US_PER_S)
#define HTTP2_REST_US (50 * US_PER_MS)

/* How long a new HTTP/2 connection may take to answer its first request before other requests
 * use it too. */
#define HTTP_HOLD_US (250 * US_PER_MS)

/* How often transfers that have no connection yet are looked at. */
#define HTTP_LOOK_US (200 * US_PER_MS)

/* Lifetime of a kept connection. Older ones are not used for further requests. */
#define HTTP_LIFE_US (4 * 60 * US_PER_S)

struct http_conn; /* the state of a connection */
SLIST_HEAD(http_conn_list, http_conn);
struct http_socket; /* a descriptor that libcurl wants watched */
SLIST_HEAD(http_socket_list, http_socket);

/* Tells whether a file was replaced or written; all 0 without one. */
struct http_ca_stamp {
	uint64_t device, inode;
	int64_t size, seconds, nanoseconds;
};

struct http_client {
	struct loop *loop;
	bool initialized; /* http_options_global() succeeded */
	CURLM *multi;     /* NULL until the first request */
	struct curl_slist *headers;
	struct loop_timer *timer;
	struct loop_timer *rest_timer;
	/* rest_timer fired: http_client_reap() looks for late answers */
	bool rest_due;
	struct http_client_config config; /* the strings are copies */
	struct http_ca_stamp ca_stamp;
	int64_t ca_since_us; /* when the certificates of ca_file changed last; 0: not since the start */
	unsigned way;        /* for http_client_way() */
	uint64_t config_version;
	struct http_request_list active;    /* libcurl has them */
	struct http_request_list held;      /* taken back, to be restarted */
	struct http_request_list cancelled; /* taken back, done() is due */
	struct http_request_list idle;      /* kept for reuse, with their handles */
	unsigned in_flight, n_idle;
	struct loop_timer *look_timer;
	int64_t look_at_us; /* when look_timer fires, if it is set */
	bool look_due;      /* look_timer fired: http_client_reap() looks at all active requests */
	struct loop_timer *hold_timer;
	bool held_may_go;
	struct http_conn_list conns;
	uint64_t last_conn_id;
	struct http_socket_list watched, spare;
};

/* Call before any transfer. If it fails, http_events_free() cleans up. Returns 0, -ENOMEM or
 * -EINVAL. */
int http_events_init(struct http_client *c) MUST_CHECK;
/* Call after curl_multi_cleanup(), which still calls socket callbacks. */
void http_events_free(struct http_client *c);
/* Makes http_client_reap() look at all active requests at that time (monotonic) or earlier. */
void http_events_look_at(struct http_client *c, int64_t at_us);
/* Lets libcurl continue every transfer, whether or not an event or a timer of its own is due. */
void http_events_drive_all(struct http_client *c);
/* An answer's head is complete: starts the timer that limits the rest of the answer. */
void http_client_answered(struct http_client *c);
int64_t http_client_rest_us(const struct http_client *c);

/* http_client_conns.c: called before a request is sent, decides whether it may use that
 * connection now. */
enum http_admission {
	HTTP_ADMITTED,
	HTTP_HELD,    /* wait: the connection has not answered its first request yet */
	HTTP_HUNG_UP, /* use another connection: the peer has closed this kept one, or sent something unasked */
};
/* Both ends of a connection, as libcurl reports them. */
struct http_ends {
	const char *local_ip, *peer_ip;
	int local_port, peer_port;
};
enum http_admission http_conns_admit(struct http_request *r, const struct http_ends *ends);
/* Call when libcurl is about to send an admitted request again. */
void http_conns_repeated(struct http_request *r);
/* Registers a socket that libcurl opened; libcurl closes it with http_conns_close(). */
void http_conns_open(struct http_client *c, curl_socket_t fd);
int http_conns_close(void *arg, curl_socket_t fd);
/* Call when the request's answer has an HTTP/1 status line. */
void http_conns_speaks_http1(const struct http_request *r);
/* Call when the head of the request's answer arrived. */
void http_conns_settled(struct http_request *r);
/* Call when the request ended. */
void http_conns_left(struct http_request *r);
/* Releases the requests that wait for a connection's first answer, because it takes too long. */
void http_conns_enough(struct http_client *c);
void http_conns_free(struct http_client *c);

/* Callbacks, set by http_options_set(). They only record. */
size_t http_answer_head(char *data, size_t size, size_t n, void *arg);
size_t http_answer_body(char *data, size_t size, size_t n, void *arg);
/* Resets the record for a new request. */
void http_answer_reset(struct http_request *r);
/* Fills *ret with the result of a finished transfer. */
void http_answer_attempt(struct http_request *r, CURLcode code, struct attempt *ret);

#endif
