#!/usr/bin/python3
"""coverage.py - what the tests ran of src/, by gcov; fails where they ran too little

coverage.py BUILD [--lines|--model]   BUILD: build/cov, after unit tests, end-to-end tests and the fuzzers' corpus ran there

Three rules. Every branch of src/model/ was taken. At least 95 % of all lines ran. A line that did not run stands in a
function that tests/coverage.txt names with how many of its lines may be missed, and why. Rows that excused nothing this
time are told, not failed: some lines run only when threads or sockets meet in one order.

A branch is one as gcc counts it without optimising: each side of each && || ?: if, each case. Two kinds are made by the
compiler and can not be taken: the way out of a switch over an enum whose every value has a case (the style has no default
there, and -Wswitch-enum counts the cases), which gcov puts last, and the failure of an assert().
"""
import argparse
import collections
import json
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LIST = "tests/coverage.txt"
LEAST = 95.0
SWITCH = re.compile(r"^\s*switch \(")
ASSERT = re.compile(r"^\s*assert\(")


class Source:
    def __init__(self, path):
        self.path = path
        self.text = collections.defaultdict(str, enumerate((TOP / path).read_text().split("\n"), 1))
        self.lines = {}                                 # number: times run
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
        """Branches of lines that ran, or would be told twice."""
        return [(n, self.real_branches(n).count(0)) for n in sorted(self.lines) if 0 in self.real_branches(n)]


def read(build):
    """Every object's counts; one that no test ran has notes (.gcno) and no counts (.gcda), and counts as zeros."""
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


def read_list():
    """{(file, function): [most lines, reason]}"""
    rows = {}
    for text in (TOP / LIST).read_text().splitlines():
        if text and not text.startswith("#"):
            file, function, most, reason = text.split(None, 3)
            rows[file, function] = (int(most), reason)
    return rows


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


def check_model(sources):
    faults = []
    for path, s in sorted(sources.items()):
        if path.startswith("src/model/"):
            faults += [f"{path}:{n}: {missed} of {len(s.real_branches(n))} branches not taken: {s.text[n].strip()}"
                       for n, missed in s.missed_branches()]
            faults += [f"{path}:{n}: not run: {s.text[n].strip()}" for n in s.missed_lines()]
    return faults


def check_lines(sources, rows, all_lines):
    faults, used = [], set()
    for path, s in sorted(sources.items()):
        by_function = collections.defaultdict(list)
        for n in s.missed_lines():
            by_function[s.functions[n]].append(n)
        for function, numbers in by_function.items():
            row = rows.get((path, function))
            used.add((path, function))
            if all_lines or (not path.startswith("src/model/") and (not row or len(numbers) > row[0])):
                why = f" ({row[0]} are excused)" if row else ""
                faults += [f"{path}:{n}: {function}: not run{why}: {s.text[n].strip()}" for n in numbers]
    idle = [f"{LIST}: {path} {function} excuses nothing: all of it ran" for path, function in rows
            if (path, function) not in used]
    return faults, idle


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--lines", action="store_true", help="print every line that did not run, excused or not")
    parser.add_argument("--model", action="store_true", help="the first rule alone: unit tests are enough for that")
    args = parser.parse_args()
    sources = read(args.build.resolve())
    if args.model:
        faults = check_model(sources)
        print(*faults, sep="\n")
        print("coverage:", "not every branch of src/model/" if faults else "every branch of src/model/")
        return bool(faults)
    lines = report(sources)
    model = check_model(sources)
    others, idle = check_lines(sources, read_list(), args.lines)
    print(*model, *others, *idle, sep="\n")
    if lines < LEAST:
        print(f"{lines:.2f} % of the lines ran; {LEAST} % must")
    bad = bool(model or others or lines < LEAST)
    print("coverage:", "TOO LITTLE" if bad else "every branch of src/model/, every other line run or excused",
          f"({lines:.2f} % of lines)")
    return bad


if __name__ == "__main__":
    sys.exit(main())
