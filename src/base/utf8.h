/* utf8.h - strict UTF-8: no overlong form, no surrogate, nothing above U+10FFFF */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Offset of the first byte that is not valid, or n when all is. Fast on ASCII. */
size_t utf8_check(const char *p, size_t n);
/* Code points in valid UTF-8. */
size_t utf8_count(const char *p, size_t n);
/* n less the bytes of a last character that was cut off (by snprintf into too small a buffer, say). */
size_t utf8_whole(const char *p, size_t n);
/* The longest prefix of at most max bytes that cuts no character. */
size_t utf8_truncate(const char *p, size_t n, size_t max);

#endif
