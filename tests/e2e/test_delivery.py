# test_delivery.py - ga4relay(8)'s basics: batches, envelopes, times, outcomes, backing off, TLS
import json
import threading
import time

import pytest

from lib.client import event, line
from lib.collector import Answer, status
from lib.relay import SECRET, wait_until
from lib.tls import free_port


def test_request(relay, collector):
    before = time.time()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    r, = collector.requests
    assert (r.method, r.path) == ("POST", "/mp/collect")
    assert r.query == {"measurement_id": "G-TEST000001", "api_secret": SECRET}
    assert r.headers["content-type"] == "application/json"
    assert r.headers["user-agent"].startswith("ga4relay/")
    assert "expect" not in r.headers and "transfer-encoding" not in r.headers
    assert int(r.headers["content-length"]) == len(r.raw)
    e, = r.events
    assert set(r.body) == {"client_id", "events"}
    assert set(e) == {"name", "params", "timestamp_micros"}
    assert isinstance(e["timestamp_micros"], int)
    assert before - 1 <= e["timestamp_micros"] / 1e6 <= time.time() + 1


def test_app_stream(make_relay, collector):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), {"name": "ios", "firebase_app_id": "1:4321:ios:abc",
                                                "api_secret_file": relay.secret_file}]
    relay.start()
    assert relay.ask({"stream": "ios", "app_instance_id": "0123456789abcdef0123456789abcdef", "name": "x",
                      "params": {"session_id": 1, "engagement_time_msec": 1}})["ok"]
    relay.wait_empty()
    r, = collector.requests
    assert r.query == {"firebase_app_id": "1:4321:ios:abc", "api_secret": SECRET}
    assert r.body["app_instance_id"] == "0123456789abcdef0123456789abcdef"
    assert "client_id" not in r.body


def test_secret_is_percent_encoded(make_relay, collector):
    relay = make_relay()
    relay.secret_file.write_text("a&b=c+d/e?f#g%h")
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert collector.requests[0].query["api_secret"] == "a&b=c+d/e?f#g%h"


def test_batches(make_relay, collector):
    """At most 25, full ones first; each event once."""
    relay = make_relay(delivery={"linger": "500ms"}).start()
    with relay.client() as c:
        c.send(*[event(n=i) for i in range(260)]).replies(260)
    relay.wait_empty()
    sizes = [len(r.events) for r in collector.requests]
    assert max(sizes) == 25
    assert len(sizes) == 11
    assert sorted(e["params"]["n"] for e in collector.events) == list(range(260))


def test_one_envelope_a_request(make_relay, collector):
    """Never two clients, never two states of consent; members' order and white space do not matter."""
    relay = make_relay(delivery={"linger": "300ms"}).start()
    e = event()
    with relay.client() as c:
        for i in range(10):
            c.send(event(client=f"{i % 2}.1", n=i))
        c.send({**event(client="0.1"), "consent": {"ad_user_data": "DENIED"}})
        c.send({**event(client="0.1"), "consent": {"ad_user_data": "GRANTED"}})
        c.send(b'{"client_id":"9.9","user_id":"u","name":"x","params":%s}\n' % json.dumps(e["params"]).encode())
        c.send(b'{ "params" : %s , "name":"x", "user_id" : "\\u0075" , "client_id":"9.9" }\n'
               % json.dumps(e["params"]).encode())
        assert all(r["ok"] for r in c.replies(14))
    relay.wait_empty()
    assert len(collector.requests) == 5
    by = {json.dumps([r.body["client_id"], r.body.get("consent"), r.body.get("user_id")]): len(r.events)
          for r in collector.requests}
    assert sorted(by.values()) == [1, 1, 2, 5, 5]


def test_body_is_smaller_than_130000_bytes(make_relay, collector):
    relay = make_relay(delivery={"linger": "300ms"}, validation="off").start()
    with relay.client() as c:
        assert all(r["ok"] for r in c.send(*[event(n=i, blob="x" * 10000) for i in range(40)]).replies(40))
    relay.wait_empty()
    assert collector.count() == 40
    sizes = [len(r.raw) for r in collector.requests]
    assert max(sizes) < 130000
    assert len(sizes) == 4                # packed: twelve fit


