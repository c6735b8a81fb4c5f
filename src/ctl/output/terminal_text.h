/* terminal_text.h - how things are printed for people: safe on a terminal, aligned, times relative and absolute */
#ifndef CTL_OUTPUT_TERMINAL_TEXT_H
#define CTL_OUTPUT_TERMINAL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"

enum { TEXT_WIDTH = 80 };

enum text_color { COLOR_PLAIN, COLOR_BOLD, COLOR_DIM, COLOR_RED, COLOR_GREEN, COLOR_YELLOW };
/* "" without color. */
const char *text_color_on(bool color, enum text_color c);
const char *text_color_off(bool color);

/* Appends s so that no terminal is steered by it: control characters (C0, DEL, C1), those that turn the writing's
 * direction, and bytes that are not UTF-8 appear as \xNN or \u{NNNN}. */
int text_safe(struct buf *out, struct slice s) MUST_CHECK;
/* Is there anything in s that text_safe() would change? */
bool text_is_safe(struct slice s);
/* JSON text stays the same value, and loses what could steer a terminal (DEL and C1 controls, which JSON allows). */
int text_safe_json(struct buf *out, struct slice s) MUST_CHECK;
/* Exactly width columns of s, safe; what does not fit ends in "…". right: padded on the left. */
int text_cell(struct buf *out, struct slice s, size_t width, bool right) MUST_CHECK;

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

/* A word of a command line for somebody's shell: as it is where that is safe, else in single quotes. */
int text_shell_word(struct buf *out, const char *word) MUST_CHECK;

#endif
