# test_hostile_users.py - what another user of the machine may have planted, and the modes of what the relay makes
import contextlib
import grp
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.client import event
from lib.relay import BUILD, SANITIZED, SECRET, wait_until

ROOT = pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
SOMEBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def under_umask(number):
    return ["sh", "-c", f'umask {number:04o}; exec "$@"', "sh"]


# ---- control.read_group ----

CHANGES = [["retry", "1"], ["hold", "1"], ["release", "1"], ["drop", "1"], ["drop", "ALL", "--yes"], ["pause"], ["resume"],
           ["flush"], ["reload"], ["log-level", "debug"]]
READS = [["status"], ["list"], ["show", "1"], ["count"], ["export"], ["metrics"], ["version"], ["check"], ["--json", "status"]]


@ROOT
def test_the_readers_group_changes_nothing(make_relay):
    """A member reads by control.sock.read, which ga4relay-ctl finds; a stranger reaches neither; root does everything."""
    if SANITIZED:
        pytest.skip("a sanitized program writes where a stranger cannot")
    relay = make_relay()
    group = grp.getgrgid(65534).gr_name
    relay.change(control={"read_group": group})
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    assert relay.ask(event())["ok"]
    relay.dir.chmod(0o755)
    program = relay.dir / "ctl"
    shutil.copy(BUILD / "ga4relay-ctl", program)
    program.chmod(0o755)
    readers = Path(f"{relay.control}.read")
    assert (mode(relay.control), mode(readers)) == (0o600, 0o660) and readers.stat().st_gid == grp.getgrnam(group).gr_gid

    def run(who, *args):
        return subprocess.run(["setpriv", *who, "--clear-groups", program, "-s", relay.control, *args], capture_output=True,
                              text=True)

    member = ["--reuid", "65533", "--regid", str(readers.stat().st_gid)]
    for args in READS:
        r = run(member, *args)
        assert r.returncode == 0 and r.stdout, (args, r)
    for args in CHANGES:
        r = run(member, *args)
        assert r.returncode == 1 and "not for control.read_group" in r.stderr, (args, r)
    for args in (READS[0], CHANGES[0]):
        assert run(["--reuid", "65533", "--regid", "65533"], *args).returncode == 3
    assert relay.states() == {"queued": 1}
    assert relay.ctl_raw("drop", "1").returncode == 0
    assert relay.stop() == 0 and not readers.exists() and not relay.control.exists()


# ---- modes ----

@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_every_file_is_the_owner_s_alone(make_relay, umask):
    """Outbox, WAL, lock, ballast, backup, what was set aside and what is begun instead: 0600 whatever was inherited."""
    relay = make_relay().allow("damaged", "did not end cleanly")
    mine = {relay.conf, relay.secret_file, relay.log_path, relay.dir / "notify", relay.sock, relay.control}
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.wrapper = under_umask(umask)
    relay.start()
    assert all(relay.ask(event())["ok"] for _ in range(3))
    copy = relay.dir / "copy.db"
    subprocess.run([*under_umask(umask & 0o077), BUILD / "ga4relay-ctl", "-s", relay.control, "backup", copy], check=True,
                   stdout=subprocess.DEVNULL)
    made = set()

    def look():
        for f in set(relay.dir.iterdir()) - mine:
            assert mode(f) == 0o600, f
            made.add(f.name.split(".corrupt-")[0] if "corrupt" not in f.name else "set aside")

    look()
    relay.kill9()
    with open(relay.db, "r+b") as f:
        f.write(b"\xa5" * 4096)
    (relay.dir / "outbox.db-wal").unlink()
    relay.start()                                   # sets it aside
    assert relay.ask(event())["ok"]
    look()
    assert {"outbox.db", "outbox.db-wal", "outbox.db.lock", "outbox.db.ballast", "copy.db", "set aside"} <= made
    assert (mode(relay.sock), mode(relay.control)) == (0o660, 0o600)


