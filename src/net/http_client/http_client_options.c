/* http_client_options.c - all options of a transfer, each with its reason, each call checked */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/http_client/http_client_private.h"

/* A connection that was idle for longer than MAX_IDLE_S is likely to be dead (src/README.md, trap
 * 14). The lifetime and the DNS cache time together are the time within which an endpoint's new
 * address is used although the old one still answers: five minutes at most. */
enum {
	MAX_LIFETIME_S = HTTP_LIFE_US / US_PER_S,
	MAX_IDLE_S = 45,
	DNS_CACHE_S = 30,
	KEEPALIVE_IDLE_S = 30,
	KEEPALIVE_INTERVAL_S = 10
};
/* The payload of a TLS record. The default sizes would keep 80 KiB per pooled handle. */
enum { RECEIVE_BUFFER = 4 * 1024, UPLOAD_BUFFER = 16 * 1024 };
enum { HEADER_MAX = 256 };

void http_client_prepare_process(void)
{
	/* libcurl reads SSLKEYLOGFILE when it is initialised, and would write the keys of every
	 * session to that file (src/README.md, trap 12). */
	if (getenv("SSLKEYLOGFILE"))
		unsetenv("SSLKEYLOGFILE");
}

int http_options_global(void)
{
	http_client_prepare_process();
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

/* Called each time before the request is sent. libcurl silently repeats a POST on a new
 * connection, up to five times, if a kept one dies before the answer (src/README.md, trap 10).
 * Repeats are the relay's decision, which counts them. */
static int before_sending(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
	struct http_request *r = arg;
	struct http_ends ends = {local_ip, peer_ip, local_port, peer_port};
	enum http_admission admission = r->begun == 0 ? http_conns_admit(r, &ends) : HTTP_ADMITTED;

	r->held = admission == HTTP_HELD;
	r->hung_up = admission == HTTP_HUNG_UP;
	if (r->held || r->hung_up)
		return CURL_PREREQFUNC_ABORT;
	if (r->begun == 0) { /* a proxy's answers to CONNECT are over */
		r->head_bytes = 0;
		r->retry_after_us = -1;
	}
	if (++r->begun == 1)
		return CURL_PREREQFUNC_OK;
	http_conns_repeated(r);
	return CURL_PREREQFUNC_ABORT;
}

static int record_upload(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	struct http_request *r = arg;

	(void)dltotal, (void)dlnow, (void)ultotal;
	if (ulnow > r->uploaded)
		r->uploaded = ulnow;
	return 0;
}

/* Converts to milliseconds for libcurl; at least one, because 0 means no limit. */
static long option_ms(int64_t us)
{
	int64_t ms = us / US_PER_MS;

	return ms < 1 ? 1 : ms > INT_MAX ? INT_MAX : (long)ms;
}

/* Limits the time that sent bytes stay unacknowledged. Without this a blackholed connection
 * hangs for a quarter of an hour. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct http_client *c = arg;
	unsigned timeout_ms = (unsigned)option_ms(c->config.timeout_us);

	(void)purpose;
	http_conns_open(c, fd);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
	                 /* Fails on a Unix socket, which does not have this option */
	                 sizeof(timeout_ms));
	return CURL_SOCKOPT_OK;
}

struct long_option {
	CURLoption option;
	long value;
};
struct string_option {
	CURLoption option;
	const char *value;
};

static const struct long_option fixed_longs[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_POST, 1},
        {CURLOPT_FOLLOWLOCATION, 0}, /* because the URL contains the secret */
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_HTTP09_ALLOWED, 0},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_PROXY_SSL_VERIFYPEER, 1},
        {CURLOPT_PROXY_SSL_VERIFYHOST, 2},
        /* Otherwise a timeout during a lookup waits for the resolver's thread (curl issue 8515) */
        {CURLOPT_QUICK_EXIT, 1},
        {CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S},
        {CURLOPT_MAXAGE_CONN, MAX_IDLE_S},
        {CURLOPT_MAXLIFETIME_CONN, MAX_LIFETIME_S},
        {CURLOPT_TCP_NODELAY, 1},
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {CURLOPT_PATH_AS_IS, 1},
        {CURLOPT_NOPROGRESS, 0}, /* enables record_upload() */
        {CURLOPT_BUFFERSIZE, RECEIVE_BUFFER},
        {CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER},
};

