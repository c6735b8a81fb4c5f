/* key_clock.h - the clock that measures the age of dedup keys
 *
 * A key's age is its age by the wall clock when the process started, plus the time on the
 * boot-time clock since then, so setting the wall clock makes no key older or younger. Key times
 * are on the boot-time clock plus an offset. When the wall clock is set, the offset and all keys
 * are moved accordingly, so that the next start finds correct dates. If the stored offset does
 * not apply at a start (after a reboot, or because the clock was set meanwhile), the wall clock
 * decides, with caution, because it may still be corrected: for ten minutes no older key is
 * deleted, and only newer keys are moved. */
#ifndef OUTBOX_STORE_KEY_CLOCK_H
#define OUTBOX_STORE_KEY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct store;

struct key_clock {
	bool runs;              /* otherwise the caller's wall clock is used */
	int64_t base_us;        /* offset from the boot-time clock */
	int64_t now_us;         /* key clock, as of the last call */
	int64_t doubt_until_us; /* boot-time clock; 0: the wall clock is trusted */
	int64_t older_n;        /* while in doubt: the last key from before this start */
	int64_t moved_boot_us;  /* when the keys were last moved */
};

/* Call when the writer starts, and (key_clock_follow) during maintenance, with the wall and
 * boot-time clocks. */
void key_clock_start(struct store *st, int64_t wall_us, int64_t boot_us);
void key_clock_follow(struct store *st, int64_t wall_us, int64_t boot_us);
/* Returns the key clock's time for a line that was read at these times; boot_us 0: not known. */
int64_t key_clock_time(const struct key_clock *k, int64_t wall_us, int64_t boot_us);
/* True if the key with that number may be deleted when it seems old enough. */
bool key_clock_trusts(const struct key_clock *k, int64_t n);

#endif
