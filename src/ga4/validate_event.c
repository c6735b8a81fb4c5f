/* validate_event.c - is an event what GA4 takes? Its name, its parameters, its items, its time */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "ga4/cookie.h"
#include "ga4/violation.h"

/* What is known of an event while its parameters are walked. */
struct param_walk {
	const struct event_rule *rule; /* NULL: no rules of its own */
	uint32_t seen;                 /* bits 1 << enum param */
	bool purchase;
	struct judged_event *event;
};

/* ---- name and time ---- */

static const struct event_rule *rule_of(const struct judge *j, const struct judged_event *e)
{
	int row = e->name && e->name->type == JSON_STRING
	                  ? name_index_find(&j->rules->event, json_value(j->doc, e->name))
	                  : -1;

	return row < 0 ? NULL : &event_rules[row];
}

static bool judge_name_case(struct judge *j, const struct json_node *node, struct slice name)
{
	char shown[QUOTED_MAX];
	const char *meant = rules_event_by_case(j->rules, name);

	return !meant ||
	       finding(j, TIER_W, CODE_NAME_INVALID, AT(node),
	               "names are case-sensitive: %s is another event than GA4's %s", quoted(shown, name), meant);
}

bool judge_event_name(struct judge *j, const struct json_node *node)
{
	char shown[QUOTED_MAX];
	struct slice name = json_value(j->doc, node);
	int row;

	if (node->type != JSON_STRING)
		return finding(j, TIER_D, CODE_NAME_INVALID, AT(node), "an event's name must be a string");
	if (name.n == 0)
		return finding(j, TIER_D, CODE_VALUE_REQUIRED, AT(node), "the event's name is empty");
	if (!name_is_valid(name, LIMIT_EVENT_NAME_CHARS))
		return finding(
		        j, TIER_E, CODE_NAME_INVALID, AT(node),
		        "an event's name is a letter, then letters, digits and _, %d characters at most; %s is not",
		        LIMIT_EVENT_NAME_CHARS, quoted(shown, name));
	row = name_index_find(&j->rules->event, name);
	if (row < 0)
		return judge_name_case(j, node, name);
	if (event_rules[row].reserved == RESERVED_NOT)
		return true;
	if (event_rules[row].reserved == RESERVED_ON_WEB && j->type != STREAM_WEB)
		return true;
	return finding(
	        j, TIER_E, CODE_NAME_RESERVED, AT(node),
	        "%s is a name that GA4 keeps for events of its own%s: it drops this event; choose another name",
	        quoted(shown, name), event_rules[row].reserved == RESERVED_ON_WEB ? " on web streams" : "");
}

/* With validation off a time that makes no sense is none: the event happened now. */
static bool keep_sane_time(const struct judge *j, int64_t time_us, int64_t *ret_us)
{
	static const int64_t year_9999 = INT64_C(253402300799) * 1000000;
	bool skew = time_us > j->wall_us && time_us <= j->wall_us + LIMIT_FUTURE_US;

	if (time_us > 0 && time_us <= year_9999)
		*ret_us = skew ? j->wall_us : time_us;
	return true;
}

bool judge_time(struct judge *j, const struct json_node *node, int64_t *ret_us)
{
	int r = micros_read_time(j->doc, node, ret_us);

	if (r < 0)
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node),
		               "timestamp_micros must be a number, microseconds since 1970 (such as %" PRId64
		               "), not a date as text",
		               j->wall_us);
	return r == 0 || finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
	                         "timestamp_micros counts whole microseconds: its fraction was left off");
}

bool judge_event_timestamp(struct judge *j, const struct json_node *node, int64_t *ret_us)
{
	int64_t time_us = 0;

	if (!judge_time(j, node, &time_us))
		return false;
	if (time_us == 0)
		return true;
	if (j->mode == VALIDATION_OFF)
		return keep_sane_time(j, time_us, ret_us);
	if (time_us < j->wall_us - j->max_age_us)
		return finding(j, TIER_E, CODE_TIMESTAMP_EXPIRED, AT(node),
		               "timestamp_micros is more than %g hour%s ago, older than delivery.max_age (it counts "
		               "microseconds: 16 digits)",
		               (double)j->max_age_us / (double)US_PER_H, j->max_age_us == US_PER_H ? "" : "s");
	if (time_us > j->wall_us + LIMIT_FUTURE_US)
		return finding(j, TIER_E, CODE_VALUE_OUT_OF_BOUNDS, AT(node),
		               "timestamp_micros is more than 5 minutes ahead of this host's clock (it counts "
		               "microseconds: 16 "
		               "digits)");
	*ret_us = time_us > j->wall_us ? j->wall_us : time_us; /* a little ahead is skew */
	return true;
}

