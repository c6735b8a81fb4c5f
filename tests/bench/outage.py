#!/usr/bin/python3
# outage.py - requests over time through an outage and recovery, as SVG: tests/bench/outage.py [FILE]
#
# Load goes on all the time; for OUTAGE_S seconds the endpoint answers 503. Needs a built relay (make).
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from lib.client import event  # noqa: E402
from lib.collector import Collector, status  # noqa: E402
from lib.relay import Relay  # noqa: E402

RATE = int(os.environ.get("RATE", "400"))          # events a second
STEADY_S = float(os.environ.get("STEADY_S", "6"))  # before the outage, and after the drain
OUTAGE_S = float(os.environ.get("OUTAGE_S", "30"))
STEP_S = 0.5                                       # width of a bar
TICKS = os.sysconf("SC_CLK_TCK")


class Load(threading.Thread):
    """RATE events a second of 50 clients, in bursts every tenth of a second; the time to each burst's last reply."""

    def __init__(self, relay, start):
        super().__init__(daemon=True)
        self.relay, self.t0, self.over, self.latency = relay, start, threading.Event(), []

    def run(self):
        n = 0
        with self.relay.client() as c:
            while not self.over.is_set():
                began = time.monotonic()
                burst = RATE // 10
                c.send(*[event(client=f"{(n + i) % 50}.1", n=n + i) for i in range(burst)]).replies(burst)
                self.latency.append((began - self.t0, time.monotonic() - began))
                n += burst
                time.sleep(max(0, 0.1 - (time.monotonic() - began)))
        self.sent = n


class Watch(threading.Thread):
    """What is waiting, and the relay's CPU seconds, over time."""

    def __init__(self, relay, start):
        super().__init__(daemon=True)
        self.relay, self.t0, self.over, self.waiting, self.cpu = relay, start, threading.Event(), [], []

    def run(self):
        while not self.over.wait(0.25):
            events = self.relay.status()["events"]
            self.waiting.append((time.monotonic() - self.t0, events.get("queued", 0) + events.get("inflight", 0)))
            fields = open(f"/proc/{self.relay.pid}/stat").read().rpartition(")")[2].split()
            self.cpu.append((time.monotonic() - self.t0, (int(fields[11]) + int(fields[12])) / TICKS))


def measure():
    collector = Collector()
    relay = Relay(collector.url, delivery={"retry_min": "500ms", "retry_max": "8s", "linger": "200ms"}).start()
    t0 = time.monotonic()
    load, watch = Load(relay, t0), Watch(relay, t0)
    load.start()
    watch.start()
    time.sleep(STEADY_S)
    down = time.monotonic() - t0
    collector.rule = lambda r: status(503)
    time.sleep(OUTAGE_S)
    up = time.monotonic() - t0
    collector.rule = None
    # recovery is seen by the next probe; drained is when no more waits than one second of load
    while watch.waiting[-1][1] > RATE or time.monotonic() - t0 < up + 1:
        time.sleep(0.05)
    time.sleep(STEADY_S)
    load.over.set()
    load.join()
    relay.wait_empty()
    watch.over.set()
    watch.join()
    lines = [x for x in relay.log.splitlines() if ": destination " in x]
    relay.stop()
    requests = [(r.at - t0, len(r.events), r.accepted) for r in collector.requests]
    assert collector.count() == load.sent, (collector.count(), load.sent)
    return {"requests": requests, "waiting": watch.waiting, "cpu": watch.cpu, "latency": load.latency, "down": down,
            "up": up, "sent": load.sent, "lines": len(lines)}


# ---- drawing ----

WIDTH, LEFT, RIGHT, PANEL, GAP, TOP = 960, 70, 20, 150, 46, 84
OK, BAD, LINE, GREY, PALE = "#2f7d4f", "#c23b22", "#2b5f9e", "#777", "#fbebe8"


class Svg:
    def __init__(self, seconds, height):
        self.seconds, self.out = seconds, [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
            f'font-size="12"><rect width="{WIDTH}" height="{height}" fill="white"/>']

    def x(self, t):
        return LEFT + (WIDTH - LEFT - RIGHT) * t / self.seconds

    def text(self, x, y, words, **kw):
        attributes = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in kw.items())
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{words}</text>')

    def rect(self, x, y, w, h, fill):
        self.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill}"/>')

    def path(self, points, color):
        d = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.out.append(f'<path d="{d}" fill="none" stroke="{color}" stroke-width="1.5"/>')

    def line(self, x1, y1, x2, y2, color=GREY, width=0.5):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
                        f'stroke-width="{width}"/>')


