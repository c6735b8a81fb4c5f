# test_hostile_clients.py - who may not write, who writes byte by byte or forges, and what becomes of a socket's path
import grp
import json
import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import threading
import time

import pytest

from lib.client import event, line
from lib.collector import Answer
from lib.crowd import DOOR_FLOODS, FLOODS, Crowd
from lib.relay import SANITIZED, wait_until


def test_one_byte_at_a_time(paused):
    with paused.client() as c:
        for byte in line(event()) * 3:
            c.s.sendall(bytes([byte]))
        assert [r["ok"] for r in c.replies(3)] == [True] * 3


def test_stalled_lines_hold_up_nobody(paused):
    stalled = [paused.client() for _ in range(100)]
    for c in stalled:
        c.send(b'{"client_id":"1.')
    with paused.client() as c:
        assert c.ask(event())["ok"]
    for c in stalled:
        assert c.ask(b'2","name":"x","params":{"session_id":1,"engagement_time_msec":1}}\n')["ok"]
        c.close()
    assert paused.states() == {"queued": 101}


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_wrong_user(make_relay):
    relay = make_relay(listen={"mode": "0660"}).start()
    relay.dir.chmod(0o755)
    for path in (relay.sock, relay.control):
        r = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c",
                            f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"],
                           capture_output=True, text=True)
        assert "PermissionError" in r.stderr, (path, r)
    assert relay.ask(event())["ok"]


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
@pytest.mark.parametrize("which", ["listen", "control"])
def test_a_group_lets_in_its_members_only(make_relay, which):
    group = grp.getgrgid(1)
    relay = make_relay(**{which: {"group": group.gr_name}}).start()
    relay.dir.chmod(0o755)
    path = relay.sock if which == "listen" else relay.control
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, group.gr_gid)
    for gid, says in ((1, ""), (65534, "PermissionError")):
        r = subprocess.run(["setpriv", "--reuid", "65534", "--regid", str(gid), "--clear-groups", "/usr/bin/python3", "-c",
                            f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"],
                           capture_output=True, text=True)
        assert says in r.stderr and bool(says) == bool(r.stderr), (gid, r)


def test_a_replaced_socket_is_not_removed(make_relay):
    """The daemon's own connections go on; at its end it removes only the file that it made."""
    relay = make_relay().start()
    with relay.client() as c:
        assert c.ask(event())["ok"]
        relay.sock.unlink()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(relay.sock))
        assert c.ask(event())["ok"]
    assert relay.stop() == 0
    assert relay.sock.exists()
    other.close()


def test_a_symbolic_link_in_the_socket_s_place(make_relay):
    """What it points to stays as it is."""
    relay = make_relay().allow("")
    target = relay.dir / "precious"
    target.write_text("precious")
    relay.sock.symlink_to(target)
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() != 0
    assert target.read_text() == "precious"
    relay.sock.unlink()
    relay.start()
    assert relay.ask(event())["ok"]
    wait_until(relay.alive, "alive")


def pour(c, data):
    """As much as the relay takes without waiting."""
    c.s.setblocking(False)
    data = memoryview(data)
    try:
        while data:
            data = data[c.s.send(data):]
    except BlockingIOError:
        pass


