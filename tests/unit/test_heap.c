/* test_heap.c - the least key is always on top, whatever was put in and taken out */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/collections/heap.h"
#include "base/macros.h"

enum { NODES = 500 };

static struct heap_node nodes[NODES];
static unsigned char in[NODES];
static uint64_t state = 88172645463325252u;

static uint64_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void check_top(const struct heap *h)
{
	uint64_t least = UINT64_MAX;
	unsigned n = 0;
	for (unsigned i = 0; i < NODES; i++)
		if (in[i]) {
			n++;
			if (nodes[i].key < least)
				least = nodes[i].key;
		}
	if (n == 0)
		assert_null(h->top);
	else
		assert_int_equal(h->top->key, least);
}

static void any_mix_of_inserts_and_removes(void **unused UNUSED)
{
	struct heap h = {NULL};
	for (int step = 0; step < 50000; step++) {
		unsigned i = (unsigned)(chance() % NODES);
		if (in[i])
			heap_remove(&h, &nodes[i]);
		else
			heap_insert(&h, &nodes[i], chance() % 1000);
		in[i] = !in[i];
		check_top(&h);
	}
	while (h.top) {
		in[h.top - nodes] = 0;
		heap_remove(&h, h.top);
		check_top(&h);
	}
}

static void many_in_order_need_no_stack(void **unused UNUSED)
{
	static struct heap_node many[200000];
	struct heap h = {NULL};
	for (size_t i = 0; i < 200000; i++)
		heap_insert(&h, &many[i], i);
	for (size_t i = 0; i < 200000; i++) {
		assert_ptr_equal(h.top, &many[i]);
		heap_remove(&h, h.top);
	}
	assert_null(h.top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(any_mix_of_inserts_and_removes),
	        cmocka_unit_test(many_in_order_need_no_stack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
