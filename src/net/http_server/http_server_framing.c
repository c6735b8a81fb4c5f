/* http_server_framing.c - a strict parser for the boundaries of HTTP requests (RFC 9112)
 *
 * Where a request ends must not be a matter of opinion: a space before a header's colon, +48 or
 * 0x30 as a number, a bare LF as a line end, two Content-Length headers, or one beside a
 * Transfer-Encoding. If a proxy in front of the door reads these differently, one client can
 * write the head of another client's request. So anything ambiguous ends the connection. */
#include "net/http_server/http_server_framing.h"

#include <string.h>
#include <strings.h>

enum { LENGTH_DIGITS = 18, SIZE_DIGITS = 15, EXTENSION_MAX = 1024 };

enum framing_state {
	AT_START,   /* before a request; empty lines are allowed here */
	IN_LINE,    /* the request line */
	IN_NAME,    /* in a header's name, or at the empty line */
	IN_VALUE,   /* in a header's value */
	IN_BODY,    /* in a body of known length */
	IN_SIZE,    /* in a chunk's size */
	AFTER_SIZE, /* in blanks behind it, which end it or an extension follows */
	IN_EXTENSION,
	IN_CHUNK,
	AFTER_CHUNK, /* at the CR LF that ends the chunk */
	/* As above but after a CR, where an LF must follow. */
	START_LF,
	LINE_LF,
	VALUE_LF,
	HEAD_LF,
	SIZE_LF,
	CHUNK_LF,
};

static void go(struct http_framing *f, enum framing_state state)
{
	f->state = state;
	f->n = f->n_value = 0;
}

static void fail(struct http_framing *f, const char *problem)
{
	f->problem = problem;
}

static bool is_token(char c)
{
	static const bool tokens[256] = {
	        ['0' ... '9'] = true,  ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
	        ['#' ... '\''] = true, ['*'] = true,         ['+'] = true,         ['-'] = true,
	        ['.'] = true,          ['^' ... '`'] = true, ['|'] = true,         ['~'] = true};

	return tokens[(unsigned char)c];
}

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- the request line ---- */

/* f->value holds the last bytes of the line, as many as " HTTP/1.1" has. */
enum { VERSION_LENGTH = 9 };

static void end_request_line(struct http_framing *f)
{
	static const char *const with_body[] = {"POST", "PUT", "PATCH"};

	if (f->spaces != 2 || memcmp(f->value, " HTTP/1.", VERSION_LENGTH - 1) != 0 ||
	    (f->value[VERSION_LENGTH - 1] != '0' && f->value[VERSION_LENGTH - 1] != '1')) {
		fail(f, "not a request line of HTTP/1.0 or HTTP/1.1");
		return;
	}
	f->is_old = f->value[VERSION_LENGTH - 1] == '0';
	f->may_have_body = f->chunked = f->has_length = f->has_host = f->in_trailer = false;
	f->left = 0;
	for (size_t i = 0; i < ARRAY_LEN(with_body); i++)
		f->may_have_body = f->may_have_body || strcmp(f->name, with_body[i]) == 0;
	go(f, LINE_LF);
}

static const char *line_problem(const struct http_framing *f, char c)
{
	if (c == '\n')
		return "a line that ends without CR";
	if (is_control(c) || c == '\t')
		return "a control character in the request line";
	if (c == ' ' && (f->n == 0 || f->value[VERSION_LENGTH - 1] == ' '))
		return "a request line that lacks a word";
	return f->spaces == 0 && c != ' ' && !is_token(c) ? "a method that is none" : NULL;
}

static void on_line_byte(struct http_framing *f, char c)
{
	if (c == '\r') {
		end_request_line(f);
		return;
	}
	f->problem = line_problem(f, c);
	if (f->problem)
		return;
	if (c == ' ')
		f->spaces++;
	else if (f->spaces == 0 && f->n < sizeof(f->name) - 1)
		f->name[f->n++] = c;
	f->name[f->n] = '\0';
	memmove(f->value, f->value + 1, VERSION_LENGTH - 1);
	f->value[VERSION_LENGTH - 1] = c;
	/* A parser that decodes the target into a C string would see less of it than others. */
	if (memcmp(f->value + VERSION_LENGTH - 3, "%00", 3) == 0)
		fail(f, "a NUL in the request's target");
}

/* Takes those of n bytes of the target that need no look at each other: a look at every byte of every head costs
 * more than reading the events. Near a percent sign on_line_byte() looks. */
static size_t take_target(struct http_framing *f, const char *p, size_t n)
{
	static const bool plain[256] = {['!' ... '$'] = true, ['&' ... '~'] = true, [0x80 ... 0xff] = true};
	char *last = f->value + VERSION_LENGTH;
	size_t run = 0;

	if (f->spaces == 0 || last[-1] == '%' || last[-2] == '%')
		return 0;
	while (run < n && plain[(unsigned char)p[run]])
		run++;
	if (run >= VERSION_LENGTH) {
		memcpy(f->value, p + run - VERSION_LENGTH, VERSION_LENGTH);
	} else if (run > 0) {
		memmove(f->value, f->value + run, VERSION_LENGTH - run);
		memcpy(last - run, p, run);
	}
	return run;
}

