/* finding.c - prints one finding of a check, for people or as JSON */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "ctl/output/finding.h"
#include "ctl/output/terminal_text.h"
#include "json/json_write.h"

enum { INDENT = 22 }; /* column where details begin */

static const struct {
	const char *word, *json;
	enum text_color color;
} results[] = {
        [FINDING_OK] = {"ok", "ok", COLOR_GREEN},
        [FINDING_NOTE] = {"note", "note", COLOR_DIM},
        [FINDING_WARNING] = {"WARNING", "warning", COLOR_YELLOW},
        [FINDING_FAILED] = {"FAILED", "failed", COLOR_RED},
};

static void print_json(enum ctl_finding result, const char *what, const char *advice, const char *detail)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 16);
	struct json_out *j = json_out_begin(&out);

	if (!j)
		return;
	json_out_object(j);
	json_out_kv_str(j, "check", what);
	json_out_kv_str(j, "result", results[result].json);
	json_out_kv_str(j, "detail", detail);
	json_out_kv_str(j, "advice", advice);
	if (json_out_end(j) == 0)
		printf("%.*s\n", (int)out.len, out.data);
}

/* Prints words up to the screen's width, with further lines indented. */
static void print_wrapped(struct slice text)
{
	size_t column = INDENT, screen = text_screen_width(), n, gap;

	for (size_t i = 0; i < text.n; i += n + gap) {
		const char *space = memchr(text.p + i, ' ', text.n - i);
		size_t width;

		n = space ? (size_t)(space - (text.p + i)) : text.n - i;
		gap = space ? 1 : 0;
		width = utf8_count(text.p + i, n);
		if (column > INDENT && column + 1 + width > screen) {
			printf("\n%*s", INDENT, "");
			column = INDENT;
		} else if (column > INDENT) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)n, text.p + i);
		column += width;
	}
	putchar('\n');
}

static void print_text(const struct ctl *ctl, enum ctl_finding result, const char *what, const char *advice,
                       const char *detail)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(1 << 14), todo = BUF_INIT(1 << 14);

	if (text_safe(&safe, slice_of(detail)) < 0)
		return;
	printf("%s%-8s%s%-14s", text_color_on(ctl->color, results[result].color), results[result].word,
	       text_color_off(ctl->color), what);
	print_wrapped(buf_slice(&safe));
	if (!advice || buf_printf(&todo, "→ %s", advice) < 0)
		return;
	printf("%*s", INDENT, "");
	print_wrapped(buf_slice(&todo));
}

void finding_print(const struct ctl *ctl, enum ctl_finding result, const char *what, const char *advice,
                   const char *detail)
{
	if (ctl->args.json)
		print_json(result, what, advice, detail);
	else
		print_text(ctl, result, what, advice, detail);
	fflush(stdout);
}
