# test_ctl.py - ga4relay-ctl against a running relay: every command, its fields, its exit codes, its output on a terminal
import email.utils
import fcntl
import grp
import json
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import termios
import threading
import time
import unicodedata
import warnings
from pathlib import Path

import pytest

from lib.client import Client, event, line
from lib.collector import Answer, status
from lib.daemons import Squid, Tinyproxy
from lib.relay import BUILD, SANITIZED, SECRET, TOP, wait_until
from lib.tls import free_port
from lib.wire import RawServer, fine

LIST = ["id", "state", "reason", "stream", "client", "name", "accepted_micros", "event_micros", "attempts",
        "last_status", "last_error", "next_attempt_ms", "maybe_sent", "bytes"]
STATUS = ["version", "uptime_s", "events", "oldest_age_s", "first_expiry_s", "streams", "dead", "rates", "outbox",
          "connections", "maybe_twice", "delivered"]


def put(relay, n, **kw):
    with relay.client() as c:
        return [c.ask(event(transaction_id=f"T-{i}", **kw))["id"] for i in range(n)]


def run(relay, *args, stdin=None):
    r = relay.ctl_raw(*args, stdin=stdin)
    return r.returncode, r.stdout, r.stderr


# ---- looking ----

def test_status_fields(paused):
    put(paused, 3)
    s = paused.status()
    assert list(s) == STATUS
    assert s["events"] == {"queued": 3, "inflight": 0, "held": 0, "dead": 0, "delivered": 0, "rejected": 0}
    assert list(s["streams"][0]) == ["name", "state", "retry_in_ms", "window", "in_flight", "last_error", "delivered",
                                     "last_delivered_micros"]
    assert s["streams"][0]["state"] == "paused"
    assert s["dead"] == {"refused": 0, "too-large": 0, "expired": 0, "ambiguous": 0, "corrupt": 0}
    assert set(s["outbox"]) == {"bytes", "limit"} and s["outbox"]["bytes"] > 0
    assert 0 <= s["oldest_age_s"] < 60 and s["first_expiry_s"] > 71 * 3600
    assert s["maybe_twice"] == 0


def test_status_while_down(relay, collector):
    collector.next(*[status(503)] * 1000)
    relay.allow("destination web")
    put(relay, 1)
    s = wait_until(lambda: (lambda s: s["streams"][0]["last_error"] and s)(relay.status()), "an error in status")
    assert s["streams"][0]["state"] in ("backing-off", "probing")
    assert "503" in s["streams"][0]["last_error"]
    code, out, _ = run(relay, "status")
    assert code == 0 and "503" in out
    assert all(len(x) <= 80 for x in out.splitlines()), out


def test_list_fields_order_limit(paused):
    ids = put(paused, 30)
    rows = paused.ctl("list")
    assert [list(r) for r in rows] == [LIST] * 20
    assert [r["id"] for r in rows] == ids[:20]
    r = rows[0]
    assert (r["state"], r["reason"], r["stream"], r["client"], r["name"]) == ("queued", None, "web", "1.2", "refund")
    assert (r["attempts"], r["last_status"], r["last_error"], r["maybe_sent"]) == (0, None, None, False)
    assert r["accepted_micros"] >= r["event_micros"] > 1e15
    assert [r["id"] for r in paused.ctl("list", "--reverse", "--limit", 5)] == ids[:-6:-1]
    assert [r["id"] for r in paused.ctl("list", "--limit", 0)] == ids


def test_filters(paused):
    a = put(paused, 3, client="1.1")
    b = put(paused, 2, client="2.2", name="purchase")
    assert [r["id"] for r in paused.ctl("list", "--client", "1.1")] == a
    assert [r["id"] for r in paused.ctl("list", "--name", "purchase")] == b
    assert paused.ctl("list", "--name", "purch") == []
    assert paused.ctl("list", "--older", "1h") == []
    assert paused.ctl("list", "--state", "inflight") == []
    assert [r["id"] for r in paused.ctl("list", "--state", "queued,held", "--stream", "web")] == a + b
    assert paused.ctl("count") == [{"key": "total", "count": 5}]
    assert paused.ctl("count", "--by", "name") == [{"key": "refund", "count": 3}, {"key": "purchase", "count": 2}]
    assert paused.ctl("count", "--by", "state") == [{"key": "queued", "count": 5}]
    assert paused.ctl("count", "--by", "stream", "--client", "2.2") == [{"key": "web", "count": 2}]
    assert paused.ctl("count", "--by", "age") == [{"key": "<1m", "count": 5}]
    assert paused.ctl("count", "--state", "dead", "--by", "reason") == []


def test_many_rows_come_once_and_in_order(paused):
    with paused.client() as c:
        for first in range(0, 5000, 1000):
            c.ask({"client_id": "1.2", "events": [{"name": "x", "params": {"i": first + i, "t": "y" * 90}}
                                                  for i in range(1000)]})
    ids = [r["id"] for r in paused.ctl("list", "--limit", 0)]
    assert ids == sorted(set(ids)) and len(ids) == 5000
    assert [r["id"] for r in paused.ctl("list", "--limit", 0, "--reverse")] == ids[::-1]
    exported = paused.ctl("export")
    assert [r["id"] for r in exported] == ids
    assert [json.loads(r["line"])["params"]["i"] for r in exported] == list(range(5000))


def test_a_reader_that_stops_reading_holds_up_nobody(paused):
    big = {"client_id": "1.2", "events": [{"name": "x", "params": {"t": "y" * 90, "u": "z" * 90}}] * 1000}
    for _ in range(10):
        assert paused.ask(big)["ok"]
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(paused.control))
    s.sendall(b'{"command":"export"}\n')
    before = paused.rss_kib()
    for _ in range(20):
        assert paused.ask(event())["ok"]
        assert paused.status()["events"]["queued"] > 10000
    assert paused.rss_kib() - before < 8192
    n = 0
    with s.makefile() as f:
        for x in f:
            if x.startswith('{"end":'):
                assert json.loads(x)["ok"]
                break
            n += 1
    assert n >= 10000
    s.close()


def test_inflight(relay, collector):
    collector.next(status(204, delay=8 if SANITIZED else 3))
    i, = put(relay, 1)
    wait_until(lambda: relay.status()["events"]["inflight"] == 1, "in flight")
    assert [r["state"] for r in relay.list()] == ["inflight"]
    assert [r["id"] for r in relay.ctl("list", "--state", "inflight")] == [i]
    assert relay.ctl("list", "--state", "queued") == []
    assert relay.ctl("count", "--by", "state") == [{"key": "inflight", "count": 1}]
    for command in ("drop", "hold", "retry"):
        code, out, err = run(relay, command, i)
        assert code == 1 and f"event {i}: in flight" in err
    code, out, _ = run(relay, "drop", "ALL", "--yes", "--json")
    assert code == 0 and json.loads(out) == {"changed": 0, "in_flight": 1, "unknown": 0}
    relay.wait_empty()
    assert collector.count() == 1


