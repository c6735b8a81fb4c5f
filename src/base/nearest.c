/* nearest.c - a suggestion for a mistyped name */
#include "base/nearest.h"

#include "base/macros.h"

enum { NAME_MAX_BYTES = 64 };

static unsigned min2(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Computes the optimal string alignment distance: an insertion, a deletion, a replacement and a
 * swap of neighbours cost one each. */
static unsigned edit_distance(struct slice a, struct slice b)
{
	unsigned rows[3][NAME_MAX_BYTES + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	for (unsigned j = 0; j <= b.n; j++)
		above[j] = before[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		unsigned *oldest = before;

		row[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			row[j] = min2(min2(above[j], row[j - 1]) + 1, above[j - 1] + (a.p[i - 1] != b.p[j - 1]));
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				row[j] = min2(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = oldest;
	}
	return above[b.n];
}

static unsigned allowed_distance(size_t longer)
{
	unsigned third = (unsigned)longer / 3;

	return third > 2 ? third : 2;
}

const char *nearest_name(struct slice name, const char *const names[], size_t n)
{
	const char *best = NULL;
	unsigned best_distance = 0;

	if (name.n == 0 || name.n > NAME_MAX_BYTES)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct slice known = slice_of(names[i]);
		size_t longer = known.n > name.n ? known.n : name.n;
		unsigned distance;

		if (known.n > NAME_MAX_BYTES)
			continue;
		distance = edit_distance(name, known);
		/* Names that share no character are not similar ("x" for "id"). */
		if (distance > allowed_distance(longer) || distance >= longer)
			continue;
		if (!best || distance < best_distance) {
			best = names[i];
			best_distance = distance;
		}
	}
	return best;
}
