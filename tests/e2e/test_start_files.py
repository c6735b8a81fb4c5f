# test_start_files.py - what a start makes of the files it finds: only what was read and is another's is moved, and what cannot be
# looked at is an error that names it
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lib.client import event
from lib.relay import BUILD, wait_until

NOBODY = 65534
KILLED = "did not end cleanly"
NOT_ITS_OWN = "belongs to another file"


def fill(relay, first, n):
    """n events of one client, a line each."""
    with relay.client() as c:
        c.send(*(event(transaction_id=f"T-{i}") for i in range(first, first + n)))
        for _ in range(n):
            assert c.reply()["ok"]


def names(relay):
    """What waits in the outbox, by transaction_id, in order of ids."""
    return re.findall(r'transaction_id\\":\\"(T-\d+)', relay.ctl_raw("export").stdout)


def wanted(*ranges):
    return [f"T-{i}" for r in ranges for i in r]


def wal(relay):
    return relay.dir / "outbox.db-wal"


@pytest.fixture
def relay(make_relay):
    r = make_relay()
    r.config["streams"] = [r.stream(paused=True)]
    return r


@pytest.fixture
def killed(relay):
    """150 events; the last ones are in the WAL alone."""
    relay.allow(KILLED).start()
    fill(relay, 0, 150)
    relay.kill9()
    assert wal(relay).stat().st_size > 4096
    return relay


def finds_all(relay, n=150):
    relay.wrapper = []
    relay.start()
    assert names(relay) == wanted(range(n))
    assert not list(relay.dir.glob("*orphan*")) and not list(relay.dir.glob("*corrupt*"))


def as_nobody(relay):
    for p in [relay.dir, *relay.dir.iterdir()]:
        os.chown(p, NOBODY, NOBODY)
    relay.wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
@pytest.mark.parametrize("suffix", ["", "-wal", ".lock", ".ballast"])
def test_a_file_that_only_root_can_read(killed, suffix):
    """As after somebody ran a tool as root. Nothing is moved, and it is named."""
    as_nobody(killed)
    before = {p.name: p.stat().st_size for p in killed.dir.glob("outbox.db*")}
    os.chown(f"{killed.db}{suffix}", 0, 0)
    os.chmod(f"{killed.db}{suffix}", 0o600)
    killed.allow(re.escape(f"outbox.db{suffix}") + ".*: Permission denied", "systemd could not be told")
    killed.write_config()
    os.chown(killed.conf, NOBODY, NOBODY)
    killed.spawn()
    assert killed.wait_exit() == 1, killed.log
    assert {p.name: p.stat().st_size for p in killed.dir.glob("outbox.db*")} == before
    os.chown(f"{killed.db}{suffix}", NOBODY, NOBODY)
    killed.spawn()
    wait_until(lambda: killed.ctl_raw("version").returncode == 0, "the start")
    assert names(killed) == wanted(range(150))


def injected(relay, path, *faults):
    relay.wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path),
                     *(x for fault in faults for x in ("-e", f"inject={fault}"))]
    relay.env["LSAN_OPTIONS"] = "detect_leaks=0"


def kill_traced(relay):
    """The relay below strace, not strace, which would leave it running."""
    child = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()[0]
    os.kill(int(child), signal.SIGKILL)
    relay.process.wait()


# By the names of 64 and of 32 bits: a "?" lets strace pass over those that this machine has not.
LSTAT = "?lstat,?lstat64,?newfstatat,?fstatat64,?statx"
FSTAT = "?fstat,?fstat64,?newfstatat,?fstatat64,?statx"
needs_strace = pytest.mark.skipif(not shutil.which("strace") or "tsan" in str(BUILD), reason="needs strace")


@needs_strace
@pytest.mark.parametrize("suffix", ["", "-wal", ".lock", ".ballast"])
@pytest.mark.parametrize("fault", ["openat:error=EMFILE:when=1", "openat:error=EIO:when=1", "openat:error=ENFILE:when=1",
                                   "openat:error=EUCLEAN:when=1", "pread64:error=EIO:when=1", "pread64:error=EUCLEAN:when=1",
                                   f"{LSTAT}:error=EIO:when=1", f"{LSTAT}:error=ENOMEM:when=2",
                                   f"{FSTAT}:error=EACCES:when=3"])
def test_a_look_that_fails_once(killed, suffix, fault):
    """At the first look, or a later one. It may be tried again inside; if not, it is an error, and the next start finds all."""
    path = f"{killed.db}{suffix}"
    killed.allow(r"outbox.*(Too many open files|Input/output|Cannot allocate|Permission denied|needs cleaning|cannot be read|SQLite error)")
    injected(killed, path, fault)
    killed.write_config()
    killed.spawn()
    if killed.notified("READY=1"):
        assert names(killed) == wanted(range(150)), killed.log
        kill_traced(killed)
    else:
        assert killed.wait_exit() == 1, killed.log
        assert os.path.basename(path) in killed.log
    finds_all(killed)


