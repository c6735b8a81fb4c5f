/* endpoint_url.c - the URL to which a stream's requests are sent, and the check of an API's */
#include <string.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/url.h"

static int append_encoded(struct buf *b, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	int r = 0;
	for (; *s && r == 0; s++) {
		unsigned char c = (unsigned char)*s;
		const char code[3] = {'%', hex[c >> 4], hex[c & 15]};
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		             strchr("-._~", c) != NULL;
		r = plain ? buf_append_char(b, *s) : buf_append(b, code, sizeof(code));
	}
	return r;
}

static int write_url(struct buf *b, const char *endpoint, const struct conf_stream *s, bool with_secret)
{
	const char *id = s->type == STREAM_WEB ? "measurement_id" : "firebase_app_id";
	int r = buf_printf(b, "%s%c%s=", endpoint, strchr(endpoint, '?') ? '&' : '?', id);
	if (r == 0)
		r = append_encoded(b, s->id);
	if (r == 0 && with_secret)
		r = buf_append_slice(b, SLICE_LIT("&api_secret="));
	if (r == 0 && with_secret)
		r = append_encoded(b, s->secret);
	return r < 0 ? r : buf_append_char(b, '\0');
}

char *conf_endpoint_url(const char *endpoint, const struct conf_stream *s, bool with_secret)
{
	/* reserve everything at once: growing would leave copies of the secret behind */
	size_t most = strlen(endpoint) + 3 * (strlen(s->id) + strlen(s->secret)) + 64;
	struct buf b = BUF_INIT(most);
	int r = buf_reserve(&b, most);
	if (r == 0)
		r = write_url(&b, endpoint, s, with_secret);
	if (r == 0)
		return b.data;
	if (b.data)
		explicit_bzero(b.data, b.cap);
	buf_free(&b);
	return NULL;
}

const char *conf_api_url_problem(const char *url)
{
	struct url u;
	const char *wrong = url_split(url, &u);

	if (wrong)
		return wrong;
	if (u.has_userinfo || u.has_query || u.has_fragment)
		return "it has more than a host and a path";
	if (slice_eq(u.scheme, SLICE_LIT("https")))
		return NULL;
	if (!slice_eq(u.scheme, SLICE_LIT("http")))
		return "its scheme is not https";
	return host_is_loopback(u.host) ? NULL : "it would send the token in plain text: use https";
}
