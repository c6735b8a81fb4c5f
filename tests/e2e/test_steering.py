# test_steering.py - pause, resume, hold, release, flush, retry, drop: what an operator says, and what survives a restart
import time

import pytest

from lib.client import event
from lib.collector import Answer, status
from lib.relay import wait_until


def put(relay, n=3, **kw):
    with relay.client() as c:
        return [r["id"] for r in c.send(*[event(n=i, **kw) for i in range(n)]).replies(n)]


def state(relay, name="web"):
    return next(s for s in relay.status()["streams"] if s["name"] == name)["state"]


def sent(collector):
    return sorted(e["params"]["n"] for e in collector.events)


def test_pause_is_per_stream(make_relay, collector):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), relay.stream(name="eu", measurement_id="G-EU")]
    relay.start()
    relay.ctl("pause", "web")
    assert (state(relay), state(relay, "eu")) == ("paused", "up")
    put(relay)
    with relay.client() as c:
        assert c.ask({**event("other"), "stream": "eu"})["ok"]
    wait_until(lambda: collector.count("other") == 1, "the other stream")
    wait_until(lambda: relay.states() == {"queued": 3}, "the other stream's event is settled")
    relay.restart()
    assert state(relay) == "paused"
    assert relay.states() == {"queued": 3}
    relay.ctl("pause")                    # all of them
    assert (state(relay), state(relay, "eu")) == ("paused", "paused")
    relay.ctl("resume")
    relay.wait_empty()
    assert collector.count("refund") == 3


def test_resume_overrides_the_file_and_survives(make_relay, collector):
    """The file says paused, the operator resumed; pause … until resume."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    put(relay, 1)
    assert relay.states() == {"queued": 1}
    relay.ctl("resume", "web")
    relay.wait_empty()
    relay.restart()
    put(relay, 1)
    relay.wait_empty()
    assert collector.count() == 2
    relay.ctl("pause", "web")
    relay.kill9()
    relay.allow("cleanly").start()
    assert state(relay) == "paused"       # acknowledged: survives a crash too


def test_pause_lets_what_is_in_flight_end(relay, collector):
    collector.next(Answer(delay=0.5))
    put(relay, 1)
    wait_until(lambda: collector.requests, "the request")
    relay.ctl("pause", "web")
    put(relay, 2)
    wait_until(lambda: relay.states() == {"queued": 2}, "the first one's outcome")
    assert collector.count() == 1
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert collector.count() == 3


def test_hold_and_release(make_relay, collector):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    ids = put(relay, 5)
    relay.ctl("hold", ids[1], ids[3])
    assert relay.states() == {"queued": 3, "held": 2}
    relay.ctl("resume", "web")
    wait_until(lambda: relay.states() == {"held": 2}, "the others are sent")
    assert sent(collector) == [0, 2, 4]
    relay.restart()                       # survives
    assert relay.states() == {"held": 2}
    assert [e["id"] for e in relay.list("--state", "held")] == [ids[1], ids[3]]
    relay.ctl("release", ids[1])
    wait_until(lambda: relay.states() == {"held": 1}, "the released one is sent")
    relay.ctl("release", ids[3])
    relay.wait_empty()
    assert sent(collector) == [0, 1, 2, 3, 4]


def test_flush_ends_the_linger(make_relay, collector):
    relay = make_relay(delivery={"linger": "60s"}).start()
    put(relay)
    assert not collector.requests
    relay.ctl("flush")
    relay.wait_empty()
    assert collector.count() == 3
    put(relay, 1)                         # only what was there: the next one lingers again
    assert relay.states() == {"queued": 1}
    relay.ctl("flush")
    relay.wait_empty()


def test_flush_ends_the_backoff(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "60s", "retry_max": "60s"}).allow("destination web").start()
    collector.next(status(503))
    put(relay)
    wait_until(lambda: state(relay) == "backing-off", "backing off")
    began = time.monotonic()
    relay.ctl("flush")
    relay.wait_empty()
    assert time.monotonic() - began < 5
    assert collector.count() == 3


def test_flush_does_not_open_a_window_on_a_down_destination(make_relay, collector):
    """It makes one probe, no storm; and the backoff goes on from where it was."""
    relay = make_relay(delivery={"retry_min": "60s", "retry_max": "60s"}).allow("destination web").start()
    collector.rule = lambda r: status(503)
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1", n=i) for i in range(200)]).replies(200)
    def waits():
        s = relay.status()["streams"][0]
        return s["state"] == "backing-off" and s["in_flight"] == 0

    wait_until(waits, "backing off")
    for _ in range(3):
        n = len(collector.requests)
        relay.ctl("flush")
        wait_until(lambda: len(collector.requests) > n and waits(), "its probe")
        assert len(collector.requests) == n + 1
    collector.rule = None
    relay.ctl("flush")
    relay.wait_empty()
    assert collector.count() == 200


@pytest.mark.parametrize("order", [("drop",), ("hold", "drop")])
def test_dropped_events_are_never_sent(make_relay, collector, order):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    ids = put(relay, 4)
    for command in order:
        relay.ctl(command, ids[2])
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert sent(collector) == [0, 1, 3]


def test_a_retried_dead_letter_keeps_its_id(make_relay, collector):
    relay = make_relay().allow("refused", "destination web").start()
    put(relay, 1)
    relay.wait_empty()
    collector.rule = lambda r: status(400) if b"poison" in r.raw else None
    with relay.client() as c:
        dead_id = c.ask(event("poison"))["id"]
        while relay.states().get("dead") != 1:   # a refusal is proved by what passes after it
            c.ask(event("fine"))
    collector.rule = None
    relay.ctl("retry", dead_id)
    relay.wait_empty()
    assert collector.count("poison") == 1
    assert relay.states() == {}


def test_retry_makes_a_waiting_event_due(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "60s", "retry_max": "60s"}).allow("destination web").start()
    collector.next(status(503))
    ids = put(relay, 1)
    wait_until(lambda: state(relay) == "backing-off", "backing off")
    relay.ctl("retry", ids[0])
    relay.ctl("flush")
    relay.wait_empty()
    assert collector.count() == 1
