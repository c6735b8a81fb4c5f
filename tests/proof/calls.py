#!/usr/bin/python3
# calls.py - kill -9 at every system call in turn, phase by phase: start, set-aside, intake, settle, checkpoint, stop, …
#
# usage: calls.py [-n POINTS] [PHASE...]    (make proof-calls POINTS=all)
#
# A phase is played once to count its system calls (killat.c, all threads together), then again for each of them, with
# SIGKILL as that call begins. After each: the file is sound, what was acknowledged is there or was delivered, the relay
# starts, takes an event, and gives no id twice.
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from books import Books  # noqa: E402
from dead_file import DeadFile  # noqa: E402
from endpoint import Endpoint  # noqa: E402
from lib.client import event  # noqa: E402
from lib.collector import status  # noqa: E402
from lib.relay import BUILD, PATIENCE, Relay, wait_until  # noqa: E402

KILLAT = BUILD / "proof" / "killat"
BUSY = (OSError, EOFError, ValueError, AssertionError, subprocess.SubprocessError)


class Killed(Exception):
    pass


class Phase:
    """One phase: what it begins with (before), and what is done while calls are counted (during)."""
    starts = False                              # counting begins with the program, not once it is ready
    paused = True                               # nothing is sent

    def __init__(self, workplace):
        self.w = workplace
        self.relay = workplace.relay

    def before(self):
        self.ask(*(event(transaction_id=f"b-{i}", client=f"1.{i % 3}", pad="x" * 400) for i in range(30)))

    def during(self):
        raise NotImplementedError

    def after(self):
        """What ends with the phase."""

    def at_end(self):
        """More to be judged, after the next life."""

    def first_answer(self, line):
        """Of the next life, which takes events at once."""
        return self.relay.ask(line)

    def ask(self, *events):
        with self.relay.client(timeout=30) as c:
            names = [e["params"]["transaction_id"] for e in events]
            self.w.books.sent(*names)
            c.send(*events)
            for n in names:
                self.w.books.reply([n], c.reply())

    def ready(self):
        if not self.relay.notified("READY=1"):
            raise Killed


class FirstStart(Phase):
    """No outbox yet: the schema is made, the file gets its name."""
    starts = True

    def before(self):
        pass

    def during(self):
        self.ready()
        self.ask(*(event(transaction_id=f"n-{i}") for i in range(3)))


class Start(Phase):
    """After a kill: the WAL is recovered, the counters read, the last run's mark written."""
    starts = True

    def during(self):
        self.ready()


class SetAside(Phase):
    """The header is destroyed: the file makes way, whole, for a new one whose ids go on."""
    starts = True

    def before(self):
        super().before()
        self.relay.kill9()
        with open(self.relay.db, "r+b") as f:
            f.write(b"\xff" * 512)
        self.remember()

    def remember(self):
        """What a destroyed page held is not to be looked for; the files are to be kept as they are."""
        files = [self.relay.db, Path(f"{self.relay.db}-wal")]
        self.damaged = [f.read_bytes() for f in files if f.exists() and f.stat().st_size]
        self.w.books.settled.update(self.w.books.acked)

    def during(self):
        self.ready()
        self.ask(*(event(transaction_id=f"n-{i}") for i in range(3)))

    def at_end(self):
        there = [f.read_bytes() for f in self.relay.dir.glob("outbox.db*")]
        for content in self.damaged:
            if there.count(content) != 1:
                self.w.books.wrong.append(f"a damaged file of {len(content)} bytes is found {there.count(content)} times")
        kept = [f for f in self.relay.dir.glob("outbox.db.corrupt-*") if not f.name.endswith("-wal")]
        if len(kept) != 1 or (len(self.damaged) == 2 and not Path(f"{kept[0]}-wal").exists()):
            self.w.books.wrong.append(f"set aside: {[f.name for f in self.relay.dir.glob('outbox.db*')]}")


class SetAsideSuspect(SetAside):
    """A page in the middle is destroyed, and the process that met it said so in the lock file."""

    def before(self):
        Phase.before(self)
        assert self.relay.stop() == 0
        self.relay.start()
        self.ask(event(transaction_id="in-the-wal"))
        self.relay.kill9()
        with open(self.relay.db, "r+b") as f:
            f.seek(4096)
            f.write(b"\xff" * 4096)
        lock = Path(f"{self.relay.db}.lock")
        lock.write_text(lock.read_text().replace("suspect 0", "suspect 1"))
        self.remember()


