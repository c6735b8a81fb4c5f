/* conf_text.c - syntax checks for paths, groups, URLs and addresses in the configuration */
#include "conf/conf_text.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "conf/options.h"
#include "conf/url.h"

enum { TEXT_MAX = 4000, SOCKET_PATH_MAX = 107 /* sun_path holds 108 bytes with its NUL */ };

/* Returns NULL, or what is wrong with text without quoting it. */
typedef const char *check_fn(const char *text);

static const char *check_path(const char *text)
{
	if (text[0] != '/')
		return "a path must be absolute (begin with /)";
	return strlen(text) > TEXT_MAX ? "the path is longer than 4000 bytes" : NULL;
}

static const char *check_socket_path(const char *text)
{
	const char *wrong = check_path(text);

	return wrong || strlen(text) <= SOCKET_PATH_MAX ? wrong : "the path of a socket may have 107 bytes at most";
}

static const char *check_group(const char *text)
{
	return getgrnam(text) ? NULL : "there is no such group on this machine";
}

static const char *check_url(const char *text)
{
	struct url u;
	const char *wrong = url_split(text, &u);

	if (wrong)
		return wrong;
	if (!slice_eq(u.scheme, SLICE_LIT("https")) && !slice_eq(u.scheme, SLICE_LIT("http")))
		return "its scheme must be https";
	if (u.has_userinfo)
		return "an endpoint takes no user and password";
	if (u.has_query || u.has_fragment)
		return "an endpoint takes no query: the id and the secret belong to the stream";
	return NULL;
}

static const char *check_proxy(const char *text)
{
	static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
	struct url u;
	const char *wrong = url_split(text, &u);

	if (wrong)
		return wrong;
	if (u.has_query || u.has_fragment || (u.path.n && !slice_eq(u.path, SLICE_LIT("/"))))
		return "a proxy has no path";
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (slice_eq(u.scheme, slice_of(schemes[i])))
			return NULL;
	return "its scheme must be one of http, https, socks4, socks4a, socks5, socks5h";
}

static const char *check_listen(const char *text)
{
	char url[TEXT_MAX + 16];
	struct url u;

	if (strncmp(text, "unix:", 5) == 0)
		return check_socket_path(text + 5);
	snprintf(url, sizeof(url), "http://%s", text);
	if (url_split(url, &u) || u.has_userinfo || u.path.n || u.has_query || u.has_fragment || u.port.n == 0)
		return "expected an address and a port such as 127.0.0.1:8125 or [::1]:8125, or unix:/path";
	return NULL;
}

static check_fn *const checks[] = {
        [OPTION_PATH] = check_path,   [OPTION_SOCKET_PATH] = check_socket_path,
        [OPTION_GROUP] = check_group, [OPTION_URL] = check_url,
        [OPTION_PROXY] = check_proxy, [OPTION_LISTEN] = check_listen,
        [OPTION_STREAMS] = NULL,
};

const char *text_problem(int type, const char *text)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "it holds a control character";
	if (strlen(text) > TEXT_MAX)
		return "it is longer than 4000 bytes";
	return text[0] && checks[type] ? checks[type](text) : NULL;
}

/* Whether text is a host name without a port; Host headers are compared without theirs. */
bool text_is_host_name(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > 255)
		return false;
	if (text[0] == '[')
		return text[n - 1] == ']' && strspn(text + 1, "0123456789abcdefABCDEF:.") == n - 2;
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n;
}
