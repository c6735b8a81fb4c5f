# test_set_aside.py - an outbox is set aside, removed and restored with what belongs to it, whenever that is stopped
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from lib.client import event
from lib.relay import BUILD, wait_until

pytestmark = pytest.mark.skipif("tsan" in str(BUILD) and not shutil.which("strace"), reason="needs strace")
KILLED = "did not end cleanly"
ASIDE = ("damaged", "malformed", "set aside", "stopping, so that", "left over", "lacks what was written last")


def fill(relay, first, n):
    with relay.client() as c:
        c.send(*(event(transaction_id=f"T-{i}") for i in range(first, first + n)))
        for _ in range(n):
            assert c.reply()["ok"]


def names(relay, *offline):
    return re.findall(r'transaction_id\\":\\"(T-\d+)', relay.ctl_raw(*offline, "export").stdout)


def wanted(*ranges):
    return [f"T-{i}" for r in ranges for i in r]


def files(relay):
    return {p.name for p in relay.dir.glob("outbox.db*")}


def asides(relay, word="corrupt"):
    return sorted(p for p in relay.dir.glob(f"outbox.db.{word}-*") if not p.name.endswith("-wal"))


def wal_of(path):
    return Path(f"{path}-wal")


def suspect(relay):
    lock = relay.dir / "outbox.db.lock"
    lock.write_text(lock.read_text().replace("suspect 0", "suspect 1"))


def destroy(path, page):
    with open(path, "r+b") as f:
        f.seek((page - 1) * 4096)
        f.write(b"\xa5" * 4096)


@pytest.fixture
def relay(make_relay):
    r = make_relay().allow(KILLED, *ASIDE)
    r.config["streams"] = [r.stream(paused=True)]
    return r.start()


def damage(relay, first, n, page=1):
    """Killed with n events more, the last of them in the WAL alone, and a page of the file destroyed."""
    fill(relay, first, n)
    relay.kill9()
    assert wal_of(relay.db).stat().st_size > 4096
    destroy(relay.db, page)
    suspect(relay)
    relay.start()


def test_a_wal_that_was_left_over_is_not_a_note(relay):
    """The first one is removed as the old manual said, without its WAL; the second is set aside whole all the same."""
    damage(relay, 0, 250)
    first, = asides(relay)
    first.unlink()
    assert wal_of(first).exists()
    damage(relay, 250, 2500)
    second, = asides(relay)
    assert wal_of(second).exists() and second != first
    assert not list(relay.dir.glob("*orphan*"))
    found = names(relay, "--offline", second)
    assert set(wanted(range(250, 2750))) <= set(found) and len(found) == 2500
    # What is left of the first is reported, and the command takes it away too.
    relay.restart()
    assert f"{wal_of(first)}; take it away" in relay.log
    relay.ctl("--offline", first, "remove", "--yes")
    relay.ctl("--offline", second, "remove", "--yes")
    assert not list(relay.dir.glob("outbox.db.corrupt-*"))
    relay.restart()
    assert "set_aside" not in relay.status()


def test_a_sound_outbox_that_is_suspect_stays_where_it_is(relay):
    damage(relay, 0, 50)
    asides(relay)[0].unlink()
    fill(relay, 50, 300)
    relay.kill9()
    suspect(relay)
    relay.start()
    assert names(relay) == wanted(range(50, 350)) and not asides(relay)


def traced(relay, fault, *path):
    relay.wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", *(x for p in path for x in ("-P", str(p))), "-e",
                     f"inject={fault}"]
    relay.env["LSAN_OPTIONS"] = "detect_leaks=0"


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("fault", [f"{call}:{what}:when={n}" for what in ("signal=SIGKILL", "error=EIO") for call, ns in
                                   (("rename", 3), ("fsync", 2), ("fdatasync", 2)) for n in range(1, ns + 1)])
def test_stopped_while_it_is_set_aside(relay, fault):
    fill(relay, 0, 300)
    relay.kill9()
    destroy(relay.db, 1)
    kept = {relay.db.read_bytes(), wal_of(relay.db).read_bytes()}
    relay.allow("Input/output error", "cannot be", "SQLite error")
    traced(relay, fault)
    relay.spawn()
    ready = relay.notified("READY=1")
    if ready:
        child = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGKILL)
        relay.process.wait()
    else:
        relay.wait_exit()
    relay.wrapper = []
    relay.start()
    old, = asides(relay)
    assert {old.read_bytes(), wal_of(old).read_bytes()} == kept, files(relay)
    assert not list(relay.dir.glob("*orphan*"))
    assert relay.ask(event())["id"] > 300
    assert len(names(relay, "--offline", old)) >= 250


# ---- remove ----

