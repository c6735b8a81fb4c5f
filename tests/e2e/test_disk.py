# test_disk.py - a disk that is full, read-only, broken or gone: replies say so, nothing is lost, no restart is needed
import array
import fcntl
import json
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.client import event
from lib.collector import status
from lib.mounts import Mount, fill
from lib.relay import BUILD, SANITIZED, wait_until

needs_strace = pytest.mark.skipif(SANITIZED or not shutil.which("strace"), reason="strace (without sanitizers) is missing")


def stop_traced(relay):
    children = f"/proc/{relay.pid}/task/{relay.pid}/children"
    with open(children) as f:
        pids = [int(x) for x in f.read().split()]
    for pid in pids:
        os.kill(pid, 15)
    relay.process.wait(30)


@pytest.fixture
def mount():
    """mount(kind, …): unmounted at the end, last first."""
    made = []

    def make(*args, **kw):
        made.append(args[0] if isinstance(args[0], Mount) else Mount(*args, **kw))
        return made[-1]

    yield make
    for m in reversed(made):
        m.remove()


@pytest.fixture(params=["tmpfs", "ext4", "xfs", "btrfs"])
def disk(request, mount):
    m = mount(request.param)
    if request.param in ("xfs", "btrfs"):       # which cannot be made small
        m.leave(18 << 20)
    return m.path


def ask_until_refused(relay, acked, tag):
    with relay.client() as c:
        for i in range(20000):
            name = f"{tag}-{i}"
            r = c.ask(event(transaction_id=name, blob="x" * 3000))
            if not r["ok"]:
                assert r["code"] in ("QUEUE_FULL", "STORAGE_ERROR") and r["retry"], r
                return r
            acked.add(name)
    raise AssertionError("never full")


def arrived(collector):
    return {e["params"]["transaction_id"] for e in collector.events}


def accepts(relay, acked, name):
    if not relay.ask(event(transaction_id=name))["ok"]:
        return False
    acked.add(name)
    return True


def on_disk(make_relay, disk, **changes):
    relay = make_relay(outbox={"path": disk / "outbox.db", "min_free_disk": "1M", "ballast": "1M"}, **changes)
    relay.db = disk / "outbox.db"
    return relay.allow("outbox", "disk", "destination", "outcomes of requests", "did not end cleanly",
                       "events in flight could not be noted")


def test_full_while_taking_events(make_relay, disk, collector):
    """Filled by the backlog itself: delivery makes room, then all is as before."""
    acked = set()
    relay = on_disk(make_relay, disk)
    collector.down()
    relay.start()
    ask_until_refused(relay, acked, "own")
    collector.up()
    wait_until(lambda: acked <= arrived(collector), "the backlog leaves a full disk", 60)
    relay.wait_empty()
    wait_until(lambda: accepts(relay, acked, "later"), "room again", 60)  # btrfs gives it back when a transaction ends
    wait_until(lambda: acked <= arrived(collector), "the later one")
    assert len(collector.events) == len(acked)


def test_full_with_a_backlog_and_a_neighbour(make_relay, disk, collector):
    """The backlog has filled the outbox to its limit, and something else takes the last bytes."""
    acked = set()
    relay = on_disk(make_relay, disk)
    collector.down()
    relay.start()
    ask_until_refused(relay, acked, "own")
    fill(disk)
    collector.up()
    wait_until(lambda: acked <= arrived(collector), "the backlog leaves a full disk", 60)
    (disk / "filler").unlink()
    relay.wait_empty()
    wait_until(lambda: accepts(relay, acked, "later"), "room again", 60)
    wait_until(lambda: acked <= arrived(collector), "the later one")


def test_full_while_settling(make_relay, disk, collector):
    acked = set()
    relay = on_disk(make_relay, disk).start()
    collector.next(*[status(204, delay=1.0)] * 4)
    for i in range(100):
        assert accepts(relay, acked, f"s-{i}")
    fill(disk)
    wait_until(lambda: acked <= arrived(collector), "delivered")
    relay.wait_empty(60)
    (disk / "filler").unlink()
    wait_until(lambda: accepts(relay, acked, "later"), "room again", 60)
    relay.wait_empty()
    assert len(collector.events) == len(acked)
    assert relay.stop() == 0
    assert relay.sql("PRAGMA integrity_check") == [("ok",)]


