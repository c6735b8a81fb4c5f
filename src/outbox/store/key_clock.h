/* key_clock.h - the clock by which a dedup_key's window runs
 *
 * A key's age is its age when the process started, by the wall clock, plus the boot-time clock since: stepping the
 * wall clock makes no key older or younger. Keys carry the time of one line, the boot-time clock plus an offset. When
 * the wall clock is stepped the line follows it, and with it all keys, so that the next start finds right dates.
 * Without a start before it whose line goes on (after a reboot, or when the clock was set meanwhile) the wall clock
 * decides, with caution: it may yet be put right. For ten minutes no older key is forgotten, and steps move only the
 * keys that came since. */
#ifndef OUTBOX_STORE_KEY_CLOCK_H
#define OUTBOX_STORE_KEY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct store;

struct key_clock {
	bool runs;              /* else the caller's wall clock is the line */
	int64_t base_us;        /* of the line, above the boot-time clock */
	int64_t now_us;         /* of the line, as of the last look */
	int64_t doubt_until_us; /* boot-time clock; 0: the wall clock is trusted */
	int64_t older_n;        /* while in doubt: the last key from before */
	int64_t moved_boot_us;  /* when the keys were moved last */
};

/* When the writer starts; and whenever it looks after what is due. Boot-time and wall clock. */
void key_clock_start(struct store *st, int64_t wall_us, int64_t boot_us);
void key_clock_follow(struct store *st, int64_t wall_us, int64_t boot_us);
/* The line's time of a line that was read then; boot_us 0: not known. */
int64_t key_clock_time(const struct key_clock *k, int64_t wall_us, int64_t boot_us);
/* May the key with that number be forgotten, however old it seems? */
bool key_clock_trusts(const struct key_clock *k, int64_t n);

#endif
