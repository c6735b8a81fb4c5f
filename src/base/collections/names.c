/* names.c - a fixed set of names with a small hash index */
#include "base/collections/names.h"

#include <assert.h>

#include "base/nearest.h"

enum { FACTORS_TRIED = 512 };
static_assert(NAME_SLOTS == 256, "a slot is the top eight bits of a product");

static const struct slice *row_name(const struct name_index *x, size_t row)
{
	return (const struct slice *)(const void *)(x->rows + row * x->stride);
}

/* The length and three letters distinguish nearly all names of a table. */
static unsigned first_slot(const struct name_index *x, struct slice name)
{
	const unsigned char *p = (const unsigned char *)name.p;
	uint32_t key;

	if (name.n == 0)
		return 0;
	key = (uint32_t)name.n | (uint32_t)p[0] << 8 | (uint32_t)p[name.n - 1] << 16 | (uint32_t)p[name.n / 2] << 24;
	return key * x->factor >> 24;
}

/* Returns how many names are not in their first slot. */
static size_t fill(struct name_index *x)
{
	size_t displaced = 0;

	memset(x->slots, 0, sizeof(x->slots));
	for (size_t row = 0; row < x->n; row++) {
		unsigned slot = first_slot(x, *row_name(x, row));

		for (; x->slots[slot]; slot = (slot + 1) % NAME_SLOTS)
			displaced++;
		x->slots[slot] = (uint8_t)(row + 1);
	}
	return displaced;
}

/* The names are known in advance, so a few hundred factors are tried for one that gives each a slot of its own. */
void name_index_init(struct name_index *x, const void *rows, size_t stride, size_t n)
{
	static const uint32_t first = 0x9e3779b1, step = 0x85ebca6e;
	uint32_t best = first;
	size_t least = SIZE_MAX;

	assert(n <= NAME_ROWS_MAX);
	*x = (struct name_index){.rows = rows, .stride = stride, .n = n, .factor = first};
	for (unsigned i = 0; i < FACTORS_TRIED && least > 0; i++, x->factor += step) {
		size_t displaced = fill(x);

		if (displaced < least) {
			least = displaced;
			best = x->factor;
		}
	}
	x->factor = best;
	fill(x);
}

static uint64_t eight_at(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static uint32_t four_at(const char *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* memcmp() of a name costs more than all the rest of a look-up, and a purchase has some twenty. The last bytes may be
 * compared twice. */
static bool same_bytes(const char *a, const char *b, size_t n)
{
	size_t at = 0;

	if (n < 4)
		return memcmp(a, b, n) == 0;
	if (n < 8)
		return four_at(a) == four_at(b) && four_at(a + n - 4) == four_at(b + n - 4);
	for (; at < n - 8; at += 8)
		if (eight_at(a + at) != eight_at(b + at))
			return false;
	return eight_at(a + n - 8) == eight_at(b + n - 8);
}

int name_index_find(const struct name_index *x, struct slice name)
{
	for (unsigned slot = first_slot(x, name); x->slots[slot]; slot = (slot + 1) % NAME_SLOTS) {
		const struct slice *row = row_name(x, x->slots[slot] - 1u);

		if (row->n == name.n && same_bytes(row->p, name.p, name.n))
			return x->slots[slot] - 1;
	}
	return -1;
}

const char *name_index_nearest(const struct name_index *x, struct slice name)
{
	const char *names[NAME_ROWS_MAX];

	for (size_t row = 0; row < x->n; row++)
		names[row] = row_name(x, row)->p; /* literals, so they are NUL-terminated */
	return nearest_name(name, names, x->n);
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool name_is_valid(struct slice name, size_t max)
{
	if (name.n == 0 || name.n > max || !is_letter(name.p[0]))
		return false;
	for (size_t i = 1; i < name.n; i++)
		if (!is_letter(name.p[i]) && name.p[i] != '_' && !(name.p[i] >= '0' && name.p[i] <= '9'))
			return false;
	return true;
}

bool name_has_prefix(struct slice name, const struct slice prefixes[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_starts(name, prefixes[i]))
			return true;
	return false;
}
