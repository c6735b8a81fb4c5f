# test_kill.py - kill -9 at random moments and at every kind of system call; nothing that was acknowledged is lost
import collections
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

from lib.client import event
from lib.collector import Answer, status
from lib.relay import SANITIZED, wait_until

KILLS = int(os.environ.get("KILLS", "10" if SANITIZED else "50"))
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))

# Each call of these is a place where a crash leaves something half done: intake, commit, checkpoint, settle, start.
CALLS = ["pwrite64", "fdatasync", "ftruncate", "openat", "rename", "unlink", "fallocate", "recvfrom", "sendto", "accept4"]


class Load(threading.Thread):
    """Applications that write numbered events and remember which were acknowledged, through every restart."""

    def __init__(self, relay, name, rng):
        super().__init__(daemon=True)
        self.relay, self.name_, self.rng = relay, name, rng
        self.acked = {}          # transaction_id -> id
        self.sent = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                with self.relay.client(timeout=5) as c:
                    self._talk(c)
            except (OSError, EOFError, ValueError):
                time.sleep(0.005)

    def _talk(self, c):
        while not self.over.is_set():
            names = []
            for _ in range(self.rng.randint(1, 40)):
                self.sent += 1
                names.append(f"{self.name_}-{self.sent}")
            c.send(*(event(client=f"1.{self.rng.randint(1, 30)}", transaction_id=n) for n in names))
            for n in names:
                r = c.reply()
                if r["ok"]:
                    self.acked[n] = r["id"]

    def stop(self):
        self.over.set()
        self.join(30)


def unreliable(rng):
    def rule(_request):
        dice = rng.random()
        if dice < 0.05:
            return status(503, retry_after=0)
        if dice < 0.10:
            return Answer(close="after")
        return Answer(delay=0.02 * rng.random())
    return rule


def received(collector):
    return collections.Counter(e["params"]["transaction_id"] for e in collector.events)


def judge(relay, collector, loads):
    """After the last restart: everything acknowledged arrived, ids were given once, the file is sound."""
    acked = {k: v for load in loads for k, v in load.acked.items()}
    collector.rule = None
    relay.wait_empty(60)
    got = received(collector)
    dead = {json.loads(x["line"])["params"]["transaction_id"] for x in relay.ctl("export", "--state", "dead")}
    lost = [n for n in acked if n not in got and n not in dead]
    assert not lost, f"acknowledged and gone: {lost[:5]} of {len(lost)}"
    assert len(set(acked.values())) == len(acked), "an id was given twice"
    assert relay.stop() == 0
    db = sqlite3.connect(relay.db)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    return len(acked), sum(n - 1 for n in got.values())


def bound_of_twice(relay):
    return sum(int(n) for n in re.findall(r"at most (\d+) events may be sent twice", relay.log))


def test_kill_at_random_moments(make_relay, collector):
    rng = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills")
    collector.rule = unreliable(random.Random(SEED + 1))
    relay = make_relay().allow(".*")
    relay.start()
    loads = [Load(relay, f"w{i}", random.Random(SEED + 10 + i)) for i in range(3)]
    for load in loads:
        load.start()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.0, 0.15))
        relay.kill9()
        relay.start()
    for load in loads:
        load.stop()
    n, twice = judge(relay, collector, loads)
    # A request that died under the collector's own hands may be counted twice as well: those are maybe-sent.
    died = sum(len(r.events) for r in collector.requests if r.answered is None)
    assert n > KILLS
    assert twice <= bound_of_twice(relay) + died, (twice, bound_of_twice(relay), died)
    print(f"{KILLS} kills, {n} acknowledged, {twice} sent twice (bound {bound_of_twice(relay)})")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing: kills at system calls are not tested")
@pytest.mark.skipif(SANITIZED, reason="strace and the sanitizers do not go together")
@pytest.mark.parametrize("call", CALLS)
def test_kill_at_a_system_call(make_relay, collector, call):
    rng = random.Random(SEED)
    collector.rule = unreliable(random.Random(SEED + 1))
    relay = make_relay().allow(".*")
    loads = [Load(relay, f"{call}{i}", random.Random(SEED + i)) for i in range(2)]
    for load in loads:
        load.start()
    died = 0
    for when in sorted({1, 2, 3, rng.randint(4, 12), rng.randint(13, 60)})[:max(2, KILLS // 10)]:
        relay.wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                         "-e", f"inject={call}:signal=SIGKILL:when={when}"]
        relay.write_config()
        relay.spawn()
        try:
            relay.process.wait(1.5)
            died += 1
        except Exception:
            # The call came less often than that: an ordinary stop of the program below strace.
            stop_traced(relay)
    relay.wrapper = []
    relay.start()
    # Something must have been acknowledged, or nothing was proved.
    wait_until(lambda: sum(len(load.acked) for load in loads) > 20, "acknowledged events")
    for load in loads:
        load.stop()
    n, twice = judge(relay, collector, loads)
    print(f"{call}: died {died} times, {n} acknowledged, {twice} twice")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing: a failing disk is not tested")
@pytest.mark.skipif(SANITIZED, reason="strace and the sanitizers do not go together")
def test_a_disk_that_fails_is_said(make_relay):
    relay = make_relay().allow("could not be written", "last run did not end")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    trace = subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
                              "inject=pwrite64:error=EIO", "-p", str(relay.pid)], stderr=subprocess.PIPE, text=True)
    assert "attached" in trace.stderr.readline()
    r = relay.ask(event())
    assert (r["code"], r["retry"]) == ("STORAGE_ERROR", True)
    wait_until(lambda: "error: outbox could not be written (disk I/O error" in relay.log, "a word in the log")
    trace.terminate()
    trace.wait()
    trace.stderr.close()
    assert relay.ask(event())["ok"]
    assert relay.states() == {"queued": 1}


def stop_traced(relay):
    children = f"/proc/{relay.pid}/task/{relay.pid}/children"
    with open(children) as f:
        pids = [int(x) for x in f.read().split()]
    for pid in pids:
        os.kill(pid, 15)
    relay.process.wait(30)
