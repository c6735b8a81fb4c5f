# test_clock.py - ga4relay(8), "Time", with clocks that the test steps while the relay runs (lib/clock_shim.c)
import re
import time
import warnings

import pytest

from lib.client import event, line
from lib.clock import SHIM, Clock
from lib.relay import wait_until

MIN, HOUR, DAY = 60, 3600, 86400
MICROS = 10**6
OUTAGE = "destination web"


@pytest.fixture
def timed(make_relay):
    """timed(...): a relay, not started, and its clock."""
    if not SHIM.exists():
        warnings.warn(f"{SHIM} IS MISSING: no test with a stepped clock was run (make e2e builds it)")
        pytest.skip("the clock cannot be stepped")

    def make(**changes):
        relay = make_relay(**changes)
        return relay, Clock(relay)

    return make


def put(relay, *names, **changes):
    with relay.client() as c:
        for name in names:
            r = c.ask({**event(name), **changes})
            assert r["ok"], r


def dead(relay):
    return {e["name"]: e["reason"] for e in relay.list("--state", "dead")}


def queued(relay):
    return {e["name"] for e in relay.list("--state", "queued")}


def test_the_shim_shifts_what_the_relay_sees(timed):
    relay, clock = timed()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    clock.step(-50 * DAY)
    put(relay, "then")
    (e,) = relay.list()
    assert abs(e["accepted_micros"] / MICROS - clock.now()) < 5
    assert relay.status()["uptime_s"] < 60
    clock.passes(HOUR)
    assert relay.status()["uptime_s"] >= HOUR


def test_steps_while_events_wait_lose_expire_and_delay_nothing(timed, collector):
    relay, clock = timed()
    relay.allow(OUTAGE)
    relay.start()
    collector.down()
    times = {}
    for name, step in [("first", 0), ("ahead", 100 * DAY), ("behind", -200 * DAY), ("right", 100 * DAY)]:
        clock.step(step)
        times[name] = clock.now()
        put(relay, name)
    status = relay.status()
    assert status["oldest_age_s"] < 60 and status["first_expiry_s"] > 71 * HOUR, status
    time.sleep(1.5)                       # a search for old events would have found them
    assert queued(relay) == set(times) and dead(relay) == {}
    collector.up()
    began = time.monotonic()
    relay.wait_empty()
    assert time.monotonic() - began < 10  # retry_max is one second: no wait became longer by a step
    assert relay.states() == {}
    got = {e["name"]: e["timestamp_micros"] / MICROS for e in collector.events}
    assert set(got) == set(times)
    assert all(abs(got[name] - times[name]) < 5 for name in times), (got, times)


@pytest.mark.parametrize("step", [30 * DAY, -30 * DAY])
def test_a_step_neither_ends_nor_stretches_a_wait(timed, collector, step):
    """Linger and backoff run on the monotonic clock."""
    relay, clock = timed(delivery={"linger": "2s"})
    relay.start()
    began = time.monotonic()
    put(relay, "lingering")
    clock.step(step)
    relay.wait_empty()
    assert 1.9 < collector.requests[0].at - began < 8


def test_expiry_and_its_warning(timed, collector):
    """Queued events expire, in paused and removed streams too, held ones only after their release; a retried one is
    exempt."""
    relay, clock = timed(delivery={"max_age": "1h"})
    relay.allow(OUTAGE, "past two thirds of delivery.max_age", "older than delivery.max_age and are dead letters",
                "not in the configuration")
    shop, old = (relay.stream(name=n, measurement_id=f"G-{n.upper()}000001") for n in ("shop", "old"))
    relay.config["streams"] = [relay.stream(), {**shop, "paused": True}, {**old, "paused": True}]
    relay.config["default_stream"] = "web"
    relay.start()
    collector.down()
    born = clock.now()
    put(relay, "plain", "kept")
    put(relay, "in_paused", stream="shop")
    put(relay, "in_removed", stream="old")
    kept, = [e["id"] for e in relay.list() if e["name"] == "kept"]
    wait_until(lambda: relay.ctl_raw("hold", kept).returncode == 0, "held, as soon as it is not in flight")
    relay.config["streams"] = relay.config["streams"][:2]
    relay.reload()
    clock.passes(39 * MIN)
    time.sleep(0.3)
    assert "two thirds" not in relay.log
    clock.passes(2 * MIN)
    wait_until(lambda: "warning: the oldest queued event is 41m old" in relay.log, "the warning")
    assert 0 < relay.status()["first_expiry_s"] <= 19 * MIN
    clock.passes(18 * MIN)
    time.sleep(1.2)
    assert dead(relay) == {}
    clock.passes(2 * MIN)
    wait_until(lambda: len(dead(relay)) == 3, "three dead letters")
    assert dead(relay) == dict.fromkeys(["plain", "in_paused", "in_removed"], "expired")
    assert [e["name"] for e in relay.list("--state", "held")] == ["kept"]
    assert relay.status()["dead"]["expired"] == 3
    wait_until(lambda: "older than delivery.max_age and are dead letters" in relay.log, "a line in the log")
    relay.ctl("release", *[e["id"] for e in relay.list("--state", "held")])
    wait_until(lambda: dead(relay).get("kept") == "expired", "the released one expires")
    ids = {e["id"] for e in relay.list("--state", "dead") if e["name"] in ("plain", "kept")}
    collector.up()
    relay.ctl("retry", *ids)
    wait_until(lambda: collector.count() == 2, "the retried ones arrive")
    assert {e["name"] for e in collector.events} == {"plain", "kept"}
    assert all(abs(e["timestamp_micros"] / MICROS - born) < 5 for e in collector.events)
    relay.wait_empty()
    assert set(dead(relay)) == {"in_paused", "in_removed"}


