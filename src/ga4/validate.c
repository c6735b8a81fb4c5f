/* validate.c - is a parsed line what GA4 takes? The request's own members, and the walk over all of them */
#include "ga4/validate.h"

#include <inttypes.h>

#include "base/parse.h"
#include "ga4/cookie.h"
#include "ga4/violation.h"

static bool is_string(const struct json_node *node)
{
	return node->type == JSON_STRING;
}

/* ---- ids ---- */

/* "<number>.<number>", as Google's tag makes them. */
static bool is_tag_client_id(struct slice id)
{
	size_t dots = 0, run = 0;

	for (size_t i = 0; i < id.n; i++) {
		if (id.p[i] >= '0' && id.p[i] <= '9') {
			run++;
		} else if (id.p[i] == '.' && run > 0) {
			dots++;
			run = 0;
		} else {
			return false;
		}
	}
	return dots == 1 && run > 0;
}

static bool is_zeros(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] != '0' && id.p[i] != '.')
			return false;
	return true;
}

static bool judge_client_id_form(struct judge *j, const struct json_node *node, struct slice id)
{
	if (is_zeros(id))
		return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
		               "client_id is a placeholder of zeros: all events with it become one user; send the "
		               "browser's, from its _ga cookie");
	if (is_tag_client_id(id))
		return true;
	if (is_mail_address(id))
		return finding_mail(j, node);
	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
	               "client_id is not <number>.<number> as in the _ga cookie: the event joins a browser's session "
	               "only where the site's own tag uses this very id");
}

static bool judge_client_id(struct judge *j, const struct json_node *node)
{
	struct slice id = json_value(j->doc, node);

	if (j->type == STREAM_APP) {
		return finding(
		        j, TIER_E, CODE_VALUE_INVALID, AT(node),
		        "client_id belongs to web streams; this is an app stream: send app_instance_id instead");
	}
	if (!is_string(node))
		return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node),
		               "client_id must be a string such as \"123456.7654321\", with quotes");
	if (id.n == 0)
		return finding(j, TIER_D, CODE_VALUE_REQUIRED, AT(node),
		               "client_id is empty: GA4 takes no event without one; send the browser's, from its _ga "
		               "cookie");
	cookie_client_id(id, &id);
	j->client = id;
	return judge_client_id_form(j, node, id);
}

static bool is_hex(struct slice s, size_t digits)
{
	if (s.n != digits)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
			return false;
	}
	return true;
}

static bool judge_app_instance_id(struct judge *j, const struct json_node *node)
{
	struct slice id = json_value(j->doc, node);

	if (j->type == STREAM_WEB)
		return finding(
		        j, TIER_E, CODE_VALUE_INVALID, AT(node),
		        "app_instance_id belongs to app streams; this is a web stream: send client_id instead");
	if (!is_string(node))
		return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node), "app_instance_id must be a string");
	if (id.n == 0)
		return finding(
		        j, TIER_D, CODE_VALUE_REQUIRED, AT(node),
		        "app_instance_id is empty: GA4 takes no event without one; the app's Firebase SDK knows it");
	j->client = id;
	if (is_hex(id, LIMIT_APP_INSTANCE_DIGITS))
		return true;
	return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "app_instance_id must be %d hexadecimal digits",
	               LIMIT_APP_INSTANCE_DIGITS);
}

/* Strict mode refuses it; otherwise it is as good as absent. */
static bool leave_out_user_id(struct judge *j, const struct json_node *node)
{
	json_drop(&j->doc->nodes[0], node);
	j->root[ROOT_USER_ID] = NULL;
	return finding(
	        j, TIER_W, CODE_VALUE_OUT_OF_BOUNDS, AT(node),
	        "user_id is empty and was left out: send 1 to %d characters, or nothing where no user is known",
	        LIMIT_USER_ID_CHARS);
}

static bool judge_user_id(struct judge *j, const struct json_node *node)
{
	struct slice id = json_value(j->doc, node);

	if (!is_string(node))
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "user_id must be a string: put it in quotes");
	if (id.n == 0)
		return leave_out_user_id(j, node);
	if (longer_than(id, LIMIT_USER_ID_CHARS))
		return finding(j, TIER_E, CODE_VALUE_OUT_OF_BOUNDS, AT(node), "user_id has more than %d characters",
		               LIMIT_USER_ID_CHARS);
	return !is_mail_address(id) || finding_mail(j, node);
}

/* ---- the rest of the request ---- */

static bool judge_payload_timestamp(struct judge *j, const struct json_node *node)
{
	/* An Event line's is its event's own. */
	if (j->shape == SHAPE_EVENT)
		return judge_event_timestamp(j, node, &j->events[0].time_us);
	return judge_event_timestamp(j, node, &j->payload_us);
}

