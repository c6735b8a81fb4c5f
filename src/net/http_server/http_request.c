/* http_request.c - the head of an HTTP request: path, query, headers
 *
 * Its framing was checked before (http_server_framing.c): the lines end with CR LF, have no control characters, and
 * each header has a name and a colon. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "net/http_server/http_server_private.h"

static const char *line_end(const char *p, const char *end)
{
	while (p < end && *p != '\r' && *p != '\0')
		p++;
	return p;
}

static const char *next_line(const char *line, const char *end)
{
	const char *lf = memchr(line, '\n', (size_t)(end - line));

	return lf ? lf + 1 : end;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct slice trimmed(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	while (end > p && is_space(end[-1]))
		end--;
	return (struct slice){p, (size_t)(end - p)};
}

static struct slice find(const struct buf *head, const char *name)
{
	size_t n = strlen(name);
	const char *end = head->data + head->len, *line = head->data;

	for (line = next_line(line, end); line < end; line = next_line(line, end))
		if ((size_t)(end - line) > n && line[n] == ':' && strncasecmp(line, name, n) == 0)
			return trimmed(line + n + 1, line_end(line + n + 1, end));
	return (struct slice){NULL, 0};
}

bool http_head_has(const struct buf *head, const char *name, const char *word)
{
	struct slice list = find(head, name);
	const char *p = list.p, *end = p ? p + list.n : p;

	while (p && p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		struct slice one = trimmed(p, comma ? comma : end);
		if (one.n == strlen(word) && strncasecmp(one.p, word, one.n) == 0)
			return true;
		p = comma ? comma + 1 : end;
	}
	return false;
}

bool http_head_names(const struct buf *head, const char *name)
{
	return find(head, name).p != NULL;
}

const char *http_header(struct http_exchange *x, const char *name)
{
	struct slice value = x->conn ? find(&x->head, name) : (struct slice){NULL, 0};

	if (!value.p)
		return NULL;
	/* Behind it stands white space, or the CR that its line ended with. */
	x->head.data[value.p - x->head.data + (ptrdiff_t)value.n] = '\0';
	return value.p;
}

/* ---- the target ---- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As browsers and form libraries write it; a percent sign without two digits is itself. */
static char *decode(char *to, const char *p, const char *end)
{
	while (p < end) {
		bool escape = *p == '%' && end - p > 2 && hex(p[1]) >= 0 && hex(p[2]) >= 0;
		*to++ = escape ? (char)(hex(p[1]) << 4 | hex(p[2])) : *p == '+' ? ' ' : *p;
		p += escape ? 3 : 1;
	}
	*to++ = '\0';
	return to;
}

/* Parameters without a value ("a&b=1") have an empty one, and empty ones ("&&") are none. */
static int parse_query(struct http_exchange *x, const char *p, const char *end)
{
	char *to;

	/* Nothing grows when it is decoded, but each may need two NULs where there was one separator */
	if (buf_reserve(&x->query, 2 * (size_t)(end - p) + 2) < 0)
		return -ENOMEM;
	to = x->query.data;
	while (p < end) {
		const char *stop = memchr(p, '&', (size_t)(end - p));
		const char *equals;

		stop = stop ? stop : end;
		equals = memchr(p, '=', (size_t)(stop - p));
		if (p < stop) {
			to = decode(to, p, equals ? equals : stop);
			to = decode(to, equals ? equals + 1 : stop, stop);
		}
		p = stop + 1;
	}
	x->query.len = (size_t)(to - x->query.data);
	return 0;
}

/* RFC 9112: the two are the same, and the target's counts if they are not. A handler sees only the header. */
static bool is_host(const struct buf *head, struct slice authority)
{
	struct slice host = find(head, "Host");

	return host.p && host.n == authority.n && strncasecmp(host.p, authority.p, host.n) == 0;
}

/* "/path?query#fragment", or the same behind "http://host" as clients write it to a proxy. */
static int parse_target(struct http_exchange *x, const char *p, const char *end)
{
	const char *authority = *p == '/' ? NULL : memmem(p, (size_t)(end - p), "://", 3);
	const char *fragment, *query;

	if (authority) {
		authority += 3;
		for (p = authority; p < end && !strchr("/?#", *p);)
			p++;
		if (!is_host(&x->head, (struct slice){authority, (size_t)(p - authority)}))
			return -EINVAL;
	}
	fragment = memchr(p, '#', (size_t)(end - p));
	end = fragment ? fragment : end;
	query = memchr(p, '?', (size_t)(end - p));
	x->path = (struct slice){p, (size_t)((query ? query : end) - p)};
	return query ? parse_query(x, query + 1, end) : 0;
}

int http_request_parse(struct http_exchange *x)
{
	struct buf *head = &x->head;
	const char *end, *space, *target;
	size_t blank = 0;

	while (blank < head->len && (head->data[blank] == '\r' || head->data[blank] == '\n'))
		blank++;
	buf_consume(head, blank);
	end = memchr(head->data, '\r', head->len);
	/* The framing's parser has seen exactly two spaces in the line */
	space = memchr(head->data, ' ', (size_t)(end - head->data));
	target = space + 1;
	x->method = (struct slice){head->data, (size_t)(space - head->data)};
	return parse_target(x, target, memchr(target, ' ', (size_t)(end - target)));
}

const char *http_query(struct http_exchange *x, const char *name)
{
	const char *p = x->query.data, *end = p ? p + x->query.len : p;

	while (x->conn && p < end) {
		const char *value = p + strlen(p) + 1;
		if (strcasecmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

bool http_query_repeats(struct http_exchange *x, const char *name)
{
	const char *p = x->query.data, *end = p ? p + x->query.len : p;
	unsigned n = 0;

	while (p < end) {
		n += strcasecmp(p, name) == 0;
		p += strlen(p) + 1;
		p += strlen(p) + 1;
	}
	return n > 1;
}
