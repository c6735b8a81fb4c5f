"""test_gather.py - outcomes are committed together with new events: how many commits that takes, and what a crash costs"""
import re

import pytest

from lib.client import event
from lib.relay import wait_until

EVENTS = 40


def commits(relay):
    return int(re.search(r"^ga4relay_commit_duration_seconds_count (\d+)", relay.ctl_raw("metrics").stdout, re.M).group(1))


@pytest.mark.parametrize("gather, least, most", [("10s", 1, 1.25), ("0", 1.4, 3)])
def test_commits_an_event(make_relay, collector, gather, least, most):
    """One event after the other, each delivered before the next one comes."""
    relay = make_relay(outbox={"gather": gather}, delivery={"linger": "0"}).start()
    assert relay.ask(event())["ok"] # with it comes what a first event alone needs
    wait_until(lambda: collector.count() == 1, "its delivery")
    before = commits(relay)
    for n in range(EVENTS):
        assert relay.ask(event(client=f"{n}.1"))["ok"]
        wait_until(lambda n=n: collector.count() == n + 2, "its delivery")
    assert least * EVENTS <= commits(relay) - before <= most * EVENTS


def test_an_outcome_does_not_wait_for_ever(relay, collector):
    assert relay.ask(event())["ok"]
    wait_until(lambda: collector.count() == 1, "its delivery")
    wait_until(lambda: relay.states() == {}, "its commit", 5)


def test_what_waited_is_sent_again_after_a_kill_and_told(make_relay, collector):
    relay = make_relay(outbox={"gather": "10s"}).allow("sent twice", "cleanly").start()
    for n in range(10):
        assert relay.ask(event(client=f"{n}.1"))["ok"]
    wait_until(lambda: collector.count() == 10, "the delivery")
    relay.kill9()
    relay.start()
    relay.wait_empty()
    bound = int(re.search(r"at most (\d+) events may be sent twice", relay.log).group(1))
    assert 1 <= collector.count() - 10 <= min(bound, 64)


def test_a_clean_stop_commits_what_waits(make_relay, collector):
    relay = make_relay(outbox={"gather": "10s"}).start()
    for n in range(10):
        assert relay.ask(event(client=f"{n}.1"))["ok"]
    wait_until(lambda: collector.count() == 10, "the delivery")
    relay.restart()
    relay.wait_empty()
    assert relay.ask(event("last"))["ok"]
    wait_until(lambda: collector.count() == 11, "the last one")
    assert collector.count() == 11
