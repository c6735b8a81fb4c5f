# test_field.py - endpoints as they are in the field: random failures, one bad server of two, rate limits, poison
#
# The same conditions are run with more cases in simulated time (tests/unit/test_field.c).
import random
import re
import threading
import time

import pytest

from lib.client import event
from lib.collector import Answer, Collector, status
from lib.daemons import Haproxy, NginxBalancer
from lib.relay import SANITIZED, wait_until

EVENTS, CLIENTS = 2000, 400
ANSWER_S = 0.05
TRIES = 3                        # of a run and the one beside it without failures: a machine that stalls is no defect
MOST_WAIT = 180 if SANITIZED else 60


def down_lines(relay):
    return re.findall(r" (?:warning|error): destination web: (?!\d+ of).*", relay.log)


def send(relay, n=EVENTS, clients=CLIENTS, name=lambda i: "fine"):
    with relay.client() as c:
        for i in range(0, n, 500):
            block = range(i, min(i + 500, n))
            c.send(*[event(name(j), client=f"{j % clients}.1", n=j) for j in block]).replies(len(block))


def drain(make_relay, collector, rule=None, n=EVENTS, clients=CLIENTS, share=1, **delivery):
    """Seconds that a share of n events takes, of which the endpoint takes ANSWER_S each; and the relay."""
    relay = make_relay(delivery={"max_requests": 16, "retry_min": "200ms", **delivery}).allow("destination web")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    send(relay, n, clients)
    before = collector.count()
    collector.rule = lambda r: (rule(r) if rule else None) or Answer(delay=ANSWER_S)
    began = time.monotonic()
    relay.ctl("resume", "web")
    wait_until(lambda: collector.count() - before >= share * n, "the events", MOST_WAIT)
    took = time.monotonic() - began
    relay.wait_empty()
    assert relay.states() == {}
    assert collector.count() - before == n
    relay.stop()
    return took, relay


def takes_at_most(times, make_relay, collector, rule, share=1):
    """As long as the same run without failures just before it."""
    for _ in range(TRIES):
        without, _ = drain(make_relay, collector, share=share)
        took, relay = drain(make_relay, collector, rule, share=share)
        print(f"{took:.2f} s against {without:.2f} s")
        assert down_lines(relay) == []
        if took <= times * without:
            return
    pytest.fail(f"{took:.2f} s against {without:.2f} s, at most {times} times as long are allowed")


def every(n, answer):
    lock, count = threading.Lock(), [0]

    def rule(_):
        with lock:
            count[0] += 1
            return answer if count[0] % n == 0 else None
    return rule


@pytest.mark.parametrize("n, times", [(200, 1.5), (100, 1.5), (20, 3), (5, 5)])
def test_failures_by_chance_cost_their_share(make_relay, collector, n, times):
    """One of n requests is answered 502 by the balancer."""
    takes_at_most(times, make_relay, collector, every(n, Answer(status=502, delay=ANSWER_S)))


def at_random(code, share=0.5):
    lock, dice = threading.Lock(), random.Random(code)

    def rule(_):
        with lock:
            bad = dice.random() < share
        return Answer(status=code, delay=ANSWER_S) if bad else None
    return rule


@pytest.mark.parametrize("code", [400, 403, 404, 413, 421, 500])
def test_one_bad_server_of_two(make_relay, collector, code):
    """For good: no event dies, the destination is never down, and nine tenths go at 0.4 of the rate at least: the last
    ones wait by themselves when chance sends them to the bad one."""
    takes_at_most(1 / 0.4, make_relay, collector, at_random(code), share=0.9)


@pytest.mark.parametrize("code", [400, 403, 413, 502])
def test_one_bad_server_that_is_mended(make_relay, collector, code):
    """Back to the full rate within two seconds: what the third second takes, a run without failures takes no faster.
    None dies."""
    for _ in range(TRIES):
        bad, times = at_random(code), []

        def rule(r):
            times.append(time.monotonic())
            return bad(r) if times[-1] < times[0] + 1 else None
        drain(make_relay, collector, rule, 4 * EVENTS, 4 * CLIENTS)
        third = sum(1 for t in times if 3 <= t - times[0] < 4)
        took, _ = drain(make_relay, collector, None, 2 * EVENTS, 2 * CLIENTS)
        print(f"{third} requests a second against {2 * CLIENTS / took:.0f}")
        if third >= 0.9 * 2 * CLIENTS / took:
            return
    pytest.fail(f"{third} requests in the third second after it was mended, {2 * CLIENTS / took:.0f} without failures")


def test_poisoned_clients_hold_up_no_others(make_relay, collector):
    """One client of ten is always answered 500: the innocents go at 0.7 of the rate at least."""
    clients = CLIENTS * 10 // 9
    poisoned = lambda i: i % clients % 10 == 0
    innocents = sum(1 for i in range(5 * clients) if not poisoned(i))
    for _ in range(TRIES):
        without, _ = drain(make_relay, collector)
        relay = make_relay(delivery={"max_requests": 16}).allow("destination web")
        relay.config["streams"] = [relay.stream(paused=True)]
        relay.start()
        send(relay, 5 * clients, clients, lambda i: "poison" if poisoned(i) else "fine")
        before = collector.count("fine")
        collector.rule = lambda r: Answer(status=500 if b"poison" in r.raw else 204, delay=ANSWER_S)
        began = time.monotonic()
        relay.ctl("resume", "web")
        wait_until(lambda: collector.count("fine") - before >= innocents, "the innocents", MOST_WAIT)
        rate = innocents / (time.monotonic() - began)
        print(f"{rate:.0f} events a second against {EVENTS / without:.0f}")
        assert "dead" not in relay.states()
        collector.rule = None
        relay.ctl("flush")
        relay.wait_empty(MOST_WAIT)
        relay.stop()
        if rate >= 0.7 * EVENTS / without:
            return
    pytest.fail(f"{rate:.0f} events a second, {EVENTS / without:.0f} without poison")


