/* rules.c - what GA4 knows and wants, as tables
 *
 * REF: Google's Measurement Protocol reference. SEND: its "Send events". EVT: its event reference. LIM: support
 * answer 9267744. UID: "User-provided data with User-ID". TID: support answer 12313109. */
#include "ga4/rules.h"

#include "base/macros.h"
#include "ga4/limits.h"

#define N(s)                                                                                                         \
	{                                                                                                            \
		(s), sizeof(s) - 1                                                                                   \
	}

/* REF, "Payload"; the last six are ours or an Event line's. */
const struct root_rule root_rules[ROOT_COUNT] = {
        [ROOT_CLIENT_ID] = {N("client_id"), true},
        [ROOT_APP_INSTANCE_ID] = {N("app_instance_id"), true},
        [ROOT_USER_ID] = {N("user_id"), true},
        [ROOT_TIMESTAMP_MICROS] = {N("timestamp_micros"), false},
        [ROOT_USER_PROPERTIES] = {N("user_properties"), true},
        [ROOT_USER_DATA] = {N("user_data"), true},
        [ROOT_CONSENT] = {N("consent"), true},
        [ROOT_NON_PERSONALIZED_ADS] = {N("non_personalized_ads"), true},
        [ROOT_USER_LOCATION] = {N("user_location"), true},
        [ROOT_IP_OVERRIDE] = {N("ip_override"), true},
        [ROOT_DEVICE] = {N("device"), true},
        [ROOT_USER_AGENT] = {N("user_agent"), true},
        [ROOT_VALIDATION_BEHAVIOR] = {N("validation_behavior"), true},
        [ROOT_EVENTS] = {N("events"), false},
        [ROOT_NAME] = {N("name"), false},
        [ROOT_PARAMS] = {N("params"), false},
        [ROOT_STREAM] = {N("stream"), false},
        [ROOT_DEDUP_KEY] = {N("dedup_key"), false},
        [ROOT_SESSION_COOKIE] = {N("session_cookie"), false},
};

/* Kinds: EVT, VAL ("debug_mode"), REF ("session_id"). Lengths: LIM. */
const struct param_rule param_rules[PARAM_COUNT] = {
        [PARAM_ITEMS] = {N("items"), KIND_ITEMS, 0},
        [PARAM_TRANSACTION_ID] = {N("transaction_id"), KIND_ANY, 0},
        [PARAM_SCORE] = {N("score"), KIND_NUMBER, 0},
        [PARAM_SEARCH_TERM] = {N("search_term"), KIND_ANY, 0},
        [PARAM_VALUE] = {N("value"), KIND_NUMBER, 0},
        [PARAM_VIRTUAL_CURRENCY_NAME] = {N("virtual_currency_name"), KIND_ANY, 0},
        [PARAM_ACHIEVEMENT_ID] = {N("achievement_id"), KIND_ANY, 0},
        [PARAM_CURRENCY] = {N("currency"), KIND_CURRENCY, 0},
        [PARAM_SESSION_ID] = {N("session_id"), KIND_SESSION_ID, 0},
        [PARAM_ENGAGEMENT_TIME_MSEC] = {N("engagement_time_msec"), KIND_ENGAGEMENT, 0},
        [PARAM_DEBUG_MODE] = {N("debug_mode"), KIND_DEBUG, 0},
        [PARAM_PRICE] = {N("price"), KIND_NUMBER, 0},
        [PARAM_QUANTITY] = {N("quantity"), KIND_NUMBER, 0},
        [PARAM_TAX] = {N("tax"), KIND_NUMBER, 0},
        [PARAM_SHIPPING] = {N("shipping"), KIND_NUMBER, 0},
        [PARAM_DISCOUNT] = {N("discount"), KIND_NUMBER, 0},
        [PARAM_LEVEL] = {N("level"), KIND_NUMBER, 0},
        [PARAM_INDEX] = {N("index"), KIND_NUMBER, 0},
        [PARAM_PAGE_TITLE] = {N("page_title"), KIND_ANY, LIMIT_PAGE_TITLE_CHARS},
        [PARAM_PAGE_REFERRER] = {N("page_referrer"), KIND_ANY, LIMIT_PAGE_REFERRER_CHARS},
        [PARAM_PAGE_LOCATION] = {N("page_location"), KIND_ANY, LIMIT_PAGE_LOCATION_CHARS},
};

