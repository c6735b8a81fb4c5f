# test_outcomes.py - the outcome table of ga4relay(8) at the wire: what came back, and what became of the events
import email.utils
import json
import re
import threading
import time

import pytest

from lib.client import event
from lib.collector import Answer, Collector, status
from lib.relay import SANITIZED, wait_until
from lib.wire import FullBacklog, RawServer

DOWN = r" (?:warning|error): destination web: "


def down_lines(relay):
    return re.findall(DOWN + ".*", relay.log)


def settled(relay, collector, n=1):
    """Everything arrived, once, and nothing died."""
    relay.wait_empty()
    assert collector.count() == n, [r.answered for r in collector.requests]
    assert relay.states() == {}


def stream_status(relay, name="web"):
    return next(s for s in relay.status()["streams"] if s["name"] == name)


def succeed_once(relay, collector, **kw):
    """So that a refusal means the content."""
    assert relay.ask(event("first", **kw))["ok"]
    relay.wait_empty()
    return len(collector.requests)


# ---- any 2xx ----

@pytest.mark.parametrize("code", [200, 201, 202, 204, 206, 226, 299])
def test_any_2xx_is_delivered(relay, collector, code):
    collector.rule = lambda r: status(code, body=b"whatever")
    assert relay.ask(event())["ok"]
    settled(relay, collector)
    assert len(collector.requests) == 1


def cut_2xx(how):
    def on_conn(c):
        head = c.head()
        if how != "early":
            c.body(head)
        with c.server.lock:
            c.server.answered += 1
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf of")
        time.sleep(0.05)
        c.reset() if how != "closed" else c.close()
    return on_conn


@pytest.mark.parametrize("how", ["reset", "closed", "early"])
def test_2xx_and_then_a_reset_is_delivered(make_relay, begin, how):
    """early: answered before the body was read, and reset with the body unread."""
    server = begin(RawServer, cut_2xx(how))
    relay = make_relay(server.url, validation="off").start()
    assert relay.ask(event(blob="x" * 120000))["ok"]
    relay.wait_empty()
    assert relay.states() == {}
    assert len(server.heads) == 1


def test_a_2xx_whose_body_never_ends_is_delivered(make_relay, begin):
    def on_conn(c):
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            c.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    server = begin(RawServer, on_conn)
    relay = make_relay(server.url).start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert relay.states() == {} and len(server.bodies) == 1


# ---- no answer at all: the destination backs off ----

def waits(relay, words):
    """Backs off, says why in status and log, and holds the event."""
    wait_until(lambda: down_lines(relay), "a line in the log")
    first = down_lines(relay)[0]
    assert re.search(words, first), first
    # between two tries it backs off, during one it probes
    s = wait_until(lambda: (x := stream_status(relay))["state"] == "backing-off" and x, "a destination that backs off")
    assert re.search(words, s["last_error"]), s
    assert s["retry_in_ms"] <= 1000
    assert relay.states().keys() <= {"queued", "inflight"}


def mends(relay, collector, n=1):
    """Given a good endpoint by a reload, delivers what waited, and says that the trouble is over."""
    relay.change(delivery={"endpoint": collector.url}).reload()
    settled(relay, collector, n)
    assert "info: destination web: changed by a reload" in relay.log
    assert len(down_lines(relay)) == 1, relay.log


def test_a_name_that_does_not_resolve(make_relay, collector):
    relay = make_relay("https://no-such-host.invalid/mp/collect").allow("destination web").start()
    assert relay.ask(event())["ok"]
    waits(relay, "dns: .*resolve")
    assert relay.list()[0]["maybe_sent"] is False
    mends(relay, collector)


def test_refused(make_relay, collector):
    relay = make_relay().allow("destination web").start()
    collector.down()
    assert relay.ask(event())["ok"]
    waits(relay, "connect: ")
    assert relay.list()[0]["maybe_sent"] is False
    collector.up()
    settled(relay, collector)
    assert len(down_lines(relay)) == 1


