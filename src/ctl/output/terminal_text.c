/* terminal_text.c - text for people: safe on a terminal, aligned, with readable figures */
#include "ctl/output/terminal_text.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

size_t text_screen_width(void)
{
	enum { LEAST = 40, MOST = 1000 };
	struct winsize window;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0)
		return TEXT_WIDTH;
	return window.ws_col < LEAST ? LEAST : window.ws_col < MOST ? window.ws_col : MOST;
}

const char *text_color_on(bool color, enum text_color c)
{
	static const char *const codes[] = {
	        [COLOR_PLAIN] = "",       [COLOR_BOLD] = "\033[1m",   [COLOR_DIM] = "\033[2m",
	        [COLOR_RED] = "\033[31m", [COLOR_GREEN] = "\033[32m", [COLOR_YELLOW] = "\033[33m",
	};
	return color ? codes[c] : "";
}

const char *text_color_off(bool color)
{
	return color ? "\033[0m" : "";
}

/* ---- hostile text ---- */

/* Decodes the character at p, where n > 0 bytes remain; *ret_len is its length. An invalid byte gives -1 and length
 * 1. */
static int32_t next_char(const char *p, size_t n, size_t *ret_len)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t len = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	int32_t c;

	*ret_len = 1;
	if (len == 1)
		return u[0];
	if (len > n || utf8_check(p, len) < len)
		return -1;
	c = u[0] & (0xff >> (len + 1));
	for (size_t i = 1; i < len; i++)
		c = c << 6 | (u[i] & 0x3f);
	*ret_len = len;
	return c;
}

