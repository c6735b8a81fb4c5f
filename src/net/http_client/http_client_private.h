/* http_client_private.h - what the files of the HTTP client share; for net/http_client*.c only */
#ifndef NET_HTTP_CLIENT_HTTP_CLIENT_PRIVATE_H
#define NET_HTTP_CLIENT_HTTP_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/http_client/http_client.h"

/* An answer may not grow without end: GA4's has no body at all, and a validation answer has some 10 KiB. */
enum { ANSWER_HEAD_MAX = 32 * 1024, ANSWER_BODY_MAX = 64 * 1024, ANSWER_GATHER_MAX = 1024 * 1024 };

/* One transfer and its easy handle. Recycled with its handle, whose options stay set but for URL and body. */
struct http_request {
	struct http_client *client;
	CURL *easy;
	char *url;                      /* what easy was told last, and … */
	CURLU *url_cut;                 /* … cut into its parts; NULL: libcurl does that */
	TAILQ_ENTRY(http_request) link; /* in client->active, held, cancelled or idle */
	uint64_t options_version;       /* of the configuration that easy was set up by */
	bool added;                     /* the multi has it */

	http_done_fn *done;
	void *arg;
	size_t body_size, answer_max;
	int64_t started_wall_us, started_mono_us;

	/* What the callbacks record. */
	unsigned begun;      /* how often libcurl was about to send the request */
	curl_off_t uploaded; /* most bytes of the body that were on their way at once */
	size_t head_bytes, body_bytes;
	int status;               /* last status line that is not 1xx */
	int64_t retry_after_us;   /* of that answer's head */
	int64_t date_us;          /* likewise, when the answer is wanted */
	int64_t answered_mono_us; /* when that answer's head was whole; 0: not yet */
	bool cut;                 /* we stopped reading a too long answer */
	/* http_client_conns.c */
	bool hung_up; /* taken back before it was sent: its kept connection was closed by the other side */
	bool opened;  /* it was the first on its connection */
	int port;     /* our end's of its connection; 0: not known */
	/* With HTTP/2. */
	bool http2;
	bool held;       /* taken back before it was sent: its connection has not answered yet */
	bool proves;     /* the connection is held for others until it is answered */
	bool refused;    /* the server said that it did not look at it */
	uint32_t stream; /* 0: not known, or HTTP/1.1 */
	char answer[sizeof(((struct attempt *)0)->answer)];
	size_t answer_len;
	struct buf gathered;
	char error[CURL_ERROR_SIZE];
};
TAILQ_HEAD(http_request_list, http_request);

/* Before any other use of libcurl; again and again is allowed. */
int http_options_global(void) MUST_CHECK;
/* Everything that stays the same from request to request. headers outlive the handle. */
int http_options_set(struct http_request *r, const struct http_client_config *config, struct curl_slist *headers,
                     struct err *err) MUST_CHECK;
/* Frees what http_options_request() keeps; easy must be gone. */
void http_options_forget_url(struct http_request *r);
/* What differs. 0, -ENOMEM, -EINVAL. */
int http_options_request(struct http_request *r, const char *url, struct slice body, bool fresh) MUST_CHECK;

/* After an answer's head, for the rest of the transfer when nobody wants the answer's body, which may come a byte at
 * a time. Over HTTP/2 libcurl 7.88 lets streams stall that were answered before their body was read; and cutting one
 * off costs no connection. */
#define HTTP_REST_US (1 * US_PER_S)
#define HTTP2_REST_US (50 * US_PER_MS)

/* How long a new connection may take to answer its first request before others follow over HTTP/2. */
#define HTTP_HOLD_US (250 * US_PER_MS)

struct http_conn; /* what is known of a connection */
SLIST_HEAD(http_conn_list, http_conn);
struct http_socket; /* a descriptor that libcurl wants watched */
SLIST_HEAD(http_socket_list, http_socket);

struct http_client {
	struct loop *loop;
	bool initialized; /* libcurl is, for us */
	CURLM *multi;     /* NULL until the first request */
	struct curl_slist *headers;
	struct loop_timer *timer;
	struct loop_timer *rest_timer;
	bool rest_due;                    /* rest_timer fired: http_client_reap() looks at who is late */
	struct http_client_config config; /* strings are our own copies */
	uint64_t config_version;
	struct http_request_list active;    /* libcurl has them */
	struct http_request_list held;      /* taken back, to be added again */
	struct http_request_list cancelled; /* taken back, done() is due */
	struct http_request_list idle;      /* to be used again, with their handles */
	unsigned in_flight, n_idle;
	struct loop_timer *hold_timer;
	bool held_may_go;
	struct http_conn_list conns;
	struct http_socket_list watched, spare;
};

/* Before any transfer; what of it failed is cleaned up by http_events_free(). 0, -ENOMEM, -EINVAL. */
int http_events_init(struct http_client *c) MUST_CHECK;
/* After curl_multi_cleanup(), which still lets go of sockets. */
void http_events_free(struct http_client *c);
/* An answer's head is whole: http_client_reap() shall see to it that the rest does not take for ever. */
void http_client_answered(struct http_client *c);
int64_t http_client_rest_us(const struct http_client *c);

/* http_client_conns.c. In the callback before a request is sent: may it go over that connection now? */
enum http_admission {
	HTTP_ADMITTED,
	HTTP_HELD,    /* later: the connection has not answered yet */
	HTTP_HUNG_UP, /* over another one: it was used before, and the other side has closed it since */
};
enum http_admission http_conns_admit(struct http_request *r, int local_port);
/* libcurl opened a socket; it closes it by http_conns_close(). */
void http_conns_open(struct http_client *c, curl_socket_t fd);
int http_conns_close(void *arg, curl_socket_t fd);
/* The head of its answer is there, or it ended. */
void http_conns_settled(struct http_request *r);
/* What waits for an answer has waited long enough. */
void http_conns_enough(struct http_client *c);
void http_conns_free(struct http_client *c);
int http_conns_hear(CURL *easy, curl_infotype type, char *data, size_t n, void *arg);

/* Callbacks, set by http_options_set(). They only record. */
size_t http_answer_head(char *data, size_t size, size_t n, void *arg);
size_t http_answer_body(char *data, size_t size, size_t n, void *arg);
/* For a request that begins. */
void http_answer_reset(struct http_request *r);
/* The whole judgement of a finished transfer. */
void http_answer_attempt(struct http_request *r, CURLcode code, struct attempt *ret);

#endif
