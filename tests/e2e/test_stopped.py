# test_stopped.py - a relay that did not run for longer than delivery.timeout: a suspended virtual machine, a starved host
import collections
import signal
import time

import pytest

from lib.client import event
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
