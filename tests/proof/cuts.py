#!/usr/bin/python3
# cuts.py - cut the power of the whole daemon, phase by phase: what was not synced is lost, torn, or there
#
# usage: cuts.py [-n CUTS] [-s SEED] [-m full|normal] [PHASE...]    (make proof-powercut CUTS=1000)
#
# A phase of calls.py is played once under strace. Its trace gives the disks that a cut after any of its calls could leave
# (disk_model.py: contents and names) and the replies that had been sent by then. A relay is started on each such disk:
# what was acknowledged is there or was delivered, the file is sound, no id is given twice.
# Exit 0: as promised (full: nothing is lost; normal: something is, which shows that a loss would be seen).
import argparse
import collections
import json
import os
import random
import re
import signal
import sys
import time

from calls import PHASES, SetAside, Workplace
from disk_model import STRACE, Disk, read_trace
from lib.client import event

OK = re.compile(rb'\{"ok":true,"id":(\d+),"count":(\d+)')
NAME = re.compile(rb'"transaction_id":"([^"]+)"')


class Known:
    """What had left the daemon, and what it had been told, when the power went."""

    def __init__(self, acked):
        self.acked, self.asked, self.delivered = set(acked), collections.defaultdict(set), set()

    def observe(self, call, args, strings):
        fd, data = args.split(",")[0], b"".join(strings)
        if call == "recvfrom":
            if data.startswith(b"HTTP/1.1 2"):
                self.delivered |= self.asked.pop(fd, set())
        elif call in ("sendto", "sendmsg", "writev", "write"):
            for first, count in OK.findall(data):
                self.acked.update(range(int(first), int(first) + int(count)))
            if data.startswith(b"POST "):
                self.asked.pop(fd, None)
            self.asked[fd].update(n.decode() for n in NAME.findall(data))


class Recording:
    """A phase, played once; then a disk for each cut."""

    know = Known

    def __init__(self, kind, sync):
        self.w = Workplace(kind)
        self.relay, self.books = self.w.relay, self.w.books
        self.where = self.relay.dir / "cut"     # the disks that cuts leave
        self.where.mkdir()
        self.relay.change(outbox={"sync": sync})
        self.lost = []

    def record(self):
        self.w.prepare()
        self.disk = Disk(self.relay.db.parent)
        self.known = self.know(set(self.books.acked.values()))
        trace = self.relay.dir / "trace"
        self.relay.wrapper = [*STRACE, "-o", trace]
        self.relay.spawn()
        self.relay.signal = lambda number: [os.kill(pid, number) for pid in self.w.traced()]
        if not self.w.phase.starts:
            self.w.phase.ready()
        self.w.phase.during()
        self.w.finish_play(None)
        self.relay.wrapper = []
        del self.relay.signal                   # the class's own again
        self.after_record()
        return read_trace(trace)

    def after_record(self):
        """From now on relays start on the disks that cuts leave."""
        self.w.phase.after()
        self.names = {i: n for n, i in self.books.acked.items() if n not in self.books.settled}
        self.relay.db = self.where / "outbox.db"
        self.relay.change(streams=[self.relay.stream(paused=True)], outbox={"path": self.relay.db})

    def observe(self, call, args, strings, result):
        self.disk.observe(call, args, strings, result)
        self.known.observe(call, args, strings)

    def cut_at(self, points, rng):
        """points: numbers of calls after which the power goes, ascending, each as often as it is there."""
        wanted = collections.Counter(points)
        for number, (call, args, strings, result) in enumerate(self.calls, 1):
            self.observe(call, args, strings, result)
            for _ in range(wanted[number]):
                self.cut(rng, number)

    def cut(self, rng, number):
        for f in self.where.glob("outbox.db*"):
            f.unlink()
        self.disk.image(self.where, rng)
        ruined = isinstance(self.w.phase, SetAside) and rng.random() < 0.5 and self.ruin()
        wrong = [self.judge(ruined), *self.books.wrong]
        self.books.wrong.clear()
        if self.relay.alive():
            self.relay.kill9()
        if any(wrong):
            self.lost.append(f"after call {number}: {wrong}")

    def ruin(self):
        """The cut has cost the new file as well: what was in it is gone, but its ids must not come again."""
        if not self.relay.db.exists() or self.relay.db.read_bytes() in (b"", *self.w.phase.damaged):
            return False
        with open(self.relay.db, "r+b") as f:
            f.write(b"\xee" * 512)
        return True

    def judge(self, ruined):
        highest = max(self.known.acked, default=0)
        self.relay.start()
        r = self.w.phase.first_answer(event(transaction_id="afterwards"))
        if not r["ok"] or r["id"] <= highest:
            return f"the next life answered {r}; {highest} had been given"
        if self.relay.stop(60) != 0:
            return f"the next life ended with {self.relay.process.returncode}"
        outbox = self.w.file().must_be_sound().events()
        gone = [n for i, n in self.names.items() if i in self.known.acked and n not in outbox
                and n not in self.known.delivered and n not in self.books.drop_tried]
        if isinstance(self.w.phase, SetAside):
            there = [f.read_bytes() for f in self.where.glob("outbox.db*")]
            if any(there.count(content) != 1 for content in self.w.phase.damaged):
                return "the damaged file is not there whole"
        return f"acknowledged and gone: {gone[:3]} of {len(gone)}" if gone and not ruined else None


def phase(name, cuts, sync, rng):
    r = Recording(PHASES[name], sync)
    try:
        r.calls = r.record()
        # A quarter at the very end: then most has been acknowledged.
        points = sorted(len(r.calls) if i % 4 == 0 else rng.randint(1, len(r.calls)) for i in range(cuts))
        r.cut_at(points, rng)
        print(json.dumps({"phase": name, "sync": sync, "calls": len(r.calls), "syncs": r.disk.syncs, "cuts": cuts,
                          "with_loss": len(r.lost)}), flush=True)
        return r.lost + r.books.wrong
    finally:
        r.w.close()


def cuts(n, seed, sync="full", names=tuple(PHASES)):
    """How each cut that lost something lost it."""
    rng = random.Random(seed)
    lost = []
    for i, name in enumerate(names):
        share = n // len(names) + (i < n % len(names))
        lost += [f"{name} {x}" for x in phase(name, share, sync, rng)] if share else []
    return lost


def main():
    p = argparse.ArgumentParser(description="cut the power of the whole daemon")
    p.add_argument("-n", type=int, default=110, help="cuts, over all phases")
    p.add_argument("-s", type=int, default=time.time_ns() % 1_000_000, help="seed")
    p.add_argument("-m", choices=["full", "normal"], default="full", help="outbox.sync")
    p.add_argument("phases", nargs="*", default=list(PHASES), metavar="PHASE", help=", ".join(PHASES))
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {a.s}", flush=True)
    lost = cuts(a.n, a.s, a.m, a.phases)
    print("\n".join(lost[:10]))
    print(f"cuts={a.n} sync={a.m} with-loss={len(lost)}")
    sys.exit(bool(lost) == (a.m == "full"))


if __name__ == "__main__":
    main()