@pytest.mark.parametrize("kind", ["400", "500", "503", "hang-up", "timeout"])
@pytest.mark.parametrize("others", [True, False])
def test_poison_holds_its_neighbours_for_three_attempts(make_relay, collector, kind, others):
    """Of their batch, whatever the poison does, also when their batch is all there is."""
    release = threading.Event()
    bad = {"hang-up": Answer(close="after"), "timeout": Answer(hang=release)}.get(kind) or status(int(kind or 0))
    relay = make_relay(delivery={"linger": "300ms", "timeout": "500ms", "retry_max": "300ms"}).allow("destination web").start()
    collector.rule = lambda r: bad if b"poison" in r.raw else None
    with relay.client() as c:
        c.send(*[event("poison" if i == 13 else "fine", n=i) for i in range(25)]).replies(25)
        while collector.count("fine") < 24:
            if others:
                assert c.ask(event("other", client="2.1"))["ok"]
            time.sleep(0.05)
    whole = [r for r in collector.requests if len(r.events) == 25]
    assert 1 <= len(whole) <= 3
    assert relay.states().keys() <= {"queued", "inflight"}
    collector.rule = None
    release.set()
    relay.wait_empty()
    assert collector.count("poison") >= 1  # those that hung are answered at last, too


def test_the_last_poison_does_not_keep_later_events_waiting(make_relay, collector):
    """It alone is left and fails again and again; what comes now and then goes at once."""
    relay = make_relay(delivery={"retry_min": "1s", "retry_max": "60s"}).allow("destination web").start()
    collector.rule = lambda r: status(500) if b"poison" in r.raw else None
    with relay.client() as c:
        c.ask(event("poison", client="666.1"))

        def tried():
            assert c.ask(event("fine"))["ok"]
            return sum(1 for r in collector.requests if b"poison" in r.raw) >= 6
        wait_until(tried, "some tries")
        time.sleep(11)           # longer than a success speaks for the endpoint
        for i in range(3):
            began, n = time.monotonic(), collector.count("fine")
            assert c.ask(event("fine", n=i))["ok"]
            wait_until(lambda: collector.count("fine") > n, "the event")
            assert time.monotonic() - began < 1
    assert relay.status()["streams"][0]["state"] == "up"
    collector.rule = None
    relay.ctl("flush")
    relay.wait_empty()


@pytest.mark.parametrize("code", [400, 403, 429])
def test_a_rate_limit_buries_nothing(make_relay, collector, code):
    """So many requests in each tenth of a second, the others are refused without a Retry-After."""
    lock, slot = threading.Lock(), [0, 0]

    def rule(_):
        with lock:
            now = int(time.monotonic() * 10)
            slot[:] = [now, slot[1] + 1 if slot[0] == now else 1]
            return status(code) if slot[1] > 10 else None
    _, relay = drain(make_relay, collector, rule)
    assert "outcome=dead" not in relay.log


def test_the_reason_stays_whatever_is_delivered_meanwhile(make_relay, collector):
    """A 503 with Retry-After, and a 204 to what was in flight beside it."""
    release = threading.Event()
    relay = make_relay().allow("destination web").start()
    collector.rule = lambda r: status(503, retry_after=600) if b"busy" in r.raw else Answer(hang=release)
    with relay.client() as c:
        c.ask(event("slow", client="1.1"))
        wait_until(lambda: len(collector.requests) == 1, "the slow one")
        c.ask(event("busy", client="2.1"))
    wait_until(lambda: relay.status()["streams"][0]["state"] == "backing-off", "the pause")
    release.set()
    wait_until(lambda: collector.count("slow") == 1 and relay.states() == {"queued": 1}, "the slow one's delivery")
    stream, = relay.status()["streams"]
    assert (stream["state"], stream["last_error"]) == ("backing-off", "status 503")
    assert "down since" in relay.ctl_raw("status").stdout
    assert re.search(r"web is down since .*: status 503", relay.ctl_raw("doctor").stdout)
    collector.rule = None
    relay.ctl("flush")
    relay.wait_empty()


# ---- real balancers ----

@pytest.mark.parametrize("code", [403, 413, 500])
def test_nginx_with_one_bad_server_of_two(make_relay, collector, begin, code):
    bad = Collector()
    bad.rule = lambda r: status(code)
    balancer = begin(NginxBalancer, [collector.port, bad.port])
    relay = make_relay(balancer.url).allow("destination web").start()
    send(relay)
    wait_until(lambda: collector.count() == EVENTS, "all events", MOST_WAIT)
    relay.wait_empty()
    assert relay.states() == {} and len(bad.requests) > 10
    assert down_lines(relay) == []
    bad.down()


def test_haproxy_that_limits_the_rate(make_relay, collector, begin):
    """Its deny answers 403."""
    balancer = begin(Haproxy, collector.port, rate=20)
    relay = make_relay(balancer.url).allow("destination web").start()
    send(relay, 500, 100)
    wait_until(lambda: balancer.denied > 0, "a refusal")
    wait_until(lambda: collector.count() == 500, "all events", MOST_WAIT)
    relay.wait_empty()
    assert relay.states() == {}
