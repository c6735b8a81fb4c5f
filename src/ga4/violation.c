/* violation.c - how a broken rule is told: the path into the line as written, and a sentence of advice */
#include "ga4/violation.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/nearest.h"
#include "base/utf8.h"

static uint32_t number_of(const struct judge *j, const struct json_node *node)
{
	return (uint32_t)(node - j->doc->nodes);
}

/* Appends bytes to a text of a fixed size; control characters (a name may hold any) become '?'. */
struct line_text {
	char *p;
	size_t n, size;
};

static void add(struct line_text *t, const char *p, size_t n)
{
	for (size_t i = 0; i < n && t->n + 1 < t->size; i++)
		t->p[t->n++] = (unsigned char)p[i] < 0x20 || p[i] == 0x7f ? '?' : p[i];
}

/* A cut in the middle of a character would be no UTF-8. */
static void end_text(struct line_text *t)
{
	t->n = utf8_whole(t->p, t->n);
	t->p[t->n] = '\0';
}

static void add_step(struct line_text *t, const struct judge *j, const struct json_node *node, uint32_t index)
{
	char number[16];
	struct slice key;

	if (!node->is_member) {
		add(t, number, (size_t)snprintf(number, sizeof(number), "[%u]", index));
		return;
	}
	key = json_key(j->doc, node);
	if (t->n > 0)
		add(t, ".", 1);
	add(t, key.p, key.n);
}

void write_place(char field[VERDICT_FIELD_MAX], const struct judge *j, struct place at)
{
	struct line_text t = {field, 0, VERDICT_FIELD_MAX};
	uint32_t target = number_of(j, at.node);
	const struct json_node *node = &j->doc->nodes[0];

	while (number_of(j, node) != target) {
		const struct json_node *child = node + 1; /* counts also what was left out */
		uint32_t index = 0;

		for (; child->end <= target; index++)
			child = &j->doc->nodes[child->end];
		add_step(&t, j, child, index);
		node = child;
	}
	if (at.missing) {
		if (t.n > 0)
			add(&t, ".", 1);
		add(&t, at.missing, strlen(at.missing));
	}
	end_text(&t);
}

static void write_message(char message[VERDICT_MESSAGE_MAX], const char *fmt, va_list args)
{
	vsnprintf(message, VERDICT_MESSAGE_MAX, fmt, args);
	message[utf8_whole(message, strlen(message))] = '\0'; /* had it to be cut: not within a character */
}

static bool bad_number_is_first(const struct judge *j, struct place at)
{
	return j->bad_number < (at.at_end ? at.node->end : number_of(j, at.node) + 1);
}

static bool refuse_number(struct judge *j)
{
	char name[QUOTED_MAX];
	const struct json_node *node = &j->doc->nodes[j->bad_number];

	j->refusal->code = CODE_VALUE_INVALID;
	j->refusal->sub = SUB_NONE;
	write_place(j->refusal->field, j, AT(node));
	snprintf(j->refusal->message, VERDICT_MESSAGE_MAX,
	         "%s is too large for a double (about 1.8e308 at most): GA4 would refuse the whole request",
	         name_of(name, j, node));
	return false;
}

bool finding_sub(struct judge *j, enum tier tier, enum code code, enum sub_code sub, struct place at, const char *fmt,
                 ...)
{
	bool refuse = tier < TIER_W || j->mode == VALIDATION_STRICT;
	struct finding *f = refuse ? j->refusal : &j->scratch;
	va_list args;

	if (tier_is_off(j, tier))
		return true;
	if (refuse && bad_number_is_first(j, at))
		return refuse_number(j);
	if (!refuse) {
		j->warning_counts[code]++;
		if (++j->n_warnings > LIMIT_WARNINGS)
			return true;
	}
	f->code = code;
	f->sub = sub;
	write_place(f->field, j, at);
	va_start(args, fmt);
	write_message(f->message, fmt, args);
	va_end(args);
	if (!refuse)
		j->warn(j->warn_arg, f);
	return !refuse;
}

const char *quoted(char buf[QUOTED_MAX], struct slice name)
{
	struct line_text t = {buf, 0, QUOTED_MAX};
	size_t chars = 0, n = 0;

	while (n < name.n && (((unsigned char)name.p[n] & 0xc0) == 0x80 || chars++ < QUOTED_CHARS))
		n++;
	add(&t, "'", 1);
	add(&t, name.p, n);
	if (n < name.n)
		add(&t, "…", sizeof("…") - 1);
	add(&t, "'", 1);
	end_text(&t);
	return buf;
}

const char *name_of(char buf[QUOTED_MAX], const struct judge *j, const struct json_node *node)
{
	return node->is_member ? quoted(buf, json_key(j->doc, node)) : "this value";
}

static const char *ask_for(char buf[QUOTED_MAX], const char *nearest)
{
	if (nearest)
		snprintf(buf, QUOTED_MAX, "; did you mean '%s'?", nearest);
	else
		buf[0] = '\0';
	return buf;
}

const char *did_you_mean(char buf[QUOTED_MAX], const struct name_index *known, struct slice name)
{
	return ask_for(buf, name_index_nearest(known, name));
}

const char *did_you_mean_one_of(char buf[QUOTED_MAX], const char *const known[], size_t n, struct slice name)
{
	return ask_for(buf, nearest_name(name, known, n));
}

bool longer_than(struct slice s, size_t max_chars)
{
	/* A character has one to four bytes. */
	return s.n > max_chars && (s.n > max_chars * 4 || utf8_count(s.p, s.n) > max_chars);
}
