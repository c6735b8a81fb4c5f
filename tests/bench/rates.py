"""rates.py - what an event costs at the rates that users have: syncs, bytes to the disk, processor time, latency

The lines of 64 connections, each waiting for its reply, are spread over the second, and a local server takes the events.
With BENCH_AGAINST=COMMIT that commit is built in a folder of its own, and both are measured in alternation.
"""
import copy
import os
import pathlib
import shutil
import subprocess

from cost import traced, write_bytes
from depth import cpu_us
from parts import Failed, Relay, Sink

CONNECTIONS = 64
# events a second, client_ids, and the targets: what may be left of the other commit's figure
SYNCS, BYTES, CPU, P99 = "syncs", "bytes", "cpu_us", "p99_us"
RATES = [
    (50, 100, {SYNCS: 0.55, BYTES: 0.35, P99: 1.25}),
    (500, 30000, {SYNCS: 0.55, BYTES: 0.35, P99: 1.25}),
    (5000, 30000, {BYTES: 0.35, CPU: 0.5, P99: 1.25}),
    (20000, 30000, {BYTES: 0.35, CPU: 0.5, P99: 1.25}),
]
TITLES = {SYNCS: ("syncs an event", ""), BYTES: ("bytes dirtied an event", "B"), CPU: ("CPU an event, us", "us"),
          "p50_us": ("ack p50, us", "us"), P99: ("ack p99, us", "us")}
SYNC_CALLS = ("fsync", "fdatasync")


def build_of(commit, folder):
    """The build directory of that commit, made once."""
    top = pathlib.Path(__file__).resolve().parents[2]
    tree = folder / f"against-{commit}"
    if not (tree / "build" / "release" / "ga4relay").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=top, capture_output=True, check=False)
        if archive.returncode:
            raise Failed(f"BENCH_AGAINST={commit}: {archive.stderr.decode().strip()}")
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
        clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        made = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "all"], cwd=tree, env=clean, capture_output=True,
                              text=True, check=False)
        if made.returncode:
            raise Failed(f"BENCH_AGAINST={commit} does not build: {made.stderr[-1000:]}")
    return tree / "build" / "release"


class Side:
    """One of the two programs: its relays are of that build, everything else is of this one."""

    def __init__(self, b, build, name):
        self.b, self.name, self.n = b, name, 0
        self.place = copy.copy(b.place)
        self.place.build = build

    def measure(self, rate, clients, seconds):
        """{figure: value} of one run on an outbox of its own."""
        self.n += 1
        sink = Sink(self.b.place)
        relay = Relay(self.place, f"{self.name}{rate}-{self.n}").start(url=sink.url)
        relay.load = lambda *args: self.b.place.tool("load", "-s", relay.socket, *args)
        offer = lambda n: relay.load("-c", CONNECTIONS, "-d", 1, "-k", clients, "-p", clients, "-r", rate, "-n", n)
        try:
            return self._run(relay, sink, offer, rate * seconds)
        finally:
            relay.remove()
            sink.process.kill()
            sink.process.wait()

    def _run(self, relay, sink, offer, n):
        offer(min(n, 500))  # connections to the sink are open, the memory grown
        sink.wait(min(n, 500))
        wrote, spent = write_bytes(relay), cpu_us(relay)
        got = offer(n)
        sink.wait(min(n, 500) + n)
        row = {BYTES: (write_bytes(relay) - wrote) / n, CPU: (cpu_us(relay) - spent) / n,
               "p50_us": got["p50_us"], P99: got["p99_us"]}
        if shutil.which("strace") and n <= 5000:  # a tracer slows down what it traces
            calls = traced(self.b, relay, lambda: offer(n) and sink.wait(min(n, 500) + 2 * n), n)
            row[SYNCS] = sum(calls.get(c, 0) for c in SYNC_CALLS) / 1000
        return row


STEPS = [("commits of 1", 600, 1, 100, 1), ("commits of 1, each of a new client, outcomes 20 later", 1500, 1, 30000, 20),
         ("commits of 5", 8000, 5, 30000, 3), ("commits of 56", 28000, 56, 1000, 3),
         ("commits of 56, each of a new client", 28000, 56, 1000000, 3)]


def steps(b):
    """The outbox alone."""
    for words, *args in STEPS:
        path = b.place.dir / b.name("steps.db")
        b.figure(f"the outbox, {words}: bytes dirtied an event", [b.place.tool("outbox_steps", path, *args)["bytes"]], "B")


def rates(b):
    """What an event costs at 50 to 20,000 a second; BENCH_AGAINST=70db44c measures that commit beside it."""
    steps(b)
    if not b.ladder and not os.environ.get("BENCH_AGAINST"):
        return
    b.needs("strace")
    sides = [Side(b, b.place.build, "now")]
    if against := os.environ.get("BENCH_AGAINST"):
        sides.append(Side(b, build_of(against, b.place.build / "bench"), "then"))
    for rate, clients, targets in RATES:
        seconds = max(2, int(4 * b.seconds))
        got = b.alternate(*[lambda s=s: s.measure(rate, clients, seconds) for s in sides])
        for figure, (title, unit) in TITLES.items():
            rounds = [[r[figure] for r in side if figure in r] for side in got]
            if not all(rounds):
                continue
            limit = rounds[1] if against else None
            b.figure(f"{rate}/s: {title}", rounds[0], unit, limit, against or "",
                     targets.get(figure) if against else None, most=True)