#define BIT(param) (UINT32_C(1) << PARAM_##param)
#define RESERVED(s)                                                                                                  \
	{                                                                                                            \
		N(s), RESERVED_ALWAYS, 0, false                                                                      \
	}
#define ON_WEB(s)                                                                                                    \
	{                                                                                                            \
		N(s), RESERVED_ON_WEB, 0, false                                                                      \
	}
#define NEEDS(s, bits)                                                                                               \
	{                                                                                                            \
		N(s), RESERVED_NOT, (bits), false                                                                    \
	}

const struct event_rule event_rules[] = {
        /* REF, "Reserved event names" */
        RESERVED("ad_activeview"),
        RESERVED("ad_click"),
        RESERVED("ad_exposure"),
        RESERVED("ad_query"),
        RESERVED("ad_reward"),
        RESERVED("adunit_exposure"),
        RESERVED("app_clear_data"),
        RESERVED("app_exception"),
        RESERVED("app_install"),
        RESERVED("app_remove"),
        RESERVED("app_store_refund"),
        RESERVED("app_update"),
        RESERVED("app_upgrade"),
        RESERVED("dynamic_link_app_open"),
        RESERVED("dynamic_link_app_update"),
        RESERVED("dynamic_link_first_open"),
        RESERVED("error"),
        RESERVED("firebase_campaign"),
        RESERVED("firebase_in_app_message_action"),
        RESERVED("firebase_in_app_message_dismiss"),
        RESERVED("firebase_in_app_message_impression"),
        RESERVED("first_open"),
        RESERVED("first_visit"),
        RESERVED("notification_dismiss"),
        RESERVED("notification_foreground"),
        RESERVED("notification_open"),
        RESERVED("notification_receive"),
        RESERVED("notification_send"),
        RESERVED("os_update"),
        RESERVED("session_start"),
        RESERVED("user_engagement"),
        /* REF, "Reserved event names", web streams */
        ON_WEB("ad_impression"),
        ON_WEB("in_app_purchase"),
        ON_WEB("screen_view"),
        /* EVT: parameters marked as required */
        NEEDS("add_payment_info", BIT(ITEMS)),
        NEEDS("add_shipping_info", BIT(ITEMS)),
        NEEDS("add_to_cart", BIT(ITEMS)),
        NEEDS("add_to_wishlist", BIT(ITEMS)),
        NEEDS("begin_checkout", BIT(ITEMS)),
        NEEDS("purchase", BIT(ITEMS) | BIT(TRANSACTION_ID)),
        NEEDS("refund", BIT(TRANSACTION_ID)),
        NEEDS("remove_from_cart", BIT(ITEMS)),
        NEEDS("select_item", BIT(ITEMS)),
        NEEDS("view_cart", BIT(ITEMS)),
        NEEDS("view_item", BIT(ITEMS)),
        NEEDS("view_item_list", BIT(ITEMS)),
        NEEDS("post_score", BIT(SCORE)),
        NEEDS("search", BIT(SEARCH_TERM)),
        NEEDS("unlock_achievement", BIT(ACHIEVEMENT_ID)),
        /* EVT: `value` counts a virtual currency here */
        {N("spend_virtual_currency"), RESERVED_NOT, BIT(VALUE) | BIT(VIRTUAL_CURRENCY_NAME), true},
        {N("earn_virtual_currency"), RESERVED_NOT, 0, true},
};

