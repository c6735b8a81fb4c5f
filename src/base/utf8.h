/* utf8.h - strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Returns the offset of the first invalid byte, or n if all bytes are valid. Fast on ASCII. */
size_t utf8_check(const char *p, size_t n);
/* Counts the code points of valid UTF-8. */
size_t utf8_count(const char *p, size_t n);
/* Returns n without the bytes of an incomplete last character (for example after snprintf()
 * truncated the text). */
size_t utf8_whole(const char *p, size_t n);
/* Returns the length of the longest prefix of at most max bytes that ends on a whole character. */
size_t utf8_truncate(const char *p, size_t n, size_t max);

#endif