def test_times(relay, collector):
    now = int(time.time() * 1e6)
    hour = 3600 * 10**6
    with relay.client() as c:
        assert c.ask({**event("own"), "timestamp_micros": now - hour})["ok"]
        assert c.ask({**event("text"), "timestamp_micros": str(now - 2 * hour)})["ok"]
        assert c.ask({"client_id": "1.2", "timestamp_micros": now - 3 * hour, "events": [
            {"name": "payload_s", "params": event()["params"]},
            {"name": "event_s", "params": event()["params"], "timestamp_micros": now - 4 * hour}]})["ok"]
        assert c.ask({**event("skew"), "timestamp_micros": now + 60 * 10**6})["ok"]
        r = c.ask({**event("future"), "timestamp_micros": now + 400 * 10**6})
        assert r["code"] == "VALUE_OUT_OF_BOUNDS", r
        r = c.ask({**event("old"), "timestamp_micros": now - 73 * hour})
        assert r["code"] == "TIMESTAMP_EXPIRED", r
    relay.wait_empty()
    at = {e["name"]: e["timestamp_micros"] for e in collector.events}
    assert at["own"] == now - hour
    assert at["text"] == now - 2 * hour
    assert at["payload_s"] == now - 3 * hour
    assert at["event_s"] == now - 4 * hour
    assert abs(at["skew"] - now) < 60 * 10**6 - 1


def test_an_event_that_waited_keeps_its_time(relay, collector):
    relay.allow("destination web")
    collector.down()
    sent = time.time()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web" in relay.log, "a failure")
    time.sleep(0.5)                       # the outage itself
    collector.up()
    relay.wait_empty()
    assert abs(collector.events[0]["timestamp_micros"] / 1e6 - sent) < 0.4


@pytest.mark.parametrize("answer", [status(503), status(429), status(500), status(408), Answer(close="after"),
                                    Answer(close="before"), Answer(raw=b"garbage\r\n\r\n")])
def test_retried_until_accepted(relay, collector, answer):
    relay.allow("destination web")
    collector.next(answer)
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert len(collector.accepted) == 1
    assert 2 <= len(collector.requests) <= 3
    assert collector.requests[0].raw == collector.requests[-1].raw or answer.close == "before"
    assert relay.states() == {}


def test_timeout_is_retried(make_relay, collector):
    relay = make_relay(delivery={"timeout": "300ms"}).allow("destination web").start()
    release = threading.Event()
    collector.next(Answer(hang=release))
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    release.set()
    assert len(collector.requests) == 2


def test_retry_after(relay, collector):
    relay.allow("destination web")
    collector.next(status(503, retry_after=2))
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    first, second = collector.requests
    assert 1.9 <= second.at - first.at < 6


def test_one_probe_not_a_storm(relay, collector):
    """A backlog of many clients makes one probe at a time, and one line in the log."""
    relay.allow("destination web")
    collector.rule = lambda r: status(503)
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1") for i in range(500)]).replies(500)
    wait_until(lambda: "destination web" in relay.log, "the failure's word")
    before = len(collector.requests)      # one batch may be under way
    wait_until(lambda: len(collector.requests) >= before + 5, "some probes")
    down = [x for x in relay.log.splitlines() if " warning: destination web" in x]
    assert len(down) <= 2, down
    late = collector.requests[before + 1:]
    for a, b in zip(late, late[1:]):
        assert b.at - a.at > 0.04         # at least half of retry_min between two probes
    collector.rule = None
    relay.wait_empty()
    assert collector.count() == 500
    assert relay.log.count("back after") == 1


