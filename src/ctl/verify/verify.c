/* verify.c - the command verify: a test event, then GA4's Realtime report, until the event is there
 *
 * GA4 answers 204 to a wrong secret too, so that an event in the report is the only proof. The report is asked once
 * before the event is sent: a token that may not read it costs no event. */
#include "ctl/verify/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ctl/output/terminal_text.h"

#define WAIT_DEFAULT_US (10 * 60 * US_PER_S)
/* Each request costs the property tokens of its quota, and an event that is late comes minutes later. */
#define PAUSE_FIRST_US (10 * US_PER_S)
#define PAUSE_MAX_US (60 * US_PER_S)

void verify_say(struct verify *v, enum ctl_finding result, const char *what, const char *advice, const char *fmt, ...)
{
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	finding_print(v->ctl, result, what, advice, detail);
}

enum ctl_exit verify_fail(struct verify *v, const char *what, const char *advice, const char *fmt, ...)
{
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	finding_print(v->ctl, FINDING_FAILED, what, advice, detail);
	return CTL_REFUSED;
}

static void sleep_us(int64_t us)
{
	const struct timespec t = {.tv_sec = us / US_PER_S, .tv_nsec = us % US_PER_S * 1000};

	(void)nanosleep(&t, NULL);
}

/* Nothing but the name tells this event from others, so --json ends with what a script needs to know. */
static void summarize(const struct verify *v)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 14);
	struct json_out *j = v->ctl->args.json ? json_out_begin(&out) : NULL;

	if (!j)
		return;
	json_out_object(j);
	json_out_kv_bool(j, "seen", v->seen_us > 0);
	json_out_kv_str(j, "event", v->event_id ? v->name : NULL);
	json_out_kv_i64(j, "id", v->event_id);
	json_out_kv_str(j, "stream", v->stream[0] ? v->stream : NULL);
	json_out_kv_str(j, "property", v->ctl->args.property);
	json_out_kv_i64(j, "asked", v->asked);
	json_out_kv_i64(j, "delivered_ms", v->delivered_us ? (v->delivered_us - v->accepted_us) / US_PER_MS : -1);
	json_out_kv_i64(j, "seen_ms", v->seen_us ? (v->seen_us - v->accepted_us) / US_PER_MS : -1);
	if (json_out_end(j) == 0)
		printf("%.*s\n", (int)out.len, out.data);
}

static bool is_googles(const char *endpoint)
{
	static const char suffix[] = "google-analytics.com";
	size_t n = strcspn(endpoint + (strncmp(endpoint, "https://", 8) == 0 ? 8 : 0), "/") + 8;

	return strncmp(endpoint, "https://", 8) == 0 && n >= 8 + sizeof(suffix) - 1 &&
	       memcmp(endpoint + n - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1) == 0;
}

static enum ctl_exit not_seen(struct verify *v)
{
	char advice[1024], waited[16];

	text_duration(v->wait_us, waited);
	if (!is_googles(v->endpoint))
		snprintf(advice, sizeof(advice),
		         "the stream's endpoint is %s, not Google's: does it pass events on to property %s?",
		         v->endpoint, v->ctl->args.property);
	else
		snprintf(advice, sizeof(advice),
		         "GA4 answers 204 to a wrong secret too. In GA4, Admin > Data streams of property %s: is %s "
		         "%s "
		         "this stream's, and was the secret made under it (Measurement Protocol API secrets)? If "
		         "both are "
		         "right: does a data filter exclude the event, and is Realtime late today? Look for %s there",
		         v->ctl->args.property, v->id_kind, v->id, v->name);
	return verify_fail(v, "realtime", advice, "not seen within %s, though the endpoint took the event", waited);
}

/* Asks after growing pauses, and a last time at the end of the wait. */
static enum ctl_exit look(struct verify *v)
{
	int64_t pause_us = PAUSE_FIRST_US;
	enum verify_report report = VERIFY_ABSENT;
	enum ctl_exit code;
	char took[16];

	for (;;) {
		int64_t left_us = v->deadline_us - clock_mono_us();

		if (left_us <= 0)
			break;
		sleep_us(left_us < pause_us ? left_us : pause_us);
		code = verify_ask(v, &report);
		if (code != CTL_DONE || report == VERIFY_DENIED)
			return code != CTL_DONE ? code : CTL_REFUSED;
		if (report == VERIFY_SEEN) {
			v->seen_us = clock_mono_us();
			verify_say(v, FINDING_OK, "realtime", NULL, "seen after %s",
			           text_duration(v->seen_us - v->accepted_us, took));
			return CTL_DONE;
		}
		pause_us = pause_us * 3 / 2 < PAUSE_MAX_US ? pause_us * 3 / 2 : PAUSE_MAX_US;
	}
	if (report == VERIFY_LATER)
		return verify_fail(v, "realtime", "run verify again later, or look for the event in Realtime by hand",
		                   "the report gave no answer at the end of the wait: nothing is known of %s",
		                   v->name);
	return not_seen(v);
}

static enum ctl_exit run(struct verify *v)
{
	enum verify_report report;
	enum ctl_exit code = client_open(&v->client, v->ctl);

	if (code == CTL_DONE)
		code = verify_find_stream(v);
	verify_choose_name(v);
	if (code == CTL_DONE)
		code = verify_ask(v, &report);
	if (code == CTL_DONE && report != VERIFY_ABSENT)
		return verify_fail(v, "event", NULL, "none was sent");
	if (code == CTL_DONE)
		code = verify_send_event(v);
	v->deadline_us = clock_mono_us() + v->wait_us;
	if (code == CTL_DONE)
		code = verify_wait_delivered(v);
	return code == CTL_DONE ? look(v) : code;
}

static enum ctl_exit check_args(const struct ctl_args *args)
{
	const char *property = args->property;

	if (!property || !args->token_file) {
		ctl_complain("verify: needs --property ID and --token-file FILE; ga4relay-ctl verify --help");
		return CTL_USAGE;
	}
	if (strspn(property, "0123456789") != strlen(property)) {
		ctl_complain(
		        "verify: --property %s: a property's id is a number, in GA4 under Admin > Property details; "
		        "G-… is a data stream's measurement id",
		        property);
		return CTL_USAGE;
	}
	return CTL_DONE;
}

enum ctl_exit ctl_verify(struct ctl *ctl)
{
	struct verify v = {.ctl = ctl, .client.fd = -1, .wait_us = WAIT_DEFAULT_US};
	enum ctl_exit code = check_args(&ctl->args);

	if (ctl->args.wait_us)
		v.wait_us = ctl->args.wait_us;
	v.json = json_in_new(32);
	if (code == CTL_DONE && !v.json) {
		ctl_complain("out of memory");
		code = CTL_REFUSED;
	}
	if (code == CTL_DONE)
		code = verify_read_token(&v);
	if (code == CTL_DONE) {
		code = run(&v);
		summarize(&v);
	}
	explicit_bzero(v.token, sizeof(v.token));
	client_close(&v.client);
	v.json = json_in_free(v.json);
	return code;
}
