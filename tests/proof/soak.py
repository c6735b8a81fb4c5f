#!/usr/bin/python3
# soak.py - everything at once for a long time: memory and descriptors stay flat, the books balance to the event
#
# usage: soak.py [-t SECONDS] [-s SEED]     (make proof-soak SOAK=2100)
#
# In the first third the relay is stopped, killed and started again and again; the rest is one life, in which a leak would
# show. In both: applications of every kind, an operator, outages and bad answers, reloads, stepped clocks, log levels. Now
# and then everybody holds still for an audit of a life: the daemon's own counters and its file against each other. In the
# long life everybody rests, now and then: the queue is emptied, free memory is given back, and what memory the relay has
# then has nothing to do with the backlog. At the end the applications', the endpoint's and the outbox's books must agree
# to the event.
import argparse
import collections
import json
import random
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from applications import KINDS, Application, drain  # noqa: E402
from books import Books  # noqa: E402
from dead_file import DeadFile  # noqa: E402
from endpoint import Endpoint  # noqa: E402
from lib.client import event  # noqa: E402
from lib.clock import SHIM, Clock  # noqa: E402
from lib.heap import Heap  # noqa: E402
from lib.patience import Patience  # noqa: E402
from lib.relay import Relay, wait_until  # noqa: E402
from operators import Operator  # noqa: E402
from watch import Watch  # noqa: E402

KEY_DROPPED = 3                                 # outbox/store/stored_counters.h
LOOKS_TO_REST = 200                             # about two minutes
GROWTH_KIB = 16                                 # that memory in use at rest may grow over the last two thirds of the long life
MOST_EVENTS = 25_000                            # that are queued: the applications write more than the endpoint takes
# All that memory may be with so many: 36 MiB, of which SQLite's cache is 8, and the 16 MiB of lines that intake takes ahead of
# the writer, which the application `fat` fills.
MOST_KIB = (36 + 16) << 10
SHORT_S = 600                                   # in less caches are still filling
EXPECTED = ("destination web", "did not end cleanly", "outcome=", "refused lines", "second signal", "still in flight",
            "is the clock right", "expiry goes on")


