/* conf_check.c - checks across options: endpoints and plaintext, minima and maxima, the HTTP door's address */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/reader.h"
#include "conf/url.h"

enum { SOCKET_PATH_MAX = 107 };

static unsigned line_of(const struct reader *rd, const char *option)
{
	size_t n;
	const struct conf_option_info *options = conf_options(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(options[i].name, option) == 0)
			return rd->lines[i];
	return 0;
}

/* The secret is part of the query, so a plaintext endpoint is accepted only on loopback unless allow_plaintext is
 * set. */
static int check_plaintext(const struct reader *rd, const char *endpoint, unsigned line, const char *option)
{
	struct url u;

	if (url_split(endpoint, &u) || slice_eq(u.scheme, SLICE_LIT("https")) || host_is_loopback(u.host) ||
	    rd->conf->delivery.allow_plaintext)
		return 0;
	return reader_fail(
	        rd, line, option,
	        "\"%.120s\" would send the secret in plain text: use https, or set delivery.allow_plaintext",
	        endpoint);
}

/* https://host/mp/collect → https://host/debug/mp/collect */
static char *with_debug(const char *endpoint)
{
	struct url u;
	char *text = NULL;

	if (url_split(endpoint, &u) ||
	    asprintf(&text, "%.*s/debug%s", (int)(u.path.p - endpoint), endpoint, u.path.p) < 0)
		return NULL;
	return text;
}

static int set_endpoints(const struct reader *rd, struct conf_stream *s, unsigned index)
{
	const struct conf *conf = rd->conf;
	char option[64];

	if (s->endpoint) {
		const config_setting_t *group = config_setting_get_elem(rd->streams, index);
		const config_setting_t *setting = config_setting_get_member(group, "endpoint");
		int r;

		snprintf(option, sizeof(option), "streams[%u].endpoint", index);
		r = check_plaintext(rd, s->endpoint, config_setting_source_line(setting), option);
		if (r < 0)
			return r;
		s->validation_endpoint = with_debug(s->endpoint);
	} else {
		s->endpoint = strdup(conf->delivery.endpoint);
		s->validation_endpoint = strdup(conf->delivery.validation_endpoint);
	}
	return s->endpoint && s->validation_endpoint ? 0 : reader_no_memory(rd);
}

static int check_endpoints(const struct reader *rd)
{
	struct conf *conf = rd->conf;
	int r = check_plaintext(rd, conf->delivery.endpoint, line_of(rd, "delivery.endpoint"), "delivery.endpoint");

	if (r < 0)
		return r;
	if (conf->delivery.validation_endpoint[0] == '\0') {
		char *derived = with_debug(conf->delivery.endpoint);

		if (!derived)
			return reader_no_memory(rd);
		free(conf->delivery.validation_endpoint);
		conf->delivery.validation_endpoint = derived;
	} else {
		r = check_plaintext(rd, conf->delivery.validation_endpoint,
		                    line_of(rd, "delivery.validation_endpoint"), "delivery.validation_endpoint");
	}
	for (size_t i = 0; r == 0 && i < conf->n_streams; i++)
		r = set_endpoints(rd, &conf->streams[i], (unsigned)i);
	return r;
}

/* The line to report: that of the option that is set in the file, of the first if both are. */
static unsigned line_of_either(const struct reader *rd, const char *option, const char *other)
{
	unsigned line = line_of(rd, option);

	return line ? line : line_of(rd, other);
}

static int check_pairs(const struct reader *rd)
{
	const struct conf *c = rd->conf;

	if (c->delivery.retry_min_us > c->delivery.retry_max_us)
		return reader_fail(rd, line_of_either(rd, "delivery.retry_min", "delivery.retry_max"),
		                   "delivery.retry_min", "must not be longer than delivery.retry_max");
	if (c->listen.max_line > c->listen.max_memory)
		return reader_fail(rd, line_of_either(rd, "listen.max_line", "listen.max_memory"), "listen.max_line",
		                   "must not be larger than listen.max_memory");
	if (c->listen.max_unread_replies > c->listen.max_memory)
		return reader_fail(rd, line_of_either(rd, "listen.max_unread_replies", "listen.max_memory"),
		                   "listen.max_unread_replies", "must not be larger than listen.max_memory");
	if (strcmp(c->listen.socket, c->control.socket) == 0)
		return reader_fail(rd, line_of_either(rd, "control.socket", "listen.socket"), "control.socket",
		                   "must not be listen.socket");
	if (c->http.page && !c->http.listen[0])
		return reader_fail(rd, line_of(rd, "http.page"), "http.page",
		                   "needs http.listen, the address that serves it");
	if (c->http.metrics[0] && strcmp(c->http.metrics, c->http.listen) == 0)
		return reader_fail(rd, line_of(rd, "http.metrics"), "http.metrics",
		                   "must not be http.listen, which serves /metrics and /healthz too");
	if (c->control.read_group[0] && strlen(c->control.socket) + strlen(CONTROL_READ_SUFFIX) > SOCKET_PATH_MAX)
		return reader_fail(rd, line_of_either(rd, "control.socket", "control.read_group"), "control.socket",
		                   "is too long: with read_group a second socket has .read behind this name");
	return 0;
}

