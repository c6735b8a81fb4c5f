# test_corrupt.py - an outbox with a destroyed page makes way for a new one, and what it still holds comes back
import json
import os
import re
import sqlite3
import subprocess
import time

import pytest

from lib.client import event
from lib.relay import BUILD, TOP, wait_until

ROWS = int(os.environ.get("GA4RELAY_ROWS", 20000)) # 1000000 for a release
LINE_EVENTS = 1000
LOST = 100              # rows that a destroyed page may cost
NEW = {"client_id": "9.9", "name": "tutorial_begin", "params": {"session_id": 1, "engagement_time_msec": 1}}
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


def restart_until_it_serves(relay):
    """As systemd does with Restart=: a page in the middle is met when delivery or a command gets to it, that run
    stops, and the next one looks through the whole file before it trusts it."""
    relay.write_config()
    for _ in range(4):
        relay.spawn()
        if relay.notified("READY=1") and relay.ctl_raw("check").returncode == 0 and relay.ask(NEW).get("ok"):
            return
        assert relay.wait_exit() == 1, relay.log
    raise AssertionError(relay.log)


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


def bring_back_all(relay, expected):
    """Set aside, said so, ids above the old ones, and so many events come back."""
    old = aside(relay)
    assert old, relay.log
    assert "set aside as" in relay.log and str(old) in relay.log
    assert relay.status()["set_aside"] == str(old)
    assert "ga4relay_outbox_set_aside 1" in relay.ctl_raw("metrics").stdout
    reply = relay.ask(NEW)
    assert reply["ok"] and reply["id"] > ROWS
    relay.ctl("drop", "ALL", "--yes")

    checked = offline(old, "check", capture_output=True)
    assert checked.returncode == 1 and "damaged" in checked.stdout, checked.stdout + checked.stderr
    begun = time.monotonic()
    sent = bring_back(relay, old)
    seconds = time.monotonic() - begun
    total = relay.ctl("count")[0]["count"]
    print(f"{total} of {ROWS} rows came back in {seconds:.1f} s\n{checked.stdout}{sent.stdout}{sent.stderr}")
    assert expected - LOST <= total <= expected, checked.stdout + sent.stdout + sent.stderr
    for x in relay.ctl("export")[:1000]:
        x = json.loads(x["line"])
        n = x["params"]["value"]
        assert x["client_id"] == f"1.{n - n % LINE_EVENTS}" and x["params"]["transaction_id"] == f"T-{n}"


@pytest.mark.parametrize("which", ["leaf", "interior", "root", "page 1"])
def test_a_destroyed_page(filled, which):
    """Whatever points at the events' pages, the events themselves come back."""
    filled.allow(*ALLOWED)
    pages = Pages(filled.db)
    pages.destroy({"leaf": pages.leaf("event"), "root": pages.roots["event"], "page 1": 1,
                   "interior": pages.children(pages.roots["event"])[1]}[which])
    restart_until_it_serves(filled)
    bring_back_all(filled, ROWS)


def test_the_header_and_the_lock_file_are_destroyed(filled):
    """Nothing says any more that it was ours: left alone, exit 78; what it holds can be read all the same."""
    filled.allow("that is no outbox of ga4relay")
    Pages(filled.db).destroy(1)
    (filled.dir / "outbox.db.lock").unlink()
    filled.spawn()
    assert filled.wait_exit() == 78
    read = offline(filled.db, "--json", "count", capture_output=True)
    assert json.loads(read.stdout)["count"] == ROWS, read.stderr