/* EVT, "Item parameters"; whatever else an item has is a custom parameter. */
const struct item_rule item_rules[] = {
        {N("item_id"), KIND_ANY, true},         {N("item_name"), KIND_ANY, true},
        {N("affiliation"), KIND_ANY, false},    {N("coupon"), KIND_ANY, false},
        {N("discount"), KIND_NUMBER, false},    {N("index"), KIND_NUMBER, false},
        {N("item_brand"), KIND_ANY, false},     {N("item_category"), KIND_ANY, false},
        {N("item_category2"), KIND_ANY, false}, {N("item_category3"), KIND_ANY, false},
        {N("item_category4"), KIND_ANY, false}, {N("item_category5"), KIND_ANY, false},
        {N("item_list_id"), KIND_ANY, false},   {N("item_list_name"), KIND_ANY, false},
        {N("item_variant"), KIND_ANY, false},   {N("location_id"), KIND_ANY, false},
        {N("price"), KIND_NUMBER, false},       {N("quantity"), KIND_NUMBER, false},
        {N("creative_name"), KIND_ANY, false},  {N("creative_slot"), KIND_ANY, false},
        {N("promotion_id"), KIND_ANY, false},   {N("promotion_name"), KIND_ANY, false},
        {N("currency"), KIND_CURRENCY, false},
};

/* REF, "user_location" */
const struct member_rule location_rules[] = {
        {N("city"), MEMBER_STRING, 0},         {N("region_id"), MEMBER_STRING, 0},
        {N("country_id"), MEMBER_STRING, 0},   {N("subcontinent_id"), MEMBER_STRING, 0},
        {N("continent_id"), MEMBER_STRING, 0},
};

/* REF, "device" */
const struct member_rule device_rules[] = {
        {N("category"), MEMBER_STRING, 0},
        {N("language"), MEMBER_STRING, 0},
        {N("screen_resolution"), MEMBER_STRING, 0},
        {N("operating_system"), MEMBER_STRING, 0},
        {N("operating_system_version"), MEMBER_STRING, 0},
        {N("model"), MEMBER_STRING, 0},
        {N("brand"), MEMBER_STRING, 0},
        {N("browser"), MEMBER_STRING, 0},
        {N("browser_version"), MEMBER_STRING, 0},
};

/* REF, "consent" */
const struct member_rule consent_rules[] = {
        {N("ad_user_data"), MEMBER_CONSENT, 0},
        {N("ad_personalization"), MEMBER_CONSENT, 0},
};

/* UID: each may also be a single value instead of an array */
const struct member_rule user_data_rules[] = {
        {N("sha256_email_address"), MEMBER_HASHES, LIMIT_USER_DATA_EMAILS},
        {N("sha256_phone_number"), MEMBER_HASHES, LIMIT_USER_DATA_PHONES},
        {N("address"), MEMBER_ADDRESSES, LIMIT_USER_DATA_ADDRESSES},
};

/* UID, "address" */
const struct member_rule address_rules[] = {
        {N("sha256_first_name"), MEMBER_HASH, 0}, {N("sha256_last_name"), MEMBER_HASH, 0},
        {N("sha256_street"), MEMBER_HASH, 0},     {N("city"), MEMBER_STRING, 0},
        {N("region"), MEMBER_STRING, 0},          {N("postal_code"), MEMBER_STRING, 0},
        {N("country"), MEMBER_STRING, 0},
};

const struct slice property_members[PROPERTY_COUNT] = {
        [PROPERTY_VALUE] = N("value"),
        [PROPERTY_TIMESTAMP] = N("timestamp_micros"),
};

const struct slice event_members[EVENT_COUNT] = {
        [EVENT_NAME] = N("name"),
        [EVENT_PARAMS] = N("params"),
        [EVENT_TIMESTAMP] = N("timestamp_micros"),
};

const struct slice camel_names[] = {
        N("client_id"),
        N("app_instance_id"),
        N("user_id"),
        N("timestamp_micros"),
        N("user_properties"),
        N("user_data"),
        N("user_location"),
        N("non_personalized_ads"),
        N("ip_override"),
        N("user_agent"),
        N("validation_behavior"),
        N("region_id"),
        N("country_id"),
        N("subcontinent_id"),
        N("continent_id"),
        N("screen_resolution"),
        N("operating_system"),
        N("operating_system_version"),
        N("browser_version"),
        N("ad_user_data"),
        N("ad_personalization"),
        N("sha256_email_address"),
        N("sha256_phone_number"),
        N("sha256_first_name"),
        N("sha256_last_name"),
        N("sha256_street"),
        N("postal_code"),
};

