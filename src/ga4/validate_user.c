/* validate_user.c - what a request says of the user: properties, data, consent, place, device */
#include <strings.h>

#include "base/utf8.h"
#include "ga4/cookie.h"
#include "ga4/violation.h"

static bool judge_object(struct judge *j, const struct json_node *node)
{
	struct slice name = json_key(j->doc, node);

	return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "%.*s must be an object, {…}%s", SLICE_ARG(name),
	               node->type == JSON_ARRAY ? ", not a list" : "");
}

static bool judge_stranger(struct judge *j, const struct json_node *node, const struct name_index *known)
{
	char name[QUOTED_MAX], hint[QUOTED_MAX];
	struct slice key = json_key(j->doc, node);

	return finding_unknown(j, node, "GA4 knows no member %s here and would refuse the whole request%s",
	                       quoted(name, key), did_you_mean(hint, known, key));
}

/* ---- user_properties ---- */

static bool judge_property_value(struct judge *j, const struct json_node *property, const struct json_node *node)
{
	char name[QUOTED_MAX];
	struct slice value = json_value(j->doc, node);

	if (node->type == JSON_OBJECT || node->type == JSON_ARRAY)
		return finding(
		        j, TIER_W, CODE_VALUE_INVALID, AT(node),
		        "a user property's value must be a string, a number or true or false: GA4 may ignore %s",
		        name_of(name, j, property));
	if (node->type == JSON_STRING && longer_than(value, LIMIT_PROPERTY_VALUE_CHARS))
		return finding(j, TIER_W, CODE_VALUE_OUT_OF_BOUNDS, AT(node),
		               "the value of %s has %zu characters; GA4 takes %d at most here",
		               name_of(name, j, property), utf8_count(value.p, value.n), LIMIT_PROPERTY_VALUE_CHARS);
	return true;
}

static bool judge_property_time(struct judge *j, const struct json_node *property, const struct json_node *node)
{
	int64_t time_us = 0;

	if (!judge_time(j, node, &time_us))
		return false;
	if (time_us == 0)
		json_drop(property, node); /* unset */
	return true;
}

static bool judge_property_name(struct judge *j, const struct json_node *node)
{
	char name[QUOTED_MAX];
	struct slice key = json_key(j->doc, node);

	if (rules_property_is_reserved(key))
		return finding(j, TIER_W, CODE_NAME_RESERVED, AT(node),
		               "%s is a name that GA4 keeps for itself (also all that begin with _, firebase_, ga_, "
		               "google_): "
		               "it may ignore this user property",
		               quoted(name, key));
	if (name_is_valid(key, LIMIT_PROPERTY_NAME_CHARS))
		return true;
	return finding(
	        j, TIER_W, CODE_NAME_INVALID, AT(node),
	        "a user property's name is a letter, then letters, digits and _, %d characters at most; %s is not: "
	        "GA4 may ignore it",
	        LIMIT_PROPERTY_NAME_CHARS, quoted(name, key));
}

static bool judge_property_member(struct judge *j, const struct json_node *property, const struct json_node *node,
                                  bool *has_value)
{
	static const char *const known[] = {"value", "timestamp_micros"};
	char name[QUOTED_MAX], hint[QUOTED_MAX];
	struct slice key = json_name(j->doc, node);

	if (slice_eq(key, SLICE_LIT("value"))) {
		*has_value = true;
		return judge_property_value(j, property, node);
	}
	if (slice_eq(key, SLICE_LIT("timestamp_micros")))
		return judge_property_time(j, property, node);
	return finding_unknown(j, node, "a user property has value and timestamp_micros; GA4 knows no %s in it%s",
	                       quoted(name, key), did_you_mean_one_of(hint, known, ARRAY_LEN(known), key));
}

/* Without a value a property says nothing, and what it lacks must not cost the events beside it. */
static bool leave_out_property(struct judge *j, const struct json_node *properties, const struct json_node *node)
{
	const struct json_node *value = json_member(j->doc, node, "value");
	char name[QUOTED_MAX];

	json_drop(properties, node);
	return finding(j, TIER_W, CODE_VALUE_INVALID, value ? AT(value) : MISSING(node, "value"),
	               "the user property %s has no value%s and was left out", quoted(name, json_key(j->doc, node)),
	               value ? " but null" : "");
}