class Intake(Phase):
    """Single lines, a pipeline, a payload, a key twice, a bad line, a client that closes without reading."""

    def during(self):
        self.ask(event(transaction_id="i-0"))
        self.ask(*(event(transaction_id=f"i-{i}", client=f"9.{i}") for i in range(1, 6)))
        with self.relay.client(timeout=30) as c:
            self.w.books.sent("k-1", "p-1", "p-2")
            keyed = {**event(transaction_id="k-1"), "dedup_key": "k"}
            c.send(keyed, b"nonsense\n", keyed,
                   {"client_id": "1.2", "events": [{"name": "a", "params": {"transaction_id": n}} for n in ("p-1", "p-2")]})
            self.w.books.reply(["k-1"], c.reply())
            c.reply()
            self.w.books.reply(["k-1"], c.reply())
            self.w.books.reply(["p-1", "p-2"], c.reply())
        with self.relay.client(timeout=30) as c:
            self.w.books.sent("w-1")
            c.send(event(transaction_id="w-1"))
        wait_until(lambda: "k-1" in self.w.books.acked and self.relay.states().get("queued", 0) >= 39, "w-1", PATIENCE)


class Settle(Phase):
    """Delivered, dead, tried again."""
    paused = False

    def before(self):
        self.w.endpoint.next(*[status(503)] * 1000)
        super().before()

    def during(self):
        with self.w.endpoint.lock:
            self.w.endpoint.queue.clear()
        names = [f"s-{i}" for i in range(6)]
        self.ask(*(event("poison" if i == 3 else "refund", transaction_id=n, client="5.5") for i, n in enumerate(names)))
        wait_until(lambda: not set(self.relay.states()) & {"queued", "inflight"}, "settled", PATIENCE)


class Checkpoint(Phase):
    """The WAL has grown until it is copied into the database."""

    def before(self):
        for i in range(330):
            self.ask(event(transaction_id=f"c-{i}"))

    def during(self):
        for i in range(12):
            self.ask(event(transaction_id=f"d-{i}"))


class Act(Phase):
    """hold, retry, release, drop: with the sweep and the emptied WAL that follow a drop."""

    def during(self):
        for args in (["hold", 1, 2, 3], ["retry", 4], ["release", 1], ["backup", self.relay.dir / "copy"], ["pause"]):
            self.relay.ctl(*args)
        self.w.books.drop_tried.update(("b-1", "b-2"))
        self.relay.ctl("drop", 2, 3)
        self.w.books.dropped.update(("b-1", "b-2"))
        time.sleep(0.05)                        # the erasure goes on after the answer


class Reload(Phase):
    def during(self):
        before = len(self.relay.log)
        self.relay.change(outbox={"max_events": 5000, "keep_rejected": 10}, streams=[
            self.relay.stream(paused=True), {**self.relay.stream(paused=True), "name": "new", "measurement_id": "G-TEST000002"}])
        self.relay.write_config()
        self.relay.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in self.relay.log[before:] or not self.relay.alive(), "a reload", PATIENCE)
        self.ask({**event(transaction_id="r-1"), "stream": "new"})


class Stop(Phase):
    """SIGTERM with a line unread and a request under way: outcomes, the last checkpoint, the file closed."""
    paused = False

    def during(self):
        self.ask(event(transaction_id="t-1"))
        with self.relay.client(timeout=30) as c:
            self.w.books.sent("t-2")
            c.send(event(transaction_id="t-2"))
            self.relay.signal(signal.SIGTERM)
            self.relay.process.wait(20)
            self.w.books.reply(["t-2"], c.reply())


