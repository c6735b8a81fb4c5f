#!/usr/bin/python3
"""coverage.py - reports which lines and branches of src/ the tests ran, by gcov; fails below the minimum

coverage.py BUILD [--model]   BUILD: build/cov, after unit tests, end-to-end tests and the fuzzers' corpus ran there

Two rules: every branch of the pure decisions (PURE) was taken, and at least 95 % of all lines ran. The lines that did not
run are listed in BUILD/not-run.txt by file and function.

Branches are counted as gcc generates them without optimisation: each side of each && || ?: if, and each case. Two kinds
are made by the compiler and cannot be taken: the way out of a switch over an enum in which every value has a case (the style
allows no default there, and -Wswitch-enum checks the cases), which gcov lists last, and the failure of an assert().
"""
import argparse
import collections
import json
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LEAST = 95.0
# Files that contain decisions and nothing else.
PURE = ("src/policy/", "src/ga4/cookie", "src/ga4/rules", "src/ga4/stream_rules", "src/ga4/v", "src/ga4/realtime", "src/ga4/hint", "src/metrics/counters",
        "src/base/collections/names", "src/base/collections/tally", "src/json/json_tree", "src/event/event.",
        "src/event/event_state")
SWITCH = re.compile(r"^\s*switch \(")
ASSERT = re.compile(r"^\s*assert\(")


class Source:
    def __init__(self, path):
        self.path = path
        self.text = collections.defaultdict(str, enumerate((TOP / path).read_text().split("\n"), 1))
        self.lines = {}                                 # line number: times run
        self.functions = {}                             # number: name
        self.branches = collections.defaultdict(list)   # number: times taken, by branch

    def add(self, data):
        for line in data["lines"]:
            n = line["line_number"]
            self.lines[n] = self.lines.get(n, 0) + line["count"]
            self.functions.setdefault(n, line.get("function_name", "?"))
            taken = [b["count"] for b in line["branches"]]
            old = self.branches[n]
            self.branches[n] = [a + b for a, b in zip(old, taken)] if len(old) == len(taken) else old or taken

    def missed_lines(self):
        return [n for n, count in sorted(self.lines.items()) if count == 0]

    def real_branches(self, n):
        text = self.text[n]
        if ASSERT.match(text):
            return []
        return self.branches[n][:-1] if SWITCH.match(text) else self.branches[n]

    def missed_branches(self):
        """Branches not taken in lines that ran; branches in other lines would be reported twice."""
        return [(n, self.real_branches(n).count(0)) for n in sorted(self.lines) if 0 in self.real_branches(n)]


def read(build):
    """The counts of every object. An object that no test ran has notes (.gcno) but no counts (.gcda) and counts as zero."""
    sources = {}
    notes = sorted(str(p.relative_to(TOP)) for p in (build / "src").rglob("*.gcno"))
    if not notes:
        sys.exit(f"coverage.py: {build} holds no build with VARIANT=cov")
    out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *notes], cwd=TOP, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout
    for document in out.splitlines():
        for data in json.loads(document)["files"]:
            path = data["file"].removeprefix(f"{TOP}/")
            if path.startswith("src/"):
                sources.setdefault(path, Source(path)).add(data)
    return sources


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def report(sources):
    total = [0, 0]
    print(f"{'file':44} {'lines':>6} {'run':>7}   {'branches':>8} {'taken':>7}")
    for path, s in sorted(sources.items()):
        n, ran = len(s.lines), sum(c > 0 for c in s.lines.values())
        taken = [count for line in s.lines for count in s.real_branches(line)]
        total[0] += n
        total[1] += ran
        print(f"{path:44} {n:6} {percent(ran, n):6.1f}%   {len(taken):8} "
              f"{percent(sum(c > 0 for c in taken), len(taken)):6.1f}%")
    print(f"{'all of src/':44} {total[0]:6} {percent(total[1], total[0]):6.2f}%")
    return percent(total[1], total[0])


def check_pure(sources):
    faults = []
    for path, s in sorted(sources.items()):
        if path.startswith(PURE):
            faults += [f"{path}:{n}: {missed} of {len(s.real_branches(n))} branches not taken: {s.text[n].strip()}"
                       for n, missed in s.missed_branches()]
            faults += [f"{path}:{n}: not run: {s.text[n].strip()}" for n in s.missed_lines()]
    return faults


def list_missed(sources, path):
    """Writes every line that did not run to a file, as a list of candidates for the next test."""
    with open(path, "w") as out:
        for source, s in sorted(sources.items()):
            for n in s.missed_lines():
                print(f"{source}:{n}: {s.functions[n]}: {s.text[n].strip()}", file=out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--model", action="store_true", help="check the first rule alone, for which unit tests are enough")
    args = parser.parse_args()
    sources = read(args.build.resolve())
    if args.model:
        faults = check_pure(sources)
        print(*faults, sep="\n")
        print("coverage:", "not every branch of the pure decisions" if faults else "every branch of the pure decisions")
        return bool(faults)
    lines, faults = report(sources), check_pure(sources)
    list_missed(sources, args.build / "not-run.txt")
    print(*faults, sep="\n")
    print(f"coverage: {lines:.2f} % of the lines ran (at least {LEAST} % must; the others: {args.build}/not-run.txt),",
          "not every branch of the pure decisions" if faults else "every branch of the pure decisions")
    return bool(faults) or lines < LEAST


if __name__ == "__main__":
    sys.exit(main())
