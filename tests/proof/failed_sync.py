#!/usr/bin/python3
# failed_sync.py - a sync fails, the relay starts again, then the power goes: what it answered after the restart is there
#
# usage: failed_sync.py [-n RUNS] [-c CUTS] [-s SEED]    (make proof-failed-sync RUNS=100)
#
# A run is a few traced lives on the same files. In each but the last a sync fails, whichever it is, and the relay ends; or
# it is killed or stopped before that. The last one takes events. disk_model.py has the disk meanwhile: what a failed sync
# should have written is clean in the page cache, where the next life reads it, and on the disk only in part. Then the power
# is cut at random calls of the last life and at its end (cuts.py), and a relay starts on what the disk had.
import argparse
import json
import os
import random
import signal
import sys
import time

from calls import BUSY, Killed, Phase
from cuts import Recording
from disk_model import STRACE, Disk, read_trace
from lib.client import event

RESTART = "restart"
START_CALLS = 150                               # traced calls of a start, about


class AfterFailedSync(Phase):
    """Whatever the lives before left behind, this one takes events."""
    starts = True

    def before(self):
        pass

    def during(self):
        self.ready()
        for i in range(self.w.events):
            self.ask(event(transaction_id=f"{self.w.life}-{i}", client=f"1.{i % 7}", pad="x" * self.w.pad))


class Lives(Recording):
    def __init__(self, rng, events=25):
        self.rng = rng
        super().__init__(AfterFailedSync, "full")
        self.w.events, self.w.pad = events, rng.choice([10, 400, 3000])
        # A first start, a WAL that goes on, and one that is copied soon.
        self.before = rng.choice([0, 0, 5, 60, 340])
        self.troubles = [self.choose_trouble() for _ in range(rng.choice([1, 1, 2, 3]))]

    def choose_trouble(self):
        """Which sync of that life fails, and how it ends if it comes to its end."""
        call = self.rng.choice(["fdatasync", "fdatasync", "fdatasync", "fsync", None])
        most = 4 if call == "fsync" else self.w.events + 5
        return call, self.rng.randint(1, self.rng.choice([4, most])), self.rng.choice([signal.SIGKILL, signal.SIGTERM])

    def prepare(self):
        """What is there before anything goes wrong; on the disk, since nobody knows better."""
        self.relay.write_config()
        if not self.before:
            return
        self.relay.start()
        with self.relay.client(timeout=30) as c:
            c.send(*(event(transaction_id=f"0-{i}", pad="x" * 50) for i in range(self.before)))
            for i in range(self.before):
                self.books.reply([f"0-{i}"], c.reply())
        self.relay.kill9()

    def live(self, name, trouble=None):
        trace = self.relay.dir / f"trace-{name}"
        call, at, end = trouble or (None, 0, signal.SIGKILL)
        self.w.life = name
        self.relay.wrapper = [*STRACE, "-o", trace, *(["-e", f"inject={call}:error=EIO:when={at}"] if call else [])]
        self.relay.spawn()
        try:
            self.w.phase.during()
            for pid in self.w.traced() if end == signal.SIGTERM else []:
                os.kill(pid, end)
                self.relay.process.wait(30)
        except (Killed, *BUSY) as e:
            if not trouble:                     # nothing fails in this life
                raise AssertionError(f"{self.what()}: {e!r}, exit {self.relay.process.poll()}:\n{self.relay.log}") from e
        self.w.finish_play(None)                # kills what is still there
        self.relay.wrapper = []
        return read_trace(trace)

    def record(self):
        self.prepare()
        self.disk = Disk(self.relay.db.parent, self.rng)
        self.known = self.know(set(self.books.acked.values()))
        calls = []
        for i, trouble in enumerate(self.troubles):
            calls += [*self.live(f"trouble-{i}", trouble), (RESTART, "", [], 0)]
        self.first = len(calls) + 1
        calls += self.live("last")
        self.after_record()
        return calls

    def observe(self, call, args, strings, result):
        if call == RESTART:
            self.disk.restarted()
        else:
            super().observe(call, args, strings, result)

    def what(self):
        return f"{self.before} events before, then {self.troubles}"


def point(r, i, rng):
    """The number of a call: the last one, one of the start, which reads and copies what was left, or any."""
    if i % 4 == 0:
        return len(r.calls)
    return rng.randint(r.first, min(r.first + START_CALLS, len(r.calls)) if i % 4 < 3 else len(r.calls))


def run(n_cuts, rng):
    r = Lives(rng)
    try:
        r.calls = r.record()
        r.cut_at(sorted(point(r, i, rng) for i in range(n_cuts)), rng)
        return [f"{r.what()}: {x}" for x in r.lost + r.books.wrong], r.disk.failed
    finally:
        r.w.close()


def campaign(runs, n_cuts, seed, say=print):
    rng, lost, failed, bad = random.Random(seed), [], 0, 0
    for i in range(runs):
        wrong, n = run(n_cuts, rng)
        lost, failed, bad = lost + wrong, failed + n, bad + bool(wrong)
        if (i + 1) % 10 == 0:
            say(json.dumps({"runs": i + 1, "syncs_that_failed": failed, "cuts": n_cuts * (i + 1), "runs_with_loss": bad}),
                flush=True)
    return lost


def main():
    p = argparse.ArgumentParser(description="a sync fails, the relay starts again, then the power goes")
    p.add_argument("-n", type=int, default=20, help="runs")
    p.add_argument("-c", type=int, default=4, help="cuts a run")
    p.add_argument("-s", type=int, default=time.time_ns() % 1_000_000, help="seed")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {a.s}", flush=True)
    lost = campaign(a.n, a.c, a.s)
    print("\n".join(lost[:10]))
    print(f"runs={a.n} cuts={a.n * a.c} with-loss={len(lost)}")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
