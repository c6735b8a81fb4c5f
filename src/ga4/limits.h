/* limits.h - GA4's numbers, each with where it is written
 *
 * SEND: "Send events" of Google's Measurement Protocol guide, "Limitations". REF: its protocol reference.
 * EVT: its event reference. LIM: support answer 9267744. UID: "User-provided data with User-ID". */
#ifndef GA4_LIMITS_H
#define GA4_LIMITS_H

enum {
	LIMIT_EVENTS_PER_REQUEST = 25,     /* SEND */
	LIMIT_REQUEST_BYTES = 130000,      /* SEND: "smaller than 130kB"; this size itself is too large */
	LIMIT_EVENTS_PER_LINE = 1000,      /* ours: ga4relay-protocol(7), Lines */
	LIMIT_DEDUP_KEY_BYTES = 200,       /* ours: ga4relay-protocol(7), Lines */
	LIMIT_DEPTH = 32,                  /* ours: ga4relay-protocol(7), Lines */
	LIMIT_WARNINGS = 20,               /* ours: ga4relay-protocol(7), Replies */
	LIMIT_USER_ID_CHARS = 256,         /* LIM */
	LIMIT_USER_PROPERTIES = 25,        /* SEND */
	LIMIT_PROPERTY_NAME_CHARS = 24,    /* SEND */
	LIMIT_PROPERTY_VALUE_CHARS = 36,   /* SEND */
	LIMIT_USER_DATA_EMAILS = 3,        /* UID */
	LIMIT_USER_DATA_PHONES = 3,        /* UID */
	LIMIT_USER_DATA_ADDRESSES = 2,     /* UID */
	LIMIT_SHA256_DIGITS = 64,          /* UID: hexadecimal, lower case */
	LIMIT_APP_INSTANCE_DIGITS = 32,    /* REF, and what Firebase hands out: hexadecimal */
	LIMIT_EVENT_NAME_CHARS = 40,       /* SEND */
	LIMIT_PARAMS = 25,                 /* SEND */
	LIMIT_PARAMS_360 = 100,            /* LIM */
	LIMIT_PARAM_NAME_CHARS = 40,       /* SEND, items too */
	LIMIT_PARAM_VALUE_CHARS = 100,     /* SEND, items too */
	LIMIT_PARAM_VALUE_CHARS_360 = 500, /* SEND, LIM */
	LIMIT_PAGE_TITLE_CHARS = 300,      /* LIM */
	LIMIT_PAGE_REFERRER_CHARS = 420,   /* LIM */
	LIMIT_PAGE_LOCATION_CHARS = 1000,  /* LIM */
	LIMIT_ITEMS = 200,                 /* EVT */
	LIMIT_ITEM_CUSTOM_PARAMS = 10,     /* SEND; 27 by EVT and LIM */
};

/* An event's time ahead of our clock by up to this is skew (ga4relay(8), Time). */
#define LIMIT_FUTURE_US (5 * 60 * INT64_C(1000000))

#endif
