/* hint.c - what to do about a refused line, by its code */
#include "ga4/hint.h"

static const char *const hints[CODE_COUNT] = {
        [CODE_VALUE_INVALID] = "Correct the value, or leave the member out: its type or form is not what GA4 takes.",
        [CODE_VALUE_REQUIRED] = "Add the missing member: GA4 drops what lacks it, without a word.",
        [CODE_NAME_INVALID] = "Rename it: letters, digits and underscores, a letter first, at most 40 characters.",
        [CODE_NAME_RESERVED] =
                "Choose another name: GA4 keeps this one for what it collects itself, and drops yours.",
        [CODE_VALUE_OUT_OF_BOUNDS] = "Bring the value within the limit that the message names.",
        [CODE_EXCEEDED_MAX_ENTITIES] = "Send fewer of them: leave some out, or split the line.",
        [CODE_NAME_DUPLICATED] = "Write each member once: readers differ in which of two they use.",
        [CODE_JSON_INVALID] = "Let a JSON library write the line: one object a line, a line feed at its end.",
        [CODE_LINE_TOO_LONG] = "Split it into several lines, or raise listen.max_line.",
        [CODE_STREAM_UNKNOWN] = "Name one of the configured streams, or leave \"stream\" out for the default one.",
        [CODE_TIMESTAMP_EXPIRED] = "Send it sooner: GA4 dates back by 72 hours at most.",
        [CODE_QUEUE_FULL] = "Send it again later: nothing is wrong with it. The outbox has to drain first.",
        [CODE_STORAGE_ERROR] = "Send it again, with its dedup_key: the outbox could not be written.",
        [CODE_SHUTTING_DOWN] = "Send it again: the relay is restarting.",
};

const char *hint_of(enum code code)
{
	return hints[code];
}
