/* conf.c - parses configuration text into struct conf, and decides what a reload may change */
#include "conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/nearest.h"
#include "conf/options.h"
#include "conf/value.h"

enum { FILE_MAX = 1 << 20 };

/* ---- options ---- */

static const struct conf_option_info *find_option(const char *name, size_t *ret_i)
{
	size_t n;
	const struct conf_option_info *options = conf_options(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(options[i].name, name) == 0) {
			*ret_i = i;
			return &options[i];
		}
	}
	return NULL;
}

/* Whether name is a group: the part of some option's name before the dot. */
static bool is_group(const char *name)
{
	size_t n, length = strlen(name);
	const struct conf_option_info *options = conf_options(&n);

	for (size_t i = 0; i < n; i++)
		if (strncmp(options[i].name, name, length) == 0 && options[i].name[length] == '.')
			return true;
	return false;
}

/* Finds the option that was probably meant: a misspelling within the group of the name, if it has one, or an option
 * of another group that has exactly this name. */
static const char *find_meant(const char *name)
{
	const char *lasts[CONF_OPTIONS_MAX], *in_group[CONF_OPTIONS_MAX], *dot = strrchr(name, '.'), *near;
	size_t n, n_in_group = 0, group = dot ? (size_t)(dot - name) + 1 : 0;
	const struct conf_option_info *options = conf_options(&n);

	for (size_t i = 0; i < n; i++) {
		const char *last = strrchr(options[i].name, '.');

		lasts[i] = last ? last + 1 : options[i].name;
		if (strncmp(options[i].name, name, group) == 0)
			in_group[n_in_group++] = lasts[i];
	}
	near = nearest_name(slice_of(name + group), in_group, n_in_group);
	for (size_t i = 0; i < n; i++)
		if (near ? lasts[i] == near : strcmp(lasts[i], name + group) == 0)
			return options[i].name;
	return NULL;
}

/* Finds the group that was probably meant by a misspelled group name; its members give no hint yet. */
static const char *find_meant_group(const char *name)
{
	const char *names[CONF_OPTIONS_MAX];
	char groups[CONF_OPTIONS_MAX][16];
	size_t n, n_groups = 0;
	const struct conf_option_info *options = conf_options(&n);
	const char *near;

	for (size_t i = 0; i < n; i++) {
		const char *dot = strchr(options[i].name, '.');

		if (!dot)
			continue;
		snprintf(groups[n_groups], sizeof(groups[0]), "%.*s", (int)(dot - options[i].name), options[i].name);
		names[n_groups] = groups[n_groups];
		n_groups++;
	}
	near = nearest_name(slice_of(name), names, n_groups);
	for (size_t i = 0; near && i < n; i++)
		if (strncmp(options[i].name, near, strlen(near)) == 0)
			return options[i].name;
	return NULL;
}

static int fail_unknown_group(const struct reader *rd, const config_setting_t *setting)
{
	const char *name = config_setting_name(setting), *near = find_meant_group(name);

	return reader_fail(rd, config_setting_source_line(setting), name, "unknown group%s%.*s%s",
	                   near ? "; did you mean \"" : "", near ? (int)strcspn(near, ".") : 0, near ? near : "",
	                   near ? "\"?" : "");
}

