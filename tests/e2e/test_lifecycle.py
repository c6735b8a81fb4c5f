# test_lifecycle.py - starting, stopping, crashing: what an acknowledged event survives, and what is refused untouched
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest

from lib.client import Client, event, line
from lib.collector import Answer
from lib.relay import BUILD, Relay, wait_until


def test_sigterm_is_clean(relay, collector):
    with relay.client() as c:
        c.send(*[event()] * 100).replies(100)
    assert relay.stop() == 0
    assert "stopped" in relay.log
    assert not relay.sock.exists() and not relay.control.exists()
    relay.start()
    relay.wait_empty()
    assert collector.count() == 100


def test_sigterm_finishes_requests_in_flight(relay, collector):
    collector.next(Answer(delay=1))
    with relay.client() as c:
        assert c.ask(event())["ok"]
    wait_until(lambda: collector.requests, "the request")
    assert relay.stop() == 0
    assert len(collector.accepted) == 1
    relay.start()
    assert relay.states() == {}           # its outcome was committed: not sent again
    assert len(collector.requests) == 1


def test_drain_timeout_cuts_requests_off(make_relay, collector):
    """They stay queued, marked maybe-sent, and are sent again."""
    relay = make_relay(delivery={"drain_timeout": "300ms"}).allow("cut off", "unclean", "sent twice").start()
    release = threading.Event()
    collector.next(Answer(hang=release))
    assert relay.ask(event())["ok"]
    wait_until(lambda: collector.requests, "the request")
    began = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - began < 5
    release.set()
    relay.change(streams=[relay.stream(paused=True)])
    relay.start()
    one, = relay.list()
    assert (one["state"], one["maybe_sent"]) == ("queued", True)
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert len(collector.requests) == 2


def test_sigterm_lingers_for_nobody(make_relay, collector):
    relay = make_relay(delivery={"linger": "10m"}).start()
    assert relay.ask(event())["ok"]
    began = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - began < 5
    relay.start()                         # sent at the stop, or queued: never lost
    assert collector.count() + relay.states().get("queued", 0) == 1


def test_clients_that_closed_at_once_before_sigterm(paused):
    for _ in range(100):
        c = paused.client()
        c.send(*[event()] * 10)
        c.close()
    assert paused.stop() == 0
    paused.start()
    assert paused.states() == {"queued": 1000}


@pytest.mark.parametrize("after", [1, 500, 5000])
def test_kill9_loses_no_acknowledged_event(make_relay, collector, after):
    """kill -9 in the middle of a pipelined stream: every id that was answered is delivered after a restart."""
    relay = make_relay(outbox={"keep_delivered": "1h"}).allow("did not end cleanly").start()
    acked, sent = [], 20000
    c = relay.client()

    def write():
        data = b"".join(line(event(n=i)) for i in range(sent))
        try:
            c.s.sendall(data)
        except OSError:
            pass

    t = threading.Thread(target=write)
    t.start()
    try:
        while True:
            acked.append(c.reply())
            if len(acked) == after:
                relay.kill9()
    except (EOFError, ConnectionError):
        pass
    t.join()
    c.close()
    assert len(acked) >= after and all(r["ok"] for r in acked)
    assert [r["id"] for r in acked] == list(range(1, len(acked) + 1))
    relay.start()
    relay.wait_empty(120)
    got = {e["params"]["n"] for e in collector.events}
    assert set(range(len(acked))) <= got


def test_stale_socket_is_replaced(make_relay):
    relay = make_relay()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(relay.sock))           # and left behind, as by a kill -9
    relay.start()
    assert relay.ask(event())["ok"]


def test_live_socket_is_not_taken(make_relay):
    relay = make_relay().allow(str("ga4relay.sock"))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(relay.sock))
        s.listen(1)
        relay.write_config()
        relay.spawn()
        assert relay.wait_exit() != 0
        assert relay.sock.exists()
        Client(relay.sock).close()        # still the other one's


