/* violation.h - private to validate*.c: how a broken rule is told */
#ifndef GA4_VIOLATION_H
#define GA4_VIOLATION_H

#include "base/macros.h"
#include "ga4/validate.h"

/* N: as W, and also with validation off, because it never leaves this host. */
enum tier { TIER_D, TIER_E, TIER_W, TIER_N };

/* Where: a node, or what is missing in one. What is found at a node's end comes after all that it holds. */
struct place {
	const struct json_node *node;
	const char *missing;
	bool at_end;
};
#define AT(n) ((struct place){(n), NULL, false})
#define AT_END(n) ((struct place){(n), NULL, true})
#define MISSING(n, name) ((struct place){(n), (name), true})

/* A rule is broken. True: go on (not checked in this mode, or a warning); false: the line is refused. */
bool finding_sub(struct judge *j, enum tier tier, enum code code, enum sub_code sub, struct place at, const char *fmt,
                 ...) PRINTF_LIKE(6, 7) MUST_CHECK;
#define finding(j, tier, code, at, ...) finding_sub(j, tier, code, SUB_NONE, at, __VA_ARGS__)
/* A member that GA4 does not know. */
#define finding_unknown(j, node, ...)                                                                                \
	finding_sub(j, TIER_E, CODE_VALUE_INVALID, SUB_UNKNOWN_MEMBER, AT(node), __VA_ARGS__)
/* True when rules of that tier are not looked at in this mode. */
static inline bool tier_is_off(const struct judge *j, enum tier tier)
{
	return j->mode == VALIDATION_OFF && tier != TIER_D && tier != TIER_N;
}

/* The path into the line as it was written. */
void write_place(char field[VERDICT_FIELD_MAX], const struct judge *j, struct place at);

/* A name from the line, fit for a message: cut after 40 characters, control characters as '?'. */
enum { QUOTED_MAX = 200, QUOTED_CHARS = 40 };
const char *quoted(char buf[QUOTED_MAX], struct slice name);
/* A member's name, quoted; "this value" where there is none. */
const char *name_of(char buf[QUOTED_MAX], const struct judge *j, const struct json_node *node);
/* "; did you mean 'x'?" or "". */
const char *did_you_mean(char buf[QUOTED_MAX], const struct name_index *known, struct slice name);

const char *did_you_mean_one_of(char buf[QUOTED_MAX], const char *const known[], size_t n, struct slice name);

/* validate_read.c: what a sender means. */
/* The row of a member of one of GA4's objects, which may be written in camelCase; -1: unknown. */
int read_member(struct judge *j, const struct name_index *known, const struct json_node *node);
/* One member by both of its names: false. */
bool finding_twice(struct judge *j, const struct json_node *node) MUST_CHECK;
/* An empty array becomes the empty object. */
void read_empty_object(const struct json_node *node);
/* All of the above for an object of at most 32 known members; members that are null are left out. Twins are marked,
 * and refused at once where nothing looks at the members after that. */
bool read_object(struct judge *j, const struct json_node *object, const struct name_index *known) MUST_CHECK;
/* The whole of it is an e-mail address: personal data. */
bool is_mail_address(struct slice s);
bool finding_mail(struct judge *j, const struct json_node *node) MUST_CHECK;

/* validate_event.c: events, whether in an Event line (the root) or in events[]. */
bool judge_event(struct judge *j, struct judged_event *e); /* all of it, members in document order */
bool judge_event_name(struct judge *j, const struct json_node *name);
bool judge_event_params(struct judge *j, struct judged_event *e);
/* Leaves *ret_us alone where the time is 0: unset. */
bool judge_event_timestamp(struct judge *j, const struct json_node *node, int64_t *ret_us);
/* The time as written. Where it is none and that is let pass, *ret_us stays as it was. */
bool judge_time(struct judge *j, const struct json_node *node, int64_t *ret_us);
/* What only the end of the event's object shows. */
bool judge_event_end(struct judge *j, struct judged_event *e);
/* validate_user.c: what a request says of the user. */
bool judge_user_properties(struct judge *j, const struct json_node *node);
bool judge_user_data(struct judge *j, const struct json_node *node);
bool judge_consent(struct judge *j, const struct json_node *node);
bool judge_user_location(struct judge *j, const struct json_node *node);
bool judge_device(struct judge *j, const struct json_node *node);

/* utf8_count, but only when the bytes alone do not settle it. */
bool longer_than(struct slice s, size_t max_chars);

#endif
