/* heap.h - an intrusive pairing heap: insert in O(1), remove the least in O(log n) */
#ifndef BASE_COLLECTIONS_HEAP_H
#define BASE_COLLECTIONS_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	struct heap_node *child, *next, *prev; /* prev: the left sibling, or the parent of a first child */
	uint64_t key;
};

struct heap {
	struct heap_node *top; /* node with the least key; NULL if the heap is empty */
};

/* Inserts a node that is in no heap. Nodes with equal keys come out in any order. */
void heap_insert(struct heap *h, struct heap_node *n, uint64_t key);
/* The node must be in h. */
void heap_remove(struct heap *h, struct heap_node *n);

#endif
