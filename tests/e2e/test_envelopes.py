# test_envelopes.py - ga4relay(8), "What may share a request": equal by value, stored once, never two in a request
import contextlib
import json
import random
import sqlite3
import time

import pytest

from lib.client import event, line
from lib.relay import wait_until

LARGE = {f"p{n}": {"value": "x" * 36} for n in range(6)}  # too large to lie in the row of its event
PARAMS = b'"name":"x","params":{"session_id":1,"engagement_time_msec":1}'


def send(relay, lines):
    """Pipelined, all accepted; the replies."""
    out = []
    with relay.client() as c:
        for at in range(0, len(lines), 500):
            some = lines[at:at + 500]
            out += c.send(*some).replies(len(some))
    assert all(r["ok"] for r in out), [r for r in out if not r["ok"]][:3]
    return out


def shuffled(rng, value):
    """The same value, its members in another order."""
    if not isinstance(value, dict):
        return value
    items = [(k, shuffled(rng, v)) for k, v in value.items()]
    rng.shuffle(items)
    return dict(items)


def stored(relay):
    """(envelopes, events) in a stopped relay's outbox."""
    assert relay.stop() == 0
    return relay.sql("SELECT (SELECT count(*) FROM envelope), (SELECT count(*) FROM event)")[0]


def backed_up(relay):
    """Envelopes in a running relay's outbox."""
    copy = relay.dir / "copy.db"
    copy.unlink(missing_ok=True)
    relay.ctl("backup", copy)
    with contextlib.closing(sqlite3.connect(copy)) as db:
        return db.execute("SELECT count(*) FROM envelope").fetchone()[0]


