/* test_http_framing.c - where requests end: what is taken, what is refused, however the bytes are cut */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/http_server/http_server_framing.h"

#define LINE "POST /mp/collect HTTP/1.1\r\n"
#define LENGTH(n) LINE "Content-Length: " n "\r\n\r\n"
#define CHUNKED LINE "Transfer-Encoding: chunked\r\n\r\n"
/* One more, which is only one if the one before has ended where it should. */
#define NEXT "GET / HTTP/1.1\r\n\r\n"

struct framing {
	const char *name, *bytes;
};

static const struct framing good[] = {
        {"no body", "GET / HTTP/1.1\r\nHost: a\r\n\r\n" NEXT},
        {"no headers", "GET / HTTP/1.0\r\n\r\n" NEXT},
        {"empty lines before", "\r\n\r\n" NEXT},
        {"a length", LENGTH("5") "hello" NEXT},
        {"a length with zeros", LENGTH("005") "hello" NEXT},
        {"blanks around a length", LINE "content-length: \t5 \t\r\n\r\nhello" NEXT},
        {"no blank before a length", LINE "CONTENT-LENGTH:5\r\n\r\nhello" NEXT},
        {"a length of 0", LENGTH("0") NEXT},
        {"a length of 0 for GET", "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n" NEXT},
        {"line ends in a body", LENGTH("4") "\r\n\r\n" NEXT},
        {"chunks", CHUNKED "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n" NEXT},
        {"no chunks", CHUNKED "0\r\n\r\n" NEXT},
        {"sizes with zeros and capitals", CHUNKED "00A\r\n0123456789\r\n000\r\n\r\n" NEXT},
        {"blanks behind a size", CHUNKED "5 \t\r\nhello\r\n0\t\r\n\r\n" NEXT},
        {"an extension", CHUNKED "5;a=\"b c\"\r\nhello\r\n0;x\r\n\r\n" NEXT},
        {"an extension behind blanks", CHUNKED "5 \t; a = b\r\nhello\r\n0\r\n\r\n" NEXT},
        {"a trailer", CHUNKED "0\r\nX-A: b\r\nY:\r\n\r\n" NEXT},
        {"chunked in capitals", LINE "TRANSFER-ENCODING:CHUNKED\r\n\r\n0\r\n\r\n" NEXT},
        {"a target with 00 in it", "GET /%20%2F00 HTTP/1.1\r\n\r\n" NEXT},
        {"a long name", LINE "X-Content-Length-And-Then-Some-More: 5\r\n\r\n" NEXT},
};

