# test_ctl_offline.py - the reading commands say of the file what the daemon said of it: same filters, same rows, same words
import json

import pytest

from lib.client import event
from lib.collector import status
from lib.relay import wait_until

FILTERS = [
    [], ["--limit", "2"], ["--limit", "0", "--reverse"], ["--reverse", "--limit", "3"],
    ["--state", "queued"], ["--state", "held"], ["--state", "dead"], ["--state", "queued,held", "--state", "dead"],
    ["--state", "delivered"], ["--state", "rejected"], ["--state", "dead", "--reason", "too-large"],
    ["--state", "dead", "--reason", "expired"], ["--stream", "web"], ["--stream", "eu"], ["--client", "2.2"],
    ["--client", "9.9"], ["--name", "purchase"], ["--older", "1h"], ["--client", "1.1", "--name", "refund"],
]
STABLE = ("id", "state", "reason", "stream", "client", "name", "accepted_micros", "event_micros", "attempts", "last_status",
          "last_error", "maybe_sent", "bytes", "line", "code", "field", "message", "uid")


@pytest.fixture
def outbox(make_relay, collector):
    """A relay with events of every state that outlives it: queued, held, dead, delivered; refused lines; two streams."""
    relay = make_relay(outbox={"keep_delivered": "1h"}, delivery={"refuse_after": "0s"})
    relay.config["streams"] = [relay.stream(), relay.stream(name="eu", measurement_id="G-EU", paused=True)]
    relay.allow("outcome=dead-too-large").start()
    with relay.client() as c:
        assert c.ask(event("purchase", client="1.1", items=[]))["ok"]
        relay.wait_empty()
        collector.next(status(413))
        assert c.ask(event(client="5.5", larger="x" * 99))["ok"]
        wait_until(lambda: relay.states().get("dead") == 1, "the dead letter")
        for i in range(3):
            assert c.ask({**event(client=f"{i}.1"), "stream": "eu"})["ok"]
        held = c.ask({**event("purchase", client="2.2", items=[]), "stream": "eu"})["id"]
        assert not c.ask(event("ad_click"))["ok"]
        c.send(b"nonsense\n")
        assert not c.reply()["ok"]
    relay.ctl("hold", held)
    wait_until(lambda: relay.ctl("count", "--state", "rejected") == [{"key": "total", "count": 2}], "the refused lines")
    return relay


def cut(rows):
    return [{k: r[k] for k in STABLE if k in r} for r in rows]


def test_every_filter(outbox):
    said = [(cut(outbox.ctl("list", *f)), outbox.ctl("count", *f) if "--limit" not in f and "--reverse" not in f else None)
            for f in FILTERS]
    by = {word: sorted(map(str, outbox.ctl("count", "--by", word, "--state", "queued,held,delivered")))
          for word in ("stream", "name", "state", "age")}
    exported = cut(outbox.ctl("export"))
    ids = [r["id"] for r in exported]
    shown = cut(outbox.ctl("show", *ids))
    assert outbox.stop() == 0
    offline = ["--offline", outbox.db]
    for f, (rows, count) in zip(FILTERS, said):
        assert cut(outbox.ctl(*offline, "list", *f)) == rows, f
        if count is not None:
            assert outbox.ctl(*offline, "count", *f) == count, f
    for word, counts in by.items():
        assert sorted(map(str, outbox.ctl(*offline, "count", "--by", word, "--state", "queued,held,delivered"))) == counts
    # Nothing is in flight without a daemon: what was is queued again.
    assert outbox.ctl(*offline, "list", "--state", "inflight") == outbox.ctl(*offline, "list", "--state", "queued")
    assert cut(outbox.ctl(*offline, "export")) == exported
    assert cut(outbox.ctl(*offline, "show", *ids)) == shown
    assert outbox.ctl(*offline, "check")[0]["ok"]
    assert outbox.ctl(*offline, "count", "--state", "rejected", "--by", "reason") == \
        [{"key": "JSON_INVALID", "count": 1}, {"key": "NAME_RESERVED", "count": 1}]


@pytest.mark.parametrize("args, code, says", [
    (["list", "--state", "ded"], 2, "states: queued"),
    (["list", "--state", "rejected,dead"], 2, "stands alone"),
    (["list", "--reason", "x"], 2, "reasons: refused"),
    (["count", "--by", "colour"], 2, "by: stream"),
    (["list", "--stream", "nix"], 1, "no stream is called"),
    (["show", "99"], 1, "event 99: unknown id"),
])
def test_offline_usage(outbox, args, code, says):
    assert outbox.stop() == 0
    r = outbox.ctl_raw("--offline", outbox.db, *args)
    assert r.returncode == code and says in r.stderr, r


def test_an_empty_outbox(make_relay):
    relay = make_relay().start()
    assert relay.stop() == 0
    assert relay.ctl("--offline", relay.db, "list") == []
    assert relay.ctl("--offline", relay.db, "count") == [{"key": "total", "count": 0}]


def test_a_file_that_is_none(make_relay):
    relay = make_relay()
    for text in (b"", b"nonsense" * 1000):
        relay.db.write_bytes(text)
        r = relay.ctl_raw("--offline", relay.db, "check")
        assert r.returncode == 1 and str(relay.db) in r.stderr + r.stdout, r
    r = relay.ctl_raw("--offline", "/nowhere", "--json", "list")
    assert r.returncode == 1 and "/nowhere" in r.stderr
    assert [json.loads(x) for x in r.stdout.splitlines()] == []