def nice(value):
    """The next round number above."""
    size = 1
    while size * 10 <= value:
        size *= 10
    return next(size * k for k in (1, 2, 5, 10) if size * k >= value)


def panel(svg, index, title, top, data):
    """Axes of one panel; returns the function from a value to its y."""
    y0 = TOP + index * (PANEL + GAP)
    svg.rect(svg.x(data["down"]), y0, svg.x(data["up"]) - svg.x(data["down"]), PANEL, PALE)
    for i in range(3):
        y = y0 + PANEL * i / 2
        svg.line(LEFT, y, WIDTH - RIGHT, y)
        svg.text(LEFT - 6, y + 4, f"{top * (2 - i) / 2:g}", text_anchor="end", fill=GREY)
    for t in range(0, int(svg.seconds) + 1, 5):
        svg.text(svg.x(t), y0 + PANEL + 14, f"{t} s", text_anchor="middle", fill=GREY)
    svg.text(LEFT, y0 - 6, title, font_weight="bold")
    return lambda value: y0 + PANEL * (1 - min(value, top) / top)


def delivered(data, seconds):
    """Events a second, by step."""
    out = [0] * (int(seconds / STEP_S) + 1)
    for at, events, accepted in data["requests"]:
        out[int(at / STEP_S)] += events if accepted else 0
    return [n / STEP_S for n in out]


def draw_requests(svg, data):
    n = int(svg.seconds / STEP_S) + 1
    good = [0] * n
    for at, _, accepted in data["requests"]:
        good[int(at / STEP_S)] += accepted
    top = nice(max(good) / STEP_S)
    y = panel(svg, 0, "requests a second (green: 204); each probe of the outage is a red line (503)", top, data)
    width = svg.x(STEP_S) - svg.x(0)
    for i, g in enumerate(good):
        if g:
            svg.rect(svg.x(i * STEP_S), y(g / STEP_S), width - 0.5, y(0) - y(g / STEP_S), OK)
    for at, _, accepted in data["requests"]:
        if not accepted:
            svg.line(svg.x(at), y(0), svg.x(at), y(top * 0.6), BAD, 1.2)


def draw(data):
    seconds = max(at for at, _, _ in data["requests"]) + 0.5
    svg = Svg(seconds, TOP + 4 * (PANEL + GAP))
    draw_requests(svg, data)
    good = delivered(data, seconds)
    y = panel(svg, 1, "events delivered a second", nice(max(good)), data)
    svg.path([(svg.x((i + 0.5) * STEP_S), y(g)) for i, g in enumerate(good)], OK)
    most = max(w for _, w in data["waiting"])
    y = panel(svg, 2, f"events waiting (at most {most})", nice(most), data)
    svg.path([(svg.x(t), y(w)) for t, w in data["waiting"]], LINE)
    worst = max(s for _, s in data["latency"]) * 1e3
    y = panel(svg, 3, "ms until a burst of events is acknowledged: intake does not notice", nice(worst), data)
    svg.path([(svg.x(t), y(s * 1e3)) for t, s in data["latency"]], LINE)
    title(svg, data)
    svg.out.append("</svg>")
    return "\n".join(svg.out) + "\n"


def run(*args):
    try:
        return subprocess.run(args, capture_output=True, text=True, cwd=HERE).stdout.strip()
    except OSError:
        return ""


def cpu_model():
    for x in Path("/proc/cpuinfo").read_text().splitlines():
        if x.startswith("model name"):
            return x.partition(":")[2].strip()
    return platform.machine()


def title(svg, data):
    outage = [s for t, s in data["cpu"] if data["down"] + 1 <= t <= data["up"]]
    failed = [at for at, _, accepted in data["requests"] if not accepted]
    probes = sum(1 for at in failed if at > data["down"] + 0.25)
    svg.text(LEFT, 22, f"ga4relay through an outage of {data['up'] - data['down']:.0f} s: {data['sent']} events at {RATE} a "
             f"second, each delivered once", font_size="16", font_weight="bold")
    svg.text(LEFT, 40, f"{len(failed) - probes} requests failed that were on their way, then {probes} probes; {data['lines']} lines "
             f"in the log; {outage[-1] - outage[0]:.2f} s of CPU in the outage, intake included; retry_min 500 ms, "
             f"retry_max 8 s", fill=GREY)
    commit = run("git", "rev-parse", "--short", "HEAD")
    svg.text(LEFT, 56, f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} × {cpu_model()}, Linux {platform.release()}, "
             f"commit {commit}; made by tests/bench/outage.py", fill=GREY)


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "outage.svg"
    target.write_text(draw(measure()))
    print(target)


if __name__ == "__main__":
    main()
