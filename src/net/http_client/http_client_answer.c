/* http_client_answer.c - the answer to a request: recorded as it arrives, judged once at the end */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "net/http_client/http_client_private.h"
#include "net/http_client/retry_after_header.h"

enum { HTTP_PROXY_AUTHENTICATION = 407 };

void http_answer_reset(struct http_request *r)
{
	r->begun = 0;
	r->uploaded = 0;
	r->head_bytes = r->body_bytes = 0;
	r->status = r->proxy_status = 0;
	r->retry_after_us = -1;
	r->date_us = 0;
	r->answered_mono_us = 0;
	r->cut = false;
	r->connected = r->multiplexed = false;
	r->held = r->hung_up = r->opened = r->proves = r->counted = r->refused = false;
	r->conn_id = 0;
	r->answer[0] = '\0';
	r->answer_len = 0;
	r->error[0] = '\0';
	buf_clear(&r->gathered);
}

/* Returns the code in "HTTP/1.1 204 No Content" or "HTTP/2 204", or 0. */
static int status_code(struct slice line)
{
	const char *sp = line.n ? memchr(line.p, ' ', line.n) : NULL;
	const char *end = line.p + line.n;
	int code = 0;

	if (!slice_starts(line, SLICE_LIT("HTTP/")) || !sp || end - sp < 4)
		return 0;
	for (int i = 1; i <= 3; i++) {
		if (!isdigit((unsigned char)sp[i]))
			return 0;
		code = code * 10 + (sp[i] - '0');
	}
	return code;
}

static bool header_value(struct slice line, struct slice name, struct slice *ret)
{
	if (line.n <= name.n || line.p[name.n] != ':' || strncasecmp(line.p, name.p, name.n) != 0)
		return false;
	*ret = (struct slice){line.p + name.n + 1, line.n - name.n - 1};
	return true;
}

static bool is_end_of_head(struct slice line)
{
	return slice_eq(line, SLICE_LIT("\r\n")) || slice_eq(line, SLICE_LIT("\n"));
}

/* Before the request is sent, the only answers are those of a proxy to CONNECT. */
static void proxy_head_line(struct http_request *r, struct slice line)
{
	struct slice value;
	int code = status_code(line);

	if (code) {
		r->proxy_status = code;
		r->retry_after_us = -1;
	} else if (header_value(line, SLICE_LIT("Retry-After"), &value)) {
		r->retry_after_us = http_retry_after(value, clock_wall_us());
	}
}

static void head_line(struct http_request *r, struct slice line)
{
	struct slice value;
	int code = status_code(line);

	if (code >= 200) {
		r->status = code;
		r->retry_after_us = -1;
		if (slice_starts(line, SLICE_LIT("HTTP/1.")))
			http_conns_speaks_http1(r);
	} else if (r->status && header_value(line, SLICE_LIT("Retry-After"), &value)) {
		r->retry_after_us = http_retry_after(value, clock_wall_us());
	} else if (r->answer_max > 0 && header_value(line, SLICE_LIT("Date"), &value)) {
		r->date_us = http_date_us(value);
	} else if (r->status && r->answered_mono_us == 0 && is_end_of_head(line)) {
		r->answered_mono_us = clock_mono_us();
		http_client_answered(r->client);
		http_conns_settled(r);
	}
}

/* libcurl calls this once per line of the head, including its line end. */
size_t http_answer_head(char *data, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	struct slice line = {data, size * n};

	r->head_bytes += line.n;
	if (r->head_bytes > ANSWER_HEAD_MAX) {
		r->cut = true;
		return 0;
	}
	if (r->begun == 0)
		proxy_head_line(r, line);
	else
		head_line(r, line);
	return line.n;
}

/* The start of an answer is shown in logs and on terminals, so control characters are replaced. */
static void keep_printable(struct http_request *r, struct slice s)
{
	for (size_t i = 0; i < s.n && r->answer_len < sizeof(r->answer) - 1; i++) {
		unsigned char c = (unsigned char)s.p[i];

		r->answer[r->answer_len++] = c >= 0x20 && c < 0x7f ? (char)c : '.';
	}
	r->answer[r->answer_len] = '\0';
}

size_t http_answer_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	struct slice s = {data, size * n};
	size_t room = r->answer_max > r->gathered.len ? r->answer_max - r->gathered.len : 0;

	keep_printable(r, s);
	if (room > 0 && buf_append(&r->gathered, s.p, s.n < room ? s.n : room) < 0)
		return 0;
	r->body_bytes += s.n;
	if (r->body_bytes > (r->answer_max ? r->answer_max : ANSWER_BODY_MAX)) {
		r->cut = true;
		return 0;
	}
	return s.n;
}

