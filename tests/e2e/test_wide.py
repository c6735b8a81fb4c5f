# test_wide.py - what would end at 32 bits: an outbox beyond 2 GiB, and times beyond 2038
import calendar
import struct
import time

from lib.client import event
from lib.clock import Clock

GIB = 1 << 30
IN_2040 = calendar.timegm((2040, 2, 29, 12, 0, 0))


def grow(db, size):
    """As if the outbox had once been so full: what is stored next goes to its end. The pages between are a hole."""
    with open(db, "r+b") as f:
        page, = struct.unpack(">16xH82x", f.read(100))
        f.seek(28)
        f.write(struct.pack(">I", size // page))
        f.truncate(size)


def test_an_outbox_of_3_gib(make_relay, collector):
    """It opens; what is stored beyond its third GiB is listed, outlives a kill, and is delivered."""
    relay = make_relay().allow("did not end cleanly")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    assert relay.ask(event())["ok"]
    relay.stop()
    grow(relay.db, 3 * GIB)
    relay.start()
    with relay.client() as c:
        for _ in range(100):
            assert c.ask(event(page_title="x" * 90))["ok"]
    relay.kill9()
    relay.start()
    relay.restart()                       # the WAL's pages go to their places
    assert relay.db.stat().st_size > 3 * GIB
    assert len(relay.list("--limit", 0)) == 101
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert len(collector.events) == 101


def test_a_date_in_2040(make_relay, collector):
    relay = make_relay()
    clock = Clock(relay)
    clock.step(IN_2040 - time.time())
    relay.start()
    assert relay.ask({**event(), "timestamp_micros": (IN_2040 - 60) * 10**6})["ok"]
    r = relay.ask({**event(), "timestamp_micros": (IN_2040 - 30 * 86400) * 10**6})
    assert not r["ok"], r
    relay.wait_empty()
    sent, = collector.requests[0].body["events"]
    assert sent["timestamp_micros"] == (IN_2040 - 60) * 10**6
    assert "2040-02-29T12:0" in relay.log
