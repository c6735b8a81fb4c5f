/* google_verdict.c - a verdict in the form that Google's validation endpoint gives it
 *
 * Applications match on Google's sentences, so the few that are publicly known are given word for word (Google's
 * "Validate events" page, and answers quoted in tests of public client libraries); the rest is ours. */
#include "ga4/google_verdict.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json/json_write.h"

struct google_message {
	const char *path; /* NULL: Google leaves fieldPath out */
	char description[VERDICT_MESSAGE_MAX + 128];
};

/* Google's codes and, for what only a relay can say, the nearest. */
static const char *google_code(enum code code)
{
	switch (code) {
	case CODE_VALUE_INVALID:
	case CODE_VALUE_REQUIRED:
	case CODE_NAME_INVALID:
	case CODE_NAME_RESERVED:
	case CODE_VALUE_OUT_OF_BOUNDS:
	case CODE_EXCEEDED_MAX_ENTITIES:
	case CODE_NAME_DUPLICATED:
		return code_name(code);
	case CODE_JSON_INVALID:
		return "VALUE_INVALID";
	case CODE_LINE_TOO_LONG:
	case CODE_TIMESTAMP_EXPIRED:
		return "VALUE_OUT_OF_BOUNDS";
	case CODE_NONE:
	case CODE_STREAM_UNKNOWN:
	case CODE_QUEUE_FULL:
	case CODE_STORAGE_ERROR:
	case CODE_SHUTTING_DOWN:
	case CODE_COUNT:
		break;
	}
	return "INTERNAL_ERROR";
}

/* The name of events[i], for a field "events[i].name"; empty when there is none. */
static struct slice event_name(const struct json_doc *d, const char *field, unsigned *ret_index)
{
	const struct json_node *events, *e, *name;
	unsigned index;
	int end = 0;

	if (!d || sscanf(field, "events[%u].name%n", &index, &end) != 1 || end == 0 || field[end] != '\0')
		return SLICE_LIT("");
	events = json_member(d, &d->nodes[0], "events");
	e = events && events->type == JSON_ARRAY ? json_first(d, events) : NULL;
	for (unsigned i = 0; e && i < index; i++)
		e = json_next(d, events, e);
	name = e && e->type == JSON_OBJECT ? json_member(d, e, "name") : NULL;
	if (!name || name->type != JSON_STRING)
		return SLICE_LIT("");
	*ret_index = index;
	return json_value(d, name);
}

/* Word for word as on Google's page. */
static bool say_event_name(struct google_message *m, const struct finding *f, const struct json_doc *d)
{
	unsigned index = 0;
	struct slice name = event_name(d, f->field, &index);
	const char *why = "Names must start with an alphabetic character.";

	if (f->code != CODE_NAME_INVALID || name.n == 0)
		return false;
	if (isalpha((unsigned char)name.p[0])) {
		size_t ok = 0;

		while (ok < name.n && (isalnum((unsigned char)name.p[ok]) || name.p[ok] == '_'))
			ok++;
		if (ok == name.n)
			return false; /* too long: Google's words for it are not known */
		why = "Only alphanumeric characters and underscores are allowed.";
	}
	m->path = "events";
	snprintf(m->description, sizeof(m->description), "Event at index: [%u] has invalid name [%.*s]. %s", index,
	         (int)(name.n < 100 ? name.n : 100), name.p, why);
	return true;
}

static bool say_missing_id(struct google_message *m, const struct finding *f)
{
	static const char *const sentences[][2] = {
	        {"client_id", "Measurement requires a client_id."},
	        {"app_instance_id", "Measurement requires an app_instance_id."},
	};

	if (f->code != CODE_VALUE_REQUIRED)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
		if (strcmp(f->field, sentences[i][0]) != 0)
			continue;
		snprintf(m->description, sizeof(m->description), "%s", sentences[i][1]);
		return true;
	}
	return false;
}

/* A member that GA4 does not know: its parser gives up there. The finding's field is the member's own path. */
static bool say_unknown_member(struct google_message *m, const struct finding *f)
{
	const char *dot = strrchr(f->field, '.');

	if (f->code != CODE_VALUE_INVALID || f->sub != SUB_UNKNOWN_MEMBER)
		return false;
	m->path = NULL;
	if (dot)
		snprintf(m->description, sizeof(m->description),
		         "Unable to parse Measurement Protocol JSON payload. (%.*s) %s: Cannot find field.",
		         (int)(dot - f->field), f->field, dot + 1);
	else
		snprintf(m->description, sizeof(m->description),
		         "Unable to parse Measurement Protocol JSON payload. %s: Cannot find field.", f->field);
	return true;
}

static void say(struct google_message *m, const struct finding *f, const struct json_doc *d)
{
	m->path = f->field[0] != '\0' ? f->field : NULL;
	if (say_event_name(m, f, d) || say_missing_id(m, f) || say_unknown_member(m, f))
		return;
	if (f->code == CODE_JSON_INVALID) {
		m->path = NULL;
		snprintf(m->description, sizeof(m->description),
		         "Unable to parse Measurement Protocol JSON payload. %s", f->message);
		return;
	}
	snprintf(m->description, sizeof(m->description), "%s", f->message);
}

int google_verdict_write(struct buf *out, const struct finding *findings, size_t n, const struct json_doc *payload)
{
	struct json_out *j = json_out_begin(out);

	if (!j)
		return -ENOMEM;
	json_out_object(j);
	json_out_key(j, "validationMessages");
	json_out_array(j);
	for (size_t i = 0; i < n; i++) {
		struct google_message m = {0};

		say(&m, &findings[i], payload);
		json_out_object(j);
		if (m.path)
			json_out_kv_str(j, "fieldPath", m.path);
		json_out_kv_str(j, "description", m.description);
		json_out_kv_str(j, "validationCode", google_code(findings[i].code));
		json_out_close(j);
	}
	return json_out_end(j);
}