static void on_start_byte(struct http_framing *f, char c)
{
	if (c == '\r') {
		go(f, START_LF);
		return;
	}
	go(f, IN_LINE);
	f->spaces = 0;
	memset(f->value, 0, sizeof(f->value));
	on_line_byte(f, c);
}

/* ---- headers ---- */

static void on_length(struct http_framing *f)
{
	if (f->has_length)
		fail(f, "more than one Content-Length header");
	f->has_length = true;
	if (f->n_value == 0 || f->n_value > LENGTH_DIGITS)
		fail(f, "a Content-Length that is no number");
	for (unsigned i = 0; !f->problem && i < f->n_value; i++) {
		if (f->value[i] < '0' || f->value[i] > '9')
			fail(f, "a Content-Length that is no number");
		f->left = f->left * 10 + (uint64_t)(f->value[i] - '0');
	}
}

static void on_encoding(struct http_framing *f)
{
	if (f->chunked)
		fail(f, "more than one Transfer-Encoding header");
	f->chunked = true;
	if (f->is_old)
		fail(f, "a Transfer-Encoding in HTTP/1.0");
	if (f->n_value != 7 || strncasecmp(f->value, "chunked", 7) != 0)
		fail(f, "a Transfer-Encoding other than chunked");
}

static void on_host(struct http_framing *f)
{
	if (f->has_host)
		fail(f, "more than one Host header");
	f->has_host = true;
}

static void end_header(struct http_framing *f)
{
	static const struct {
		const char *name;
		void (*on)(struct http_framing *f);
	} headers[] = {{"content-length", on_length}, {"transfer-encoding", on_encoding}, {"host", on_host}};

	while (f->n_value > 0 && f->n_value < sizeof(f->value) &&
	       (f->value[f->n_value - 1] == ' ' || f->value[f->n_value - 1] == '\t'))
		f->n_value--;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		if (strcmp(f->name, headers[i].name) != 0)
			continue;
		if (f->in_trailer)
			fail(f, "a header in the trailer that says where requests end or go");
		else
			headers[i].on(f);
	}
	if (!f->problem)
		go(f, VALUE_LF);
}

/* Some gateways convert between _ and -, so a variant spelling must not be accepted as another
 * header. */
static bool is_disguised(const char *name)
{
	return strcmp(name, "content_length") == 0 || strcmp(name, "transfer_encoding") == 0;
}

static size_t take_name(struct http_framing *f, const char *p, size_t n)
{
	size_t run = 0;

	for (; run < n && is_token(p[run]); run++, f->n++)
		if (f->n < sizeof(f->name))
			f->name[f->n] = p[run] >= 'A' && p[run] <= 'Z' ? (char)(p[run] | 0x20) : p[run];
	return run;
}

static void on_name_end(struct http_framing *f, char c)
{
	if (c == ':' && f->n > 0) {
		f->name[f->n < sizeof(f->name) ? f->n : sizeof(f->name) - 1] = '\0';
		if (is_disguised(f->name))
			fail(f, "a header's name with _ for -");
		else
			go(f, IN_VALUE);
	} else if (c == '\r' && f->n == 0) {
		go(f, HEAD_LF);
	} else {
		fail(f, c == '\n' ? "a line that ends without CR" : "a header whose name is none");
	}
}

static void on_value_byte(struct http_framing *f, char c)
{
	if (c == '\r')
		end_header(f);
	else if (is_control(c))
		fail(f, c == '\n' ? "a line that ends without CR" : "a control character in a header");
	else if (f->n_value > 0 || (c != ' ' && c != '\t')) {
		if (f->n_value < sizeof(f->value))
			f->value[f->n_value++] = c;
	}
}

/* Takes those of n bytes of a value that are nothing but text. */
static size_t take_value(struct http_framing *f, const char *p, size_t n)
{
	size_t run = 0, room = sizeof(f->value) - f->n_value;

	if (f->n_value == 0)
		return 0; /* it begins behind blanks */
	while (run < n && !is_control(p[run]))
		run++;
	memcpy(f->value + f->n_value, p, run < room ? run : room);
	f->n_value += (unsigned)(run < room ? run : room);
	return run;
}

static void end_request(struct http_framing *f)
{
	go(f, AT_START);
	f->ended = true;
	f->past_head = false;
}

static void end_head(struct http_framing *f)
{
	if (f->in_trailer) {
		end_request(f);
		return;
	}
	f->head_ended = f->past_head = true;
	if (f->chunked && f->has_length)
		fail(f, "Content-Length beside Transfer-Encoding");
	else if (!f->may_have_body && (f->chunked || f->left > 0))
		fail(f, "a body where the method has none");
	else if (f->chunked)
		go(f, IN_SIZE);
	else if (f->left > 0)
		go(f, IN_BODY);
	else
		end_request(f);
}

/* ---- chunks ---- */