@pytest.mark.parametrize("place", ["directory", "fifo", "link", "dangling link"])
def test_a_wal_that_is_not_a_file(killed, place):
    kept = killed.dir / "kept"
    wal(killed).rename(kept)
    {"directory": lambda: wal(killed).mkdir(), "fifo": lambda: os.mkfifo(wal(killed)),
     "link": lambda: wal(killed).symlink_to(kept), "dangling link": lambda: wal(killed).symlink_to("/nowhere")}[place]()
    killed.allow("outbox.db-wal is ")
    killed.spawn()
    assert killed.wait_exit() == 78, killed.log
    wal(killed).rmdir() if place == "directory" else wal(killed).unlink()
    kept.rename(wal(killed))
    finds_all(killed)


# ---- whose WAL is it? ----

def test_a_backup_in_the_place_of_a_file_with_a_newer_wal(relay, tmp_path):
    """All of the backup is there, the WAL is kept, and ids go on above both."""
    relay.allow(KILLED, NOT_ITS_OWN, "lacks what was written last", "left over").start()
    fill(relay, 0, 400)
    relay.ctl("backup", tmp_path / "b.db")
    first = [e["id"] for e in relay.list()][:400]
    for i in first[:300]:
        relay.ctl("drop", i) if i % 100 == 0 else None
    assert relay.ctl_raw("drop", "-", stdin="\n".join(map(str, first))).returncode in (0, 1)
    fill(relay, 400, 300)
    last = relay.list()[-1]["id"]
    relay.kill9()
    held = wal(relay).read_bytes()
    shutil.copy(tmp_path / "b.db", relay.db)
    relay.start()
    assert names(relay) == wanted(range(400)), relay.log
    assert NOT_ITS_OWN in relay.log
    assert (relay.dir / "outbox.db-wal.orphan").read_bytes() == held
    assert relay.ask(event())["id"] > last


@pytest.mark.parametrize("lock", ["kept", "removed"])
@pytest.mark.parametrize("when", ["before", "at once", "stopped", "an hour ago"])
def test_copies_of_different_times(relay, tmp_path, when, lock):
    """The database of one moment beside the WAL of another: never one replayed over the other."""
    relay.allow(KILLED, NOT_ITS_OWN, "lacks what was written last", "left over", "set aside", "damaged").start()
    fill(relay, 0, 100)
    if when == "stopped":
        assert relay.stop() == 0
        shutil.copy(relay.db, tmp_path / "old.db")
        relay.start()
    elif when == "at once":
        relay.kill9()
        shutil.copy(relay.db, tmp_path / "old.db")
        relay.start()
    else:
        shutil.copy(relay.db, tmp_path / "old.db")
    for i in range(40 if when == "an hour ago" else 1):
        fill(relay, 100 + 150 * i, 150)
    last = relay.list()[-1]["id"]
    relay.kill9()
    newest = wal(relay).read_bytes()
    shutil.copy(tmp_path / "old.db", relay.db)
    if lock == "removed":
        (relay.dir / "outbox.db.lock").unlink()
    relay.start()
    found = names(relay)
    own = NOT_ITS_OWN not in relay.log
    assert found == wanted(range(len(found)))
    assert own or (relay.dir / "outbox.db-wal.orphan").read_bytes() == newest
    assert len(found) >= 100 or not own or when == "before"
    assert relay.ask(event())["id"] > last
    assert relay.ctl_raw("check").returncode == 0
    print(when, lock, own, len(found))


def test_a_newer_database_beside_an_older_wal(relay, tmp_path):
    relay.allow(KILLED, NOT_ITS_OWN, "lacks what was written last", "left over", "set aside", "damaged").start()
    fill(relay, 0, 100)
    shutil.copy(wal(relay), tmp_path / "old-wal")
    for i in range(40):
        fill(relay, 100 + 150 * i, 150)
    last = relay.list()[-1]["id"]
    relay.kill9()
    shutil.copy(tmp_path / "old-wal", wal(relay))
    relay.start()
    assert NOT_ITS_OWN in relay.log
    found = names(relay)
    assert found == wanted(range(len(found)))
    assert relay.ask(event())["id"] > last