def test_something_else_in_the_socket_s_place(make_relay):
    relay = make_relay().allow("ga4relay.sock")
    relay.sock.write_text("precious")
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() != 0
    assert relay.sock.read_text() == "precious"


def test_modes(make_relay):
    relay = make_relay(listen={"mode": "0660"}).start()
    assert stat.S_IMODE(relay.sock.stat().st_mode) == 0o660
    assert stat.S_IMODE(relay.control.stat().st_mode) == 0o600
    assert relay.ask(event())["ok"]
    for f in relay.dir.glob("outbox.db*"):
        assert stat.S_IMODE(f.stat().st_mode) == 0o600, f


def test_second_daemon_is_refused(relay, make_relay):
    second = make_relay().allow("outbox")
    second.change(outbox={"path": relay.db})
    second.write_config()
    second.spawn()
    assert second.wait_exit() == 75, second.log
    assert relay.ask(event())["ok"]


@pytest.mark.parametrize("content", [b"this is a letter, not a database\n" * 200, b"x", None])
def test_a_file_that_is_not_ours(make_relay, content):
    relay = make_relay().allow("outbox")
    if content is None:                   # a SQLite database of somebody else
        db = sqlite3.connect(relay.db)
        db.execute("create table precious(x)")
        db.execute("insert into precious values(1)")
        db.commit()
        db.close()
    else:
        relay.db.write_bytes(content)
    before, when = relay.db.read_bytes(), relay.db.stat().st_mtime_ns
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 78, relay.log
    assert relay.db.read_bytes() == before and relay.db.stat().st_mtime_ns == when
    assert str(relay.db) in relay.log


def test_a_newer_outbox(make_relay):
    relay = make_relay().start()
    assert relay.stop() == 0
    relay.sql("pragma user_version = 10000")
    before = relay.db.read_bytes()
    relay.allow("outbox").spawn()
    assert relay.wait_exit() == 78, relay.log
    assert relay.db.read_bytes() == before
    assert "newer" in relay.log


ACTIVATE = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(64)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_socket_activation(make_relay):
    """A descriptor from systemd; it is blocking unless the daemon makes it otherwise (src/README.md, trap 18)."""
    relay = make_relay()
    relay.sock = relay.dir / "activated.sock"       # not listen.socket, which is ignored then
    relay.wrapper = [sys.executable, "-c", ACTIVATE, str(relay.sock)]
    relay.start()
    for _ in range(3):
        assert relay.ask(event())["ok"]
    assert not (relay.dir / "ga4relay.sock").exists()
    assert relay.stop() == 0
    assert relay.sock.exists()                      # systemd's, not ours to remove
    relay.sock.unlink()


def test_socket_activation_keeps_connects_waiting_across_a_restart(make_relay):
    relay = make_relay()
    relay.sock = relay.dir / "activated.sock"
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(relay.sock))
    s.listen(64)
    relay.wrapper = [sys.executable, "-c",
                     "import os,sys\nos.dup2(int(sys.argv[1]),3)\nos.set_inheritable(3,True)\n"
                     "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='1')\nos.execv(sys.argv[2],sys.argv[2:])",
                     str(s.fileno())]
    popen = subprocess.Popen

    def spawn():
        relay.write_config()
        relay._open_notify()
        env = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(relay.dir / "notify")}
        with open(relay.log_path, "ab") as log:
            relay.process = popen([*relay.wrapper, str(BUILD / "ga4relay"), "-c", str(relay.conf)], env=env,
                                  pass_fds=[s.fileno()], stdout=log, stderr=log)
        relay.wait_ready()

    spawn()
    with relay.client() as c:
        assert c.ask(event())["ok"]
    assert relay.stop() == 0
    waiting = relay.client().send(event())          # nobody serves: the kernel keeps it
    spawn()
    assert waiting.reply()["ok"]
    waiting.close()
    assert relay.stop() == 0
    s.close()


INHERIT = ("import os,sys\nos.dup2(int(sys.argv[1]),3)\nos.set_inheritable(3,True)\n"
           "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='1')\nos.execv(sys.argv[2],sys.argv[2:])")