/* "true" and "false" are taken for what they say. */
static void read_bool(const struct judge *j, const struct json_node *node)
{
	struct json_node *n = json_editable(node);
	struct slice value = json_value(j->doc, node);
	bool truth = slice_eq(value, SLICE_LIT("true"));

	if (!is_string(node) || !(truth || slice_eq(value, SLICE_LIT("false"))))
		return;
	n->type = JSON_BOOL;
	n->truth = truth;
}

static bool judge_non_personalized_ads(struct judge *j, const struct json_node *node)
{
	read_bool(j, node);
	if (node->type != JSON_BOOL)
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "non_personalized_ads must be true or false");
	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
	               "non_personalized_ads is deprecated: use consent with ad_personalization");
}

static bool judge_override(struct judge *j, const struct json_node *node, enum root_member beside)
{
	struct slice name = json_key(j->doc, node);

	if (!is_string(node))
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node), "%.*s must be a string", SLICE_ARG(name));
	if (!j->root[beside])
		return true;
	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node), "GA4 ignores %.*s beside %s: send one of the two",
	               SLICE_ARG(name), root_rules[beside].name.p);
}

static bool judge_ip_override(struct judge *j, const struct json_node *node)
{
	return judge_override(j, node, ROOT_USER_LOCATION);
}

static bool judge_user_agent(struct judge *j, const struct json_node *node)
{
	return judge_override(j, node, ROOT_DEVICE);
}

static bool judge_validation_behavior(struct judge *j, const struct json_node *node)
{
	struct slice value = json_value(j->doc, node);

	if (is_string(node) &&
	    (slice_eq(value, SLICE_LIT("RELAXED")) || slice_eq(value, SLICE_LIT("ENFORCE_RECOMMENDATIONS"))))
		return true;
	return finding(
	        j, TIER_E, CODE_VALUE_INVALID, AT(node),
	        "validation_behavior must be \"RELAXED\" or \"ENFORCE_RECOMMENDATIONS\"; leave it out in production");
}

/* ---- the relay's own members ---- */

static bool judge_dedup_key(struct judge *j, const struct json_node *node)
{
	struct slice key = json_value(j->doc, node);

	if (!is_string(node))
		return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node),
		               "dedup_key must be a string: put it in quotes");
	if (key.n == 0 || key.n > LIMIT_DEDUP_KEY_BYTES)
		return finding(j, TIER_D, CODE_VALUE_OUT_OF_BOUNDS, AT(node),
		               "dedup_key must have 1 to %d bytes; it has %zu", LIMIT_DEDUP_KEY_BYTES, key.n);
	j->dedup_key = key;
	return true;
}

static bool judge_session_cookie(struct judge *j, const struct json_node *node)
{
	/* judge_begin() has read it: events before it may need it. A purchase is worth more than its session. */
	if (j->session_id.n > 0)
		return true;
	return finding(j, TIER_W, CODE_VALUE_INVALID, AT(node),
	               "session_cookie is no _ga_<container> cookie (GS1.1.<session>.… or GS2.1.s<session>$…): no "
	               "session_id "
	               "was taken from it");
}

static bool judge_stream(struct judge *j, const struct json_node *node)
{
	/* Elsewhere the caller has looked it up before anything was judged. */
	if (!j->from_door)
		return true;
	return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node),
	               "the stream is chosen by measurement_id or firebase_app_id in the URL: leave `stream` out");
}

/* ---- shapes ---- */

static bool judge_unknown(struct judge *j, const struct json_node *node)
{
	char name[QUOTED_MAX], hint[QUOTED_MAX];
	struct slice key = json_key(j->doc, node);

	if (tier_is_off(j, TIER_E))
		return true;
	if (node == j->root[ROOT_PARAMS])
		return finding_unknown(j, node,
		                       "GA4 knows no member 'params' here: it stands in an event, or beside name");
	if (name_index_find(&j->rules->param, key) >= 0)
		return finding(j, TIER_E, CODE_VALUE_INVALID, AT(node),
		               "%s is an event parameter: it belongs into params%s", quoted(name, key),
		               j->shape == SHAPE_PAYLOAD ? " of an event" : "");
	return finding_unknown(j, node, "GA4 knows no member %s here and would refuse the whole request%s",
	                       quoted(name, key), did_you_mean(hint, &j->rules->root, key));
}

static bool judge_event_object(struct judge *j, const struct json_node *node)
{
	struct judged_event *e = &j->events[j->n_events];

	*e = (struct judged_event){.node = node};
	if (node->type != JSON_OBJECT)
		return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node), "an event must be an object with a name");
	j->n_events++;
	return judge_event(j, e);
}

