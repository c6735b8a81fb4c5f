#!/usr/bin/python3
# faults.py - reads, writes and syncs of the outbox fail, are interrupted or come short by chance, over lives with kill -9
#
# usage: faults.py [-n LIVES] [-s SEED] [-f none|tmpfs|ext4|xfs|btrfs]      (make proof-faults LIVES=200)
#
# kill.py's campaign over fault_shim.so: each life has other faults, and on a file system of its own the disk is full for a
# moment now and then. A relay may end by itself, as after a failed sync, and is started again until it comes up. After each
# life the file is sound, everything acknowledged is there or was delivered, and nothing was set aside.
import argparse
import collections
import json
import random
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from applications import KINDS, Application  # noqa: E402
from books import Books  # noqa: E402
from endpoint import Endpoint  # noqa: E402
from kill import Campaign  # noqa: E402
from lib.mounts import Mount, fill  # noqa: E402
from lib.relay import BUILD, Relay  # noqa: E402
from operators import Operator  # noqa: E402

SHIM = BUILD / "tests" / "fault_shim.so"
SIZE = {"ext4": "256M", "tmpfs": "128M", "btrfs": "256M"}
STARTS = 40                                     # of one life, at most
# In a million calls. The first is what a sound file was set aside under.
RATES = ["read_eio=3000",
         "read_eio=20000 read_eintr=20000 read_short=50000",
         "write_eintr=20000 write_short=50000",
         "write_eio=20000 write_short=50000",
         "write_enospc=30000",
         "sync_eio=20000",
         "read_eio=3000 read_short=10000 write_eio=5000 write_enospc=5000 write_short=10000 sync_eio=5000"]


class Faults(Campaign):
    def __init__(self, relay, books, endpoint, seed, disk):
        super().__init__(relay, books, endpoint, seed)
        self.disk, self.seed, self.counts = disk, seed, collections.Counter()

    def start_until_ready(self):
        for _ in range(STARTS):
            self.seed += 1
            self.relay.env = {"LD_PRELOAD": str(SHIM), "FAULT_PATH": str(self.relay.db), "FAULT_SEED": str(self.seed),
                              "FAULT_RATES": self.rng.choice(RATES)}
            self.relay.write_config()
            self.relay.spawn()
            if self.relay.notified("READY=1"):
                return
            self.counts[f"start ended with {self.relay.wait_exit()}"] += 1
        raise AssertionError(f"not ready after {STARTS} starts:\n{self.relay.log[-3000:]}")

    def ready(self):
        self.start_until_ready()

    def live(self):
        super().live()
        if self.disk and self.rng.random() < 0.1:
            self.counts["full for a moment"] += 1
            fill(self.disk.path)
            time.sleep(0.3 * self.rng.random())
            (self.disk.path / "filler").unlink(missing_ok=True)

    def kill(self):
        if not self.relay.alive():
            self.counts[f"life ended with {self.relay.process.returncode}"] += 1
        self.relay.kill9()
        self.relay.env = {}
        self.autopsy(self.books.killed(), self.file.copy_to(self.relay.dir / "autopsy"))

    def autopsy(self, acked, file):
        aside = [p.name for p in self.relay.db.parent.glob("*") if "corrupt" in p.name or "orphan" in p.name]
        if aside:
            self.books.wrong.append(f"set aside: {aside}\n{self.relay.log[-3000:]}")
        super().autopsy(acked, file)


def last_life(c, crowd, relay, books):
    for x in crowd:
        x.stop()
    relay.env = {}
    relay.start()
    c.settle_all()
    code = relay.stop(60)
    if code != 0:
        books.wrong.append(f"the last stop: exit {code}")
    outbox = c.file.events()
    c.autopsy(books.killed(), c.file)
    return books.balance(outbox)


def campaign(lives, seed, fs="none", say=print):
    books = Books()
    endpoint = Endpoint(books, seed)
    relay = Relay(endpoint.url, delivery={"timeout": "5s", "retry_min": "20ms", "retry_max": "200ms", "refuse_after": "0s"}).allow(".*")
    disk = None if fs == "none" else Mount(fs, size=SIZE.get(fs))
    if disk:
        relay.db = disk.path / "outbox.db"
        relay.change(outbox={"path": relay.db})
        if fs != "tmpfs":
            disk.leave(48 << 20)
    c = Faults(relay, books, endpoint, seed, disk)
    crowd = [Application(k, relay, books, i, pause=0.05) for i, k in enumerate([*KINDS, "patient"])]
    crowd.append(Operator(relay, books, seed))
    try:
        c.ready()
        for x in crowd:
            x.start()
        for i in range(lives):
            c.live()
            c.kill()
            c.change()
            c.ready()
            if (i + 1) % 50 == 0:
                say(f"{i + 1} lives, {len(books.acked)} acknowledged, {dict(c.counts)}", flush=True)
        c.kill()
        books_say = last_life(c, crowd, relay, books)
    finally:
        for x in crowd:
            x.over.set()
        endpoint.over.set()
        endpoint.down()
        if relay.alive():
            relay.kill9()
        if disk:
            disk.remove()
    assert not books.wrong, books.wrong[:10]
    assert books_say["balanced"], books_say
    shutil.rmtree(relay.dir, ignore_errors=True)
    return {"lives": lives, "file_system": fs, "acknowledged": len(books.acked), **books_say, **c.counts, "refusals": dict(books.codes)}


def main():
    p = argparse.ArgumentParser(description="faults of the disk and kill -9, over lives")
    p.add_argument("-n", type=int, default=25, help="lives")
    p.add_argument("-s", type=int, default=time.time_ns() % 1_000_000, help="seed")
    p.add_argument("-f", default="none", choices=["none", "tmpfs", "ext4", "xfs", "btrfs"], help="a file system of its own (root)")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {a.s}, {a.n} lives", flush=True)
    began = time.monotonic()
    figures = campaign(a.n, a.s, a.f)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - began)}))


if __name__ == "__main__":
    main()
