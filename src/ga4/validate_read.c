/* validate_read.c - what a sender means: null for absent, camelCase for GA4's names, [] for {}
 *
 * GA4's endpoint reads proto3 JSON, and serializers rely on that. The document is edited in place, so that whatever
 * comes later (rules, envelope, bodies) sees one spelling; only the paths in replies keep the sender's. */
#include "ga4/violation.h"

enum { NAME_MAX_BYTES = 32 };

/* "clientId" to "client_id". False: not lowerCamelCase, or too long for any name that is known. */
static bool snake_of(struct slice key, char buf[NAME_MAX_BYTES], struct slice *ret)
{
	size_t n = 0;
	bool capital = false;

	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		if (n + 2 > NAME_MAX_BYTES || c == '_')
			return false;
		if (c >= 'A' && c <= 'Z') {
			capital = true;
			buf[n++] = '_';
			c |= 0x20;
		}
		buf[n++] = c;
	}
	*ret = (struct slice){buf, n};
	return capital;
}

/* The row that a member's name in camelCase stands for, after giving the member that name; -1: none. */
static int find_respelled(struct judge *j, const struct name_index *known, const struct json_node *node)
{
	char buf[NAME_MAX_BYTES];
	struct slice snake;
	int row, alias;

	if (!snake_of(json_key(j->doc, node), buf, &snake))
		return -1;
	row = name_index_find(known, snake);
	alias = rules_camel_name(snake);
	if (row < 0 || alias < 0)
		return -1;
	json_rename(j->doc, node, camel_names, (uint8_t)alias);
	return row;
}

int read_member(struct judge *j, const struct name_index *known, const struct json_node *node)
{
	int row = name_index_find(known, json_name(j->doc, node));

	return row >= 0 ? row : find_respelled(j, known, node);
}

bool finding_twice(struct judge *j, const struct json_node *node)
{
	struct slice name = json_name(j->doc, node);

	return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node),
	               "%.*s stands here twice, in snake_case and in camelCase: send one of the two",
	               SLICE_ARG(name));
}

void read_empty_object(const struct json_node *node)
{
	struct json_node *n = json_editable(node);

	if (n->type != JSON_ARRAY || n->count > 0)
		return;
	n->type = JSON_OBJECT;
	n->edited = true;
}

bool read_object(struct judge *j, const struct json_node *object, const struct name_index *known)
{
	uint32_t seen = 0;

	read_empty_object(object);
	if (object->type != JSON_OBJECT)
		return true;
	for (const struct json_node *m = json_first(j->doc, object); m; m = json_next(j->doc, object, m)) {
		int row;

		if (m->type == JSON_NULL) {
			json_drop(object, m);
			continue;
		}
		row = read_member(j, known, m);
		if (row < 0)
			continue;
		json_editable(m)->twin = (seen & UINT32_C(1) << row) != 0;
		if (m->twin && j->mode == VALIDATION_OFF)
			return finding_twice(j, m);
		seen |= UINT32_C(1) << row;
	}
	return true;
}

bool is_mail_address(struct slice s)
{
	const char *at = s.n > 5 ? memchr(s.p, '@', s.n) : NULL;
	struct slice domain;

	if (!at || at == s.p)
		return false;
	domain = (struct slice){at + 1, (size_t)(s.p + s.n - at - 1)};
	if (domain.n < 3 || memchr(domain.p, '@', domain.n) || !memchr(domain.p + 1, '.', domain.n - 2))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || memchr("/:?&=,;<>\"", s.p[i], 10))
			return false;
	return true;
}

bool finding_mail(struct judge *j, const struct json_node *node)
{
	char name[QUOTED_MAX];

	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
	               "%s is an e-mail address: personal data, which Google forbids here", name_of(name, j, node));
}
