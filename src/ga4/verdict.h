/* verdict.h - what is said of a line: a code, where, and a sentence */
#ifndef GA4_VERDICT_H
#define GA4_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

/* Google's validation codes first, then the relay's own (ga4relay-protocol(7), Replies). */
enum code {
	CODE_NONE,
	CODE_VALUE_INVALID,
	CODE_VALUE_REQUIRED,
	CODE_NAME_INVALID,
	CODE_NAME_RESERVED,
	CODE_VALUE_OUT_OF_BOUNDS,
	CODE_EXCEEDED_MAX_ENTITIES,
	CODE_NAME_DUPLICATED,
	CODE_JSON_INVALID,
	CODE_LINE_TOO_LONG,
	CODE_STREAM_UNKNOWN,
	CODE_TIMESTAMP_EXPIRED,
	CODE_QUEUE_FULL,
	CODE_STORAGE_ERROR,
	CODE_SHUTTING_DOWN,
	CODE_COUNT
};

/* "VALUE_INVALID" …; never NULL for a member of the enum. */
const char *code_name(enum code code);
/* The same line may succeed later. */
bool code_is_retryable(enum code code);

/* Which rule of a code, where an answer differs by it. */
enum sub_code {
	SUB_NONE,
	SUB_UNKNOWN_MEMBER /* of VALUE_INVALID: GA4's parser finds no such field, and gives up there */
};

enum { VERDICT_FIELD_MAX = 256, VERDICT_MESSAGE_MAX = 384 };

struct finding {
	enum code code;
	char field[VERDICT_FIELD_MAX]; /* path into the line as written: "events[1].params.value"; "" when it has none
	                                */
	char message[VERDICT_MESSAGE_MAX]; /* what is wrong, the limit, the offending name; valid UTF-8; never a
	                                      secret */
	enum sub_code sub;
};

#endif
