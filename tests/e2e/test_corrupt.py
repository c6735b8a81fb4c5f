# test_corrupt.py - an outbox with a destroyed page makes way for a new one, and what it still holds comes back
import json
import os
import re
import sqlite3
import subprocess
import time

import pytest

from lib.relay import BUILD, TOP, wait_until

ROWS = int(os.environ.get("GA4RELAY_ROWS", 20000)) # 1000000 for a release
LINE_EVENTS = 1000
LOST = 100              # rows that a destroyed page of 4 KiB may cost
ALLOWED = ("damaged", "malformed", "corrupt", "stopping, so that", "did not end cleanly")


def big_line(first):
    """A payload line: its events share one envelope, every line has its own."""
    events = [{"name": "refund", "params": {"transaction_id": f"T-{n}", "session_id": 1700000000,
                                            "engagement_time_msec": 1, "value": n, "coupon": "x" * 80}}
              for n in range(first, first + LINE_EVENTS)]
    return {"client_id": f"1.{first}", "events": events}


def fill(relay, rows):
    with relay.client() as c:
        for first in range(0, rows, LINE_EVENTS):
            assert c.ask(big_line(first))["count"] == LINE_EVENTS


class Pages:
    """The pages of a closed database, as https://www.sqlite.org/fileformat2.html describes them."""

    INTERIOR, LEAF = 5, 13

    def __init__(self, path):
        self.path = path
        db = sqlite3.connect(path)
        self.size = db.execute("PRAGMA page_size").fetchone()[0]
        self.roots = dict(db.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"))
        db.close()

    def read(self, number):
        with open(self.path, "rb") as f:
            f.seek((number - 1) * self.size)
            return f.read(self.size)

    def children(self, number):
        page = self.read(number)
        if page[0] != self.INTERIOR:
            return []
        cells = [int.from_bytes(page[12 + 2 * i:14 + 2 * i], "big") for i in range(int.from_bytes(page[3:5], "big"))]
        return [int.from_bytes(page[c:c + 4], "big") for c in cells] + [int.from_bytes(page[8:12], "big")]

    def leaf(self, table):
        """A leaf in the middle."""
        number = self.roots[table]
        while (below := self.children(number)):
            number = below[len(below) // 2]
        assert self.read(number)[0] == self.LEAF
        return number

    def destroy(self, number):
        with open(self.path, "r+b") as f:
            f.seek((number - 1) * self.size)
            f.write(b"\xa5" * self.size)


@pytest.fixture
def filled(make_relay):
    """A stopped relay, paused, with ROWS events."""
    r = make_relay(outbox={"max_events": 100000000})
    r.config["streams"] = [r.stream(paused=True)]
    r.start()
    fill(r, ROWS)
    assert r.stop() == 0
    return r


def aside(relay):
    found = [p for p in relay.dir.glob("outbox.db.corrupt-*") if re.search(r"Z(-\d+)?$", p.name)]
    assert len(found) <= 1
    return found[0] if found else None


def start_until_set_aside(relay):
    """As systemd does with Restart=: a page in the middle is met when delivery or a command gets to it, that run
    stops, and the next one looks through the whole file before it trusts it."""
    for _ in range(2):
        relay.start()
        if aside(relay):
            return
        relay.ctl_raw("count", "--by", "name")
        assert relay.wait_exit() == 1


def offline(path, *args, **kw):
    env = {"PATH": os.environ["PATH"], "LSAN_OPTIONS": f"suppressions={TOP}/tests/e2e/lsan.supp"}
    return subprocess.run([BUILD / "ga4relay-ctl", "--offline", path, *args], env=env, text=True, timeout=600, **kw)


def bring_back(relay, old):
    """ga4relay-ctl --offline OLD export | ga4relay-ctl send -"""
    source = subprocess.Popen([BUILD / "ga4relay-ctl", "--offline", old, "export"], stdout=subprocess.PIPE)
    sent = subprocess.run([BUILD / "ga4relay-ctl", "-s", relay.control, "send", "-"], stdin=source.stdout,
                          capture_output=True, text=True, timeout=900,
                          env={"PATH": os.environ["PATH"], "GA4RELAY_SOCKET": str(relay.sock)})
    source.stdout.close()
    source.wait()
    return sent


def test_a_destroyed_page(filled, collector):
    filled.allow(*ALLOWED)
    pages = Pages(filled.db)
    pages.destroy(pages.leaf("event"))

    start_until_set_aside(filled)
    old = aside(filled)
    assert "set aside as" in filled.log and str(old) in filled.log
    assert filled.status()["outbox"].get("set_aside") == str(old) or filled.status().get("set_aside") == str(old)
    assert "ga4relay_outbox_set_aside 1" in filled.ctl_raw("metrics").stdout
    reply = filled.ask({"client_id": "9.9", "name": "tutorial_begin",
                        "params": {"session_id": 1, "engagement_time_msec": 1}})
    assert reply["ok"] and reply["id"] > ROWS

    checked = offline(old, "check", capture_output=True)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    begun = time.monotonic()
    sent = bring_back(filled, old)
    seconds = time.monotonic() - begun
    total = filled.ctl("count")[0]["count"] - 1
    print(f"{total} of {ROWS} rows came back in {seconds:.1f} s\n{checked.stdout}{sent.stdout}{sent.stderr}")
    assert ROWS - LOST <= total < ROWS, sent.stderr

    kept = [json.loads(x) for x in filled.ctl_raw("--json", "export", "--limit", 1001).stdout.splitlines()]
    lines = [json.loads(x["line"]) for x in kept if x["client"] != "9.9"]
    for x in lines[:1000]:
        n = x["params"]["value"]
        assert x["client_id"] == f"1.{n - n % LINE_EVENTS}" and x["params"]["transaction_id"] == f"T-{n}"


@pytest.mark.parametrize("table", ["envelope", "counter", "note"])
def test_a_destroyed_page_of_another_table(filled, table):
    """Intake starts, whatever the page held."""
    filled.allow(*ALLOWED)
    pages = Pages(filled.db)
    pages.destroy(pages.leaf(table) if table != "note" else pages.roots[table])
    before = ROWS
    for _ in range(3):
        filled.write_config()
        filled.spawn()
        if filled.notified("READY=1") and filled.ask(big_line(0)).get("ok"):
            break
        filled.wait_exit()
    reply = filled.ask(big_line(0))
    assert reply["ok"] and reply["id"] > before
