/* copied_frames.c - a record of the WAL frames that are already in the database file */
#include "outbox/db/copied_frames.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_BITS = 64, WORDS_LEAST = 64, FRAMES_MAX = 1 << 20 };
/* Sizes in a WAL file (sqlite.org/fileformat2.html, "The WAL File Format"). */
enum { WAL_HEADER = 32, FRAME_HEADER = 24 };

static bool is_noted(const struct copied_frames *c, size_t frame)
{
	return frame < c->end && (c->bits[frame / WORD_BITS] >> (frame % WORD_BITS) & 1);
}

static bool make_room(struct copied_frames *c, size_t frame)
{
	size_t n = c->n_words ? c->n_words : WORDS_LEAST;
	uint64_t *bits;

	if (frame >= FRAMES_MAX)
		return false;
	while (n * WORD_BITS <= frame)
		n *= 2;
	if (n == c->n_words)
		return true;
	bits = realloc(c->bits, n * sizeof(*bits));
	if (!bits)
		return false;
	memset(bits + c->n_words, 0, (n - c->n_words) * sizeof(*bits));
	c->bits = bits;
	c->n_words = n;
	return true;
}

static void note(struct copied_frames *c, size_t frame)
{
	if (!make_room(c, frame))
		return;
	c->bits[frame / WORD_BITS] |= UINT64_C(1) << (frame % WORD_BITS);
	if (frame >= c->end)
		c->end = frame + 1;
}

void copied_frames_checkpoint(struct copied_frames *c, bool begins)
{
	c->checkpoint = begins;
	c->frame = 0;
}

bool copied_frames_read(struct copied_frames *c, int n, int64_t at)
{
	if (!c->checkpoint)
		return false;
	if (n != c->page)
		copied_frames_forget(c);
	c->page = n;
	at -= WAL_HEADER + FRAME_HEADER;
	c->frame = at >= 0 && at % (n + FRAME_HEADER) == 0 ? (size_t)(at / (n + FRAME_HEADER)) + 1 : 0;
	return is_noted(c, c->frame);
}

bool copied_frames_write(struct copied_frames *c)
{
	size_t frame = c->frame;

	c->frame = 0;
	if (frame == 0)
		return false;
	if (is_noted(c, frame))
		return true;
	note(c, frame);
	return false;
}

/* SQLite overwrites frames when it restarts the WAL, or after a rollback. */
void copied_frames_overwritten(struct copied_frames *c, int64_t at)
{
	if (c->end > 0 && at < WAL_HEADER + (int64_t)(c->end - 1) * (c->page + FRAME_HEADER))
		copied_frames_forget(c);
}

void copied_frames_forget(struct copied_frames *c)
{
	if (c->end > 0)
		memset(c->bits, 0, (c->end + WORD_BITS - 1) / WORD_BITS * sizeof(*c->bits));
	c->end = 0;
}

void copied_frames_free(struct copied_frames *c)
{
	free(c->bits);
	*c = (struct copied_frames){0};
}
