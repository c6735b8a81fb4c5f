/* validate.h - is a parsed line what GA4 takes? One pass in document order, nothing allocated
 *
 * The rules stand in ga4relay-protocol(7): tier D is what delivery itself needs (checked in every mode), E what costs
 * the event anyway, W what costs a parameter or a report. standard refuses E and warns of W, strict refuses both, off
 * checks D. The first error in document order wins; a missing member is found at the end of its object. */
#ifndef GA4_VALIDATE_H
#define GA4_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ga4/limits.h"
#include "ga4/rules.h"
#include "ga4/stream_rules.h"
#include "ga4/verdict.h"
#include "json/json_tree.h"

enum line_shape {
	SHAPE_NONE,    /* neither name nor events: an error by the end of the line */
	SHAPE_BOTH,    /* name and events: an error at the second of them */
	SHAPE_EVENT,   /* name beside client_id */
	SHAPE_PAYLOAD, /* events, or only user_properties or user_data */
};

/* An event that was judged. Times are settled when judge_line() returns. */
struct judged_event {
	const struct json_node *node;                      /* the object; the root for an Event line */
	const struct json_node *name, *params, *timestamp; /* NULL: absent */
	int64_t time_us;
	bool add_session; /* the session cookie's id is to be added to its params */
};

/* A warning that standard mode only tells: called in document order. */
typedef void judge_warn_fn(void *arg, const struct finding *warning);

enum { JUDGE_MEMBERS = 12 };

struct judge {
	/* What the caller fills in. */
	const struct json_doc *doc;
	const struct rules *rules;
	const struct json_node *root[ROOT_COUNT]; /* by judge_scan() */
	enum stream_type type;
	enum validation_mode mode;
	bool limits_360;
	bool from_door; /* the stream is known from the URL: a payload and nothing else */
	int64_t wall_us, max_age_us;
	struct judged_event *events; /* room for LIMIT_EVENTS_PER_LINE */
	struct finding *refusal;     /* filled when refused */
	judge_warn_fn *warn;         /* for the first LIMIT_WARNINGS; the rest is only counted */
	void *warn_arg;

	/* What comes out. */
	enum line_shape shape;
	struct slice client;     /* the id as it will be sent */
	struct slice session_id; /* the session cookie's, digits; n == 0: none */
	struct slice dedup_key;
	int64_t payload_us; /* the payload's own time, 0: none */
	uint32_t n_events;  /* 0: a payload without events */
	uint32_t n_warnings;
	uint32_t warning_counts[CODE_COUNT];

	/* Private. */
	int8_t members[JUDGE_MEMBERS]; /* rows of the root's first members, in their order; -1: unknown */
	uint32_t bad_number;           /* the first number that is no finite double; doc->n: none */
	struct finding scratch;
};

/* Finds the root's members, in either spelling and less those that are null; before anything else. */
void judge_scan(struct judge *j);
/* True: accepted. False: j->refusal says why. */
bool judge_line(struct judge *j);

#endif
