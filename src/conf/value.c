/* value.c - one option's value, read, compared, copied and freed by its table row */
#include "conf/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/parse.h"
#include "conf/conf_text.h"
#include "conf/options.h"

enum { NAMES_MAX = 64, WORDS_MAX = 8 };

/* What each option type expects, for messages. */
static const char *const wanted[] = {
        [OPTION_TEXT] = "a string",
        [OPTION_PATH] = "a path, in quotes",
        [OPTION_SOCKET_PATH] = "a path, in quotes",
        [OPTION_GROUP] = "a group's name, in quotes",
        [OPTION_URL] = "a URL, in quotes",
        [OPTION_PROXY] = "a URL, in quotes",
        [OPTION_LISTEN] = "an address such as \"127.0.0.1:8125\"",
        [OPTION_SECRET] = "a string",
        [OPTION_NAMES] = "a list of strings: [ \"localhost\", \"127.0.0.1\" ]",
        [OPTION_MODE] = "octal digits in quotes, such as \"0660\"",
        [OPTION_COUNT] = "an integer",
        [OPTION_SIZE] = "a size in quotes and with its unit, such as \"64K\", \"1M\" or \"8G\"",
        [OPTION_DURATION] = "a duration in quotes and with its unit, such as \"200ms\", \"30s\", \"5m\" or \"72h\"",
        [OPTION_BOOL] = "true or false, without quotes",
        [OPTION_WORD] = "a word in quotes",
        [OPTION_STREAMS] = "a list of groups",
};

static const char *type_name(int libconfig_type)
{
	switch (libconfig_type) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "an integer";
	case CONFIG_TYPE_FLOAT:
		return "a number with a point";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_ARRAY:
	case CONFIG_TYPE_LIST:
		return "a list";
	}
	return "something else";
}

static bool is_number(const struct conf_option_info *opt)
{
	switch ((enum option_type)opt->how.type) {
	case OPTION_MODE:
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_BOOL:
	case OPTION_WORD:
		return true;
	case OPTION_TEXT:
	case OPTION_PATH:
	case OPTION_SOCKET_PATH:
	case OPTION_GROUP:
	case OPTION_URL:
	case OPTION_PROXY:
	case OPTION_LISTEN:
	case OPTION_SECRET:
	case OPTION_NAMES:
	case OPTION_STREAMS:
		break;
	}
	return false;
}

static void *member(const struct conf_option_info *opt, const void *base)
{
	return (char *)(uintptr_t)base + opt->how.offset;
}

/* ---- numbers and words in their notation ---- */

static int parse_mode(struct slice s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 8)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '7')
			return -EINVAL;
		v = v << 3 | (uint64_t)(s.p[i] - '0');
	}
	*ret = v;
	return 0;
}

