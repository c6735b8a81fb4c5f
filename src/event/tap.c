/* tap.c - the followers of lines and events */
#include "event/tap.h"

void tap_follow(struct tap *t, struct tap_follower *f)
{
	if (f->follows)
		return;
	f->follows = true;
	t->n_lines += f->on_line != NULL;
	LIST_INSERT_HEAD(&t->followers, f, link);
}

void tap_unfollow(struct tap *t, struct tap_follower *f)
{
	if (!f->follows)
		return;
	f->follows = false;
	t->n_lines -= f->on_line != NULL;
	LIST_REMOVE(f, link);
}

void tap_event(const struct tap *t, const struct tap_event *e)
{
	const struct tap_follower *f;

	LIST_FOREACH(f, &t->followers, link)
	if (f->on_event)
		f->on_event(f->arg, e);
}

void tap_line(const struct tap *t, const struct tap_line *l)
{
	const struct tap_follower *f;

	LIST_FOREACH(f, &t->followers, link)
	if (f->on_line)
		f->on_line(f->arg, l);
}

void tap_act(const struct tap *t, enum tap_act what, const uint64_t *ids, size_t n)
{
	const struct tap_follower *f;

	LIST_FOREACH(f, &t->followers, link)
	if (f->on_act)
		f->on_act(f->arg, what, ids, n);
}