/* ---- values ---- */

static bool is_scalar(const struct json_node *node)
{
	return node->type == JSON_STRING || node->type == JSON_NUMBER || node->type == JSON_BOOL;
}

static bool is_positive_whole(const struct judge *j, const struct json_node *node)
{
	int64_t v;

	return micros_read(j->doc, node, &v) == 0 && v > 0;
}

static bool is_positive(const struct judge *j, const struct json_node *node)
{
	double v;

	if (node->type != JSON_NUMBER)
		return is_positive_whole(j, node);
	return parse_json_double(json_value(j->doc, node), &v) < 0 || v > 0;
}

static bool is_true_or_1(const struct judge *j, const struct json_node *node)
{
	double v;

	if (node->type == JSON_BOOL)
		return node->truth;
	return node->type == JSON_NUMBER && parse_json_double(json_value(j->doc, node), &v) == 0 && v == 1;
}

static bool is_currency(const struct judge *j, const struct json_node *node)
{
	struct slice s = json_value(j->doc, node);

	if (node->type != JSON_STRING || s.n != 3)
		return false;
	for (size_t i = 0; i < 3; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= 'A' && s.p[i] <= 'Z'))
			return false;
	return true;
}

/* The whole session cookie stands for its number. */
static bool read_session_cookie(const struct judge *j, const struct json_node *node)
{
	struct slice id;

	if (node->type != JSON_STRING || !cookie_session_id(json_value(j->doc, node), &id))
		return false;
	json_narrow(j->doc, node, id);
	return true;
}

/* A value of a known kind; items are looked at elsewhere. */
static bool judge_kind(struct judge *j, const struct json_node *node, enum value_kind kind)
{
	struct slice name = json_key(j->doc, node);

	switch (kind) {
	case KIND_ANY:
	case KIND_ITEMS:
		break;
	case KIND_NUMBER:
		return node->type == JSON_NUMBER || finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		                                            "%.*s must be a number, without quotes", SLICE_ARG(name));
	case KIND_CURRENCY:
		return is_currency(j, node) ||
		       finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "currency must be the three letters of ISO 4217, such as \"EUR\"");
	case KIND_SESSION_ID:
		return is_positive_whole(j, node) || read_session_cookie(j, node) ||
		       finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "session_id must be a positive whole number, as in the _ga_<container> cookie");
	case KIND_ENGAGEMENT:
		return is_positive(j, node) || finding(j, TIER_W, CODE_VALUE_REQUIRED, AT(node),
		                                       "engagement_time_msec must be a positive number: without it "
		                                       "activity may not be fully reflected in Realtime");
	case KIND_DEBUG:
		return is_true_or_1(j, node) ||
		       finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "debug_mode must be true or 1; false does not switch it off: leave it out");
	}
	return true;
}

static bool judge_scalar(struct judge *j, const struct json_node *node, unsigned max_chars, enum value_kind kind)
{
	char name[QUOTED_MAX];
	struct slice value = json_value(j->doc, node);

	if (!is_scalar(node))
		return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "a parameter is a string, a number or true or false (only items is an array): GA4 "
		               "documents nothing else, and may ignore %s",
		               name_of(name, j, node));
	if (max_chars == 0)
		max_chars = j->limits_360 ? LIMIT_PARAM_VALUE_CHARS_360 : LIMIT_PARAM_VALUE_CHARS;
	if (node->type == JSON_STRING && longer_than(value, max_chars) &&
	    !finding(j, TIER_W, CODE_VALUE_OUT_OF_BOUNDS, AT(node),
	             "%s has %zu characters; GA4 takes %u at most here", name_of(name, j, node),
	             utf8_count(value.p, value.n), max_chars))
		return false;
	if (node->type == JSON_STRING && is_mail_address(value) && !finding_mail(j, node))
		return false;
	return judge_kind(j, node, kind);
}