def test_a_retried_dead_letter_outlives_more_searches(timed, collector):
    relay, clock = timed(delivery={"max_age": "1h"})
    relay.allow(OUTAGE, "delivery.max_age")
    relay.start()
    collector.down()
    put(relay, "old")
    clock.passes(61 * MIN)
    wait_until(lambda: dead(relay), "a dead letter")
    relay.ctl("retry", "--dead")
    for _ in range(3):
        clock.passes(5 * HOUR)
        time.sleep(0.5)
    assert queued(relay) == {"old"} and dead(relay) == {}
    collector.up()
    relay.wait_empty()
    assert collector.count() == 1


SUSPENDED = "of 20 queued events would expire at once"


def stored(timed, n_old, n_new, gap=0):
    """A stopped relay with n_old events and, gap later, n_new."""
    relay, clock = timed()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    put(relay, *[f"old{i}" for i in range(n_old)])
    clock.passes(gap)
    put(relay, *[f"new{i}" for i in range(n_new)])
    assert relay.stop() == 0
    relay.config["streams"] = [relay.stream()]
    return relay, clock


def test_a_tenth_at_start_waits_ten_minutes_and_then_expires(timed, collector):
    relay, clock = stored(timed, 2, 18)
    relay.allow(SUSPENDED, "expiry goes on", "delivery.max_age")
    clock.step(100 * HOUR)                # a machine that booted with a wrong clock
    relay.start()
    wait_until(lambda: SUSPENDED in relay.log, "the loud word")
    assert re.search(r"error: 20 " + SUSPENDED, relay.log)
    clock.passes(9 * MIN)
    time.sleep(1.2)
    assert len(queued(relay)) == 20 and dead(relay) == {} and collector.count() == 0
    clock.passes(2 * MIN)
    wait_until(lambda: len(dead(relay)) == 20, "twenty dead letters")
    assert set(dead(relay).values()) == {"expired"}
    assert "expiry goes on" in relay.log and collector.count() == 0


def test_a_clock_put_right_within_ten_minutes_saves_all(timed, collector):
    relay, clock = stored(timed, 2, 18)
    relay.allow(SUSPENDED, "expiry goes on")
    clock.step(100 * HOUR)
    relay.start()
    wait_until(lambda: SUSPENDED in relay.log, "the loud word")
    clock.step(-100 * HOUR)
    clock.passes(11 * MIN)
    relay.wait_empty()
    assert collector.count() == 20 and dead(relay) == {}


@pytest.mark.parametrize("n_new, at_once", [(18, False), (19, True)])
def test_the_tenth_is_a_tenth(timed, collector, n_new, at_once):
    """2 of 20 wait, 2 of 21 do not."""
    relay, clock = stored(timed, 2, n_new, gap=70 * HOUR)
    relay.allow(r"queued events would expire at once", "delivery.max_age")
    clock.passes(3 * HOUR)
    relay.start()
    if at_once:
        wait_until(lambda: len(dead(relay)) == 2, "two dead letters")
        assert set(dead(relay)) == {"old0", "old1"} and "would expire at once" not in relay.log
    else:
        wait_until(lambda: "2 of 20 queued events would expire at once" in relay.log, "the loud word")
    wait_until(lambda: collector.count() == n_new, "the young ones are delivered")
    assert {e["name"] for e in collector.events} == {f"new{i}" for i in range(n_new)}
    assert queued(relay) == (set() if at_once else {"old0", "old1"})