def test_a_thousand_hostile_connections(make_relay, collector):
    """Silent, stalled in a line, deaf, and with endless lines, all at once, while the endpoint hangs: memory stays within
    128 MiB, whoever behaves is served, and all is given back once they have gone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    over = threading.Event()
    collector.rule = lambda _: Answer(hang=over, close="after")
    relay = make_relay(delivery={"drain_timeout": "1s"}).allow("refused lines whose replies", "still in flight", "destination web")
    relay.start()
    descriptors = len(os.listdir(f"/proc/{relay.pid}/fd"))
    good, crowd = relay.client(), []
    try:
        for i in range(250):
            silent, stalled, deaf, endless = some = [relay.client() for _ in range(4)]
            crowd += some
            pour(stalled, b'{"client_id":"1.' + b"2" * (i * 60))
            pour(deaf, line(event(client=f"{i}.1")) * 300)
            pour(endless, b'{"client_id":"' + b"x" * 1_000_000)
            assert good.ask(event())["ok"]
        most = relay.rss_kib()
        with relay.client() as late:
            assert late.ask(event())["ok"]
        assert relay.status()["connections"] >= 1001
        assert SANITIZED or most < 128 << 10, most
        for c in crowd:
            c.close()
        wait_until(lambda: relay.status()["connections"] == 1, "they are gone")
        assert good.ask(event())["ok"]
        wait_until(lambda: len(os.listdir(f"/proc/{relay.pid}/fd")) <= descriptors + 70, "descriptors are given back")
        print(f"{most} KiB at most")
    finally:
        over.set()
        good.close()
        for c in crowd:
            c.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- what a crowd costs others ----

def waits(relay, n=60):
    """How long each of some lines waited for its ok, in milliseconds, sorted."""
    out, one = [], line(event())
    with relay.client(timeout=120) as c:
        c.ask(one)
        for _ in range(n):
            began = time.monotonic()
            assert c.ask(one)["ok"]
            out.append((time.monotonic() - began) * 1000)
            time.sleep(0.002)
            if sum(out) > 5000:
                break
    return sorted(out)


@pytest.mark.skipif(SANITIZED, reason="figures of a program that is ten times as slow say nothing")
@pytest.mark.parametrize("kind,n", [(k, 20 if k == "large envelopes" else 300) for k in FLOODS if k != "quiet" and k not in DOOR_FLOODS])
def test_a_crowd_holds_up_nobody(make_relay, kind, n):
    """A client with one line in flight beside connections that write without end waits little longer than beside as many
    that are quiet. The limit leaves room for a busy machine."""
    relay = make_relay(outbox={"max_bytes": "2G"}).allow("refused lines whose replies nobody reads")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with Crowd(relay.sock, "quiet", n):
        quiet = waits(relay)
    with Crowd(relay.sock, kind, n):
        crowded = waits(relay)
    print(f"quiet {quiet[len(quiet) // 2]:.2f} ms, {kind} {crowded[len(crowded) // 2]:.2f} ms, most {crowded[-1]:.0f} ms")
    relay.kill9()  # a stop would read all that the crowd wrote
    assert crowded[len(crowded) // 2] < 10 * quiet[len(quiet) // 2] + 100


@pytest.mark.skipif(SANITIZED, reason="figures of a program that is ten times as slow say nothing")
@pytest.mark.parametrize("kind", [*DOOR_FLOODS, "connect and close"])
def test_a_crowd_at_the_door_holds_up_nobody(make_relay, kind):
    """The same for as many connections as the HTTP door takes, with requests one behind the other."""
    relay = make_relay(outbox={"max_bytes": "2G"})
    door = relay.dir / "door"
    relay.config["http"] = {"listen": f"unix:{door}"}
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    quiet = waits(relay)
    with Crowd(door, kind, 250):
        crowded = waits(relay)
    print(f"quiet {quiet[len(quiet) // 2]:.2f} ms, {kind} {crowded[len(crowded) // 2]:.2f} ms, most {crowded[-1]:.0f} ms")
    relay.kill9()
    assert crowded[len(crowded) // 2] < 10 * quiet[len(quiet) // 2] + 100


# ---- who it was, and what it wrote ----

WRITES = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() * int(sys.argv[3]) + sys.argv[4].encode())
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_the_peer_s_pid_and_uid_are_on_record(make_relay):
    """Of a client that reads no reply: in the log its pid and uid, beside the refused line its uid, by SO_PEERCRED."""
    uid = 4242
    relay = make_relay(listen={"mode": "0666", "max_unread_replies": "1K"}).allow("refused lines whose replies nobody reads")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    relay.dir.chmod(0o755)
    bad = '{"client_id":"1.2","name":"ad_click","pid":1,"uid":0}\n'
    with subprocess.Popen(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "/usr/bin/python3", "-c", WRITES,
                           relay.sock, line(event()).decode(), "20000", bad], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as p:
        pid = int(p.stdout.readline())
        wait_until(lambda: "whose replies nobody reads" in relay.log, "the log's word")
        told = re.search(r"the last from pid (\d+) uid (\d+)", relay.log)
        p.stdin.close()
    rejected = wait_until(lambda: relay.list("--state", "rejected"), "the refused line")[0]
    shown = relay.ctl("show", rejected["id"])[0]
    seen_uid = int(told.group(2))
    # In a namespace of users, as the unit's, a uid that is not mapped shows as 65534.
    assert int(told.group(1)) == pid and seen_uid in (uid, 65534)
    assert {v for k, v in shown.items() if "uid" in k} == {seen_uid}, shown


FORGED = "\n2026-01-01T00:00:00.000Z error: forged\r\n<3>forged\x1b[2J\u009b31m\u202e"


def test_a_client_forges_no_line_of_the_log(make_relay, collector):
    """Newlines, priorities and escapes in whatever a client may name, written as JSON has it and raw."""
    relay = make_relay(log={"level": "debug"}).allow("refused", "dead", "destination").start()
    raw = FORGED.encode()
    with relay.client() as c:
        for one in ({**event(), "stream": FORGED}, {**event(), "dedup_key": FORGED}, {**event(), "client_id": FORGED},
                    {**event(), "name": FORGED}, {**event(), "user_id": FORGED}, event(**{FORGED: 1}), event(note=FORGED),
                    {**event(), FORGED: FORGED}, {**event(), "session_cookie": FORGED}, {**event(), "consent": {FORGED: "x"}}):
            c.send(json.dumps(one).encode() + b"\n").reply()
        c.send(raw.replace(b"\n", b" ") + b"\n", b'{"client_id":"' + raw.replace(b"\n", b" ") + b'"}\n').replies(2)
    relay.wait_empty()
    for args in (["list"], ["show", FORGED], ["pause", FORGED], ["count", "--stream", FORGED], ["log-level", FORGED]):
        relay.ctl_raw(*args)
    log = relay.log_path.read_bytes().decode()
    for one in log.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug): ", one), one
        assert not one.startswith("2026-01-01T00:00:00.000Z error: forged"), one
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", one), one