def test_each_envelope_is_stored_once_and_goes_when_nothing_needs_it(make_relay, collector):
    """20,000 events of 500 clients."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    rng = random.Random(3)
    users = [{"client_id": f"{n}.7", "user_id": f"u{n}", "consent": {"ad_user_data": "GRANTED",
              "ad_personalization": "DENIED"}, "user_properties": {**LARGE, "age": {"value": n}}}
             for n in range(500)]
    body = event()["params"]
    lines = [json.dumps(shuffled(rng, {**users[n % 500], "name": "x", "params": {**body, "u": n % 500, "n": n}}),
                        indent=None, separators=rng.choice([(",", ":"), (" , ", " : ")])).encode() + b"\n"
             for n in range(20000)]
    send(relay, lines)
    assert stored(relay) == (500, 20000)
    relay.config["streams"] = [relay.stream()]
    relay.start()
    # After the restart known envelopes are found again.
    send(relay, lines[:500])
    relay.wait_empty(60)
    assert collector.count() == 20500
    for r in collector.requests:
        assert {e["params"]["u"] for e in r.events} == {int(r.body["user_id"][1:])}
    assert len(collector.requests) < 1600  # 40 events of each: full batches
    wait_until(lambda: backed_up(relay) == 0, "the sweep, when nothing else is to be done")


def test_a_stop_before_the_sweep_leaves_no_envelope_for_ever(relay, collector):
    send(relay, [{**event(client=f"{n}.1"), "user_properties": LARGE} for n in range(30)])
    relay.wait_empty()
    assert stored(relay) == (30, 0)
    relay.start()
    wait_until(lambda: backed_up(relay) == 0, "the sweep of what the run before left")


def test_dead_letters_and_held_events_keep_their_envelopes(paused):
    ids = [r["id"] for r in send(paused, [{**event(client=f"{n}.1"), "user_properties": LARGE}
                                           for n in range(4)])]
    paused.ctl("hold", ids[0])
    paused.ctl("drop", ids[1], ids[2])
    wait_until(lambda: paused.states() == {"queued": 1, "held": 1}, "two left")
    assert stored(paused) == (2, 2)


SAME = [
    b'{"client_id":"1.2","user_id":"u\xc3\xa9/","user_properties":{"a":{"value":1},"b":{"value":"x"}},%s}\n',
    b'{"user_properties":{"b":{"value":"x"},"a":{"value":1}},"user_id":"u\xc3\xa9/","client_id":"1.2",%s}\n',
    b' { "client_id" : "1.2" ,\t"user_properties" : { "a" : { "value" : 1 } , "b":{"value":"\\u0078"}},"user_id":"u\\u00e9\\/",%s}\r\n',
    b'{"\\u0063lient_id":"GA1.1.1.2","user_id":"u\\u00E9\\/",%s,"user_properties":{"a":{"value":1},"\\u0062":{"value":"x"}}}\n',
]
OTHER = [
    b'{"client_id":"1.2","user_id":"u\xc3\xa9/","user_properties":{"a":{"value":1.0},"b":{"value":"x"}},%s}\n',
    b'{"client_id":"1.2","user_id":"u\xc3\xa9/","user_properties":{"a":{"value":"1"},"b":{"value":"x"}},%s}\n',
    b'{"client_id":"1.2","user_id":"u\xc3\xa9/","user_properties":{"a":{"value":1},"b":{"value":"X"}},%s}\n',
    b'{"client_id":"1.2","user_id":"ue\xcc\x81/","user_properties":{"a":{"value":1},"b":{"value":"x"}},%s}\n',
    b'{"client_id":"1.2","user_id":"u\xc3\xa9/",%s}\n',
    b'{"client_id":"01.2","user_id":"u\xc3\xa9/","user_properties":{"a":{"value":1},"b":{"value":"x"}},%s}\n',
    b'{"client_id":"1.2","user_id":"u\xc3\xa9/","user_properties":{"a":{"value":1},"b":{"value":"x"}},"consent":{},%s}\n',
]


def test_members_are_compared_as_values(make_relay, collector):
    relay = make_relay(delivery={"linger": "500ms"}).start()
    send(relay, [text % PARAMS for text in SAME + OTHER])
    relay.wait_empty()
    assert sorted(len(r.events) for r in collector.requests) == [1] * len(OTHER) + [len(SAME)]


def test_never_two_envelopes_in_a_request(make_relay, collector):
    """Random mixtures: what a request says of the user is what each of its events was sent with."""
    relay = make_relay(delivery={"linger": "50ms"}).start()
    rng = random.Random(11)
    choices = {
        "user_id": [None, "u1", "u2"],
        "consent": [None, {"ad_user_data": "GRANTED"}, {"ad_user_data": "DENIED"},
                    {"ad_user_data": "DENIED", "ad_personalization": "DENIED"}],
        "user_properties": [None, {"tier": {"value": "a"}}, {"tier": {"value": "b"}}],
        "ip_override": [None, None, "1.2.3.4"],
        "device": [None, None, {"category": "mobile"}],
        "user_location": [None, None, None, {"city": "Oslo"}],
    }
    sent, lines = [], []
    for n in range(2000):
        said = {k: v for k in choices if (v := rng.choice(choices[k])) is not None}
        said["client_id"] = f"{rng.randrange(4)}.1"
        if "user_location" in said:
            said.pop("ip_override", None)
        sent.append(said)
        e = {"name": "x", "params": {**event()["params"], "n": n}}
        lines.append(line(shuffled(rng, {**said, **e} if n % 3 else {**said, "events": [e]})))
    send(relay, lines)
    relay.wait_empty(60)
    seen = []
    for r in collector.requests:
        said = {k: v for k, v in r.body.items() if k != "events"}
        for p in said.get("user_properties", {}).values():
            assert p.pop("timestamp_micros") == max(e["timestamp_micros"] for e in r.events)
        for e in r.events:
            seen.append(e["params"]["n"])
            assert sent[e["params"]["n"]] == said
    assert sorted(seen) == list(range(2000))


@pytest.mark.parametrize("n", [25, 26, 1000])
def test_payloads_are_split(make_relay, collector, n):
    relay = make_relay(delivery={"linger": "300ms"}).start()
    events = [{"name": f"e{i}", "params": event()["params"]} for i in range(n)]
    assert relay.ask({"client_id": "1.2", "events": events}) == {"ok": True, "id": 1, "count": n}
    relay.wait_empty()
    assert sorted(len(r.events) for r in collector.requests) == sorted(
        [25] * (n // 25) + ([n % 25] if n % 25 else []))
    assert sorted(e["name"] for e in collector.events) == sorted(e["name"] for e in events)


def test_a_payload_is_taken_whole_or_not_at_all(paused):
    events = [{"name": "x", "params": event()["params"]} for _ in range(1001)]
    r = paused.ask({"client_id": "1.2", "events": events})
    assert (r["ok"], r["code"], r["field"]) == (False, "EXCEEDED_MAX_ENTITIES", "events") and "1000" in r["message"]
    events = events[:999] + [{"name": "ad_click"}]
    r = paused.ask({"client_id": "1.2", "events": events})
    assert (r["ok"], r["code"], r["field"]) == (False, "NAME_RESERVED", "events[999].name")
    assert paused.states() == {}


NUMBERS = ["0", "-0", "-0.0", "1.10", "1e5", "1E+05", "0.1e-7", "12345678901234567890", "9007199254740993",
           "9223372036854775808", "1.7976931348623157e308", "4.9e-324", "1e-400", "0." + "1" * 60]
STRINGS = ["", "plain", 'q"q', "b\\b", "/", "\x7f", "\u0000", "\t\n\r\b\f", "é", "e\u0301", "😀", "\u2028", "\uffff",
           "\U0010ffff", "<&>'"]


def test_numbers_and_strings_to_the_byte(make_relay, collector):
    """As parameters, in items, as a user property: through socket, outbox and request, also across a restart."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    base = '"session_id":1,"engagement_time_msec":1'
    lines = []
    for text in NUMBERS + [json.dumps(s) for s in STRINGS] + [json.dumps(s, ensure_ascii=False) for s in STRINGS]:
        lines.append(('{"client_id":"1.2","user_properties":{"p":{"value":%s}},"name":"x","params":{%s,"v":%s,'
                      '"items":[{"item_id":"i","c":%s}]}}\n' % (text, base, text, text)).encode())
    send(relay, lines)
    assert relay.stop() == 0
    relay.config["streams"] = [relay.stream()]
    relay.start()
    relay.wait_empty()
    raw = b"".join(r.raw for r in collector.requests)
    for text in NUMBERS:
        for pattern in ('"v":%s,', '"c":%s}', '"value":%s}', '"value":%s,'):
            want = (pattern % text).encode()
            assert want in raw or pattern.startswith('"value"'), want
        assert f'"value":{text}}}'.encode() in raw or f'"value":{text},'.encode() in raw, text
    got = [(e["params"]["v"], e["params"]["items"][0]["c"], r.body["user_properties"]["p"]["value"])
           for r in collector.requests for e in r.events]
    strings = [s for v, c, p in got for s in (v, c, p) if isinstance(s, str)]
    assert all(v == c == p for v, c, p in got)
    assert sorted(strings) == sorted(STRINGS * 6)