@pytest.mark.parametrize("lost", ["leaf", "counters and a leaf", "page 1"])
def test_what_is_read_of_a_damaged_file_says_whether_it_is_all(filled, lost):
    """export, list and count; with exit 1 unless nothing is missing. `show` of what is there does not mind."""
    pages = Pages(filled.db)
    if lost == "page 1":
        pages.destroy(1)
    else:
        if "counters" in lost:
            pages.destroy(pages.leaf("counter"))
        pages.destroy(pages.leaf("event"))
    missing = set(range(1, ROWS + 1))
    for args in (["export"], ["list", "--limit", "0"], ["list", "--limit", "0", "--reverse"], ["list", "--limit", "3"],
                 ["count"], ["count", "--name", "refund"], ["export", "--client", "1.0"]):
        r = offline(filled.db, "--json", *args, capture_output=True)
        if args == ["export"]:
            missing -= {json.loads(x)["id"] for x in r.stdout.splitlines()}
        if args == ["list", "--limit", "3"] and lost != "page 1" and r.returncode == 0:
            continue                      # the damage is beyond what was asked for, and was not met
        here = ROWS - len(missing)
        says = {"leaf": f"{here:,} of {ROWS:,} events could be read", "page 1": f"all {ROWS:,} events could be read",
                "counters and a leaf": f"{here:,} events could be read; how many there were is not known"}[lost]
        assert says in r.stderr and "damaged (" in r.stderr, (args, r.stderr)
        assert r.returncode == (0 if lost == "page 1" else 1), (args, r.stderr)
    assert (len(missing) == 0) == (lost == "page 1") and len(missing) < LOST
    checked = offline(filled.db, "check", capture_output=True)
    assert checked.returncode == 1
    assert ("how many there were is not known" if "counters" in lost else f"of {ROWS:,} events") in checked.stdout, checked.stdout
    assert offline(filled.db, "show", "1", capture_output=True).returncode == 0
    for i in list(missing)[:1]:
        r = offline(filled.db, "show", str(i), capture_output=True)
        assert r.returncode == 1 and f"event {i}: " in r.stderr and "unknown id" not in r.stderr, r.stderr


def test_counters_that_say_more_than_is_there(filled):
    """The file is sound, and lacks rows: as one whose newest part was left behind elsewhere."""
    db = sqlite3.connect(filled.db)
    db.execute("DELETE FROM event WHERE id > 250")
    db.commit()
    db.close()
    r = offline(filled.db, "export", capture_output=True)
    assert r.returncode == 1 and len(r.stdout.splitlines()) == 250, r.stderr
    assert f"250 of {ROWS:,} events could be read" in r.stderr


def test_an_event_whose_envelope_is_lost(filled):
    """It is shown without, and that is said: `send` would refuse it."""
    pages = Pages(filled.db)
    pages.destroy(pages.leaf("envelope"))
    r = offline(filled.db, "export", capture_output=True)
    bare = sum("client_id" not in json.loads(x)["line"] for x in r.stdout.splitlines())
    assert r.returncode == 1 and bare > 0 and f"{bare:,} of what was printed lacks" in r.stderr, r.stderr
    assert offline(filled.db, "check", capture_output=True).returncode == 1


