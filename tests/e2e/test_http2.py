# test_http2.py - delivery.http2 against nghttpd and nginx: early answers, GOAWAY, limits of streams, idle closes
import collections
import re
import time

import pytest

from lib import h2
from lib.client import event
from lib.collector import Answer
from lib.daemons import Nghttpd, Nginx2
from lib.relay import wait_until

CLIENTS = 50


def h2_relay(make_relay, server, certs, **delivery):
    return make_relay(server.url, delivery={"http2": True, "ca_file": certs.ca, **delivery}, validation="off",
                      outbox={"keep_delivered": "1h"})


def pour(relay, n, blob=0):
    """n events of many clients, some with big bodies; their ids."""
    with relay.client() as c:
        c.send(*[event(client=f"{i % CLIENTS}.1", n=i, blob="x" * (blob if i % 3 == 0 else 1)) for i in range(n)])
        replies = c.replies(n)
    assert all(r["ok"] for r in replies)


def exactly_once(collector, n):
    got = collections.Counter(e["params"]["n"] for e in collector.events)
    assert set(got) == set(range(n))
    assert max(got.values()) == 1, [k for k, v in got.items() if v > 1]


@pytest.mark.parametrize("blob", [300, 20000, 120000])
def test_nghttpd(make_relay, certs, begin, blob):
    server = begin(Nghttpd, certs)
    relay = h2_relay(make_relay, server, certs).start()
    pour(relay, 1000 if blob < 100000 else 300, blob)
    relay.wait_empty()
    assert relay.states() == {"delivered": 1000 if blob < 100000 else 300}
    assert not any(e["maybe_sent"] for e in relay.list("--state", "delivered"))
    assert server.requests >= 40


@pytest.mark.parametrize("kind", [Nghttpd, Nginx2])
@pytest.mark.parametrize("blob", [1, 3000, 20000, 120000])
def test_an_answer_before_the_body_was_read(make_relay, certs, begin, kind, blob):
    """nghttpd: 200, END_STREAM and RST_STREAM in one write; nginx: 204, then RST_STREAM. libcurl 7.88 forgets such heads
    (error 92, empty replies) and lets streams stall. Neither loses, neither repeats, neither stalls, neither flaps."""
    server = begin(kind, certs, **({"early": True} if kind is Nghttpd else {}))
    relay = h2_relay(make_relay, server, certs).change(log={"level": "debug"}).start()
    n = 600 if blob < 100000 else 300    # less than nghttpd bears of resets, or nginx of requests, on one connection
    pour(relay, n, blob)
    relay.wait_empty()
    assert relay.states() == {"delivered": n}
    metrics = relay.ctl_raw("metrics").stdout
    requests = {k: int(v) for k, v in re.findall(r'requests_total\{stream="web",outcome="(\S+)"\} ([1-9]\d*)', metrics)}
    assert set(requests) == {"delivered"}
    wait_until(lambda: server.requests >= requests["delivered"], "the server's log")
    assert server.requests == requests["delivered"]
    assert not any(e["maybe_sent"] for e in relay.list("--state", "delivered"))
    assert relay.status()["streams"][0]["last_error"] in (None, "")
    slowest = max(int(x) for x in re.findall(r" ms=(\d+) ", relay.log))
    assert slowest < 5000, slowest        # a stall lasts for delivery.timeout, ten seconds


def test_nginx_in_front_of_a_collector(make_relay, certs, begin, collector):
    """Everything once, over few connections."""
    server = begin(Nginx2, certs, collector.port)
    relay = h2_relay(make_relay, server, certs).start()
    pour(relay, 2000)
    relay.wait_empty()
    exactly_once(collector, 2000)
    assert {r.headers["x-protocol"].split()[0] for r in collector.requests} == {"HTTP/2.0"}
    assert len({x[1] for x in server.access}) <= 4


def test_goaway(make_relay, certs, begin, collector):
    """nginx says GOAWAY after every ten requests: no event lost, none twice."""
    server = begin(Nginx2, certs, collector.port, "keepalive_requests 10;")
    relay = h2_relay(make_relay, server, certs).start()
    pour(relay, 2000)
    relay.wait_empty()
    exactly_once(collector, 2000)
    assert relay.states() == {"delivered": 2000}
    assert len({x[1] for x in server.access}) >= len(server.access) // 10


@pytest.mark.parametrize("streams", [1, 3])
def test_few_concurrent_streams(make_relay, certs, begin, collector, streams):
    """A server that allows fewer streams than requests would go: they queue up or use more connections."""
    collector.rule = lambda r: Answer(delay=0.02)
    server = begin(Nginx2, certs, collector.port, f"http2_max_concurrent_streams {streams};")
    relay = h2_relay(make_relay, server, certs).start()
    pour(relay, 1000)
    relay.wait_empty()
    exactly_once(collector, 1000)         # a refused stream was not looked at: that is no duplicate


