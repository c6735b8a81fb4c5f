/* page_text.h - the page itself; made by generate.sh of page.html, page.css and page.js */
#ifndef HTTP_PAGE_PAGE_TEXT_H
#define HTTP_PAGE_PAGE_TEXT_H

#include <stddef.h>

extern const char page_text[];
extern const size_t page_text_size;
/* Content-Security-Policy: only its own script and style, by their hashes, and its own origin. */
extern const char page_policy[];

#endif
