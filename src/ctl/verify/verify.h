/* verify.h - the state that the steps of `ga4relay-ctl verify` share */
#ifndef CTL_VERIFY_VERIFY_H
#define CTL_VERIFY_VERIFY_H

#include "ctl/client.h"
#include "ctl/ctl.h"
#include "ctl/output/finding.h"

enum { VERIFY_TOKEN_MAX = 4096, VERIFY_TEXT_MAX = 512 };

struct verify {
	const struct ctl *ctl;
	struct client client;
	struct json_in *json; /* for texts that are not an answer of the control socket */
	char token[VERIFY_TOKEN_MAX + 1];
	int64_t wait_us, deadline_us; /* monotonic, like all times here */
	/* the stream */
	char stream[72], id_kind[20], id[128], endpoint[VERIFY_TEXT_MAX];
	bool is_app;
	int timeout_ms; /* of the daemon's requests */
	/* the event */
	char name[41];
	int64_t event_id, accepted_us, delivered_us;
	/* the report */
	unsigned asked;
	int64_t seen_us;
};

/* Prints one finding. */
void verify_say(struct verify *v, enum ctl_finding result, const char *what, const char *advice, const char *fmt, ...)
        PRINTF_LIKE(5, 6);
/* Prints why it ends here. Returns CTL_REFUSED. */
enum ctl_exit verify_fail(struct verify *v, const char *what, const char *advice, const char *fmt, ...)
        PRINTF_LIKE(4, 5);

/* verify_token.c: reads the token from --token-file. Prints why not. */
enum ctl_exit verify_read_token(struct verify *v) MUST_CHECK;
/* verify_stream.c: finds the stream; one that is paused is refused. */
enum ctl_exit verify_find_stream(struct verify *v) MUST_CHECK;
/* verify_event.c */
void verify_choose_name(struct verify *v);
enum ctl_exit verify_send_event(struct verify *v) MUST_CHECK;
enum ctl_exit verify_wait_delivered(struct verify *v) MUST_CHECK;

/* verify_report.c: asks the Realtime report for the event's name. */
enum verify_report {
	VERIFY_SEEN,
	VERIFY_ABSENT,
	VERIFY_LATER, /* no answer, or one that may be another one later; it was printed */
	VERIFY_DENIED /* it was printed */
};
enum ctl_exit verify_ask(struct verify *v, enum verify_report *ret) MUST_CHECK;

/* verify_stream.c: status's view of the stream, for what keeps the event from being delivered. */
struct verify_stream_state {
	bool paused, up;
	char last_error[VERIFY_TEXT_MAX];
};
enum ctl_exit verify_stream_state(struct verify *v, struct verify_stream_state *ret) MUST_CHECK;

#endif