static int fail_unknown(const struct reader *rd, const config_setting_t *setting, const char *name)
{
	const char *near = find_meant(name);

	return reader_fail(rd, config_setting_source_line(setting), name, "unknown option%s%s%s",
	                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int read_option(struct reader *rd, config_setting_t *setting, const char *name)
{
	size_t i;
	const struct conf_option_info *opt = find_option(name, &i);

	if (!opt)
		return fail_unknown(rd, setting, name);
	rd->lines[i] = config_setting_source_line(setting);
	if (opt->how.type == OPTION_STREAMS) {
		rd->streams = setting;
		return 0;
	}
	if (opt->how.size == 0) {
		rd->default_stream = setting;
		return 0;
	}
	return value_read(rd, opt, name, setting, rd->conf);
}

static int read_group(struct reader *rd, config_setting_t *group)
{
	const char *prefix = config_setting_name(group);
	char name[160];
	int r = 0;

	if (config_setting_type(group) != CONFIG_TYPE_GROUP)
		return reader_fail(rd, config_setting_source_line(group), prefix, "expected a group: %s = { … };",
		                   prefix);
	for (int i = 0; r == 0 && i < config_setting_length(group); i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);

		snprintf(name, sizeof(name), "%.40s.%.80s", prefix, config_setting_name(setting));
		r = read_option(rd, setting, name);
	}
	return r;
}

static int read_root(struct reader *rd, config_setting_t *root)
{
	int r = 0;

	for (int i = 0; r == 0 && i < config_setting_length(root); i++) {
		config_setting_t *setting = config_setting_get_elem(root, (unsigned)i);
		const char *name = config_setting_name(setting);

		if (is_group(name))
			r = read_group(rd, setting);
		else if (config_setting_type(setting) == CONFIG_TYPE_GROUP && !find_option(name, &(size_t){0}))
			r = fail_unknown_group(rd, setting);
		else
			r = read_option(rd, setting, name);
	}
	return r;
}

static int set_defaults(const struct reader *rd)
{
	size_t n;
	const struct conf_option_info *options = conf_options(&n);

	for (size_t i = 0; i < n; i++)
		if (value_default(&options[i], rd->conf) < 0)
			return reader_no_memory(rd);
	return 0;
}

/* ---- whole files ---- */

/* Wipes libconfig's own copies of api_secret and of a proxy's password. Its parse buffers are out of reach. */
static void wipe_strings(config_setting_t *setting)
{
	const char *text = config_setting_get_string(setting);

	if (text)
		explicit_bzero((char *)(uintptr_t)text, strlen(text));
	for (int i = 0; config_setting_is_aggregate(setting) && i < config_setting_length(setting); i++)
		wipe_strings(config_setting_get_elem(setting, (unsigned)i));
}

static int read_tree(struct reader *rd, config_t *tree, const char *text)
{
	int r;

	if (config_read_string(tree, text) != CONFIG_TRUE)
		return reader_fail(rd, (unsigned)config_error_line(tree), NULL, "%s", config_error_text(tree));
	r = set_defaults(rd);
	if (r == 0)
		r = read_root(rd, config_root_setting(tree));
	if (r < 0 || rd->without_streams)
		return r;
	r = streams_read(rd);
	return r < 0 ? r : conf_check(rd);
}

static int parse(struct conf **ret, struct slice text, struct reader *rd)
{
	config_t tree;
	int r;

	r = scan_text(rd, text.p, text.n);
	if (r < 0)
		return r;
	rd->conf = calloc(1, sizeof(*rd->conf));
	if (!rd->conf)
		return reader_no_memory(rd);
	config_init(&tree);
	r = read_tree(rd, &tree, text.p);
	wipe_strings(config_root_setting(&tree));
	config_destroy(&tree);
	if (r < 0) {
		conf_free(rd->conf);
		return r;
	}
	*ret = rd->conf;
	return 0;
}

int conf_parse(struct conf **ret, const char *text, const char *name, struct err *err)
{
	struct reader rd = {.file = name, .err = err};

	return parse(ret, slice_of(text), &rd);
}

static int load(struct conf **ret, struct reader rd)
{
	const char *path = rd.file;
	struct err *err = rd.err;
	_cleanup_(buf_wipe) struct buf text = BUF_INIT(FILE_MAX);
	struct conf *conf;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	/* Reserve everything at once: a buffer that moves leaves copies of a secret behind. */
	if (st.st_size >= FILE_MAX)
		return err_set(err, -EFBIG, "%s is larger than %d bytes", path, FILE_MAX);
	if (buf_reserve(&text, FILE_MAX) < 0)
		return err_set(err, -ENOMEM, "%s: no memory to read it", path);
	r = file_read(path, &text, err);
	if (r < 0)
		return r;
	/* libconfig 1.5 rejects a comment on a last line that has no line feed. */
	if (buf_append(&text, "\n", 2) < 0)
		return err_set(err, -EFBIG, "%s is larger than %d bytes", path, FILE_MAX);
	rd.others_can_read = st.st_mode & S_IROTH;
	r = parse(&conf, (struct slice){text.data, text.len - 1}, &rd);
	if (r < 0)
		return r;
	conf->path = strdup(path);
	if (!conf->path) {
		conf_free(conf);
		return err_set(err, -ENOMEM, "%s: no memory to read it", path);
	}
	*ret = conf;
	return 0;
}

int conf_load(struct conf **ret, const char *path, struct err *err)
{
	return load(ret, (struct reader){.file = path, .err = err});
}

int conf_load_check(struct conf **ret, const char *path, struct err *err)
{
	return load(ret, (struct reader){.file = path, .err = err, .only_check = true});
}

int conf_load_without_streams(struct conf **ret, const char *path, struct err *err)
{
	return load(ret, (struct reader){.file = path, .err = err, .without_streams = true});
}

struct conf *conf_free(struct conf *conf)
{
	size_t n;
	const struct conf_option_info *options = conf_options(&n);

	if (!conf)
		return NULL;
	for (size_t i = 0; i < n; i++)
		value_free(&options[i], conf);
	for (size_t i = 0; i < conf->n_streams; i++) {
		struct conf_stream *s = &conf->streams[i];

		free(s->name);
		free(s->id);
		secret_free(s->secret);
		free(s->secret_file);
		free(s->secret_credential);
		free(s->endpoint);
		free(s->validation_endpoint);
	}
	secret_free(conf->fleet.conninfo);
	free(conf->streams);
	free(conf->path);
	free(conf);
	return NULL;
}

int conf_keep_fixed(const struct conf *now, struct conf *next, void (*warn)(void *arg, const char *option), void *arg)
{
	size_t n;
	const struct conf_option_info *options = conf_options(&n);

	for (size_t i = 0; i < n; i++) {
		if (options[i].reloadable || value_equal(&options[i], now, next))
			continue;
		warn(arg, options[i].name);
		if (value_copy(&options[i], next, now) < 0)
			return -ENOMEM;
	}
	return 0;
}
