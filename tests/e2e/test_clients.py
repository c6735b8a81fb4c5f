# test_clients.py - ga4relay-protocol(7), "Connection", "Clients that do not read", "Pressure": every way to write and to leave
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

from lib.client import Client, event, line
from lib.relay import SANITIZED, wait_until


def test_half_close(paused):
    with paused.client() as c:
        got = c.send(*[event()] * 1000).half_close().rest()
    assert [r["id"] for r in got] == list(range(1, 1001))


def test_write_and_close(paused):
    """One that writes and closes at once loses nothing."""
    for _ in range(20):
        with paused.client() as c:
            c.send(*[event()] * 50)
    wait_until(lambda: paused.states() == {"queued": 1000}, "1000 events")


def test_write_and_close_with_reset(paused):
    """A close with unread replies in the client's buffer is an ECONNRESET or EPIPE for the daemon."""
    c = paused.client()
    c.send(*[event()] * 200)
    wait_until(lambda: paused.states().get("queued", 0) == 200, "200 events")
    c.send(*[event()] * 300)
    c.close()
    wait_until(lambda: paused.states() == {"queued": 500}, "500 events")


def test_bad_lines_of_a_client_that_left(paused):
    """A refusal that nobody could read is kept among the rejected."""
    paused.allow("refused lines whose replies nobody reads")
    with paused.client() as c:
        c.send(event("ad_click"), event())
    wait_until(lambda: len(paused.list("--state", "rejected")) == 1, "the rejected line")
    wait_until(lambda: paused.states().get("queued") == 1, "the good line")


def test_quiet_connection(make_relay):
    """Past max_unread_replies lines are stored as before; replies that fit are whole and in order; then end of file."""
    relay = make_relay(listen={"max_unread_replies": "4K"})
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    n = 30000
    with relay.client() as c:
        data = line(event()) * 500
        for _ in range(n // 500):
            c.send(data)             # never reads: must not wedge itself
        wait_until(lambda: relay.states().get("queued") == n, f"{n} events stored", 120)
        got = c.half_close().rest()
    assert 0 < len(got) < n
    assert [r["id"] for r in got] == list(range(1, len(got) + 1))
    assert all(r["ok"] for r in got)


def test_refusals_on_a_quiet_connection_are_kept(make_relay):
    relay = make_relay(listen={"max_unread_replies": "1K"}).allow("refused lines whose replies nobody reads")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        for _ in range(20):
            c.send(line(event()) * 500)
        c.send(event("ad_click"))
        wait_until(lambda: relay.states().get("queued") == 10000, "the good lines", 120)
        wait_until(lambda: len(relay.list("--state", "rejected")) == 1, "the rejected line")


def test_many_connections_at_once(paused):
    clients = [paused.client() for _ in range(200)]
    for round_ in range(5):
        for c in clients:
            c.send(event(round=round_))
        for c in clients:
            assert c.reply()["ok"]
    for c in clients:
        c.close()
    assert paused.states() == {"queued": 1000}


def test_idle_connections_make_room(make_relay):
    relay = make_relay(listen={"max_connections": 3, "idle_timeout": "200ms"}).start()
    idle = [relay.client() for _ in range(3)]
    for c in idle:
        assert c.ask(event())["ok"]
    with relay.client() as c:
        assert c.ask(event())["ok"]       # answered once one of the idle ones was closed
    closed = 0
    for c in idle:
        c.s.settimeout(0.2)
        try:
            closed += c.s.recv(1) == b""
        except TimeoutError:
            pass
    assert closed >= 1


def test_at_the_limit_nobody_is_dropped(make_relay):
    """A connection with a partial line is not idle: the next one waits in the kernel and is served later."""
    relay = make_relay(listen={"max_connections": 2, "idle_timeout": "100ms"}).start()
    busy = [relay.client() for _ in range(2)]
    for c in busy:
        assert c.ask(event())["ok"]
        c.send(b'{"client_id":')
    late = relay.client()
    late.send(event())
    assert late.no_reply_within(0.7)
    for c in busy:                        # still there
        assert c.ask(b'"1.2","name":"x","params":{"session_id":1,"engagement_time_msec":1}}\n')["ok"]
    busy[0].close()
    assert late.reply()["ok"]
    late.close()
    busy[1].close()


def test_out_of_descriptors_pauses_accepting(make_relay):
    relay = make_relay().allow("accepting waits, clients queue")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.env["WATCHDOG_USEC"] = "2000000"
    relay.start()
    used = len(os.listdir(f"/proc/{relay.pid}/fd"))
    hard = resource.prlimit(relay.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (used + 4, hard))
    clients = [relay.client() for _ in range(12)]
    for c in clients:
        c.send(event())
    got = 0
    for c in clients:
        got += not c.no_reply_within(0.3)
    assert 0 < got < 12
    cpu = lambda: sum(map(int, open(f"/proc/{relay.pid}/stat").read().split()[13:15]))
    spent = cpu()
    clients[0].no_reply_within(1)
    assert cpu() - spent < 50             # ticks of 10 ms: half a second at most, no spinning (src/README.md, trap 16)
    assert "could not be told" not in relay.log  # systemd kills nobody for want of a descriptor
    resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (hard, hard))
    for c in clients:
        c.pending or c.reply()
        c.close()
    assert relay.log.count("accepting waits") == 1


