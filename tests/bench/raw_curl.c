/* raw_curl.c - the limit of delivery: a bare curl-multi loop that posts the same bodies over a pool of connections */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/macros.h"
#include "lines.h"

static const char usage[] =
        "usage: raw_curl [-n REQUESTS] [-c AT_ONCE] [-e EVENTS_A_REQUEST] [-a CA_FILE] [-2] URL\n";

enum { BODIES = 256, EVENTS_MAX = 25, AT_ONCE_MAX = 256 };

static struct {
	uint64_t requests, started, ended, failed;
	unsigned at_once, events;
	const char *url, *ca_file;
	bool http2;
	struct curl_slist *headers;
	char *bodies[BODIES];
	size_t sizes[BODIES];
	CURLM *multi;
} g = {.requests = 4000, .at_once = 64, .events = 25};

static void make_body(size_t k)
{
	char *to = malloc((size_t)EVENTS_MAX * LINE_ROOM + 256);
	size_t n;

	if (!to)
		exit(1);
	n = (size_t)sprintf(to, "{\"client_id\":\"%zu.%zu\",\"timestamp_micros\":1795000000000000,\"events\":[",
	                    1000000 + k, 1700000000 + k);
	for (unsigned i = 0; i < g.events; i++) {
		n += lines_event(to + n, k * g.events + i, 320) - 1;
		n += (size_t)sprintf(to + n, ",\"timestamp_micros\":17950000%08u}%s", i,
		                     i + 1 < g.events ? "," : "]}");
	}
	g.bodies[k] = to;
	g.sizes[k] = n;
}

static size_t swallow(char *data UNUSED, size_t size, size_t n, void *arg UNUSED)
{
	return size * n;
}

static CURL *new_handle(void)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		exit(1);
	curl_easy_setopt(easy, CURLOPT_URL, g.url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, g.headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	                 g.http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, g.http2 ? 1L : 0L);
	if (g.ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, g.ca_file);
	return easy;
}

static void start(CURL *easy)
{
	size_t k = g.started++ % BODIES;

	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, g.bodies[k]);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)g.sizes[k]);
	if (curl_multi_add_handle(g.multi, easy) != CURLM_OK)
		exit(1);
}

static void reap(void)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(g.multi, &left))) {
		CURL *easy = m->easy_handle;
		long status = 0;

		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		g.failed += m->data.result != CURLE_OK || status / 100 != 2;
		curl_multi_remove_handle(g.multi, easy);
		g.ended++;
		if (g.started < g.requests)
			start(easy);
		else
			curl_easy_cleanup(easy);
	}
}

static int read_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:c:e:a:2")) != -1) {
		if (c == 'n')
			g.requests = strtoull(optarg, NULL, 10);
		else if (c == 'c')
			g.at_once = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'e')
			g.events = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'a')
			g.ca_file = optarg;
		else if (c == '2')
			g.http2 = true;
		else
			return -1;
	}
	g.url = argv[optind];
	return g.url && g.requests && g.at_once && g.at_once <= AT_ONCE_MAX && g.events && g.events <= EVENTS_MAX
	               ? 0
	               : -1;
}

static void prepare(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	g.headers = curl_slist_append(NULL, "Content-Type: application/json");
	g.headers = curl_slist_append(g.headers, "Expect:");
	g.multi = curl_multi_init();
	if (!g.multi || !g.headers)
		exit(1);
	curl_multi_setopt(g.multi, CURLMOPT_MAXCONNECTS, (long)g.at_once);
	for (size_t k = 0; k < BODIES; k++)
		make_body(k);
}

int main(int argc, char **argv)
{
	int64_t start_us, us;
	int running;

	if (read_options(argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	prepare();
	start_us = clock_mono_us();
	while (g.started < g.requests && g.started < g.at_once)
		start(new_handle());
	while (g.ended < g.requests) {
		curl_multi_perform(g.multi, &running);
		reap();
		if (running > 0)
			curl_multi_poll(g.multi, NULL, 0, 1000, NULL);
	}
	us = clock_mono_us() - start_us;
	printf("{\"requests\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.3f,\"events_per_s\":%.0f}\n",
	       g.requests, g.failed, (double)us / 1e6, (double)(g.requests * g.events) * 1e6 / (double)us);
	curl_multi_cleanup(g.multi);
	return g.failed ? 1 : 0;
}
