/* reply.c - the lines an application gets back (ga4relay-protocol(7), Replies) */
#include "event/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "json/json_text.h"

/* Room for an ok's fixed words, two numbers and the LF: one reservation, then nothing can fail. */
enum { OK_MAX = 96 };

static char *put(char *p, const char *text, size_t n)
{
	memcpy(p, text, n);
	return p + n;
}
#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)

static char *put_u64(char *p, uint64_t v)
{
	char digits[20], *first = digits + sizeof(digits);

	do
		*--first = (char)('0' + v % 10);
	while (v /= 10);
	return put(p, first, (size_t)(digits + sizeof(digits) - first));
}

int reply_write_ok(struct buf *out, uint64_t id, uint32_t count, bool duplicate, struct slice warnings_json)
{
	int r = buf_reserve(out, OK_MAX + warnings_json.n);
	char *p;

	if (r == -ENOBUFS) /* the estimate is generous: near the maximum it must be exact */
		r = buf_reserve(
		        out, (size_t)snprintf(NULL, 0, "{\"ok\":true,\"id\":%" PRIu64 ",\"count\":%u}\n", id, count) +
		                     (duplicate ? sizeof(",\"duplicate\":true") - 1 : 0) + warnings_json.n);
	if (r < 0)
		return r;
	p = PUT(out->data + out->len, "{\"ok\":true,\"id\":");
	p = put_u64(p, id);
	p = PUT(p, ",\"count\":");
	p = put_u64(p, count);
	if (duplicate)
		p = PUT(p, ",\"duplicate\":true");
	if (warnings_json.n)
		p = put(p, warnings_json.p, warnings_json.n);
	p = PUT(p, "}\n");
	out->len = (size_t)(p - out->data);
	return 0;
}

static int append_refusal(struct buf *out, const struct finding *refusal)
{
	int r = buf_printf(out, "{\"ok\":false,\"code\":\"%s\",\"field\":", code_name(refusal->code));

	if (r == 0)
		r = json_text_append_string(out, slice_of(refusal->field));
	if (r == 0)
		r = buf_append_slice(out, SLICE_LIT(",\"message\":"));
	if (r == 0)
		r = json_text_append_string(out, slice_of(refusal->message));
	return r < 0 ? r : buf_printf(out, ",\"retry\":%s}\n", code_is_retryable(refusal->code) ? "true" : "false");
}

int reply_write_refusal(struct buf *out, const struct finding *refusal)
{
	size_t before = out->len;
	int r = append_refusal(out, refusal);

	if (r < 0)
		out->len = before;
	return r;
}
