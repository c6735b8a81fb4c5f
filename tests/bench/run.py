"""run.py - each figure of the design beside its limit or its peer, in alternation in one run; README says how to read it"""
import bisect
import fcntl
import heapq
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from cost import cost
from depth import depth, settle_rss
from parts import Beanstalkd, Beside, Echo, Failed, Nginx, Place, Relay, Rsyslog, Sink, SyslogNg
from rates import rates

SIZES = {  # what differs between the two; everything else is the same
    "small": dict(rounds=5, lines=40000, singles=600, many=10000, through=30000, drain=30000, drain_beside=30000,
                  packing=16384, seconds=0.3, curve=[100000], ladder=False),
    "full": dict(rounds=5, lines=250000, singles=3000, many=40000, through=250000, drain=1000000, drain_beside=200000,
                 packing=262144, seconds=2.0, curve=[1000, 10000, 100000, 1000000, 10000000], ladder=True),
}
LATEST_S = 20 * 60  # no part begins later; on a quiet machine all are done by then
POOL = 4096  # load's different lines
WINDOW = 24000  # events of ours in the 16 MiB that the stream queues may hold in memory (QUEUES_SHARED_BYTES)


class Bench:
    def __init__(self, build):
        self.size = os.environ.get("BENCH", "small")
        if self.size not in SIZES:
            sys.exit(f"BENCH={self.size}: small or full")
        self.__dict__.update(SIZES[self.size])
        self.alone = alone(pathlib.Path(build) / "bench")
        self.results = writable(pathlib.Path(build) / "bench" / f"{self.size}.jsonl")
        self.place = Place(build)
        self.rows, self.missing = [], []
        self.names = 0
        Rsyslog.find(self.place)

    def emit(self, **row):
        line = json.dumps(row)
        print(line, flush=True)
        self.results.write(line + "\n")
        self.results.flush()

    def figure(self, name, ours, unit, limit=None, against="", target=None, most=False, note=""):
        """ours, limit: what was measured, round by round. The ratio is the median of the rounds' ratios; a figure
        without limit is held against its target as it is, and its ratio is to that."""
        ours = list(ours)
        value = statistics.median(ours)
        row = dict(figure=name, value=round(value, 2), unit=unit)
        held = value
        if limit is not None:
            limit = list(limit)
            held = statistics.median(a / b for a, b in zip(ours, limit))
            row.update(against=against, reference=round(statistics.median(limit), 2), ratio=round(held, 3))
        elif target:
            row.update(against="the target", reference=target, ratio=round(value / target, 3))
        if target is not None:
            row.update(target=target, bound="most" if most else "least",
                       met=held <= target if most else held >= target)
        if note:
            row["note"] = note
        row["rounds"] = [round(x, 2) for x in ours]
        self.rows.append(row)
        self.emit(**row)

    def turns(self, name, before, after, **target):
        """Of the relay's loop, over 10 ms: those that are its own doing; and, as a note, what the machine did."""
        slow, starved, steal_s = (b - a for a, b in zip(before, after))
        self.figure(name, [slow], "", most=True, **target,
                    note=f"and {starved:.0f} starved; the host withheld {steal_s * 1e3:.0f} ms of processor time")

    def alternate(self, *measures):
        """Each in turn, in every round from another one on."""
        got = [[] for _ in measures]
        for r in range(self.rounds):
            for i in range(len(measures)):
                k = (i + r) % len(measures)
                got[k].append(measures[k]())
        return got

    def relay(self):
        self.names += 1
        return Relay(self.place, f"r{self.names}")

    def name(self, kind):
        self.names += 1
        return f"{kind}{self.names}"

    def raw(self, rows, group):
        return self.place.tool("raw_sqlite", self.place.dir / "raw.db", rows, group)["rows_per_s"]

    def peer(self, kind):
        if kind.program:
            return True
        self.missing.append(kind.__name__)
        return False

    def needs(self, *programs):
        """Whether they are all there; those that are not are named below the table."""
        absent = [p for p in programs if not shutil.which(p)]
        self.missing += absent
        return not absent

    def table(self):
        print(f"\n{'figure':58} {'value':>12}  {'against':32} {'ratio':>7}  {'target':>8}")
        for r in self.rows:
            held = r.get("ratio", "")
            sign = "" if "target" not in r else ("<= " if r["bound"] == "most" else ">= ") + str(r["target"])
            word = "" if "met" not in r else "met" if r["met"] else "MISSED"
            against = f"{r['against']} {r['reference']:g}" if "against" in r else ""
            print(f"{r['figure']:58} {r['value']:>12g}  {against:32} {held:>7}  {sign:>8}  {word} {r.get('note', '')}")
        if self.missing:
            print(f"not measured, not installed (make bench-deps brings the peers): {', '.join(sorted(set(self.missing)))}")


