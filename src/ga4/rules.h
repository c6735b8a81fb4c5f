/* rules.h - what GA4 knows and wants, as tables */
#ifndef GA4_RULES_H
#define GA4_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/collections/names.h"
#include "base/slice.h"

/* Members of a line's object: those of a request (REF), of an Event line, and the relay's own. */
enum root_member {
	ROOT_CLIENT_ID,
	ROOT_APP_INSTANCE_ID,
	ROOT_USER_ID,
	ROOT_TIMESTAMP_MICROS,
	ROOT_USER_PROPERTIES,
	ROOT_USER_DATA,
	ROOT_CONSENT,
	ROOT_NON_PERSONALIZED_ADS,
	ROOT_USER_LOCATION,
	ROOT_IP_OVERRIDE,
	ROOT_DEVICE,
	ROOT_USER_AGENT,
	ROOT_VALIDATION_BEHAVIOR,
	ROOT_EVENTS,
	ROOT_NAME,
	ROOT_PARAMS,
	ROOT_STREAM,
	ROOT_DEDUP_KEY,
	ROOT_SESSION_COOKIE,
	ROOT_COUNT
};
struct root_rule {
	struct slice name;
	bool in_envelope; /* sent to GA4 beside the events */
};

/* Event parameters that have rules of their own. The order is the order in which missing ones are told. */
enum param {
	PARAM_ITEMS,
	PARAM_TRANSACTION_ID,
	PARAM_SCORE,
	PARAM_SEARCH_TERM,
	PARAM_VALUE,
	PARAM_VIRTUAL_CURRENCY_NAME,
	PARAM_ACHIEVEMENT_ID,
	PARAM_CURRENCY,
	PARAM_SESSION_ID,
	PARAM_ENGAGEMENT_TIME_MSEC,
	PARAM_DEBUG_MODE,
	PARAM_PRICE,
	PARAM_QUANTITY,
	PARAM_TAX,
	PARAM_SHIPPING,
	PARAM_DISCOUNT,
	PARAM_LEVEL,
	PARAM_INDEX,
	PARAM_PAGE_TITLE,
	PARAM_PAGE_REFERRER,
	PARAM_PAGE_LOCATION,
	PARAM_COUNT
};
enum value_kind { KIND_ANY, KIND_NUMBER, KIND_CURRENCY, KIND_ITEMS, KIND_SESSION_ID, KIND_ENGAGEMENT, KIND_DEBUG };
struct param_rule {
	struct slice name;
	enum value_kind kind;
	unsigned max_chars; /* 0: the general limit */
};

enum reserved { RESERVED_NOT, RESERVED_ALWAYS, RESERVED_ON_WEB };
struct event_rule {
	struct slice name;
	enum reserved reserved;
	uint32_t required; /* bits 1 << enum param */
	bool any_currency; /* `value` is no money here */
};

struct item_rule {
	struct slice name;
	enum value_kind kind;
	bool identifies; /* one of these must be there */
};

/* A member of user_location, device, consent, user_data, or an address in it. */
enum member_kind { MEMBER_STRING, MEMBER_CONSENT, MEMBER_HASH, MEMBER_HASHES, MEMBER_ADDRESSES };
struct member_rule {
	struct slice name;
	enum member_kind kind;
	unsigned max; /* of an array */
};

/* The members of one user property, and of an event. */
enum property_member { PROPERTY_VALUE, PROPERTY_TIMESTAMP, PROPERTY_COUNT };
enum event_member { EVENT_NAME, EVENT_PARAMS, EVENT_TIMESTAMP, EVENT_COUNT };

extern const struct slice property_members[PROPERTY_COUNT], event_members[EVENT_COUNT];
extern const struct root_rule root_rules[ROOT_COUNT];
extern const struct param_rule param_rules[PARAM_COUNT];
extern const struct event_rule event_rules[];
extern const struct item_rule item_rules[];
extern const struct member_rule location_rules[], device_rules[], consent_rules[], user_data_rules[], address_rules[];

/* Google's names that camelCase spells differently: what such a member is taken for. */
extern const struct slice camel_names[];
int rules_camel_name(struct slice snake); /* index of camel_names, or -1 */

/* The tables with their indexes: built once, then only read. */
struct rules {
	struct name_index root, param, event, item;
	struct name_index location, device, consent, user_data, address;
	struct name_index property, event_member;
};
void rules_init(struct rules *r);

/* Names that GA4 keeps for itself (REF). */
bool rules_param_is_reserved(struct slice name);
bool rules_property_is_reserved(struct slice name);
/* The recommended or automatic event whose name differs from this one only by case, or NULL. */
const char *rules_event_by_case(const struct rules *r, struct slice name);

#endif