def test_a_copy_that_others_could_read(make_relay):
    """A backup was put in place by cat: nobody reads it, nor the WAL that SQLite makes after it."""
    relay = make_relay().allow("lacks what was written last", "did not end cleanly")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    copy = relay.dir / "copy.db"
    assert relay.ask(event())["ok"] and relay.ctl_raw("backup", copy).returncode == 0
    assert relay.stop() == 0
    relay.db.write_bytes(copy.read_bytes())
    relay.db.chmod(0o644)
    relay.start()
    assert relay.ask(event())["ok"]
    assert [mode(relay.dir / x) for x in ("outbox.db", "outbox.db-wal")] == [0o600, 0o600]


def umask_of(pid):
    return next(x.split()[1] for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("Umask:"))


def test_the_umask_is_back_after_every_bind(make_relay):
    relay = make_relay(listen={"mode": "0666"})
    relay.change(http={"listen": f"unix:{relay.dir}/http.sock"})
    relay.wrapper = under_umask(0)
    relay.start()
    assert umask_of(relay.pid) == "0077"
    assert [mode(relay.dir / x) for x in ("ga4relay.sock", "control.sock", "http.sock")] == [0o666, 0o600, 0o660]
    relay.reload()
    assert umask_of(relay.pid) == "0077"


# ---- links ----

@pytest.mark.parametrize("name", ["outbox.db", "outbox.db-wal", "outbox.db-journal", "outbox.db.lock", "outbox.db.ballast"])
@pytest.mark.parametrize("how", ["symbolic", "dangling", "hard"])
def test_a_link_in_an_outbox_file_s_place(make_relay, name, how):
    """Refused, and what it leads to has its bytes and its mode; without it everything is well."""
    relay = make_relay().allow("outbox")
    precious = relay.dir / "precious"
    if how != "dangling":
        precious.write_bytes(b"precious" * 1000)
        precious.chmod(0o640)
    planted = relay.dir / name
    if how == "hard":
        os.link(precious, planted)
    else:
        planted.symlink_to(precious)
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 78
    assert str(planted) in relay.log
    if how == "dangling":
        assert not precious.exists()
    else:
        assert precious.read_bytes() == b"precious" * 1000 and mode(precious) == 0o640
    planted.unlink()
    relay.start()
    assert relay.ask(event())["ok"]


@pytest.mark.parametrize("suffix", ["-wal", "-journal", ".lock", ".ballast"])
@pytest.mark.parametrize("how", ["symbolic", "hard"])
def test_a_link_beside_a_file_that_is_read_offline(relay, suffix, how):
    """An operator looks at somebody else's copy: whatever stands beside it, its target has its bytes and its mode."""
    assert relay.ask(event())["ok"]
    copy, precious = relay.dir / "copy.db", relay.dir / "precious"
    assert relay.ctl_raw("backup", copy).returncode == 0
    precious.write_bytes(b"precious" * 1000)
    precious.chmod(0o644)
    planted = Path(f"{copy}{suffix}")
    if how == "hard":
        os.link(precious, planted)
    else:
        planted.symlink_to(precious)
    subprocess.run([BUILD / "ga4relay-ctl", "--offline", copy, "count"], capture_output=True, check=False)
    assert precious.read_bytes() == b"precious" * 1000 and mode(precious) == 0o644


@pytest.mark.parametrize("suffix", [".new", ".backup"])
def test_a_link_in_a_temporary_file_s_place(make_relay, suffix):
    """The relay's own leftovers go, the link too, never what it leads to."""
    relay = make_relay()
    precious = relay.dir / "precious"
    precious.write_text("precious")
    (relay.dir / f"outbox.db{suffix}").symlink_to(precious)
    relay.start()
    assert relay.ask(event())["ok"]
    assert relay.ctl_raw("backup", relay.dir / "copy.db").returncode == 0
    assert precious.read_text() == "precious"