static bool judge_name(struct judge *j, const struct json_node *node, struct slice key, bool may_be_reserved)
{
	char name[QUOTED_MAX];

	if (may_be_reserved && rules_param_is_reserved(key))
		return finding(j, TIER_W, CODE_NAME_RESERVED, AT(node),
		               "names that begin with _, firebase_, ga_, google_ or gtag. are reserved for GA4: it "
		               "may ignore %s%s",
		               quoted(name, key),
		               slice_eq(key, SLICE_LIT("ga_session_id")) ? "; you probably mean session_id" : "");
	if (name_is_valid(key, LIMIT_PARAM_NAME_CHARS))
		return true;
	return finding(
	        j, TIER_W, CODE_NAME_INVALID, AT(node),
	        "a parameter's name is a letter, then letters, digits and _, %d characters at most; %s is not: GA4 "
	        "may ignore it",
	        LIMIT_PARAM_NAME_CHARS, quoted(name, key));
}

/* ---- items ---- */

static bool is_filled(const struct json_node *node)
{
	return is_scalar(node) && (node->type != JSON_STRING || node->val_len > 0);
}

/* Null says that there is nothing: reports differ on whether GA4 ignores it or drops the event. */
static bool leave_out_null(struct judge *j, const struct json_node *parent, const struct json_node *node)
{
	char name[QUOTED_MAX];

	json_drop(parent, node);
	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node), "%s is null and was left out",
	               name_of(name, j, node));
}

static bool judge_unidentified(struct judge *j, const struct json_node *item)
{
	bool other = json_member(j->doc, item, "id") || json_member(j->doc, item, "name");

	return finding(j, TIER_W, CODE_VALUE_REQUIRED, MISSING(item, "item_id"),
	               "an item needs an item_id or an item_name that is not empty%s",
	               other ? "; GA4 does not take id and name for them" : "");
}

static bool judge_item_end(struct judge *j, const struct json_node *item, bool identified, unsigned customs)
{
	if (!identified && !judge_unidentified(j, item))
		return false;
	return customs <= LIMIT_ITEM_CUSTOM_PARAMS || finding(j, TIER_W, CODE_EXCEEDED_MAX_ENTITIES, AT_END(item),
	                                                      "%u custom parameters in one item; %d at most by "
	                                                      "Google's protocol guide (27 by its support pages)",
	                                                      customs, LIMIT_ITEM_CUSTOM_PARAMS);
}

static bool judge_item(struct judge *j, const struct json_node *item)
{
	bool identified = false;
	unsigned customs = 0;

	if (item->type != JSON_OBJECT)
		return finding(j, TIER_W, CODE_VALUE_INVALID, AT(item),
		               "an item must be an object: GA4 documents nothing else, and may ignore this one");
	for (const struct json_node *m = json_first(j->doc, item); m; m = json_next(j->doc, item, m)) {
		struct slice key = json_key(j->doc, m);
		int row = name_index_find(&j->rules->item, key);

		if (m->type == JSON_NULL) {
			if (!leave_out_null(j, item, m))
				return false;
			continue;
		}
		if (row < 0) {
			customs++;
			if (!judge_name(j, m, key, false))
				return false;
		} else if (item_rules[row].identifies && is_filled(m)) {
			identified = true;
		}
		if (!judge_scalar(j, m, 0, row < 0 ? KIND_ANY : item_rules[row].kind))
			return false;
	}
	return judge_item_end(j, item, identified, customs);
}

static bool judge_items(struct judge *j, const struct json_node *node)
{
	if (node->type != JSON_ARRAY)
		return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "items must be an array of objects: GA4 documents nothing else, and may ignore it");
	if (node->count > LIMIT_ITEMS && !finding(j, TIER_W, CODE_EXCEEDED_MAX_ENTITIES, AT(node),
	                                          "%u items; GA4 takes %d at most", node->count, LIMIT_ITEMS))
		return false;
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m)) {
		if (!(m->type == JSON_NULL ? leave_out_null(j, node, m) : judge_item(j, m)))
			return false;
		if (m->edited)
			json_editable(node)->edited = true;
	}
	return true;
}

/* ---- parameters ---- */

/* An event's time that stands among its parameters, where GA4 does not look for it. */
static bool judge_time_in_params(struct judge *j, struct judged_event *e, const struct json_node *node)
{
	int64_t own_us = 0;

	if (e->timestamp && (micros_read_time(j->doc, e->timestamp, &own_us) < 0 || own_us != 0))
		return finding(
		        j, TIER_W, CODE_VALUE_INVALID, AT(node),
		        "timestamp_micros counts only beside the event's name, where there is one already: here "
		        "it is a parameter like any other");
	if (!judge_event_timestamp(j, node, &e->time_us))
		return false;
	json_drop(e->params, node);
	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
	               "timestamp_micros counts only beside the event's name: it was moved there");
}

