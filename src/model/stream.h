/* stream.h - the parts of a stream that rules and codecs need */
#ifndef MODEL_STREAM_H
#define MODEL_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum stream_type { STREAM_WEB, STREAM_APP };
enum validation_mode { VALIDATION_STANDARD, VALIDATION_STRICT, VALIDATION_OFF };

/* What judging a line needs to know of its stream. */
struct stream_rules {
	struct slice name;
	uint32_t sid; /* number in the outbox; whatever the caller wants back in submission.sid */
	enum stream_type type;
	enum validation_mode mode;
};

#endif