class FullDisk(Phase):
    """Full: refused, the ballast given back, what is delivered makes room, the ballast taken again."""
    paused = False
    disk = "4m"

    def before(self):
        self.w.endpoint.next(*[status(503)] * 100_000)
        (self.w.disk / "neighbour").write_bytes(b"x" * 1_400_000)  # fewer events: the ballast is there already
        try:
            for i in range(2000):
                self.ask(event(transaction_id=f"f-{i}", pad="x" * 3000))
                if self.w.books.codes:
                    return
        finally:
            self.fill()

    def fill(self):
        with open(self.w.disk / "filler", "ab", buffering=0) as f:
            for size in (65536, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass

    def during(self):
        with self.w.endpoint.lock:
            self.w.endpoint.queue.clear()
        self.relay.ctl("flush")
        wait_until(lambda: not set(self.relay.states()) & {"queued", "inflight"}, "room", 60)
        (self.w.disk / "filler").unlink()

    def after(self):
        for f in ("filler", "neighbour"):
            (self.w.disk / f).unlink(missing_ok=True)

    def first_answer(self, line):
        """Once it has made room."""
        return wait_until(lambda: (r := self.relay.ask(line))["ok"] and r, "room", 60)


PHASES = {c.__name__.lower(): c for c in (FirstStart, Start, SetAside, SetAsideSuspect, Intake, Settle, Checkpoint, Act, Reload,
                                         Stop, FullDisk)}


class Workplace:
    """A relay, an endpoint and books for one kill; the outbox on a disk of its own where the phase wants one."""

    def __init__(self, kind):
        self.books = Books()
        self.endpoint = Endpoint(self.books, 1, trouble=0)
        delivery = {"linger": "1ms", "retry_min": "10ms", "retry_max": "50ms", "refuse_after": "0s"}
        self.relay = Relay(self.endpoint.url, delivery=delivery).allow(".*")
        self.disk = None
        self.phase = kind(self)
        self.relay.config["streams"] = [self.relay.stream(paused=self.phase.paused)]
        if getattr(kind, "disk", None):
            self.disk = self.relay.dir / "disk"
            self.disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kind.disk}", "tmpfs", self.disk], check=True)
            self.relay.db = self.disk / "outbox.db"
            self.relay.change(outbox={"path": self.relay.db})

    def close(self):
        if self.relay.alive():
            self.relay.kill9()
        if self.relay.notify:
            self.relay.notify.close()
        self.endpoint.over.set()
        self.endpoint.down()
        if self.disk:
            subprocess.run(["umount", "-l", self.disk], check=True)
        shutil.rmtree(self.relay.dir, ignore_errors=True)

    # ---- one run ----

    def prepare(self):
        """The phase's beginning: a file that a killed relay left."""
        if isinstance(self.phase, FirstStart):
            self.relay.write_config()
            return
        self.relay.start()
        self.phase.before()
        if self.relay.alive():
            self.relay.kill9()
        acked = self.books.killed()
        if not isinstance(self.phase, SetAside):
            self.books.must_be_somewhere(acked, self.file().copy_to(self.relay.dir / "copy-of").events())
        assert not self.books.wrong, self.books.wrong[:5]

    def play(self, at):
        """Under killat; the number of calls, and whether it died of the at-th."""
        gate, out = self.relay.dir / "gate", self.relay.dir / "calls"
        self.relay.wrapper = [KILLAT, *(["-n", str(at)] if at else []), "-o", out, *([] if self.phase.starts else ["-g", gate])]
        self.relay.spawn()
        try:
            if not self.phase.starts:
                self.phase.ready()
                gate.touch()
            self.phase.during()
        except (Killed, *BUSY):
            if not at:
                raise
        died = self.finish_play(at)
        self.relay.wrapper = []
        n, last = map(int, out.read_text().split())
        return n, last, died

    def finish_play(self, at):
        """Died as planned; or, where the call came no more this time, is killed now."""
        if at:
            try:
                self.relay.process.wait(0.3)
            except subprocess.TimeoutExpired:
                pass
        died = self.relay.process.poll() == 128 + signal.SIGKILL
        if self.relay.alive():
            traced = self.traced()
            for pid in traced:
                os.kill(pid, signal.SIGKILL)
            self.relay.process.wait(30)
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in traced), "the end of the relay")
        return died

    def traced(self):
        """The relay below its tracer."""
        return [int(pid) for pid in Path(f"/proc/{self.relay.pid}/task/{self.relay.pid}/children").read_text().split()]

    # ---- the reckoning ----

    def file(self):
        return DeadFile(self.relay.db, self.books)

    def judge(self):
        self.phase.after()
        acked = self.books.killed()
        damaged = isinstance(self.phase, SetAside)
        if self.relay.db.exists() and not damaged:
            self.books.must_be_somewhere(acked, self.file().must_be_sound().events())
        highest = max(self.books.acked.values(), default=0)
        self.relay.start()
        r = self.phase.first_answer(event(transaction_id="afterwards"))
        if not r["ok"] or r["id"] <= highest:
            self.books.wrong.append(f"the next life answered {r}; {highest} had been given")
        if self.relay.stop(60) != 0:
            self.books.wrong.append(f"the next life ended with {self.relay.process.returncode}")
        self.books.must_be_somewhere(acked, self.file().events())
        self.phase.at_end()


def run_point(kind, at):
    w = Workplace(kind)
    keep = True
    try:
        w.prepare()
        n, last, died = w.play(at)
        w.judge()
        assert not w.books.wrong, f"{kind.__name__}, call {at} (number {last}): {w.books.wrong[:5]}\n{w.relay.log[-2000:]}"
        keep = False
        return n, last, died
    finally:
        if keep:
            print(f"{kind.__name__}, call {at}: see the log\n{w.relay.log[-3000:]}", file=sys.stderr)
        w.close()


def phase(name, points, say=print):
    """points: so many calls, spread evenly; None: each. Figures."""
    kind = PHASES[name]
    n, _, _ = run_point(kind, 0)
    each = range(1, n + 1) if points is None or points >= n else sorted({1 + i * n // points for i in range(points)})
    died, numbers = 0, set()
    for at in each:
        _, last, dead = run_point(kind, at)
        died += dead
        if dead:
            numbers.add(last)
    say(json.dumps({"phase": name, "calls": n, "points": len(each), "died": died, "kinds_of_calls": len(numbers)}), flush=True)
    return died


def main():
    p = argparse.ArgumentParser(description="kill -9 at every system call in turn")
    p.add_argument("-n", default="20", help="points a phase, or all")
    p.add_argument("phases", nargs="*", default=list(PHASES), metavar="PHASE", help=", ".join(PHASES))
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    total = sum(phase(name, None if a.n == "all" else int(a.n)) for name in a.phases)
    print(f"{total} kills at system calls, nothing was lost")


if __name__ == "__main__":
    main()