def test_show(relay, collector):
    collector.next(status(503, body=b"busy"))
    relay.allow("destination web")
    relay.change(outbox={"keep_delivered": "1h"})
    relay.restart()
    i, = put(relay, 1)
    relay.wait_empty()
    r, = relay.ctl("show", i)
    assert list(r)[:len(LIST)] == LIST and set(r) >= {"line", "tries"}
    assert r["state"] == "delivered"
    assert [t["status"] for t in r["tries"]] == [503, 204]
    assert set(r["tries"][0]) == {"when_micros", "status", "error", "ms"}
    assert json.loads(r["line"])["name"] == "refund"
    code, out, _ = run(relay, "show", i)
    assert code == 0 and "delivered" in out and "503" in out and "ago)" in out


def test_show_knows_what_was_delivered(relay, collector):
    """Proof of delivery without a row: when, status, attempts, request; "unknown id" is for what was never given."""
    collector.next(status(503))
    relay.allow("destination web")
    before = time.time()
    ids = put(relay, 3)
    relay.wait_empty()
    wait_until(lambda: relay.ctl_raw("show", ids[0]).returncode == 0, "the delivery")
    rows = relay.ctl("show", *ids)
    assert [r["id"] for r in rows] == ids
    for r in rows:
        assert list(r)[:len(LIST)] == LIST
        assert (r["state"], r["stream"], r["last_status"], r["attempts"] >= 1) == ("delivered", "web", 204, True), r
        assert before - 1 <= r["delivered_micros"] / 1e6 <= time.time() + 1
        assert r["request"]["first_id"] <= r["id"] <= r["request"]["last_id"] and r["request"]["events"] >= 1
    assert rows[0]["attempts"] == 2
    code, out, _ = run(relay, "show", ids[0])
    assert code == 0 and re.search(r"state +delivered\n.*delivered +20.* ago\)\n +status +204\n +attempts +2\n +request +", out,
                                   re.S), out
    [alone] = put(relay, 1)
    wait_until(lambda: relay.ctl("show", alone)[0]["state"] == "delivered", "the delivery")
    assert re.search(rf"request +1 event, id {alone}\n", run(relay, "show", alone)[1])
    left = "left the outbox: delivered, or dropped by an operator"
    code, out, err = run(relay, "show", ids[0], 999999)
    assert code == 1 and "event 999999: unknown id" in err and "204" in out
    for verb in ("retry", "hold", "drop", "export"):          # none of them brings it back
        code, _, err = run(relay, verb, ids[0])
        assert code == 1 and f"event {ids[0]}: {left}" in err
    relay.restart()
    code, out, err = run(relay, "show", ids[0], 999999)
    assert (code, out) == (1, "") and f"event {ids[0]}: {left}" in err and "event 999999: unknown id" in err
    relay.stop()
    code, _, err = run(relay, "--offline", relay.db, "show", ids[0], 999999)
    assert code == 1 and f"event {ids[0]}: {left}" in err and "event 999999: unknown id" in err


def test_how_many_delivered_events_are_remembered(make_relay):
    """The last outbox.remember_delivered, whatever their number."""
    relay = make_relay(outbox={"remember_delivered": 50}).start()
    ids = put(relay, 200)
    relay.wait_empty()
    wait_until(lambda: relay.status()["delivered"]["total"] == 200, "all of them")
    known = [r["id"] for r in map(json.loads, relay.ctl_raw("--json", "show", *ids).stdout.splitlines())]
    assert len(known) == 50 and set(known) <= set(ids)


