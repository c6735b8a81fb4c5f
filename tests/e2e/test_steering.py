# test_steering.py - pause, resume, hold, release, flush, retry, drop: what an operator says, and what survives a restart
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from lib.client import event
from lib.collector import Answer, status
from lib.relay import BUILD, SANITIZED, wait_until


def put(relay, n=3, **kw):
    with relay.client() as c:
        return [r["id"] for r in c.send(*[event(n=i, **kw) for i in range(n)]).replies(n)]


def state(relay, name="web"):
    return next(s for s in relay.status()["streams"] if s["name"] == name)["state"]


def sent(collector):
    return sorted(e["params"]["n"] for e in collector.events)


def test_pause_is_per_stream(make_relay, collector):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), relay.stream(name="eu", measurement_id="G-EU")]
    relay.start()
    relay.ctl("pause", "web")
    assert (state(relay), state(relay, "eu")) == ("paused", "up")
    put(relay)
    with relay.client() as c:
        assert c.ask({**event("other"), "stream": "eu"})["ok"]
    wait_until(lambda: collector.count("other") == 1, "the other stream")
    wait_until(lambda: relay.states() == {"queued": 3}, "the other stream's event is settled")
    relay.restart()
    assert state(relay) == "paused"
    assert relay.states() == {"queued": 3}
    relay.ctl("pause")                    # all of them
    assert (state(relay), state(relay, "eu")) == ("paused", "paused")
    relay.ctl("resume")
    relay.wait_empty()
    assert collector.count("refund") == 3


def test_resume_overrides_the_file_and_survives(make_relay, collector):
    """The file says paused, the operator resumed; pause … until resume."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    put(relay, 1)
    assert relay.states() == {"queued": 1}
    relay.ctl("resume", "web")
    relay.wait_empty()
    relay.restart()
    put(relay, 1)
    relay.wait_empty()
    assert collector.count() == 2
    relay.ctl("pause", "web")
    relay.kill9()
    relay.allow("cleanly").start()
    assert state(relay) == "paused"       # acknowledged: survives a crash too


def test_pause_lets_what_is_in_flight_end(relay, collector):
    collector.next(Answer(delay=0.5))
    put(relay, 1)
    wait_until(lambda: collector.requests, "the request")
    relay.ctl("pause", "web")
    put(relay, 2)
    wait_until(lambda: relay.states() == {"queued": 2}, "the first one's outcome")
    assert collector.count() == 1
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert collector.count() == 3


def test_hold_and_release(make_relay, collector):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    ids = put(relay, 5)
    relay.ctl("hold", ids[1], ids[3])
    assert relay.states() == {"queued": 3, "held": 2}
    relay.ctl("resume", "web")
    wait_until(lambda: relay.states() == {"held": 2}, "the others are sent")
    assert sent(collector) == [0, 2, 4]
    relay.restart()                       # survives
    assert relay.states() == {"held": 2}
    assert [e["id"] for e in relay.list("--state", "held")] == [ids[1], ids[3]]
    relay.ctl("release", ids[1])
    wait_until(lambda: relay.states() == {"held": 1}, "the released one is sent")
    relay.ctl("release", ids[3])
    relay.wait_empty()
    assert sent(collector) == [0, 1, 2, 3, 4]


def test_flush_ends_the_linger(make_relay, collector):
    relay = make_relay(delivery={"linger": "60s"}).start()
    put(relay)
    assert not collector.requests
    relay.ctl("flush")
    relay.wait_empty()
    assert collector.count() == 3
    put(relay, 1)                         # only what was there: the next one lingers again
    assert relay.states() == {"queued": 1}
    relay.ctl("flush")
    relay.wait_empty()


def test_flush_ends_the_backoff(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "60s", "retry_max": "60s"}).allow("destination web").start()
    collector.next(status(503))
    put(relay)
    wait_until(lambda: state(relay) == "backing-off", "backing off")
    began = time.monotonic()
    relay.ctl("flush")
    relay.wait_empty()
    assert time.monotonic() - began < 5
    assert collector.count() == 3


def test_flush_does_not_open_a_window_on_a_down_destination(make_relay, collector):
    """It makes one probe, no storm; and the backoff goes on from where it was."""
    relay = make_relay(delivery={"retry_min": "60s", "retry_max": "60s"}).allow("destination web").start()
    collector.rule = lambda r: status(503)
    with relay.client() as c:
        c.send(*[event(client=f"{i}.1", n=i) for i in range(200)]).replies(200)
    def waits():
        s = relay.status()["streams"][0]
        return s["state"] == "backing-off" and s["in_flight"] == 0

    wait_until(waits, "backing off")
    for _ in range(3):
        n = len(collector.requests)
        relay.ctl("flush")
        wait_until(lambda: len(collector.requests) > n and waits(), "its probe")
        assert len(collector.requests) == n + 1
    collector.rule = None
    relay.ctl("flush")
    relay.wait_empty()
    assert collector.count() == 200


@pytest.mark.parametrize("order", [("drop",), ("hold", "drop")])
def test_dropped_events_are_never_sent(make_relay, collector, order):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    ids = put(relay, 4)
    for command in order:
        relay.ctl(command, ids[2])
    relay.ctl("resume", "web")
    relay.wait_empty()
    assert sent(collector) == [0, 1, 3]


def test_a_retried_dead_letter_keeps_its_id(make_relay, collector):
    relay = make_relay(delivery={"refuse_after": "0s"}).allow("refused", "destination web").start()
    put(relay, 1)
    relay.wait_empty()
    collector.rule = lambda r: status(400) if b"poison" in r.raw else None
    with relay.client() as c:
        dead_id = c.ask(event("poison"))["id"]
        while relay.states().get("dead") != 1:   # a refusal is proved by what passes after it
            c.ask(event("fine"))
    collector.rule = None
    relay.ctl("retry", dead_id)
    relay.wait_empty()
    assert collector.count("poison") == 1
    assert relay.states() == {}


def test_retry_makes_a_waiting_event_due(make_relay, collector):
    relay = make_relay(delivery={"retry_min": "60s", "retry_max": "60s"}).allow("destination web").start()
    collector.next(status(503))
    ids = put(relay, 1)
    wait_until(lambda: state(relay) == "backing-off", "backing off")
    relay.ctl("retry", ids[0])
    relay.ctl("flush")
    relay.wait_empty()
    assert collector.count() == 1


@pytest.fixture
def slow_commits():
    """slow_commits(relay, seconds): from now on each sync of that relay takes so long."""
    traces = []

    def slow(relay, seconds):
        trace = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
                                  f"inject=fdatasync,fsync:delay_enter={int(seconds * 1e6)}", "-p", str(relay.pid)],
                                 stderr=subprocess.PIPE, text=True)
        traces.append(trace)
        tracer = f"TracerPid:\t{trace.pid}"

        def attached():
            tasks = Path(f"/proc/{relay.pid}/task").iterdir()
            return all(tracer in (t / "status").read_text() for t in tasks)

        wait_until(attached, "strace")

    yield slow
    for trace in traces:
        trace.terminate()
        trace.wait()
        trace.stderr.close()


@pytest.mark.skipif(SANITIZED or not shutil.which("strace"), reason="STRACE IS MISSING: slow commits are not tested")
@pytest.mark.parametrize("command", [("hold", "ID"), ("drop", "ID"), ("hold", "--client", "9.9"),
                                     ("drop", "--yes", "ALL")], ids=" ".join)
def test_what_is_answered_as_held_or_dropped_is_not_sent(make_relay, collector, slow_commits, command):
    """The event's linger ends while the change waits behind a commit of a second."""
    relay = make_relay(delivery={"linger": "500ms"}).start()
    slow_commits(relay, 1)
    with relay.client() as c, relay.client() as other:
        c.ask(event("warms_up", client="1.1"))       # the first request notes its bound, with a commit
        wait_until(lambda: collector.count() == 1, "the first event")
        time.sleep(1.5)
        victim = c.ask(event(client="9.9"))["id"]
        began = time.monotonic()
        other.send(event("keeps_the_writer_busy", client="1.1"))
        time.sleep(0.1)
        args = [str(victim) if a == "ID" else a for a in command]
        r = relay.ctl_raw("--json", *args)
        took = time.monotonic() - began
        sent = collector.count("refund")
        said = json.loads(r.stdout)
        other.reply()
    assert took > 0.8, f"the change waited for nothing ({took} s): this shows nothing"
    assert said["changed"] == (2 if "ALL" in command else 1) and r.returncode == 0 and sent == 0, (said, sent)
    relay.wait_empty()
    assert collector.count("refund") == 0
    if command[0] == "hold":
        assert victim in [e["id"] for e in relay.list("--state", "held")]
        relay.ctl("release", victim)
        wait_until(lambda: collector.count("refund") == 1, "the released event")