def test_full_at_start(make_relay, disk, collector):
    acked = set()
    relay = on_disk(make_relay, disk)
    collector.down()
    relay.start()
    for i in range(50):
        assert accepts(relay, acked, f"b-{i}")
    relay.kill9()
    fill(disk)
    collector.up()
    relay.start()
    wait_until(lambda: acked <= arrived(collector), "delivered from a full disk", 60)
    (disk / "filler").unlink()
    wait_until(lambda: accepts(relay, acked, "later"), "room again", 60)


def test_full_at_the_first_start(make_relay, disk):
    relay = on_disk(make_relay, disk)
    fill(disk)
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 1
    assert str(disk / "outbox.db") in relay.log
    (disk / "filler").unlink()
    relay.start()
    assert relay.ask(event())["ok"]


def test_read_only_at_start(make_relay, disk):
    relay = on_disk(make_relay, disk).start()
    assert relay.ask(event())["ok"]
    assert relay.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    relay.spawn()
    assert relay.wait_exit() == 1
    assert str(disk) in relay.log
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    relay.start()
    relay.wait_empty()


def is_written_in_place(path):
    flags = array.array("i", [0])
    with open(path, "rb") as f:
        fcntl.ioctl(f, 0x80046601 if struct.calcsize("l") == 4 else 0x80086601, flags)
    return bool(flags[0] & 0x00800000)


def test_an_outbox_on_btrfs(make_relay, mount, collector):
    """Its files are exempted from being copied on write. One that a copy put there is not: that is said, and as much room
    as it takes is kept free, until a backup is restored."""
    fs = mount("btrfs")
    collector.rule = lambda _: status(503)
    relay = on_disk(make_relay, fs.path).allow("btrfs copies this file").start()
    acked = set()
    for i in range(1000):
        assert accepts(relay, acked, f"b-{i}") if i % 100 == 0 else relay.ask(event(pad="x" * 3000))["ok"]
    assert is_written_in_place(relay.db) and is_written_in_place(f"{relay.db}-wal")
    relay.ctl("backup", relay.dir / "backup.db")
    assert relay.stop() == 0
    assert "btrfs copies" not in relay.log
    shutil.copyfile(relay.db, fs.path / "copy")
    (fs.path / "copy").chmod(0o600)
    (fs.path / "copy").rename(relay.db)
    relay.start()
    assert not is_written_in_place(relay.db)
    assert "btrfs copies this file" in relay.log
    assert relay.ask(event())["ok"]
    fs.leave(relay.db.stat().st_size + (3 << 20))   # and the last 4 MiB are not counted
    refused = wait_until(lambda: not (r := relay.ask(event(pad="x" * 3000)))["ok"] and r, "a refusal", 60)
    assert "min_free_disk" in refused["message"], refused
    (fs.path / "neighbour").unlink()
    subprocess.run(["sync", "-f", fs.path], check=True)
    wait_until(lambda: accepts(relay, acked, "room"), "room again")
    assert relay.stop() == 0
    r = subprocess.run([BUILD / "ga4relay-ctl", "--offline", relay.db, "restore", relay.dir / "backup.db"], capture_output=True)
    assert r.returncode == 0, r
    said = len(relay.log)
    relay.allow("set aside", "still beside it").start()
    assert is_written_in_place(relay.db) and "btrfs copies" not in relay.log[said:]


def refused_or_gone(relay, acked, tag, **params):
    """Until a line is refused, with a word that it may be sent again, or the relay ends in order."""
    try:
        for i in range(500):
            r = relay.ask(event(transaction_id=f"{tag}-{i}", **params))
            if not r["ok"]:
                assert r["code"] in ("STORAGE_ERROR", "QUEUE_FULL") and r["retry"], r
                return
            acked.add(f"{tag}-{i}")
    except (OSError, EOFError):
        assert relay.wait_exit() == 1, relay.log
        return
    raise AssertionError("never refused")


