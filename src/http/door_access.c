/* door_access.c - access checks of the HTTP door: Host header, secret, stream */
#include "http/door_access.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* Length of host without ":port". An IPv6 address has colons of its own, inside brackets. */
static size_t name_length(const char *host)
{
	const char *bracket = host[0] == '[' ? strchr(host, ']') : NULL;
	const char *colon = strchr(bracket ? bracket : host, ':');

	return colon ? (size_t)(colon - host) : strlen(host);
}

/* A page's own name can be rebound to this machine; an address cannot. */
static bool is_address(const char *host, size_t n)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	bool v6 = n > 2 && host[0] == '[' && host[n - 1] == ']';

	n -= v6 ? 2 : 0;
	if (n >= sizeof(text))
		return false;
	memcpy(text, host + v6, n);
	text[n] = '\0';
	return inet_pton(v6 ? AF_INET6 : AF_INET, text, &address) == 1;
}

bool door_host_allowed(const char *host, char *const *hosts)
{
	size_t n;

	if (!host || !hosts)
		return false;
	n = name_length(host);
	if (is_address(host, n))
		return true;
	for (size_t i = 0; hosts[i]; i++)
		if (n > 0 && strlen(hosts[i]) == n && strncasecmp(hosts[i], host, n) == 0)
			return true;
	return false;
}

bool door_same_origin(const char *origin, const char *fetch_site, const char *host)
{
	static const char scheme[] = "http://";

	if (fetch_site && strcmp(fetch_site, "same-origin") != 0 && strcmp(fetch_site, "none") != 0)
		return false;
	if (!origin)
		return true;
	return host && strncmp(origin, scheme, sizeof(scheme) - 1) == 0 &&
	       strcasecmp(origin + sizeof(scheme) - 1, host) == 0;
}

bool door_secret_equal(const char *given, const char *secret)
{
	size_t n = strlen(secret);
	volatile unsigned char different = strlen(given) != n || n == 0;

	if (strlen(given) != n)
		given = secret; /* compare secret with itself, so that the time does not depend on the contents */
	for (size_t i = 0; i < n; i++)
		different |= (unsigned char)(given[i] ^ secret[i]);
	return !different;
}

enum door_stream door_find_stream(const struct conf *conf, const char *measurement_id, const char *firebase_app_id,
                                  size_t *ret_index)
{
	enum stream_type type = measurement_id ? STREAM_WEB : STREAM_APP;
	const char *id = measurement_id ? measurement_id : firebase_app_id;

	if (!measurement_id == !firebase_app_id)
		return DOOR_STREAM_NOT_NAMED;
	for (size_t i = 0; i < conf->n_streams; i++) {
		if (conf->streams[i].type != type || strcmp(conf->streams[i].id, id) != 0)
			continue;
		*ret_index = i;
		return DOOR_STREAM_FOUND;
	}
	return DOOR_STREAM_UNKNOWN;
}