@pytest.mark.skipif(SANITIZED or not shutil.which("strace"), reason="STRACE IS MISSING: slow commits are not tested")
def test_what_is_in_flight_when_a_change_is_asked_for_is_refused(make_relay, collector, slow_commits):
    """It is answered while the change waits behind a commit: still refused, with exit 1."""
    relay = make_relay().start()
    collector.next(Answer(delay=0.5))
    ids = put(relay, 1)
    wait_until(lambda: collector.requests, "the request")
    slow_commits(relay, 1.5)
    with relay.client() as c:
        c.send(event("keeps_the_writer_busy"))
        time.sleep(0.1)
        r = relay.ctl_raw("--json", "hold", ids[0])
        c.reply()
    assert r.returncode == 1 and json.loads(r.stdout)["in_flight"] == 1, r
    relay.wait_empty()
    assert collector.count("refund") == 1


def test_delivery_goes_on_beside_a_change_of_a_large_backlog(make_relay, collector):
    """Requests start between two slices of it."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), relay.stream(name="held", measurement_id="G-HELD", paused=True)]
    relay.start()
    with relay.client() as c:
        for i in range(0, 60000, 1000):
            c.ask({"client_id": f"{i}.1", "stream": "held", "events": [{"name": "x"}] * 1000})
    changes = [subprocess.Popen([BUILD / "ga4relay-ctl", "-s", relay.control, "hold", "--client", f"nobody.{i}"],
                                stdout=subprocess.DEVNULL)
               for i in range(8)]
    with relay.client() as c:
        n = 0
        while any(p.poll() is None for p in changes):
            c.ask(event(n=n))
            n += 1
            time.sleep(0.005)
        at_end = collector.count("refund")
    for p in changes:
        assert p.wait() == 0
    assert n > 5 and at_end > n / 2, (n, at_end)
    wait_until(lambda: collector.count("refund") == n, "all of them")