@pytest.mark.skipif(SANITIZED or not shutil.which("strace"), reason="needs strace, without sanitizers")
@pytest.mark.parametrize("suffix", [".new", ".backup"])
def test_a_link_planted_while_a_file_is_made(make_relay, suffix):
    """Between its making and SQLite's opening of it, where others may change names: SQLite does not write through it."""
    relay = make_relay().allow("outbox")
    victim, made = relay.dir / "victim", relay.dir / f"outbox.db{suffix}"
    with contextlib.closing(sqlite3.connect(victim)) as db:
        db.executescript("CREATE TABLE precious(x); INSERT INTO precious VALUES(1);")
    before = victim.read_bytes()
    if suffix == ".backup":
        relay.start()
        assert relay.ask(event())["ok"]
        assert relay.stop() == 0
    relay.wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fchmod", "-e", "inject=fchmod:delay_exit=1000000"]
    relay.write_config()
    relay.spawn()
    if suffix == ".backup":
        relay.wait_ready()
        asking = subprocess.Popen([BUILD / "ga4relay-ctl", "-s", relay.control, "backup", relay.dir / "copy.db"],
                                  stderr=subprocess.PIPE)
    wait_until(made.exists, "the file")
    made.unlink()
    made.symlink_to(victim)
    if suffix == ".backup":
        assert asking.wait(60) == 1, asking.stderr.read()
        asking.stderr.close()
        child = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGTERM)
        relay.wait_exit()
    else:
        assert relay.wait_exit() == 1 and str(made) in relay.log
    assert victim.read_bytes() == before


def test_a_link_in_a_backup_s_place(relay):
    """ctl opens the target, and only one that is not there."""
    precious, target = relay.dir / "precious", relay.dir / "copy.db"
    for made in (True, False):
        if made:
            precious.write_text("precious")
        target.symlink_to(precious)
        assert relay.ctl_raw("backup", target).returncode == 1
        assert precious.read_text() == "precious" if made else not precious.exists()
        target.unlink()
        precious.unlink(missing_ok=True)


@ROOT
@pytest.mark.skipif(SANITIZED or not shutil.which("strace"), reason="needs strace, without sanitizers")
@pytest.mark.parametrize("precious", ["database", "empty file"])
def test_a_link_planted_while_root_restores(make_relay, precious):
    """By the service's user, in its own directory, once the copy has been made: root does not write through it."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    assert relay.ask(event())["ok"]
    with tempfile.TemporaryDirectory() as d:
        backup, victim = Path(d) / "b.db", Path(d) / "victim"
        Path(d).chmod(0o755)
        relay.ctl("backup", backup)
        assert relay.stop() == 0
        for p in [relay.dir, *relay.dir.iterdir()]:
            os.chown(p, 65534, 65534)
        victim.touch(mode=0o600)
        if precious == "database":
            with contextlib.closing(sqlite3.connect(victim)) as db:
                db.executescript("CREATE TABLE precious(x); INSERT INTO precious VALUES(1);")
        before = victim.read_bytes()
        copy = relay.dir / "outbox.db.restoring"
        p = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fchmod", "-e", "inject=fchmod:delay_exit=1000000",
                              BUILD / "ga4relay-ctl", "--offline", relay.db, "restore", backup], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        wait_until(lambda: copy.exists() or p.poll() is not None, "the copy")
        assert p.poll() is None, p.stderr.read()
        copy.unlink()
        copy.symlink_to(victim)
        said = p.communicate(timeout=60)[1]
        assert victim.read_bytes() == before and mode(victim) == 0o600 and victim.stat().st_uid == 0
        assert p.returncode == 1 and str(copy) in said, said
        assert not Path(f"{backup}.lock").exists()
        copy.unlink(missing_ok=True)
        relay.ctl("--offline", relay.db, "restore", backup)
        assert {p.stat().st_uid for p in relay.dir.glob("outbox.db*")} == {65534}
        # A file of root's, as after somebody ran the relay as root, is for root to give away.
        os.chown(relay.db, 0, 0)
        r = relay.ctl_raw("--offline", relay.db, "restore", backup)
        assert r.returncode == 1 and "the rights of the directory's user" in r.stderr and str(relay.db) in r.stderr, r
        # In root's own directory that a group may write to, nobody can be told to whom it belongs.
        os.chown(relay.dir, 0, 65534)
        relay.dir.chmod(0o770)
        relay.db.unlink()
        r = relay.ctl_raw("--offline", relay.db, "restore", backup)
        assert r.returncode == 1 and "as the user of the service" in r.stderr and not relay.db.exists(), r


@ROOT
@pytest.mark.parametrize("name", ["outbox.db.lock", "outbox.db.restoring"])
@pytest.mark.parametrize("how", ["symbolic", "dangling", "hard"])
def test_a_link_in_the_way_of_a_restore(make_relay, name, how):
    """It may be refused, or removed; what it leads to keeps its bytes, its mode and its owner."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    assert relay.ask(event())["ok"]
    precious, planted, backup = relay.dir / "precious", relay.dir / name, relay.dir / "b.db"
    relay.ctl("backup", backup)
    assert relay.stop() == 0
    for p in [relay.dir, *relay.dir.iterdir()]:
        os.chown(p, 65534, 65534)
    planted.unlink(missing_ok=True)
    if how != "dangling":
        precious.write_bytes(b"precious" * 1000)
        precious.chmod(0o644)
    if how == "hard":
        os.link(precious, planted)
    else:
        planted.symlink_to(precious)
    r = relay.ctl_raw("--offline", relay.db, "restore", backup)
    assert r.returncode == (0 if name.endswith("restoring") else 1), r
    if how == "dangling":
        assert not precious.exists()
    else:
        assert precious.read_bytes() == b"precious" * 1000 and mode(precious) == 0o644 and precious.stat().st_uid == 0