@pytest.fixture
def activated(make_relay):
    """A relay whose event socket is somebody else's, as systemd's is, and stays from one start to the next."""
    relay = make_relay().allow("ga4relay.conf:")
    relay.sock = relay.dir / "activated.sock"
    relay.held = socket.socket(socket.AF_UNIX)
    relay.held.bind(str(relay.sock))
    relay.held.listen(64)

    def launch(argv, env):
        with open(relay.log_path, "ab") as log:
            return subprocess.Popen([sys.executable, "-c", INHERIT, str(relay.held.fileno()), *argv], env=env, stdin=subprocess.DEVNULL,
                                    pass_fds=[relay.held.fileno()], stdout=log, stderr=log)

    relay.launch = launch
    yield relay
    relay.held.close()


def test_clients_of_a_relay_that_never_ran_are_refused(activated):
    """The socket is enabled, the configuration is still the sample's: a client hears so instead of hanging."""
    activated.secret_file.rename(activated.dir / "later")
    activated.write_config()
    activated.spawn()
    with activated.client() as c:
        r = c.send(event(), {"client_id": "1"}, b"no JSON\n").replies(3)
        assert [x["code"] for x in r] == ["SHUTTING_DOWN"] * 3 and r[0]["retry"] is True
        assert "no valid configuration yet" in r[0]["message"] and "journalctl" in r[0]["message"]
    assert activated.wait_exit() == 78 and "clients are refused, because this relay has never run" in activated.log
    (activated.dir / "later").rename(activated.secret_file)
    activated.start()
    assert activated.ask(event())["ok"]


@pytest.mark.parametrize("wrong", ["nonsense = 1;\n", "secret"])
def test_clients_of_a_relay_that_ran_wait_for_the_cure(activated, collector, wrong):
    """What they wrote meanwhile is stored by the next process, also when they have gone."""
    activated.start()
    assert activated.stop() == 0
    if wrong == "secret":
        activated.secret_file.rename(activated.dir / "later")
    activated.write_config(None if wrong == "secret" else activated.conf.read_text() + wrong)
    os.utime(activated.conf, (1, 1))
    activated.spawn()
    waiting = activated.client().send(event())
    with activated.client() as gone:
        gone.send(event())
    wait_until(lambda: "clients wait, and are served when the configuration is right" in activated.log, "the pause")
    assert "next try is in 16 s" in activated.log
    before = time.monotonic()
    if wrong == "secret":
        (activated.dir / "later").rename(activated.secret_file)
    activated.write_config()                          # ends the pause
    assert activated.wait_exit() == 78 and time.monotonic() - before < 10
    activated.start()
    assert waiting.reply()["ok"]
    waiting.close()
    wait_until(lambda: collector.count() == 2, "both events")


def test_a_wrong_configuration_waits_the_longer_the_older_it_is(activated):
    """And a stop ends the wait at once, with exit status 0; without somebody's socket there is no wait."""
    activated.start()
    assert activated.stop() == 0
    activated.write_config("nonsense = 1;\n")
    activated.spawn()
    assert activated.wait_exit() == 78 and "next try is in 1 s" in activated.log
    os.utime(activated.conf, (1, 1))
    activated.spawn()
    wait_until(lambda: "next try is in 16 s" in activated.log, "the longest pause")
    assert activated.stop(10) == 0
    del activated.launch
    activated.spawn()
    assert activated.wait_exit(10) == 78 and activated.log.count("the next try") == 2


def test_ready_and_stopping_are_told(make_relay):
    relay = make_relay().start()
    relay.signal(signal.SIGTERM)
    assert relay.notified("STOPPING=1")
    assert relay.wait_exit() == 0