static const struct string_option fixed_strings[] = {
        {CURLOPT_PROTOCOLS_STR, "http,https"},
        {CURLOPT_REDIR_PROTOCOLS_STR, "http,https"},
        {CURLOPT_NOPROXY, ""}, /* overrides no_proxy in the environment */
};

static int setopt_error(CURLoption option, CURLcode code, struct err *err)
{
	const struct curl_easyoption *o = curl_easy_option_by_id(option);

	return err_set(err, code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL, "libcurl refuses option %s: %s",
	               o ? o->name : "(unknown)", curl_easy_strerror(code));
}

/* In parentheses, because curl_easy_setopt is also a macro. That compares the value's type with
 * the type of one option, and a compiler that inlines this function for several options reports
 * a mismatch. */
static int set_long(CURL *easy, CURLoption option, long value, struct err *err)
{
	CURLcode code = (curl_easy_setopt)(easy, option, value);

	return code == CURLE_OK ? 0 : setopt_error(option, code, err);
}

static int set_pointer(CURL *easy, CURLoption option, const void *value, struct err *err)
{
	CURLcode code = (curl_easy_setopt)(easy, option, value);

	return code == CURLE_OK ? 0 : setopt_error(option, code, err);
}

static int set_fixed(CURL *easy, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(fixed_longs) && r == 0; i++)
		r = set_long(easy, fixed_longs[i].option, fixed_longs[i].value, err);
	for (size_t i = 0; i < ARRAY_LEN(fixed_strings) && r == 0; i++)
		r = set_pointer(easy, fixed_strings[i].option, fixed_strings[i].value, err);
	return r;
}

static int set_configured(CURL *easy, const struct http_client_config *config, struct err *err)
{
	const struct long_option longs[] = {
	        /* Waits for a free stream on the first connection instead of opening one
	         * connection per request of a burst. */
	        {CURLOPT_PIPEWAIT, config->http2 ? 1 : 0},
	        {CURLOPT_HTTP_VERSION, config->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1},
	        {CURLOPT_CONNECTTIMEOUT_MS, option_ms(config->connect_timeout_us)},
	        /* None: libcurl checks it before it reads an answer that has arrived while this process
	         * was stopped. http_client_reap() reads first. */
	        {CURLOPT_TIMEOUT_MS, 0},
	};
	const struct string_option strings[] = {
	        {CURLOPT_USERAGENT, config->user_agent},
	        /* "": no proxy, even if the environment names one */
	        {CURLOPT_PROXY, config->proxy ? config->proxy : ""},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(longs) && r == 0; i++)
		r = set_long(easy, longs[i].option, longs[i].value, err);
	for (size_t i = 0; i < ARRAY_LEN(strings) && r == 0; i++)
		r = set_pointer(easy, strings[i].option, strings[i].value, err);
	if (r == 0 && config->ca_file && config->ca_file[0] != '\0') {
		r = set_pointer(easy, CURLOPT_CAINFO, config->ca_file, err);
		if (r == 0)
			r = set_pointer(easy, CURLOPT_PROXY_CAINFO, config->ca_file, err);
	}
	return r;
}

