# test_bench.py - the benchmarks notice what they are there to notice: a reply missing, one too many or out of order, a line
# refused, an event lost or twice; what they cannot do they say in a line, and when they are stopped nothing is left
import fcntl
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

from lib.relay import BUILD, TOP, wait_until

BENCH = TOP / "tests" / "bench"
sys.path.insert(0, str(BENCH))

import parts  # noqa: E402
import run  # noqa: E402

REFUSED = b'{"ok":false,"code":"QUEUE_FULL"}\n'
LINES = 100


def ok(n):
    return b'{"ok":true,"id":%d,"count":1}\n' % (n + 1)


@pytest.fixture
def serve(tmp_path):
    """serve(answer): a server whose answer to the nth line is answer(n), or the end of the connection if that is None."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def start(answer):
        def run_it():
            conn, _ = listener.accept()
            n = 0
            with conn, conn.makefile("rb") as lines:
                for _ in lines:
                    reply = answer(n)
                    n += 1
                    if reply is None:
                        return
                    conn.sendall(reply)
        threading.Thread(target=run_it, daemon=True).start()
        return tmp_path / "s"
    yield start
    listener.close()


def load(path, *args):
    r = subprocess.run([BUILD / "bench" / "load", "-s", path, "-n", str(LINES), *args], capture_output=True, text=True,
                       timeout=60, check=False)
    return r.returncode, json.loads(r.stdout or "{}"), r.stderr


@pytest.mark.parametrize("args", [(), ("-d", "1"), ("-r", "2000")], ids=["pipelined", "one", "rate"])
def test_load_counts_what_was_answered(serve, args):
    code, told, _ = load(serve(ok), *args)
    assert (code, told["lines"], told["refused"]) == (0, LINES, 0)
    assert told["p50_us"] <= told["p99_us"] <= told["p999_us"] <= told["max_us"]


@pytest.mark.parametrize("args", [(), ("-d", "1"), ("-r", "2000")], ids=["pipelined", "one", "rate"])
@pytest.mark.parametrize("answer, word", [
    (lambda n: b"" if n == LINES // 2 else ok(n), "nothing has moved"),
    (lambda n: ok(2 * n) + ok(2 * n + 1) if n == LINES // 2 else ok(2 * n), "more replies than lines"),
    (lambda n: ok(n - 1) if n == LINES // 2 else ok(n), "not in the order of their lines"),
    (lambda n: None if n == LINES // 2 else ok(n), "closed with lines unanswered"),
    (lambda n: ok(n)[:-1] if n == LINES - 1 else ok(n), "nothing has moved"),
    (lambda n: ok(n) + b'{"ok' if n == LINES - 1 else ok(n), "in the middle of a reply"),
], ids=["missing", "one more", "again", "closed", "half", "half more"])
def test_load_fails_when_replies_are_not_one_a_line(serve, args, answer, word):
    code, told, said = load(serve(answer), "-w", "1", *args)
    assert (code, told) == (1, {}) and word in said


def test_at_a_rate_each_line_goes_when_it_is_due(serve):
    """And not an interval later, which is 20 ms at this rate."""
    _, told, _ = load(serve(ok), "-r", "50")
    assert told["p50_us"] < 10000, told


def test_load_fails_when_a_line_is_refused(serve):
    code, told, said = load(serve(lambda n: REFUSED if n == 7 else ok(n)))
    assert (code, told["refused"]) == (1, 1)
    assert '1 lines were refused, the first: {"ok":false,"code":"QUEUE_FULL"' in said


@pytest.fixture
def place(tmp_path):
    it = parts.Place.__new__(parts.Place)
    it.build, it.dir, it.running = BUILD, tmp_path, []
    yield it
    it.stop_all()


@pytest.fixture
def sink(place):
    return parts.Sink(place)


def send(sink, numbers):
    body = '{"events":[' + ",".join('{"params":{"transaction_id":"T-%07d"}}' % n for n in numbers) + "]}"
    with socket.create_connection(("127.0.0.1", sink.port)) as c:
        c.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body.encode()))
        assert c.recv(100).startswith(b"HTTP/1.1 204")


def test_events_are_counted_one_by_one(sink):
    """Of two connections, the second of which begins with another line of the pool (load.c)."""
    sent = run.spread(2, 51)
    assert sent == [(0, 26), (61, 25)]
    send(sink, range(26))
    send(sink, range(61, 85))
    with pytest.raises(parts.Failed, match="1 events did not arrive, 0 arrived more than once"):
        run.check_all_arrived(sink, sent, "test")
    send(sink, [85])
    run.check_all_arrived(sink, sent, "test")
    send(sink, [3])
    with pytest.raises(parts.Failed, match="0 events did not arrive, 1 arrived more than once"):
        run.check_all_arrived(sink, sent, "test")


def test_what_does_not_arrive_is_not_waited_for(sink):
    send(sink, range(3))
    assert sink.wait(3, patience=0)["events"] == 3
    with pytest.raises(parts.Failed, match="3 of 4 events are at the sink"):
        sink.wait(4, patience=0)


def test_beside_nothing_is_no_figure():
    """What is measured beside another thing, which fails or never happens, would look well."""
    def fails():
        raise OSError("gone")
    done = threading.Event()
    with parts.Beside(done.set):
        assert done.wait(60)
    with pytest.raises(parts.Failed, match="did not: gone"):
        with parts.Beside(fails):
            pass
    with pytest.raises(parts.Failed, match="never came to its end"):
        with parts.Beside(done.set, nap=60):
            pass
    with pytest.raises(KeyError):  # what ended the block is told, not what that did to the other
        with parts.Beside(fails):
            raise KeyError


def test_a_part_that_fails_leaves_nothing_running(place, monkeypatch, capsys):
    def broken(b):
        b.place.spawn("sleep", 600)
        raise parts.Failed("no luck")

    def next_one(b):
        assert not b.place.running and left.poll() is not None
    bench = run.Bench.__new__(run.Bench)
    bench.place = place
    left = place.spawn("sleep", 600)
    monkeypatch.setattr(run, "PARTS", [broken, next_one])
    assert run.run_parts(bench, []) == ["broken"]
    assert "broken: no luck" in capsys.readouterr().err


def test_a_program_that_was_killed_is_said(place):
    """By whoever needed its memory, for example: it says nothing itself."""
    (place.dir / "bench").mkdir()
    (place.dir / "bench" / "load").write_text("#!/bin/sh\nkill -9 $$\n")
    (place.dir / "bench" / "load").chmod(0o755)
    place.build = place.dir
    with pytest.raises(parts.Failed, match="load -n 1: killed by signal 9"):
        place.tool("load", "-n", 1)


@pytest.fixture
def build(tmp_path):
    """As `make bench` finds it, and nobody else's results in it."""
    (tmp_path / "bench").mkdir()
    for name in "ga4relay", "ga4relay-ctl", "bench/load", "bench/sink":
        (tmp_path / name).symlink_to(BUILD / name)
    return tmp_path