def test_user_properties_are_dated(make_relay, collector):
    """Their own time, else the payload's, else the newest event's in the request."""
    relay = make_relay(delivery={"linger": "300ms"}).start()

    now = int(time.time() * 10**6)
    params = event()["params"]
    props = {"own": {"value": 1, "timestamp_micros": str(now - 5)}, "none": {"value": 2}}
    send(relay, [
        {"client_id": "1.1", "user_properties": props, "name": "a", "params": params, "timestamp_micros": now - 100},
        {"client_id": "1.1", "user_properties": props, "name": "b", "params": params, "timestamp_micros": now - 50},
        {"client_id": "2.2", "user_properties": props, "timestamp_micros": now - 70,
         "events": [{"name": "c", "params": params, "timestamp_micros": now - 10}]},
        {"client_id": "3.3", "user_properties": props, "timestamp_micros": str(now - 30)},
    ])
    relay.wait_empty()
    by = {r.body["client_id"]: r.body for r in collector.requests}
    assert len(collector.requests) == 3 and len(by["1.1"]["events"]) == 2
    assert {c: b["user_properties"]["none"]["timestamp_micros"] - now for c, b in by.items()} == {
        "1.1": -50, "2.2": -70, "3.3": -30}
    assert all(b["user_properties"]["own"] == {"value": 1, "timestamp_micros": now - 5} for b in by.values())
    assert "events" not in by["3.3"] and by["3.3"]["timestamp_micros"] == now - 30
