/* doctor_network.c - the doctor's checks of the endpoints' names, connections and certificates, and of the clock */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>

#include "base/clock.h"
#include "ctl/doctor/doctor.h"
#include "ctl/output/terminal_text.h"

/* Every release is newer than 2025-01-01, so a clock before it is wrong. */
#define RELEASED_US (INT64_C(1735689600) * US_PER_S)

/* A larger difference is not explained by a slow answer. */
enum { CLOCK_OFF_S = 30 };

/* Copies a URL's host, without user, port and brackets. */
static void host_of(const char *url, char *host, size_t size)
{
	const char *start = strstr(url, "://"), *at, *end;

	start = start ? start + 3 : url;
	end = start + strcspn(start, "/?#");
	at = memchr(start, '@', (size_t)(end - start));
	start = at ? at + 1 : start;
	if (*start == '[') {
		start++;
		end = start + strcspn(start, "]");
	} else if (memchr(start, ':', (size_t)(end - start))) {
		end = memchr(start, ':', (size_t)(end - start));
	}
	snprintf(host, size, "%.*s", (int)(end - start), start);
}

/* owner: the name of a stream, or NULL if the URL is that of the proxy. */
static bool resolves(struct doctor *d, const char *owner, const char *url)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char host[256], whose[80];
	int r;

	host_of(url, host, sizeof(host));
	snprintf(whose, sizeof(whose), "%s%s", owner ? "stream " : "proxy", owner ? owner : "");
	r = getaddrinfo(host, NULL, &hints, &found);
	if (r != 0) {
		doctor_say(d, FINDING_FAILED, "DNS",
		           owner ? "correct the endpoint's name, or this machine's resolver (/etc/resolv.conf)"
		                 : "correct delivery.proxy, or this machine's resolver (/etc/resolv.conf)",
		           "%s: %s does not resolve: %s", whose, host,
		           r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
		return false;
	}
	freeaddrinfo(found);
	doctor_say(d, FINDING_OK, "DNS", NULL, "%s: %s resolves", whose, host);
	return true;
}

/* True if the endpoints' names are resolved on this machine. These two kinds of proxy take addresses only; all others
 * resolve the names themselves. */
static bool needs_resolver(const char *proxy)
{
	return proxy[0] == '\0' || strncmp(proxy, "socks4:", 7) == 0 || strncmp(proxy, "socks5:", 7) == 0;
}

/* Checks the names that this machine must resolve for a stream. */
static bool names_resolve(struct doctor *d, const char *proxy, const char *stream, const char *endpoint)
{
	return !needs_resolver(proxy) || resolves(d, stream, endpoint);
}

static const char *advice_for(struct slice transport)
{
	if (slice_eq(transport, SLICE_LIT("tls")))
		return "is the clock right? A proxy in between with a CA of its own: delivery.ca_file";
	if (slice_eq(transport, SLICE_LIT("dns")))
		return "the daemon cannot resolve it: its sandbox, or this machine's resolver";
	if (slice_eq(transport, SLICE_LIT("timeout")) || slice_eq(transport, SLICE_LIT("connect")))
		return "does a firewall let this machine out on that port? Behind a proxy: delivery.proxy";
	return "try it by hand with curl -v";
}

/* Compares the clock with the Date header of an endpoint's answer, because GA4 judges events by its own clock. */
static void compare_clocks(struct doctor *d, const struct json_doc *end)
{
	int64_t ahead_s = answer_i64(end, end->nodes, "clock_ahead_s", INT64_MIN);
	char distance[16];

	if (ahead_s == INT64_MIN)
		return;
	text_duration((ahead_s < 0 ? -ahead_s : ahead_s) * US_PER_S, distance);
	if (ahead_s > CLOCK_OFF_S || ahead_s < -CLOCK_OFF_S)
		doctor_say(
		        d, FINDING_FAILED, "clock",
		        "set it (timedatectl set-ntp true): events are dated wrongly, and expire too early or late",
		        "is %s %s the endpoint's", distance, ahead_s > 0 ? "ahead of" : "behind");
	else if (!d->clock_compared)
		doctor_say(d, FINDING_OK, "clock", NULL, "agrees with the endpoint's");
	d->clock_compared = true;
}

enum { STATUS_FORBIDDEN = 403, STATUS_NOT_ALLOWED = 405, STATUS_PROXY_AUTHENTICATION = 407 };

static const char *proxy_advice_for(int64_t status)
{
	switch (status) {
	case 0:
		return "is delivery.proxy right, does the proxy run, and does it answer?";
	case STATUS_PROXY_AUTHENTICATION:
		return "give user and password: delivery.proxy = \"http://USER:PASSWORD@HOST:PORT\"";
	case STATUS_FORBIDDEN:
	case STATUS_NOT_ALLOWED:
		return "the proxy's rules must allow this machine to CONNECT to the endpoint";
	default:
		return "the proxy runs, but it does not reach the endpoint: its log says why";
	}
}