def named(folder):
    """Processes whose command names it."""
    for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in p.read_bytes():
                yield p
        except OSError:
            pass  # it has ended


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing(build, signo):
    p = subprocess.Popen([BENCH / "run.sh", build, "mixed"], env={**os.environ, "BENCH": "small", "TMPDIR": str(build)},
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    wait_until(lambda: list(build.glob("bench/work.*/r1/outbox.db")) or p.poll() is not None, "the part runs")
    p.send_signal(signo)
    _, said = p.communicate(timeout=60)
    assert (p.returncode, said) == (1, "stopped\n")
    assert not list(named(build / "bench")) and not list(named(build / "ga4relay"))
    assert not list(build.glob("bench/work.*")) and not list(build.glob("ga4bench.*"))


def test_what_is_not_there_is_named_below_the_table(capsys):
    bench = run.Bench.__new__(run.Bench)
    bench.rows, bench.missing = [], []
    assert bench.needs("sh") and not bench.needs("no-such-a", "sh", "no-such-b")
    bench.table()
    assert capsys.readouterr().out.endswith(": no-such-a, no-such-b\n")


def no_lock(folder):
    (folder / "lock").mkdir()


def full_disk(folder):
    (folder / "small.jsonl").symlink_to("/dev/full")


def locked(folder):
    lock = open(folder / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


@pytest.mark.parametrize("trouble, word", [
    (no_lock, "/bench/lock: Is a directory"), (full_disk, "/bench/small.jsonl: No space left on device"),
    (locked, "another benchmark runs in")])
def test_where_it_cannot_run_it_says_so(build, trouble, word):
    held = trouble(build / "bench")
    r = subprocess.run([BENCH / "run.sh", build, "latency"], env={**os.environ, "BENCH": "small", "TMPDIR": str(build)},
                       capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == 1 and word in r.stderr and "Traceback" not in r.stderr
    assert not list(build.glob("bench/work.*")) and not list(build.glob("ga4bench.*"))
    del held


@pytest.mark.parametrize("size, args, word", [
    ("nonsense", [BUILD], "BENCH=nonsense: small or full"),
    ("small", [BUILD, "nonsense"], "no such part: nonsense"),
    ("small", ["/nowhere"], "nothing is built in /nowhere"),
    ("small", [], "usage:"),
])
def test_what_cannot_be_done_is_said_in_a_line(size, args, word):
    r = subprocess.run([BENCH / "run.sh", *args], env={**os.environ, "BENCH": size}, capture_output=True, text=True,
                       timeout=60, check=False)
    assert r.returncode == 1 and word in r.stderr and r.stderr.count("\n") == 1 and not r.stdout