class Soak:
    def __init__(self, seconds, seed):
        self.seconds, self.rng = seconds, random.Random(seed)
        self.books = Books()
        self.endpoint = Endpoint(self.books, seed, trouble=8, hang=3.0)
        # what is remembered of delivered events fills its room early in the long life
        delivery = {"timeout": "8s", "retry_max": "2s", "refuse_after": "0s"}
        self.relay = Relay(self.endpoint.url, delivery=delivery, outbox={"remember_delivered": 10_000}).allow(*EXPECTED)
        self.file = DeadFile(self.relay.db, self.books)
        self.clock = Clock(self.relay)
        self.heap = Heap(self.relay)
        self.crowd = [Application(k, self.relay, self.books, i, pause=0.8) for i, k in enumerate([*KINDS, "patient"])]
        self.crowd.append(Operator(self.relay, self.books, seed, pause=1.0))
        self.watch = Watch(self.books)
        self.n = dict.fromkeys(("restarts", "kills", "reloads", "clock_steps", "outages", "lives_audited"), 0)
        self.memory = []                        # of the long life: KiB, at every look
        self.in_use, self.at_rest = [], []      # and at rest: from malloc, and resident
        self.descriptors = []                   # (files, sockets but TCP, TCP)
        self.outage_ends = None

    # ---- lives ----

    def begin_life(self):
        """On a file that nobody has open: what is there, what was ever dropped."""
        self.there = self.outbox()
        self.dropped_before = self.dropped()
        self.relay.start()
        self.relay.ctl("resume")
        self.books.open()

    def dropped(self):
        db = sqlite3.connect(self.file.copy_to(self.relay.dir / "copy-of").db)
        try:
            return db.execute("SELECT coalesce(sum(n), 0) FROM counter WHERE key = ?", (KEY_DROPPED,)).fetchone()[0]
        except sqlite3.OperationalError:        # before the first start there is no such table
            return 0
        finally:
            db.close()

    def outbox(self):
        return self.file.must_be_sound().events() if self.relay.db.exists() else {}

    def stop(self):
        code = self.relay.stop(90)
        if code != 0:
            self.books.wrong.append(f"SIGTERM: exit {code}: {self.relay.log[-1000:]}")
        self.books.stopped_in_order()

    def restart(self):
        """With everybody writing: what a write() returned for is stored."""
        self.stop()
        with self.books.lock:
            acked = {**self.books.acked, **dict.fromkeys(self.books.stored)}
        self.books.must_be_somewhere(acked, self.outbox())
        self.begin_life()
        self.n["restarts"] += 1

    def kill(self):
        self.relay.kill9()
        self.books.must_be_somewhere(self.books.killed(), self.outbox())
        self.begin_life()
        self.n["kills"] += 1

    def hold_still(self):
        """Nobody writes, nothing is sent, what was answered is settled."""
        self.end_outage()
        self.books.close()
        wait_until(lambda: self.books.busy == 0, "conversations end", 120)
        self.relay.ctl("pause")
        wait_until(lambda: (s := self.relay.status())["connections"] == 0 and not s["events"]["inflight"], "a daemon at rest", 120)

    def audit_life(self):
        """What was there and what was accepted: delivered, dropped, or there. In the daemon's own numbers."""
        self.hold_still()
        m = self.metrics()
        self.stop()
        outbox, dropped = self.outbox(), self.dropped() - self.dropped_before
        if len(self.there) + m["events_accepted_total"] != m["events_delivered_total"] + dropped + len(outbox):
            self.books.wrong.append(f"the daemon's books: {len(self.there)} + {m['events_accepted_total']} accepted are not "
                                    f"{m['events_delivered_total']} delivered + {dropped} dropped + {len(outbox)} there")
        self.n["lives_audited"] += 1
        return outbox

    def metrics(self):
        text = self.relay.ctl_raw("metrics").stdout
        sums = {}
        for name, value in re.findall(r"^ga4relay_(\w+)(?:\{[^}]*\})? (\d+)$", text, re.M):
            sums[name] = sums.get(name, 0) + int(value)
        return sums

    # ---- what happens ----

    def tick(self, restarts):
        self.hear_notifications()
        dice = self.rng.random()
        if self.outage_ends and time.monotonic() > self.outage_ends:
            self.end_outage()
        elif dice < 0.03 and not self.outage_ends:
            self.endpoint.down()
            self.outage_ends = time.monotonic() + self.rng.uniform(0.5, 8)
            self.n["outages"] += 1
        elif dice < 0.09:
            self.reload()
        elif dice < 0.15:
            self.step_clock()
        elif dice < 0.27 and restarts:
            self.restart()
        elif dice < 0.30 and restarts:
            self.kill()
        elif dice < 0.32 and restarts:
            self.audit_life()
            self.begin_life()

    def hear_notifications(self):
        """As systemd would: unread, they fill the socket."""
        try:
            while self.relay.notify.recv(4096, socket.MSG_DONTWAIT):
                pass
        except (BlockingIOError, TimeoutError):
            pass

    def end_outage(self):
        if self.outage_ends:
            self.endpoint.up()
            self.outage_ends = None

    def reload(self):
        r = self.rng
        self.relay.change(delivery={"linger": r.choice(["1ms", "200ms"]), "max_requests": r.choice([4, 64]),
                                    "max_batch": r.choice([5, 25])}, log={"level": r.choice(["info", "info", "debug"])},
                          outbox={"keep_rejected": r.choice([0, 100, 1000])})
        self.relay.write_config()
        self.relay.signal(signal.SIGHUP)
        self.n["reloads"] += 1

    def step_clock(self):
        """Set by hours, forth and back; or time goes by on all clocks at once."""
        if self.rng.random() < 0.3:
            self.clock.passes(self.rng.uniform(0.5, 3))
        else:
            self.clock.step(-self.clock.wall_ns / 1e9 + self.rng.uniform(-7200, 7200))
        self.n["clock_steps"] += 1

    def many_lives(self, seconds):
        patience = Patience(seconds)
        while patience.left():
            self.tick(restarts=True)
            time.sleep(self.rng.uniform(0.2, 1))
        self.audit_life()
        self.begin_life()

    def long_life(self, seconds):
        self.fill_up()
        patience, looks = Patience(seconds), 0
        while patience.left():
            self.tick(restarts=False)
            self.memory.append(self.anonymous_kib())
            looks += 1
            if looks % LOOKS_TO_REST == 20:
                self.rest()
            self.hold_back()
            time.sleep(self.rng.uniform(0.2, 1))
        self.rest()

    def fill_up(self):
        """Once as many are queued as ever will be: what SQLite's cache and the tables are then, they stay."""
        self.hold_still()
        writer = Application("patient", self.relay, self.books, "filling")
        with writer.connect() as c:
            while self.queued() < MOST_EVENTS:
                names = [writer.name_one() for _ in range(100)]
                c.send(*(writer.one(n) for n in names))
                for n in names:
                    self.books.reply([n], c.reply())
        self.relay.ctl("resume")

    def queued(self):
        return self.relay.states().get("queued", 0)

    def hold_back(self):
        """The applications, while much is queued."""
        if self.queued() > MOST_EVENTS * 0.8:
            self.books.close()
        else:
            self.books.open()

    def rest(self):
        """Nobody writes and nothing is left to be sent. The relay gives back what it has freed once that has lasted."""
        self.hold_still()
        trouble, self.endpoint.trouble = self.endpoint.trouble, 0
        drain(self.relay, self.books, len(self.at_rest))
        self.one_connection()
        self.endpoint.trouble = trouble
        seen = collections.deque(maxlen=8)

        def stands_still():
            time.sleep(1)
            seen.append(self.anonymous_kib())
            return len(seen) == seen.maxlen and max(seen) - min(seen) < 32

        wait_until(stands_still, "memory that stands still", 60)
        self.at_rest.append(seen[-1])
        self.in_use.append(self.heap.kib())
        self.descriptors.append(self.count_descriptors())

    def one_connection(self):
        """A burst leaves connections. Those that the endpoint has ended go with the next request: libcurl looks for them
        once a second."""
        self.endpoint.down()
        self.endpoint.up()
        time.sleep(1.5)
        writer = Application("patient", self.relay, self.books, f"resting{len(self.at_rest)}")
        n = writer.name_one()
        self.books.reply([n], self.relay.ask(event(transaction_id=n)))
        wait_until(lambda: not set(self.relay.states()) & {"queued", "inflight"}, "an empty queue", 30)

    def anonymous_kib(self):
        return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{self.relay.pid}/status").read_text())[1])

    def count_descriptors(self):
        proc = Path(f"/proc/{self.relay.pid}")
        tcp = {x.split()[9] for f in ("tcp", "tcp6") for x in (proc / "net" / f).read_text().splitlines()[1:]}
        links = [str(x.readlink()) for x in (proc / "fd").iterdir()]
        sockets = [x[8:-1] for x in links if x.startswith("socket:")]
        n_tcp = sum(s in tcp for s in sockets)
        return len(links) - len(sockets), len(sockets) - n_tcp, n_tcp

    # ---- the end ----

    def is_flat(self):
        m = self.in_use[len(self.in_use) // 3:]
        first, last = statistics.median_low(m[:len(m) // 2] or m), statistics.median_low(m[len(m) // 2:])
        if self.seconds >= SHORT_S and last - first > GROWTH_KIB:
            self.books.wrong.append(f"memory grows: {first} KiB, then {last}, of {self.in_use}")
        if max(self.memory) > MOST_KIB:
            self.books.wrong.append(f"too much memory: {max(self.memory)} KiB")
        if len(set(self.descriptors)) != 1:
            self.books.wrong.append(f"descriptors (files, sockets, TCP): {self.descriptors}")
        return {"in_use_at_rest_kib": self.in_use, "resident_at_rest_kib": self.at_rest, "memory_most_kib": max(self.memory),
                "descriptors": [self.descriptors[0], self.descriptors[-1]]}

    def run(self):
        self.begin_life()
        for x in [*self.crowd, self.watch]:
            x.start()
        self.many_lives(self.seconds / 3)
        self.long_life(self.seconds * 2 / 3)
        flat = self.is_flat()
        self.books.open()
        for x in self.crowd:
            x.stop()
        self.endpoint.heal()
        drain(self.relay, self.books, "atlast")
        outbox = self.audit_life()
        with self.books.lock:
            self.books.must_be_somewhere({**self.books.acked, **dict.fromkeys(self.books.stored)}, outbox)
        self.books.must_not_be_twice_in_one_life()
        balance = self.books.balance(outbox)
        self.unexpected()
        return {"seconds": self.seconds, "stood_still": len(self.books.stood_still), **self.n, **balance, "dead": sum(s == "dead" for _, s, _ in outbox.values()),
                "counted_twice": sum(self.books.twice.values()), **flat, "endpoint": self.endpoint.counts,
                "refusals": dict(self.books.codes), "operator": self.crowd[-1].done,
                "conversations": {x.kind: x.done for x in self.crowd[:-1]}}

    def unexpected(self):
        try:
            self.relay.check_log()
        except AssertionError as e:
            self.books.wrong.append(str(e).split("\n--- all of it")[0][:2000])

    def clean_up(self, keep):
        for x in [*self.crowd, self.watch]:
            x.over.set()
        self.books.open()
        self.endpoint.over.set()
        self.endpoint.down()
        if self.relay.alive():
            self.relay.kill9()
        if keep:
            print(f"evidence in {self.relay.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.relay.dir, ignore_errors=True)


def soak(seconds, seed):
    s = Soak(seconds, seed)
    done = False
    try:
        figures = s.run()
        assert not s.books.wrong, (s.books.wrong[:10], figures)
        assert figures["balanced"], figures
        done = True
        return figures
    finally:
        s.clean_up(keep=not done)


def main():
    p = argparse.ArgumentParser(description="everything at once, for a long time")
    p.add_argument("-t", type=float, default=60, help="seconds")
    p.add_argument("-s", type=int, default=time.time_ns() % 1_000_000, help="seed")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {a.s}, {a.t:.0f} seconds", flush=True)
    print(json.dumps(soak(a.t, a.s)))


if __name__ == "__main__":
    main()
