/* heap.c - an intrusive pairing heap: insert in O(1), remove the least in O(log n) */
#include "base/collections/heap.h"

/* Merges two heaps, either of which may be NULL. The result has no sibling. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->key < a->key) {
		struct heap_node *t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	a->next = NULL;
	a->prev = NULL;
	return a;
}

/* Merges a list of siblings in two passes without recursion: pairs from left to right, then all
 * pairs from right to left. */
static struct heap_node *meld_siblings(struct heap_node *first)
{
	struct heap_node *pairs = NULL;
	while (first) {
		struct heap_node *a = first, *b = a->next;
		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	struct heap_node *all = NULL;
	while (pairs) {
		struct heap_node *a = pairs;
		pairs = a->next;
		a->next = NULL;
		all = meld(all, a);
	}
	return all;
}

void heap_insert(struct heap *h, struct heap_node *n, uint64_t key)
{
	*n = (struct heap_node){.key = key};
	h->top = meld(h->top, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	struct heap_node *rest = meld_siblings(n->child);
	n->child = NULL;
	if (h->top == n) {
		h->top = rest;
		return;
	}
	if (n->prev->child == n)
		n->prev->child = n->next;
	else
		n->prev->next = n->next;
	if (n->next)
		n->next->prev = n->prev;
	n->next = n->prev = NULL;
	h->top = meld(h->top, rest);
}