@pytest.mark.parametrize("trouble", ["read-only", "thin"])
def test_a_disk_that_breaks_under_the_running_relay(make_relay, mount, collector, trouble):
    """The kernel makes the file system read-only, as after an error; or the storage below it has no room and syncs fail."""
    below = mount("tmpfs", size="7M")
    fs = mount("ext4", where=below.path)
    acked = set()
    relay = on_disk(make_relay, fs.path)
    collector.rule = lambda _: status(503)
    relay.start()
    for i in range(20):
        assert accepts(relay, acked, f"b-{i}")
    if trouble == "read-only":
        subprocess.run(["mount", "-o", "remount,abort", fs.path], check=True)
    else:
        fill(below.path)
    refused_or_gone(relay, acked, trouble)
    wait_until(lambda: re.search("error: outbox", relay.log), "a word in the log")
    if relay.alive():
        relay.stop()
    (below.path / "filler").unlink(missing_ok=True)
    fs.umount()
    fs.mount()
    collector.rule = None
    relay.start()
    wait_until(lambda: acked <= arrived(collector), "what was acknowledged arrives after the repair")
    wait_until(lambda: accepts(relay, acked, "later"), "intake again")
    relay.wait_empty()
    assert relay.stop() == 0
    assert relay.sql("PRAGMA integrity_check") == [("ok",)]


def test_a_power_cut_after_a_failed_sync(make_relay, mount):
    """The disk has no room for a moment: a sync fails, its pages stay in the page cache, clean. The next life reads them
    there, and what it answers with ok must not rest on them: a cut takes them."""
    below = mount("tmpfs", size="90M")
    fs = mount("xfs", where=below.path)
    relay = on_disk(make_relay, fs.path, streams=[]).allow("a sync failed")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    acked = {f"before-{i}" for i in range(30)}
    assert all(relay.ask(event(transaction_id=n))["ok"] for n in acked)
    fill(below.path)
    refused_or_gone(relay, acked, "full", pad="x" * 9000) # several pages: what comes next writes the last one again
    assert relay.wait_exit() == 1
    (below.path / "filler").unlink()
    relay.start()
    for i in range(20):
        assert accepts(relay, acked, f"after-{i}")
    disk = mount(fs.cut_the_power(below.path.parent))
    relay.kill9()
    relay.db = disk.path / "outbox.db"
    relay.change(outbox={"path": relay.db})
    relay.start()
    there = {json.loads(x["line"])["params"]["transaction_id"] for x in relay.ctl("export")}
    assert acked <= there, f"{len(acked - there)} of {len(acked)} are gone: {sorted(acked - there)[:3]}"


@needs_strace
@pytest.mark.parametrize("call,error", [("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "EROFS"),
                                        ("pwrite64", "EDQUOT"), ("pwrite64", "ENOSPC")])
def test_failing_calls(make_relay, collector, call, error):
    """From the n-th call on all fail: no crash; a failed sync ends the process; what was acknowledged is delivered later."""
    for when in (3, 8, 15, 40):
        acked = set()
        relay = make_relay().allow(".*")
        collector.rule = lambda _: status(503)
        relay.start()
        relay.wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                         "-e", f"inject={call}:error={error}:when={when}+"]
        assert relay.stop() == 0
        relay.spawn()
        if relay.notified("READY=1"):
            try:
                for i in range(60):
                    r = relay.ask(event(transaction_id=f"{call}-{error}-{when}-{i}"))
                    if r["ok"]:
                        acked.add(f"{call}-{error}-{when}-{i}")
                    else:
                        assert r["code"] in ("STORAGE_ERROR", "QUEUE_FULL") and r["retry"], r
            except (OSError, EOFError):
                pass
        if call == "fdatasync":
            assert relay.wait_exit() == 1, relay.log
        elif relay.alive():
            stop_traced(relay)
        assert relay.process.returncode in (0, 1), relay.log
        relay.wrapper = []
        collector.rule = None
        relay.start()
        wait_until(lambda: acked <= arrived(collector), f"{call} {error} from {when} on: acknowledged events arrive")
        assert not list(relay.dir.glob("*corrupt*"))
        assert relay.stop() == 0
        assert relay.sql("PRAGMA integrity_check") == [("ok",)]


