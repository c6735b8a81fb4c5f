# test_senders.py - lines as real senders write them: null, camelCase, one event for a list, time as a float, …
#
# data/intake.jsonl holds one case per line: the line (NOW: microseconds since 1970, NOW-H: an hour earlier), the code it
# is answered with or ok, the codes that its warnings must (not) have, and paths into the request with what stands there
# (null: nothing).
import http.client
import json
import os
import re
import time

import pytest

from lib.clock import SHIM, Clock
from lib.relay import SECRET, TOP, wait_until
from lib.tls import free_port

CASES = [json.loads(text) for text in (TOP / "tests" / "e2e" / "data" / "intake.jsonl").read_text().split("\n") if text]
HOUR_US = 3600 * 1000000


def dated(text, now):
    return text.replace("NOW-H", str(now - HOUR_US)).replace("NOW", str(now))


def at_path(value, path):
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


@pytest.fixture(scope="module")
def now():
    return int(time.time() * 1e6) - 60 * 1000000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_line_as_a_sender_writes_it(case, relay, collector, now):
    with relay.client() as c:
        reply = c.ask(dated(case["line"], now).encode() + b"\n")
    assert (reply.get("code") or "ok") == case["want"], reply
    codes = {w["code"] for w in reply.get("warnings", [])}
    assert codes >= set(case["warn"]) and not codes & set(case["no_warn"]), reply
    if case["want"] != "ok":
        return
    wait_until(lambda: collector.accepted, "the request")
    body = collector.accepted[0].body
    for path, value in case["sent"].items():
        wanted = int(dated(value, now)) if isinstance(value, str) and value.startswith("NOW") else value
        assert at_path(body, path) == wanted, (path, body)


def test_both_spellings_share_an_envelope_and_a_request(relay, collector, now):
    snake = {"client_id": "1.2", "user_id": "u", "non_personalized_ads": False, "device": {"screen_resolution": "1x1"},
             "consent": {"ad_user_data": "DENIED"}, "user_properties": {"aB": {"value": 1, "timestamp_micros": now}},
             "events": [{"name": "login", "timestamp_micros": now, "params": {"session_id": 1, "myValue": "x"}}]}
    camel = {"clientId": "1.2", "userId": "u", "nonPersonalizedAds": "false",
             "device": {"screenResolution": "1x1", "brand": None}, "consent": {"adUserData": "denied"}, "ipOverride": None,
             "userProperties": {"aB": {"value": 1, "timestampMicros": now}}, "userLocation": None,
             "events": {"name": "login", "timestampMicros": now, "params": {"session_id": 1, "myValue": "x"}}}
    with relay.client() as c:
        for spelling in (snake, camel):
            assert c.ask(json.dumps(spelling).encode() + b"\n")["ok"]
    wait_until(lambda: len(collector.events) == 2, "both events")
    bodies = {json.dumps(r.body | {"events": 0}) for r in collector.accepted}
    assert len(bodies) == 1
    assert collector.events[0] == collector.events[1]