/* No answer of the endpoint: what failed on the way to it. */
static void say_unreached(struct doctor *d, const char *proxy, struct slice stream, const struct json_doc *end)
{
	struct slice transport = answer_text(end, end->nodes, "transport"),
	             error = answer_text(end, end->nodes, "error");
	int64_t proxy_status = answer_i64(end, end->nodes, "proxy_status", 0);

	if (slice_eq(transport, SLICE_LIT("tls")))
		doctor_say(d, FINDING_FAILED, "TLS", advice_for(transport), "stream %.*s: %.*s: %.*s",
		           SLICE_ARG(stream), SLICE_ARG(transport), SLICE_ARG(error));
	else if (proxy[0] != '\0')
		doctor_say(d, FINDING_FAILED, "proxy", proxy_advice_for(proxy_status), "%s: %.*s", proxy,
		           SLICE_ARG(error));
	else
		doctor_say(d, FINDING_FAILED, "endpoint", advice_for(transport), "stream %.*s: %.*s: %.*s",
		           SLICE_ARG(stream), SLICE_ARG(transport), SLICE_ARG(error));
}

static void probe(struct doctor *d, const char *proxy, struct slice stream)
{
	struct json_out *j = client_begin(&d->client, QUERY_probe);
	const struct json_doc *end;
	int64_t status;

	if (j) {
		json_out_key(j, "stream");
		json_out_slice(j, stream);
	}
	if (client_call(&d->client, j, -1, NULL, NULL, &end) != CTL_DONE)
		return;
	status = answer_i64(end, end->nodes, "status", 0);
	if (status == 0)
		say_unreached(d, proxy, stream, end);
	else if (status == STATUS_PROXY_AUTHENTICATION && proxy[0] != '\0')
		doctor_say(d, FINDING_FAILED, "proxy", proxy_advice_for(status), "%s answered %lld", proxy,
		           (long long)status);
	else if (status >= 400)
		doctor_say(d, FINDING_WARNING, "endpoint",
		           "a wrong path or proxy? Validation endpoints are missing on some servers: then it is "
		           "harmless",
		           "stream %.*s: its validation endpoint answered %lld", SLICE_ARG(stream),
		           (long long)status);
	else
		doctor_say(d, FINDING_OK, "endpoint", NULL, "stream %.*s: answered %lld after %lld ms%s%s",
		           SLICE_ARG(stream), (long long)status, (long long)answer_i64(end, end->nodes, "ms", 0),
		           proxy[0] ? " through " : "", proxy);
	compare_clocks(d, end);
}

enum { STREAMS_MAX = 16 /* streams checked at most; they usually share one endpoint */ };

/* Checks the daemon's streams over its own connections. Names are copied because the next answer overwrites them. */
static void ask_daemon(struct doctor *d)
{
	char names[STREAMS_MAX][72], endpoints[STREAMS_MAX][512], proxy[512];
	const struct json_node *list;
	const struct json_doc *end;
	size_t n = 0;

	if (client_call(&d->client, client_begin(&d->client, QUERY_doctor), -1, NULL, NULL, &end) != CTL_DONE)
		return;
	snprintf(proxy, sizeof(proxy), "%.*s", SLICE_ARG(answer_text(end, end->nodes, "proxy")));
	list = json_member(end, end->nodes, "streams");
	for (const struct json_node *s = list ? json_first(end, list) : NULL; s && n < STREAMS_MAX;
	     s = json_next(end, list, s)) {
		struct slice name = answer_text(end, s, "name"), endpoint = answer_text(end, s, "endpoint");

		snprintf(names[n], sizeof(names[n]), "%.*s", SLICE_ARG(name));
		snprintf(endpoints[n], sizeof(endpoints[n]), "%.*s", SLICE_ARG(endpoint));
		n++;
	}
	if (proxy[0] != '\0' && !resolves(d, NULL, proxy))
		return;
	for (size_t i = 0; i < n; i++)
		if (names_resolve(d, proxy, names[i], endpoints[i]))
			probe(d, proxy, slice_of(names[i]));
}

static void check_clock(struct doctor *d)
{
	struct timex state = {0};
	int64_t now_us = clock_wall_us();
	char shown[32];

	text_time(now_us, shown);
	if (now_us < RELEASED_US)
		doctor_say(d, FINDING_FAILED, "clock",
		           "set it (timedatectl set-ntp true): events would be expired or refused",
		           "says %s, which cannot be", shown);
	else if (adjtimex(&state) >= 0 && (state.status & STA_UNSYNC))
		doctor_say(d, FINDING_WARNING, "clock", "timedatectl set-ntp true: GA4 drops what is dated wrongly",
		           "says %s, and nobody keeps it right (no NTP)", shown);
	else
		doctor_say(d, FINDING_OK, "clock", NULL, "%s", shown);
}

/* Without a daemon, only the names of the configuration can be checked. */
static void check_names(struct doctor *d)
{
	const char *proxy = d->conf->delivery.proxy ? d->conf->delivery.proxy : "";

	if (proxy[0] != '\0')
		(void)resolves(d, NULL, proxy);
	for (size_t i = 0; i < d->conf->n_streams && i < STREAMS_MAX; i++)
		(void)names_resolve(d, proxy, d->conf->streams[i].name, d->conf->streams[i].endpoint);
}

void doctor_network(struct doctor *d)
{
	check_clock(d);
	if (d->running) {
		ask_daemon(d);
		return;
	}
	if (d->conf)
		check_names(d);
	doctor_say(d, FINDING_NOTE, "TLS", "start the daemon and run doctor again",
	           "connections are tried by the daemon, with its proxy and its CA bundle");
}
