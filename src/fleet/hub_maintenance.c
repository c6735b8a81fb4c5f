/* hub_maintenance.c - what a hub does beside its events: compares clocks, deletes old keys and dead letters in the
 * engine
 */
#include <inttypes.h>

#include "base/parse.h"
#include "event/event_state.h"
#include "fleet/hub_private.h"
#include "fleet/hub_sql.h"

enum { FORGET_ROWS = 5000 /* per statement: the engine has other work */ };
static const int64_t clock_every_us = US_PER_MIN, forget_every_us = US_PER_MIN, clock_wrong_us = 10 * US_PER_MIN;

/* ---- clocks, and the oldest event: ages go by the engine's, as long as this host's agrees: one of two that differ
 * is wrong ---- */

static void log_clock(const struct hub *h, bool wrong)
{
	char text[32];
	int64_t us = h->clock_difference_us;

	us = (us < 0 ? -us : us) / US_PER_S * US_PER_S;
	if (wrong)
		log_error("fleet: this host's clock is %s %s of the database's: nothing is taken until they agree "
		          "within 10 minutes, because events would expire by a wrong clock",
		          format_duration(us, text), h->clock_difference_us < 0 ? "behind" : "ahead");
	else if (h->clock_wrong)
		log_info("fleet: this host's clock agrees with the database's again");
}

static void on_clock(void *arg, const struct pg_answer *answer)
{
	struct hub *h = arg;
	struct now now;
	bool wrong;

	h->clock_asked = false;
	if (answer->outcome == PG_REFUSED || pg_rows(answer) != 1)
		return;
	clock_now(&now);
	h->clock_difference_us = now.wall_us - pg_i64(answer, 0, 0);
	h->oldest_age_us = pg_is_null(answer, 0, 1) ? 0 : pg_i64(answer, 0, 0) - pg_i64(answer, 0, 1);
	wrong = h->clock_difference_us > clock_wrong_us || h->clock_difference_us < -clock_wrong_us;
	if (wrong != h->clock_wrong || (wrong && !h->clock_known))
		log_clock(h, wrong);
	h->clock_wrong = wrong;
	if (!wrong)
		delivery_set_lent_clock(h->delivery, pg_i64(answer, 0, 0) - now.boot_us);
	h->clock_known = true;
	loop_again(h->loop);
}

static void ask_clock(struct hub *h)
{
	if (h->clock_asked || h->now.mono_us < h->clock_at_us)
		return;
	pg_args_clear(&h->args);
	if (pg_send(h->pg, &SQL_HUB_CLOCK, &h->args, PG_ANY, on_clock, h) < 0)
		return;
	h->clock_asked = true;
	h->clock_at_us = h->now.mono_us + clock_every_us;
}

/* ---- what is old ---- */

static void on_forgotten(void *arg, const struct pg_answer *answer)
{
	struct hub *h = arg;
	bool more = answer->outcome == PG_COMMITTED && answer->affected == FORGET_ROWS;

	h->forgetting = false;
	if (answer->outcome == PG_REFUSED)
		hub_log_refused(h, "old keys cannot be deleted", answer);
	h->forget_turn += !more;
	h->forget_at_us = h->now.mono_us + (more || h->forget_turn % 2 ? US_PER_S / 10 : forget_every_us);
}

static void forget_old(struct hub *h)
{
	bool keys = h->forget_turn % 2 == 0;

	if (h->forgetting || h->now.mono_us < h->forget_at_us)
		return;
	pg_args_clear(&h->args);
	pg_arg_i64(&h->args, keys ? STATE_DELIVERED : STATE_DEAD);
	pg_arg_i64(&h->args, keys ? h->keep_keys_us : h->keep_dead_us);
	pg_arg_i64(&h->args, FORGET_ROWS);
	if (pg_send(h->pg, &SQL_HUB_FORGET, &h->args, PG_ANY, on_forgotten, h) == 0)
		h->forgetting = true;
}

void hub_maintenance(struct hub *h)
{
	ask_clock(h);
	if (!h->draining)
		forget_old(h);
}
