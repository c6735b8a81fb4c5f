/* conf_streams.c - the list of streams: their names, ids and secrets */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "conf/options.h"
#include "conf/value.h"
#include "ga4/stream_rules.h"

/* The outbox numbers streams with one byte and keeps the numbers of removed streams, so a few are left free. */
enum { STREAMS_MAX = 250, STREAM_OPTIONS_MAX = 16 };

/* One group of the list while it is being read. */
struct group {
	const struct reader *rd;
	const config_setting_t *setting;
	unsigned index, line;
	const config_setting_t *members[STREAM_OPTIONS_MAX]; /* by option row; NULL: not set */
};

static const struct conf_option_info *row(const char *name, size_t *ret_i)
{
	size_t n;
	const struct conf_option_info *rows = conf_stream_options(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].name, name) == 0) {
			*ret_i = i;
			return &rows[i];
		}
	}
	return NULL;
}

/* "streams[1].endpoint" */
static const char *member_name(const struct group *g, const char *name, char out[96])
{
	snprintf(out, 96, "streams[%u].%.60s", g->index, name);
	return out;
}

static int fail_unknown(const struct group *g, const config_setting_t *member)
{
	const char *names[STREAM_OPTIONS_MAX], *near;
	char shown[96];
	size_t n;
	const struct conf_option_info *rows = conf_stream_options(&n);

	for (size_t i = 0; i < n; i++)
		names[i] = rows[i].name;
	near = nearest_name(slice_of(config_setting_name(member)), names, n);
	return reader_fail(g->rd, config_setting_source_line(member),
	                   member_name(g, config_setting_name(member), shown), "unknown option%s%s%s",
	                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int gather_members(struct group *g)
{
	for (int k = 0; k < config_setting_length(g->setting); k++) {
		const config_setting_t *member = config_setting_get_elem(g->setting, (unsigned)k);
		size_t i;

		if (!row(config_setting_name(member), &i))
			return fail_unknown(g, member);
		g->members[i] = member;
	}
	return 0;
}

/* *ret stays NULL if the group has no such member. */
static int member_text(const struct group *g, const char *name, const char **ret, unsigned *ret_line)
{
	char shown[96];
	size_t i = 0;
	const struct conf_option_info *opt = row(name, &i);

	if (!g->members[i])
		return 0;
	*ret_line = config_setting_source_line(g->members[i]);
	return value_text(g->rd, opt, member_name(g, name, shown), g->members[i], ret);
}

static int read_name(const struct group *g, struct conf_stream *s)
{
	const struct conf *conf = g->rd->conf;
	const char *name = NULL;
	unsigned line = g->line;
	char shown[96];
	int r = member_text(g, "name", &name, &line);

	if (r < 0)
		return r;
	member_name(g, "name", shown);
	if (!name)
		return reader_fail(g->rd, line, shown, "missing: every stream has a name");
	if (!stream_name_is_valid(slice_of(name)))
		return reader_fail(
		        g->rd, line, shown,
		        "\"%.80s\": a name has 1 to 63 of A-Z a-z 0-9 _ . - and begins with a letter or digit", name);
	for (size_t i = 0; i < conf->n_streams; i++)
		if (strcmp(conf->streams[i].name, name) == 0)
			return reader_fail(g->rd, line, shown, "\"%s\" is streams[%zu]'s name already", name, i);
	s->name = strdup(name);
	return s->name ? 0 : reader_no_memory(g->rd);
}

static bool is_measurement_id(const char *id)
{
	size_t n = strlen(id);

	if (n < 3 || n > 64 || strncmp(id, "G-", 2) != 0)
		return false;
	for (size_t i = 2; i < n; i++)
		if (!isalnum((unsigned char)id[i]))
			return false;
	return true;
}

/* Skips a run of 1 to max characters of the class at *at. False if there is none. */
static bool skip_run(const char **at, int (*is_class)(int), size_t max)
{
	size_t n = 0;

	while (is_class((unsigned char)(*at)[n]))
		n++;
	*at += n;
	return n >= 1 && n <= max;
}

/* ^[0-9]:[0-9]+:[a-zA-Z]+:[a-zA-Z0-9]+$ */
static bool is_firebase_app_id(const char *id)
{
	const char *at = id;

	return strlen(id) <= 200 && skip_run(&at, isdigit, 1) && *at++ == ':' && skip_run(&at, isdigit, 200) &&
	       *at++ == ':' && skip_run(&at, isalpha, 200) && *at++ == ':' && skip_run(&at, isalnum, 200) &&
	       *at == '\0';
}

static int read_id(const struct group *g, struct conf_stream *s)
{
	const char *web = NULL, *app = NULL;
	unsigned web_line = g->line, app_line = g->line;
	char shown[96];
	int r = member_text(g, "measurement_id", &web, &web_line);

	if (r == 0)
		r = member_text(g, "firebase_app_id", &app, &app_line);
	if (r < 0)
		return r;
	if (!web == !app)
		return reader_fail(g->rd, web ? app_line : g->line, member_name(g, "measurement_id", shown),
		                   "stream \"%s\" needs exactly one of measurement_id and firebase_app_id", s->name);
	if (web && !is_measurement_id(web))
		return reader_fail(g->rd, web_line, member_name(g, "measurement_id", shown),
		                   "\"%.80s\" does not look like G-ABC1234567 (G- and letters or digits)", web);
	if (app && !is_firebase_app_id(app))
		return reader_fail(g->rd, app_line, member_name(g, "firebase_app_id", shown),
		                   "\"%.80s\" does not look like 1:123:android:abc", app);
	s->type = web ? STREAM_WEB : STREAM_APP;
	s->id = strdup(web ? web : app);
	return s->id ? 0 : reader_no_memory(g->rd);
}

static int read_secret(const struct group *g, struct conf_stream *s)
{
	struct secret_source source = {.line = g->line};
	const struct {
		const char *name, **text;
	} sources[] = {
	        {"api_secret_file", &source.file},
	        {"api_secret_credential", &source.credential},
	        {"api_secret_env", &source.variable},
	        {"api_secret", &source.text},
	};
	const char *chosen = "api_secret_file";
	unsigned n = 0;
	char shown[96];

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		int r = member_text(g, sources[i].name, sources[i].text, &source.line);

		if (r < 0)
			return r;
		if (*sources[i].text) {
			chosen = sources[i].name;
			n++;
		}
	}
	source.option = member_name(g, chosen, shown);
	if (n != 1)
		return reader_fail(g->rd, source.line, source.option,
		                   "stream \"%s\" needs exactly one of api_secret_file, api_secret_credential, "
		                   "api_secret_env and "
		                   "api_secret",
		                   s->name);
	if (source.file)
		s->secret_file = strdup(source.file);
	if (source.credential)
		s->secret_credential = strdup(source.credential);
	if ((source.file && !s->secret_file) || (source.credential && !s->secret_credential))
		return reader_no_memory(g->rd);
	return secret_read(g->rd, &source, &s->secret);
}

static void warn_of_placeholder(const struct group *g, const struct conf_stream *s)
{
	const char *what = conf_placeholder(s);
	char shown[32];

	snprintf(shown, sizeof(shown), "streams[%u]", g->index);
	if (what)
		reader_warn(g->rd, g->line, shown,
		            "%s: events would be answered 204 and never be seen; put in what GA4 shows under Admin, "
		            "Data streams",
		            what);
}

/* Reads endpoint, validation, ambiguous and paused: members with a field of their own and a default from
 * elsewhere. */
static int read_rest(const struct group *g, struct conf_stream *s)
{
	static const char *const names[] = {"endpoint", "validation", "ambiguous", "paused"};
	char shown[96];

	s->validation = g->rd->conf->validation;
	s->ambiguous = g->rd->conf->delivery.ambiguous;
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		size_t i = 0;
		const struct conf_option_info *opt = row(names[k], &i);
		int r = 0;

		if (g->members[i])
			r = value_read(g->rd, opt, member_name(g, names[k], shown), g->members[i], s);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_stream(const struct reader *rd, const config_setting_t *setting, struct conf_stream *s)
{
	struct group g = {.rd = rd, .setting = setting, .line = config_setting_source_line(setting)};
	int r;

	g.index = (unsigned)config_setting_index(setting);
	if (config_setting_type(setting) != CONFIG_TYPE_GROUP)
		return reader_fail(rd, g.line, "streams", "streams[%u] must be a group: { name = \"…\"; … }",
		                   g.index);
	r = gather_members(&g);
	if (r == 0)
		r = read_name(&g, s);
	if (r == 0)
		r = read_id(&g, s);
	if (r == 0)
		r = read_secret(&g, s);
	if (r == 0)
		warn_of_placeholder(&g, s);
	return r < 0 ? r : read_rest(&g, s);
}

static int find_default(const struct reader *rd)
{
	const char *names[STREAMS_MAX], *text, *near;
	struct conf *conf = rd->conf;
	const struct conf_option_info *opt = &conf_options(&(size_t){0})[1];
	int r;

	if (!rd->default_stream)
		return 0;
	r = value_text(rd, opt, opt->name, rd->default_stream, &text);
	if (r < 0 || text[0] == '\0')
		return r;
	for (size_t i = 0; i < conf->n_streams; i++) {
		names[i] = conf->streams[i].name;
		if (strcmp(names[i], text) == 0) {
			conf->default_stream = i;
			return 0;
		}
	}
	near = nearest_name(slice_of(text), names, conf->n_streams);
	return reader_fail(rd, config_setting_source_line(rd->default_stream), opt->name,
	                   "there is no stream \"%.80s\"%s%s%s", text, near ? "; did you mean \"" : "",
	                   near ? near : "", near ? "\"?" : "");
}

int streams_read(const struct reader *rd)
{
	struct conf *conf = rd->conf;
	unsigned line;
	int n;

	if (!rd->streams)
		return reader_fail(rd, 0, "streams", "missing: name at least one stream, its id and its secret");
	line = config_setting_source_line(rd->streams);
	if (config_setting_type(rd->streams) != CONFIG_TYPE_LIST)
		return reader_fail(rd, line, "streams", "expected a list of groups: ( { name = \"…\"; … }, { … } )");
	n = config_setting_length(rd->streams);
	if (n < 1 || n > STREAMS_MAX)
		return reader_fail(rd, line, "streams", "%d is out of range (1 to %d streams)", n, STREAMS_MAX);
	conf->streams = calloc((size_t)n, sizeof(*conf->streams));
	if (!conf->streams)
		return reader_no_memory(rd);
	for (int i = 0; i < n; i++) {
		struct conf_stream s = {0};
		int r = read_stream(rd, config_setting_get_elem(rd->streams, (unsigned)i), &s);

		conf->streams[conf->n_streams++] = s; /* even if incomplete: conf_free() then frees it */
		if (r < 0)
			return r;
	}
	return find_default(rd);
}