def test_remove(relay):
    damage(relay, 0, 100)
    old, = asides(relay)
    r = relay.ctl_raw("--offline", old, "remove")
    assert r.returncode == 2 and "--yes" in r.stderr and old.exists()
    said = relay.ctl("--offline", old, "remove", "--yes")
    assert {x["removed"] for x in said} == {str(old), str(wal_of(old))}
    assert files(relay) == {"outbox.db", "outbox.db-wal", "outbox.db.lock", "outbox.db.ballast"}
    r = relay.ctl_raw("--offline", old, "remove", "--yes")
    assert r.returncode == 1 and str(old) in r.stderr
    assert relay.ctl_raw("remove", "--yes").returncode == 2


@pytest.mark.parametrize("name", ["outbox.db", "outbox.db-wal", "outbox.db.lock", "log", "outbox.db.corrupt-", "x.corrupt-today"])
def test_remove_takes_nothing_else(relay, name):
    fill(relay, 0, 10)
    path = relay.dir / name
    existed = path.exists()
    path.touch()
    assert relay.stop() == 0
    content = path.read_bytes() if path.exists() else None
    r = relay.ctl_raw("--offline", path, "remove", "--yes")
    assert r.returncode == 1 and "not an outbox that was set aside" in r.stderr
    assert content is None or path.read_bytes() == content
    if not existed:
        path.unlink()
    relay.start()
    assert names(relay) == wanted(range(10))


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("n", [2, 3])
def test_remove_of_what_is_half_set_aside(relay, n):
    """Killed when the WAL has its new name and the outbox not yet (of renames, the first is the WAL's): both are needed."""
    fill(relay, 0, 300)
    relay.kill9()
    destroy(relay.db, 1)
    traced(relay, f"rename:signal=SIGKILL:when={n}")
    relay.spawn()
    relay.wait_exit()
    relay.wrapper = []
    half, = relay.dir.glob("outbox.db.corrupt-*-wal")
    r = relay.ctl_raw("--offline", str(half).removesuffix("-wal"), "remove", "--yes")
    assert r.returncode == 1 and "not been set aside to the end" in r.stderr, r
    assert half.exists()
    relay.start()
    old, = asides(relay)
    assert len(names(relay, "--offline", old)) >= 250
    relay.ctl("--offline", old, "remove", "--yes")
    assert not list(relay.dir.glob("outbox.db.corrupt-*"))