static void on_size_byte(struct http_framing *f, char c)
{
	int digit = hex(c);

	if (digit >= 0 && f->n < SIZE_DIGITS) {
		if (f->n == 0)
			f->left = 0;
		f->left = f->left << 4 | (uint64_t)digit;
		f->n++;
	} else if (f->n > 0 && c == '\r') {
		go(f, SIZE_LF);
	} else if (f->n > 0 && (c == ';' || c == ' ' || c == '\t')) {
		go(f, c == ';' ? IN_EXTENSION : AFTER_SIZE);
	} else {
		fail(f, "a chunk's size that is none");
	}
}

static void on_byte_after_size(struct http_framing *f, char c)
{
	if (c == '\r')
		go(f, SIZE_LF);
	else if ((c != ';' && c != ' ' && c != '\t') || ++f->n > EXTENSION_MAX)
		fail(f, "a chunk's size that is none");
	else if (c == ';')
		go(f, IN_EXTENSION);
}

/* An extension (";name=value") means nothing to us. */
static void on_extension_byte(struct http_framing *f, char c)
{
	if (c == '\r')
		go(f, SIZE_LF);
	else if (is_control(c) || ++f->n > EXTENSION_MAX)
		fail(f, c == '\n' ? "a line that ends without CR" : "a chunk's extension that is none");
}

static void end_size(struct http_framing *f)
{
	f->in_trailer = f->left == 0;
	go(f, f->in_trailer ? IN_NAME : IN_CHUNK);
}

static void on_lf(struct http_framing *f, char c)
{
	if (c != '\n') {
		fail(f, "a CR without LF");
		return;
	}
	switch ((enum framing_state)f->state) {
	case START_LF:
		go(f, AT_START);
		break;
	case LINE_LF:
	case VALUE_LF:
		go(f, IN_NAME);
		break;
	case HEAD_LF:
		end_head(f);
		break;
	case SIZE_LF:
		end_size(f);
		break;
	case CHUNK_LF:
		go(f, IN_SIZE);
		break;
	case AT_START:
	case IN_LINE:
	case IN_NAME:
	case IN_VALUE:
	case IN_BODY:
	case IN_SIZE:
	case AFTER_SIZE:
	case IN_EXTENSION:
	case IN_CHUNK:
	case AFTER_CHUNK:
		break;
	}
}

static void on_byte(struct http_framing *f, char c)
{
	switch ((enum framing_state)f->state) {
	case AT_START:
		on_start_byte(f, c);
		break;
	case IN_LINE:
		on_line_byte(f, c);
		break;
	case IN_NAME:
		on_name_end(f, c);
		break;
	case IN_VALUE:
		on_value_byte(f, c);
		break;
	case IN_SIZE:
		on_size_byte(f, c);
		break;
	case AFTER_SIZE:
		on_byte_after_size(f, c);
		break;
	case IN_EXTENSION:
		on_extension_byte(f, c);
		break;
	case AFTER_CHUNK:
		if (c == '\r')
			go(f, CHUNK_LF);
		else
			fail(f, "a chunk that is longer than its size");
		break;
	case START_LF:
	case LINE_LF:
	case VALUE_LF:
	case HEAD_LF:
	case SIZE_LF:
	case CHUNK_LF:
		on_lf(f, c);
		break;
	case IN_BODY:
	case IN_CHUNK:
		break; /* handled by http_framing_next() */
	}
}

static bool in_contents(const struct http_framing *f)
{
	return f->state == IN_BODY || f->state == IN_CHUNK;
}

static size_t take_contents(struct http_framing *f, size_t n)
{
	if (n > f->left)
		n = (size_t)f->left;
	f->left -= n;
	if (f->left == 0 && f->state == IN_BODY)
		end_request(f);
	else if (f->left == 0)
		go(f, AFTER_CHUNK);
	return n;
}

/* Takes the text that changes no state. */
static size_t take_text(struct http_framing *f, const char *p, size_t n)
{
	if (f->state == IN_LINE)
		return take_target(f, p, n);
	if (f->state == IN_NAME)
		return take_name(f, p, n);
	return f->state == IN_VALUE ? take_value(f, p, n) : 0;
}

uint64_t http_framing_announced(const struct http_framing *f)
{
	return in_contents(f) ? f->left : 0;
}

bool http_framing_between(const struct http_framing *f)
{
	return f->state == AT_START || f->state == START_LF;
}

struct http_piece http_framing_next(struct http_framing *f, const char *p, size_t n)
{
	struct http_piece piece = {f->past_head ? HTTP_PIECE_FRAME : HTTP_PIECE_HEAD, 0};

	f->head_ended = f->ended = false;
	if (in_contents(f))
		return (struct http_piece){HTTP_PIECE_BODY, take_contents(f, n)};
	while (piece.n < n && !f->problem && !f->head_ended && !f->ended && !in_contents(f)) {
		piece.n += take_text(f, p + piece.n, n - piece.n);
		if (piece.n < n)
			on_byte(f, p[piece.n++]);
	}
	return piece;
}