static bool judge_param(struct judge *j, const struct json_node *node, struct param_walk *walk)
{
	struct slice key = json_key(j->doc, node);
	int row;

	if (node->type == JSON_NULL)
		return leave_out_null(j, walk->event->params, node);
	row = name_index_find(&j->rules->param, key);
	if (row < 0 && slice_eq(key, SLICE_LIT("timestamp_micros")))
		return judge_time_in_params(j, walk->event, node);
	if (row < 0)
		return judge_name(j, node, key, true) && judge_scalar(j, node, 0, KIND_ANY);
	walk->seen |= UINT32_C(1) << row;
	if (row == PARAM_ITEMS)
		return judge_items(j, node);
	if (row == PARAM_TRANSACTION_ID && walk->purchase && node->type == JSON_STRING && node->val_len == 0)
		return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "transaction_id is empty: GA4 takes all such purchases for one and drops the rest");
	return judge_scalar(j, node, param_rules[row].max_chars, param_rules[row].kind);
}

static bool judge_missing_param(struct judge *j, struct place place, const struct param_walk *walk, enum param param)
{
	struct slice name = param_rules[param].name;

	if (param == PARAM_SESSION_ID)
		return finding(j, TIER_W, CODE_VALUE_REQUIRED, place,
		               "session_id is missing: the event joins no session, and activity may not be fully "
		               "reflected in Realtime");
	if (param == PARAM_ENGAGEMENT_TIME_MSEC)
		return finding(j, TIER_W, CODE_VALUE_REQUIRED, place,
		               "engagement_time_msec is missing: without a positive one activity may not be fully "
		               "reflected in Realtime");
	if (param == PARAM_CURRENCY)
		return finding(j, TIER_W, CODE_VALUE_REQUIRED, place,
		               "value needs a currency beside it, such as \"EUR\": GA4 needs both to count revenue");
	return finding(j, TIER_W, CODE_VALUE_REQUIRED, place,
	               "%s needs %.*s, by GA4's event reference: without it its reports may lack the event",
	               walk->rule->name.p, SLICE_ARG(name));
}

static uint32_t missing_params(const struct judged_event *e, const struct param_walk *walk)
{
	static const uint32_t session = UINT32_C(1) << PARAM_SESSION_ID, value = UINT32_C(1) << PARAM_VALUE;
	uint32_t wanted = session | UINT32_C(1) << PARAM_ENGAGEMENT_TIME_MSEC;

	if (walk->rule)
		wanted |= walk->rule->required;
	if ((walk->seen & value) && !(walk->rule && walk->rule->any_currency))
		wanted |= UINT32_C(1) << PARAM_CURRENCY;
	return wanted & ~walk->seen & ~(e->add_session ? session : 0);
}

/* In the order of param_rules. node: params, or the event when it has none. */
static bool judge_missing_params(struct judge *j, const struct judged_event *e, const struct param_walk *walk)
{
	static const enum param order[] = {PARAM_SESSION_ID,
	                                   PARAM_ENGAGEMENT_TIME_MSEC,
	                                   PARAM_CURRENCY,
	                                   PARAM_ITEMS,
	                                   PARAM_TRANSACTION_ID,
	                                   PARAM_SCORE,
	                                   PARAM_SEARCH_TERM,
	                                   PARAM_VALUE,
	                                   PARAM_VIRTUAL_CURRENCY_NAME,
	                                   PARAM_ACHIEVEMENT_ID};
	uint32_t missing = missing_params(e, walk);

	if (!missing)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		char path[64] = "params.";
		struct place place;

		if (!(missing & UINT32_C(1) << order[i]))
			continue;
		memcpy(path + 7, param_rules[order[i]].name.p, param_rules[order[i]].name.n + 1);
		place = e->params ? MISSING(e->params, path + 7) : MISSING(e->node, path);
		if (!judge_missing_param(j, place, walk, order[i]))
			return false;
	}
	return true;
}

static struct param_walk walk_begin(const struct judge *j, struct judged_event *e)
{
	struct param_walk walk = {.rule = rule_of(j, e), .event = e};

	walk.purchase = walk.rule && slice_eq(walk.rule->name, SLICE_LIT("purchase"));
	return walk;
}

static bool read_empty_params(struct judge *j, const struct json_node *params)
{
	read_empty_object(params);
	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(params),
	               "params is an empty array and was taken for the empty object, {} (in PHP: new stdClass)");
}