@pytest.mark.parametrize("validation", ["standard", "off"])
def test_what_is_no_hash_never_leaves_the_host(make_relay, collector, validation):
    """With validation off, too, which sends everything else as it was written."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(validation=validation)]
    relay.start()
    address = {"sha256_first_name": "Ann", "city": "Berlin"}
    line = {"client_id": "1.2", "user_id": "u", "name": "login", "params": {},
            "user_data": {"sha256_email_address": ["ann@example.org", "A" * 64], "sha256_phone_number": "+491234",
                          "address": [address, {"sha256_street": "High Street 1"}]}}
    with relay.client() as c:
        reply = c.ask(json.dumps(line).encode() + b"\n")
    assert reply["ok"]
    left_out = {w["field"] for w in reply["warnings"] if w["field"].startswith("user_data")}
    assert left_out == {"user_data.sha256_email_address[0]", "user_data.sha256_phone_number",
                        "user_data.address[0].sha256_first_name", "user_data.address[1].sha256_street"}
    wait_until(lambda: collector.accepted, "the request")
    hashed = ("a" if validation == "standard" else "A") * 64
    assert collector.accepted[0].body["user_data"] == {"sha256_email_address": [hashed], "address": [{"city": "Berlin"}]}


def test_strict_refuses_what_standard_mends(make_relay, now):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(validation="strict")]
    relay.start()
    mended = [case for case in CASES if case["want"] == "ok" and case["warn"]]
    with relay.client() as c:
        for case in mended:
            reply = c.ask(dated(case["line"], now).encode() + b"\n")
            assert not reply["ok"], case["id"]


# ---- the same by every other way in ----

def lines_for(now, as_payloads=False):
    """(case, its line): every case with a client of its own, so that its request can be told; the one with a byte order mark
    first. as_payloads: as the HTTP door takes them, which takes no line of one event."""
    out = []
    for i, case in enumerate(sorted(CASES, key=lambda case: case["id"] != "bom")):
        text = dated(case["line"], now).replace("123.456", f"{1000 + i}.456")
        mark, body = text[:text.index("{")], text[text.index("{"):]
        try:
            value = json.loads(body)
        except ValueError:
            value = {}
        if as_payloads and "name" in value:
            event = {k: value.pop(k) for k in ("name", "params", "timestamp_micros") if k in value}
            value.pop("dedup_key", None)
            body = json.dumps({**value, "events": [event]})
        out.append((case, f"{1000 + i}.456", mark + body))
    return out


def check_sent(cases, collector, now):
    """What of them went out, and how."""
    good = [(case, client) for case, client, _ in cases if case["want"] == "ok"]
    wait_until(lambda: len(collector.accepted) == len(good), f"{len(good)} requests")
    bodies = {r.body["client_id"]: r.body for r in collector.accepted}
    for case, client in good:
        body = bodies.get(client) or bodies["000000000.000000000"]
        for path, value in case["sent"].items():
            wanted = int(dated(value, now)) if isinstance(value, str) and value.startswith("NOW") else value
            wanted = client if wanted == "123.456" else wanted
            assert at_path(body, path) == wanted, (case["id"], path, body)


def check_verdict(case, code, warnings):
    assert (code or "ok") == case["want"], (case["id"], code)
    if case["want"] == "ok":
        assert warnings >= set(case["warn"]) and not warnings & set(case["no_warn"]), (case["id"], warnings)


def test_validate_says_the_same_of_every_line(relay, now, tmp_path):
    cases = lines_for(now)
    (tmp_path / "lines").write_text("".join(text + "\n" for _, _, text in cases))
    said = [json.loads(x) for x in relay.ctl_raw("--json", "validate", tmp_path / "lines").stdout.splitlines()]
    said = [x["local"] for x in said if "local" in x]
    assert len(said) == len(cases)
    for (case, _, _), local in zip(cases, said):
        check_verdict(case, local.get("code"), {w["code"] for w in local.get("warnings", [])})


def test_send_sends_every_good_line(relay, collector, now, tmp_path):
    cases = lines_for(now)
    (tmp_path / "lines").write_text("".join(text + "\n" for _, _, text in cases))
    done = relay.ctl_raw("--json", "send", tmp_path / "lines")
    assert done.returncode == 1
    refused = {x["line"]: x["code"] for x in map(json.loads, done.stdout.splitlines()) if "line" in x}
    assert refused == {i + 1: case["want"] for i, (case, _, _) in enumerate(cases) if case["want"] != "ok"}
    check_sent(cases, collector, now)


@pytest.fixture
def ask_door(make_relay):
    """What the door answers to a body: its status, and its JSON."""
    port = free_port()
    make_relay(http={"listen": f"127.0.0.1:{port}"}).start()
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(path, body):
        c.request("POST", f"{path}?measurement_id=G-TEST000001&api_secret={SECRET}", body.encode())
        answer = c.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else {}

    yield ask
    c.close()


def test_the_door_takes_every_good_body(ask_door, collector, now):
    cases = lines_for(now, as_payloads=True)
    for case, _, body in cases:
        status, said = ask_door("/mp/collect", body)
        assert status == (204 if case["want"] == "ok" else 400), (case["id"], said)
        assert said.get("code", "ok") == case["want"], (case["id"], said)
    check_sent(cases, collector, now)


def test_the_debug_path_says_the_same_of_every_body(ask_door, collector, now):
    for case, _, body in lines_for(now, as_payloads=True):
        at = body.index("{") + 1
        body = body[:at] + '"validation_behavior":"ENFORCE_RECOMMENDATIONS",' + body[at:]
        status, said = ask_door("/debug/mp/collect", body)
        codes = {m["validationCode"] for m in said["validationMessages"]}
        assert status == 200
        if case["want"] == "ok":
            check_verdict(case, None, codes)
        else:
            assert codes == {"VALUE_INVALID" if case["want"] == "JSON_INVALID" else case["want"]}, (case["id"], said)
    assert not collector.requests


# ---- what a sender is told ----

P = '"client_id":"1.2","name":"x"'
TOLD = [
    ("{'client_id':'1.2','name':'x'}", "double quotes, not in single ones"),
    ("{client_id:'1.2'}", "a member's name stands in double quotes"),
    ("{%s,\"params\":{\"value\":NaN}}" % P, "no NaN and no Infinity"),
    ("{%s,\"params\":{\"value\":-Infinity}}" % P, "no NaN and no Infinity"),
    ("{%s,\"params\":{\"value\":INF}}" % P, "no NaN and no Infinity"),
    ("{%s,\"params\":{\"ok\":True}}" % P, "written in lower case"),
    ("{%s,\"params\":{\"a\":None}}" % P, "write null in lower case"),
    ("{%s,\"params\":{\"a\":undefined}}" % P, "write null in lower case"),
    ("{%s,}" % P, "a comma too many"),
    ("{%s,\"params\":{\"items\":[{\"item_id\":\"a\"},]}}" % P, "a comma too many"),
    ("{%s \"params\":{}}" % P, "a comma is missing"),
    ("{\"client_id\"=\"1.2\"}", "a colon is missing"),
    ("{%s,\"params\":{\"price\":007}}" % P, "put quotes around it if it is an id"),
    ("{%s,\"params\":{\"note\":\"a\tb\"}}" % P, "write \\n for a line's end"),
    ("{%s,\"params\":{\"path\":\"C:\\temp\\x\"}}" % P, "write \\\\ for a backslash"),
    ("{%s}{%s}" % (P, P), "one object a line, ended by \\n"),
    ("{%s} {%s}" % (P, P), "one object a line, ended by \\n"),
    ("{%s}," % P, "one object a line, ended by \\n"),
    ("[{%s}]" % P, "not a list: write each object on a line of its own"),
    ("{", "it stands on one line, ended by \\n"),
    ("client_id=1.2&name=x", "a line is one JSON object, from { to }"),
    ("{%s,\"session_id\":\"1\"}" % P, "belongs into params"),
    ("{\"client_id\":\"1.2\",\"events\":[{\"name\":\"x\",\"session_id\":\"1\"}]}", "belongs into params"),
    ("{%s,\"timestamp_micros\":\"2026-12-01T12:00:00Z\"}" % P, "not a date as text"),
    ("{%s,\"timestamp_micros\":1700000000}" % P, "microseconds: 16 digits"),
    ("{%s,\"params\":[1]}" % P, "must be an object: {\"name\": value}, not a list"),
    ("{%s,\"user_properties\":[1]}" % P, "must be an object, {…}, not a list"),
    ("{%s,\"params\":{\"note\":\"%s\",\"b\":1}}" % (P, "x" * 131000), "The largest part of it is params.note, with 131002 bytes"),
    ("{\"client_id\":\"1.2\",\"user_agent\":\"%s\",\"events\":[{\"name\":\"x\"}]}" % ("x" * 131000), "The largest part of it is user_agent,"),
    ("{%s,\"params\":{\"items\":[%s{}]}}" % (P, "{\"item_id\":\"abcdefghijk\"}," * 6000), "The largest part of it is params.items, with"),
]
WARNED = [
    ("{%s,\"params\":[]}" % P, "params", "in PHP: new stdClass"),
    ("{%s,\"params\":{\"items\":[{\"id\":\"a\",\"name\":\"b\"}]}}" % P, "params.items[0].item_id", "does not take id and name for them"),
    ("{%s,\"params\":{\"items\":{\"item_id\":\"a\"}}}" % P, "params.items", "must be an array of objects"),
]


def test_what_is_wrong_is_told_in_words_for_its_sender(paused):
    """And never in the parser's own."""
    with paused.client() as c:
        for text, words in TOLD:
            reply = c.ask(text.encode() + b"\n")
            assert not reply["ok"] and words in reply["message"], (text[:80], reply)
            assert not re.search("lexical|parse error|yajl", reply["message"]), reply
        for text, field, words in WARNED:
            reply = c.ask(text.encode() + b"\n")
            said = [w["message"] for w in reply["warnings"] if w["field"] == field]
            assert reply["ok"] and any(words in x for x in said), (text, reply)
    assert len(paused.list("--state", "queued")) == len(WARNED)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_called_so(paused, encoding):
    with paused.client() as c:
        reply = c.ask(("{%s}" % P).encode(encoding) + "\n".encode("utf-16-be")[-1:])
    assert reply["code"] == "JSON_INVALID" and "UTF-16: lines are UTF-8" in reply["message"]