static int parse_word(const struct option_word *words, struct slice s, uint64_t *ret)
{
	for (; words->name; words++) {
		if (slice_eq(s, slice_of(words->name))) {
			*ret = (uint64_t)words->value;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_notation(const struct conf_option_info *opt, struct slice s, uint64_t *ret)
{
	static const struct option_word booleans[] = {{"true", true}, {"false", false}, {NULL, 0}};
	int64_t us;
	int r;

	if (opt->how.type == OPTION_MODE)
		return parse_mode(s, ret);
	if (opt->how.type == OPTION_COUNT)
		return parse_u64(s, ret);
	if (opt->how.type == OPTION_SIZE)
		return parse_size(s, ret);
	if (opt->how.type == OPTION_WORD)
		return parse_word(opt->how.words, s, ret);
	if (opt->how.type == OPTION_BOOL)
		return parse_word(booleans, s, ret);
	r = parse_duration_us(s, &us);
	if (r == 0)
		*ret = (uint64_t)us;
	return r;
}

static bool in_range(const struct conf_option_info *opt, uint64_t v)
{
	uint64_t low, high;

	if (!opt->how.min)
		return true;
	return parse_notation(opt, slice_of(opt->how.min), &low) == 0 &&
	       parse_notation(opt, slice_of(opt->how.max), &high) == 0 && v >= low && v <= high;
}

/* Whether v fits the option's member: "16G" may be in range and still exceed a 32-bit size_t. */
static bool fits(const struct conf_option_info *opt, uint64_t v)
{
	return opt->how.size != sizeof(uint32_t) || v <= UINT32_MAX;
}

static void store_number(const struct conf_option_info *opt, void *base, uint64_t v)
{
	uint32_t narrow = (uint32_t)v;
	bool truth = v != 0;

	if (opt->how.size == sizeof(truth))
		memcpy(member(opt, base), &truth, sizeof(truth));
	else if (opt->how.size == sizeof(narrow))
		memcpy(member(opt, base), &narrow, sizeof(narrow));
	else
		memcpy(member(opt, base), &v, sizeof(v));
}

static int fail_word(const struct reader *rd, unsigned line, const char *name, const struct conf_option_info *opt,
                     const char *text)
{
	const char *names[WORDS_MAX], *near;
	size_t n = 0;

	while (n < WORDS_MAX && opt->how.words[n].name) {
		names[n] = opt->how.words[n].name;
		n++;
	}
	near = nearest_name(slice_of(text), names, n);
	return reader_fail(rd, line, name, "\"%.40s\" is none of %s%s%s%s", text, opt->range,
	                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int fail_type(const struct reader *rd, const char *name, const struct conf_option_info *opt,
                     const config_setting_t *setting)
{
	return reader_fail(rd, config_setting_source_line(setting), name, "expected %s, not %s",
	                   wanted[opt->how.type], type_name(config_setting_type(setting)));
}

static int read_notation(const struct reader *rd, const struct conf_option_info *opt, const char *name,
                         const config_setting_t *setting, uint64_t *ret)
{
	const char *text = config_setting_get_string(setting);
	unsigned line = config_setting_source_line(setting);
	int r;

	if (!text)
		return fail_type(rd, name, opt, setting);
	r = parse_notation(opt, slice_of(text), ret);
	if (r == -EINVAL && opt->how.type == OPTION_WORD)
		return fail_word(rd, line, name, opt, text);
	if (r == -EINVAL)
		return reader_fail(rd, line, name, "expected %s, not \"%.40s\"", wanted[opt->how.type], text);
	if (r < 0 || !in_range(opt, *ret))
		return reader_fail(rd, line, name, "\"%.40s\" is out of range (%s)", text, opt->range);
	if (!fits(opt, *ret))
		return reader_fail(rd, line, name, "\"%.40s\" is more than a process of 32 bits can address", text);
	return 0;
}

static int read_number(const struct reader *rd, const struct conf_option_info *opt, const char *name,
                       const config_setting_t *setting, uint64_t *ret)
{
	int type = config_setting_type(setting);
	long long v;

	if (opt->how.type == OPTION_BOOL) {
		if (type != CONFIG_TYPE_BOOL)
			return fail_type(rd, name, opt, setting);
		*ret = config_setting_get_bool(setting) != 0;
		return 0;
	}
	if (opt->how.type != OPTION_COUNT)
		return read_notation(rd, opt, name, setting, ret);
	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return fail_type(rd, name, opt, setting);
	v = type == CONFIG_TYPE_INT ? config_setting_get_int(setting) : config_setting_get_int64(setting);
	if (v < 0 || !in_range(opt, (uint64_t)v))
		return reader_fail(rd, config_setting_source_line(setting), name, "%lld is out of range (%s)", v,
		                   opt->range);
	*ret = (uint64_t)v;
	return 0;
}

/* ---- strings ---- */

/* No message contains the text of a proxy, which may hold a password, or of a secret. */
static int fail_text(const struct reader *rd, unsigned line, const char *name, const struct conf_option_info *opt,
                     const char *text, const char *wrong)
{
	char shown[128];

	if (opt->how.type == OPTION_SECRET)
		return reader_fail(rd, line, name, "%s", wrong);
	return reader_fail(rd, line, name, "\"%s\": %s", conf_redact_url(text, shown, sizeof(shown)), wrong);
}

int value_text(const struct reader *rd, const struct conf_option_info *opt, const char *name,
               const config_setting_t *setting, const char **ret)
{
	const char *text = config_setting_get_string(setting), *wrong;
	unsigned line = config_setting_source_line(setting);

	if (!text)
		return fail_type(rd, name, opt, setting);
	if (text[0] == '\0' && !opt->how.may_be_empty)
		return reader_fail(rd, line, name, "must not be empty");
	wrong = text_problem(opt->how.type, text);
	if (wrong)
		return fail_text(rd, line, name, opt, text, wrong);
	*ret = text;
	return 0;
}

static int store_text(const struct conf_option_info *opt, void *base, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	value_free(opt, base);
	memcpy(member(opt, base), &copy, sizeof(copy));
	return 0;
}

static char *text_of(const struct conf_option_info *opt, const void *base)
{
	char *text;

	memcpy(&text, member(opt, base), sizeof(text));
	return text;
}

/* ---- lists of names ---- */

static char **names_of(const struct conf_option_info *opt, const void *base)
{
	char **names;

	memcpy(&names, member(opt, base), sizeof(names));
	return names;
}

static void free_names(char **names)
{
	for (char **at = names; at && *at; at++)
		free(*at);
	free(names);
}

static int store_names(const struct conf_option_info *opt, void *base, const char *const *names, size_t n)
{
	char **copy = calloc(n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(names[i]);
		if (!copy[i]) {
			free_names(copy);
			return -ENOMEM;
		}
	}
	value_free(opt, base);
	memcpy(member(opt, base), &copy, sizeof(copy));
	return 0;
}

static int read_names(const struct reader *rd, const struct conf_option_info *opt, const char *name,
                      const config_setting_t *setting, void *base)
{
	const char *names[NAMES_MAX];
	int n;

	if (config_setting_type(setting) != CONFIG_TYPE_ARRAY && config_setting_type(setting) != CONFIG_TYPE_LIST)
		return fail_type(rd, name, opt, setting);
	n = config_setting_length(setting);
	if (n < 1 || n > NAMES_MAX)
		return reader_fail(rd, config_setting_source_line(setting), name, "%d is out of range (%s)", n,
		                   opt->range);
	for (int i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(setting, (unsigned)i);

		names[i] = config_setting_get_string(element);
		if (!names[i])
			return fail_type(rd, name, opt, element);
		if (!text_is_host_name(names[i]))
			return reader_fail(rd, config_setting_source_line(element), name,
			                   "\"%.80s\" is no host name (without a port; an IPv6 address in brackets)",
			                   names[i]);
	}
	return store_names(opt, base, names, (size_t)n) < 0 ? reader_no_memory(rd) : 0;
}

/* The default is one string, with spaces between the names. */
static int default_names(const struct conf_option_info *opt, void *base)
{
	const char *names[NAMES_MAX];
	char text[256], *save = NULL;
	size_t n = 0;

	snprintf(text, sizeof(text), "%s", opt->def);
	for (char *at = strtok_r(text, " ", &save); at && n < NAMES_MAX; at = strtok_r(NULL, " ", &save))
		names[n++] = at;
	return store_names(opt, base, names, n);
}

/* ---- by table row ---- */

int value_default(const struct conf_option_info *opt, void *base)
{
	uint64_t v;

	if (opt->how.size == 0 || opt->how.type == OPTION_STREAMS)
		return 0;
	if (opt->how.type == OPTION_NAMES)
		return default_names(opt, base);
	if (!is_number(opt))
		return store_text(opt, base, opt->def);
	if (opt->def[0] == '\0')
		return 0; /* a stream's option: inherited */
	if (parse_notation(opt, slice_of(opt->def), &v) < 0)
		return -EINVAL;
	store_number(opt, base, v);
	return 0;
}

int value_read(const struct reader *rd, const struct conf_option_info *opt, const char *name,
               const config_setting_t *setting, void *base)
{
	const char *text;
	uint64_t v;
	int r;

	if (opt->how.type == OPTION_NAMES)
		return read_names(rd, opt, name, setting, base);
	if (is_number(opt)) {
		r = read_number(rd, opt, name, setting, &v);
		if (r == 0)
			store_number(opt, base, v);
		return r;
	}
	r = value_text(rd, opt, name, setting, &text);
	if (r < 0)
		return r;
	return store_text(opt, base, text) < 0 ? reader_no_memory(rd) : 0;
}

static bool names_equal(char **a, char **b)
{
	while (*a && *b && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return !*a && !*b;
}

bool value_equal(const struct conf_option_info *opt, const void *a, const void *b)
{
	if (opt->how.type == OPTION_NAMES)
		return names_equal(names_of(opt, a), names_of(opt, b));
	if (is_number(opt))
		return memcmp(member(opt, a), member(opt, b), opt->how.size) == 0;
	return strcmp(text_of(opt, a), text_of(opt, b)) == 0;
}

int value_copy(const struct conf_option_info *opt, void *to, const void *from)
{
	char **names;
	size_t n = 0;

	if (is_number(opt)) {
		memcpy(member(opt, to), member(opt, from), opt->how.size);
		return 0;
	}
	if (opt->how.type != OPTION_NAMES)
		return store_text(opt, to, text_of(opt, from));
	names = names_of(opt, from);
	while (names[n])
		n++;
	return store_names(opt, to, (const char *const *)names, n);
}

void value_free(const struct conf_option_info *opt, void *base)
{
	static const char *const none = NULL;

	if (opt->how.size == 0 || opt->how.type == OPTION_STREAMS || is_number(opt))
		return;
	if (opt->how.type == OPTION_NAMES) {
		free_names(names_of(opt, base));
	} else {
		char *text = text_of(opt, base);

		if (text && (opt->how.type == OPTION_PROXY || opt->how.type == OPTION_SECRET))
			explicit_bzero(text, strlen(text));
		free(text);
	}
	memcpy(member(opt, base), &none, sizeof(none));
}
