/* http_server_framing.c - a strict parser for the boundaries of HTTP requests (RFC 9112)
 *
 * evhttp accepts a space before a header's colon as part of the name, +48 and 0x30 as numbers
 * and a bare LF as a line end. It uses the first of several Content-Length headers and prefers
 * Transfer-Encoding to Content-Length. If a proxy in front of it reads these differently, one
 * client can write the head of another client's request. So every byte is parsed here before
 * evhttp sees it, and anything ambiguous ends the connection. */
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
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
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

static void on_line_byte(struct http_framing *f, char c)
{
	if (c == '\r') {
		end_request_line(f);
		return;
	}
	if (is_control(c) || c == '\t') {
		fail(f, c == '\n' ? "a line that ends without CR" : "a control character in the request line");
		return;
	}
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
		fail(f, "a Transfer-Encoding that is not \"chunked\"");
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

static void on_name_byte(struct http_framing *f, char c)
{
	if (c == ':' && f->n > 0) {
		f->name[f->n < sizeof(f->name) ? f->n : sizeof(f->name) - 1] = '\0';
		if (is_disguised(f->name))
			fail(f, "a header's name with _ for -");
		else
			go(f, IN_VALUE);
	} else if (c == '\r' && f->n == 0) {
		go(f, HEAD_LF);
	} else if (!is_token(c)) {
		fail(f, c == '\n' ? "a line that ends without CR" : "a header whose name is none");
	} else {
		if (f->n < sizeof(f->name))
			f->name[f->n] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		f->n++;
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

static void end_head(struct http_framing *f)
{
	if (f->in_trailer)
		go(f, AT_START);
	else if (f->chunked && f->has_length)
		fail(f, "Content-Length beside Transfer-Encoding");
	else if (!f->may_have_body && (f->chunked || f->left > 0))
		fail(f, "a body where the method has none");
	else
		go(f, f->chunked ? IN_SIZE : f->left > 0 ? IN_BODY : AT_START);
	if (f->state == IN_SIZE)
		f->left = 0;
}

/* ---- chunks ---- */

static void on_size_byte(struct http_framing *f, char *c)
{
	int digit = hex(*c);

	if (digit >= 0 && f->n < SIZE_DIGITS) {
		f->left = f->left << 4 | (uint64_t)digit;
		f->n++;
	} else if (f->n > 0 && *c == '\r') {
		go(f, SIZE_LF);
	} else if (f->n > 0 && (*c == ';' || *c == ' ' || *c == '\t')) {
		go(f, *c == ';' ? IN_EXTENSION : AFTER_SIZE);
		*c = ' ';
	} else {
		fail(f, "a chunk's size that is none");
	}
}

static void on_byte_after_size(struct http_framing *f, char *c)
{
	if (*c == '\r') {
		go(f, SIZE_LF);
	} else if ((*c != ';' && *c != ' ' && *c != '\t') || ++f->n > EXTENSION_MAX) {
		fail(f, "a chunk's size that is none");
	} else {
		if (*c == ';')
			go(f, IN_EXTENSION);
		*c = ' ';
	}
}

static void on_extension_byte(struct http_framing *f, char *c)
{
	if (*c == '\r')
		go(f, SIZE_LF);
	else if (is_control(*c) || ++f->n > EXTENSION_MAX)
		fail(f, *c == '\n' ? "a line that ends without CR" : "a chunk's extension that is none");
	else
		*c = ' ';
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

static void on_byte(struct http_framing *f, char *c)
{
	switch ((enum framing_state)f->state) {
	case AT_START:
		on_start_byte(f, *c);
		break;
	case IN_LINE:
		on_line_byte(f, *c);
		break;
	case IN_NAME:
		on_name_byte(f, *c);
		break;
	case IN_VALUE:
		on_value_byte(f, *c);
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
		if (*c == '\r')
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
		on_lf(f, *c);
		break;
	case IN_BODY:
	case IN_CHUNK:
		break; /* handled by http_framing_feed() */
	}
}

/* Skips body or chunk content; returns the number of bytes skipped. */
static size_t skip_contents(struct http_framing *f, size_t n)
{
	if (f->state != IN_BODY && f->state != IN_CHUNK)
		return 0;
	if (n > f->left)
		n = (size_t)f->left;
	f->left -= n;
	if (f->left == 0)
		go(f, f->state == IN_BODY ? AT_START : AFTER_CHUNK);
	return n;
}

const char *http_framing_feed(struct http_framing *f, char *p, size_t n)
{
	while (!f->problem && n > 0) {
		size_t used = skip_contents(f, n);

		if (used == 0) {
			on_byte(f, p);
			used = 1;
		}
		p += used;
		n -= used;
	}
	return f->problem;
}
