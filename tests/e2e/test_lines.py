# test_lines.py - ga4relay-protocol(7), "Lines" and "Replies": what a line may be and what it is answered
import json

import pytest

from lib.client import Client, event, line
from lib.relay import wait_until


def ok(reply):
    assert reply["ok"] is True, reply
    return reply


def refused(reply, code, field=None, retry=False):
    assert reply["ok"] is False, reply
    assert (reply["code"], reply["retry"]) == (code, retry), reply
    assert reply["message"], reply
    if field is not None:
        assert reply.get("field") == field, reply
    return reply


def test_event_and_payload(relay, collector):
    """Both shapes, and exactly the reply's members."""
    with relay.client() as c:
        assert c.send(event()).raw_reply() == b'{"ok":true,"id":1,"count":1}'
        payload = {"client_id": "1.2", "events": [{k: v for k, v in event(n).items() if k != "client_id"}
                                                  for n in ("refund", "level_up", "purchase_x")]}
        assert c.ask(payload) == {"ok": True, "id": 2, "count": 3}
        assert c.ask(event()) == {"ok": True, "id": 5, "count": 1}
    relay.wait_empty()
    assert sorted(e["name"] for e in collector.events) == ["level_up", "purchase_x", "refund", "refund", "refund"]


def test_request_level_members_beside_name(relay, collector):
    ok(relay.ask({**event(), "user_id": "u1", "user_properties": {"tier": {"value": "gold"}},
                  "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"}}))
    relay.wait_empty()
    body = collector.accepted[0].body
    assert body["user_id"] == "u1"
    assert body["user_properties"]["tier"]["value"] == "gold"
    assert body["consent"] == {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"}
    assert body["client_id"] == "1.2"
    assert set(body["events"][0]) == {"name", "params", "timestamp_micros"}


def test_relay_s_own_members_never_reach_ga4(relay, collector):
    ok(relay.ask({**event(), "stream": "web", "dedup_key": "k", "session_cookie": "GS1.1.1700000001.1.0.0.0.0.0"}))
    relay.wait_empty()
    raw = collector.accepted[0].raw
    for word in (b"dedup_key", b'"stream"', b"session_cookie"):
        assert word not in raw


def test_numbers_and_strings_travel_as_written(relay, collector):
    text = (b'{"client_id":"1.2","name":"x","params":{"session_id":1700000000,"engagement_time_msec":1,"a":1.10,'
            b'"b":12345678901234567890,"c":-0,"d":1e3,"e":"\\u00e9\xc3\xa9\\ud83d\\ude00\\/"}}\n')
    with relay.client() as c:
        ok(c.ask(text))
    relay.wait_empty()
    raw = collector.accepted[0].raw
    for part in (b'"a":1.10', b'"b":12345678901234567890', b'"c":-0', b'"d":1e3'):
        assert part in raw, raw
    assert collector.events[0]["params"]["e"] == "éé😀/"


def test_one_bad_line_never_costs_its_neighbours(relay):
    """Ordered replies for pipelined good and bad lines."""
    lines, want = [], []
    for i in range(300):
        if i % 3 == 0:
            lines.append(line(event(n=i)))
            want.append(None)
        elif i % 3 == 1:
            lines.append(b"{broken\n")
            want.append("JSON_INVALID")
        else:
            lines.append(line(event("session_start")))
            want.append("NAME_RESERVED")
    with relay.client() as c:
        got = c.send(*lines).replies(len(lines))
    assert [None if r["ok"] else r["code"] for r in got] == want
    ids = [r["id"] for r in got if r["ok"]]
    assert ids == sorted(set(ids))  # what is kept of refused lines has ids, too


def test_line_ends(relay):
    """CR before LF is ignored, blank lines too, the last line may lack its LF."""
    with relay.client() as c:
        c.send(b"\n\r\n", line(event())[:-1] + b"\r\n", b"\n  \n" if False else b"\n", line(event())[:-1])
        assert [r["id"] for r in c.half_close().rest()] == [1, 2]


def test_a_byte_order_mark(relay):
    """Ignored at the start of a connection and of a file, and nowhere else."""
    marked = b"\xef\xbb\xbf" + line(event())
    with relay.client() as c:
        assert [r["ok"] for r in c.send(marked, marked, line(event())).replies(3)] == [True, False, True]
    for args in (["send", "--socket", relay.sock], ["validate"]):
        assert relay.ctl_raw(*args, stdin=marked.decode()).returncode == 0, args


@pytest.mark.parametrize("request_line", [
    b"POST /mp/collect?measurement_id=G-1 HTTP/1.1", b"POST / HTTP/1.1\r", b"GET / HTTP/1.0", b"PRI * HTTP/2.0\r",
    b"OPTIONS * HTTP/1.1\r", b"CONNECT x:1 HTTP/1.1", b"\r\n\nPOST / HTTP/1.1", b"\xef\xbb\xbfPOST / HTTP/1.1",
    b"POST /" + b"x" * (1 << 20) + b" HTTP/1.1"], ids=lambda x: x.decode(errors="replace")[:24].strip())
@pytest.mark.parametrize("at_once", [True, False])
def test_a_web_request_writes_nothing(paused, request_line, at_once):
    """One reply that names the door, then the end: a body's lines are no events."""
    body = line(event()) * 3
    with paused.client() as c:
        c.send(request_line + b"\n" + (b"Host: x\r\n\r\n" + body if at_once else b""))
        r = c.reply()
        assert (r["ok"], r["code"], r["retry"]) == (False, "JSON_INVALID", False) and "http.listen" in r["message"]
        with pytest.raises((EOFError, ConnectionResetError, BrokenPipeError)):
            c.send(b"Host: x\r\n\r\n" + body)
            c.reply()
    assert paused.states() == {}
    with paused.client() as c:
        assert [x["ok"] for x in c.send(event(), b"POST / HTTP/1.1\n", event()).replies(3)] == [True, False, True]
        assert not c.ask(b'"POST / HTTP/1.1"\n')["ok"]
        ok(c.ask(event()))


def test_a_line_in_single_bytes(relay):
    with relay.client() as c:
        for b in line(event()):
            c.send(bytes([b]))
        ok(c.reply())


@pytest.mark.parametrize("text, code", [
    (b"[]", "JSON_INVALID"),
    (b"5", "JSON_INVALID"),
    (b'"x"', "JSON_INVALID"),
    (b"{", "JSON_INVALID"),
    (b"{} {}", "JSON_INVALID"),
    (b"{}x", "JSON_INVALID"),
    (b'\x0b{"client_id":"1.2","name":"x"}', "JSON_INVALID"),                     # vertical tab is no white space
    (b'{"client_id":"1.2",\x0c"name":"x"}', "JSON_INVALID"),                     # form feed
    (b'{"client_id":"1.2","name":"x","name":"y"}', "JSON_INVALID"),              # duplicate member
    (b'{"client_id":"1.2","name":"x","params":{"a":1,"\\u0061":2}}', "JSON_INVALID"),
    (b'{"client_id":"1.2","name":"x","params":{"a":"\xc0\xaf"}}', "JSON_INVALID"),         # overlong
    (b'{"client_id":"1.2","name":"x","params":{"a":"\xed\xa0\x80"}}', "JSON_INVALID"),     # surrogate
    (b'{"client_id":"1.2","name":"x","params":{"a":"\xf4\x90\x80\x80"}}', "JSON_INVALID"), # above U+10FFFF
    (b'{"client_id":"1.2","name":"x","params":{"a":"\xff"}}', "JSON_INVALID"),
    (b'{"client_id":"1.2","name":"x","params":{"a":"\\ud800"}}', "JSON_INVALID"),          # lone surrogate escape
    (b'{"client_id":"1.2","name":"x","params":{"a":"\\ud800\\u0041"}}', "JSON_INVALID"),
    (b'{"client_id":"1.2","name":"x","params":{"a":"\\udc00"}}', "JSON_INVALID"),
    (b'{"client_id":"1.2","name":"x","params":{"a":01}}', "JSON_INVALID"),
    (b'{"client_id":"1.2","name":"x","params":{"a":NaN}}', "JSON_INVALID"),
    (b'{"client_id":"1.2","name":"x","params":{"a":1e400}}', "VALUE_INVALID"),             # no finite double
    (b'{"client_id":"1.2","name":"x","events":[]}', "VALUE_INVALID"),                      # both shapes
    (b'{"client_id":"1.2"}', "VALUE_REQUIRED"),                                            # neither
    (b'{"client_id":"1.2","events":[]}', "VALUE_REQUIRED"),
    (b'{"name":"x"}', "VALUE_REQUIRED"),
    (b'{"client_id":"","name":"x"}', "VALUE_REQUIRED"),
    (b'{"client_id":12,"name":"x"}', "VALUE_INVALID"),
    (b'{"client_id":"1.2","name":""}', None),
    (b'{"client_id":"1.2","name":"1x"}', "NAME_INVALID"),
    (b'{"client_id":"1.2","name":"' + b"x" * 41 + b'"}', "NAME_INVALID"),
    (b'{"client_id":"1.2","name":"ad_click"}', "NAME_RESERVED"),
    (b'{"client_id":"1.2","name":"x","stream":"nope"}', "STREAM_UNKNOWN"),
    (b'{"client_id":"1.2","name":"x","colour":1}', "VALUE_INVALID"),
    (b'{"client_id":"1.2","name":"x","dedup_key":""}', None),
    (b'{"client_id":"1.2","name":"x","dedup_key":5}', "VALUE_INVALID"),
    (b'{"client_id":"1.2","name":"x","dedup_key":"' + b"k" * 201 + b'"}', None),
    (b'{"client_id":"1.2","name":"x","timestamp_micros":1}', "TIMESTAMP_EXPIRED"),
    (b'{"client_id":"1.2","name":"x","timestamp_micros":9000000000000000}', "VALUE_OUT_OF_BOUNDS"),
    (b'{"client_id":"1.2","name":"x","timestamp_micros":"x"}', "VALUE_INVALID"),
], ids=lambda v: repr(v)[:60] if isinstance(v, bytes) else v)
def test_refusals(paused, text, code):
    with paused.client() as c:
        r = c.ask(text + b"\n")
        assert r["ok"] is False and r["retry"] is False and r["message"], r
        if code:
            assert r["code"] == code, r
        ok(c.ask(event()))
    assert paused.states() == {"queued": 1}


def test_nesting(paused):
    def nested(n):
        return b'{"client_id":"1.2","name":"x","params":{"a":' + b"[" * n + b"]" * n + b"}}\n"
    with paused.client() as c:
        assert c.ask(nested(30))["ok"] is True   # 32 levels with the two objects around
        refused(c.ask(nested(31)), "JSON_INVALID")
        refused(c.ask(nested(100000)), "JSON_INVALID")
        ok(c.ask(event()))


def test_payload_limits(paused):
    """Up to 1000 events a line; accepted whole or not at all."""
    def payload(names):
        return {"client_id": "1.2", "events": [{"name": n, "params": {}} for n in names]}
    with paused.client() as c:
        assert ok(c.ask(payload(["x"] * 1000)))["count"] == 1000
        refused(c.ask(payload(["x"] * 1001)), "EXCEEDED_MAX_ENTITIES")
        refused(c.ask(payload(["x", "ad_click", "x"])), "NAME_RESERVED", "events[1].name")
    assert paused.states() == {"queued": 1000}


def test_payload_without_events(relay, collector):
    props = {"client_id": "1.2", "user_properties": {"tier": {"value": "gold"}}}
    with relay.client() as c:
        assert ok(c.ask(props))["count"] == 1
        assert ok(c.ask({**props, "events": []}))["count"] == 1
        assert ok(c.ask(event()))["count"] == 1
    relay.wait_empty()
    bodies = [r.body for r in collector.accepted]
    assert sum("events" not in b for b in bodies) == 2
    for b in bodies:
        if "events" not in b:
            assert b["user_properties"]["tier"]["value"] == "gold"


def test_warnings(paused):
    with paused.client() as c:
        r = ok(c.ask({"client_id": "1.2", "name": "x", "params": {"session_id": 1, "engagement_time_msec": 1,
                                                                   "a": "v" * 101}}))
        assert [(w["code"], w["field"]) for w in r["warnings"]] == [("VALUE_OUT_OF_BOUNDS", "params.a")]
        assert r["warnings"][0]["message"]
        r = ok(c.ask({"client_id": "1.2", "events": [{"name": "x", "params": {
            "session_id": "abc", "engagement_time_msec": 1}}]}))
        assert ("VALUE_INVALID", "events[0].params.session_id") in [(w["code"], w["field"]) for w in r["warnings"]]
        many = {f"p{i}": "v" * 101 for i in range(25)}
        r = ok(c.ask({"client_id": "1.2", "name": "x", "params": many}))
        assert len(r["warnings"]) == 20
        assert r["warnings_omitted"] > 0


def test_strict_refuses_what_standard_warns_of(make_relay):
    relay = make_relay(validation="strict").start()
    refused(relay.ask({"client_id": "1.2", "name": "x", "params": {"session_id": 1, "engagement_time_msec": 1,
                                                                   "a": "v" * 101}}), "VALUE_OUT_OF_BOUNDS", "params.a")


def test_ga_cookies(relay, collector):
    with relay.client() as c:
        for cookie in ("GA1.1.123.456", "GA1.2-2.123.456", "123.456"):
            ok(c.ask({**event(), "client_id": cookie}))
        e = event()
        del e["params"]["session_id"]
        ok(c.ask({**e, "session_cookie": "GS1.1.1700000011.3.1.1700000100.0.0.0"}))
        ok(c.ask({**e, "session_cookie": "GS2.1.s1700000022$o3$g1$t1700000100$j60$l0$h0"}))
        ok(c.ask({**event(), "session_cookie": "GS2.1.s1700000033$o3"}))
    relay.wait_empty()
    assert {r.body["client_id"] for r in collector.accepted} == {"123.456", "1.2"}
    sessions = sorted(str(e["params"]["session_id"]) for e in collector.events)
    assert sessions == sorted(["1700000000"] * 4 + ["1700000011", "1700000022"])


def test_duplicates(make_relay, collector):
    """Same key, same stream: the first one's id and count, also after delivery and after a restart."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), relay.stream(name="other", measurement_id="G-TEST000002")]
    relay.start()
    payload = {"client_id": "1.2", "dedup_key": "k1", "events": [{"name": "x", "params": event()["params"]}] * 2}
    with relay.client() as c:
        assert c.ask(payload) == {"ok": True, "id": 1, "count": 2}
        assert c.ask({**event(), "dedup_key": "k1"}) == {"ok": True, "id": 1, "count": 2, "duplicate": True}
        assert "duplicate" not in ok(c.ask({**event(), "dedup_key": "k1", "stream": "other"}))
        assert "duplicate" not in ok(c.ask({**event(), "dedup_key": "k2"}))
        # a refused line uses up no key
        refused(c.ask({**event("ad_click"), "dedup_key": "k3"}), "NAME_RESERVED")
        assert "duplicate" not in ok(c.ask({**event(), "dedup_key": "k3"}))
        # in one group: written together, answered in order
        both = c.send({**event(), "dedup_key": "k4"}, {**event(), "dedup_key": "k4"}).replies(2)
        assert both[1] == {**both[0], "duplicate": True}
    relay.wait_empty()
    sent = collector.count()
    assert relay.ask({**event(), "dedup_key": "k1"}) == {"ok": True, "id": 1, "count": 2, "duplicate": True}
    relay.restart()
    assert relay.ask({**event(), "dedup_key": "k1"}) == {"ok": True, "id": 1, "count": 2, "duplicate": True}
    relay.wait_empty()
    assert collector.count() == sent


def test_drop_frees_no_key(paused):
    first = ok(paused.ask({**event(), "dedup_key": "k"}))
    paused.ctl("drop", first["id"])
    again = ok(paused.ask({**event(), "dedup_key": "k"}))
    assert again["duplicate"] is True and again["id"] == first["id"]


def test_ids_grow_and_are_never_used_again(make_relay, collector):
    relay = make_relay().start()
    with relay.client() as c:
        last = [r["id"] for r in c.send(*[event()] * 50).replies(50)][-1]
    relay.wait_empty()                       # the outbox is empty now
    assert relay.ask(event())["id"] > last
    relay.wait_empty()
    relay.restart()
    after = relay.ask(event())["id"]
    assert after > last + 1
    relay.wait_empty()
    relay.kill9()
    relay.allow("did not end cleanly").start()
    assert relay.ask(event())["id"] > after


def test_queue_full_by_events(make_relay):
    relay = make_relay(outbox={"max_events": 3}).allow("outbox full")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        for _ in range(3):
            ok(c.ask(event()))
        refused(c.ask(event()), "QUEUE_FULL", retry=True)
        refused(c.ask({"client_id": "1.2", "events": [{"name": "x"}] * 2}), "QUEUE_FULL", retry=True)
        relay.ctl("drop", 1)
        ok(c.ask(event()))
        refused(c.ask(event()), "QUEUE_FULL", retry=True)
    wait_until(lambda: "warning: outbox full" in relay.log, "the operator's line")


@pytest.mark.parametrize("limit", [{"min_free_disk": "1024G"}, {"max_bytes": "1M"}])
def test_queue_full_by_bytes(make_relay, limit):
    relay = make_relay(outbox=limit, validation="off")
    relay.allow("outbox", "disk", "full", "QUEUE_FULL")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    big = event(blob="x" * 50000)
    with relay.client() as c:
        got = [c.ask(big) for _ in range(60)]
        full = [r for r in got if not r["ok"]]
        assert full and got[-1]["ok"] is False
        for r in full:
            refused(r, "QUEUE_FULL", retry=True)
        if "max_bytes" in limit:
            assert got[0]["ok"]
            assert relay.db.stat().st_size < 4 << 20
            relay.ctl("drop", "ALL", "--yes")
            wait_until(lambda: c.ask(big)["ok"], "room")


def test_delivery_makes_room(make_relay, collector):
    relay = make_relay(outbox={"max_events": 5}).start()
    collector.down()
    relay.allow("destination web", "outbox full")
    with relay.client() as c:
        assert sum(r["ok"] for r in c.send(*[event()] * 8).replies(8)) == 5
        collector.up()
        wait_until(lambda: c.ask(event())["ok"], "room")


def test_long_line_in_constant_memory(make_relay):
    """Answered LINE_TOO_LONG once, skipped to its LF in constant memory, and the connection goes on."""
    relay = make_relay(listen={"max_line": "64K"})
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    chunk = b"x" * (1 << 20)
    with relay.client() as c:
        ok(c.ask(event()))
        before = relay.rss_kib()
        for _ in range(100):
            c.send(chunk)
        c.send(b"\n", event())
        refused(c.reply(), "LINE_TOO_LONG")
        ok(c.reply())
        assert relay.rss_kib() - before < 8192


def test_the_longest_line(make_relay):
    relay = make_relay(listen={"max_line": "4K"}).start()
    base = len(line(event(a=""))) - 1
    with relay.client() as c:
        fits = line(event(a="v" * (4096 - base)))
        assert len(fits) == 4097
        ok(c.ask(fits))
        refused(c.ask(line(event(a="v" * (4097 - base)))), "LINE_TOO_LONG")
        ok(c.ask(fits[:-1] + b"\r\n"))


def test_rejected_lines_are_kept(paused):
    bad = line(event("ad_click", note="é"))
    with paused.client() as c:
        refused(c.ask(bad), "NAME_RESERVED")
        refused(c.ask(b"{broken\n"), "JSON_INVALID")
    kept = wait_until(lambda: [r for r in [paused.list("--state", "rejected")] if len(r) == 2], "two rejected lines")[0]
    assert [r["state"] for r in kept] == ["rejected", "rejected"]
    shown = [paused.ctl("show", r["id"])[0] for r in kept] if all(r.get("id") for r in kept) else kept
    assert any("ad_click" in json.dumps(s) for s in shown)
    assert any("NAME_RESERVED" in json.dumps(s) for s in shown)
    assert any("JSON_INVALID" in json.dumps(s) for s in shown)


@pytest.mark.parametrize("keep", [0, 3])
def test_only_the_last_rejected_lines_are_kept(make_relay, keep):
    relay = make_relay(outbox={"keep_rejected": keep}).start()
    with relay.client() as c:
        for i in range(10):
            refused(c.ask(event("ad_click", n=f"number-{i}")), "NAME_RESERVED")
        ok(c.ask(event()))

    def are_the_last():
        shown = [relay.ctl_raw("show", r["id"]) for r in relay.list("--state", "rejected")]
        return len(shown) == keep and all(r.returncode == 0 and f"number-{10 - keep + i}" in r.stdout
                                          for i, r in enumerate(shown))  # a row may go between list and show

    wait_until(are_the_last, f"the last {keep}")


def test_rejected_lines_go_when_fewer_are_kept(paused):
    with paused.client() as c:
        for _ in range(5):
            refused(c.ask(event("ad_click")), "NAME_RESERVED")
    wait_until(lambda: len(paused.list("--state", "rejected")) == 5, "five rejected lines")
    paused.change(outbox={"keep_rejected": 2})
    paused.reload()
    wait_until(lambda: len(paused.list("--state", "rejected")) == 2, "the last two")


def test_rejected_lines_are_cut(paused):
    with paused.client() as c:
        refused(c.ask(event("ad_click", blob="x" * 20000)), "NAME_RESERVED")
    row = wait_until(lambda: paused.list("--state", "rejected"), "the rejected line")[0]
    assert 8000 < len(str(paused.ctl("show", row["id"])[0]["line"])) <= 8192 + 10


def test_dedup_window_runs_from_acceptance(make_relay):
    relay = make_relay(outbox={"dedup_window": "1s"})
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        first = ok(c.ask({**event(), "dedup_key": "k"}))
        assert c.ask({**event(), "dedup_key": "k"})["duplicate"] is True
        later = wait_until(lambda: [r for r in [c.ask({**event(), "dedup_key": "k"})] if "duplicate" not in r],
                           "the end of the window")[0]
        assert later["id"] > first["id"]