def test_few_concurrent_streams_at_nghttpd(make_relay, certs, begin):
    server = begin(Nghttpd, certs, False, 2)
    relay = h2_relay(make_relay, server, certs).start()
    pour(relay, 1000)
    relay.wait_empty()
    assert relay.states() == {"delivered": 1000}


def test_idle_close(make_relay, certs, begin, collector):
    """The server closes what idled for a second; the next event goes out at once, once."""
    server = begin(Nginx2, certs, collector.port, "keepalive_timeout 1s;")
    relay = h2_relay(make_relay, server, certs, retry_min="10s", retry_max="10s").start()
    for i in range(3):
        began = time.monotonic()
        assert relay.ask(event(n=i))["ok"]
        relay.wait_empty()
        assert time.monotonic() - began < 5
        if i < 2:
            time.sleep(1.2)               # the idling itself
    exactly_once(collector, 3)
    assert len({x[1] for x in server.access}) == 3


@pytest.mark.parametrize("http2", [True, False])
def test_a_server_that_restarts(make_relay, certs, begin, collector, http2):
    """Every kept connection dies at once, again and again, under load: nothing is lost."""
    server = begin(Nginx2, certs, collector.port)
    relay = h2_relay(make_relay, server, certs, http2=http2).allow("destination web").start()
    collector.rule = lambda r: Answer(delay=0.005)
    for i in range(4):
        with relay.client() as c:
            assert all(r["ok"] for r in c.send(*[event(client=f"{j % CLIENTS}.1", n=i * 500 + j) for j in range(500)])
                       .replies(500))
        wait_until(lambda: collector.count() >= i * 500 + 50, "some of them")
        server.kill()
        server.run(*server.args)
    relay.wait_empty()
    got = collections.Counter(e["params"]["n"] for e in collector.events)
    assert set(got) == set(range(2000))
    twice = {k for k, v in got.items() if v > 1}
    marked = {e["id"] for e in relay.list("--state", "delivered") if e["maybe_sent"]}
    assert len(twice) <= len(marked)      # a duplicate is always one that was said to be possible


def test_http2_is_not_forced_on_a_server_without(make_relay, certs, make_tls, collector):
    tls = make_tls()
    relay = make_relay(tls.url, delivery={"http2": True, "ca_file": tls.ca}).start()
    assert relay.ask(event(n=0))["ok"]
    relay.wait_empty()
    exactly_once(collector, 1)
    assert collector.requests[0].headers["x-protocol"].startswith("HTTP/1.1")


# ---- what a server says of streams that it did not look at ----

def requests_by_outcome(relay):
    return {k: int(v) for k, v in re.findall(r'requests_total\{stream="web",outcome="(\S+)"\} ([1-9]\d*)',
                                             relay.ctl_raw("metrics").stdout)}


def waiting_for(relay, n, ambiguous="retry"):
    """A relay whose n events, of as many clients, all wait to go at once."""
    relay.config["streams"] = [relay.stream(paused=True, ambiguous=ambiguous)]
    relay.start()
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1", n=i) for i in range(n)]).replies(n)
    return relay


def answer(server, stream):
    return h2.head(stream, 204)


def test_a_burst_keeps_to_one_stream_until_the_limit_is_known(make_relay, certs, begin):
    """A server that takes one stream a connection refuses what a burst would start on a new one."""
    server = begin(h2.Http2, certs, None, answer, {h2.MAX_CONCURRENT_STREAMS: 1})
    relay = waiting_for(h2_relay(make_relay, server, certs), 200, "park")
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert relay.states() == {"delivered": 200}
    assert requests_by_outcome(relay) == {"delivered": 200}
    assert len(server.bodies) == 200 == len(server.starts)
    assert not any(e["maybe_sent"] for e in relay.list("--state", "delivered"))


def test_a_refused_stream_is_not_ambiguous(make_relay, certs, begin):
    """REFUSED_STREAM to the first request of a connection: not looked at; the destination waits, nothing is parked.
    Of later ones libcurl does not tell it from a connection that died."""
    refused = []

    def on_body(server, stream):
        if not refused:
            refused.append(stream)
            server.bodies.pop()
            return h2.reset(stream, h2.REFUSED_STREAM)
        return h2.head(stream, 204)

    server = begin(h2.Http2, certs, None, on_body)
    relay = waiting_for(h2_relay(make_relay, server, certs), 1, "park").allow("destination web")
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert relay.states() == {"delivered": 1}
    assert len(refused) == 1 and len(server.bodies) == 1
    assert not any(e["maybe_sent"] for e in relay.list("--state", "delivered"))
    assert "refused the request's stream" in relay.log


