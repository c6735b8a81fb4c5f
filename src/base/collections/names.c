/* names.c - a fixed set of names with a small hash index */
#include "base/collections/names.h"

#include <assert.h>

#include "base/nearest.h"

static const struct slice *row_name(const struct name_index *x, size_t row)
{
	return (const struct slice *)(const void *)(x->rows + row * x->stride);
}

/* The names are few and known in advance: the length and three letters distinguish nearly all of
 * them. */
static unsigned first_slot(struct slice name)
{
	const unsigned char *p = (const unsigned char *)name.p;

	if (name.n == 0)
		return 0;
	return ((unsigned)name.n * 37 + p[0] * 5u + p[name.n - 1] * 17u + p[name.n / 2] * 3u) % NAME_SLOTS;
}

void name_index_init(struct name_index *x, const void *rows, size_t stride, size_t n)
{
	assert(n <= NAME_ROWS_MAX);
	*x = (struct name_index){.rows = rows, .stride = stride, .n = n};
	for (size_t row = 0; row < n; row++) {
		unsigned slot = first_slot(*row_name(x, row));

		while (x->slots[slot])
			slot = (slot + 1) % NAME_SLOTS;
		x->slots[slot] = (uint8_t)(row + 1);
	}
}

int name_index_find(const struct name_index *x, struct slice name)
{
	for (unsigned slot = first_slot(name); x->slots[slot]; slot = (slot + 1) % NAME_SLOTS)
		if (slice_eq(*row_name(x, x->slots[slot] - 1u), name))
			return x->slots[slot] - 1;
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
