"""cost.py - what an event costs beside time: instructions, allocations, system calls, bytes to the disk

These are counted, by valgrind, strace and the kernel, and hold on a busy machine too. What an event costs is the difference
between many and few, so that starting and stopping do not count.
"""
import os
import re
import shutil
import subprocess
import time

from depth import set_paused
from parts import Failed, Sink

LINES = 320  # bytes that the bench's lines have
CLIENTS = 20  # few enough that requests are full
FEW, MANY = 10000, 30000  # which events delivered of a backlog; the first ones open the connections

WAYS = [("pipelined", (), 20000), ("64 connections, one in flight each", ("-c", 64, "-d", 1), 20000),
        ("1 connection, one in flight", ("-d", 1), 2000)]  # … and lines that are enough of each


def cost(b):
    """What an event costs beside time: instructions, allocations, system calls, bytes to the disk."""
    if not b.ladder:
        return
    b.needs("strace", "valgrind")
    for words, args, lines in WAYS:
        if shutil.which("strace"):
            calls, groups = system_calls(b, args, lines)
            b.emit(figure=f"system calls per 1000 events, {words}", value=calls, groups=groups)
        wrote, grown = written(b, args, 5 * lines)
        b.emit(figure=f"bytes written to the disk per byte accepted, {words}", value=wrote, file=grown)
        if shutil.which("valgrind"):
            b.emit(figure=f"instructions per event taken in, {words}", value=round(of_intake(b, args, instructions, lines)))
            b.emit(figure=f"allocations per event taken in, {words}", value=round(of_intake(b, args, allocations, lines), 2))
    delivery(b)


def delivery(b):
    """The same of an event delivered."""
    sink, relay, n = Sink(b.place), b.relay(), MANY
    if shutil.which("strace"):
        fill(relay, n)
        relay.start(paused=True, url=sink.url)
        wrote = write_bytes(relay)
        calls = traced(b, relay, lambda: set_paused(relay, sink, False) or sink.wait(n), n)
        b.emit(figure="system calls per 1000 events delivered", value=calls, requests=sink.stats()["requests"])
        b.emit(figure="bytes written to the disk per event delivered", value=round((write_bytes(relay) - wrote) / n))
        relay.stop()
    if shutil.which("valgrind"):
        for name, count in ("instructions", instructions), ("allocations", allocations):
            got = of_delivery(relay, sink, count)
            b.emit(figure=f"{name} per event delivered, the 10,001st to the 30,000th", value=round(got, 2))
    relay.remove()


# ---- calls and bytes ----

def traced(b, relay, work, events):
    """{name: system calls per 1000 events} while that is done."""
    log = b.place.dir / "strace"
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(log), "-p", str(relay.process.pid)],
                              stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    work()
    tracer.send_signal(2)
    tracer.wait()
    calls = {f[-1]: int(f[3]) for f in (line.split() for line in log.read_text().splitlines())
             if len(f) >= 5 and f[3].isdigit() and f[-1] != "total"}
    return {k: round(v * 1000 / events, 2) for k, v in calls.items()}


def system_calls(b, args, lines):
    """{name: calls per 1000 events taken in}, and commits per 1000 events."""
    relay = b.relay().start(paused=True)
    relay.load("-n", 20000)  # the page cache is full, the memory grown
    groups = relay.metric("ga4relay_commit_duration_seconds_count")
    calls = traced(b, relay, lambda: relay.load("-n", lines, *args), lines)
    groups = relay.metric("ga4relay_commit_duration_seconds_count") - groups
    relay.remove()
    return calls, round(groups * 1000 / lines, 2)


def write_bytes(relay):
    for line in open(f"/proc/{relay.process.pid}/io"):
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise Failed("the kernel does not tell what was written")


def written(b, args, lines):
    """Bytes to the disk, and bytes that the outbox grew by, a byte accepted."""
    relay = b.relay().start(paused=True)
    before, size = write_bytes(relay), os.path.getsize(relay.dir / "outbox.db")
    relay.load("-n", lines, *args)
    wrote = write_bytes(relay) - before
    relay.stop()
    grown = os.path.getsize(relay.dir / "outbox.db") - size
    relay.remove()
    return round(wrote / (lines * LINES), 2), round(grown / (lines * LINES), 2)


# ---- under valgrind ----

def instructions(relay, work, **conf):
    return under_valgrind(relay, work, r"I +refs: +([\d,]+)", ("--tool=cachegrind", "--cache-sim=no",
                                                               "--cachegrind-out-file=/dev/null"), conf)


def allocations(relay, work, **conf):
    return under_valgrind(relay, work, r"total heap usage: ([\d,]+) allocs", (), conf)


def under_valgrind(relay, work, what, tool, conf):
    """What one life of the relay came to, in which it did this work."""
    log = relay.dir / "valgrind"
    relay.start(wrapper=("valgrind", *tool, f"--log-file={log}"), **conf)
    work()
    relay.stop()
    found = re.search(what, log.read_text())
    if not found:
        raise Failed(f"valgrind: {log.read_text()[-1000:]}")
    return int(found[1].replace(",", ""))


def of_intake(b, args, count, lines):
    """An event, of so many: the WAL is copied now and then in them, as it is all the time later."""
    relay = b.relay()
    took = [count(relay, lambda: relay.load("-n", n, *args), paused=True) for n in (lines // 4, lines + lines // 4)]
    relay.remove()
    return (took[1] - took[0]) / lines


def fill(relay, n):
    """So many are queued then; it does not run."""
    relay.start(paused=True)
    missing = n - int(relay.metric("ga4relay_outbox_events"))
    if missing > 0:
        relay.load("-k", CLIENTS, "-n", missing)
    relay.stop()


def of_delivery(relay, sink, count):
    """An event, of the later ones."""
    took, came = [], []
    for size in (FEW, MANY):
        fill(relay, size)
        sink.reset()
        took.append(count(relay, lambda: sink.wait(size), url=sink.url))
        came.append(sink.stats()["events"])
    return (took[1] - took[0]) / (came[1] - came[0])
