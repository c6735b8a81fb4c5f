# test_ctl.py - ctl.md: what ga4relay-ctl prints, does, and exits with
import json
import os
import signal
import subprocess
import threading

import pytest

from lib.client import event, line
from lib.collector import Answer, status
from lib.relay import BUILD, wait_until

LIST = {"id", "state", "reason", "stream", "client", "name", "accepted_micros", "event_micros", "attempts", "last_status",
        "last_error", "next_attempt_ms", "maybe_sent", "bytes"}
STATUS = {"version", "uptime_s", "events", "oldest_age_s", "first_expiry_s", "streams", "dead", "rates", "outbox",
          "connections", "maybe_twice"}


@pytest.fixture
def filled(paused):
    """Ten queued events of two clients and names, ids 1 to 10."""
    with paused.client() as c:
        c.send(*[event("odd" if i % 2 else "even", client=f"{i % 2}.5", n=i) for i in range(1, 11)]).replies(10)
    return paused


def ids(rows):
    return [r["id"] for r in rows]


def test_public_fields(filled):
    s = filled.status()
    assert STATUS <= set(s), STATUS - set(s)
    assert {"name", "state", "retry_in_ms", "window", "in_flight", "last_error"} <= set(s["streams"][0])
    assert {"bytes", "limit"} <= set(s["outbox"])
    assert s["events"]["queued"] == 10
    row = filled.list()[0]
    assert LIST <= set(row), LIST - set(row)
    assert (row["state"], row["reason"], row["stream"], row["client"], row["name"]) == ("queued", None, "web", "1.5", "odd")
    assert isinstance(row["id"], int) and row["id"] < 2 ** 53
    shown = filled.ctl("show", 1)[0]
    assert LIST | {"line", "tries"} <= set(shown)
    exported = filled.ctl("export")
    assert len(exported) == 10 and LIST | {"line"} <= set(exported[0])
    counted = filled.ctl("count", "--by", "name")
    assert {c["key"]: c["count"] for c in counted} == {"odd": 5, "even": 5}


def test_filters(filled):
    assert ids(filled.list()) == list(range(1, 11))
    assert ids(filled.list("--reverse")) == list(range(10, 0, -1))
    assert ids(filled.ctl("list", "--limit", 3)) == [1, 2, 3]
    assert ids(filled.list("--client", "0.5")) == [2, 4, 6, 8, 10]
    assert ids(filled.list("--name", "odd")) == [1, 3, 5, 7, 9]
    assert ids(filled.list("--stream", "web")) == list(range(1, 11))
    assert filled.list("--older", "1h") == []
    assert filled.list("--state", "dead") == []
    assert len(filled.ctl("list")) == 10  # the default limit is 20
    with filled.client() as c:
        c.send(*[event()] * 30).replies(30)
    assert len(filled.ctl("list")) == 20


def test_hold_release_drop(filled, collector):
    filled.ctl("hold", 1, 2)
    assert filled.states() == {"queued": 8, "held": 2}
    filled.ctl("drop", 3)
    assert filled.ctl_raw("drop", "--client", "0.5").returncode == 2     # needs --yes
    assert filled.states() == {"queued": 7, "held": 2}
    filled.ctl("drop", "--client", "0.5", "--yes")
    assert filled.list("--client", "0.5") == []
    filled.ctl("resume", "web")
    filled.wait_empty()
    assert sorted(e["params"]["n"] for e in collector.events) == [5, 7, 9]
    filled.ctl("release", 1)
    wait_until(lambda: collector.count() == 4, "the released one")
    assert filled.states() == {}


def test_exit_codes(filled):
    def code(*args):
        return filled.ctl_raw(*args).returncode
    assert code("status") == 0
    assert code("list", "--state", "dead") == 0
    assert code("show", "999") == 1
    assert code("drop", "999") == 1
    assert code("drop", "--client", "nobody", "--yes") == 0
    assert code("count", "--state", "dead") == 0
    assert code("export", "--client", "nobody") == 0
    assert code("frobnicate") == 2
    assert code("list", "--limit", "many") == 2
    assert code("show") == 2
    assert code("--help") == 0 and code("list", "--help") == 0
    assert subprocess.run([BUILD / "ga4relay-ctl", "-s", "/nonexistent", "status"], capture_output=True).returncode == 3


def test_ids_from_a_pipe(filled):
    rows = filled.ctl_raw("--json", "list", "--name", "odd").stdout
    piped = "".join(f"{json.loads(x)['id']}\n" for x in rows.splitlines())
    assert filled.ctl_raw("drop", "-", stdin=piped).returncode == 0
    assert ids(filled.list()) == [2, 4, 6, 8, 10]


def test_export_and_send(filled, collector):
    """What export wrote, send accepts; the event's time stays."""
    before = filled.list()
    exported = filled.ctl_raw("--json", "export").stdout
    assert filled.ctl_raw("drop", "ALL", "--yes").returncode == 0
    assert filled.states() == {}
    r = filled.ctl_raw("send", stdin=exported)
    assert r.returncode == 0, r
    after = filled.list()
    assert [(x["client"], x["name"], x["event_micros"]) for x in after] == \
           [(x["client"], x["name"], x["event_micros"]) for x in before]