/* The type check of curl_easy_setopt needs a separate call for each callback. */
static int set_callbacks(struct http_request *r, struct err *err)
{
	CURL *e = r->easy;
	CURLcode code = CURLE_OK;

#define SET(option, value) (code = code == CURLE_OK ? curl_easy_setopt(e, option, value) : code)
	SET(CURLOPT_PREREQFUNCTION, before_sending);
	SET(CURLOPT_PREREQDATA, r);
	SET(CURLOPT_XFERINFOFUNCTION, record_upload);
	SET(CURLOPT_XFERINFODATA, r);
	SET(CURLOPT_HEADERFUNCTION, http_answer_head);
	SET(CURLOPT_HEADERDATA, r);
	SET(CURLOPT_WRITEFUNCTION, http_answer_body);
	SET(CURLOPT_WRITEDATA, r);
	SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
	SET(CURLOPT_SOCKOPTDATA, r->client);
	SET(CURLOPT_CLOSESOCKETFUNCTION, http_conns_close);
	SET(CURLOPT_CLOSESOCKETDATA, r->client);
	SET(CURLOPT_ERRORBUFFER, r->error);
	SET(CURLOPT_PRIVATE, r);
#undef SET
	if (code != CURLE_OK)
		return err_set(err, code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL, "libcurl refuses a callback: %s",
		               curl_easy_strerror(code));
	return 0;
}

int http_options_set(struct http_request *r, const struct http_client_config *config, struct curl_slist *headers,
                     struct err *err)
{
	int ret = set_fixed(r->easy, err);

	if (ret == 0)
		ret = set_configured(r->easy, config, err);
	if (ret == 0)
		ret = set_callbacks(r, err);
	if (ret == 0)
		ret = set_pointer(r->easy, CURLOPT_HTTPHEADER, headers, err);
	return ret;
}

void http_options_forget_url(struct http_request *r)
{
	if (r->url)
		explicit_bzero(r->url, strlen(r->url)); /* it contains the secret */
	free(r->url);
	r->url = NULL;
	curl_url_cleanup(r->url_cut);
	r->url_cut = NULL;
}

/* libcurl splits the URL and joins it again for every transfer, a fifth of its work per request,
 * unless it gets the parts. A URL that cannot be split is passed on unchanged, and libcurl
 * rejects it. */
static CURLcode set_url(struct http_request *r, const char *url)
{
	CURLcode code;

	if (r->url && strcmp(r->url, url) == 0)
		return CURLE_OK;
	code = curl_easy_setopt(r->easy, CURLOPT_CURLU, NULL);
	http_options_forget_url(r);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_URL, url);
	r->url = code == CURLE_OK ? strdup(url) : NULL;
	r->url_cut = r->url ? curl_url() : NULL;
	if (r->url_cut &&
	    curl_url_set(r->url_cut, CURLUPART_URL, url, CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_CURLU, r->url_cut);
	return code;
}

/* libcurl keeps the certificates that it has read from a file for a day, whatever happens to the
 * file. With this option, those that were read before the file changed are too old. */
static CURLcode set_ca_age(struct http_request *r)
{
	int64_t since_us = r->client->ca_since_us;

	if (since_us == 0)
		return CURLE_OK;
	return curl_easy_setopt(r->easy, CURLOPT_CA_CACHE_TIMEOUT,
	                        (long)((r->started_mono_us - since_us) / US_PER_S));
}

int http_options_request(struct http_request *r, const char *url, struct slice body, bool fresh)
{
	CURLcode code = set_url(r, url);

	if (code == CURLE_OK)
		code = set_ca_age(r);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
	if (code == CURLE_OK) /* libcurl does not copy the body */
		code = curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, body.n ? body.p : "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
	if (code == CURLE_OK)
		return 0;
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

/* Takes the list; on failure it is freed. */
static struct curl_slist *add_header(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	if (!longer)
		curl_slist_free_all(list);
	return longer;
}

struct curl_slist *http_options_headers(const char *user_project)
{
	struct curl_slist *list = add_header(NULL, "Content-Type: application/json");
	char project[HEADER_MAX];

	list = list ? add_header(list, "Expect:") : NULL;
	if (!list || !user_project[0])
		return list;
	snprintf(project, sizeof(project), "x-goog-user-project: %s", user_project);
	return add_header(list, project);
}

int http_options_authorize(struct http_request *r, const struct http_authorization *authorization)
{
	CURLcode code = curl_easy_setopt(r->easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);

	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_XOAUTH2_BEARER, authorization->token);
	r->own_headers = http_options_headers(authorization->user_project);
	if (!r->own_headers)
		return -ENOMEM;
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->own_headers);
	if (code == CURLE_OK)
		return 0;
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}