def test_status_says_what_was_delivered(make_relay, collector):
    """Since the outbox was made, since the start, in the last hour; and when last, by stream. Dropped ones do not count."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), relay.stream(name="ios", measurement_id="G-2", paused=True)]
    relay.start()
    assert relay.status()["delivered"] == {"total": 0, "since_start": 0, "last_hour": 0}
    assert [s["last_delivered_micros"] for s in relay.status()["streams"]] == [None, None]
    before = time.time()
    put(relay, 5)
    assert relay.ask({**event(), "stream": "ios"})["ok"]
    relay.ctl("drop", "--stream", "ios", "--yes")
    relay.wait_empty()
    wait_until(lambda: relay.status()["delivered"]["total"] == 5, "the commit")
    s = relay.status()
    assert s["delivered"] == {"total": 5, "since_start": 5, "last_hour": 5}
    web, ios = s["streams"]
    assert web["delivered"] == 5 and before - 1 <= web["last_delivered_micros"] / 1e6 <= time.time() + 1
    assert ios["delivered"] == 0 and ios["last_delivered_micros"] is None
    _, out, _ = run(relay, "status")
    assert "delivered 5 since the outbox was made  5 since the start  5 in the last hour\n" in out, out
    assert re.search(r"\nweb .*\n  delivered 5 since the start, last 20.* ago\)\n", out), out
    relay.restart()
    put(relay, 2)
    wait_until(lambda: relay.status()["delivered"] == {"total": 7, "since_start": 2, "last_hour": 2}, "two more")
    relay.change(outbox={"keep_delivered": "1h"})
    relay.restart()
    put(relay, 1)
    wait_until(lambda: relay.status()["delivered"]["total"] == 8, "one whose row is kept")
    assert relay.states() == {"delivered": 1}


def test_rejected(paused):
    bad = paused.ask({"client_id": "1.2", "name": "session_start"})
    assert not bad["ok"]
    r, = wait_until(lambda: paused.ctl("list", "--state", "rejected"), "the rejected line")
    assert r["state"] == "rejected" and r["code"] == "NAME_RESERVED" and r["uid"] == os.getuid()
    s, = paused.ctl("show", r["id"])
    assert json.loads(s["line"]) == {"client_id": "1.2", "name": "session_start"}
    code, out, _ = run(paused, "list", "--state", "rejected")
    assert "NAME_RESERVED" in out
    assert run(paused, "drop", "--state", "rejected", "--yes")[0] == 0
    assert paused.ctl("list", "--state", "rejected") == []


# ---- acting ----

def test_hold_release_drop(paused):
    ids = put(paused, 4)
    assert paused.ctl("hold", *ids[:2]) == [{"changed": 2, "in_flight": 0, "unknown": 0}]
    assert paused.states() == {"queued": 2, "held": 2}
    code, out, err = run(paused, "hold", ids[2], 999999)
    assert code == 1 and "event 999999: unknown id" in err
    paused.ctl("release", "--state", "held")
    assert paused.states() == {"queued": 4}
    assert paused.ctl("drop", ids[0])[0]["changed"] == 1
    code, _, err = run(paused, "drop", "--client", "1.2")
    assert code == 2 and "--yes" in err
    assert run(paused, "drop", "ALL")[0] == 2
    assert paused.states() == {"queued": 3}
    assert paused.ctl("drop", "--client", "1.2", "--yes")[0]["changed"] == 3
    assert paused.ctl("drop", "ALL", "--yes")[0]["changed"] == 0
    assert paused.states() == {}


def test_dead_letters_again_with_ids_from_stdin(make_relay, collector):
    relay = make_relay(delivery={"refuse_after": "0s"}).allow("too-large").start()

    def die(size):
        """A small one is taken, and then a larger one is too large."""
        put(relay, 1)
        relay.wait_empty()
        collector.next(status(413))
        return put(relay, 1, blob="x" * size)[0]
    a = die(50)
    wait_until(lambda: relay.states() == {"dead": 1}, "a dead letter")
    b = die(50)
    wait_until(lambda: relay.states() == {"dead": 2}, "another")
    rows = relay.ctl("list", "--state", "dead")
    assert [(r["id"], r["reason"], r["last_status"]) for r in rows] == [(a, "too-large", 413), (b, "too-large", 413)]
    assert relay.ctl("count", "--by", "reason", "--state", "dead") == [{"key": "too-large", "count": 2}]
    assert relay.ctl("list", "--reason", "refused", "--state", "dead") == []
    assert relay.status()["dead"]["too-large"] == 2
    assert relay.ctl_raw("retry", "-", stdin=f"{a}\n").returncode == 0
    wait_until(lambda: relay.states() == {"dead": 1}, "the first one delivered")
    assert relay.ctl("retry", "--dead") == [{"changed": 1, "in_flight": 0, "unknown": 0}]
    wait_until(lambda: relay.states() == {}, "the second one delivered")
    assert relay.ctl("retry", "--dead") == [{"changed": 0, "in_flight": 0, "unknown": 0}]
    assert len(collector.accepted) == 4


def test_more_ids_than_a_request_takes(paused):
    with paused.client() as c:
        c.ask({"client_id": "1.2", "events": [{"name": "x"}] * 1000})
        c.ask({"client_id": "1.2", "events": [{"name": "x"}] * 500})
    ids = "".join(f"{r['id']}\n" for r in paused.ctl("list", "--limit", 0))
    code, out, err = run(paused, "--json", "hold", "-", stdin=ids)
    assert code == 0 and json.loads(out)["changed"] == 1500
    assert paused.states() == {"held": 1500}
    code, _, err = run(paused, "release", "-", stdin="1\nnonsense\n")
    assert code == 2 and "line 2" in err


def test_pause_survives_a_restart(relay, collector):
    assert relay.ctl_raw("pause").returncode == 0
    put(relay, 2)
    relay.restart()
    assert relay.status()["streams"][0]["state"] == "paused"
    assert collector.count() == 0
    assert relay.ctl_raw("resume", "web").returncode == 0
    relay.wait_empty()
    assert collector.count() == 2
    code, _, err = run(relay, "pause", "nix")
    assert code == 1 and "nix" in err


def test_flush_ends_the_waiting(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "1m", "retry_max": "5m"}).start()
    relay.allow("destination web")
    collector.next(status(503))
    put(relay, 1)
    wait_until(lambda: relay.status()["streams"][0]["retry_in_ms"] > 10000, "backing off")
    assert relay.ctl_raw("flush").returncode == 0
    relay.wait_empty()
    assert collector.count() == 1


def test_reload_and_log_level(relay):
    relay.change(log={"level": "debug"})
    relay.write_config()
    assert relay.ctl_raw("reload").returncode == 0
    relay.allow("not reloaded")
    relay.write_config("nonsense = 1;\n")
    code, _, err = run(relay, "reload")
    assert code == 1 and "nonsense" in err
    assert relay.ctl_raw("log-level", "info").returncode == 0
    code, _, err = run(relay, "log-level", "loud")
    assert code == 2 and "debug" in err


# ---- sending ----

def test_send_numbers_what_was_refused(paused):
    lines = [event(transaction_id="1"), None, {"client_id": "1.2", "name": "session_start"}, event(transaction_id="2")]
    text = "".join(json.dumps(x) + "\n" if x else "\n" for x in lines)
    code, out, err = run(paused, "send", stdin=text)
    assert code == 1
    assert re.search(r"^line 3: NAME_RESERVED name: ", out, re.M), out
    assert "2 events stored, 1 refused" in out
    code, out, _ = run(paused, "--json", "send", "-", stdin=text)
    refused, summary = map(json.loads, out.splitlines())
    assert (refused["line"], refused["code"], refused["retry"]) == (3, "NAME_RESERVED", False)
    assert (summary["lines"], summary["events"], summary["refused"], summary["unanswered"]) == (3, 2, 1, 0)


def test_send_ten_thousand(paused):
    text = "".join(json.dumps(event(transaction_id=str(i))) + "\n" for i in range(10000))
    summary = json.loads(paused.ctl_raw("--json", "send", stdin=text).stdout)
    assert (summary["events"], summary["last_id"] - summary["first_id"]) == (10000, 9999)
    assert paused.states() == {"queued": 10000}


def test_export_comes_back_the_same(paused):
    paused.ask({"client_id": "1.2", "user_id": "u", "consent": {"ad_user_data": "GRANTED"},
                "user_properties": {"tier": {"value": "gold"}}, "timestamp_micros": int((time.time() - 60) * 1e6),
                "events": [{"name": "purchase", "params": {"value": 1.50, "currency": "EUR", "big": 123456789012345678901}},
                           {"name": "refund", "params": {"text": "ä\u2028\"\\ \x7f"}}]})
    before = paused.ctl("export")
    out = paused.ctl_raw("export").stdout
    assert json.loads(paused.ctl_raw("--json", "send", stdin=out).stdout)["events"] == 2
    after = paused.ctl("export")[2:]
    assert [r["line"] for r in after] == [r["line"] for r in before]
    assert "1.5" in before[0]["line"] and "123456789012345678901" in before[0]["line"]
    assert [r["event_micros"] for r in after] == [r["event_micros"] for r in before]


def test_a_walk_ends_where_it_began_however_much_comes_in(paused):
    """export | send to the same relay doubles it; without an end it would feed itself until the outbox is full."""
    paused.ctl_raw("send", stdin=b"".join(line(event(n=n)) for n in range(3000)).decode())
    assert paused.states() == {"queued": 3000}
    ctl = [str(BUILD / "ga4relay-ctl"), "-s", str(paused.control)]
    export = subprocess.Popen([*ctl, "export"], stdout=subprocess.PIPE)
    sent = subprocess.run([*ctl, "--json", "send", "-"], stdin=export.stdout, capture_output=True, text=True, timeout=60)
    assert export.wait(60) == 0
    assert json.loads(sent.stdout.splitlines()[-1])["events"] == 3000
    assert paused.states() == {"queued": 6000}


def test_everything_that_export_prints_is_taken_again(relay, collector):
    """Also what the relay made of cookies and keys, and a payload without events."""
    relay.ctl("pause")
    cookie = "GS1.1.1700000123.1.1.1700000456.0.0.0"
    relay.ask({**event(), "dedup_key": "k-1"}, {"client_id": "GA1.1.12.34", "session_cookie": cookie, "name": "a"},
              {"client_id": "1.2", "user_properties": {"tier": {"value": "gold"}}})
    relay.ctl("hold", relay.list()[0]["id"])
    exported = relay.ctl_raw("export").stdout
    first = relay.ctl("export")
    relay.ctl("drop", "ALL", "--yes")
    summary = json.loads(relay.ctl_raw("--json", "send", stdin=exported).stdout)
    assert (summary["events"], summary["refused"], summary["duplicates"]) == (3, 0, 0)
    again = relay.ctl("export")
    assert [r["line"] for r in again] == [r["line"] for r in first]
    assert json.loads(again[1]["line"])["params"]["session_id"] in ("1700000123", 1700000123)
    assert json.loads(again[1]["line"])["client_id"] == "12.34"
    relay.ctl("resume")
    relay.wait_empty()
    assert len(collector.accepted) == 3


def test_a_refused_line_is_sent_again_after_a_correction(paused):
    paused.ask({"client_id": "1.2", "name": "error"})
    r, = wait_until(lambda: paused.ctl("list", "--state", "rejected"), "the rejected line")
    shown = paused.ctl_raw("--json", "show", r["id"]).stdout
    code, out, _ = run(paused, "send", stdin=shown)
    assert code == 1 and "NAME_RESERVED" in out
    line_again = json.loads(shown)["line"].replace("error", "my_error")
    assert run(paused, "send", stdin=line_again + "\n")[0] == 0
    assert paused.list()[0]["name"] == "my_error"


def test_send_takes_no_directory(paused):
    code, out, err = run(paused, "send", paused.dir)
    assert (code, out) == (2, "") and err == f"ga4relay-ctl: {paused.dir}: Is a directory\n"


def test_send_without_a_daemon(make_relay):
    relay = make_relay()
    r = relay.ctl_raw("send", "--socket", relay.sock, stdin="{}\n")
    assert r.returncode == 3 and str(relay.sock) in r.stderr


def test_validate(relay, collector):
    text = line(event()).decode() + '{"client_id":"1.2","name":"error"}\n'
    code, out, err = run(relay, "validate", stdin=text)
    assert code == 1 and "local   ok" in out and "NAME_RESERVED" in out
    code, out, _ = run(relay, "validate", "--config", relay.conf, "--json", stdin=text)
    first, second = map(json.loads, out.splitlines())
    assert first["local"]["ok"] and first["remote"] is None and second["local"]["code"] == "NAME_RESERVED"
    assert relay.states() == {} and collector.count() == 0
    body = json.dumps({"validationMessages": [{"fieldPath": "events[0]", "description": "too odd",
                                               "validationCode": "VALUE_INVALID"}]}).encode()
    collector.next(status(200, body=body), status(200, body=b'{"validationMessages":[]}'))
    code, out, err = run(relay, "validate", "--remote", stdin=line(event()).decode())
    assert code == 1 and "remote  VALUE_INVALID events[0]: too odd" in out, out + err
    assert collector.requests[-1].path == "/debug/mp/collect"
    assert collector.requests[-1].body["validation_behavior"] == "ENFORCE_RECOMMENDATIONS"
    assert SECRET not in str(collector.requests[-1].query)
    code, out, err = run(relay, "validate", "--remote", "--relaxed", stdin=line(event()).decode())
    assert code == 0 and "remote  ok" in out, out + err
    assert "validation_behavior" not in collector.requests[-1].body


# ---- keeping ----

def test_backup_and_offline(paused):
    ids = put(paused, 7)
    paused.ctl("hold", ids[0])
    copy = paused.dir / "copy.db"
    code, out, err = run(paused, "backup", copy)
    assert code == 0 and "checked" in out, err
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in paused.dir.glob("copy*")) == ["copy.db"]
    code, _, err = run(paused, "backup", copy)
    assert code == 1 and "exists" in err
    live = paused.ctl("list")
    offline = paused.ctl("--offline", copy, "list")
    assert [(r["id"], r["state"], r["client"], r["bytes"]) for r in offline] == \
        [(r["id"], r["state"], r["client"], r["bytes"]) for r in live]
    assert paused.ctl("--offline", copy, "count", "--by", "state") == [{"key": "queued", "count": 6},
                                                                      {"key": "held", "count": 1}]
    assert [r["line"] for r in paused.ctl("--offline", copy, "export")] == [r["line"] for r in paused.ctl("export")]
    assert paused.ctl("--offline", copy, "check")[0]["ok"]
    assert [r["id"] for r in paused.ctl("--offline", copy, "show", ids[3])] == [ids[3]]
    code, _, err = run(paused, "--offline", copy, "show", 99)
    assert code == 1 and "event 99: unknown id" in err
    code, _, err = run(paused, "--offline", paused.db, "list")
    assert code == 1 and "without --offline" in err


def test_check(paused):
    put(paused, 5)
    code, out, _ = run(paused, "check")
    assert code == 0 and "5 events" in out
    assert paused.ctl("check")[0]["rows"] == 5


def test_offline_of_a_damaged_file(paused):
    with paused.client() as c:
        for _ in range(20):
            c.ask({"client_id": "1.2", "events": [{"name": "x", "params": {"t": "y" * 90}}] * 1000})
    paused.stop()
    data = bytearray(paused.db.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle:middle + 4096] = os.urandom(4096)
    damaged = paused.dir / "damaged.db"
    damaged.write_bytes(data)
    code, out, err = run(paused, "--offline", damaged, "check")
    assert code == 1 and "damaged" in out, out + err
    rows = paused.ctl_raw("--offline", damaged, "--json", "export").stdout.splitlines()
    assert 19500 < len(rows) < 20000


# ---- the figures ----

def test_metrics(relay, collector):
    put(relay, 3)
    relay.wait_empty()
    relay.ask({"client_id": "1.2", "name": "error"})
    text = relay.ctl_raw("metrics").stdout
    samples = dict(re.findall(r"^(ga4relay_\S+) (\S+)$", text, re.M))
    assert samples['ga4relay_events_accepted_total{stream="web"}'] == "3"
    assert samples['ga4relay_events_delivered_total{stream="web"}'] == "3"
    assert samples['ga4relay_events_rejected_total{code="NAME_RESERVED"}'] == "1"
    assert samples['ga4relay_destination_up{stream="web"}'] == "1"
    assert samples["ga4relay_batch_events_sum"] == "3"
    assert float(samples["ga4relay_commit_rows_sum"]) >= 3
    names = set(re.findall(r"^# TYPE ga4relay_(\S+) ", text, re.M))
    for name in ("events_accepted_total events_rejected_total events_duplicate_total events_delivered_total "
                 "events_dead_total requests_total request_duration_seconds batch_events commit_duration_seconds "
                 "commit_rows outbox_events outbox_bytes oldest_event_age_seconds destination_up requests_in_flight "
                 "connections paused_reading replies_unsent_total slow_loops_total starved_loops_total build_info").split():
        assert name in names, name
    assert len(samples) == len(re.findall(r"^ga4relay_", text, re.M)), "a sample twice"


def test_tap(relay, collector):
    p = subprocess.Popen([str(BUILD / "ga4relay-ctl"), "-s", str(relay.control), "--json", "tap", "--name", "refund"],
                         stdout=subprocess.PIPE, text=True)
    try:
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(json.loads(next(p.stdout)) for _ in range(3)))
        reader.start()
        # It follows from the moment the daemon has its request: other names do not show, so they can be sent until then.
        wait_until(lambda: follows(relay), "the tap")
        put(relay, 1, name="purchase")
        put(relay, 1)
        reader.join(20)
        assert [r["state"] for r in seen] == ["queued", "inflight", "delivered"]
        assert all(list(r) == LIST and r["name"] == "refund" for r in seen)
        assert seen[2]["last_status"] == 204 and seen[2]["attempts"] == 1
    finally:
        p.kill()
        p.wait()


def follows(relay):
    """The control socket itself and a connection to it."""
    with open("/proc/net/unix") as f:
        return sum(x.rstrip().endswith(" " + str(relay.control)) for x in f) >= 2


def test_tap_slow_reader_misses_and_never_slows(paused):
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(paused.control))
    s.sendall(b'{"command":"tap"}\n')
    big = {"client_id": "1.2", "events": [{"name": "x"}] * 1000}
    for _ in range(12):
        assert paused.ask(big)["ok"]
    f = s.makefile()
    missed = got = 0
    while missed + got < 12000:
        x = json.loads(next(f))
        missed += x.get("missed", 0)
        got += "id" in x
    assert missed > 0 and missed + got == 12000
    s.close()


def test_taps_that_ended_leave_room(paused):
    """While nothing happens, too: each was one of the few connections that the control socket takes."""
    for _ in range(40):
        with Client(paused.control) as c:
            c.send({"command": "tap"})
    assert paused.ctl("version")


def test_a_tap_goes_on_whose_client_only_reads(paused):
    """As with socat, or nc -N."""
    with Client(paused.control) as c:
        c.send({"command": "tap"})
        c.s.shutdown(socket.SHUT_WR)
        time.sleep(2.5)                         # two ticks
        assert paused.ask(event(name="seen"))["ok"]
        assert c.reply()["name"] == "seen"


# ---- usage ----

@pytest.mark.parametrize("args, code, says", [
    (["lst"], 2, 'did you mean "list"'),
    (["list", "--sate", "dead"], 2, "did you mean --state"),
    (["list", "--state", "ded"], 2, "states: queued"),
    (["list", "--reason", "x"], 2, "reasons: refused"),
    (["count", "--by", "colour"], 2, "by: stream"),
    (["list", "--stream", "nix"], 1, "nix"),
    (["show"], 2, "of which events"),
    (["show", "x"], 2, "not an id"),
    (["show", "9223372036854775808"], 2, "not an id"),
    (["show", "99"], 1, "event 99: unknown id"),
    (["retry"], 2, "of which events"),
    (["retry", "1", "--dead"], 2, "not both"),
    (["drop", "ALL"], 2, "--yes"),
    (["backup"], 2, "into which file"),
    (["send", "/nowhere"], 2, "No such file"),
    (["validate", "/"], 2, "Is a directory"),
    (["drop", "ALL", "--client", "", "--yes"], 2, "--client: its value is empty"),
    ([], 2, "no command"),
])
def test_usage(paused, args, code, says):
    r = paused.ctl_raw(*args)
    assert (r.returncode, r.stdout) == (code, ""), r
    assert says in r.stderr


def test_every_command_without_a_daemon(make_relay):
    relay = make_relay()
    for args in (["status"], ["list"], ["show", 1], ["count"], ["retry", 1], ["drop", 1], ["pause"], ["metrics"],
                 ["export"], ["tap"], ["check"], ["reload"], ["version"], ["flush"], ["validate"], ["status", "--watch"]):
        r = relay.ctl_raw(*args, stdin="")
        assert r.returncode == 3 and "systemctl start ga4relay" in r.stderr, (args, r)


def test_the_event_socket_is_no_control_socket(paused):
    for command in (["status"], ["list"], ["drop", 1], ["tap"]):
        r = paused.ctl_raw("-s", paused.sock, *command)
        assert (r.returncode, r.stdout) == (3, "") and "not the control socket" in r.stderr, (command, r)


def test_help_of_every_command(make_relay):
    relay = make_relay()
    out = relay.ctl_raw("--help").stdout
    commands = re.findall(r"^  ([a-z-]+) ", out, re.M)
    assert len(commands) >= 23
    for c in commands:
        r = relay.ctl_raw(c, "--help")
        assert r.returncode == 0 and r.stdout.startswith(f"usage: ga4relay-ctl {c}")
        assert "--json" in r.stdout


def on_a_terminal(relay, *args, width=0, **env):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    p = subprocess.Popen([str(BUILD / "ga4relay-ctl"), "-s", str(relay.control), *args], stdout=slave, stderr=slave,
                         stdin=subprocess.DEVNULL, env={"TERM": "xterm", "PATH": os.environ["PATH"], **env})
    os.close(slave)
    out = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    os.close(master)
    assert p.wait() == 0
    return out


def test_a_terminal_is_not_steered_by_events(paused):
    paused.ask({"client_id": "1\x1b[2J\x9b31m\x7f\u202e", "name": "x", "params": {"t": "\x1b]0;title\x07"}})
    i = paused.list()[0]["id"]
    for args in (["list"], ["show", str(i)], ["--json", "list"], ["--json", "show", str(i)], ["export"]):
        out = on_a_terminal(paused, *args, NO_COLOR="1")
        text = out.decode().replace("\r\n", "\n")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), (args, out)
    assert json.loads(on_a_terminal(paused, "--json", "list"))["client"] == "1\x1b[2J\x9b31m\x7f\u202e"


def test_colour_only_on_a_terminal(paused):
    put(paused, 1)
    for args in (["status"], ["list"]):
        assert b"\x1b[" in on_a_terminal(paused, *args)
        assert b"\x1b[" not in on_a_terminal(paused, *args, NO_COLOR="1")
        assert "\x1b" not in run(paused, *args)[1]
        for x in on_a_terminal(paused, *args, NO_COLOR="1").decode().splitlines():
            assert len(x.rstrip("\r")) <= 80


def columns(text):
    """As a terminal counts them."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_columns_fit_whatever_the_names_are(make_relay):
    """Names as long as they may be, wide and combining characters, and nothing that steers a terminal."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True), relay.stream(name="x" * 63, measurement_id="G-B", paused=True)]
    relay.start()
    clients = ["c" * 500, "\u6771\u4eac" * 30, "e\u0301" * 60, "\x1b[31m" * 10, "\u202e" * 20]
    for c in clients:
        assert relay.ask({"stream": "x" * 63, "client_id": c, "name": "n" * 40})["ok"]
    relay.ask({"client_id": "1.2", "name": "error", "params": {"x": "y" * 500}})
    relay.ask({"client_id": "1.2", "name": "\u6771" * 60})
    for args in (["list"], ["list", "--reverse"], ["list", "--state", "rejected"], ["status"], ["count", "--by", "name"],
                 ["count", "--by", "age"], ["check"]):
        out = on_a_terminal(relay, *args, NO_COLOR="1").decode().replace("\r\n", "\n")
        assert all(columns(x) <= 80 for x in out.split("\n")), (args, out)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out), (args, out)
    heads, *rows = on_a_terminal(relay, "list", NO_COLOR="1").decode().splitlines()
    assert {x.index("n" * 13) for x in rows} == {heads.index("NAME")}


@pytest.mark.parametrize("width", [40, 60, 80, 91, 92, 100, 132, 200, 300])
def test_tables_use_the_terminal_s_width(make_relay, width):
    """No line is longer, the columns are aligned, and from 80 on a browser's id is whole."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True), relay.stream(name="x" * 63, measurement_id="G-B", paused=True)]
    relay.start()
    ids = ["1234567890.1700000000", "\u6771\u4eac" * 100, "5c8a6c1e-7d2f-4a9b-8c3d-1e2f3a4b5c6d"]
    assert len(ids[0]) == 21
    for c in ids:
        assert relay.ask({"stream": "x" * 63, "client_id": c, "name": "n" * 40})["ok"]
    relay.ask({"client_id": "1.2", "name": "error", "params": {"x": "y" * 500}})
    for args in (["list"], ["list", "--state", "rejected"], ["status"]):
        out = on_a_terminal(relay, *args, width=width, NO_COLOR="1").decode().replace("\r\n", "\n")
        # the figures of status need 80 columns
        assert all(columns(x) <= max(width, 80 if args == ["status"] else 0) for x in out.split("\n")), (args, out)
    heads, first, second, third = on_a_terminal(relay, "list", width=width, NO_COLOR="1").decode().splitlines()
    assert ("ACCEPTED" in heads) == (width >= 92)
    assert heads.rindex(" ") == first.rindex(" ") and ("\u6771" in second) == (width >= 60)
    assert (ids[0] in first) == (width >= 80)
    assert ("n" * 40 in first) == (width >= 132) and (ids[2] in third) == (width >= 132)
    assert ("x" * 63 in first) == (width >= 200)


