# test_shutdown.py - SIGTERM under load, twice, and with an endpoint that hangs: nothing lost, nothing settled sent again
import collections
import signal
import threading
import time

import pytest

from lib.client import event
from lib.collector import Answer
from lib.relay import wait_until


class Writer(threading.Thread):
    """Writes numbered events until the connection ends; knows which were acknowledged."""

    def __init__(self, relay):
        super().__init__(daemon=True)
        self.relay, self.acked, self.n = relay, set(), 0
        self.start()

    def run(self):
        try:
            with self.relay.client() as c:
                while True:
                    first = self.n
                    self.n += 50
                    c.send(*[event(client=f"{i % 20}.1", n=i) for i in range(first, self.n)])
                    for i in range(first, self.n):
                        if c.reply()["ok"]:
                            self.acked.add(i)
        except (OSError, EOFError, ValueError):
            pass


def times(collector):
    return collections.Counter(e["params"]["n"] for e in collector.events)


def test_sigterm_under_load(make_relay, collector):
    """What is in flight is finished, the rest stays queued; a restart sends that and nothing else."""
    collector.rule = lambda r: Answer(delay=0.3)
    relay = make_relay(delivery={"max_requests": 4}).start()
    w = Writer(relay)
    wait_until(lambda: len(collector.requests) >= 8 and len(w.acked) > 500, "a load")
    began = time.monotonic()
    assert relay.stop() == 0
    took = time.monotonic() - began
    w.join()
    assert took < 5, took                 # one answer's delay, far below drain_timeout
    assert all(r.answered == 204 for r in collector.requests)  # none was cut off
    before = times(collector)
    assert max(before.values()) == 1
    assert len(before) < len(w.acked)     # there was a rest
    relay.change(streams=[relay.stream(paused=True)])
    relay.start()
    assert relay.states()["queued"] >= len(w.acked) - len(before)
    assert not any(e["maybe_sent"] for e in relay.list())
    assert relay.status()["maybe_twice"] == 0
    collector.rule = None
    relay.ctl("resume", "web")
    relay.wait_empty()
    after = times(collector)
    assert w.acked <= set(after)
    assert max(after.values()) == 1


def test_sigterm_again_and_again(make_relay, collector):
    """Ten restarts under load, with answers that take their time."""
    collector.rule = lambda r: Answer(delay=0.02)
    relay = make_relay()
    acked = 0
    for _ in range(10):
        relay.start()
        w = Writer(relay)
        target = len(collector.requests) + 5
        wait_until(lambda: len(collector.requests) >= target and w.acked, "some delivery")
        assert relay.stop() == 0
        w.join()
        acked += len(w.acked)
    collector.rule = None
    relay.start()
    relay.wait_empty()
    # numbers repeat with each writer: count events, not numbers
    assert collector.count() >= acked
    assert collector.count() == len({(e["params"]["n"], e["timestamp_micros"]) for e in collector.events})


def hung(make_relay, collector, **delivery):
    release = threading.Event()
    collector.rule = lambda r: Answer(hang=release)
    relay = make_relay(delivery=delivery).allow("second signal", "after delivery.drain_timeout are cut off").start()
    with relay.client() as c:
        assert all(r["ok"] for r in c.send(*[event(client=f"{i}.1", n=i) for i in range(50)]).replies(50))
    wait_until(lambda: len(collector.requests) >= 4, "requests in flight")
    return relay, release


def resumes(relay, collector, release):
    """What was cut off is queued and marked, what was never sent is not marked; all arrive."""
    hanging = {e["params"]["n"] for r in collector.requests for e in r.events}
    collector.rule = None
    release.set()
    relay.change(streams=[relay.stream(paused=True)])
    relay.start()
    marked = {e["client"].split(".")[0] for e in relay.list() if e["maybe_sent"]}
    assert marked == {str(n) for n in hanging}
    assert relay.states() == {"queued": 50}
    n = len(collector.requests)
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert sorted(e["params"]["n"] for r in collector.requests[n:] for e in r.events) == list(range(50))


def test_drain_timeout_ends_it(make_relay, collector):
    relay, release = hung(make_relay, collector, drain_timeout="500ms", timeout="60s")
    began = time.monotonic()
    assert relay.stop() == 0
    assert 0.45 < time.monotonic() - began < 5
    resumes(relay, collector, release)


def test_a_second_sigterm_stops_at_once(make_relay, collector):
    relay, release = hung(make_relay, collector, drain_timeout="60s", timeout="60s")
    relay.signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in relay.log, "the first one's word")
    assert relay.alive()
    began = time.monotonic()
    relay.signal(signal.SIGTERM)
    relay.wait_exit(15)
    assert time.monotonic() - began < 3
    assert relay.process.returncode == 0
    resumes(relay, collector, release)


def test_a_backoff_does_not_delay_the_stop(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "60s", "retry_max": "60s", "drain_timeout": "60s"}).allow("destination web").start()
    collector.down()
    assert relay.ask(event(n=1))["ok"]
    wait_until(lambda: "destination web" in relay.log, "a failure")
    began = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - began < 3
    collector.up()
    relay.start()                         # and a restart forgets the backoff: everything is due
    relay.wait_empty()
    assert times(collector) == {1: 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_probe_storm_at_the_stop(make_relay, collector, number):
    """A drain does not use its time to push a backlog out."""
    relay = make_relay(delivery={"max_requests": 2}).start()
    collector.rule = lambda r: Answer(delay=0.1)
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1", n=i) for i in range(500)]).replies(500)
    wait_until(lambda: len(collector.requests) >= 4, "some requests")
    relay.signal(number)
    began = time.monotonic()
    assert relay.wait_exit() == 0
    assert time.monotonic() - began < 3
    assert len(collector.requests) < 100
    collector.rule = None
    relay.start()
    relay.wait_empty()
    assert times(collector) == {i: 1 for i in range(500)}