def life_with_failing_reads(relay, when):
    """A start, and a look at every event. What it came to: ready, or an exit."""
    relay.write_config()
    relay.wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", relay.db, "-e", "trace=pread64",
                     "-e", f"inject=pread64:error=EIO:when={when}"]
    relay.spawn()
    relay.wrapper = []
    if not relay.notified("READY=1"):
        return relay.wait_exit()
    relay.ctl_raw("export")
    children = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()
    for pid in children:
        os.kill(int(pid), 9)
    relay.process.wait(30)
    return "ready"


def backlog_of(make_relay, n):
    relay = make_relay().allow("did not end cleanly", "cannot be read", "could not be read", "disk I/O error", "Input/output error")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        c.send(*[event(transaction_id=f"r-{i}", pad="x" * 300) for i in range(n)])
        assert all(r["ok"] for r in c.replies(n))
    relay.kill9()
    return relay


def is_whole(relay, n):
    assert not list(relay.dir.glob("*corrupt*")) and not list(relay.dir.glob("*orphan*")), relay.log
    relay.start()
    assert relay.states() == {"queued": n}
    assert relay.ctl("check")[0]["ok"]
    relay.kill9()


@needs_strace
def test_a_read_that_fails_once(make_relay):
    """Whichever it is, the file is sound: SQLite says "malformed" of some of them."""
    relay = backlog_of(make_relay, 2000)
    came_to = [life_with_failing_reads(relay, n) for n in (*range(1, 16), 20, 30, 60, 120, "40+97", "25+31")]
    assert came_to.count("ready") > 15, came_to
    is_whole(relay, 2000)


@needs_strace
def test_reads_that_fail_for_good(make_relay):
    """An error and exit status 1, not a damaged file; suspect or not, nothing is moved."""
    relay = backlog_of(make_relay, 2000)
    for suspect in (False, True):
        for n in (1, 2, 4, 8, 12, 20):
            if suspect:
                lock = Path(f"{relay.db}.lock")
                lock.write_text(lock.read_text().replace("suspect 0", "suspect 1"))
            assert life_with_failing_reads(relay, f"{n}+") in (1, "ready")
    assert re.search("error: outbox.*(cannot be read|disk I/O error)", relay.log)
    is_whole(relay, 2000)


FAILS = ("STORAGE_ERROR", "error: outbox could not be written (disk I/O error")
FULL = ("QUEUE_FULL", "warning: outbox full (the disk is full)")


@needs_strace
@pytest.mark.parametrize("error, code, says", [("EIO", *FAILS), ("ENOSPC", *FULL), ("EDQUOT", *FULL), ("EFBIG", *FULL)])
@pytest.mark.parametrize("sync", ["full", "normal"])
def test_a_disk_that_fails_is_said(make_relay, sync, error, code, says):
    """Full, also by a quota or a limit, is known: nothing was stored, and the ballast helps. Another failure is not."""
    relay = make_relay().allow("could not be written", "outbox full", "last run did not end", 'sync is "normal"')
    relay.config["outbox"]["sync"] = sync
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    trace = subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
                              f"inject=pwrite64:error={error}", "-p", str(relay.pid)], stderr=subprocess.PIPE, text=True)
    assert "attached" in trace.stderr.readline()
    r = relay.ask(event())
    assert (r["code"], r["retry"]) == (code, True)
    wait_until(lambda: says in relay.log, "a word in the log")
    trace.terminate()
    trace.wait()
    trace.stderr.close()
    wait_until(lambda: relay.ask(event())["ok"], "room again")
    assert relay.states() == {"queued": 1}


def test_wal_is_bounded(paused):
    wal, most = Path(f"{paused.db}-wal"), 0
    with paused.client() as c:
        for _ in range(60):
            c.send(*[event(blob="x" * 500)] * 500)
            c.replies(500)
            most = max(most, wal.stat().st_size)
    assert paused.states() == {"queued": 30000}
    assert most < 32 << 20, most


def rows_in_file(path):
    """Without its WAL: in a copy, since only one connection owns the file."""
    with tempfile.TemporaryDirectory() as d:
        copy = Path(d) / "copy.db"
        copy.write_bytes(path.read_bytes())
        db = sqlite3.connect(copy)
        try:
            return db.execute("SELECT count(*) FROM event").fetchone()[0]
        except sqlite3.DatabaseError:   # copied while it was written
            return 0
        finally:
            db.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "directory"])
