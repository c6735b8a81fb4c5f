#!/usr/bin/python3
# outage_hour.py - an outage with a large backlog: what it costs while it lasts, and what recovery is like
#
#   tests/proof/outage_hour.py [--minutes 60] [--events 1000000] [--clients 10000] [--retry-max 300]
#
# The endpoint's port refuses for so long, with the default backoff; an event a minute comes in meanwhile, and twenty a
# second while the backlog drains. Prints what was seen, one line a figure, and exits 1 when one is not as promised.
# Needs a built relay (make).
import argparse
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from lib.client import event, line  # noqa: E402
from lib.collector import Collector  # noqa: E402
from lib.relay import Relay  # noqa: E402

WINDOW = 65536           # events of a stream in memory: oldest first holds beyond that
NUMBER = re.compile(rb'"n":(\d+)')
RETRY_MIN_S = 1


class Sink(Collector):
    """Keeps of each request when it came and the numbers of its events."""

    received = 0

    def _record(self, r):
        numbers = [int(x) for x in NUMBER.findall(r.raw)]
        with self.lock:
            self.requests.append((r.at, numbers))
            self.received += len(numbers)

    @property
    def numbers(self):
        with self.lock:
            return [n for _, numbers in self.requests for n in numbers]


class Verdict:
    def __init__(self):
        self.ok = True

    def say(self, what, value, holds=True):
        self.ok &= bool(holds)
        print(f"{what:<58} {value}{'' if holds else '   DOES NOT HOLD'}", flush=True)


def cpu_s(relay):
    """Of all its threads, as exactly as the kernel knows."""
    return sum(int(open(t / "schedstat").read().split()[0]) for t in Path(f"/proc/{relay.pid}/task").iterdir()) / 1e9


def fill(relay, n, clients):
    began = time.monotonic()
    with relay.client() as c:
        for i in range(0, n, 1000):
            last = min(i + 1000, n)
            c.send(b"".join(line(event(client=f"{j % clients}.1", n=j)) for j in range(i, last)))
            assert all(r["ok"] for r in c.replies(last - i))
    return time.monotonic() - began


def probes(relay):
    """Requests that failed so far."""
    return sum(int(x) for x in re.findall(r'requests_total\{stream="web",outcome="retry"\} (\d+)',
                                          relay.ctl_raw("metrics").stdout))


def destination_lines(relay):
    return [x for x in relay.log.splitlines() if ": destination web: " in x]


class Trickle:
    """New events beside a backlog: numbers from first on, and how long each took to be acknowledged."""

    def __init__(self, relay, first):
        self.relay, self.next, self.took, self.at = relay, first, [], {}

    def one(self, c):
        self.at[self.next] = began = time.monotonic()
        assert c.ask(event(client=f"{self.next}.2", n=self.next))["ok"]
        self.took.append(time.monotonic() - began)
        self.next += 1


def most_probes(seconds, retry_max):
    """Steps that backoff can make in that time when chance always picks the shortest wait."""
    n, at, wait = 1, 0.0, RETRY_MIN_S
    while at + wait / 2 < seconds:
        at += wait / 2
        wait = min(retry_max, wait * 2)
        n += 1
    return n


def outage(relay, seconds, retry_max, trickle, v):
    """The outage itself: nothing but an event a minute and the probes."""
    began, cpu, n = time.monotonic(), cpu_s(relay), probes(relay)
    with relay.client() as c:
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(60, left))
            trickle.one(c)
    took, cpu = time.monotonic() - began, cpu_s(relay) - cpu
    n = probes(relay) - n
    v.say("outage, seconds", f"{took:.0f}")
    v.say("probes in that time (at most)", f"{n} ({most_probes(took, retry_max)})", 0 < n <= most_probes(took, retry_max))
    v.say("CPU of the process, ms (share of a core)", f"{cpu * 1e3:.1f} ({cpu / took:.6%})", cpu < 0.05 + took * 5e-4)
    v.say("lines in the log about the destination", len(destination_lines(relay)), len(destination_lines(relay)) == 1)
    v.say("new events taken meanwhile, slowest in ms", f"{len(trickle.took)}, {max(trickle.took) * 1e3:.1f}")
    v.say("resident memory, MiB", f"{relay.rss_kib() / 1024:.1f}", relay.rss_kib() < 48 << 10)


