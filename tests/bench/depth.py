"""depth.py - what a backlog costs: each figure with 1,000 queued and with ever more, up to 10,000,000 in BENCH=full"""
import functools
import pathlib
import statistics
import time

import parts
from parts import Beside, Failed, Sink

CLIENTS = 40  # few enough that 1,000 events make full requests: what is compared is the backlog's size alone


def settle_rss(relay):
    time.sleep(0.7)
    return relay.rss_mib()


def cpu_us(relay):
    """What all of its threads have used."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{relay.process.pid}/task").iterdir()) / 1e3


def fill(relay, n):
    """So many are queued then."""
    missing = n - int(relay.metric("ga4relay_outbox_events"))
    if missing > 0:
        relay.load("-k", CLIENTS, "-n", missing)


def first_ok(relay):
    """Seconds from exec to the first ok."""
    line = b'{"client_id":"1.2","name":"refund","params":{"transaction_id":"T-0000000"}}\n'
    path = relay.configure(paused=True)
    start = time.monotonic()
    relay.process = relay.place.spawn(relay.place.build / "ga4relay", "-c", path)
    s = parts.wait_for("relay", lambda: parts.connects(relay.socket), 60, 0.0005)
    s.settimeout(60)
    s.sendall(line)
    reply = s.recv(4096)
    took = time.monotonic() - start
    s.close()
    if not reply.startswith(b'{"ok":true'):
        raise Failed(f"first ok: {reply}")
    return took


def spent_us(relay, work):
    """CPU of the relay while that is done, and what it returned."""
    before = cpu_us(relay)
    got = work()
    return cpu_us(relay) - before, got


def take_in(relay, n, size):
    """Up to n queued: lines a second, CPU a line. A connection and a first commit cost the same for any number of lines,
    and much beside a thousand: they are measured by one line, and not counted."""
    size = min(n, size)
    fill(relay, n - size)
    first, _ = spent_us(relay, lambda: relay.load("-k", CLIENTS, "-n", 1))
    all_us, got = spent_us(relay, lambda: relay.load("-k", CLIENTS, "-n", size - 1))
    return got["lines_per_s"], (all_us - first) / (size - 2)


def set_paused(relay, sink, paused):
    """By its file: what ga4relay-ctl pauses stays so over a start."""
    relay.configure(paused=paused, url=sink.url)
    relay.ctl("reload")


def go_and_pause(relay, sink, events):
    set_paused(relay, sink, False)
    sink.wait(events)
    set_paused(relay, sink, True)
    time.sleep(0.3)


def deliver(relay, sink, n, size):
    """CPU an event from n queued on. What is in flight when it is paused again is counted too; what the two reloads cost
    is not."""
    sink.reset()
    all_us, _ = spent_us(relay, lambda: go_and_pause(relay, sink, min(n, size)))
    events = sink.stats()["events"]
    reloads, _ = spent_us(relay, lambda: [set_paused(relay, sink, True) for _ in range(2)])
    return (all_us - reloads) / events


def deliver_after_start(relay, sink, n, size):
    """Events a second from the disk, of all that is measured, and of as many as a backlog of 10,000 has. Each over the
    first four fifths: the last ones may wait for company (delivery.linger)."""
    size = min(n, size)
    fill(relay, n)
    relay.stop()
    sink.reset()
    relay.start(url=sink.url)
    sink.wait(size)
    relay.stop()
    first, marks = sink.stats()["first_us"], sink.marks()
    relay.start(paused=True, url=sink.url)

    def rate(events):
        some = max(1, events // 1250)
        return some * 1e9 / max(marks[some - 1] - first, 1)
    return rate(size), rate(min(size, 10000))


def starts(b, relay):
    """How long each took to its first ok, in ms, and MiB resident after it."""
    took, used = [], []
    for _ in range(b.rounds):
        relay.stop()
        took.append(first_ok(relay) * 1e3)
        used.append(settle_rss(relay))
    return took, used


class Point:
    """One backlog in an outbox of its own, and what was measured of it, round by round."""

    def __init__(self, b, sink, n):
        self.sink, self.n = sink, n
        self.size = b.lines  # of them are taken in, and delivered, at a time; of a smaller backlog all
        self.relay = b.relay().start(paused=True, url=sink.url)
        self.into, self.lines_per_s, self.out, self.drain, self.drain_at_first = [], [], [], [], []
        fill(self.relay, n)
        self.rss = [settle_rss(self.relay)]

    def work(self):
        """A thousand events are few to measure: they come and go again and again."""
        into, out = [], []
        for _ in range(max(1, 20000 // self.n)):
            out.append(deliver(self.relay, self.sink, self.n, self.size))
            into.append(take_in(self.relay, self.n, self.size))
        self.lines_per_s.append(statistics.mean(x[0] for x in into))
        self.into.append(statistics.mean(x[1] for x in into))
        self.out.append(statistics.mean(out))
        fill(self.relay, self.n)
        self.rss.append(settle_rss(self.relay))

    def restart(self):
        whole, at_first = deliver_after_start(self.relay, self.sink, self.n, self.size)
        self.drain.append(whole)
        self.drain_at_first.append(at_first)

    def emit(self, b):
        """For the plots."""
        fill(self.relay, self.n)
        self.first_ok, self.rss_after_start = starts(b, self.relay)
        seen = dict(intake_lines_per_s=self.lines_per_s, intake_cpu_us=self.into, drain_events_per_s=self.drain,
                    drain_cpu_us=self.out, first_ok_ms=self.first_ok, rss_mib=self.rss,
                    rss_after_start_mib=self.rss_after_start)
        b.emit(plot="depth", queued=self.n, **{k: round(statistics.median(v), 2) for k, v in seen.items() if v})


def idle(b, sink):
    relay, used = b.relay(), []
    for _ in range(b.rounds):
        relay.start(paused=True, url=sink.url)
        used.append(settle_rss(relay))
        libraries = relay.rss_mib("RssFile")
        relay.stop()
    relay.remove()
    b.figure("memory, idle, MiB", used, "MiB", target=12, most=True, note=f"{libraries:.1f} of them pages of libraries")


def depth(b):
    """The same with ever more queued: memory, start, first ok, what an event costs, drain, and ctl's reads beside intake."""
    sink = Sink(b.place)
    idle(b, sink)
    points = [Point(b, sink, n) for n in (b.curve if b.ladder else b.curve[-1:])]
    for measure in (Point.work, Point.restart) if b.ladder else ():
        b.alternate(*(functools.partial(measure, p) for p in points))
    for p in points:
        p.emit(b)
    tell(b, points)
    most = points[-1]
    most.relay.stop()
    ctl_beside(b, most.relay.start(paused=True, url=sink.url), f"{most.n:,} queued")
    for p in points:
        p.relay.remove()