def test_the_file_is_taken_away(make_relay, collector, how):
    """No ok for what would be gone after a restart; what is known is delivered; once the file is back, intake is."""
    acked = set()
    relay = make_relay().allow("outbox", "destination")
    home = relay.dir / "home"
    home.mkdir()
    relay.change(outbox={"path": home / "outbox.db"})
    collector.rule = lambda _: status(503)
    relay.start()
    for i in range(20):
        assert accepts(relay, acked, f"a-{i}")
    away = relay.dir / "away"
    if how == "directory":
        home.rename(away)
    else:
        (home / "outbox.db").rename(away)
        if how == "replaced":
            (home / "outbox.db").write_bytes(b"another")
    refusal = wait_until(lambda: (r := relay.ask(event(transaction_id="late"))) and not r["ok"] and r, "a refusal")
    assert refusal["retry"] and "moved, removed or replaced" in refusal["message"], refusal
    wait_until(lambda: rows_in_file(away / "outbox.db" if how == "directory" else away) >= len(acked), "whole by itself")
    collector.rule = None
    wait_until(lambda: acked <= arrived(collector), "what was acknowledged")
    (home / "outbox.db").unlink(missing_ok=True)
    away.rename(home if how == "directory" else home / "outbox.db")
    wait_until(lambda: accepts(relay, acked, "back"), "intake again")
    wait_until(lambda: acked <= arrived(collector), "the last one")
    assert os.path.exists(home / "outbox.db")


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_the_wal_is_taken_away(make_relay, collector, how):
    """As if it were of no use. No more oks, since a crash would take them; what was acknowledged is in the outbox soon."""
    acked = set()
    relay = make_relay().allow("outbox", "did not end cleanly", "destination")
    collector.rule = lambda _: status(503)
    relay.start()
    for i in range(20):
        assert accepts(relay, acked, f"w-{i}")
    wal = Path(f"{relay.db}-wal")
    wal.unlink()
    if how == "replaced":
        wal.write_bytes(b"")
    refusal = wait_until(lambda: (r := relay.ask(event(transaction_id="late"))) and (not r["ok"] or acked.add("late")) and r,
                         "a refusal")
    assert refusal["retry"] and "-wal" in refusal["message"], refusal
    wait_until(lambda: rows_in_file(relay.db) >= len(acked), "what only the WAL held is copied")
    relay.kill9()
    collector.rule = None
    relay.start()
    wait_until(lambda: acked <= arrived(collector), "what was acknowledged")
    assert accepts(relay, acked, "again")


@pytest.mark.skipif(SANITIZED, reason="a limit for files stops the sanitizers' reports")
def test_a_limit_of_the_size_of_files(make_relay, collector):
    """RLIMIT_FSIZE, the nearest to a quota that needs no file system for it: replies say so, and no signal ends the relay."""
    acked = set()
    relay = make_relay().allow("outbox", "outcomes of requests", "events in flight could not be noted", "destination")
    relay.wrapper = ["prlimit", f"--fsize={3 << 20}"]
    collector.rule = lambda _: status(503)
    relay.start()
    ask_until_refused(relay, acked, "limit")
    collector.rule = None
    wait_until(lambda: acked <= arrived(collector), "what was acknowledged")
    assert relay.stop() == 0, relay.log
    relay.wrapper = []
    relay.start()
    relay.wait_empty()
    assert accepts(relay, acked, "later")


def test_a_full_moment_is_said_too(make_relay):
    """Over before anybody looks: one line that did not fit, room for others all the time."""
    relay = make_relay(outbox={"max_events": 3}).allow("outbox full").start()
    refused = relay.ask({"client_id": "1.2", "events": [{"name": "x"}] * 5})
    assert (refused["code"], refused["retry"]) == ("QUEUE_FULL", True)
    assert relay.ask(event())["ok"]
    wait_until(lambda: "warning: outbox full (outbox.max_events is reached)" in relay.log, "the operator's line")