def recovery(relay, sink, total, retry_max, trickle, v):
    """The port listens again; an operator need not do anything, but the next probe may be minutes away."""
    before = len(trickle.took)
    at_up = time.monotonic()
    sink.up()
    with relay.client() as c:
        while sink.requests == [] and time.monotonic() < at_up + retry_max + 60:
            time.sleep(0.05)
        began = time.monotonic()
        v.say("until the next probe, seconds", f"{began - at_up:.0f}", sink.requests)
        while sink.received < total and time.monotonic() < began + 600:
            trickle.one(c)
            time.sleep(0.05)
    relay.wait_empty(120)
    took = max(at for at, _ in sink.requests) - began
    best = min(25, min(WINDOW, total) / trickle.clients)
    sizes = [len(numbers) for _, numbers in sink.requests]
    v.say("drain, seconds; events a second (the sink is Python)", f"{took:.1f}; {total / took:.0f}", total / took > 1000)
    v.say("events a request (the window has of a client)", f"{sum(sizes) / len(sizes):.1f} ({best:.1f})",
          sum(sizes) / len(sizes) > 0.7 * best)
    new = trickle.took[before:]
    v.say("new events taken while it drained, slowest in ms", f"{len(new)}, {max(new) * 1e3:.1f}", len(new) > 0)


def judge_order(sink, total, trickle, v):
    numbers = sink.numbers
    v.say("events accepted, received, received twice",
          f"{trickle.next}, {len(set(numbers))}, {len(numbers) - len(set(numbers))}",
          sorted(numbers) == list(range(trickle.next)))
    late = max(abs(at - n) for at, n in enumerate(x for x in numbers if x < total))
    v.say("most places that an old event left its turn", f"{late} (window {WINDOW})", late <= WINDOW + 10000)
    clients, overtaken = {}, 0
    for n in numbers:
        if n < total:
            client = n % trickle.clients
            overtaken += clients.get(client, -1) > n
            clients[client] = max(n, clients.get(client, -1))
    v.say("events that came after a newer one of their client", overtaken)
    came = {n: at for at, numbers in sink.requests for n in numbers if n >= total}
    waits = sorted(at - trickle.at[n] for n, at in came.items())
    v.say("new events: seconds to delivery, median and worst", f"{waits[len(waits) // 2]:.1f}, {waits[-1]:.1f}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--events", type=int, default=1000000)
    p.add_argument("--clients", type=int, default=10000)
    p.add_argument("--retry-max", type=int, default=300, metavar="SECONDS")
    a = p.parse_args()
    v, sink = Verdict(), Sink()
    sink.down()          # its port refuses from here on
    relay = Relay(sink.url, delivery={"retry_min": f"{RETRY_MIN_S}s", "retry_max": f"{a.retry_max}s"})
    relay.allow("destination web: ").start()
    try:
        took = fill(relay, a.events, a.clients)
        v.say("events taken before it is watched, a second", f"{a.events}, {a.events / took:.0f}")
        trickle = Trickle(relay, a.events)
        trickle.clients = a.clients
        outage(relay, a.minutes * 60, a.retry_max, trickle, v)
        recovery(relay, sink, a.events, a.retry_max, trickle, v)
        judge_order(sink, a.events, trickle, v)
        lines = destination_lines(relay)
        v.say("lines in the log about the destination, in all", len(lines), len(lines) == 2)
        print("\n".join("  " + x for x in lines))
    finally:
        relay.finish()
        sink.down()
    return 0 if v.ok else 1


if __name__ == "__main__":
    sys.exit(main())