static bool judge_property(struct judge *j, const struct json_node *properties, const struct json_node *node)
{
	char name[QUOTED_MAX];
	bool has_value = false;

	if (!judge_property_name(j, node))
		return false;
	if (node->type != JSON_OBJECT)
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node),
		               "a user property is an object: %s must be {\"value\": …}, never a bare value",
		               quoted(name, json_key(j->doc, node)));
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m)) {
		if (m->twin)
			return finding_twice(j, m);
		if (!judge_property_member(j, node, m, &has_value))
			return false;
	}
	return has_value || leave_out_property(j, properties, node);
}

static bool has_null_value(const struct judge *j, const struct json_node *property)
{
	const struct json_node *value = property->type == JSON_OBJECT ? json_member(j->doc, property, "value") : NULL;

	return value && value->type == JSON_NULL;
}

static bool read_properties(struct judge *j, const struct json_node *node)
{
	read_empty_object(node);
	if (node->type != JSON_OBJECT)
		return true;
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m)) {
		if (m->type == JSON_NULL)
			json_drop(node, m);
		else if ((j->mode == VALIDATION_OFF || !has_null_value(j, m)) &&
		         !read_object(j, m, &j->rules->property))
			return false;
	}
	return true;
}

bool judge_user_properties(struct judge *j, const struct json_node *node)
{
	if (!read_properties(j, node))
		return false;
	if (tier_is_off(j, TIER_E))
		return true;
	if (node->type != JSON_OBJECT)
		return judge_object(j, node);
	if (node->count > LIMIT_USER_PROPERTIES &&
	    !finding(j, TIER_W, CODE_EXCEEDED_MAX_ENTITIES, AT(node), "%u user properties; GA4 takes %d at most",
	             node->count, LIMIT_USER_PROPERTIES))
		return false;
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m))
		if (!(has_null_value(j, m) ? leave_out_property(j, node, m) : judge_property(j, node, m)))
			return false;
	return true;
}

/* ---- user_data and the small objects ---- */

static bool is_sha256(const struct judge *j, const struct json_node *node)
{
	struct slice s = json_value(j->doc, node);

	if (node->type != JSON_STRING || s.n != LIMIT_SHA256_DIGITS)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f') &&
		    !(s.p[i] >= 'A' && s.p[i] <= 'F'))
			return false;
	return true;
}

/* What is not a hash may be the plain address: it is left out, whatever it is. */
static bool judge_hash(struct judge *j, const struct json_node *parent, const struct json_node *node)
{
	char name[QUOTED_MAX];

	if (is_sha256(j, node)) {
		json_editable(node)->lower = j->mode != VALIDATION_OFF;
		return true;
	}
	json_drop(parent, node);
	return finding(j, TIER_N, CODE_VALUE_INVALID, AT(node),
	               "%s must be a SHA-256 as %d hexadecimal digits and was left out: a plain address or number is "
	               "personal data and never leaves this host",
	               name_of(name, j, node), LIMIT_SHA256_DIGITS);
}

static bool judge_members(struct judge *j, const struct json_node *node, const struct name_index *known);

/* Was emptied by what was left out of it; one that was written empty stays. */
static bool was_emptied(const struct judge *j, const struct json_node *node)
{
	return node->count == 0 && node->end > (uint32_t)(node - j->doc->nodes) + 1;
}

static bool judge_address(struct judge *j, const struct json_node *parent, const struct json_node *node)
{
	bool off = j->mode == VALIDATION_OFF;

	if (node->type == JSON_NULL && !off) {
		json_drop(parent, node);
		return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node), "an address is null and was left out");
	}
	if (node->type != JSON_OBJECT && !off)
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "an address must be an object, {…}");
	if (!judge_members(j, node, &j->rules->address))
		return false;
	if (was_emptied(j, node))
		json_drop(parent, node);
	return true;
}

static bool is_in_any_case(struct slice value, struct slice upper)
{
	return value.n == upper.n && strncasecmp(value.p, upper.p, upper.n) == 0;
}