/* The session cookie's id is for events without one. */
static bool wants_session(const struct judge *j, const struct json_node *params)
{
	const struct json_node *own;

	if (j->session_id.n == 0 && j->mode != VALIDATION_OFF)
		return false;
	own = json_member(j->doc, params, "session_id");
	if (own && j->mode == VALIDATION_OFF && read_session_cookie(j, own))
		json_editable(params)->edited = true;
	return j->session_id.n > 0 && (!own || (own->type == JSON_NULL && j->mode != VALIDATION_OFF));
}

static bool judge_param_count(struct judge *j, const struct judged_event *e)
{
	uint32_t max = j->limits_360 ? LIMIT_PARAMS_360 : LIMIT_PARAMS, count = e->params->count + e->add_session;

	if (count <= max)
		return true;
	for (const struct json_node *m = json_first(j->doc, e->params); m; m = json_next(j->doc, e->params, m))
		count -= m->type == JSON_NULL; /* left out */
	return count <= max || finding(j, TIER_W, CODE_EXCEEDED_MAX_ENTITIES, AT(e->params),
	                               "%u parameters%s; GA4 takes %u at most and may ignore the rest", count,
	                               e->add_session ? " with the cookie's session_id" : "", max);
}

bool judge_event_params(struct judge *j, struct judged_event *e)
{
	const struct json_node *params = e->params;
	struct param_walk walk;

	if (params->type == JSON_ARRAY && params->count == 0 && !read_empty_params(j, params))
		return false;
	if (params->type != JSON_OBJECT)
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(params),
		               "params must be an object: {\"name\": value}, not a list or a bare value");
	e->add_session = wants_session(j, params);
	if (j->mode == VALIDATION_OFF)
		return true;
	if (!judge_param_count(j, e))
		return false;
	walk = walk_begin(j, e);
	for (const struct json_node *m = json_first(j->doc, params); m; m = json_next(j->doc, params, m)) {
		if (!judge_param(j, m, &walk))
			return false;
		if (m->edited)
			json_editable(params)->edited = true;
	}
	return judge_missing_params(j, e, &walk);
}

/* ---- the event ---- */

bool judge_event_end(struct judge *j, struct judged_event *e)
{
	struct param_walk walk;

	if (!e->name)
		return finding(j, TIER_D, CODE_VALUE_REQUIRED, MISSING(e->node, "name"), "the event has no name");
	if (e->params)
		return true;
	e->add_session = j->session_id.n > 0;
	if (j->mode == VALIDATION_OFF)
		return true;
	walk = walk_begin(j, e);
	return judge_missing_params(j, e, &walk);
}

static bool judge_stranger(struct judge *j, const struct json_node *node)
{
	static const char *const known[] = {"name", "params", "timestamp_micros"};
	char name[QUOTED_MAX], hint[QUOTED_MAX];
	struct slice key = json_key(j->doc, node);

	return finding_unknown(j, node, "an event has name, params and timestamp_micros; GA4 knows no %s in it%s",
	                       quoted(name, key),
	                       name_index_find(&j->rules->param, key) >= 0
	                               ? ": it belongs into params"
	                               : did_you_mean_one_of(hint, known, ARRAY_LEN(known), key));
}

static bool judge_event_member(struct judge *j, struct judged_event *e, const struct json_node *node)
{
	if (node->twin)
		return finding_twice(j, node);
	if (node == e->name)
		return judge_event_name(j, node);
	if (node == e->params)
		return judge_event_params(j, e);
	if (node == e->timestamp)
		return judge_event_timestamp(j, node, &e->time_us);
	return judge_stranger(j, node);
}

/* What params must hold depends on the name, wherever it stands. */
static void find_event_members(struct judge *j, struct judged_event *e)
{
	const struct json_node **const found[EVENT_COUNT] = {
	        [EVENT_NAME] = &e->name, [EVENT_PARAMS] = &e->params, [EVENT_TIMESTAMP] = &e->timestamp};

	for (const struct json_node *m = json_first(j->doc, e->node); m; m = json_next(j->doc, e->node, m)) {
		int member;

		if (m->type == JSON_NULL) {
			json_drop(e->node, m);
			continue;
		}
		member = read_member(j, &j->rules->event_member, m);
		if (member < 0)
			continue;
		json_editable(m)->twin = *found[member] != NULL;
		if (!m->twin)
			*found[member] = m;
	}
}

bool judge_event(struct judge *j, struct judged_event *e)
{
	find_event_members(j, e);
	for (const struct json_node *m = json_first(j->doc, e->node); m; m = json_next(j->doc, e->node, m))
		if (!judge_event_member(j, e, m))
			return false;
	return judge_event_end(j, e);
}
