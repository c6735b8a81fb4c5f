/* fuzz_json.c - the strict JSON reader: whatever it takes is a sound tree over the text */
#include "fuzz.h"
#include "json/json_read.h"

static void check_node(const struct json_doc *d, uint32_t i, uint32_t parent_end)
{
	const struct json_node *n = &d->nodes[i];
	uint32_t children = 0;

	CHECK(n->end > i && n->end <= parent_end && n->end <= d->n);
	CHECK((size_t)n->raw_off + n->raw_len <= d->text.n && n->raw_len > 0);
	CHECK(n->type == JSON_OBJECT || n->type == JSON_ARRAY || n->count == 0);
	for (const struct json_node *m = json_first(d, n); m; m = json_next(d, n, m)) {
		CHECK(m->is_member == (n->type == JSON_OBJECT));
		check_node(d, (uint32_t)(m - d->nodes), n->end);
		children++;
	}
	CHECK(children == n->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct json_in *in;
	const struct json_doc *d;
	char *text = fuzz_copy(data, size);
	struct err err = {{0}};
	int r;

	if (!in)
		in = json_in_new(32);
	CHECK(in);
	r = json_in_read(in, (struct slice){text, size}, &d, &err);
	if (r == 0) {
		CHECK(d->nodes[0].type == JSON_OBJECT && d->nodes[0].end == d->n);
		check_node(d, 0, d->n);
	} else {
		CHECK(err.text[0] && !strchr(err.text, '\n'));
	}
	free(text);
	return 0;
}