/* Checked at load: at the first request it would look like any other TLS failure. */
static int check_ca_file(const struct reader *rd)
{
	const char *path = rd->conf->delivery.ca_file;

	if (path[0] == '\0' || access(path, R_OK) == 0)
		return 0;
	return reader_fail(rd, line_of(rd, "delivery.ca_file"), "delivery.ca_file", "%.200s cannot be read: %s", path,
	                   strerror(errno));
}

/* Warns of streams with the same id, because the HTTP door finds a stream by its id. */
static void warn_of_same_ids(const struct reader *rd)
{
	const struct conf *c = rd->conf;

	for (size_t i = 0; i < c->n_streams; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(c->streams[i].id, c->streams[j].id) == 0)
				reader_warn(rd, line_of(rd, "http.listen"), "http.listen",
				            "streams \"%s\" and \"%s\" have the same id: what comes over HTTP goes "
				            "to the first",
				            c->streams[j].name, c->streams[i].name);
}

static void check_door(const struct reader *rd)
{
	const char *address = rd->conf->http.listen, *colon = strrchr(address, ':');

	if (address[0] == '\0')
		return;
	warn_of_same_ids(rd);
	if (strncmp(address, "unix:", 5) == 0 || !colon ||
	    host_is_loopback((struct slice){address, (size_t)(colon - address)}))
		return;
	reader_warn(rd, line_of(rd, "http.listen"), "http.listen",
	            "%s is not loopback: whoever reaches it and knows a stream's secret, which travels there in "
	            "plain text, "
	            "can send events",
	            address);
}

/* ---- the group `fleet`: its role, and the connection string from a file or a credential ---- */

/* The line of the first option of the group that is set; 0: none is. */
static unsigned first_line_of_fleet(const struct reader *rd)
{
	size_t n;
	const struct conf_option_info *options = conf_options(&n);

	for (size_t i = 0; i < n; i++)
		if (strncmp(options[i].name, "fleet.", 6) == 0 && rd->lines[i])
			return rd->lines[i];
	return 0;
}

static int check_fleet_pairs(const struct reader *rd)
{
	const struct conf *c = rd->conf;

	if (c->fleet.keep_keys_us < c->delivery.max_age_us)
		return reader_fail(rd, first_line_of_fleet(rd), "fleet.keep_keys",
		                   "must not be shorter than delivery.max_age: an event that is sent again so late "
		                   "would be taken for a new one");
	/* An ok must never promise more than it holds. */
	if (c->fleet.confirm == CONFIRM_REPLICATED)
		return reader_fail(rd, line_of(rd, "fleet.confirm"), "fleet.confirm",
		                   "\"replicated\" is not available in this version: an ok says that the line is in "
		                   "this outbox (\"local\")");
	return 0;
}

static int read_conninfo(const struct reader *rd)
{
	const struct conf *c = rd->conf;
	bool file = c->fleet.conninfo_file[0], credential = c->fleet.conninfo_credential[0];
	struct secret_source source = {
	        .file = file ? c->fleet.conninfo_file : NULL,
	        .credential = credential ? c->fleet.conninfo_credential : NULL,
	        .option = file ? "fleet.conninfo_file" : "fleet.conninfo_credential",
	        .is_conninfo = true,
	};

	if (file == credential)
		return reader_fail(rd, first_line_of_fleet(rd), "fleet.role",
		                   "needs exactly one of fleet.conninfo_file and fleet.conninfo_credential");
	source.line = line_of(rd, source.option);
	return secret_read(rd, &source, &rd->conf->fleet.conninfo);
}

static int read_fleet(const struct reader *rd)
{
	unsigned line = first_line_of_fleet(rd);
	int r;

	if (line == 0)
		return 0;
	if (!GA4RELAY_POSTGRES)
		return reader_fail(
		        rd, line, "fleet",
		        "this ga4relay was built without PostgreSQL (configure --with-postgres needs libpq)");
	if (rd->conf->fleet.role == FLEET_NO_ROLE)
		return 0;
	r = check_fleet_pairs(rd);
	return r < 0 ? r : read_conninfo(rd);
}

int conf_check(const struct reader *rd)
{
	int r = check_pairs(rd);

	if (r == 0)
		r = check_endpoints(rd);
	if (r == 0)
		r = check_ca_file(rd);
	if (r == 0)
		r = read_fleet(rd);
	if (r == 0)
		check_door(rd);
	return r;
}