static bool judge_events(struct judge *j, const struct json_node *node)
{
	if (node->type == JSON_OBJECT)
		return judge_event_object(j, node); /* one event stands for a list of one */
	if (node->type != JSON_ARRAY)
		return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node), "events must be an array of objects");
	if (node->count > LIMIT_EVENTS_PER_LINE)
		return finding(j, TIER_D, CODE_EXCEEDED_MAX_ENTITIES, AT(node),
		               "%" PRIu32 " events in one line; %d at most: write several lines", node->count,
		               LIMIT_EVENTS_PER_LINE);
	for (const struct json_node *m = json_first(j->doc, node); m; m = json_next(j->doc, node, m))
		if (!judge_event_object(j, m))
			return false;
	return true;
}

static bool judge_both(struct judge *j, const struct json_node *node)
{
	const struct json_node *name = j->root[ROOT_NAME], *events = j->root[ROOT_EVENTS];

	if (node != (name > events ? name : events))
		return true; /* the first of the two */
	return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node),
	               "a line has either name (one event) or events (a payload), not both");
}

/* name, params, events: what they mean depends on the line's shape. */
static bool judge_shape_member(struct judge *j, enum root_member member, const struct json_node *node)
{
	if (j->shape == SHAPE_BOTH)
		return member == ROOT_PARAMS || judge_both(j, node);
	if (member == ROOT_EVENTS)
		return judge_events(j, node);
	if (j->from_door && member == ROOT_NAME)
		return finding(j, TIER_D, CODE_VALUE_INVALID, AT(node),
		               "a payload has no name: events stand in events[]");
	if (j->shape == SHAPE_PAYLOAD)
		return judge_unknown(j, node);
	if (j->shape == SHAPE_NONE)
		return true; /* told at the end: the name is missing */
	return member == ROOT_NAME ? judge_event_name(j, node) : judge_event_params(j, &j->events[0]);
}

static bool judge_member_events(struct judge *j, const struct json_node *node)
{
	return judge_shape_member(j, ROOT_EVENTS, node);
}

static bool judge_member_name(struct judge *j, const struct json_node *node)
{
	return judge_shape_member(j, ROOT_NAME, node);
}

static bool judge_member_params(struct judge *j, const struct json_node *node)
{
	return judge_shape_member(j, ROOT_PARAMS, node);
}

static bool (*const judge_root_member[ROOT_COUNT])(struct judge *, const struct json_node *) = {
        [ROOT_CLIENT_ID] = judge_client_id,
        [ROOT_APP_INSTANCE_ID] = judge_app_instance_id,
        [ROOT_USER_ID] = judge_user_id,
        [ROOT_TIMESTAMP_MICROS] = judge_payload_timestamp,
        [ROOT_USER_PROPERTIES] = judge_user_properties,
        [ROOT_USER_DATA] = judge_user_data,
        [ROOT_CONSENT] = judge_consent,
        [ROOT_NON_PERSONALIZED_ADS] = judge_non_personalized_ads,
        [ROOT_USER_LOCATION] = judge_user_location,
        [ROOT_IP_OVERRIDE] = judge_ip_override,
        [ROOT_DEVICE] = judge_device,
        [ROOT_USER_AGENT] = judge_user_agent,
        [ROOT_VALIDATION_BEHAVIOR] = judge_validation_behavior,
        [ROOT_EVENTS] = judge_member_events,
        [ROOT_NAME] = judge_member_name,
        [ROOT_PARAMS] = judge_member_params,
        [ROOT_STREAM] = judge_stream,
        [ROOT_DEDUP_KEY] = judge_dedup_key,
        [ROOT_SESSION_COOKIE] = judge_session_cookie,
};

/* ---- what only the end of the line shows ---- */

static bool judge_missing_id(struct judge *j)
{
	const struct json_node *root = &j->doc->nodes[0];

	if (j->type == STREAM_WEB && !j->root[ROOT_CLIENT_ID])
		return finding(j, TIER_D, CODE_VALUE_REQUIRED, MISSING(root, "client_id"),
		               "client_id is missing: GA4 takes no event without one; send the browser's, from its "
		               "_ga cookie");
	if (j->type == STREAM_APP && !j->root[ROOT_APP_INSTANCE_ID])
		return finding(j, TIER_D, CODE_VALUE_REQUIRED, MISSING(root, "app_instance_id"),
		               "app_instance_id is missing: an app stream's events need it; the app's Firebase SDK "
		               "knows it");
	return true;
}

static bool is_filled(const struct json_node *node)
{
	return node && node->type == JSON_OBJECT && node->count > 0;
}

static bool judge_missing_events(struct judge *j)
{
	const struct json_node *root = &j->doc->nodes[0];

	if (j->shape == SHAPE_NONE)
		return finding(j, TIER_D, CODE_VALUE_REQUIRED, MISSING(root, "name"),
		               "there is no event: a line needs a name (one event) or events (a payload)");
	if (j->n_events > 0 || is_filled(j->root[ROOT_USER_PROPERTIES]) || is_filled(j->root[ROOT_USER_DATA]))
		return true;
	return finding(j, TIER_D, CODE_VALUE_REQUIRED, MISSING(root, "events"),
	               "the payload has no events, and neither user_properties nor user_data with a hash to send "
	               "without them");
}

