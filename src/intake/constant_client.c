/* constant_client.c - the share of the most frequent client_id in recent events (the space-saving sketch of Metwally
 * et al.)
 *
 * A constant client_id is the most common mistake: its events join no session. Queried by `ga4relay-ctl doctor`. */
#include "intake/intake_private.h"

enum { SHARE_WINDOW = 8192 /* all counts are halved after this many events, so that recent events weigh more */ };

void share_init(struct share *s)
{
	*s = (struct share){0};
	hash_key_init(&s->key);
}

static void halve(struct share *s)
{
	s->seen /= 2;
	for (size_t i = 0; i < SHARE_SLOTS; i++)
		s->counts[i] /= 2;
}

void share_add(struct share *s, struct slice client, uint64_t n)
{
	uint64_t h = hash_bytes(&s->key, client.p, client.n);
	size_t least = 0;

	s->seen += n;
	for (size_t i = 0; i < SHARE_SLOTS; i++) {
		if (s->hashes[i] == h && s->counts[i] > 0) {
			s->counts[i] += n;
			least = SHARE_SLOTS;
			break;
		}
		if (s->counts[i] < s->counts[least])
			least = i;
	}
	if (least < SHARE_SLOTS) {
		s->hashes[least] = h;
		s->counts[least] += n;
	}
	if (s->seen >= SHARE_WINDOW)
		halve(s);
}

uint64_t share_top(const struct share *s)
{
	uint64_t top = 0;

	for (size_t i = 0; i < SHARE_SLOTS; i++)
		if (s->counts[i] > top)
			top = s->counts[i];
	return top < s->seen ? top : s->seen;
}
