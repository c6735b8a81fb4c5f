/* copied_frames.h - which frames of a WAL the database file has already
 *
 * A checkpoint that did not come to its end copies everything again at the next one. Here each frame is noted whose
 * page was written to the database, so that the next one may leave it out. Whatever is not known to be copied is
 * copied again: to forget is always safe. */
#ifndef STORE_COPIED_FRAMES_H
#define STORE_COPIED_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct copied_frames {
	uint64_t *bits; /* owned */
	size_t n_words;
	size_t end; /* no frame from here on is noted */
};

bool copied_frames_has(const struct copied_frames *c, size_t frame);
/* Without memory it is not noted. */
void copied_frames_add(struct copied_frames *c, size_t frame);
/* Keeps the memory. */
void copied_frames_forget(struct copied_frames *c);
void copied_frames_free(struct copied_frames *c);

#endif
