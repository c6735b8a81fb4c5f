"""depth.py - what a backlog costs: each figure with 1,000 queued and with ever more, up to 10,000,000 in BENCH=full"""
import pathlib
import statistics
import threading
import time

import parts
from parts import Failed, Sink

CLIENTS = 40  # few enough that 1,000 events make full requests: what is compared is the backlog's size alone
SIZE = 250000  # events taken in, and delivered, in a measurement with a larger backlog; with a smaller one, all of it


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


def take_in(relay, n):
    """Up to n queued: lines a second, CPU a line."""
    size = min(n, SIZE)
    fill(relay, n - size)
    before = cpu_us(relay)
    rate = relay.load("-k", CLIENTS, "-n", size)["lines_per_s"]
    return rate, (cpu_us(relay) - before) / size


def set_paused(relay, sink, paused):
    """By its file: what ga4relay-ctl pauses stays so over a start."""
    relay.configure(paused=paused, url=sink.url)
    relay.ctl("reload")


def deliver(relay, sink, n):
    """CPU an event from n queued on. What is in flight when it is paused again is counted too."""
    sink.reset()
    before = cpu_us(relay)
    set_paused(relay, sink, False)
    sink.wait(min(n, SIZE))
    set_paused(relay, sink, True)
    time.sleep(0.3)
    return (cpu_us(relay) - before) / sink.stats()["events"]


def deliver_after_start(relay, sink, n):
    """Events a second from the disk, over the first four fifths: the last ones may wait for company (delivery.linger)."""
    size = min(n, SIZE)
    fill(relay, n)
    relay.stop()
    sink.reset()
    relay.start(url=sink.url)
    sink.wait(size)
    relay.stop()
    some = max(1, size // 1250)
    rate = some * 1e9 / max(sink.marks()[some - 1] - sink.stats()["first_us"], 1)
    relay.start(paused=True, url=sink.url)
    return rate


def starts(b, relay):
    took = []
    for _ in range(b.rounds):
        relay.stop()
        took.append(first_ok(relay) * 1e3)
    return took


def depth(b):
    """The same with ever more queued: memory, start, first ok, drain, and ctl's reads beside intake."""
    sink = Sink(b.place)
    relay = b.relay().start(paused=True, url=sink.url)
    b.figure("memory, idle, MiB", [settle_rss(relay)], "MiB", target=12, most=True,
             note=f"{relay.rss_mib('RssFile'):.1f} of them pages of libraries")
    for n in b.curve if b.ladder else b.curve[-1:]:  # the others are for the plots
        rss, began = point(b, sink, relay, n)
    words = f"{n:,} queued"
    b.figure(f"memory, {words}, MiB", [rss], "MiB", target=48, most=True)
    b.figure(f"from exec to first ok, {words}, ms", began, "ms", target=100, most=True)
    compare(b, sink, relay, n)
    ctl_beside(b, relay, words)
    relay.remove()


def point(b, sink, relay, n):
    """Of the plots. MiB resident, and how long each start took."""
    into, out, rss = [], [], 0
    for _ in range(min(20, max(b.rounds, 20000 // n)) if b.ladder else 1):
        into.append(take_in(relay, n))
        rss = settle_rss(relay) if n > 10000 or not out else rss
        out.append(deliver(relay, sink, n))
    rates = [deliver_after_start(relay, sink, n) for _ in range(b.rounds if b.ladder else 1)]
    fill(relay, n)
    began = starts(b, relay)
    after = settle_rss(relay)
    seen = dict(intake_lines_per_s=[x[0] for x in into], intake_cpu_us=[x[1] for x in into], drain_events_per_s=rates,
                drain_cpu_us=out, first_ok_ms=began)
    b.emit(plot="depth", queued=n, rss_mib=round(rss, 2), rss_after_start_mib=round(after, 2),
           **{k: round(statistics.median(v), 2) for k, v in seen.items()})
    relay.stop()
    relay.start(paused=True, url=sink.url)
    return max(rss, after), began


def compare(b, sink, relay, n):
    """The largest backlog beside one of 10,000, each in an outbox of its own."""
    other = b.relay().start(paused=True, url=sink.url)

    def work(of, queued):
        fill(of, queued)
        return take_in(of, queued)[1], deliver(of, sink, queued), deliver_after_start(of, sink, queued)

    large, small = (zip(*x) for x in b.alternate(lambda: work(relay, n), lambda: work(other, 10000)))
    names = ("CPU a line of intake", "us", 1.1), ("CPU an event of delivery", "us", 1.1), ("drain", "events/s", 0.9)
    for (name, unit, target), ours, theirs in zip(names, large, small):
        b.figure(f"{name}, {n:,} queued, {unit}", ours, unit, theirs, "10,000 queued", target, most=unit == "us")
    other.remove()


def ctl_beside(b, relay, words):
    """ack p99 at a moderate rate, alone and while ctl counts and lists all the time."""
    rate = 5000
    alone = lambda: relay.load("-c", 16, "-r", rate, "-n", int(rate * b.seconds))["p99_us"]

    def beside():
        over = threading.Event()

        def read_on():
            while not over.is_set():
                relay.ctl("count")
                relay.ctl("list", "--limit", "1000")
        t = threading.Thread(target=read_on)
        t.start()
        try:
            return alone()
        finally:
            over.set()
            t.join()

    quiet, busy = b.alternate(alone, beside)
    b.figure(f"ack p99 beside ctl count and list, {words}, us", busy, "us", quiet, "without ctl", 2, most=True)