def test_human_output(filled):
    r = filled.ctl_raw("list")
    lines = r.stdout.splitlines()
    assert len(lines) == 11 and "\x1b" not in r.stdout        # a head; no colour outside a terminal
    s = filled.ctl_raw("status").stdout
    assert "web" in s and "10" in s and "\x1b" not in s


def test_retry_is_due_now(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "1h", "retry_max": "1h"}).allow("destination web").start()
    collector.next(status(503))
    assert relay.ask(event())["ok"]
    wait_until(lambda: relay.status()["streams"][0]["retry_in_ms"], "backing off")
    relay.ctl("flush")
    relay.wait_empty()
    assert collector.count() == 1


def test_drop_in_flight_is_refused(relay, collector):
    release = threading.Event()
    collector.next(Answer(hang=release))
    id_ = relay.ask(event())["id"]
    wait_until(lambda: relay.states().get("inflight") == 1, "in flight")
    assert [r["state"] for r in relay.list()] == ["inflight"]
    assert relay.ctl_raw("drop", id_).returncode == 1
    release.set()
    relay.wait_empty()


def test_metrics(relay, collector):
    with relay.client() as c:
        c.send(event(), event("ad_click"), {**event(), "dedup_key": "k"}, {**event(), "dedup_key": "k"}).replies(4)
    relay.wait_empty()
    text = relay.ctl_raw("metrics").stdout
    values = {}
    for x in text.splitlines():
        if x and not x.startswith("#"):
            name, _, value = x.rpartition(" ")
            values[name] = float(value)
    assert values['ga4relay_events_accepted_total{stream="web"}'] == 2
    assert values['ga4relay_events_delivered_total{stream="web"}'] == 2
    assert values['ga4relay_events_rejected_total{code="NAME_RESERVED"}'] == 1
    assert values["ga4relay_events_duplicate_total"] == 1
    assert values['ga4relay_destination_up{stream="web"}'] == 1
    for name in ("request_duration_seconds", "batch_events", "commit_duration_seconds", "commit_rows"):
        assert f"ga4relay_{name}_count" in text and f'ga4relay_{name}_bucket{{le="+Inf"}}' in text, name
    for name in ("outbox_events", "outbox_bytes", "oldest_event_age_seconds", "requests_in_flight", "connections",
                 "paused_reading", "replies_unsent_total", "slow_loops_total", "build_info"):
        assert f"ga4relay_{name}" in text, name


def test_tap(relay, collector):
    p = subprocess.Popen([BUILD / "ga4relay-ctl", "-s", relay.control, "--json", "tap"], stdout=subprocess.PIPE, text=True)
    try:
        got = []
        threading.Thread(target=lambda: got.extend(iter(p.stdout.readline, "")), daemon=True).start()
        # it follows from when it is connected: events are sent until the first one shows
        wait_until(lambda: relay.ask(event("tapped"))["ok"] and got, "a line of tap")
        wait_until(lambda: len({json.loads(x)["state"] for x in got if "state" in x}) >= 2, "an event on its way")
        assert all(json.loads(x)["name"] == "tapped" for x in got if '"name"' in x)
    finally:
        p.terminate()
        p.wait(10)


def test_validate(paused):
    bad = line(event("ad_click")).decode()
    r = paused.ctl_raw("validate", stdin=line(event()).decode() + bad)
    assert "NAME_RESERVED" in r.stdout + r.stderr
    assert paused.states() == {}


def test_backup(filled):
    target = filled.dir / "copy.db"
    r = filled.ctl_raw("backup", target)
    assert r.returncode == 0, r
    assert (target.stat().st_mode & 0o777) == 0o600
    r = subprocess.run([BUILD / "ga4relay-ctl", "--json", "--offline", target, "count"], capture_output=True, text=True)
    assert r.returncode == 0 and json.loads(r.stdout.splitlines()[0])["count"] == 10, r


def test_offline_needs_a_stopped_daemon(filled):
    cmd = [BUILD / "ga4relay-ctl", "--json", "--offline", filled.db, "list"]
    assert subprocess.run(cmd, capture_output=True).returncode != 0
    assert filled.stop() == 0
    r = subprocess.run(cmd, capture_output=True, text=True)
    assert r.returncode == 0 and len(r.stdout.splitlines()) == 10, r
    r = subprocess.run([BUILD / "ga4relay-ctl", "--offline", filled.db, "check"], capture_output=True, text=True)
    assert r.returncode == 0, r


def test_log_level_and_version(relay):
    assert relay.ctl_raw("log-level", "debug").returncode == 0
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    wait_until(lambda: " debug: " in relay.log, "a debug line")
    assert relay.ctl_raw("log-level", "loud").returncode == 2
    assert relay.ctl("version")


def test_sandbox_main_job():
    """README's first command: no configuration, no network, no account."""
    p = subprocess.Popen([BUILD / "ga4relay", "--sandbox"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        import re
        sock = None
        for x in p.stderr:
            m = re.search(r"events that you send to (\S+)", x)
            sock = m.group(1) if m else sock
            if sock and "ready" in x:
                break
        from lib.client import Client
        with Client(sock) as c:
            assert c.ask(event("renewal"))["ok"]
        for x in p.stdout:
            if "renewal" in x:
                break
        p.send_signal(signal.SIGTERM)
        assert p.wait(30) == 0
        assert not os.path.exists(os.path.dirname(sock))
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
        p.stdout.close()
        p.stderr.close()