def test_refused_event_is_a_dead_letter_while_others_pass(make_relay, collector):
    """400 is bisected until the culprit stands alone."""
    relay = make_relay(delivery={"linger": "200ms", "refuse_after": "0s"}).start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()                    # a success: so that 400 means the content
    collector.rule = lambda r: status(400, body=b"no such thing") if b"poison" in r.raw else None
    with relay.client() as c:
        ids = [r["id"] for r in c.send(*[event("poison" if i == 7 else "fine", n=i) for i in range(25)]).replies(25)]
    relay.allow("refused", "dead", "400")
    relay.wait_empty()
    assert collector.count("fine") == 24
    assert relay.states() == {"dead": 1}
    dead, = relay.list("--state", "dead")
    assert (dead["id"], dead["reason"], dead["name"], dead["last_status"]) == (ids[7], "refused", "poison", 400)
    shown = relay.ctl("show", dead["id"])[0]
    assert "no such thing" in json.dumps(shown)
    collector.rule = None
    relay.ctl("retry", dead["id"])
    wait_until(lambda: collector.count("poison") == 1, "the retried one")
    wait_until(lambda: relay.states() == {}, "nothing left")


def test_a_destination_that_refuses_everything_kills_nothing(relay, collector):
    relay.allow("destination web")
    collector.rule = lambda r: status(400)
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1") for i in range(50)]).replies(50)
    wait_until(lambda: len(collector.requests) >= 6, "some tries")
    assert "dead" not in relay.states()
    collector.rule = None
    relay.wait_empty()
    assert collector.count() == 50


@pytest.mark.parametrize("code", [401, 403, 404, 302])
def test_a_wrong_destination_backs_off(relay, collector, code):
    relay.allow("destination web")
    collector.rule = lambda r: Answer(status=code, headers={"Location": collector.url + "/elsewhere"})
    assert relay.ask(event())["ok"]
    wait_until(lambda: len(collector.requests) >= 2, "a second try")
    assert " error: destination web" in relay.log
    assert {r.path for r in collector.requests} == {"/mp/collect"}  # redirects are never followed
    collector.rule = None
    relay.wait_empty()
    assert collector.count() == 1


def test_413_is_split(make_relay, collector):
    relay = make_relay(delivery={"refuse_after": "0s"}, validation="off").start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    collector.rule = lambda r: status(413) if len(r.events) > 3 or b"huge" in r.raw else None
    relay.allow("too-large", "413", "dead")
    with relay.client() as c:
        c.send(*[event("huge", blob="x" * 9000) if i == 3 else event("fine") for i in range(20)]).replies(20)
    relay.wait_empty()
    assert collector.count("fine") == 19
    dead, = relay.list("--state", "dead")
    assert (dead["reason"], dead["name"]) == ("too-large", "huge")


def test_ambiguous_park(make_relay, collector):
    relay = make_relay(delivery={"ambiguous": "park"}).allow("ambiguous", "destination web").start()
    collector.next(Answer(close="after"))
    assert relay.ask(event())["ok"]
    wait_until(lambda: relay.states() == {"dead": 1}, "a dead letter")
    dead, = relay.list("--state", "dead")
    assert (dead["reason"], dead["maybe_sent"]) == ("ambiguous", True)
    assert len(collector.requests) == 1


def test_a_stale_connection_is_retried_at_once(relay, collector):
    """A kept connection that the server closed: again on a new one, without backing off; the body comes once."""
    assert relay.ask(event("one"))["ok"]
    relay.wait_empty()
    with collector.lock:
        socks = list(collector.sockets)
    for s in socks:
        s.shutdown(2)
    assert relay.ask(event("two"))["ok"]
    relay.wait_empty()
    assert [e["name"] for e in collector.events] == ["one", "two"]
    assert len(collector.requests) == 2


def test_a_down_stream_holds_up_no_other(make_relay, collector):
    relay = make_relay().allow("destination web")
    relay.config["streams"] = [relay.stream(), relay.stream(name="eu", measurement_id="G-EU")]
    relay.start()
    collector.rule = lambda r: status(503) if r.query["measurement_id"] == "G-TEST000001" else None
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1") for i in range(200)]).replies(200)
        c.send(*[{**event(client=f"{i}.1"), "stream": "eu"} for i in range(200)]).replies(200)
    wait_until(lambda: collector.count() == 200, "the other stream's events")
    collector.rule = None
    relay.wait_empty()


