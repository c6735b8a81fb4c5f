/* copied_frames.h - a record of the WAL frames that are already in the database file
 *
 * A checkpoint that did not finish would copy everything again the next time. This records each
 * frame whose page was written to the database, so that the next checkpoint can skip it. Frames
 * that are not recorded are copied again, so forgetting is always safe. For each frame a
 * checkpoint reads the page from the WAL and then writes it to the database. */
#ifndef OUTBOX_DB_COPIED_FRAMES_H
#define OUTBOX_DB_COPIED_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Initialise with zeroes. */
struct copied_frames {
	uint64_t *bits; /* owned */
	size_t n_words;
	size_t end;      /* no frame from this one on is recorded */
	int page;        /* page size, as seen in the checkpoint's reads */
	size_t frame;    /* frame that was read last; 0: none */
	bool checkpoint; /* a checkpoint is running */
};

void copied_frames_checkpoint(struct copied_frames *c, bool begins);
/* Call when the checkpoint reads n bytes of the WAL at that offset. Returns true if the frame
 * was already copied, so the read can be skipped. */
bool copied_frames_read(struct copied_frames *c, int n, int64_t at);
/* Call when the checkpoint writes what it read to the database. Returns true if the write can be
 * skipped; otherwise records the frame as copied, if memory allows. */
bool copied_frames_write(struct copied_frames *c);
/* Call when the WAL is written at that offset. Frames recorded from there on are forgotten. */
void copied_frames_overwritten(struct copied_frames *c, int64_t at);
/* Forgets all frames, because a write to the database failed or the WAL was replaced. Keeps the
 * memory. */
void copied_frames_forget(struct copied_frames *c);
void copied_frames_free(struct copied_frames *c);

#endif