static const struct framing refused[] = {
        {"no version", "GET /\r\n"},
        {"no method", " / HTTP/1.1\r\n"},
        {"no target", "GET  HTTP/1.1\r\n"},
        {"a method that is no token", "G@T / HTTP/1.1\r\n"},
        {"a colon in the method", "GET: / HTTP/1.1\r\n"},
        {"another version", "GET / HTTP/2.0\r\n"},
        {"two blanks", "GET  / HTTP/1.1\r\n"},
        {"a tab", "GET\t/ HTTP/1.1\r\n"},
        {"a bare LF behind the line", "GET / HTTP/1.1\n"},
        {"a CR in the line", "GET /\r HTTP/1.1\r\n"},
        {"a NUL in the target", "GET /%00 HTTP/1.1\r\n"},
        {"a bare LF behind a header", LINE "A: b\n"},
        {"a CR in a header", LINE "A: b\rc\r\n"},
        {"a control character in a header", LINE "A: b\x01\r\n"},
        {"a folded header", LINE "A: b\r\n c\r\n"},
        {"a blank before the colon", LINE "Content-Length : 5\r\n"},
        {"a name that is empty", LINE ": 5\r\n"},
        {"_ for -", LINE "Content_Length: 5\r\n"},
        {"_ for - in the other", LINE "transfer_encoding: chunked\r\n"},
        {"no length", LENGTH("")},
        {"a length with a sign", LENGTH("+5")},
        {"a negative length", LENGTH("-5")},
        {"a hexadecimal length", LENGTH("0x5")},
        {"a list of lengths", LENGTH("5, 5")},
        {"a length with a blank in it", LENGTH("5 5")},
        {"too long a length", LENGTH("1234567890123456789")},
        {"two lengths", LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"},
        {"length and chunks", LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"two encodings", LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"another encoding", LINE "Transfer-Encoding: gzip\r\n\r\n"},
        {"a list of encodings", LINE "Transfer-Encoding: gzip, chunked\r\n\r\n"},
        {"an encoding padded beyond the room for it", LINE "Transfer-Encoding: chunked                    \r\n\r\n"},
        {"an encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"two hosts", LINE "Host: a\r\nHost: a\r\n\r\n"},
        {"a body for GET", "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"},
        {"chunks for DELETE", "DELETE / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"no size", CHUNKED "\r\n"},
        {"a size that is an extension", CHUNKED ";a\r\n"},
        {"a blank before a size", CHUNKED " 5\r\nhello\r\n"},
        {"a size with a sign", CHUNKED "+5\r\nhello\r\n"},
        {"a size with 0x", CHUNKED "0x5\r\nhello\r\n"},
        {"a word behind a size", CHUNKED "5 zz\r\nhello\r\n"},
        {"a word behind a size and a tab", CHUNKED "5\tzz\r\nhello\r\n"},
        {"two sizes", CHUNKED "5 5\r\nhello\r\n"},
        {"a digit behind blanks", CHUNKED "5 \t6\r\nhello\r\n"},
        {"letters behind a size", CHUNKED "5zz\r\nhello\r\n"},
        {"too long a size", CHUNKED "1234567890123456\r\n"},
        {"a bare LF behind a size", CHUNKED "5\nhello\r\n"},
        {"a bare LF behind a size and a blank", CHUNKED "5 \nhello\r\n"},
        {"a bare LF in an extension", CHUNKED "5;a\nhello\r\n"},
        {"a CR in an extension", CHUNKED "5;a\rb\r\nhello\r\n"},
        {"a bare LF behind a chunk", CHUNKED "5\r\nhello\n"},
        {"more than the size says", CHUNKED "5\r\nhello!\r\n"},
        {"a length in the trailer", CHUNKED "0\r\nContent-Length: 5\r\n\r\n"},
        {"a host in the trailer", CHUNKED "0\r\nHost: a\r\n\r\n"},
};

struct told {
	bool whole; /* the bytes stop between two requests */
	unsigned heads, ends;
	char head[1 << 12], body[1 << 12];
};

/* In pieces of that size, each byte fed once. */
static const char *feed(const char *bytes, size_t cut, struct told *ret)
{
	struct http_framing f = {0};
	size_t n = strlen(bytes), end = 0, heads = 0, bodies = 0;

	memset(ret, 0, sizeof(*ret));
	assert_true(n < sizeof(ret->body));
	for (size_t at = 0; at < n && !f.problem;) {
		struct http_piece piece;

		end = at < end ? end : n - at < cut ? n : at + cut;
		piece = http_framing_next(&f, bytes + at, end - at);
		if (piece.kind == HTTP_PIECE_HEAD)
			memcpy(ret->head + heads, bytes + at, piece.n);
		if (piece.kind == HTTP_PIECE_BODY)
			memcpy(ret->body + bodies, bytes + at, piece.n);
		heads += piece.kind == HTTP_PIECE_HEAD ? piece.n : 0;
		bodies += piece.kind == HTTP_PIECE_BODY ? piece.n : 0;
		ret->heads += f.head_ended;
		ret->ends += f.ended;
		at += piece.n;
	}
	ret->whole = http_framing_between(&f);
	return f.problem;
}

static const size_t pieces[] = {1, 2, 3, 7, 1 << 12};

static void takes_what_is_clear(void **state)
{
	struct told told;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			const char *problem = feed(good[i].bytes, pieces[k], &told);

			if (problem || !told.whole)
				fail_msg("%s: %s", good[i].name, problem ? problem : "does not end where it should");
		}
}

static void refuses_what_can_be_read_in_two_ways(void **state)
{
	struct told told;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		const char *problem = feed(refused[i].bytes, 1 << 12, &told);

		if (!problem)
			fail_msg("%s is taken", refused[i].name);
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++)
			assert_string_equal(feed(refused[i].bytes, pieces[k], &told), problem);
	}
}

/* A name is as long as it likes; what stands behind a chunk's size is not. */
static void bounds_what_is_behind_a_size(void **state)
{
	char bytes[1 << 12];
	struct told told;

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(bytes, sizeof(bytes), CHUNKED "5%s%1000s\r\nhello\r\n0\r\n\r\n", i ? ";" : "", "");
		assert_null(feed(bytes, 1 << 12, &told));
		assert_true(told.whole);
		snprintf(bytes, sizeof(bytes), CHUNKED "5%s%1100s\r\nhello\r\n0\r\n\r\n", i ? ";" : "", "");
		assert_non_null(feed(bytes, 1 << 12, &told));
	}
}

/* Sizes, extensions and trailers are neither head nor body. */
static void tells_heads_from_bodies(void **state)
{
	static const char bytes[] =
	        "\r\n" CHUNKED "5\t;a=b\r\nhe;lo\r\n1\r\n!\r\n0\r\nA: b;c\r\n\r\n" LENGTH("3") "\r\nx" NEXT;
	struct told told;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
		assert_null(feed(bytes, pieces[k], &told));
		assert_string_equal(told.head, "\r\n" CHUNKED LENGTH("3") NEXT);
		assert_string_equal(told.body, "he;lo!\r\nx");
		assert_int_equal(told.heads, 3);
		assert_int_equal(told.ends, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(takes_what_is_clear),
	        cmocka_unit_test(refuses_what_can_be_read_in_two_ways),
	        cmocka_unit_test(bounds_what_is_behind_a_size),
	        cmocka_unit_test(tells_heads_from_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