def test_the_window_at_intake_follows_the_clock(timed):
    relay, clock = timed(validation="strict")
    relay.allow("past two thirds of delivery.max_age")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    clock.step(-40 * DAY)
    now = int(clock.now() * MICROS)
    second = MICROS
    with relay.client() as c:
        def ask(t):
            r = c.ask(line({**event(), "timestamp_micros": t}))
            return "ok" if r["ok"] else r["code"]
        assert ask(now - 72 * HOUR * second + 10 * second) == "ok"
        assert ask(now - 72 * HOUR * second - second) == "TIMESTAMP_EXPIRED"
        assert ask(str(now + 300 * second - second)) == "ok"
        assert ask(now + 300 * second + 10 * second) == "VALUE_OUT_OF_BOUNDS"
        assert ask(int(time.time() * MICROS)) == "VALUE_OUT_OF_BOUNDS"
    wait_until(lambda: "oldest queued event is 71h old" in relay.log, "the warning, in hours")


def test_with_validation_off_the_outbox_keeps_the_window(timed, collector):
    """Nothing is refused for its time; what is too old is found among the dead letters."""
    relay, clock = timed(validation="off")
    relay.allow("delivery.max_age")
    relay.start()
    now = int(clock.now() * MICROS)
    put(relay, "old", timestamp_micros=now - 73 * HOUR * MICROS)
    put(relay, "ahead", timestamp_micros=now + HOUR * MICROS)
    put(relay, "unreadable", timestamp_micros="yesterday")
    wait_until(lambda: dead(relay) == {"old": "expired"} and collector.count() == 2, "one dead, two sent")
    got = {e["name"]: e["timestamp_micros"] for e in collector.events}
    assert got["ahead"] == now + HOUR * MICROS and abs(got["unreadable"] - now) < 60 * MICROS


def keyed(relay, key="k"):
    """Does the relay know it already?"""
    r = relay.ask({**event(), "dedup_key": key})
    assert r["ok"], r
    return r.get("duplicate", False)


def settle_keys(relay):
    """The writer looks at the clock after each commit, the first of which it may have made before the step."""
    for i in range(3):
        relay.ask(event(n=i))
    time.sleep(0.3)


@pytest.mark.parametrize("step", [40 * DAY, -40 * DAY])
@pytest.mark.parametrize("restart", [False, True])
def test_a_key_is_remembered_for_its_window_whatever_the_clock_says(timed, step, restart):
    """Not forgotten at once, and not kept until the wrong date is over."""
    relay, clock = timed(outbox={"dedup_window": "1h"})
    relay.start()
    assert not keyed(relay, "before")
    clock.step(step)
    assert keyed(relay, "before")
    assert not keyed(relay, "after")
    settle_keys(relay)
    if restart:
        relay.restart()
    clock.passes(50 * MIN)
    settle_keys(relay)
    assert keyed(relay, "before") and keyed(relay, "after")
    clock.step(-step)
    settle_keys(relay)
    if restart:
        relay.restart()
    assert keyed(relay, "before") and keyed(relay, "after")
    clock.passes(11 * MIN)
    settle_keys(relay)
    assert not keyed(relay, "before") and not keyed(relay, "after")


def reboot(relay, clock, wrong_by):
    """The clocks that only run forward begin anew; the wall clock is wrong."""
    assert relay.stop() == 0
    clock.forward_ns = -60 * 10**9
    clock.step(wrong_by)
    relay.start()


@pytest.mark.parametrize("wrong_by", [0, 400 * DAY, -400 * DAY])
def test_after_a_reboot_keys_wait_for_a_clock_that_is_put_right(timed, wrong_by):
    relay, clock = timed(outbox={"dedup_window": "1h"})
    relay.start()
    assert not keyed(relay, "before")
    clock.passes(5 * MIN)
    reboot(relay, clock, wrong_by)
    assert keyed(relay, "before")
    assert not keyed(relay, "after")
    clock.passes(5 * MIN)
    clock.step(-wrong_by)
    settle_keys(relay)
    clock.passes(6 * MIN)
    settle_keys(relay)
    assert keyed(relay, "before") and keyed(relay, "after")
    clock.passes(55 * MIN)
    settle_keys(relay)
    assert not keyed(relay, "before") and not keyed(relay, "after")


def test_a_key_from_a_clock_that_was_ahead_is_kept_for_one_window(timed):
    """It was accepted a year ahead, and the next boot has the right date."""
    relay, clock = timed(outbox={"dedup_window": "1h"})
    clock.step(400 * DAY)
    relay.start()
    assert not keyed(relay)
    reboot(relay, clock, -400 * DAY)
    assert keyed(relay)
    clock.passes(11 * MIN)
    settle_keys(relay)
    assert keyed(relay)
    clock.passes(61 * MIN)
    settle_keys(relay)
    assert not keyed(relay)