static bool judge_end(struct judge *j)
{
	const struct json_node *root = &j->doc->nodes[0];

	if (!judge_missing_id(j) || !judge_missing_events(j))
		return false;
	if (j->root[ROOT_USER_DATA] && !j->root[ROOT_USER_ID] &&
	    !finding(j, TIER_W, CODE_VALUE_REQUIRED, MISSING(root, "user_id"),
	             "user_data without user_id beside it: Google recommends sending both"))
		return false;
	return j->shape != SHAPE_EVENT || judge_event_end(j, &j->events[0]);
}

/* ---- the walk ---- */

/* An exponent, or hundreds of digits, may be too much for a double; anything else is not. */
static bool is_finite(struct slice number)
{
	bool exponent = false;
	double v;

	if (number.n >= 300)
		return parse_json_double(number, &v) == 0;
	for (size_t i = 0; i < number.n; i++)
		exponent |= (number.p[i] | 0x20) == 'e';
	return !exponent || parse_json_double(number, &v) == 0;
}

static uint32_t find_bad_number(const struct json_doc *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		if (d->nodes[i].type == JSON_NUMBER && !is_finite(json_value(d, &d->nodes[i])))
			return i;
	return d->n;
}

static enum line_shape shape_of(const struct judge *j)
{
	bool events = j->root[ROOT_EVENTS] != NULL, name = j->root[ROOT_NAME] && !j->from_door;

	if (events)
		return name ? SHAPE_BOTH : SHAPE_PAYLOAD;
	if (name)
		return SHAPE_EVENT;
	if (j->root[ROOT_USER_PROPERTIES] || j->root[ROOT_USER_DATA] || j->from_door)
		return SHAPE_PAYLOAD;
	return SHAPE_NONE;
}

void judge_scan(struct judge *j)
{
	const struct json_node *root = &j->doc->nodes[0];
	size_t at = 0;

	memset(j->root, 0, sizeof(j->root));
	for (const struct json_node *m = json_first(j->doc, root); m; m = json_next(j->doc, root, m)) {
		int member;

		if (m->type == JSON_NULL) {
			json_drop(root, m);
			continue;
		}
		member = read_member(j, &j->rules->root, m);
		if (at < JUDGE_MEMBERS)
			j->members[at++] = (int8_t)member;
		if (member < 0)
			continue;
		json_editable(m)->twin = j->root[member] != NULL;
		j->root[member] = m;
	}
}

static void judge_begin(struct judge *j)
{
	const struct json_node *cookie = j->root[ROOT_SESSION_COOKIE];

	j->shape = shape_of(j);
	j->client = j->session_id = j->dedup_key = (struct slice){NULL, 0};
	j->payload_us = 0;
	j->n_warnings = 0;
	memset(j->warning_counts, 0, sizeof(j->warning_counts));
	j->bad_number = find_bad_number(j->doc);
	if (cookie && is_string(cookie))
		cookie_session_id(json_value(j->doc, cookie), &j->session_id);
	j->n_events = j->shape == SHAPE_EVENT;
	if (j->shape == SHAPE_EVENT)
		j->events[0] = (struct judged_event){.node = &j->doc->nodes[0],
		                                     .name = j->root[ROOT_NAME],
		                                     .params = j->root[ROOT_PARAMS],
		                                     .timestamp = j->root[ROOT_TIMESTAMP_MICROS]};
}

/* An event without a time has the payload's, else it happened now. */
static void settle_times(struct judge *j)
{
	int64_t inherited = j->payload_us ? j->payload_us : j->wall_us;

	for (uint32_t i = 0; i < j->n_events; i++)
		if (j->events[i].time_us == 0)
			j->events[i].time_us = inherited;
}

bool judge_line(struct judge *j)
{
	const struct json_node *root = &j->doc->nodes[0];
	size_t at = 0;

	judge_begin(j);
	for (const struct json_node *m = json_first(j->doc, root); m; m = json_next(j->doc, root, m)) {
		int member = at < JUDGE_MEMBERS ? j->members[at++]
		                                : name_index_find(&j->rules->root, json_name(j->doc, m));

		if (m->twin)
			return finding_twice(j, m);
		if (!(member < 0 ? judge_unknown(j, m) : judge_root_member[member](j, m)))
			return false;
	}
	if (!judge_end(j))
		return false;
	if (j->bad_number < j->doc->n)
		return finding(j, TIER_D, CODE_VALUE_INVALID, AT(&j->doc->nodes[j->bad_number]), "no finite number");
	settle_times(j);
	return true;
}