def test_goaway_with_requests_in_flight(make_relay, certs, begin):
    """Each connection answers ten and goes away while others are in flight: those go again at once. libcurl does not tell
    them from those that were looked at."""
    def on_head(server, stream):
        if stream <= 19:
            return h2.head(stream, 204) if stream < 19 else h2.head(stream, 204) + h2.goaway(19)
        return None

    server = begin(h2.Http2, certs, on_head)
    relay = waiting_for(h2_relay(make_relay, server, certs), 300)
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert relay.states() == {"delivered": 300}
    outcomes = requests_by_outcome(relay)
    assert outcomes["delivered"] == 300 and set(outcomes) <= {"delivered", "retry-now"}
    assert server.n_conns < 60            # one for ten requests, not one for each


def test_events_beyond_a_goaway_are_maybe_sent(make_relay, certs, begin):
    """Three and more in flight beyond its last stream: they go again at once. libcurl's interface does not tell that the
    server looked at none of them."""
    unanswered = []

    def on_body(server, stream):
        if server.n_conns > 1 or stream == 1:
            return h2.head(stream, 204)
        unanswered.append(stream)
        return h2.goaway(1) if len(unanswered) == 3 else None

    server = begin(h2.Http2, certs, None, on_body)
    relay = waiting_for(h2_relay(make_relay, server, certs), 50)
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert len(unanswered) >= 3
    assert relay.states() == {"delivered": 50}
    assert set(requests_by_outcome(relay)) == {"delivered", "retry-now"}
    maybe = [e for e in relay.list("--state", "delivered", "--limit", "0") if e["maybe_sent"]]
    assert 3 <= len(maybe) < 50


def test_a_reset_stream_is_ambiguous_and_no_dead_connection(make_relay, certs, begin):
    """INTERNAL_ERROR after the body, on a connection that lives: the destination backs off; no endless quick repeats."""
    fine = [5]

    def on_body(server, stream):
        fine[0] -= 1
        return h2.head(stream, 204) if fine[0] >= 0 else h2.reset(stream, h2.INTERNAL_ERROR)

    server = begin(h2.Http2, certs, None, on_body)
    relay = h2_relay(make_relay, server, certs, max_requests=1).allow("destination web").start()
    for i in range(5):
        relay.ask(event(n=i))
        relay.wait_empty()
    relay.ask(event(n=5))
    wait_until(lambda: relay.status()["streams"][0]["state"] != "up", "the backoff")
    n = len(server.bodies)
    fine[0] = 100
    relay.wait_empty()
    # After a success, eight failures in a row make it down; a probe or two may go before that is seen.
    assert n <= 5 + 8 + 2 and len(server.bodies) <= n + 2
    assert relay.list("--state", "delivered")[-1]["maybe_sent"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_forgotten_head_that_is_no_2xx(make_relay, certs, begin, status):
    """Whole answer and reset in one write, before the body: libcurl 7.88 shows nothing of it; the status decides."""
    down = [True]

    def on_head(server, stream):
        if down[0]:
            return h2.head(stream, status) + h2.reset(stream)
        return None

    server = begin(h2.Http2, certs, on_head, answer)
    relay = h2_relay(make_relay, server, certs).allow(f"destination web: status {status}").start()
    relay.ask(event(blob="x" * 5000))
    wait_until(lambda: relay.status()["streams"][0]["last_error"] == f"status {status}", "the status")
    down[0] = False
    relay.wait_empty()
    assert not relay.list("--state", "delivered")[0]["maybe_sent"]


def test_1xx_comes_before_the_status_over_http2(make_relay, certs, begin):
    def on_head(server, stream):
        return h2.head(stream, 103, end=False) * 5 + h2.head(stream, 204) + h2.reset(stream)

    server = begin(h2.Http2, certs, on_head)
    relay = h2_relay(make_relay, server, certs).start()
    for i in range(5):
        relay.ask(event(n=i, blob="x" * 5000))
        relay.wait_empty()
    assert relay.states() == {"delivered": 5}
    assert requests_by_outcome(relay) == {"delivered": 5}


def test_a_new_connection_that_does_not_answer_holds_up_others_briefly(make_relay, certs, begin):
    """The first request hangs: the others follow after a quarter of a second, and are answered."""
    def on_body(server, stream):
        return h2.head(stream, 204) if stream > 1 else None

    server = begin(h2.Http2, certs, None, on_body)
    relay = waiting_for(h2_relay(make_relay, server, certs, timeout="3s"), 4).allow("destination web")
    relay.ctl("resume", "web")
    wait_until(lambda: len(server.bodies) >= 4, "the others")
    wait_until(lambda: relay.states().get("delivered", 0) >= 3, "their outcome", 2)
    relay.wait_empty()