def test_remove_waits_for_nobody_who_reads(relay):
    import fcntl
    damage(relay, 0, 100)
    old, = asides(relay)
    with open(f"{old}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert relay.ctl_raw("--offline", old, "remove", "--yes").returncode == 1
        assert old.exists() and wal_of(old).exists()
    os.unlink(f"{old}.lock")


# ---- restore ----

@pytest.fixture
def backed(relay, tmp_path):
    """400 events in a backup; 300 of them dropped and 200 more accepted since; killed."""
    fill(relay, 0, 400)
    relay.ctl("backup", tmp_path / "b.db")
    relay.backup = tmp_path / "b.db"
    ids = [e["id"] for e in relay.list()]
    relay.ctl("drop", "-", stdin="\n".join(map(str, ids[:300])))
    fill(relay, 400, 200)
    relay.last = relay.list()[-1]["id"]
    return relay


def restored(relay, said):
    assert said["events"] == 400 and said["next_id"] > relay.last
    relay.start()
    assert names(relay) == wanted(range(400))
    assert relay.ask(event())["id"] >= said["next_id"]
    assert "lacks what" not in relay.log and "orphan" not in relay.log


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_restore(backed, end):
    if end == "killed":
        backed.kill9()
    else:
        assert backed.stop() == 0
    said, = backed.ctl("--offline", backed.db, "restore", backed.backup)
    old, = asides(backed, "replaced")
    assert said["set_aside"] == str(old) and said["restored"] == str(backed.db)
    assert wal_of(old).exists() == (end == "killed")
    restored(backed, said)
    assert backed.status()["set_aside"] == str(old)
    assert names(backed, "--offline", old) == wanted(range(300, 600))
    assert oct(backed.db.stat().st_mode)[-3:] == "600"
    backed.ctl("--offline", old, "remove", "--yes")


def test_restore_is_refused_while_it_runs(backed):
    before = files(backed)
    r = backed.ctl_raw("--offline", backed.db, "restore", backed.backup)
    assert r.returncode == 1 and "stop the daemon" in r.stderr
    assert files(backed) == before and names(backed) == wanted(range(300, 600))


@pytest.mark.parametrize("wrong", ["damaged", "none", "text", "itself", "not given", "of nothing"])
def test_a_restore_that_cannot_be(backed, tmp_path, wrong):
    """Nothing is changed."""
    backed.kill9()
    before = {p.name: p.read_bytes() for p in backed.dir.glob("outbox.db*")}
    backup = tmp_path / "w.db"
    if wrong == "damaged":
        shutil.copy(backed.backup, backup)
        destroy(backup, backup.stat().st_size // 4096 // 2)
    elif wrong == "text":
        backup.write_text("nonsense\n" * 1000)
    elif wrong == "itself":
        backup = backed.db
    args = {"not given": ["--offline", backed.db, "restore"], "of nothing": ["restore", backed.backup]}.get(
        wrong, ["--offline", backed.db, "restore", backup])
    r = backed.ctl_raw(*args)
    assert r.returncode == (2 if wrong in ("not given", "of nothing") else 1), r
    assert {p.name: p.read_bytes() for p in backed.dir.glob("outbox.db*")} == before
    backed.start()
    assert names(backed) == wanted(range(300, 600))


def test_restore_where_nothing_is(backed, tmp_path, make_relay):
    """On another host, say: from a backup whose name and directory do not matter."""
    backed.kill9()
    new = make_relay().allow(KILLED)
    new.config["streams"] = [new.stream(paused=True)]
    said, = new.ctl("--offline", new.db, "restore", backed.backup)
    assert said["set_aside"] is None and said["events"] == 400
    new.start()
    assert names(new) == wanted(range(400))
    assert new.ask(event())["id"] == said["next_id"]


def test_restore_from_a_copy_with_its_wal(backed, tmp_path):
    """Both files of a relay that was killed: what only the WAL holds comes along."""
    backed.kill9()
    for suffix in ("", "-wal"):
        shutil.copy(f"{backed.db}{suffix}", f"{tmp_path}/c.db{suffix}")
    backed.start()
    fill(backed, 600, 100)
    last = backed.list()[-1]["id"]
    assert backed.stop() == 0
    said, = backed.ctl("--offline", backed.db, "restore", tmp_path / "c.db")
    assert said["events"] == 300 and said["next_id"] > last
    backed.start()
    assert names(backed) == wanted(range(300, 600))


def test_restore_from_a_database_without_its_wal(backed, tmp_path):
    """It is sound, and 100 events that only the WAL held are not in it: refused, and so said by whatever else reads it."""
    backed.kill9()
    backed.start()
    fill(backed, 600, 100)
    backed.kill9()
    copy = tmp_path / "c.db"
    shutil.copy(backed.db, copy)
    before = files(backed)
    r = backed.ctl_raw("--offline", backed.db, "restore", copy)
    assert r.returncode == 1 and "without its -wal file" in r.stderr and files(backed) == before, r
    for command in ("check", "export", "count", "list"):
        r = backed.ctl_raw("--offline", copy, command)
        assert r.returncode == 1 and "c.db needs its -wal file, which is not there" in r.stderr, (command, r)
    assert names(backed, "--offline", copy) == wanted(range(300, 600))
    shutil.copy(wal_of(backed.db), wal_of(copy))
    said, = backed.ctl("--offline", backed.db, "restore", copy)
    assert said["events"] == 400


@pytest.mark.parametrize("needed", [False, True])
def test_restore_from_a_database_beside_another_s_wal(backed, tmp_path, needed):
    """A complete backup is restored without it; one that lacks its own is refused. Both times it is told, and left where it is."""
    backed.kill9()
    copy = tmp_path / "c.db"
    if not needed:
        copy.write_bytes(backed.backup.read_bytes())
    backed.start()
    fill(backed, 600, 100)
    backed.kill9()
    if needed:
        shutil.copy(backed.db, copy)
    other = wal_of(backed.db).read_bytes()
    if needed:
        backed.start()
        for i in range(40):
            fill(backed, 700 + 150 * i, 150)
        backed.kill9()
        other = wal_of(backed.db).read_bytes()
    wal_of(copy).write_bytes(other)
    before = files(backed)
    r = backed.ctl_raw("--json", "--offline", backed.db, "restore", copy)
    assert f"{copy}-wal belongs to another file" in r.stderr, r
    assert wal_of(copy).read_bytes() == other and not list(tmp_path.glob("*orphan*"))
    if needed:
        assert r.returncode == 1 and "without its -wal file" in r.stderr and files(backed) == before, r
    else:
        assert r.returncode == 0, r
        restored(backed, json.loads(r.stdout))


def test_another_wal_is_exported(backed, tmp_path):
    """A backup copied over the outbox of a killed relay. The log that was kept apart gives all back beside its own database, and by
    itself what it holds: of events from before its beginning neither the stream's name nor what they share."""
    with backed.client() as c:
        c.send(*(event(client=f"{i}.1", transaction_id=f"T-{i}") for i in range(600, 700)))
        for _ in range(100):
            assert c.reply()["ok"]
    backed.kill9()
    log = wal_of(backed.db).read_bytes()
    shutil.copy(backed.db, tmp_path / "c.db")
    shutil.copy(backed.backup, backed.db)
    backed.allow("belongs to another file", "left over").start()
    orphan = Path(f"{backed.db}-wal.orphan")
    shutil.copy(orphan, wal_of(tmp_path / "c.db"))
    assert names(backed, "--offline", tmp_path / "c.db") == wanted(range(300, 700))
    r = backed.ctl_raw("--offline", orphan, "export")
    found = re.findall(r'transaction_id\\":\\"(T-\d+)', r.stdout)
    assert set(wanted(range(600, 700))) <= set(found) <= set(wanted(range(300, 700)))
    assert f"{len(found)} events could be read" in r.stderr, r
    assert "lacks the stream's name" in r.stderr, r
    backed.ctl_raw("send", "-", stdin=r.stdout)
    assert set(wanted(range(400), range(600, 700))) <= set(names(backed))
    assert orphan.read_bytes() == log
    # One that is cut: what can be read, and that it is not all.
    orphan.write_bytes(log[:len(log) // 2])
    r = backed.ctl_raw("--offline", orphan, "export")
    assert r.returncode == 1 and "T-699" not in r.stdout, r
    orphan.write_bytes(log[:31])
    assert backed.ctl_raw("--offline", orphan, "export").returncode == 1
    backed.ctl("--offline", orphan, "remove", "--yes")
    assert not [p.name for p in backed.dir.iterdir() if "orphan" in p.name]


def test_restore_over_a_damaged_outbox(backed):
    backed.kill9()
    destroy(backed.db, 1)
    said, = backed.ctl("--offline", backed.db, "restore", backed.backup)
    restored(backed, said)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("who", ["daemon", "restore"])
@pytest.mark.parametrize("fault", [f"{call}:{what}:when={n}" for what in ("signal=SIGKILL", "error=EIO") for call, ns in
                                   (("rename", 4), ("fsync", 4), ("fdatasync", 2)) for n in range(1, ns + 1)])
def test_a_restore_that_is_stopped(backed, fault, who):
    """It did not begin, or whoever comes next ends it: nothing of the two is lost or mixed."""
    import subprocess
    backed.kill9()
    backed.allow("Input/output error", "cannot be")
    subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}", BUILD / "ga4relay-ctl", "--offline",
                    backed.db, "restore", backed.backup], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
                   env={"PATH": os.environ["PATH"], "LSAN_OPTIONS": "detect_leaks=0"})
    if who == "restore":
        backed.ctl("--offline", backed.db, "restore", backed.backup)
    backed.start()
    old = asides(backed, "replaced")
    if not old:
        assert names(backed) == wanted(range(300, 600))
    else:
        assert names(backed) == wanted(range(400))
        assert names(backed, "--offline", old[0]) == wanted(range(300, 600))
    assert backed.ask(event())["id"] > backed.last
    assert not list(backed.dir.glob("*orphan*")), files(backed)


def test_json_and_help(backed):
    for command in ("remove", "restore"):
        r = backed.ctl_raw(command, "--help")
        assert r.returncode == 0 and "--offline" in r.stdout
    backed.kill9()
    r = backed.ctl_raw("--json", "--offline", backed.db, "restore", backed.backup)
    assert [sorted(json.loads(x)) for x in r.stdout.splitlines()] == [["events", "next_id", "restored", "set_aside"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act for another user")
@pytest.mark.parametrize("lock", ["kept", "removed"])
@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_root_acts_for_the_service_s_user(backed, end, lock):
    """As an operator does: whatever root reads, restores or removes, the service finds files that it may use."""
    nobody = 65534
    assert backed.stop() == 0
    for p in [backed.dir, *backed.dir.iterdir()]:
        os.chown(p, nobody, nobody)
    backed.wrapper = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"]
    backed.write_config()
    os.chown(backed.conf, nobody, nobody)

    def start():
        backed.spawn()
        wait_until(lambda: backed.ctl_raw("version").returncode == 0, backed.log)

    def end_and(*command):
        if end == "killed":
            backed.kill9()
        else:
            assert backed.stop() == 0
        if lock == "removed":
            os.unlink(f"{backed.db}.lock")
        r = backed.ctl_raw("--offline", *command)
        assert r.returncode == 0, r

    backed.allow("systemd could not be told")
    start()
    for command in ("check", "export", "count"):
        end_and(backed.db, command)
        start()
        assert names(backed) == wanted(range(300, 600))
    end_and(backed.db, "restore", backed.backup)
    start()
    assert names(backed) == wanted(range(400))
    old, = asides(backed, "replaced")
    assert backed.ctl_raw("--offline", old, "count").returncode == 0
    backed.ctl("--offline", old, "remove", "--yes")
    assert {p.stat().st_uid for p in backed.dir.glob("outbox.db*")} == {nobody}
