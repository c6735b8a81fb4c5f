/* stream_rules.h - the parts of a stream that rules and codecs need */
#ifndef GA4_STREAM_RULES_H
#define GA4_STREAM_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum stream_type { STREAM_WEB, STREAM_APP };
enum validation_mode { VALIDATION_STANDARD, VALIDATION_STRICT, VALIDATION_OFF };

/* What is needed to judge a line of that stream. */
struct stream_rules {
	struct slice name;
	uint32_t sid; /* the stream's number in the outbox; goes into submission.sid */
	enum stream_type type;
	enum validation_mode mode;
};

/* As a stream may be called: A-Z a-z 0-9 _ . - after a letter or digit. Such a name needs no quoting in a shell, a
 * URL or a label; one that was read from a file or a socket is nothing else before it was looked at. */
enum { STREAM_NAME_MAX = 63 };
bool stream_name_is_valid(struct slice name);

#endif
