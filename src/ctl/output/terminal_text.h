/* terminal_text.h - text for people: safe on a terminal, aligned, times relative and absolute
 *
 * Functions that append return 0 or a negative errno. Times are microseconds since 1970, durations microseconds. */
#ifndef CTL_OUTPUT_TERMINAL_TEXT_H
#define CTL_OUTPUT_TERMINAL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"

/* Columns of a screen whose width is not known. */
enum { TEXT_WIDTH = 80 };
/* Columns of the terminal that standard output is, 40 or more; TEXT_WIDTH if it is none. */
size_t text_screen_width(void);

enum text_color { COLOR_PLAIN, COLOR_BOLD, COLOR_DIM, COLOR_RED, COLOR_GREEN, COLOR_YELLOW };
/* The escape sequence that selects c, or "" if color is false. */
const char *text_color_on(bool color, enum text_color c);
const char *text_color_off(bool color);

/* Appends s with everything that could control a terminal made visible: control characters (C0, DEL, C1), characters
 * that change the writing direction, and bytes that are not UTF-8 appear as \xNN or \u{NNNN}. */
int text_safe(struct buf *out, struct slice s) MUST_CHECK;
/* Whether text_safe() would leave s unchanged. */
bool text_is_safe(struct slice s);
/* Appends JSON text with the same value, in which characters that could control a terminal are escaped (JSON allows
 * DEL and C1 controls). */
int text_safe_json(struct buf *out, struct slice s) MUST_CHECK;
/* Appends s, made safe, in exactly width columns; what does not fit ends in "…". right: padded on the left. */
int text_cell(struct buf *out, struct slice s, size_t width, bool right) MUST_CHECK;
/* Appends s, made safe, whole and padded on the right to at least width columns: for a pipe. */
int text_cell_whole(struct buf *out, struct slice s, size_t width) MUST_CHECK;

/* "12s" "3m12s" "4h05m" "2d03h" "120d": at most 6 characters. Negative: "0s". buf of 16. Returns buf. */
const char *text_duration(int64_t us, char buf[16]);
/* Local time "2026-11-23 21:58:44". buf of 32. */
const char *text_time(int64_t wall_us, char buf[32]);
/* "11-23 21:58". */
const char *text_time_short(int64_t wall_us, char buf[16]);
/* "2026-11-23 21:58:44 (3m12s ago)". buf of 64. */
const char *text_when(int64_t wall_us, int64_t now_us, char buf[64]);
/* "1,234,567". buf of 32. */
const char *text_count(uint64_t n, char buf[32]);
/* "512 B" "1.2 MiB". buf of 16. */
const char *text_bytes(uint64_t n, char buf[16]);

/* Appends word for use in a shell command: as it is if that is safe, otherwise in single quotes. */
int text_shell_word(struct buf *out, const char *word) MUST_CHECK;

#endif