static bool is_control(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

/* Whether c changes the writing direction (marks, embeddings, overrides, isolates) or separates lines or
 * paragraphs. */
static bool turns_direction(int32_t c)
{
	return c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool text_is_safe(struct slice s)
{
	size_t len;

	for (size_t i = 0; i < s.n; i += len) {
		int32_t c = next_char(s.p + i, s.n - i, &len);

		if (is_control(c) || turns_direction(c))
			return false;
	}
	return true;
}

static int append_safe(struct buf *out, const char *p, size_t len, int32_t c)
{
	if (c < 0 || c < 0x20 || c == 0x7f)
		return buf_printf(out, "\\x%02x", (unsigned char)*p);
	if (is_control(c) || turns_direction(c))
		return buf_printf(out, "\\u{%04x}", (unsigned)c);
	return buf_append(out, p, len);
}

int text_safe(struct buf *out, struct slice s)
{
	size_t len;
	int r = 0;

	for (size_t i = 0; i < s.n && r == 0; i += len) {
		int32_t c = next_char(s.p + i, s.n - i, &len);

		r = append_safe(out, s.p + i, len, c);
	}
	return r;
}

int text_safe_json(struct buf *out, struct slice s)
{
	size_t len;
	int r = 0;

	for (size_t i = 0; i < s.n && r == 0; i += len) {
		int32_t c = next_char(s.p + i, s.n - i, &len);

		if (c > 0x20 && (is_control(c) || turns_direction(c)))
			r = buf_printf(out, "\\u%04x", (unsigned)c);
		else
			r = buf_append(out, s.p + i, len);
	}
	return r;
}

struct range {
	int32_t first, last;
};

static bool is_in(const struct range *ranges, size_t n, int32_t c)
{
	for (size_t i = 0; i < n; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* Number of columns that c takes on a terminal. wcwidth() depends on the locale, which a service does not have. */
static size_t width_of(int32_t c)
{
	/* none: combining marks, joiners, variation selectors. two: East Asian wide characters and pictographs. */
	static const struct range none[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},
	                                    {0x64b, 0x65f},   {0x200b, 0x200d}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f},
	                                    {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}};
	static const struct range two[] = {
	        {0x1100, 0x115f}, {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
	        {0xa000, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
	        {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}};

	if (c < 0x300)
		return 1;
	return is_in(none, ARRAY_LEN(none), c) ? 0 : is_in(two, ARRAY_LEN(two), c) ? 2 : 1;
}

/* Number of bytes of s that fit in width columns; *ret_columns is the number of columns they take. */
static size_t fitting(struct slice s, size_t width, size_t *ret_columns)
{
	size_t at = 0, columns = 0, len;

	while (at < s.n) {
		size_t w = width_of(next_char(s.p + at, s.n - at, &len));

		if (columns + w > width)
			break;
		columns += w;
		at += len;
	}
	*ret_columns = columns;
	return at;
}

static int pad(struct buf *out, size_t n)
{
	int r = 0;

	while (n-- > 0 && r == 0)
		r = buf_append_char(out, ' ');
	return r;
}

int text_cell(struct buf *out, struct slice s, size_t width, bool right)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(1 << 16);
	size_t columns, keep;
	int r;

	/* A cell shows a few dozen characters at most, so do not process a megabyte. */
	r = text_safe(&safe, (struct slice){s.p, s.n > 1024 ? utf8_truncate(s.p, s.n, 1024) : s.n});
	if (r < 0)
		return r;
	keep = fitting(buf_slice(&safe), width, &columns);
	if (keep == safe.len) {
		r = right ? pad(out, width - columns) : 0;
		if (r == 0)
			r = buf_append_slice(out, buf_slice(&safe));
		return r == 0 && !right ? pad(out, width - columns) : r;
	}
	if (width == 0)
		return 0;
	keep = fitting(buf_slice(&safe), width - 1, &columns);
	r = buf_append(out, safe.data, keep);
	if (r == 0)
		r = buf_append_slice(out, SLICE_LIT("…"));
	return r == 0 ? pad(out, width - 1 - columns) : r;
}

int text_cell_whole(struct buf *out, struct slice s, size_t width)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(16 << 20);
	size_t columns;
	int r = text_safe(&safe, s);

	if (r < 0)
		return r;
	fitting(buf_slice(&safe), SIZE_MAX / 2, &columns);
	r = buf_append_slice(out, buf_slice(&safe));
	return r == 0 && columns < width ? pad(out, width - columns) : r;
}

/* ---- figures ---- */

const char *text_duration(int64_t us, char buf[16])
{
	int64_t s = us < 0 ? 0 : us / US_PER_S;

	if (s < 60)
		snprintf(buf, 16, "%llds", (long long)s);
	else if (s < 3600)
		snprintf(buf, 16, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
	else if (s < 86400)
		snprintf(buf, 16, "%lldh%02lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
	else if (s < 100 * 86400)
		snprintf(buf, 16, "%lldd%02lldh", (long long)(s / 86400), (long long)(s / 3600 % 24));
	else
		snprintf(buf, 16, "%lldd", (long long)(s / 86400));
	return buf;
}

static const char *format_local(int64_t wall_us, const char *format, char *buf, size_t size)
{
	time_t seconds = (time_t)(wall_us / US_PER_S);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(buf, size, format, &tm) == 0)
		snprintf(buf, size, "?");
	return buf;
}

const char *text_time(int64_t wall_us, char buf[32])
{
	return format_local(wall_us, "%Y-%m-%d %H:%M:%S", buf, 32);
}

const char *text_time_short(int64_t wall_us, char buf[16])
{
	return format_local(wall_us, "%m-%d %H:%M", buf, 16);
}

const char *text_when(int64_t wall_us, int64_t now_us, char buf[64])
{
	char time[32], distance[16];
	bool past = wall_us <= now_us;

	text_duration(past ? now_us - wall_us : wall_us - now_us, distance);
	snprintf(buf, 64, past ? "%s (%s ago)" : "%s (in %s)", text_time(wall_us, time), distance);
	return buf;
}

const char *text_count(uint64_t n, char buf[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

const char *text_bytes(uint64_t n, char buf[16])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)n / 1024;
	size_t unit = 0;

	if (n < 1024) {
		snprintf(buf, 16, "%u B", (unsigned)n);
		return buf;
	}
	while (v >= 1023.95 && unit + 1 < ARRAY_LEN(units)) {
		v /= 1024;
		unit++;
	}
	snprintf(buf, 16, "%.1f %s", v, units[unit]);
	return buf;
}

int text_shell_word(struct buf *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";
	int r;

	if (word[0] && strspn(word, plain) == strlen(word))
		return buf_append_slice(out, slice_of(word));
	r = buf_append_char(out, '\'');
	for (; *word && r == 0; word++)
		r = *word == '\'' ? buf_append_slice(out, SLICE_LIT("'\\''")) : buf_append_char(out, *word);
	return r == 0 ? buf_append_char(out, '\'') : r;
}