def test_connect_timeout(make_relay, collector, begin):
    """A host that does not even answer SYN."""
    relay = make_relay(begin(FullBacklog).url, delivery={"connect_timeout": "100ms"}).allow("destination web").start()
    began = time.monotonic()
    assert relay.ask(event())["ok"]
    waits(relay, "timeout: ")
    assert time.monotonic() - began < 5
    assert relay.list()[0]["maybe_sent"] is False
    mends(relay, collector)


def silent(c):
    c.request()
    c.hang()


def reset_before_the_body(c):
    c.head()
    c.reset()


def reset_after_the_body(c):
    c.request()
    c.reset()


def reset_at_once(c):
    c.reset()


def empty_reply(c):
    c.request()
    c.close()


def answers(data):
    def on_conn(c):
        c.request()
        c.send(data)
        c.close()
    return on_conn


def endless_head(c):
    c.request()
    c.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        c.send(b"X-Junk: " + b"x" * 4000 + b"\r\n")


def drips(c):
    """A head that never ends, a byte at a time."""
    c.request()
    for byte in b"HTTP/1.1 " + b" " * 100000:
        c.send(bytes([byte]))
        time.sleep(0.02)


NO_ANSWER = {
    # what the server does: (words in log and status, maybe-sent, delivery options)
    "silence": (silent, "timeout: ", True, {"timeout": "300ms"}),
    "reset-at-once": (reset_at_once, "reset: |connect: ", None, {}),
    "reset-before-the-body": (reset_before_the_body, "reset: ", None, {}),
    "reset-after-the-body": (reset_after_the_body, "reset: ", True, {}),
    "empty-reply": (empty_reply, "reset: ", True, {}),
    "garbage": (answers(b"\x16\x03\x01 what is this?\r\n\r\n"), "reset: ", True, {}),
    "smtp": (answers(b"220 mail.example ESMTP\r\n"), "reset: ", True, {}),
    "half-a-status-line": (answers(b"HTTP/1.1 2"), "reset: ", True, {}),
    "no-such-status": (answers(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"), "", True, {}),
    "only-100-continue": (answers(b"HTTP/1.1 100 Continue\r\n\r\n"), "reset: ", True, {}),
    "dripping-head": (drips, "timeout: ", True, {"timeout": "300ms"}),
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_no_answer(make_relay, collector, begin, name):
    on_conn, words, maybe_sent, options = NO_ANSWER[name]
    server = begin(RawServer, on_conn)
    relay = make_relay(server.url, delivery=options).allow("destination web").start()
    with relay.client() as c:
        assert all(r["ok"] for r in c.send(*[event(client=f"{i}.1") for i in range(3)]).replies(3))
    waits(relay, words)
    # all of a small body goes out with the head: only where none can have been read is it certain that none was
    if maybe_sent is not None:
        wait_until(lambda: {e["maybe_sent"] for e in relay.list()} == {maybe_sent}, "the events are marked so")
        assert maybe_sent == (" maybe-sent" in relay.log), relay.log
    mends(relay, collector, 3)


def test_an_endless_head_does_not_fill_memory(make_relay, collector, begin):
    relay = make_relay(begin(RawServer, endless_head).url).allow("destination web").start()
    before = relay.rss_kib()
    assert relay.ask(event())["ok"]
    # the status line said 200: that is all it takes
    relay.wait_empty()
    assert relay.rss_kib() - before < 8 << 10
    assert relay.states() == {}


@pytest.mark.parametrize("first", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
                                   b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 102 Processing\r\n\r\n" * 3])
@pytest.mark.parametrize("code", [204, 503])
def test_1xx_comes_before_the_status(make_relay, collector, begin, first, code):
    def on_conn(c):
        while c.request():
            c.send(first)
            time.sleep(0.02)
            # the first one decides: 503 only once
            c.answer(code if c.server.answered == 0 else 204)
    server = begin(RawServer, on_conn)
    relay = make_relay(server.url).allow("destination web").start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert server.answered == len(server.bodies) == (1 if code == 204 else 2)
    assert (f"status {code}" in relay.log) == (code == 503)


# ---- later: the destination backs off ----

@pytest.mark.parametrize("code", [408, 425, 429, 500, 501, 502, 503, 504, 599])
def test_busy_or_broken_backs_off(relay, collector, code):
    relay.allow("destination web")
    collector.rule = lambda r: status(code, body=b"later")
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1") for i in range(3)]).replies(3)
    waits(relay, f"status {code}")
    assert not any(e["maybe_sent"] for e in relay.list())  # it was answered: nothing is ambiguous
    collector.rule = None
    settled(relay, collector, 3)
    assert len(down_lines(relay)) == 1


def http_date(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("code, form", [(429, "seconds"), (503, "date")])
def test_retry_after(relay, collector, code, form):
    relay.allow("destination web")
    collector.next(status(code, retry_after="2" if form == "seconds" else http_date(3)))
    assert relay.ask(event())["ok"]
    settled(relay, collector)
    first, second = collector.requests
    assert 1.9 <= second.at - first.at < 8, second.at - first.at


@pytest.mark.parametrize("value", ["-5", "soon", "", "1.5.2", "0", "Thu, 01 Jan 1970 00:00:00 GMT",
                                   "Wed, 99 Foo 2099 99:99:99 GMT", "0x10", "99999999999999999999999999"])
def test_retry_after_that_is_absurd(relay, collector, value):
    """Taken as none, or as an hour at most: never as a reason to stay silent longer, and never to storm."""
    relay.allow("destination web")
    collector.next(status(503, retry_after=value))
    assert relay.ask(event())["ok"]
    wait_until(lambda: down_lines(relay), "a line in the log")
    s = wait_until(lambda: (x := stream_status(relay))["state"] != "probing" and x, "its state")
    if s["state"] == "backing-off" and s["retry_in_ms"] > 1000:
        assert value == "99999999999999999999999999"
        assert s["retry_in_ms"] <= 3600 * 1000
        relay.ctl("flush")
    settled(relay, collector)
    assert collector.requests[1].at - collector.requests[0].at >= 0.045


def test_retry_after_of_more_than_an_hour_is_an_hour(relay, collector):
    relay.allow("destination web")
    collector.next(status(503, retry_after=7200))
    assert relay.ask(event())["ok"]
    s = wait_until(lambda: (x := stream_status(relay))["state"] == "backing-off" and x, "a destination that backs off")
    assert 3590 * 1000 <= s["retry_in_ms"] <= 3600 * 1000
    relay.ctl("flush")
    settled(relay, collector)


# ---- 413, 400, 422: the content ----

def batch(relay, n=25, culprit=None, name="poison", **kw):
    """One batch of n, one of them bad; its id."""
    with relay.client() as c:
        replies = c.send(*[event(name if i == culprit else "fine", n=i, **kw) for i in range(n)]).replies(n)
    assert all(r["ok"] for r in replies)
    return replies[culprit]["id"] if culprit is not None else None


@pytest.fixture
def lingering(make_relay, collector):
    """A relay that waits for a whole batch, was successful once, and buries at the first refusal."""
    relay = make_relay(delivery={"linger": "300ms", "refuse_after": "0s"}).start()
    succeed_once(relay, collector)
    return relay


def test_413_splits_down_to_one(make_relay, collector):
    relay = make_relay(delivery={"linger": "300ms", "refuse_after": "0s"}, validation="off").allow("too-large").start()
    succeed_once(relay, collector)
    collector.rule = lambda r: status(413, body=b"too big") if len(r.events) > 1 or b"huge" in r.raw else None
    with relay.client() as c:
        replies = c.send(*[event("huge", n=i, blob="x" * 9000) if i == 11 else event("fine", n=i)
                           for i in range(25)]).replies(25)
    dead_id = replies[11]["id"]
    relay.wait_empty()
    assert collector.count("fine") == 24
    dead, = relay.list("--state", "dead")
    assert (dead["id"], dead["reason"], dead["last_status"]) == (dead_id, "too-large", 413)
    assert not down_lines(relay)
    # each split halves: 25 single ones need 24 splits, no more; the last one is refused once more to be sure
    assert sum(1 for r in collector.requests if r.answered == 413) in (25, 26)
    assert sorted(e["params"]["n"] for e in collector.events if e["name"] == "fine") == [i for i in range(25) if i != 11]


def test_a_413_kills_nothing_while_larger_ones_pass(make_relay, collector):
    """One bad server of several says 413 to anything."""
    relay = make_relay(delivery={"refuse_after": "0s", "retry_max": "200ms"}).allow("destination web").start()
    collector.rule = lambda r: status(413) if b"unlucky" in r.raw else None
    assert relay.ask(event("unlucky"))["ok"]

    def tried():
        assert relay.ask(event("first", a="a" * 90, b="b" * 90))["ok"]
        return sum(1 for r in collector.requests if b"unlucky" in r.raw) >= 12
    wait_until(tried, "a dozen tries")
    assert "dead" not in relay.states()
    collector.rule = None
    relay.wait_empty()
    assert collector.count("unlucky") == 1


@pytest.mark.parametrize("code", [400, 422, 402, 409, 410, 418, 451, 499])
def test_one_culprit_costs_its_24_neighbours_nothing(lingering, collector, code):
    relay = lingering.allow("refused")

    def judge(r):
        """The neighbours are answered first: a culprit that stands alone while they are still under way is all that the
        relay knows of the endpoint, which then seems to refuse everything."""
        if b"poison" not in r.raw:
            return None
        wait_until(lambda: collector.count("fine") + len(r.events) == 25, "the neighbours")
        return status(code, body=b"no \x1b[31msuch\x07 thing")

    collector.rule = judge
    before = len(collector.requests)
    dead_id = batch(relay, 25, 13)
    relay.wait_empty()
    assert collector.count("fine") == 24
    dead, = relay.list("--state", "dead")
    assert (dead["id"], dead["reason"], dead["name"], dead["last_status"]) == (dead_id, "refused", "poison", code)
    assert all(r.answered == 204 for r in collector.requests if b"poison" not in r.raw)
    refused = [len(r.events) for r in collector.requests[before:] if r.answered == code]
    assert refused[:5] == sorted(refused, reverse=True)[:5] and refused[0] == 25
    assert len(refused) <= 8, refused     # 25, 13, 7, 4, 2, 1 and once more to be sure
    assert not down_lines(relay)
    shown = json.dumps(relay.ctl("show", dead_id))
    assert "such" in shown and "\\u001b" not in shown and "\\u0007" not in shown
    assert "\x1b" not in relay.log


def test_all_culprits_die_and_nobody_else(lingering, collector):
    relay = lingering.allow("refused")
    collector.rule = lambda r: status(400) if any(e["name"] == "poison" for e in r.events) else None
    with relay.client() as c:
        c.send(*[event("poison" if i % 10 == 3 else "fine", n=i) for i in range(100)]).replies(100)
    relay.wait_empty()
    assert sorted(e["params"]["n"] for e in collector.events if e["name"] == "fine") == \
        [i for i in range(100) if i % 10 != 3]
    assert relay.states() == {"dead": 10}
    assert relay.status()["dead"]["refused"] == 10


@pytest.mark.parametrize("code", [400, 422, 410, 413])
def test_an_endpoint_that_refuses_everything_kills_nothing(make_relay, collector, code):
    """The safeguard, though it was up and well a moment ago."""
    relay = make_relay(delivery={"retry_max": "300ms"}).allow("destination web").start()
    succeed_once(relay, collector)
    collector.rule = lambda r: status(code)
    with relay.client() as c:
        c.send(*[event(client=f"{i % 7}.1", n=i) for i in range(100)]).replies(100)
    wait_until(lambda: " error: destination web" in relay.log, "a line that says so loudly")
    n = len(collector.requests)
    wait_until(lambda: len(collector.requests) > n + 3, "some more tries")
    assert "dead" not in relay.states()
    collector.rule = None
    relay.wait_empty()
    assert relay.states() == {}
    assert sorted(e["params"]["n"] for e in collector.events if e["name"] == "refund") == list(range(100))


# ---- the destination is wrong ----

@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 405, 407])
def test_a_wrong_destination(make_relay, collector, code):
    """Backs off, loudly, and nothing dies. Redirects are not followed: the secret is in the URL."""
    relay = make_relay(delivery={"retry_max": "100ms"}).start()
    collector.rule = lambda r: Answer(status=code, headers={"Location": f"{collector.url}/elsewhere",
                                                            "WWW-Authenticate": "Basic realm=x"})
    relay.allow("destination web")
    with relay.client() as c:
        c.send(*[event(client=f"{i % 3}.1") for i in range(10)]).replies(10)
    waits(relay, f"status {code}")
    assert " error: destination web" in relay.log
    n = len(collector.requests)
    wait_until(lambda: len(collector.requests) >= n + 5, "more tries than the five that make a refusal")
    assert {r.path for r in collector.requests} == {"/mp/collect"}
    assert "dead" not in relay.states()
    collector.rule = None
    settled(relay, collector, 10)
    assert len(down_lines(relay)) == 1


# ---- a batch's own trouble ----

def flows(relay, collector, n, clients=10):
    with relay.client() as c:
        c.send(*[event("fine", client=f"{i % clients}.1", n=i) for i in range(n)]).replies(n)
    wait_until(lambda: collector.count("fine") >= n, "the others flow")


@pytest.mark.parametrize("kind", ["500", "503", "403", "timeout", "reset"])
def test_a_poisoned_batch_loses_only_itself(make_relay, collector, kind):
    """It always fails while others pass: they flow at once, and the destination is up."""
    release = threading.Event()
    bad = {"timeout": Answer(hang=release), "reset": Answer(close="after")}.get(kind) or status(int(kind))
    collector.rule = lambda r: bad if b"poison" in r.raw else None
    relay = make_relay(delivery={"timeout": "300ms", "retry_max": "300ms", "refuse_after": "0s"})
    relay.allow("destination web", "refused").start()
    try:
        succeed_once(relay, collector)
        with relay.client() as c:
            c.send(*[event("poison", client="666.1", n=i) for i in range(3)]).replies(3)
        for i in range(4):
            began = time.monotonic()
            collector.requests[:] = [r for r in collector.requests if b"poison" in r.raw]
            flows(relay, collector, 100)
            assert time.monotonic() - began < 10
        if kind == "403":
            # ten of each event alone while others pass: a refusal
            def refused():
                flows(relay, collector, 20)
                return relay.states().get("dead", 0) == 3
            wait_until(refused, "three dead letters")
            assert {d["reason"] for d in relay.list("--state", "dead")} == {"refused"}
            alone = [r.events[0]["params"]["n"] for r in collector.requests if b"poison" in r.raw and len(r.events) == 1]
            assert all(alone.count(i) >= 10 for i in range(3)), alone
            return
        assert "dead" not in relay.states()
        collector.rule = None
        release.set()
        relay.wait_empty()
        assert collector.count("poison") >= 3
    finally:
        release.set()


def test_a_poisoned_probe_does_not_wedge_the_stream(relay, collector):
    """An outage begins with the poison in front; on recovery the probe is another batch."""
    relay.allow("destination web")
    collector.rule = lambda r: status(500)
    with relay.client() as c:
        c.send(event("poison", client="666.1")).replies(1)
        wait_until(lambda: len(collector.requests) >= 2, "the poison's failure")
        c.send(*[event("fine", client=f"{i}.1") for i in range(50)]).replies(50)
    wait_until(lambda: len(collector.requests) >= 4, "an outage")
    collector.rule = lambda r: status(500) if b"poison" in r.raw else None
    wait_until(lambda: collector.count("fine") == 50, "the others")
    assert relay.states().keys() <= {"queued", "inflight"}
    collector.rule = None
    relay.wait_empty()
    assert collector.count("poison") == 1


# ---- a kept connection that turns out dead ----

@pytest.mark.parametrize("how", ["after-the-body", "before-the-body"])
def test_a_reused_connection_dies(make_relay, begin, how):
    """Every second request on a connection dies without an answer: the server gets one body a try, the relay tries
    again at once on a new connection, and the destination stays up."""
    def on_conn(c):
        while True:
            head = c.head()
            if head is None:
                return
            second = c.n_done if hasattr(c, "n_done") else 0
            c.n_done = second + 1
            if second and how == "before-the-body":
                with c.server.lock:
                    c.server.deaths = getattr(c.server, "deaths", 0) + 1
                c.reset()
                return
            c.body(head)
            if second:
                with c.server.lock:
                    c.server.deaths = getattr(c.server, "deaths", 0) + 1
                c.close()
                return
            c.answer()
    server = begin(RawServer, on_conn)
    # backing off would take ten seconds: what is retried at once does not wait for it
    relay = make_relay(server.url, delivery={"max_requests": 1, "retry_min": "10s", "retry_max": "10s"}).start()
    began = time.monotonic()
    with relay.client() as c:
        for i in range(21):
            assert c.ask(event(n=i))["ok"]
            relay.wait_empty()
    assert time.monotonic() - began < 9
    assert relay.states() == {}
    assert server.deaths == 20 and server.answered == 21
    numbers = [json.loads(b)["events"][0]["params"]["n"] for b in server.bodies]
    expected = [0] + [i for i in range(1, 21) for _ in range(2 if how == "after-the-body" else 1)]
    assert numbers == expected
    metrics = relay.ctl_raw("metrics").stdout
    assert 'ga4relay_requests_total{stream="web",outcome="retry-now"} 20' in metrics
    assert not down_lines(relay)
    if how == "after-the-body":
        assert relay.log.count("maybe-sent") >= 1


def test_a_408_ends_a_kept_connection(make_relay, begin):
    """A server that says why it closes what idles: the answer was on its way before the request."""
    idle, sent = threading.Event(), threading.Event()

    def on_conn(c):
        head = c.head()
        if head is None:
            return
        c.body(head)
        c.answer()
        if c.server.answered == 1:
            idle.wait(60)
            c.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            sent.set()
        while c.head() is not None:       # whatever is sent then gets no answer any more
            pass
    server = begin(RawServer, on_conn)
    relay = make_relay(server.url, delivery={"retry_min": "10s", "retry_max": "10s"}).start()
    assert relay.ask(event(n=0))["ok"]
    relay.wait_empty()
    idle.set()
    assert sent.wait(60)
    assert relay.ask(event(n=1))["ok"]
    relay.wait_empty(9)
    assert server.answered == 2 and relay.states() == {}
    assert not down_lines(relay)


def test_another_endpoint_begins_with_no_past(make_relay, collector):
    """What a batch was denied at the old one counts no more, and it waits no more."""
    other = Collector()
    collector.rule = other.rule = lambda r: status(403) if b"poison" in r.raw else None
    relay = make_relay(delivery={"retry_min": "200ms", "retry_max": "60s"}).allow("destination web", "refused").start()

    def poisoned(at):
        return sum(1 for r in at.requests if b"poison" in r.raw)

    try:
        with relay.client() as c:
            def others_pass():
                assert c.ask(event("fine"))["ok"]
            others_pass()
            c.ask(event("poison", client="666.1"))
            wait_until(lambda: others_pass() or poisoned(collector) >= 4, "denials that are its own")
            relay.config["delivery"]["endpoint"] = other.url
            relay.reload()
            began = time.monotonic()
            wait_until(lambda: others_pass() or poisoned(other) >= 4, "as many at the other one")
            assert other.requests and min(r.at for r in other.requests if b"poison" in r.raw) - began < 0.5
            assert "dead" not in relay.states()
    finally:
        other.rule = None
        relay.wait_empty()
        other.down()


# ---- ambiguity ----

def test_maybe_sent_is_visible(make_relay, collector):
    """In list, show and the log, until it is delivered; an answered failure is not ambiguous."""
    wait = "8s" if SANITIZED else "2s"
    relay = make_relay(delivery={"retry_min": wait, "retry_max": wait}).allow("destination web").start()
    collector.next(Answer(close="after"))
    assert relay.ask(event("doubtful"))["ok"]
    one, = wait_until(lambda: [e for e in relay.list() if e["maybe_sent"]], "its mark")
    shown, = relay.ctl("show", one["id"])
    assert shown["maybe_sent"] is True
    assert shown["tries"][0]["status"] in (0, None) and shown["tries"][0]["error"]
    assert "maybe" in relay.ctl_raw("show", str(one["id"])).stdout
    assert re.search(rf"ids={one['id']} maybe-sent", relay.log)
    settled(relay, collector)
    collector.next(status(500))
    assert relay.ask(event("certain"))["ok"]
    two = wait_until(lambda: [e for e in relay.list() if e["attempts"] == 1], "a failure")
    assert not two[0]["maybe_sent"]
    settled(relay, collector, 2)


def test_maybe_sent_survives_a_restart(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "10s", "retry_max": "10s"}).allow("destination web").start()
    collector.next(Answer(close="after"))
    assert relay.ask(event())["ok"]
    wait_until(lambda: relay.list()[0]["maybe_sent"], "its mark")
    relay.change(streams=[relay.stream(paused=True)])
    relay.restart()
    assert relay.list()[0]["maybe_sent"] is True


@pytest.mark.parametrize("kind", ["timeout", "empty-reply", "stale"])
def test_ambiguous_is_parked_where_the_stream_says_so(make_relay, collector, kind):
    """A dead letter, sent once; the other stream retries."""
    release = threading.Event()
    relay = make_relay(delivery={"timeout": "300ms"}).allow("ambiguous", "destination")
    relay.config["streams"] = [relay.stream(ambiguous="park"), relay.stream(name="eu", measurement_id="G-EU")]
    relay.start()
    if kind == "stale":                   # on a connection that was good once
        succeed_once(relay, collector)
    n = len(collector.requests)
    bad = Answer(hang=release) if kind == "timeout" else Answer(close="after")
    collector.next(bad)
    assert relay.ask(event("a"))["ok"]
    wait_until(lambda: relay.states() == {"dead": 1}, "a dead letter")
    dead, = relay.list("--state", "dead")
    assert (dead["reason"], dead["maybe_sent"]) == ("ambiguous", True)
    assert len(collector.requests) == n + 1
    if kind == "stale":                   # only a failure on a new connection counts
        assert not down_lines(relay)
    collector.next(bad)
    assert relay.ask({**event("b"), "stream": "eu"})["ok"]
    wait_until(lambda: collector.count("b") == 1, "the retry")
    release.set()
    wait_until(lambda: relay.states() == {"dead": 1}, "its outcome's commit")


def test_the_bound_after_a_crash(make_relay, collector):
    """kill -9 with requests in flight: log and status say how many events may be sent twice, and it is no less."""
    release = threading.Event()
    collector.rule = lambda r: Answer(hang=release)
    relay = make_relay(delivery={"linger": "50ms"}).allow("sent twice", "unclean", "cleanly").start()
    with relay.client() as c:
        c.send(*[event(client=f"{i % 3}.1", n=i) for i in range(60)]).replies(60)
    wait_until(lambda: len(collector.requests) >= 3, "requests in flight")
    arrived = sum(len(r.events) for r in collector.requests)
    relay.kill9()
    collector.rule = None
    release.set()
    relay.start()
    bound = int(re.search(r"at most (\d+) events may be sent twice", relay.log).group(1))
    assert arrived <= bound <= 1000
    assert relay.status()["maybe_twice"] == bound
    relay.wait_empty()
    assert {e["params"]["n"] for e in collector.events} == set(range(60))
    relay.restart()
    assert relay.status()["maybe_twice"] == 0
