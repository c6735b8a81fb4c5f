# test_stopped.py - a relay that did not run for longer than delivery.timeout: a suspended virtual machine, a starved host
import collections
import signal
import threading
import time

import pytest

from lib.client import event
from lib.collector import Answer
from lib.daemons import Nginx2
from lib.relay import wait_until
from lib.wire import RawServer

REQUESTS = 20


@pytest.mark.parametrize("tls", [False, True])
def test_answers_that_wait_are_read_before_time_outs_count(make_relay, certs, begin, tls):
    """Every answer came while the process stood still. None of the requests is a time-out, nothing is sent twice."""
    answers = []

    def on_conn(conn):
        while conn.request():
            time.sleep(0.3)      # the relay is stopped by then
            conn.answer()
            answers.append(1)

    server = begin(RawServer, on_conn, tls=certs.context() if tls else None)
    relay = make_relay(server.tls_url if tls else server.url, delivery={"timeout": "1s", "ca_file": certs.ca})
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1", n=i) for i in range(REQUESTS)]).replies(REQUESTS)
    relay.ctl("resume", "web")
    wait_until(lambda: len(server.bodies) >= 4, "requests in flight")
    relay.signal(signal.SIGSTOP)
    assert len(server.bodies) > len(answers)
    time.sleep(2.5)              # more than twice the time-out
    wait_until(lambda: len(answers) == len(server.bodies), "the answers")
    relay.signal(signal.SIGCONT)
    relay.wait_empty()
    assert "timeout" not in relay.log
    assert len(server.bodies) == REQUESTS
    assert max(collections.Counter(server.bodies).values()) == 1


def test_answers_that_wait_are_read_before_a_shutdown_cuts_off(make_relay, begin):
    """The time to drain is over when the process runs again, and the answers are there."""
    go = threading.Event()

    def on_conn(conn):
        while conn.request():
            go.wait(60)
            conn.answer()

    server = begin(RawServer, on_conn)
    relay = make_relay(server.url, delivery={"drain_timeout": "1s"})
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1", n=i) for i in range(4)]).replies(4)
    relay.ctl("resume", "web")
    wait_until(lambda: len(server.bodies) == 4, "requests in flight")
    relay.signal(signal.SIGTERM)
    assert relay.notified("STOPPING=1")
    relay.signal(signal.SIGSTOP)
    go.set()
    wait_until(lambda: server.answered == 4, "the answers")
    time.sleep(1.5)              # longer than drain_timeout
    relay.signal(signal.SIGCONT)
    assert relay.wait_exit() == 0
    assert "maybe-sent" not in relay.log
    assert relay.sql("select count(*) from event") == [(0,)]


def test_answers_over_http2_that_wait_are_read_too(make_relay, begin, certs, collector):
    """All of them come on one connection."""
    server = begin(Nginx2, certs, collector.port)
    relay = make_relay(server.url, delivery={"timeout": "1s", "ca_file": certs.ca, "http2": True}).start()
    assert relay.ask(event(client="0.1"))["ok"]
    relay.wait_empty()           # the connection is there
    collector.rule = lambda r: Answer(delay=0.3)
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1") for i in range(1, REQUESTS)]).replies(REQUESTS - 1)
    wait_until(lambda: len(collector.requests) >= 4, "requests in flight")
    relay.signal(signal.SIGSTOP)
    assert len(collector.accepted) < len(collector.requests)
    time.sleep(2.5)
    wait_until(lambda: len(collector.accepted) == len(collector.requests), "the answers")
    relay.signal(signal.SIGCONT)
    relay.wait_empty()
    assert "timeout" not in relay.log and "maybe-sent" not in relay.log
    assert len(collector.requests) == REQUESTS