def test_watchdog(make_relay):
    relay = make_relay()
    relay.env = {"WATCHDOG_USEC": "400000"}
    relay.start()
    for _ in range(3):
        assert relay.notified("WATCHDOG=1", 5)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_descriptors_that_were_closed(make_relay, closed):
    """No socket and no file gets a number that the log or the terminal has: nothing but bytes of a database in a backup."""
    without = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.wrapper = without
    relay.start()
    for n in range(3):
        assert os.readlink(f"/proc/{relay.pid}/fd/{n}") in ("/dev/null", str(relay.log_path)), n
    assert all(relay.ask(event())["ok"] for _ in range(10))
    copy = relay.dir / "copy.db"
    subprocess.run([*without, BUILD / "ga4relay-ctl", "-s", relay.control, "backup", copy], stdin=subprocess.DEVNULL,
                   capture_output=True, check=False)
    db = sqlite3.connect(copy)
    assert db.execute("SELECT count(*) FROM event").fetchone() == (10,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    assert relay.states() == {"queued": 10}


def test_usage_and_version():
    def run(*args):
        return subprocess.run([BUILD / "ga4relay", *args], capture_output=True, text=True, timeout=30)
    assert run("-V").returncode == 0
    assert run("-h").returncode == 0
    assert run("--nonsense").returncode == 2
    assert run("extra").returncode == 2


def test_ctl_without_a_daemon(make_relay):
    relay = make_relay()
    assert relay.ctl_raw("status").returncode == 3
    assert relay.ctl_raw("nonsense").returncode == 2


def test_group_commit(make_relay, tmp_path):
    """10,000 pipelined lines take far fewer than 10,000 syncs."""
    out = tmp_path / "strace"
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.env = {"ASAN_OPTIONS": "detect_leaks=0"}  # LeakSanitizer does not work under strace
    relay.wrapper = ["strace", "-f", "-c", "-o", str(out), "-e", "trace=fdatasync,fsync"]
    if not any(os.access(os.path.join(d, "strace"), os.X_OK) for d in os.environ["PATH"].split(":")):
        pytest.skip("strace is missing")
    relay.start()
    with relay.client() as c:
        data = line(event()) * 10000
        t = threading.Thread(target=c.s.sendall, args=(data,))
        t.start()
        assert all(r["ok"] for r in c.replies(10000))
        t.join()
    children = subprocess.run(["pgrep", "-P", str(relay.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[0]), signal.SIGTERM)
    assert relay.wait_exit() == 0
    syncs = sum(int(x.split()[3]) for x in out.read_text().splitlines() if x.split()[-1:] in (["fdatasync"], ["fsync"]))
    print(f"{syncs} syncs for 10000 lines")
    assert 1 <= syncs < 1000


@pytest.mark.parametrize("sync", ["full", "normal"])
def test_an_ok_has_its_sync(make_relay, tmp_path, sync):
    """Lines that wait for each other's ok: a sync of the WAL for each with "full", and hardly any with "normal"."""
    lines = 50
    out = tmp_path / "strace"
    if not shutil.which("strace"):
        pytest.skip("strace is missing")
    relay = make_relay(outbox={"sync": sync})
    if sync == "normal":
        relay.allow("sync")  # it says at start what that may lose
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.env = {"ASAN_OPTIONS": "detect_leaks=0"}
    relay.wrapper = ["strace", "-f", "-y", "-o", str(out), "-e", "trace=fdatasync,fsync"]
    relay.start()
    with relay.client() as c:
        assert all(c.ask(event(n=i))["ok"] for i in range(lines))
    children = subprocess.run(["pgrep", "-P", str(relay.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[0]), signal.SIGTERM)
    assert relay.wait_exit() == 0
    syncs = len(re.findall(r"sync\(\d+<[^>]*outbox\.db-wal>\)", out.read_text()))
    few = 10  # at start, before the WAL is copied, at the end
    assert lines <= syncs <= lines + few if sync == "full" else syncs <= few, syncs


def test_one_line_is_committed_at_once(paused):
    """An idle daemon waits for nobody."""
    with paused.client() as c:
        c.ask(event())
        began = time.monotonic()
        for _ in range(20):
            c.ask(event())
        assert time.monotonic() - began < 4
