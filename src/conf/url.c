/* url.c - splits an http URL into its parts, strictly (RFC 3986, without what an endpoint never has) */
#include "conf/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "conf/conf.h"

enum { URL_MAX = 2000 };

static struct slice slice_between(const char *from, const char *to)
{
	return (struct slice){from, (size_t)(to - from)};
}

bool port_is_valid(struct slice port)
{
	uint64_t v;

	return parse_u64(port, &v) == 0 && v >= 1 && v <= 65535;
}

static bool host_is_valid(struct slice host)
{
	char text[64];
	struct in6_addr address;

	if (host.n == 0)
		return false;
	if (host.p[0] != '[') {
		for (size_t i = 0; i < host.n; i++)
			if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", host.p[i]))
				return false;
		return true;
	}
	if (host.n < 3 || host.n - 2 >= sizeof(text) || host.p[host.n - 1] != ']')
		return false;
	memcpy(text, host.p + 1, host.n - 2);
	text[host.n - 2] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

bool host_is_loopback(struct slice host)
{
	char text[64];
	struct in_addr v4;
	struct in6_addr v6;

	if (host.n >= sizeof(text))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	if (strcasecmp(text, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, text, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	if (host.n < 3 || text[0] != '[' || text[host.n - 1] != ']')
		return false;
	text[host.n - 1] = '\0';
	return inet_pton(AF_INET6, text + 1, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static const char *split_authority(struct slice authority, struct url *u)
{
	const char *at = authority.n ? memrchr(authority.p, '@', authority.n) : NULL,
	           *end = authority.p + authority.n;
	const char *host = authority.p, *colon;

	if (at) {
		u->has_userinfo = true;
		u->userinfo = slice_between(authority.p, at);
		host = at + 1;
	}
	colon = memchr(host, *host == '[' ? ']' : ':', (size_t)(end - host));
	if (colon && *colon == ']')
		colon = colon + 1 < end ? colon + 1 : NULL;
	u->host = slice_between(host, colon ? colon : end);
	if (!host_is_valid(u->host))
		return "it has no valid host";
	if (!colon)
		return NULL;
	u->port = slice_between(colon + 1, end);
	return *colon == ':' && port_is_valid(u->port) ? NULL : "its port is none";
}

const char *url_split(const char *text, struct url *ret)
{
	const char *scheme_end = strstr(text, "://"), *authority, *path, *end;
	struct url u = {0};
	const char *wrong;

	if (strlen(text) > URL_MAX)
		return "it is longer than 2000 bytes";
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("\"<>\\^`{|}", *c))
			return "it holds a character that must be percent-encoded";
	if (!scheme_end || scheme_end == text)
		return "it has no scheme such as https://";
	u.scheme = slice_between(text, scheme_end);
	authority = scheme_end + 3;
	path = authority + strcspn(authority, "/?#");
	wrong = split_authority(slice_between(authority, path), &u);
	if (wrong)
		return wrong;
	end = path + strcspn(path, "?#");
	u.path = slice_between(path, end);
	u.has_query = *end == '?';
	u.has_fragment = strchr(end, '#') != NULL;
	*ret = u;
	return NULL;
}

/* Cuts at the last '@' before the path, even if the text is not a URL, so that a typing error does not reveal a
 * password. */
const char *conf_redact_url(const char *url, char *out, size_t size)
{
	const char *start = strstr(url, "://"), *at;

	start = start ? start + 3 : url;
	at = memrchr(start, '@', strlen(start));
	if (at)
		snprintf(out, size, "%.*s***%s", (int)(start - url), url, at);
	else
		snprintf(out, size, "%s", url);
	return out;
}
