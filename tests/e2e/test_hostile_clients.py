# test_hostile_clients.py - who may not write, who writes byte by byte, and what becomes of a socket's path
import os
import resource
import shutil
import socket
import subprocess
import threading

import pytest

from lib.client import event, line
from lib.collector import Answer
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