def test_values_are_whole_in_a_pipe(make_relay):
    """list, tap's heading excepted, and status: what a script or a pager gets is not cut."""
    relay = make_relay().allow("destination")
    name, client = "x" * 63, "c" * 300
    relay.config["streams"] = [relay.stream(name=name, measurement_id="G-B", endpoint="http://127.0.0.1:9/mp/collect")]
    relay.start()
    assert relay.ask({"client_id": client, "name": "n" * 40})["ok"]
    relay.ask({"client_id": "1.2", "name": "error", "params": {"x": "y" * 500}})
    row = run(relay, "list")[1].splitlines()[1]
    assert name in row and client in row and "n" * 40 in row
    message = wait_until(lambda: relay.list("--state", "rejected"), "the refused line")[0]["message"]
    assert message in run(relay, "list", "--state", "rejected")[1]
    wait_until(lambda: relay.status()["streams"][0]["last_error"], "an error")
    assert name in run(relay, "status")[1]

    def is_whole():                       # it tells milliseconds, and is another one after the next attempt
        return f"last error: {relay.status()['streams'][0]['last_error']}\n" in run(relay, "status")[1]
    wait_until(is_whole, "the same error twice")


def test_help_fits_a_screen(make_relay):
    relay = make_relay()
    texts = [relay.ctl_raw("--help").stdout]
    for c in re.findall(r"^  ([a-z-]+) ", texts[0], re.M):
        texts.append(relay.ctl_raw(c, "--help").stdout)
    assert [x for t in texts for x in t.splitlines() if columns(x) > 80] == []