@pytest.mark.parametrize("which", ["sock", "control", "http"])
def test_a_link_in_a_socket_s_place(make_relay, which):
    relay = make_relay().allow("sock")
    relay.change(http={"listen": f"unix:{relay.dir}/http.sock"})
    path = relay.dir / "http.sock" if which == "http" else getattr(relay, which)
    precious = relay.dir / "precious"
    precious.write_text("precious")
    path.symlink_to(precious)
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 1
    assert precious.read_text() == "precious" and path.is_symlink()
    assert str(path) in relay.log


@pytest.mark.skipif(SANITIZED or not shutil.which("strace"), reason="needs strace, without sanitizers")
@pytest.mark.parametrize("which", ["sock", "control", "http"])
@pytest.mark.parametrize("how", ["symbolic", "hard"])
def test_a_link_planted_while_a_socket_is_made(make_relay, which, how):
    """Between bind and whatever comes next: what it leads to keeps its mode and its group, and the link is left alone."""
    relay = make_relay().allow("sock", "in its place")
    group = grp.getgrgid(1 if os.getuid() == 0 else os.getegid()).gr_name
    relay.change(http={"listen": f"unix:{relay.dir}/http.sock"}, listen={"group": group}, control={"group": group})
    path = relay.dir / "http.sock" if which == "http" else getattr(relay, which)
    precious = relay.dir / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)
    owner = precious.stat().st_gid
    relay.wrapper = ["strace", "-f", "-qq", "-o", relay.dir / "trace", "-e", "trace=bind", "-e", "inject=bind:delay_exit=1000000"]
    relay.write_config()
    relay.spawn()
    wait_until(path.exists, "the socket")
    path.unlink()
    if how == "hard":
        os.link(precious, path)
    else:
        path.symlink_to(precious)
    wait_until(lambda: not relay.alive() or "ready:" in relay.log, "the end, or a start")
    assert (mode(precious), precious.stat().st_gid, precious.read_text()) == (0o600, owner, "precious")
    assert relay.wait_exit() == 1
    assert os.path.lexists(path) and str(path) in relay.log


@ROOT
@pytest.mark.parametrize("name", ["outbox.db", "outbox.db-wal", "outbox.db.lock", "outbox.db.ballast"])
def test_a_good_file_of_somebody_else(make_relay, name):
    """A whole outbox, with its lock, but his: he could read what is put into it, and give ids. Left alone."""
    theirs = make_relay()
    theirs.config["streams"] = [theirs.stream(paused=True)]
    theirs.start()
    assert theirs.ask(event())["ok"]
    relay = make_relay().allow("outbox")
    planted = relay.dir / name
    shutil.copyfile(theirs.dir / name, planted)
    planted.chmod(0o666)
    os.chown(planted, 65534, 65534)
    before = planted.read_bytes()
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 78
    assert f"{planted} belongs to uid 65534" in relay.log
    assert planted.read_bytes() == before and mode(planted) == 0o666
    planted.unlink()
    relay.start()
    assert relay.ask(event())["ok"]


# ---- squatters ----