static bool judge_consent_value(struct judge *j, const struct json_node *node)
{
	struct slice value = json_value(j->doc, node), name = json_name(j->doc, node);

	if (node->type == JSON_STRING &&
	    (slice_eq(value, SLICE_LIT("GRANTED")) || slice_eq(value, SLICE_LIT("DENIED"))))
		return true;
	if (node->type == JSON_STRING &&
	    (is_in_any_case(value, SLICE_LIT("GRANTED")) || is_in_any_case(value, SLICE_LIT("DENIED")))) {
		json_editable(node)->upper = true;
		return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "%.*s is sent in upper case, as GA4 documents it", SLICE_ARG(name));
	}
	return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "%.*s must be \"GRANTED\" or \"DENIED\"",
	               SLICE_ARG(name));
}

/* The first ones are sent. */
static bool leave_out_surplus(struct judge *j, const struct json_node *node, unsigned max)
{
	struct slice name = json_name(j->doc, node);
	unsigned n = 0, all = node->count;

	if (all <= max)
		return true;
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m))
		if (n++ >= max)
			json_drop(node, m);
	return finding(j, TIER_W, CODE_EXCEEDED_MAX_ENTITIES, AT_END(node),
	               "%u values in %.*s; GA4 takes %u at most: the first %u are sent", all, SLICE_ARG(name), max,
	               max);
}

/* One value, or an array of up to so many (UID). */
static bool judge_several(struct judge *j, const struct json_node *parent, const struct json_node *node, unsigned max,
                          bool (*judge_one)(struct judge *, const struct json_node *, const struct json_node *))
{
	if (node->type != JSON_ARRAY)
		return judge_one(j, parent, node);
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m))
		if (!judge_one(j, node, m))
			return false;
	if (was_emptied(j, node))
		json_drop(parent, node);
	if (j->mode == VALIDATION_OFF)
		return true;
	return leave_out_surplus(j, node, max);
}

static bool judge_string(struct judge *j, const struct json_node *node)
{
	struct slice name = json_key(j->doc, node);

	if (node->type == JSON_STRING)
		return true;
	return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "%.*s must be a string", SLICE_ARG(name));
}

static bool judge_member(struct judge *j, const struct json_node *object, const struct json_node *node,
                         const struct member_rule *rule)
{
	switch (rule->kind) {
	case MEMBER_STRING:
		break;
	case MEMBER_CONSENT:
		return judge_consent_value(j, node);
	case MEMBER_HASH:
		return judge_hash(j, object, node);
	case MEMBER_HASHES:
		return judge_several(j, object, node, rule->max, judge_hash);
	case MEMBER_ADDRESSES:
		return judge_several(j, object, node, rule->max, judge_address);
	}
	return judge_string(j, node);
}

/* The rows of `known` are member_rules. With validation off only hashes are looked at: what is none stays here. */
static bool judge_members(struct judge *j, const struct json_node *node, const struct name_index *known)
{
	const struct member_rule *rules = (const struct member_rule *)(const void *)known->rows;
	bool off = tier_is_off(j, TIER_E);

	if (!read_object(j, node, known))
		return false;
	if (node->type != JSON_OBJECT && off)
		return true;
	if (node->type != JSON_OBJECT)
		return judge_object(j, node);
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m)) {
		int row = name_index_find(known, json_name(j->doc, m));

		if (off && (row < 0 || rules[row].kind == MEMBER_STRING || rules[row].kind == MEMBER_CONSENT))
			continue;
		if (m->twin)
			return finding_twice(j, m);
		if (!(row < 0 ? judge_stranger(j, m, known) : judge_member(j, node, m, &rules[row])))
			return false;
	}
	return true;
}

bool judge_user_data(struct judge *j, const struct json_node *node)
{
	if (!judge_members(j, node, &j->rules->user_data))
		return false;
	if (was_emptied(j, node)) {
		json_drop(&j->doc->nodes[0], node);
		j->root[ROOT_USER_DATA] = NULL;
	}
	return true;
}

bool judge_consent(struct judge *j, const struct json_node *node)
{
	return judge_members(j, node, &j->rules->consent);
}

bool judge_user_location(struct judge *j, const struct json_node *node)
{
	return judge_members(j, node, &j->rules->location);
}

bool judge_device(struct judge *j, const struct json_node *node)
{
	return judge_members(j, node, &j->rules->device);
}