int rules_camel_name(struct slice snake)
{
	for (size_t i = 0; i < ARRAY_LEN(camel_names); i++)
		if (slice_eq(camel_names[i], snake))
			return (int)i;
	return -1;
}

/* EVT and the automatically collected events, where event_rules has no row of their own. */
static const struct slice other_events[] = {
        N("app_store_subscription_cancel"),
        N("app_store_subscription_convert"),
        N("app_store_subscription_renew"),
        N("campaign_details"),
        N("click"),
        N("close_convert_lead"),
        N("close_unconvert_lead"),
        N("disqualify_lead"),
        N("file_download"),
        N("form_start"),
        N("form_submit"),
        N("generate_lead"),
        N("join_group"),
        N("level_end"),
        N("level_start"),
        N("level_up"),
        N("login"),
        N("page_view"),
        N("qualify_lead"),
        N("scroll"),
        N("select_content"),
        N("select_promotion"),
        N("share"),
        N("sign_up"),
        N("tutorial_begin"),
        N("tutorial_complete"),
        N("video_complete"),
        N("video_progress"),
        N("video_start"),
        N("view_promotion"),
        N("view_search_results"),
        N("working_lead"),
};

const char *rules_event_by_case(const struct rules *r, struct slice name)
{
	char buf[LIMIT_EVENT_NAME_CHARS];
	struct slice lower = {buf, name.n};
	bool capital = false;
	int row;

	if (name.n > sizeof(buf))
		return NULL;
	for (size_t i = 0; i < name.n; i++) {
		bool upper = name.p[i] >= 'A' && name.p[i] <= 'Z';

		buf[i] = (char)(upper ? name.p[i] | 0x20 : name.p[i]);
		capital |= upper;
	}
	if (!capital)
		return NULL;
	row = name_index_find(&r->event, lower);
	/* "Error" is a name of an application's own rather than a misspelling of the SDK's. */
	if (row >= 0 && !slice_eq(lower, SLICE_LIT("error")))
		return event_rules[row].name.p;
	for (size_t i = 0; i < ARRAY_LEN(other_events); i++)
		if (slice_eq(other_events[i], lower))
			return other_events[i].p;
	return NULL;
}

#define INDEX(index, table) name_index_init(&(index), (table), sizeof((table)[0]), ARRAY_LEN(table))

void rules_init(struct rules *r)
{
	INDEX(r->root, root_rules);
	INDEX(r->param, param_rules);
	INDEX(r->event, event_rules);
	INDEX(r->item, item_rules);
	INDEX(r->property, property_members);
	INDEX(r->event_member, event_members);
	INDEX(r->location, location_rules);
	INDEX(r->device, device_rules);
	INDEX(r->consent, consent_rules);
	INDEX(r->user_data, user_data_rules);
	INDEX(r->address, address_rules);
}

bool rules_param_is_reserved(struct slice name)
{
	/* REF, "Reserved parameter names" */
	static const struct slice prefixes[] = {N("_"), N("firebase_"), N("ga_"), N("google_"), N("gtag.")};

	/* `firebase_conversion` has a reserved prefix already. Most names end here. */
	if (name.n == 0 || (name.p[0] != '_' && name.p[0] != 'f' && name.p[0] != 'g'))
		return false;
	return name_has_prefix(name, prefixes, ARRAY_LEN(prefixes));
}

bool rules_property_is_reserved(struct slice name)
{
	/* REF, "Reserved user property names" */
	static const struct slice prefixes[] = {N("_"), N("firebase_"), N("ga_"), N("google_")};
	static const struct slice names[] = {N("first_open_time"), N("first_visit_time"),
	                                     N("last_deep_link_referrer"), N("user_id"),
	                                     N("first_open_after_install")};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_eq(name, names[i]))
			return true;
	return name_has_prefix(name, prefixes, ARRAY_LEN(prefixes));
}