struct code_meaning {
	CURLcode code;
	enum transport transport;
};

/* Codes that are not listed mean TRANSPORT_RESET after the request began and TRANSPORT_CONNECT
 * before. */
static const struct code_meaning meanings[] = {
        {CURLE_OK, TRANSPORT_OK},
        {CURLE_COULDNT_RESOLVE_HOST, TRANSPORT_DNS},
        {CURLE_COULDNT_RESOLVE_PROXY, TRANSPORT_DNS},
        {CURLE_COULDNT_CONNECT, TRANSPORT_CONNECT},
        {CURLE_INTERFACE_FAILED, TRANSPORT_CONNECT},
        {CURLE_PROXY, TRANSPORT_CONNECT},
        {CURLE_OPERATION_TIMEDOUT, TRANSPORT_TIMEOUT},
        {CURLE_SSL_CONNECT_ERROR, TRANSPORT_TLS},
        {CURLE_PEER_FAILED_VERIFICATION, TRANSPORT_TLS},
        {CURLE_SSL_CACERT_BADFILE, TRANSPORT_TLS},
        {CURLE_SSL_CERTPROBLEM, TRANSPORT_TLS},
        {CURLE_SSL_CIPHER, TRANSPORT_TLS},
        {CURLE_SSL_CLIENTCERT, TRANSPORT_TLS},
        {CURLE_SSL_ISSUER_ERROR, TRANSPORT_TLS},
        {CURLE_SSL_CRL_BADFILE, TRANSPORT_TLS},
        {CURLE_SSL_PINNEDPUBKEYNOTMATCH, TRANSPORT_TLS},
        {CURLE_SSL_INVALIDCERTSTATUS, TRANSPORT_TLS},
        {CURLE_SSL_ENGINE_NOTFOUND, TRANSPORT_TLS},
        {CURLE_SSL_ENGINE_SETFAILED, TRANSPORT_TLS},
        {CURLE_SSL_ENGINE_INITFAILED, TRANSPORT_TLS},
        {CURLE_USE_SSL_FAILED, TRANSPORT_TLS},
        {CURLE_OUT_OF_MEMORY, TRANSPORT_LOCAL},
        {CURLE_FAILED_INIT, TRANSPORT_LOCAL},
        {CURLE_NOT_BUILT_IN, TRANSPORT_LOCAL},
        {CURLE_URL_MALFORMAT, TRANSPORT_LOCAL},
        {CURLE_BAD_FUNCTION_ARGUMENT, TRANSPORT_LOCAL},
        {CURLE_UNKNOWN_OPTION, TRANSPORT_LOCAL},
};

static enum transport code_transport(const struct http_request *r, CURLcode code)
{
	/* Before the request began: an ftp:// URL. After that: the answer was not HTTP (or
	 * HTTP/0.9). */
	if (code == CURLE_UNSUPPORTED_PROTOCOL && r->begun == 0)
		return TRANSPORT_LOCAL;
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
		if (meanings[i].code == code)
			return meanings[i].transport;
	return r->begun ? TRANSPORT_RESET : TRANSPORT_CONNECT;
}

/* True if no connection was opened for this transfer, or libcurl wanted to repeat it, which it
 * only does on kept connections. */
static bool was_reused(struct http_request *r)
{
	long connects = 1;

	if (r->conn_id && r->begun > 0)
		return !r->opened;
	if (r->begun > 1)
		return true;
	return r->begun == 1 && curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &connects) == CURLE_OK &&
	       connects == 0;
}

/* True if the kernel (HTTP/1) or the stream (HTTP/2) accepted the whole body. libcurl's count
 * restarts when libcurl gives up a connection by itself, so record_upload() keeps the maximum.
 * Bytes written before that are still included in the request size, which counts the head and
 * the part of the body that was sent with it. */
static bool was_body_sent(struct http_request *r)
{
	curl_off_t uploaded = 0;
	long requests = 0;

	if (r->begun == 0 || (r->refused && r->status == 0))
		return false;
	if (r->status || r->uploaded >= (curl_off_t)r->body_size)
		return true;
	if (r->begun > 1)
		return curl_easy_getinfo(r->easy, CURLINFO_REQUEST_SIZE, &requests) != CURLE_OK ||
		       requests >= (long)r->body_size;
	return curl_easy_getinfo(r->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded) != CURLE_OK ||
	       uploaded >= (curl_off_t)r->body_size;
}