def writable(path):
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as e:
        sys.exit(f"{path}: {e.strerror}")


def alone(folder):
    """Two at once would measure each other, and write into the same results."""
    if not (folder / "load").exists():
        sys.exit(f"nothing is built in {folder.parent}: make bench")
    lock = writable(folder / "lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"another benchmark runs in {folder}")
    return lock


def check_all_arrived(sink, sent, what, pool=POOL):
    """sent: [(first line of the pool, lines)] of each connection. Each must be there exactly as often as it was sent."""
    want = [0] * pool
    for first, n in sent:
        for i in range(pool):
            want[i] += n // pool
        for i in range(n % pool):
            want[(first + i) % pool] += 1
    got = sink.counts()
    got += [0] * (pool - len(got))
    if got != want:
        lost = sum(max(0, w - g) for w, g in zip(want, got))
        twice = sum(max(0, g - w) for w, g in zip(want, got))
        raise Failed(f"{what}: {lost} events did not arrive, {twice} arrived more than once")


def spread(connections, lines):
    """As load.c gives them to its connections."""
    return [(i * 61 % POOL, lines // connections + (i < lines % connections)) for i in range(connections)]


# ---- intake ----

def intake(b):
    """Acked and synced, against SQLite alone. The stream is paused: nothing but intake runs."""
    relay = b.relay().start(paused=True)
    before = relay.turns()
    pipelined = lambda c: lambda: relay.load("-c", c, "-n", b.lines)["lines_per_s"]
    one, many, raw, yajl = b.alternate(pipelined(1), pipelined(64), lambda: b.raw(b.lines, 1000),
                                       lambda: b.place.tool("raw_yajl", b.lines)["lines_per_s"])
    b.figure("intake, 1 connection pipelined, lines/s", one, "1/s", raw, "SQLite by 1000", 0.6)
    b.figure("the same against yajl over the same lines", one, "1/s", yajl, "raw_yajl")
    b.figure("intake, 64 connections pipelined, lines/s", many, "1/s", one, "1 connection", 0.9)
    single = lambda c, n: lambda: relay.load("-c", c, "-d", 1, "-n", n)["lines_per_s"]
    echo = Echo(b.place)
    bare = lambda c, n: lambda: echo.load("-c", c, "-d", 1, "-n", n)["lines_per_s"]
    one, many, raw, echo_one, echo_many = b.alternate(single(1, b.singles), single(64, b.many), lambda: b.raw(b.singles, 1),
                                                      bare(1, b.singles), bare(64, b.many))
    b.figure("intake, 1 connection, one in flight, lines/s", one, "1/s", raw, "SQLite by 1", 0.8)
    both = [1 / (1 / a + 1 / c) for a, c in zip(raw, echo_one)]
    b.figure("limit: SQLite by 1 and then raw_echo, lines/s", both, "1/s", raw, "SQLite by 1")
    b.figure("intake, 64 connections, one in flight each, lines/s", many, "1/s", one, "1 connection", 20)
    b.figure("the same against a server that only answers", many, "1/s", echo_many, "raw_echo")
    b.figure("limit: raw_echo, 64 connections, against 1", echo_many, "1/s", one, "1 connection")
    if b.ladder:
        b.turns("intake at its peak: slow turns", before, relay.turns())
    relay.remove()


def intake_normal(b):
    """What outbox.sync = "normal" would gain, and a power cut lose."""
    full, normal = b.relay().start(paused=True), b.relay().start(paused=True, sync="normal")
    at = lambda relay, *args: lambda: relay.load(*args)["lines_per_s"]
    got = b.alternate(at(full, "-n", b.lines), at(normal, "-n", b.lines), at(full, "-d", 1, "-n", b.singles),
                      at(normal, "-d", 1, "-n", b.singles))
    b.figure('sync = "normal", 1 connection pipelined, lines/s', got[1], "1/s", got[0], "full")
    b.figure('sync = "normal", one in flight, lines/s', got[3], "1/s", got[2], "full")
    full.remove()
    normal.remove()


def intake_peers(b):
    """The peers only take and keep: their destination refuses connections, as the relay's stream is paused."""
    relay = b.relay().start(paused=True)
    if b.peer(SyslogNg):
        peer = SyslogNg(b.place, "http://127.0.0.1:9/mp/collect", b.name("sng"))
        ours, theirs = b.alternate(lambda: relay.load("-n", b.lines)["lines_per_s"],
                                   lambda: b.place.tool("load", "-s", peer.socket, "-f", "silent", "-n",
                                                        b.lines)["lines_per_s"])
        peer.stop()
        b.figure("intake against syslog-ng (neither syncs nor acks)", ours, "1/s", theirs, "syslog-ng", 2)
    if b.peer(Beanstalkd):
        peer = Beanstalkd(b.place, b.name("bs"))
        ours, theirs = b.alternate(lambda: relay.load("-c", 64, "-d", 1, "-n", b.many)["lines_per_s"],
                                   lambda: b.place.tool("load", "-s", peer.socket, "-f", "beanstalk", "-c", 64, "-d",
                                                        1, "-n", b.many // 4)["lines_per_s"])
        peer.stop()
        b.figure("64 connections, one in flight each, against beanstalkd", ours, "1/s", theirs, "beanstalkd -f 0", 5)
    if b.peer(Rsyslog):
        peer, n, had = Rsyslog(b.place, b.name("rs")), b.singles, 0

        def through_queue():
            nonlocal had
            start = time.monotonic()
            b.place.tool("load", "-s", peer.socket, "-f", "silent", "-n", n)
            had += n
            parts.wait_for("rsyslog", lambda: peer.lines() >= had, 120)
            return n / (time.monotonic() - start)
        ours, theirs = b.alternate(lambda: relay.load("-d", 1, "-n", n)["lines_per_s"], through_queue)
        peer.stop()
        b.figure("1 connection, one in flight, against rsyslog's synced queue", ours, "1/s", theirs, "rsyslog")
    relay.remove()


def ladder(b):
    """For the plot: intake by connections and by lines in flight."""
    if not b.ladder:
        return
    relay = b.relay().start(paused=True)
    for depth in (1, 8, 64, 0):
        for conns in (1, 4, 16, 64, 256):
            n = min(100000, max(b.singles, 1000 * conns * (depth or 256)))
            got = [relay.load("-c", conns, "-d", depth, "-n", n)["lines_per_s"] for _ in range(b.rounds)]
            b.emit(plot="intake", connections=conns, depth=depth, lines_per_s=statistics.median(got))
    relay.remove()


# ---- through ----

def through(b):
    """First line written to last event received, both into the same sink, 25 events a request."""
    sink = Sink(b.place)

    def ours():
        relay = b.relay().start(url=sink.url)
        sink.reset()
        start = relay.load("-n", b.through)["start_us"]
        last = sink.wait(b.through)["last_us"]
        relay.remove()  # from now on nothing comes twice
        check_all_arrived(sink, spread(1, b.through), "end to end")
        return b.through / ((last - start) / 1e6)

    def theirs():
        peer = SyslogNg(b.place, sink.url, b.name("sng"))
        sink.reset()
        start = b.place.tool("load", "-s", peer.socket, "-f", "silent", "-n", b.through)["start_us"]
        last = sink.wait(b.through)["last_us"]
        peer.stop()
        return b.through / ((last - start) / 1e6)
    if b.peer(SyslogNg):
        a, c = b.alternate(ours, theirs)
        b.figure("end to end, events/s", a, "1/s", c, "syslog-ng", 1.5)
    else:
        b.figure("end to end, events/s", [ours() for _ in range(b.rounds)], "1/s")


def backlog(b, n, *args):
    """An outbox with n events, nothing sent."""
    relay = b.relay().start(paused=True)
    relay.load("-n", n, *args)
    relay.stop()
    return relay


def drain_once(b, sink, n, **conf):
    relay = backlog(b, n)
    sink.reset()
    relay.start(**conf)
    s = sink.wait(n)
    slow = relay.metric("ga4relay_slow_loops_total")
    relay.stop()
    check_all_arrived(sink, spread(1, n), "drain")
    relay.remove()
    return n / ((s["last_us"] - s["first_us"]) / 1e6), slow


def drain(b):
    """A backlog emptied over TLS, beside a bare curl-multi loop that posts the same bodies."""
    sink = Sink(b.place)
    kinds = [("plain, HTTP/1.1", b.drain_beside, sink.url, {}, [], None)]
    if b.peer(Nginx):
        nginx = Nginx(b.place, sink)
        tls = ["-a", nginx.ca]
        kinds.insert(0, ("TLS, HTTP/1.1", b.drain, nginx.url, dict(ca=nginx.ca), tls, 0.7))
        if b.ladder:
            kinds.append(("TLS, HTTP/2", b.drain_beside, nginx.url, dict(ca=nginx.ca, http2=True), [*tls, "-2"], None))
    for kind in kinds:
        drain_beside(b, sink, *kind)


def drain_beside(b, sink, words, events, url, conf, flags, target):
    """A relay needs both: what a bare curl-multi loop takes for a request of 25, and what SQLite takes for its rows."""
    slow = []

    def ours():
        rate, turns = drain_once(b, sink, events, url=url, **conf)
        slow.append(turns)
        return rate

    def curl(requests, at_once):
        """By the same clock as ours: from the first body at the sink to the last."""
        sink.reset()
        b.place.tool("raw_curl", "-n", requests, "-c", at_once, *flags, url)
        s = sink.stats()
        if s["events"] != 25 * requests:
            raise Failed(f"raw_curl: {s['events']} events of {25 * requests} arrived")
        return s["events"] / ((s["last_us"] - s["first_us"]) / 1e6)

    best = max((16, 64), key=lambda at_once: curl(events // 250, at_once))
    bare = lambda: curl(events // 25, best)
    rows = lambda: b.place.tool("raw_sqlite", b.place.dir / "raw.db", events, 1000, "full", "drain")["rows_per_s"]
    rates, bare, *rows = b.alternate(ours, bare, *([] if flags else [rows]))
    b.figure(f"drain of {events:,} events, {words}, events/s", rates, "1/s", bare, "bare curl-multi", target,
             note=f"slow turns {max(slow):g}")
    if rows:
        b.figure("the same against SQLite that reads and deletes the rows", rates, "1/s", rows[0], "SQLite by 1000")


def requests_of(lines, window, age_counts):
    """Requests of a scheduler whose window of so many events is always full: a full batch when there is any, else the
    oldest (age_counts) or the fullest."""
    have, since, full, requests, at, inside, heap = {}, {}, [], 0, 0, 0, []

    def key(c):
        return since[c] if age_counts else -have[c]
    while at < len(lines) or inside:
        while inside < window and at < len(lines):
            c = lines[at]
            have[c] = have.get(c, 0) + 1
            if have[c] == 1:
                since[c] = at
            if have[c] % 25 == 0:
                full.append(c)
            if have[c] == 1 or not age_counts:
                heapq.heappush(heap, (key(c), c))
            at += 1
            inside += 1
        if full:
            c = full.pop()
            have[c] -= 25
            inside -= 25
            since[c] = at  # not exactly, for what is left of it
            if have[c]:
                heapq.heappush(heap, (key(c), c))
        else:
            k, c = heapq.heappop(heap)
            if not have[c] or key(c) != k:
                continue
            inside -= have[c]
            have[c] = 0
        requests += 1
    return requests


def best_packing(lines, window):
    """Of the two: which is better depends on how the clients are spread. The last events of all wait for nobody."""
    return min(requests_of(lines, window, True), requests_of(lines, window, False))


def zipf_lines(n, pool, clients):
    """The clients of load -z -p POOL -k CLIENTS, as lines.h draws them."""
    state, total, cumulated = 88172645463325252, 0.0, []
    for k in range(clients):
        total += 1.0 / (k + 1)
        cumulated.append(total)
    cumulated = [c / total for c in cumulated]
    mask, drawn = (1 << 64) - 1, []
    for _ in range(pool):
        state ^= state >> 12
        state = (state ^ (state << 25)) & mask
        state ^= state >> 27
        drawn.append(bisect.bisect_left(cumulated, ((state * 2685821657736338717 & mask) >> 11) / 9007199254740992.0))
    return [drawn[i % pool] for i in range(n)]


def packing(b):
    """Events a request with 10,000 clients, beside the best that a scheduler could do in the same window."""
    n, pool, clients = b.packing, 65536, 10000
    drawn = zipf_lines(n, pool, clients)
    best = n / best_packing(drawn, WINDOW)
    sink = Sink(b.place)

    def ours():
        relay = backlog(b, n, "-z", "-k", clients, "-p", pool)
        sink.reset()
        relay.start(url=sink.url)
        s = sink.wait(n)
        relay.remove()
        check_all_arrived(sink, spread(1, n), "packing", pool)
        return n / s["requests"]
    got = [ours() for _ in range(b.rounds)]
    b.figure("packing, 10,000 clients by Zipf, events a request", got, "", [best] * len(got), "best in the window", 0.9)


# ---- latency ----

def fdatasyncs(b, size, seconds=0):
    """When each began and ended, in us, 200 at least, in turn over as many pieces of a file."""
    path = b.place.dir / "sync"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    data, took, stop = os.urandom(size), [], time.monotonic() + seconds
    while time.monotonic() < stop or len(took) < 200:
        os.pwrite(fd, data, len(took) % 200 * size)
        start = time.monotonic()
        os.fdatasync(fd)
        took.append((start * 1e6, time.monotonic() * 1e6))
    os.close(fd)
    path.unlink()
    return took


def fdatasync_us(b):
    return statistics.median(end - start for start, end in fdatasyncs(b, 4096))


def bare_p99_us(b):
    """What an ack would wait if there were nothing but the syncs, of 32 KiB, and a process that counts: lines come
    every 100 us and wait for the end of the next sync that begins. A sync that takes long is waited for by many."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        took = fdatasyncs(b, 32768, b.seconds)
    finally:
        busy.kill()
        busy.wait()
    starts = [start for start, _ in took]
    waits = []
    for i in range(int((starts[-1] - starts[0]) / 100)):
        at = starts[0] + i * 100
        waits.append(took[bisect.bisect_left(starts, at)][1] - at)
    return sorted(waits)[len(waits) * 99 // 100]


def latency(b):
    """Offered at a rate on 4 connections; the latency counts from when a line should have gone."""
    relay = b.relay().start(paused=True)
    peak = statistics.median(relay.load("-c", 4, "-n", b.lines)["lines_per_s"] for _ in range(b.rounds))
    before = relay.turns()
    ours, sync, busy = b.alternate(
        lambda: relay.load("-c", 4, "-r", int(peak / 2), "-n", int(peak / 2 * b.seconds))["p99_us"],
        lambda: fdatasync_us(b), lambda: bare_p99_us(b))
    after = relay.turns()
    b.figure(f"ack p99 at half the peak ({int(peak / 2)}/s), us", ours, "us", sync, "fdatasync", 10, most=True)
    b.turns("intake at half the peak: slow turns", before, after, target=0)
    b.figure("limit: the same of bare syncs beside a busy process, us", busy, "us", sync, "fdatasync")
    for share in (0.02, 0.05, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9) if b.ladder else ():
        rate = int(peak * share)
        got = relay.load("-c", 4, "-r", rate, "-n", int(rate * b.seconds))
        b.emit(plot="latency", offered=rate, share=share, p50_us=got["p50_us"], p99_us=got["p99_us"],
               p999_us=got["p999_us"], max_us=got["max_us"])
    relay.remove()


def mixed(b):
    """Everything at once at half of what goes through: intake, delivery, ctl list and count, the metrics scraped."""
    sink = Sink(b.place)
    relay = b.relay().start(url=sink.url)
    fresh = settle_rss(relay)
    start = relay.load("-c", 4, "-n", b.through)["start_us"]
    peak = b.through / ((sink.wait(b.through)["last_us"] - start) / 1e6)
    rate, n = int(peak / 2), int(peak / 2 * b.seconds)

    def read_all():
        relay.ctl("list", "--limit", "100")
        relay.ctl("count", "--by", "name")
        relay.ctl("metrics")
    before = relay.turns()
    with Beside(read_all, 0.2):
        got, sync = b.alternate(lambda: relay.load("-c", 4, "-r", rate, "-n", n)["p99_us"], lambda: fdatasync_us(b))
    after = relay.turns()
    sink.wait(b.through + b.rounds * n)
    if b.ladder:
        time.sleep(6.5)  # five quiet seconds, then it gives memory back
        b.figure("memory, idle again after that, MiB", [settle_rss(relay)], "MiB", [fresh], "idle at first")
    relay.remove()
    check_all_arrived(sink, spread(4, b.through) + b.rounds * spread(4, n), "mixed load")
    b.turns(f"mixed load at {rate}/s: slow turns", before, after, target=0)
    b.figure(f"mixed load at {rate}/s: ack p99, us", got, "us", sync, "fdatasync")


# ---- crowd ----

def crowd(b):
    """1000 connections that each write a line of 1 MiB, an endpoint that never answers, and events queued for it."""
    hang = socket.socket()
    hang.bind(("127.0.0.1", 0))
    hang.listen(512)
    url = f"http://127.0.0.1:{hang.getsockname()[1]}/mp/collect"
    most = [crowd_once(b, url) for _ in range(b.rounds)]
    hang.close()
    b.figure("memory, 1000 connections of 1 MiB lines, endpoint hangs, MiB", most, "MiB", target=128, most=True)


def crowd_once(b, url):
    """The most that was resident."""
    relay = b.relay().start(url=url)
    relay.load("-n", 200000 if b.ladder else 50000)
    text = b'{"client_id":"1.2","name":"refund","params":{"x":"' + b"x" * ((1 << 20) - 60)
    conns = []
    for _ in range(1000):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(relay.socket))
        s.setblocking(False)
        conns.append([s, 0])
    end = time.monotonic() + b.seconds + 1
    while time.monotonic() < end:
        for c in conns:
            try:
                c[1] += c[0].send(text[c[1]:c[1] + 65536]) if c[1] < len(text) else 0
            except BlockingIOError:
                pass
    for s, _ in conns:
        s.close()
    most = relay.rss_mib("VmHWM")
    relay.process.kill()
    relay.process.wait()
    relay.remove()
    return most


PARTS = [intake, intake_peers, through, drain, packing, latency, mixed, crowd, depth, ladder, intake_normal, cost, rates]


def describe(b):
    """When, where, and of which commit; -dirty: of no commit."""
    commit = ""
    if shutil.which("git"):
        commit = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True,
                                cwd=pathlib.Path(__file__).parent, check=False).stdout.strip()
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    b.emit(run=b.size, date=time.strftime("%Y-%m-%d %H:%M", time.gmtime()), commit=commit or "no repository",
           machine=f"{os.cpu_count()} x {model}, {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB, "
           f"Linux {os.uname().release}", load=[round(x, 2) for x in os.getloadavg()])


def run_parts(b, wanted):
    """What of them failed."""
    failed, begun = [], time.monotonic()
    for part in PARTS:
        if wanted and part.__name__ not in wanted:
            continue
        start = time.monotonic()
        if start - begun > LATEST_S:
            failed.append(f"{part.__name__} (left out: {LATEST_S // 60} minutes were over)")
            continue
        try:
            part(b)
        except (Failed, OSError, subprocess.SubprocessError) as e:
            failed.append(part.__name__)
            print(f"{part.__name__}: {e}\n{b.place.output()}", file=sys.stderr)
            b.place.stop_all()  # what it left would run beside the other parts
        print(f"# {part.__name__}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    return failed


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: run.sh BUILD_DIR [PART...]   or: run.sh BUILD_DIR -l, which lists the parts")
    wanted = sys.argv[2:]
    if wanted == ["-l"]:
        print("\n".join(f"{p.__name__:14} {(p.__doc__ or '').partition(chr(10))[0]}" for p in PARTS))
        return
    unknown = set(wanted) - {p.__name__ for p in PARTS}
    if unknown:
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(p.__name__ for p in PARTS)}")
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, lambda *_: sys.exit("stopped"))  # through the finally below
    b = Bench(sys.argv[1])
    try:
        describe(b)
        failed = run_parts(b, wanted)
        b.table()
    except KeyboardInterrupt:
        sys.exit("stopped")
    except OSError as e:
        sys.exit(f"{b.results.name}: {e.strerror}")
    finally:
        b.place.close()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
