/* http_server_framing.c - requests that two readers could read differently, in end or target, are not taken
 *
 * evhttp takes the first of several Content-Length headers, prefers a Transfer-Encoding to it, and reads one that it
 * does not know as if it were not there. A proxy in front that reads otherwise would let one client write the head of
 * another's request (RFC 9112, 6.3). */
#include "net/http_server_framing.h"

#include <event2/keyvalq_struct.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

static unsigned count(const struct evkeyvalq *headers, const char *name, const char **ret_value)
{
	const struct evkeyval *h;
	unsigned n = 0;

	TAILQ_FOREACH(h, headers, next)
	if (strcasecmp(h->key, name) == 0) {
		*ret_value = h->value;
		n++;
	}
	return n;
}

const char *http_framing_problem(const char *target, const struct evkeyvalq *headers)
{
	const char *value = "";
	unsigned lengths = count(headers, "Content-Length", &value), encodings;

	/* Whoever decodes it into a C string sees less of it than others do. */
	if (strstr(target, "%00"))
		return "a NUL in the request's target";
	if (count(headers, "Host", &value) > 1)
		return "more than one Host header";
	if (lengths > 1)
		return "more than one Content-Length header";
	encodings = count(headers, "Transfer-Encoding", &value);
	if (encodings > 0 && lengths > 0)
		return "Content-Length beside Transfer-Encoding";
	if (encodings > 1 || (encodings == 1 && strcasecmp(value, "chunked") != 0))
		return "a Transfer-Encoding that is not \"chunked\"";
	return NULL;
}
