/* debug_verdict.c - what the door's debug path answers, as Google's validation endpoint would */
#include "http/debug_verdict.h"

#include <errno.h>
#include <stdio.h>

#include "ga4/google_verdict.h"
#include "ga4/limits.h"

enum { WARNINGS_TEXT_MAX = 256 * 1024 };

static enum code code_of(struct slice name)
{
	for (enum code code = CODE_NONE; code < CODE_COUNT; code++)
		if (slice_eq(slice_of(code_name(code)), name))
			return code;
	return CODE_NONE;
}

static struct slice text_of(const struct json_doc *d, const struct json_node *object, const char *name)
{
	const struct json_node *n = json_member(d, object, name);

	return n && n->type == JSON_STRING ? json_value(d, n) : SLICE_LIT("");
}

/* The reply's own text of the warnings becomes findings again. Returns how many, or -ENOMEM. */
static int read_warnings(struct finding *ret, struct json_in *reader, struct slice warnings_json)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(WARNINGS_TEXT_MAX);
	const struct json_node *list, *w;
	const struct json_doc *d;
	int n = 0;

	if (warnings_json.n == 0)
		return 0;
	if (buf_printf(&text, "{%.*s}", (int)warnings_json.n - 1, warnings_json.p + 1) < 0 ||
	    json_in_read(reader, buf_slice(&text), &d, NULL) < 0)
		return -ENOMEM;
	list = json_member(d, &d->nodes[0], "warnings");
	for (w = list ? json_first(d, list) : NULL; w && n < LIMIT_WARNINGS; w = json_next(d, list, w)) {
		ret[n].code = code_of(text_of(d, w, "code"));
		snprintf(ret[n].field, sizeof(ret[n].field), "%.*s", SLICE_ARG(text_of(d, w, "field")));
		snprintf(ret[n].message, sizeof(ret[n].message), "%.*s", SLICE_ARG(text_of(d, w, "message")));
		n++;
	}
	return n;
}

static bool wants_recommendations(const struct json_doc *d)
{
	const struct json_node *root = &d->nodes[0];

	return slice_eq(text_of(d, root, "validation_behavior"), SLICE_LIT("ENFORCE_RECOMMENDATIONS")) ||
	       slice_eq(text_of(d, root, "validationBehavior"), SLICE_LIT("ENFORCE_RECOMMENDATIONS"));
}

int debug_verdict_write(struct buf *out, struct json_in *reader, struct slice body, const struct line_result *result)
{
	struct finding warnings[LIMIT_WARNINGS];
	const struct json_doc *payload = NULL;
	int n = result->sub ? read_warnings(warnings, reader, result->warnings_json) : 0;

	if (n < 0)
		return n;
	if (json_in_read(reader, body, &payload, NULL) < 0)
		payload = NULL;
	if (!result->sub)
		return google_verdict_write(out, &result->refusal, 1, payload);
	return google_verdict_write(out, warnings, payload && wants_recommendations(payload) ? (size_t)n : 0,
	                            payload);
}