def test_the_wal_of_another_outbox(killed, make_relay):
    other = make_relay().allow(KILLED)
    other.config["streams"] = [other.stream(paused=True)]
    other.start()
    fill(other, 1000, 300)
    other.kill9()
    shutil.copy(wal(other), wal(killed))
    killed.allow(NOT_ITS_OWN, "lacks what was written last", "left over", "damaged").start()
    found = names(killed)
    assert found == wanted(range(len(found)))
    assert (killed.dir / "outbox.db-wal.orphan").exists()
    # A second one does not take the first one's name.
    killed.kill9()
    shutil.copy(wal(other), wal(killed))
    killed.start()
    assert (killed.dir / "outbox.db-wal.orphan-2").exists()


def test_the_directory_copied_whole(killed, tmp_path):
    """A snapshot, or rsync of a stopped relay, in any order and without the lock file: it opens with its own WAL."""
    shutil.copytree(killed.dir, tmp_path / "copy", ignore=lambda d, names: [n for n in names if "sock" in n or n == "notify"])
    finds_all(killed)
    killed.kill9()
    for name in ("outbox.db-wal", "outbox.db"):
        shutil.copy(tmp_path / "copy" / name, killed.dir / name)
    (killed.dir / "outbox.db.lock").unlink()
    finds_all(killed)


def test_copied_by_a_cut_in_a_busy_life(relay, tmp_path):
    """Killed at many moments between copies: what was answered is there, and no WAL is ever taken for another's."""
    relay.allow(KILLED)
    n = 0
    for k in range(12):
        relay.start()
        fill(relay, n, 40 + 37 * k)
        n += 40 + 37 * k
        relay.kill9()
    relay.start()
    assert names(relay) == wanted(range(n))
    assert not list(relay.dir.glob("*orphan*"))


def test_another_wal_is_passed_over_offline(killed, tmp_path):
    """Said, and left as it is."""
    newer = wal(killed).read_bytes()
    killed.start()
    killed.ctl("backup", tmp_path / "b.db")
    (tmp_path / "b.db-wal").write_bytes(newer)
    r = killed.ctl_raw("--offline", tmp_path / "b.db", "--json", "count")
    assert r.returncode == 0 and '"count":150' in r.stdout and "b.db-wal belongs to another file" in r.stderr
    assert (tmp_path / "b.db-wal").read_bytes() == newer


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for another user")
def test_a_wal_that_an_offline_reader_may_not_write(killed):
    """SQLite would pass over it, and over what only it holds."""
    as_nobody(killed)
    reader = ["setpriv", "--reuid=65533", "--regid=65534", "--clear-groups", BUILD / "ga4relay-ctl", "--offline", killed.db, "count"]
    for p in killed.dir.glob("outbox.db*"):
        p.chmod(0o640)
    killed.dir.chmod(0o770)
    (killed.dir / "outbox.db.lock").unlink()
    r = subprocess.run(reader, capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and "-wal" in r.stderr, r
    finds_all_as_root(killed)


def finds_all_as_root(relay):
    for p in [relay.dir, *relay.dir.iterdir()]:
        os.chown(p, 0, 0)
    relay.dir.chmod(0o700)
    finds_all(relay)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_two_paths_to_one_file(relay, tmp_path, make_relay):
    """The directory by another mount: the same lock. The file alone: SQLite's lock, and after a kill the missing WAL is noticed."""
    relay.allow(KILLED).start()
    fill(relay, 0, 3000)
    other = make_relay().allow("another (process|program)", "lacks what was written last", KILLED, "damaged", "left over",
                               "set aside", "is not there")
    other.config["streams"] = [other.stream(paused=True)]
    mounts = []

    def mount(what, where):
        r = subprocess.run(["mount", "--bind", what, where], capture_output=True, text=True)
        if r.returncode:
            pytest.skip(f"mount: {r.stderr}")
        mounts.append(where)
    try:
        (tmp_path / "dir").mkdir()
        mount(relay.dir, tmp_path / "dir")
        other.config["outbox"]["path"] = tmp_path / "dir" / "outbox.db"
        other.write_config()
        other.spawn()
        assert other.wait_exit() == 75
        other.config["outbox"]["path"] = other.db
        other.db.touch(0o600)
        mount(relay.db, other.db)
        other.write_config()
        other.spawn()
        assert other.wait_exit() in (1, 75) and "database" in other.log
        assert names(relay) == wanted(range(3000))
        relay.kill9()
        for name in ("outbox.db-wal", "outbox.db.lock"):
            (other.dir / name).unlink(missing_ok=True)
        other.spawn()
        assert other.notified("READY=1") or other.wait_exit() == 1
        assert "lacks what was written last" in other.log or "set aside" in other.log, other.log
    finally:
        if other.alive():
            other.kill9()
        for m in reversed(mounts):
            subprocess.run(["umount", m])