def test_order_of_one_client(relay, collector):
    with relay.client() as c:
        c.send(*[event(n=i) for i in range(500)]).replies(500)
    relay.wait_empty()
    starts = [r.events[0]["params"]["n"] for r in sorted(collector.requests, key=lambda r: r.at)]
    assert sorted(e["params"]["n"] for e in collector.events) == list(range(500))
    inside = [[e["params"]["n"] for e in r.events] for r in collector.requests]
    assert all(x == sorted(x) for x in inside)
    assert len(starts) <= 500


def test_pause_resume_and_drop(relay, collector):
    relay.ctl("pause", "web")
    with relay.client() as c:
        ids = [r["id"] for r in c.send(*[event(n=i) for i in range(3)]).replies(3)]
    assert relay.states() == {"queued": 3}
    relay.restart()                       # survives a restart
    assert relay.states() == {"queued": 3}
    relay.ctl("drop", ids[1])
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert [e["params"]["n"] for e in collector.events] == [0, 2]


def test_tls(make_relay, make_tls, collector):
    tls = make_tls()
    relay = make_relay(tls.url, delivery={"ca_file": tls.ca}).start()
    with relay.client() as c:
        c.send(*[event(n=i) for i in range(100)]).replies(100)
    relay.wait_empty()
    assert collector.count() == 100
    protocol = collector.requests[0].headers["x-protocol"]
    assert protocol.startswith("HTTP/1.1 TLSv1."), protocol


def test_tls_http2(make_relay, make_tls, collector):
    tls = make_tls(http2=True)
    relay = make_relay(tls.url, delivery={"ca_file": tls.ca, "http2": True}).start()
    with relay.client() as c:
        c.send(*[event(n=i) for i in range(100)]).replies(100)
    relay.wait_empty()
    assert collector.count() == 100
    assert collector.requests[0].headers["x-protocol"].startswith("HTTP/2")


def test_tls_with_an_unknown_ca(make_relay, make_tls, collector):
    tls = make_tls()
    relay = make_relay(tls.url).allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web" in relay.log, "a failure")
    assert not collector.requests
    assert relay.states()
    assert SECRET not in relay.log


def test_tls_of_old(make_relay, make_tls, collector):
    tls = make_tls(protocols="TLSv1.1")
    relay = make_relay(tls.url, delivery={"ca_file": tls.ca}).allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web" in relay.log, "a failure")
    assert not collector.requests


def test_the_environment_s_proxy_is_not_obeyed(make_relay, collector):
    """src/README.md, trap 12"""
    relay = make_relay()
    relay.env = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9",
                 "SSLKEYLOGFILE": str(relay.dir / "keys")}
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert collector.count() == 1
    assert not (relay.dir / "keys").exists()


def test_an_event_too_old_for_the_hub_is_expired(make_relay, collector):
    """Not refused: nothing is wrong with it, and the application has nothing to correct."""
    port = free_port()
    make_relay(http={"listen": f"127.0.0.1:{port}"}, delivery={"max_age": "1h"}).start()
    edge = make_relay(f"http://127.0.0.1:{port}/mp/collect", delivery={"refuse_after": "1s"})
    edge.allow("dead-expired", "destination web: status 400").start()
    old = {**event(client="1.1"), "timestamp_micros": (int(time.time()) - 7200) * 1000000}
    dead_id = edge.ask(old)["id"]

    def died():
        assert edge.ask(event(client="2.2"))["ok"]      # others pass: the hub is not what is wrong
        time.sleep(0.1)
        return edge.states().get("dead")
    wait_until(died, "a dead letter")
    dead, = edge.list("--state", "dead")
    assert (dead["id"], dead["reason"], dead["last_status"]) == (dead_id, "expired", 400)
    assert "delivery.max_age" in json.dumps(edge.ctl("show", dead_id))


def test_a_relay_in_front_of_a_relay(make_relay, collector):
    """Edge hosts without internet access behind a hub: its HTTP door is their endpoint."""
    port = free_port()
    hub = make_relay(http={"listen": f"127.0.0.1:{port}"}).start()
    edge = make_relay(f"http://127.0.0.1:{port}/mp/collect").start()
    with edge.client() as c:
        c.send(*[event(n=i) for i in range(60)]).replies(60)
    edge.wait_empty()
    hub.wait_empty()
    assert sorted(e["params"]["n"] for e in collector.events) == list(range(60))