def in_tmux(relay, width, height, *args):
    if not shutil.which("tmux"):
        warnings.warn("TMUX IS MISSING: what repeats on a terminal is not looked at (Debian: apt install tmux)")
        pytest.skip("tmux is missing")
    return Tmux(relay.dir / "tmux", width, height, [BUILD / "ga4relay-ctl", "-s", relay.control, *args])


class Tmux:
    """A terminal of that size that runs a command: keys go in, the screen comes out."""

    def __init__(self, socket_path, width, height, args):
        self.socket = str(socket_path)
        command = " ".join(map(str, args))
        self.run("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height),
                 f"trap : INT; {command}; echo exit $?; stty -a; exec cat")

    def run(self, *args):
        env = {"PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        return subprocess.run(["tmux", "-u", "-S", self.socket, *args], capture_output=True, text=True, env=env).stdout

    def screen(self):
        return self.run("capture-pane", "-p")

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def stop(self):
        self.run("kill-server")


@pytest.mark.parametrize("key", ["q", "C-c"])
def test_status_repeats_on_a_terminal(paused, begin, key):
    """Each screen takes the place of the one before and shows what changed; q and the interrupt key end it and give the
    terminal back as it was."""
    t = begin(in_tmux, paused, 80, 24, "status", "--watch")
    wait_until(lambda: "STREAM" in t.screen(), "the first screen")
    put(paused, 3)
    wait_until(lambda: "queued 3" in t.screen(), "the new number")
    assert t.screen().count("ga4relay 0") == 1 and t.screen().startswith("ga4relay"), t.screen()
    t.run("resize-window", "-x", "60", "-y", "8")
    wait_until(lambda: "a higher window shows more" in t.screen(), "a screen cut at the window's height")
    assert t.screen().startswith("ga4relay"), t.screen()
    t.run("resize-window", "-x", "120", "-y", "40")
    wait_until(lambda: "a higher" not in t.screen() and "STREAM" in t.screen(), "the whole screen")
    t.keys(key)
    wait_until(lambda: "exit 0" in t.screen(), "its end")
    assert re.search(r"(^| )icanon", t.screen(), re.M) and re.search(r"(^| )echo( |$)", t.screen(), re.M), t.screen()


def test_tap_on_a_terminal(paused, begin):
    t = begin(in_tmux, paused, 80, 24, "tap")
    wait_until(lambda: follows(paused), "the tap")

    def two_lines():
        # Again and again: a connection is there before the tap that it asks for.
        put(paused, 1, client="\u6771\u4eac" * 20, name="n" * 40)
        rows = [x for x in t.screen().splitlines() if "accepted" in x]
        return len(rows) >= 2 and rows

    rows = wait_until(two_lines, "two lines")
    assert all(columns(x) <= 80 and "n" * 17 + "\u2026" in x for x in rows), rows
    t.keys("C-c")
    wait_until(lambda: "exit 130" in t.screen(), "its end")


def doctor(relay):
    """Exit code and what it says, without the line breaks inside of a finding."""
    code, out, _ = run(relay, "doctor", "--config", relay.conf)
    assert all(len(x) <= 80 or " " not in x.strip() for x in out.splitlines()), out
    return code, re.sub(r"\n {22}", " ", out), ""


def test_doctor(relay):
    code, out, err = doctor(relay)
    results = relay.ctl_raw("--json", "doctor", "--config", relay.conf).stdout
    checks = {(x["check"], x["result"]) for x in map(json.loads, results.splitlines())}
    assert code == 0, out + err
    assert {("daemon", "ok"), ("configuration", "ok"), ("event socket", "ok"), ("disk", "ok"), ("outbox", "ok"),
            ("secret", "note")} <= checks
    os.chmod(relay.sock, 0o600)
    code, out, _ = doctor(relay)
    assert code == 1 and "mode 0600, the configuration says 0660" in out


def test_doctor_finds_what_is_planted(make_relay, collector):
    relay = make_relay(endpoint="https://nowhere.invalid/mp/collect").start()
    relay.allow("destination web")
    code, out, _ = doctor(relay)
    assert code == 1 and re.search(r"FAILED +DNS .*nowhere.invalid", out), out
    relay.stop()
    code, out, _ = doctor(relay)
    assert code == 3 and "systemctl start ga4relay" in out
    relay.write_config(relay.conf.read_text().replace("linger", "lingr"))
    code, out, _ = doctor(relay)
    assert code == 3 and "lingr" in out and "linger" in out
    relay.write_config()
    with open(relay.db, "r+b") as f:
        f.seek(4096)
        f.write(b"\xff" * 4096)
    code, out, _ = doctor(relay)
    assert re.search("FAILED +outbox", out), out
    relay.secret_file.unlink()
    code, out, _ = doctor(relay)
    assert re.search("FAILED +configuration .*secret", out), out


def test_doctor_names_the_stream(make_relay):
    """Of several: which endpoint does not answer, which one to resume; and why a secret was not looked at."""
    relay = make_relay()
    gone = relay.stream(name="gone", measurement_id="G-TEST000002", endpoint="http://127.0.0.1:1/mp/collect")
    web = {k: v for k, v in relay.stream(paused=True).items() if k != "api_secret_file"}
    relay.config["streams"] = [{**web, "api_secret_env": "GA4_SECRET"}, gone]
    relay.env = {"GA4_SECRET": "CANARY"}
    relay.start()
    code, out, _ = doctor(relay)
    assert code == 1, out
    assert re.search(r"ok +endpoint +stream web: answered 2\d\d", out), out
    assert re.search("FAILED +endpoint +stream gone: connect: ", out), out
    assert re.search("WARNING stream +web is paused: nothing is delivered +→ ga4relay-ctl resume web\n", out), out
    assert "1 secret not looked at: only the service is given its credentials and environment" in out and "systemd" not in out, out


def test_doctor_finds_a_full_disk(make_relay):
    relay = make_relay(outbox={"min_free_disk": "1000G"}).start()
    relay.allow("full", "disk", "outbox")
    code, out, _ = doctor(relay)
    assert code == 1 and re.search("FAILED +disk .*left", out), out
    assert re.search("FAILED +intake", out), out
    assert relay.ask(event())["code"] == "QUEUE_FULL"
    assert "full" in relay.status()


def test_doctor_finds_an_unknown_ca(make_relay, make_tls):
    relay = make_relay(endpoint=make_tls().url).start()
    code, out, _ = doctor(relay)
    assert code == 1 and re.search("FAILED +TLS ", out) and "delivery.ca_file" in out, out
    assert SECRET not in out


@pytest.mark.parametrize("name, words", [("wrong-name", "name|subject"), ("expired", "expired"),
                                         ("unknown", "certificate|issuer")])
def test_doctor_finds_a_bad_certificate(make_relay, certs, begin, name, words):
    server = begin(RawServer, fine, tls=certs.context(name))
    relay = make_relay(server.tls_url, delivery={"ca_file": certs.ca}).start()
    code, out, _ = doctor(relay)
    assert code == 1, out
    found, = re.findall("FAILED +TLS .*", out)
    assert re.search(words, found) and "ca_file" in found, out


@pytest.mark.parametrize("kind", [Tinyproxy, Squid])
def test_doctor_goes_through_the_proxy(make_relay, certs, begin, kind):
    server = begin(RawServer, fine, tls=certs.context())
    proxy = begin(kind)
    relay = make_relay(server.tls_url, delivery={"proxy": f"http://127.0.0.1:{proxy.port}", "ca_file": certs.ca}).start()
    code, out, _ = doctor(relay)
    assert code == 0, out
    assert re.search("ok +DNS +proxy: 127.0.0.1 resolves", out), out
    assert re.search(f"ok +endpoint +stream web: answered 204 .*through http://127.0.0.1:{proxy.port}", out), out
    assert server.answered == 1
    relay.stop()                          # squid logs a tunnel when it ends
    wait_until(lambda: "CONNECT" in proxy.log, "the proxy's own log")


def test_doctor_needs_no_resolver_that_the_relay_does_not_need(make_relay, begin):
    """The proxy resolves the endpoint's name."""
    proxy = begin(RawServer, fine)
    relay = make_relay("http://nowhere.invalid/mp/collect",
                       delivery={"proxy": f"http://127.0.0.1:{proxy.port}", "allow_plaintext": True}).start()
    code, out, _ = doctor(relay)
    assert code == 0 and "does not resolve" not in out, out
    relay.stop()
    code, out, _ = doctor(relay)
    assert code == 3 and "nowhere.invalid" not in out, out
    relay.change(delivery={"proxy": f"socks5://127.0.0.1:{proxy.port}"}).write_config()
    code, out, _ = doctor(relay)
    assert re.search("FAILED +DNS .*nowhere.invalid does not resolve", out), out


@pytest.mark.parametrize("status, advice", [(407, "USER:PASSWORD"), (403, "allow this machine to CONNECT"), (503, "its log")])
def test_doctor_names_a_proxy_that_refuses(make_relay, begin, status, advice):
    def refuse(conn):
        while conn.head():
            conn.answer(status)

    proxy = begin(RawServer, refuse)
    relay = make_relay("https://nowhere.invalid/mp/collect",
                       delivery={"proxy": f"http://me:CANARY-pw@127.0.0.1:{proxy.port}"}).start()
    code, out, _ = doctor(relay)
    assert code == 1 and re.search(f"FAILED +proxy .*127.0.0.1:{proxy.port} answered CONNECT with status {status}.*{advice}",
                                   out), out
    assert "CANARY-pw" not in out and "FAILED   endpoint" not in out and "FAILED   DNS" not in out, out


@pytest.mark.parametrize("url, says", [("http://127.0.0.1:%d", "FAILED +proxy .*127.0.0.1.*is delivery.proxy right"),
                                       ("http://proxy.invalid:%d", "FAILED +DNS +proxy: proxy.invalid does not resolve")])
def test_doctor_finds_a_proxy_that_is_not_there(make_relay, url, says):
    relay = make_relay("https://nowhere.invalid/mp/collect", delivery={"proxy": url % free_port()}).start()
    code, out, _ = doctor(relay)
    assert code == 1 and re.search(says, out), out
    assert out.count("FAILED") == 1, out


@pytest.mark.parametrize("off, says", [(7200, "behind"), (-7200, "ahead of")])
def test_doctor_finds_a_wrong_clock(relay, collector, off, says):
    """As the endpoint's Date header tells."""
    def dated(seconds):
        when = email.utils.formatdate(time.time() + seconds, usegmt=True)
        return lambda r: Answer(status=200, headers={"Date": when}, body=b'{"validationMessages":[]}')

    collector.rule = dated(0)
    assert doctor(relay)[0] == 0
    assert "agrees with the endpoint's" in doctor(relay)[1]
    collector.rule = dated(off)
    code, out, _ = doctor(relay)
    assert code == 1 and re.search(f"FAILED +clock +is (2h00m|1h59m) {says} the endpoint's .*timedatectl", out), out


def test_doctor_finds_a_secret_that_all_can_read(relay):
    relay.secret_file.chmod(0o644)
    code, out, _ = doctor(relay)
    assert code == 1 and re.search("FAILED +secret .*mode 0644.* chmod o=", out), out
    relay.secret_file.chmod(0o600)
    assert doctor(relay)[0] == 0


def test_doctor_finds_a_secret_that_its_user_cannot_read(relay):
    if os.getuid() != 0:
        pytest.skip("another user's eyes need root")
    relay.secret_file.chmod(0o600)
    program = relay.dir / "ctl"
    shutil.copy(BUILD / "ga4relay-ctl", program)
    for p in (relay.dir, relay.conf, program):
        p.chmod(0o755)
    r = subprocess.run([program, "-s", relay.control, "doctor", "--config", relay.conf], user=65534, group=65534,
                       capture_output=True, text=True)
    out = re.sub(r"\n {22}", " ", r.stdout)
    assert r.returncode == 3 and re.search("FAILED +daemon .*Permission denied", out), out + r.stderr
    assert re.search("note +configuration +not judged: .*secret.*Permission denied .*run doctor as root", out), out


@pytest.mark.skipif(os.getuid() != 0, reason="another user's eyes need root")
def test_a_user_who_is_not_in_the_group_is_told_which(make_relay):
    """By send, status and doctor: the group's name and the command; nothing is said against the configuration."""
    relay = make_relay(listen={"group": "daemon"}).start()
    relay.dir.chmod(0o755)
    program = relay.dir / "ctl"
    shutil.copy(BUILD / "ga4relay-ctl", program)
    program.chmod(0o755)

    def run_as_nobody(*args, groups=()):
        r = subprocess.run([program, "-s", relay.control, *args], user=65534, group=65534, extra_groups=groups,
                           capture_output=True, text=True, input='{"client_id":"1.2","name":"refund"}\n')
        return r.returncode, re.sub(r"\n {22}", " ", r.stdout + r.stderr)

    told = "user nobody is not in the group daemon: usermod -a -G daemon nobody, then log in again"
    code, text = run_as_nobody("send", "--socket", relay.sock)
    assert code == 3 and told in text and "Is ga4relay running" not in text, text
    code, text = run_as_nobody("status")
    assert code == 3 and "only root may open it: run it as root, or set control.group or control.read_group" in text, text
    code, text = run_as_nobody("doctor", "--config", relay.conf)
    assert code == 3 and "FAILED  configuration" not in text and "only root may open it" in text, text
    assert run_as_nobody("send", "--socket", relay.sock, groups=[grp.getgrnam("daemon").gr_gid])[0] == 0
    # the configuration without secrets can be read by everybody: then the socket's group is named too
    relay.conf.chmod(0o644)
    relay.secret_file.chmod(0o644)
    relay.allow("can be read by everybody")
    code, text = run_as_nobody("doctor", "--config", relay.conf)
    assert code == 3 and re.search("FAILED +event socket .*Permission denied → " + told, text), text


def test_a_daemon_that_is_away_is_said_to_be(make_relay):
    relay = make_relay()
    relay.write_config()
    r = relay.ctl_raw("send", "--socket", relay.sock, stdin="{}\n")
    assert r.returncode == 3 and "No such file or directory. Is ga4relay running" in r.stderr
    r = relay.ctl_raw("status")
    assert r.returncode == 3 and "no daemon" in r.stderr and "is not there" in r.stderr


def test_doctor_finds_a_stale_socket(relay):
    relay.allow("did not end cleanly")
    relay.kill9()
    code, out, _ = doctor(relay)
    assert code == 3 and re.search("FAILED +daemon .*Connection refused .*systemctl start ga4relay", out), out
    assert re.search("FAILED +event socket .*Connection refused .*start the daemon", out), out


def test_doctor_finds_a_constant_id(paused):
    for i in range(150):
        paused.ask(event(client="1.1" if i % 3 else f"{i}.2"))
    out = doctor(paused)[1]
    assert re.search("WARNING +client_id", out) and "joins no session" in out, out


def test_control_socket_is_for_its_owner(relay):
    assert relay.control.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("request_line", [
    b"{}", b"null", b"[]", b'{"command":5}', b'{"command":"nix"}', b'{"command":"list","states":5}',
    b'{"command":"list","states":["x"]}', b'{"command":"show","ids":[1.5]}', b'{"command":"show","ids":"x"}',
    b'{"command":"list","limit":-1}', b'{"command":"list","limit":1e999}', b"\xff\xfe", b"{" * 2000,
    b'{"command":"backup"}', b'{"command":"probe","stream":"x"}', b'{"command":"drop"}', b'{"command":"validate"}',
])
def test_the_daemon_survives_any_request(paused, request_line):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(str(paused.control))
    s.sendall(request_line + b"\n")
    with s.makefile() as f:
        end = json.loads(f.readline())
    assert end["end"] is True
    s.close()
    assert paused.ask(event())["ok"]


def peak_kib(relay):
    return next(int(x.split()[1]) for x in Path(f"/proc/{relay.pid}/status").read_text().splitlines() if x.startswith("VmHWM:"))


@pytest.mark.skipif(SANITIZED, reason="memory is measured without sanitizers")
@pytest.mark.parametrize("size", [2 << 20, 16 << 20])
@pytest.mark.parametrize("begin, piece, end", [
    (b"", b"[", b""), (b'{"command":"list","x":[0', b",[]", b"]}"), (b'{"command":"list"', b',"%d":{}', b"}"),
    (b'{"command":"validate","line":"', b"\\u0041", b'"}'),
], ids=["brackets", "arrays", "members", "a string"])
def test_a_request_takes_memory_in_proportion(paused, size, begin, piece, end):
    """A request is a few members and a thousand ids, or a line: not millions of values."""
    many = b"".join(piece % i for i in range(size // 12)) if b"%d" in piece else piece * (size // len(piece))
    text = begin + many[:size] + end
    paused.status()
    Path(f"/proc/{paused.pid}/clear_refs").write_text("5")
    before = peak_kib(paused)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(paused.control))
        s.sendall(text + b"\n")
        with s.makefile() as f:
            answer = json.loads(f.readline())
    assert answer["end"] is True
    assert peak_kib(paused) - before < 5 * 2100, (before, peak_kib(paused))
    assert paused.ask(event())["ok"]
