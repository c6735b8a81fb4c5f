# test_senders.py - lines as real senders write them: null, camelCase, one event for a list, time as a float, …
#
# data/intake.jsonl holds one case per line: the line (NOW: microseconds since 1970, NOW-H: an hour earlier), the code it
# is answered with or ok, the codes that its warnings must (not) have, and paths into the request with what stands there
# (null: nothing).
import json
import time

import pytest

from lib.relay import TOP, wait_until

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


def test_what_is_no_hash_never_leaves_the_host(relay, collector):
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
    assert collector.accepted[0].body["user_data"] == {"sha256_email_address": ["a" * 64], "address": [{"city": "Berlin"}]}


def test_strict_refuses_what_standard_mends(make_relay, now):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(validation="strict")]
    relay.start()
    mended = [case for case in CASES if case["want"] == "ok" and case["warn"]]
    with relay.client() as c:
        for case in mended:
            reply = c.ask(dated(case["line"], now).encode() + b"\n")
            assert not reply["ok"], case["id"]
