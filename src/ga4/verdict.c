/* verdict.c - the codes' names, and which of them a client may try again */
#include "ga4/verdict.h"

static const char *const names[CODE_COUNT] = {
        [CODE_NONE] = "NONE",
        [CODE_VALUE_INVALID] = "VALUE_INVALID",
        [CODE_VALUE_REQUIRED] = "VALUE_REQUIRED",
        [CODE_NAME_INVALID] = "NAME_INVALID",
        [CODE_NAME_RESERVED] = "NAME_RESERVED",
        [CODE_VALUE_OUT_OF_BOUNDS] = "VALUE_OUT_OF_BOUNDS",
        [CODE_EXCEEDED_MAX_ENTITIES] = "EXCEEDED_MAX_ENTITIES",
        [CODE_NAME_DUPLICATED] = "NAME_DUPLICATED",
        [CODE_JSON_INVALID] = "JSON_INVALID",
        [CODE_LINE_TOO_LONG] = "LINE_TOO_LONG",
        [CODE_STREAM_UNKNOWN] = "STREAM_UNKNOWN",
        [CODE_TIMESTAMP_EXPIRED] = "TIMESTAMP_EXPIRED",
        [CODE_QUEUE_FULL] = "QUEUE_FULL",
        [CODE_STORAGE_ERROR] = "STORAGE_ERROR",
        [CODE_SHUTTING_DOWN] = "SHUTTING_DOWN",
};

const char *code_name(enum code code)
{
	return (unsigned)code < CODE_COUNT ? names[code] : "UNKNOWN";
}

bool code_is_retryable(enum code code)
{
	switch (code) {
	case CODE_QUEUE_FULL:
	case CODE_STORAGE_ERROR:
	case CODE_SHUTTING_DOWN:
		return true;
	case CODE_NONE:
	case CODE_VALUE_INVALID:
	case CODE_VALUE_REQUIRED:
	case CODE_NAME_INVALID:
	case CODE_NAME_RESERVED:
	case CODE_VALUE_OUT_OF_BOUNDS:
	case CODE_EXCEEDED_MAX_ENTITIES:
	case CODE_NAME_DUPLICATED:
	case CODE_JSON_INVALID:
	case CODE_LINE_TOO_LONG:
	case CODE_STREAM_UNKNOWN:
	case CODE_TIMESTAMP_EXPIRED:
	case CODE_COUNT:
		break;
	}
	return false;
}