def test_a_line_that_is_never_ended_is_logged_once(make_relay):
    """An application that forgets the \\n and keeps its connection hears nothing: after a minute the log names it."""
    if not SHIM.exists():
        pytest.skip(f"{SHIM} is missing: the clock cannot be stepped")
    paused = make_relay().allow("for a minute neither")
    paused.config["streams"] = [paused.stream(paused=True)]
    clock = Clock(paused)
    paused.start()
    with paused.client() as c, paused.client() as other:
        c.send(("{%s}" % P).encode())
        assert other.ask(("{%s}\n" % P).encode())["ok"]
        clock.passes(55)
        assert other.ask(("{%s}\n" % P).encode())["ok"]
        assert "for a minute neither" not in paused.log
        clock.passes(10)
        wait_until(lambda: other.ask(("{%s}\n" % P).encode())["ok"] and "for a minute neither" in paused.log, "the log's line")
        told = re.search(r"pid (\d+) uid (\d+) has written (\d+) bytes of a line", paused.log)
        assert [int(x) for x in told.groups()] == [os.getpid(), os.getuid(), len(P) + 2]
        clock.passes(600)
        assert other.ask(("{%s}\n" % P).encode())["ok"]
        assert c.ask(b"\n")["ok"]
    assert paused.log.count("for a minute neither") == 1