def tell(b, points):
    most = points[-1]
    words = f"{most.n:,} queued"
    used = max(most.rss, most.rss_after_start, key=statistics.median)
    b.figure(f"memory, {words}, MiB", used, "MiB", target=48, most=True)
    b.figure(f"from exec to first ok, {words}, ms", most.first_ok, "ms", target=100, most=True)
    if b.ladder:
        compare(b, points, words)


def compare(b, points, words):
    most, base = points[-1], next(p for p in points if p.n == 10000)
    b.figure(f"drain, {words}, events/s", most.drain, "1/s", base.drain, "10,000 queued", 0.9)
    b.figure("the same of its first 10,000", most.drain_at_first, "1/s", base.drain_at_first, "10,000 queued")
    for name, of in ("CPU a line of intake", "into"), ("CPU an event of delivery", "out"):
        costs = {p.n: statistics.median(getattr(p, of)) for p in points}
        dearest, cheapest = max(costs, key=costs.get), min(costs, key=costs.get)
        b.figure(f"{name}: the dearest, with {dearest:,} queued, us", [costs[dearest]], "us", [costs[cheapest]],
                 f"the cheapest, {cheapest:,}", 1.1, most=True, note=" ".join(f"{c:.2f}" for c in costs.values()))


def ctl_beside(b, relay, words):
    """ack p99 at a moderate rate, alone and while ctl counts and lists all the time."""
    rate = 5000
    alone = lambda: relay.load("-c", 16, "-r", rate, "-n", int(rate * b.seconds))["p99_us"]

    def read():
        relay.ctl("count")
        relay.ctl("list", "--limit", "1000")

    def beside():
        with Beside(read):
            return alone()

    quiet, busy = b.alternate(alone, beside)
    b.figure(f"ack p99 beside ctl count and list, {words}, us", busy, "us", quiet, "without ctl", 2, most=True)