@pytest.mark.parametrize("streams", ["one", "two"])
def test_events_whose_streams_are_lost(make_relay, streams):
    """Of one stream: the lines name none, so that `send` gives them to the default one. Of several: `send` refuses them, until the
    right name is put in the place of the number."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    if streams == "two":
        relay.config["streams"].append(relay.stream(name="shop", paused=True, measurement_id="G-TEST000002"))
        relay.change(default_stream="web")
    relay.start()
    for i in range(40):
        assert relay.ask({**event(n=i), **({"stream": "shop"} if streams == "two" and i % 4 == 0 else {})})["ok"]
    assert relay.stop() == 0
    old = relay.dir / "old.db"
    relay.db.rename(old)
    pages = Pages(old)
    pages.destroy(pages.roots["stream"])
    r = offline(old, "export", capture_output=True)
    assert r.returncode == 1, r.stderr
    lines = [json.loads(json.loads(x)["line"]) for x in r.stdout.splitlines()]
    assert len(lines) == 40
    listed = [json.loads(x)["stream"] for x in offline(old, "--json", "list", "--limit", "0", capture_output=True).stdout.splitlines()]
    counted = offline(old, "count", "--by", "stream", capture_output=True)
    assert counted.returncode == 0 or "damaged" in counted.stderr
    text = r.stdout
    if streams == "one":
        assert not any("stream" in x for x in lines) and "40 of what was printed lacks the stream's name" in r.stderr, r.stderr
        assert listed == [None] * 40
    else:
        assert [x["stream"] for x in lines] == ["#2" if i % 4 == 0 else "#1" for i in range(40)]
        assert '40 of what was printed has a number instead of the stream\'s name, such as "#1"' in r.stderr, r.stderr
        assert listed == [x["stream"] for x in lines] and "#2" in counted.stdout
    relay.start()
    if streams == "two":
        sent = relay.ctl_raw("send", "-", stdin=text)
        assert sent.returncode == 1 and relay.ctl("count")[0]["count"] == 0, sent
        text = text.replace('\\"#1\\"', '\\"web\\"').replace('\\"#2\\"', '\\"shop\\"')
    sent = relay.ctl_raw("send", "-", stdin=text)
    assert sent.returncode == 0, sent
    assert {x["key"]: x["count"] for x in relay.ctl("count", "--by", "stream")} == (
        {"web": 40} if streams == "one" else {"web": 30, "shop": 10})


def test_a_file_cut_off(filled):
    filled.allow(*ALLOWED)
    size = filled.db.stat().st_size // 4096 * 4096
    os.truncate(filled.db, size * 3 // 4 + 100)
    restart_until_it_serves(filled)
    old = aside(filled)
    sent = bring_back(filled, old)
    assert ROWS * 0.7 < filled.ctl("count")[0]["count"] < ROWS * 0.8, sent.stdout + sent.stderr


def test_a_destroyed_page_of_the_free_list(filled):
    filled.allow(*ALLOWED)
    filled.start()
    ids = [r["id"] for r in filled.ctl("list", "--limit", ROWS // 2)]
    assert filled.ctl_raw("drop", "-", stdin="\n".join(map(str, ids))).returncode == 0
    assert filled.stop() == 0
    pages = Pages(filled.db)
    trunk = int.from_bytes(pages.read(1)[32:36], "big")
    assert trunk > 0
    pages.destroy(trunk)
    filled.write_config()
    for _ in range(4):                # met when room is needed
        filled.spawn()
        if filled.notified("READY=1") and all(filled.ask(big_line(n)).get("ok") for n in range(5)):
            break
        filled.wait_exit()
    assert filled.ask(NEW)["id"] > ROWS


def crashed_with_a_wal(relay, rows):
    """Killed with so many events more, the last of which only the WAL holds."""
    relay.start()
    fill(relay, rows)
    relay.kill9()
    wal = relay.dir / "outbox.db-wal"
    assert wal.stat().st_size > 4096      # what is not yet copied into the file
    return wal


def test_a_zeroed_wal(filled):
    """What only it held is lost, and said to be; no id is given twice. Where it was being copied into the file when the
    relay was killed, the file is damaged without it: then what can be read is brought back."""
    filled.allow(*ALLOWED, "write-ahead log")
    wal = crashed_with_a_wal(filled, 5000)
    wal.write_bytes(bytes(wal.stat().st_size))
    restart_until_it_serves(filled)
    assert "write-ahead log" in filled.log
    assert filled.ask(NEW)["id"] > ROWS + 5000
    if aside(filled):
        bring_back(filled, aside(filled))
    assert ROWS - LOST <= filled.ctl("count")[0]["count"] <= ROWS + 5003  # two more asked
    assert (filled.dir / "outbox.db-wal.orphan").exists()


def test_the_wal_of_another_file(filled, make_relay):
    """Say a backup was put in place and the old WAL left beside it: intake goes on, and nothing is passed over."""
    filled.allow(*ALLOWED)
    other = make_relay()
    other.config["streams"] = [other.stream(paused=True)]
    (filled.dir / "outbox.db-wal").write_bytes(crashed_with_a_wal(other, 3000).read_bytes())
    restart_until_it_serves(filled)
    assert filled.ask(NEW)["id"] > ROWS


def test_a_wal_survives_being_set_aside(filled):
    """The newest events are in the WAL alone, and a page of the file is destroyed."""
    filled.allow(*ALLOWED)
    crashed_with_a_wal(filled, 4000)
    with open(filled.db, "r+b") as f:
        f.write(b"\xa5" * 4096)
    restart_until_it_serves(filled)
    sent = bring_back(filled, aside(filled))
    total = filled.ctl("count")[0]["count"]
    assert ROWS + 4000 <= total + LOST and "T-3999" in filled.ctl_raw("export").stdout, sent.stderr


def test_the_alarm_stays_until_the_file_is_taken_away(filled):
    filled.allow(*ALLOWED)
    Pages(filled.db).destroy(1)
    restart_until_it_serves(filled)
    old = aside(filled)
    filled.restart()
    assert filled.status()["set_aside"] == str(old)
    assert "ga4relay_outbox_set_aside 1" in filled.ctl_raw("metrics").stdout
    for p in filled.dir.glob("outbox.db.corrupt-*"):
        p.unlink()
    filled.restart()
    assert "set_aside" not in filled.status()


@pytest.mark.parametrize("table", ["envelope", "counter", "note"])
def test_a_destroyed_page_of_another_table(filled, table):
    """Intake starts, whatever the page held."""
    filled.allow(*ALLOWED)
    pages = Pages(filled.db)
    pages.destroy(pages.leaf(table) if table != "note" else pages.roots[table])
    filled.write_config()
    for _ in range(3):
        filled.spawn()
        if filled.notified("READY=1") and filled.ask(big_line(0)).get("ok"):
            break
        filled.wait_exit()
    reply = filled.ask(big_line(0))
    assert reply["ok"] and reply["id"] > ROWS
