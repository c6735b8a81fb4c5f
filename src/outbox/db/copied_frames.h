/* copied_frames.h - which frames of a WAL the database file has already
 *
 * A checkpoint that did not come to its end copies everything again at the next one. Here each frame is noted whose
 * page was written to the database, so that the next one may leave it out. Whatever is not known to be copied is
 * copied again: to forget is always safe. A checkpoint reads a frame's page from the WAL and writes it to the
 * database, one after the other. */
#ifndef OUTBOX_DB_COPIED_FRAMES_H
#define OUTBOX_DB_COPIED_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero at first. */
struct copied_frames {
	uint64_t *bits; /* owned */
	size_t n_words;
	size_t end;      /* no frame from here on is noted */
	int page;        /* size, as the checkpoint reads it */
	size_t frame;    /* that it read last; 0: none */
	bool checkpoint; /* one is on */
};

void copied_frames_checkpoint(struct copied_frames *c, bool begins);
/* The checkpoint reads n bytes of the WAL from there. True: they were copied; it need not read them. */
bool copied_frames_read(struct copied_frames *c, int n, int64_t at);
/* … and writes what it read to the database. True: it need not; false: noted as copied, if there is memory. */
bool copied_frames_write(struct copied_frames *c);
/* The WAL is written from there on: what it held there was copied in vain. */
void copied_frames_overwritten(struct copied_frames *c, int64_t at);
/* A write to the database failed, or the WAL is another one. Keeps the memory. */
void copied_frames_forget(struct copied_frames *c);
void copied_frames_free(struct copied_frames *c);

#endif