@pytest.mark.parametrize("which", ["sock", "control", "http"])
def test_somebody_listens_in_our_place(make_relay, which):
    """The relay does not start, and tells nothing to whoever sits there."""
    relay = make_relay().allow("sock")
    relay.change(http={"listen": f"unix:{relay.dir}/http.sock"})
    path = relay.dir / "http.sock" if which == "http" else getattr(relay, which)
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(str(path))
        squatter.listen(8)
        squatter.settimeout(5)
        relay.write_config()
        relay.spawn()
        assert relay.wait_exit() == 1
        assert "listens there" in relay.log and str(path) in relay.log
        heard, _ = squatter.accept()     # it asked whether anybody is there
        heard.settimeout(5)
        assert heard.recv(100) == b""
        heard.close()
        assert path.exists()
    path.unlink()
    relay.start()
    assert relay.ask(event())["ok"]


@ROOT
@pytest.mark.parametrize("sticky", [True, False])
def test_a_directory_that_somebody_else_owns(make_relay, sticky):
    """Where others may take a name, the relay's files are still its own: what it cannot have, it says and stops."""
    relay = make_relay().allow("sock", "outbox")
    relay.dir.chmod(0o1777 if sticky else 0o777)
    subprocess.run([*SOMEBODY, "sh", "-c", 'umask 0; echo theirs >"$1"', "sh", relay.dir / "outbox.db"], check=True)
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 78
    assert (relay.dir / "outbox.db").read_text() == "theirs\n"
    (relay.dir / "outbox.db").unlink()
    relay.start()
    assert relay.ask(event())["ok"]
    r = subprocess.run([*SOMEBODY, "cat", relay.db, relay.dir / "outbox.db-wal", relay.secret_file], capture_output=True,
                       text=True)
    assert r.stdout == "" and r.stderr.count("Permission denied") == 3


# ---- the process itself ----

@pytest.mark.skipif(SANITIZED, reason="the sanitizers leave no core anyway")
def test_no_core_is_left(make_relay):
    """A crash of either program dumps nothing: the secret and events are in memory. The same death of another does dump."""
    relay = make_relay().allow("")
    unlimited = ["sh", "-c", f'ulimit -c unlimited; cd {relay.dir}; exec "$@"', "sh"]

    def dies(argv):
        p = subprocess.Popen([*unlimited, *map(str, argv)], env={"PATH": os.environ["PATH"]}, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        yield p
        p.send_signal(signal.SIGSEGV)
        told = os.waitid(os.P_PID, p.pid, os.WEXITED)
        p.returncode = -told.si_status
        yield told.si_code == os.CLD_DUMPED

    other = dies(["sleep", "60"])
    wait_until(lambda p=next(other): Path(f"/proc/{p.pid}/comm").read_text() == "sleep\n", "sleep")
    if not next(other):
        pytest.skip("nothing leaves a core on this machine")
    relay.write_config()
    ours = dies([BUILD / "ga4relay", "-c", relay.conf])
    next(ours)
    wait_until(lambda: relay.control.exists() and relay.ctl_raw("status").returncode == 0, "a start")
    assert relay.ask(event())["ok"]
    assert next(ours) is False
    client = dies([BUILD / "ga4relay-ctl", "--json", "validate", "--config", relay.conf])
    p = next(client)
    p.stdin.write(b'{"client_id":"1.2"}\n' * 5000) # it has read the secret when it answers
    p.stdin.flush()
    assert p.stdout.readline()
    assert next(client) is False


@ROOT
def test_the_same_user_cannot_read_the_process(make_relay):
    """Not dumpable: environment and memory are closed to debuggers of the service's own user."""
    relay = make_relay()
    os.chown(relay.dir, 65534, 65534)
    relay.write_config()
    for f in relay.dir.iterdir():
        os.chown(f, 65534, 65534)
    relay.wrapper = SOMEBODY
    relay.log_path.touch()
    relay.log_path.chmod(0o666)
    relay.spawn()
    os.chown(relay.dir / "notify", 65534, 65534)
    relay.wait_ready()
    for what in ("environ", "maps", "mem"):
        r = subprocess.run([*SOMEBODY, "head", "-c1", f"/proc/{relay.pid}/{what}"], capture_output=True, text=True)
        assert "Permission denied" in r.stderr, what
    assert SECRET not in Path(f"/proc/{relay.pid}/cmdline").read_text()
