# test_quiet.py - an idle relay costs nothing: what a busy time needed goes back to the system, and nothing wakes up
import re
import threading
import time
from pathlib import Path

import pytest

from lib.client import event
from lib.collector import Answer
from lib.heap import Heap
from lib.relay import SANITIZED, wait_until
from lib.tls import free_port

EVENTS = 30000
AT_ONCE = 24
RESIDENT_MUCH_KIB = 48 << 10  # up to here a busy relay keeps what it has (daemon.c); 32 bits come hardly so far


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what was freed")
def test_a_quiet_relay_gives_memory_back(paused):
    with paused.client() as c:
        for i in range(0, EVENTS, 1000):
            c.send(*[event(client=f"{i}.1", note="x" * 90, n=j) for j in range(i, i + 1000)])
            assert all(r["ok"] for r in c.replies(1000))
    paused.ctl("drop", "ALL", "--yes")
    busy = paused.rss_kib()
    wait_until(lambda: paused.rss_kib() < busy * 3 / 4, f"less than three quarters of {busy} KiB")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has a malloc of its own")
def test_what_is_read_back_takes_the_room_of_what_was_accepted(paused, collector):
    """The scheduler's window is full twice: of events as they were accepted, then of others from the disk."""
    with paused.client() as c:
        for i in range(0, 2 * EVENTS, 1000):
            c.send(*[event(client=f"{i % 20}.1", note="x" * 90, n=j) for j in range(i, i + 1000)])
            assert all(r["ok"] for r in c.replies(1000))
    full = paused.allow("status 503").rss_kib()
    delivered = EVENTS / 25  # requests: more events than the window holds
    collector.rule = lambda _: Answer(status=204 if len(collector.requests) < delivered else 503)
    paused.ctl("resume")
    wait_until(lambda: paused.status()["streams"][0]["state"] == "backing-off", "what was accepted is delivered")
    most = max(full + (8 << 10), RESIDENT_MUCH_KIB)
    with paused.client() as c:  # it is never quiet
        wait_until(lambda: c.ask(event())["ok"] and paused.rss_kib() < most, f"{most} KiB, after {full} with what was accepted")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has a malloc of its own")
def test_what_a_burst_of_requests_needed_is_freed(make_relay, collector):
    """24 requests at once, of 30 KB each: their buffers, libcurl's handles. What connections need stays with them."""
    relay, answers = make_relay(delivery={"max_requests": AT_ONCE, "linger": "1ms"}), threading.Event()
    heap = Heap(relay)
    relay.start()
    with relay.client() as c:
        def as_many_at_once():
            c.send(*[event(client=f"{i}.1") for i in range(100)])
            assert all(r["ok"] for r in c.replies(100))
            return relay.status()["streams"][0]["window"] == AT_ONCE

        wait_until(as_many_at_once, f"a window of {AT_ONCE} requests")
        relay.wait_empty()
        before, collector.rule = len(collector.requests), lambda _: Answer(hang=answers)
        for i in range(AT_ONCE):
            c.send(*[event(client=f"{i}.1", **{f"p{k}": "x" * 90 for k in range(10)}) for _ in range(25)])
            assert all(r["ok"] for r in c.replies(25))
    wait_until(lambda: len(collector.requests) == before + AT_ONCE, "requests at once")
    answers.set()
    relay.wait_empty()
    busy = heap.kib()
    wait_until(lambda: heap.kib() < busy - AT_ONCE * 30, f"30 KiB a request less than {busy}")


def wake_ups(relay):
    """How often a thread of the relay was switched to."""
    return sum(int(n) for task in Path(f"/proc/{relay.pid}/task").iterdir()
               for n in re.findall(r"_switches:\s+(\d+)", (task / "status").read_text()))


def is_asleep(relay, seconds):
    before = wake_ups(relay)
    time.sleep(seconds)
    return wake_ups(relay) == before


def test_an_idle_relay_sleeps(make_relay):
    """Its doors, a page that nobody has open and a kept connection to the endpoint cost no wake-up; what ticks report is not lost."""
    door, metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
    relay = make_relay(http={"listen": door, "metrics": metrics, "page": True}).start()
    wait_until(lambda: is_asleep(relay, 5), "a relay that has just started to fall asleep")
    with relay.client() as c:
        c.send(*[event() for _ in range(600)])
        assert all(r["ok"] for r in c.replies(600))
    relay.wait_empty()
    wait_until(lambda: is_asleep(relay, 5), "a relay that has delivered to fall asleep", 180)
    slept = time.monotonic()
    first = relay.status()["rates"]
    wait_until(lambda: is_asleep(relay, 5), "a relay that was asked to fall asleep")
    then = relay.status()["rates"]
    faded = time.monotonic() - slept
    assert 0 < then["in_1m"] < first["in_1m"] * (1 - faded / 120), (first, then, faded)
