/* heap.h - an intrusive pairing heap: insert O(1), take the least O(log n), no memory of its own */
#ifndef BASE_COLLECTIONS_HEAP_H
#define BASE_COLLECTIONS_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	struct heap_node *child, *next, *prev; /* prev: the left sibling, or the parent of a first child */
	uint64_t key;
};

struct heap {
	struct heap_node *top; /* the least key; NULL: empty */
};

/* The node must be in no heap; of equal keys any comes first. */
void heap_insert(struct heap *h, struct heap_node *n, uint64_t key);
/* The node must be in h. */
void heap_remove(struct heap *h, struct heap_node *n);

#endif
