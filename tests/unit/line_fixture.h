/* line_fixture.h - reads lines as the daemon does, and says in one string what became of them */
#ifndef TEST_LINE_FIXTURE_H
#define TEST_LINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "event/event_in.h"

#define FIXTURE_WALL INT64_C(1760000000000000)

enum fixture_flags { WEB = 0, APP = 1, STRICT = 2, OFF = 4, L360 = 8, DOOR = 16 };

struct fixture {
	struct event_in *in;
	struct stream_rules streams[2];
	struct line_context ctx;
	struct line_result result;
	void *block;
	bool no_memory; /* the next block is refused */
	struct buf text, verdict;
};

static void *fixture_alloc(void *arg, size_t size)
{
	struct fixture *f = arg;

	free(f->block);
	f->block = f->no_memory ? NULL : malloc(size);
	return f->block;
}

static inline int fixture_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->in = event_in_new();
	assert_non_null(f->in);
	f->streams[0] = (struct stream_rules){SLICE_LIT("web"), 1, STREAM_WEB, VALIDATION_STANDARD};
	f->streams[1] = (struct stream_rules){SLICE_LIT("app"), 2, STREAM_APP, VALIDATION_STANDARD};
	f->ctx = (struct line_context){
	        .streams = f->streams, .n_streams = 2, .max_age_us = 72 * US_PER_H, .forced_stream = -1};
	buf_init(&f->text, 16 * 1024 * 1024);
	buf_init(&f->verdict, 16 * 1024 * 1024);
	*state = f;
	return 0;
}

static inline int fixture_down(void **state)
{
	struct fixture *f = *state;

	event_in_free(f->in);
	free(f->block);
	buf_free(&f->text);
	buf_free(&f->verdict);
	free(f);
	return 0;
}

static inline void fixture_set(struct fixture *f, unsigned flags)
{
	for (int i = 0; i < 2; i++)
		f->streams[i].mode = flags & STRICT ? VALIDATION_STRICT
		                     : flags & OFF  ? VALIDATION_OFF
		                                    : VALIDATION_STANDARD;
	f->ctx.default_stream = flags & APP ? 1 : 0;
	f->ctx.limits_360 = flags & L360;
	f->ctx.forced_stream = flags & DOOR ? (int)f->ctx.default_stream : -1;
}

/* "~N:text~" is text N times; "~N,text~" with commas between, '$' in it being the number. */
static inline struct slice fixture_expand(struct fixture *f, const char *template)
{
	buf_clear(&f->text);
	for (const char *p = template; *p; p++) {
		const char *body, *end;
		char *after;
		unsigned long n;

		if (*p != '~') {
			assert_int_equal(buf_append_char(&f->text, *p), 0);
			continue;
		}
		n = strtoul(p + 1, &after, 10);
		body = after + 1;
		end = strchr(body, '~');
		assert_non_null(end);
		for (unsigned long i = 0; i < n; i++) {
			if (*after == ',' && i > 0)
				assert_int_equal(buf_append_char(&f->text, ','), 0);
			for (const char *c = body; c < end; c++)
				assert_int_equal(*after == ',' && *c == '$' ? buf_append_u64(&f->text, i)
				                                            : buf_append_char(&f->text, *c),
				                 0);
		}
		p = end;
	}
	return buf_slice(&f->text);
}

static inline void fixture_copy_until_quote(struct buf *b, const char *p)
{
	for (; *p != '"'; p++)
		assert_int_equal(buf_append_char(b, *p), 0);
}

/* "ok", "ok CODE:field CODE:field +3 omitted", or "CODE:field". */
static inline const char *fixture_verdict(struct fixture *f)
{
	struct buf *b = &f->verdict;
	struct slice warnings = f->result.warnings_json;
	const char *p, *end = warnings.p ? warnings.p + warnings.n : NULL;

	buf_clear(b);
	if (!f->result.sub) {
		assert_int_equal(buf_printf(b, "%s:%s", code_name(f->result.refusal.code), f->result.refusal.field),
		                 0);
		return b->data;
	}
	assert_int_equal(buf_append(b, "ok", 2), 0);
	for (p = warnings.p; p && p < end; p++) {
		if (end - p > 9 && !memcmp(p, "{\"code\":\"", 9)) {
			assert_int_equal(buf_append_char(b, ' '), 0);
			fixture_copy_until_quote(b, p + 9);
			p = strstr(p, "\"field\":\"") + 9;
			assert_int_equal(buf_append_char(b, ':'), 0);
			fixture_copy_until_quote(b, p);
		}
		if (end - p > 18 && !memcmp(p, "\"warnings_omitted\"", 18))
			assert_int_equal(buf_printf(b, " +%s omitted", p + 19), 0);
	}
	assert_int_equal(buf_append_char(b, '\0'), 0);
	return b->data;
}

static inline const char *fixture_read_slice(struct fixture *f, struct slice line)
{
	assert_int_equal(event_in_read(f->in, line, &f->ctx, FIXTURE_WALL, fixture_alloc, f, &f->result), 0);
	return fixture_verdict(f);
}

static inline const char *fixture_read(struct fixture *f, const char *template)
{
	return fixture_read_slice(f, fixture_expand(f, template));
}

struct rule_case {
	const char *rule; /* the row of the table of rules that it belongs to */
	unsigned flags;
	const char *line;
	const char *verdict;
};

static inline void fixture_run(struct fixture *f, const struct rule_case *cases, size_t n)
{
	size_t wrong = 0;

	for (size_t i = 0; i < n; i++) {
		const char *verdict;

		fixture_set(f, cases[i].flags);
		verdict = fixture_read(f, cases[i].line);
		if (strcmp(verdict, cases[i].verdict)) {
			print_error("%s (flags %u): %s\n  wanted %s\n  got    %s\n", cases[i].rule, cases[i].flags,
			            cases[i].line, cases[i].verdict, verdict);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

#endif