static enum transport judge(struct http_request *r, CURLcode code, bool reused)
{
	enum transport t;

	if (r->begun > 1 && reused)
		return TRANSPORT_STALE;
	/* We ended the transfer ourselves after reading all that we need. */
	if (code == CURLE_WRITE_ERROR && r->cut && r->status)
		return TRANSPORT_OK;
	t = code_transport(r, code);
	/* The reset of an HTTP/2 stream says nothing about its connection. */
	return t == TRANSPORT_RESET && reused && r->head_bytes == 0 && code != CURLE_HTTP2_STREAM ? TRANSPORT_STALE
	                                                                                          : t;
}

/* libcurl 7.88 loses the head of an HTTP/2 answer that arrives in the same read as a reset of
 * its stream, for example from a server that answers before it has read the body. It then
 * reports error 92 or an empty reply, but has stored the status by then. */
static void find_forgotten_status(struct http_request *r)
{
	struct curl_header *h;
	uint64_t code;

	if (r->status)
		return;
	for (size_t i = 0; curl_easy_header(r->easy, ":status", i, CURLH_PSEUDO, 0, &h) == CURLHE_OK; i++)
		if (parse_u64(slice_of(h->value), &code) == 0 && code >= 200 && code <= 999)
			r->status = (int)code;
}

/* Returns the reason from OpenSSL's error text, "error:0A000126:SSL routines::unexpected eof
 * while reading". libcurl 7.88 puts that text after OpenSSL's version, and 8.x after "TLS
 * connect error". Only the reason is useful to a reader. */
static const char *tls_reason(const char *text)
{
	const char *record = text, *reason;

	while ((record = strstr(record, "error:")) && !isxdigit((unsigned char)record[sizeof("error:") - 1]))
		record++;
	reason = record ? strrchr(record, ':') + 1 : text;
	return *reason ? reason : text;
}

/* Writes the host and port of the proxy, without user and password. */
static void name_proxy(const struct http_request *r, const char *what, int status, char *out, size_t size)
{
	const char *url = r->client->config.proxy, *start = strstr(url, "://"), *end, *at;

	start = start ? start + 3 : url;
	end = start + strcspn(start, "/?#");
	at = memrchr(start, '@', (size_t)(end - start));
	start = at ? at + 1 : start;
	snprintf(out, size, "the proxy %.*s answered %s with status %d", (int)(end - start), start, what, status);
}

/* Returns the text for the log. libcurl's messages may quote the URL, whose query contains the
 * secret. */
static const char *error_text(const struct http_request *r, enum transport t, CURLcode code)
{
	if (t == TRANSPORT_OK)
		return "";
	if (r->refused)
		return "the server refused the request's stream";
	if (t == TRANSPORT_STALE)
		return "a kept connection had been closed by the other side";
	if (r->cut)
		return "the answer's head is too long";
	if (r->error[0] == '\0' || strchr(r->error, '?') || strstr(r->error, "api_secret"))
		return curl_easy_strerror(code);
	return t == TRANSPORT_TLS ? tls_reason(r->error) : r->error;
}

void http_answer_attempt(struct http_request *r, CURLcode code, struct attempt *ret)
{
	bool reused = was_reused(r);
	bool refused = r->begun == 0 && r->proxy_status >= 300;

	find_forgotten_status(r);
	*ret = (struct attempt){
	        .transport = judge(r, code, reused),
	        .status = r->status,
	        .proxy_status = refused ? r->proxy_status : 0,
	        .retry_after_us = r->retry_after_us,
	        .body_sent = was_body_sent(r),
	        .reused_connection = reused,
	        .multiplexed = r->multiplexed,
	        .started_wall_us = r->started_wall_us,
	        .duration_us = clock_mono_us() - r->started_mono_us,
	        .date_us = r->date_us,
	};
	snprintf(ret->error, sizeof(ret->error), "%.*s", (int)sizeof(ret->error) - 1,
	         error_text(r, ret->transport, code));
	if (refused)
		name_proxy(r, "CONNECT", r->proxy_status, ret->error, sizeof(ret->error));
	else if (r->status == HTTP_PROXY_AUTHENTICATION && r->client->config.proxy[0] != '\0')
		name_proxy(r, "the request", r->status, ret->error, sizeof(ret->error));
	memcpy(ret->answer, r->answer, sizeof(ret->answer));
}