def test_memory_of_partial_lines_is_bounded(make_relay):
    relay = make_relay(listen={"max_memory": "4M", "max_connections": 200}).allow("refused lines whose replies")
    relay.start()
    before = relay.rss_kib()
    hogs = [relay.client() for _ in range(60)]
    for c in hogs:
        c.s.setblocking(False)
        data = memoryview(b'{"client_id":"' + b"x" * 900000)
        try:
            while data:
                data = data[c.s.send(data):]
        except BlockingIOError:
            pass                          # the daemon stopped reading it: as it should
    with relay.client() as c:
        for _ in range(20):
            assert c.ask(event())["ok"]   # lines that fit 16 KiB are read on
    if not SANITIZED:
        assert relay.rss_kib() - before < 16 * 1024
    for c in hogs[2:]:
        c.close()
    with relay.client(timeout=15) as c:   # who has gone makes room at once
        assert c.ask(event(blob="x" * 120000))["ok"]
    assert relay.stop(10) == 0            # and who stays does not hold up the end
    for c in hogs[:2]:
        c.close()


def test_replies_of_many_readers_come_back(paused):
    """64 connections, pipelined, each reads in order."""
    errors = []

    def run(k):
        try:
            with paused.client() as c:
                got = c.send(*[event(client=f"{k}.1")] * 200).replies(200)
                ids = [r["id"] for r in got]
                assert ids == sorted(ids) and all(r["ok"] for r in got)
        except Exception as e:            # noqa: BLE001 - reported below
            errors.append(repr(e))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert paused.states() == {"queued": 12800}


def test_peer_is_recorded(paused):
    with paused.client() as c:
        assert c.ask(event("ad_click"))["ok"] is False
    wait_until(lambda: paused.list("--state", "rejected"), "the rejected line")
    one = paused.list("--state", "rejected")[0]
    shown = paused.ctl("show", one["id"])[0]
    assert {v for k, v in shown.items() if "uid" in k} == {os.getuid()}, shown


@pytest.mark.parametrize("program", [["nc", "-NU"], ["socat", "-t30", "-"]])
def test_one_liners(paused, program):
    if not shutil.which(program[0]):
        pytest.skip(f"{program[0]} is missing")
    args = [*program, f"UNIX-CONNECT:{paused.sock}" if program[0] == "socat" else str(paused.sock)]
    r = subprocess.run(args, input='{"client_id":"1.2","name":"refund","params":{"transaction_id":"T-1"}}\n', text=True,
                       capture_output=True, timeout=30)
    assert r.stdout.startswith('{"ok":true,"id":1,"count":1'), r
    wait_until(lambda: paused.states() == {"queued": 1}, "the event")


def test_ctl_send(paused, tmp_path):
    f = tmp_path / "events.jsonl"
    f.write_bytes(line(event()) + line(event("ad_click")) + line(event()))
    r = paused.ctl_raw("send", f)
    assert r.returncode == 1, r
    assert "2" in r.stdout + r.stderr
    assert paused.states() == {"queued": 2}
    r = paused.ctl_raw("send", stdin=line(event()).decode())
    assert r.returncode == 0, r
    assert paused.states() == {"queued": 3}


def test_drain_reads_what_was_written(make_relay):
    """SIGTERM: whatever a client's write() returned for is processed, also when that client has closed already."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    gone = []
    for k in range(10):
        c = relay.client()
        gone.append(c)
    stays = relay.client()
    os.kill(relay.pid, signal.SIGSTOP)    # what follows lies in the kernel when the signal comes
    for c in gone:
        c.send(line(event()) * 100)
        c.close()
    stays.send(line(event()) * 100)
    backlog = relay.client()              # not even accepted yet
    backlog.send(event())
    os.kill(relay.pid, signal.SIGTERM)
    os.kill(relay.pid, signal.SIGCONT)
    assert len(stays.replies(100)) == 100
    assert stays.rest() == []
    assert backlog.reply()["ok"]
    assert relay.wait_exit() == 0
    relay.start()
    assert relay.states() == {"queued": 1101}


def test_back_pressure_blocks_the_writer(make_relay):
    """When the daemon does not run, writers block; nothing is lost."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    c = relay.client()
    os.kill(relay.pid, signal.SIGSTOP)
    data, sent = line(event()), 0
    c.s.setblocking(False)
    try:
        while True:
            n = c.s.send(data)
            assert n == len(data)
            sent += 1
    except BlockingIOError:
        pass
    c.s.settimeout(30)
    os.kill(relay.pid, signal.SIGCONT)
    assert len(c.replies(sent)) == sent
    assert relay.states() == {"queued": sent}
    c.close()


def test_reset_with_linger(paused):
    """SO_LINGER 0 and a reset in the middle: what was complete is stored, the half line is not."""
    paused.allow("refused lines whose replies nobody reads")
    c = paused.client()
    c.send(event(), line(event())[:-5])
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    wait_until(lambda: paused.states().get("queued", 0) >= 1, "the complete line")
    assert Client(paused.sock).ask(event())["ok"]
    assert paused.states()["queued"] == 2
