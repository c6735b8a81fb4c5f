#!/usr/bin/python3
"""plot.py - the curves of a run as SVG: plot.py RESULTS.jsonl DIRECTORY

intake.svg   lines a second by connections, a line for each number of lines in flight
latency.svg  time to an ok by offered load
drain.svg    events a second taken in and delivered, by what is queued
cost.svg     CPU of the relay an event taken in and an event delivered, by what is queued
memory.svg   resident memory by what is queued

RESULTS may be several runs one after the other.
"""
import json
import math
import pathlib
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 76, 150, 52, 56
COLOURS = ["#1b6ca8", "#c8553d", "#2f7d4f", "#7a4e9c", "#8a6d1f"]


def short(v):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if v >= size:
            return f"{v / size:g}{unit}"
    return f"{v:g}"


def decades(low, high):
    return [10 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def steps(high):
    size = 10 ** math.floor(math.log10(high))
    size = next(s for s in (size / 5, size / 2, size, 2 * size) if high / s <= 6)
    return [size * i for i in range(math.ceil(high / size) + 1)]


class Axis:
    def __init__(self, values, start, end, log):
        self.ticks = decades(min(values), max(values)) if log else steps(max(values))
        if len(self.ticks) == 1:
            self.ticks.append(self.ticks[0] * 10)
        self.of = math.log10 if log else float
        self.low, self.high = self.of(self.ticks[0]), self.of(self.ticks[-1])
        self.start, self.end = start, end

    def at(self, v):
        return self.start + (self.of(v) - self.low) / (self.high - self.low) * (self.end - self.start)


def draw(title, below, x_title, y_title, lines, x_log=True, y_log=False):
    """lines: {name: [(x, y)]}"""
    x = Axis([p[0] for l in lines.values() for p in l], LEFT, WIDTH - RIGHT, x_log)
    y = Axis([p[1] for l in lines.values() for p in l], HEIGHT - BOTTOM, TOP, y_log)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
           f'font-size="12" fill="#222">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="20" font-size="15" font-weight="bold">{title}</text>',
           f'<text x="{LEFT}" y="37" font-size="11" fill="#666">{below}</text>']
    for v in y.ticks:
        out.append(f'<path d="M{LEFT} {y.at(v):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 8}" y="{y.at(v) + 4:.1f}" text-anchor="end">{short(v)}</text>')
    for v in x.ticks:
        out.append(f'<path d="M{x.at(v):.1f} {HEIGHT - BOTTOM}v5" stroke="#888"/>'
                   f'<text x="{x.at(v):.1f}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle">{short(v)}</text>')
    out.append(f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}" stroke="#888"/>'
               f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{x_title}</text>'
               f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
               f'{y_title}</text>')
    places = []
    for i, (name, points) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="3" fill="{colour}"/>' for a, b in points]
        place = y.at(points[-1][1]) + 4
        while any(abs(place - p) < 14 for p in places):
            place += 2
        places.append(place)
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{place:.1f}" fill="{colour}">{name}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def read(path):
    """{kind of plot: (its rows, when and where they were measured)}"""
    run, kinds = None, {}
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        if "run" in row:
            run = row
        elif "plot" in row:
            rows, runs = kinds.setdefault(row["plot"], ([], []))
            rows.append(row)
            runs.append(f"{run['date']} UTC, {run['commit']}, {run['machine']}")
    for kind, (_, runs) in kinds.items():
        if len(set(runs)) > 1:
            sys.exit(f"{path}: rows of {kind} of more than one run: {', '.join(sorted(set(runs)))}")
    return {kind: (rows, runs[0]) for kind, (rows, runs) in kinds.items()}


def curves(rows, x, names, scale=1):
    """names: {what is written beside it: the key of its values}"""
    return {name: [(r[x], r[key] / scale) for r in rows if key in r] for name, key in names.items()}


def of_intake(rows):
    lines = {}
    for r in rows:
        name = f"{r['depth']} in flight" if r["depth"] else "all it takes"
        lines.setdefault(name, []).append((r["connections"], r["lines_per_s"]))
    return lines


# What is drawn: the file, of which rows, title, what the axes are, the curves, how they are scaled.
PLOTS = [
    ("intake", "intake", "Acked, synced lines a second", "connections", "lines/s", of_intake, dict(y_log=True)),
    ("latency", "latency", "Time to an ok, 4 connections", "offered lines/s", "ms",
     lambda rows: curves(rows, "offered", {"99.9 %": "p999_us", "99 %": "p99_us", "median": "p50_us"}, 1e3),
     dict(x_log=False, y_log=True)),
    ("drain", "depth", "Intake and delivery with a backlog", "events queued", "events/s",
     lambda rows: curves(rows, "queued", {"intake": "intake_lines_per_s", "delivery": "drain_events_per_s"}), {}),
    ("cost", "depth", "CPU an event with a backlog", "events queued", "us",
     lambda rows: curves(rows, "queued", {"intake": "intake_cpu_us", "delivery": "drain_cpu_us"}), {}),
    ("memory", "depth", "Resident memory with a backlog", "events queued", "MiB",
     lambda rows: curves(rows, "queued", {"in and out": "rss_mib", "after a start": "rss_after_start_mib"}), {}),
]


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: plot.py RESULTS.jsonl DIRECTORY")
    kinds, to = read(sys.argv[1]), pathlib.Path(sys.argv[2])
    for file, kind, title, x_title, y_title, lines_of, scales in PLOTS:
        if kind in kinds:
            rows, below = kinds[kind]
            (to / f"{file}.svg").write_text(draw(title, below, x_title, y_title, lines_of(rows), **scales))


if __name__ == "__main__":
    main()
