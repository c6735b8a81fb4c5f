/* debug_verdict.c - what the door's debug path answers, as Google's validation endpoint would */
#include "http/debug_verdict.h"

#include "ga4/google_verdict.h"
#include "ga4/limits.h"

static bool wants_recommendations(const struct json_doc *d)
{
	static const char *const spellings[] = {"validation_behavior", "validationBehavior"};

	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		const struct json_node *n = json_member(d, &d->nodes[0], spellings[i]);

		if (n && n->type == JSON_STRING && slice_eq(json_value(d, n), SLICE_LIT("ENFORCE_RECOMMENDATIONS")))
			return true;
	}
	return false;
}

int debug_verdict_write(struct buf *out, struct json_in *reader, struct slice body, const struct line_result *result,
                        bool strict)
{
	struct finding all[LIMIT_WARNINGS + 1];
	const struct json_doc *payload = NULL;
	size_t n = 0;

	if (json_in_read(reader, body, &payload, NULL) < 0)
		payload = NULL;
	if (strict || (payload && wants_recommendations(payload)))
		for (; n < result->n_warnings; n++)
			all[n] = result->warnings[n];
	/* What refuses it was found last. */
	if (!result->sub)
		all[n++] = result->refusal;
	return google_verdict_write(out, all, n, payload);
}
