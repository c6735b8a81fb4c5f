/* endpoint_url.c - where a stream's requests go, with its secret, which only the configuration and curl have too */
#include <stdio.h>
#include <string.h>

#include "daemon/delivery/delivery_private.h"

static int append_encoded(struct buf *b, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		char enc[3] = {'%', hex[c >> 4], hex[c & 15]};
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		             strchr("-._~", c) != NULL;
		int r = plain ? buf_append_char(b, *s) : buf_append(b, enc, sizeof(enc));
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_url(struct buf *b, const struct conf_stream *s)
{
	const char *join = strchr(s->endpoint, '?') ? "&" : "?";
	const char *id = s->type == STREAM_WEB ? "measurement_id=" : "firebase_app_id=";
	int r = buf_printf(b, "%s%s%s", s->endpoint, join, id);
	if (r == 0)
		r = append_encoded(b, s->id);
	if (r == 0)
		r = buf_append_slice(b, SLICE_LIT("&api_secret="));
	if (r == 0)
		r = append_encoded(b, s->secret);
	return r < 0 ? r : buf_append_char(b, '\0');
}

char *endpoint_url(const struct conf_stream *stream)
{
	/* room for all of it from the start: no copy of the secret is left behind by growing */
	size_t most = strlen(stream->endpoint) + 3 * (strlen(stream->id) + strlen(stream->secret)) + 64;
	struct buf b = BUF_INIT(most);
	int r = buf_reserve(&b, most);
	if (r == 0)
		r = write_url(&b, stream);
	if (r == 0)
		return b.data;
	if (b.data)
		explicit_bzero(b.data, b.cap);
	buf_free(&b);
	return NULL;
}
