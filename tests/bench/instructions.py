#!/usr/bin/python3
"""instructions.py - instructions per event to parse, validate, build, intern and store, counted by valgrind

instructions.py BUILD_DIR             prints them
instructions.py BUILD_DIR --check     … and fails when one is more than 5 % above tests/bench/instructions.txt, or when
                                      validating costs more than parsing
instructions.py BUILD_DIR --write     … and writes that file

The lines are of the kinds that the relay is for: refunds, renewals with items and user properties, offline conversions
with a session cookie, of 100 clients, without a warning. Each phase runs them twice and six times: the
difference is four rounds without start and end. Counts depend on the compiler and the machine's libc, which the file
names: with others nothing is compared.
"""
import json
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FIGURES = HERE / "instructions.txt"
CLIENTS, FEW, MANY, SLACK = 100, 2, 6, 1.05
PHASES = [("parse", "p", None), ("validate", "v", "p"), ("build", "n", "v"), ("intern", "i", "n"),
          ("store", "s", "n")]


def lines():
    for n in range(CLIENTS):
        seen = {"session_id": str(1759990000 + n), "engagement_time_msec": 1}
        client = {"client_id": f"{1000000 + n * 7919}.1759{n:06}"}
        yield {**client, "name": "refund", "dedup_key": f"refund-{n}",
               "params": {**seen, "transaction_id": f"T-{n}", "currency": "EUR", "value": 59.9}}
        yield {**client, "user_id": f"u-{n}", "user_properties": {"tier": {"value": "gold"}}, "name": "purchase",
               "params": {**seen, "transaction_id": f"S-{n}", "currency": "EUR", "value": 19.8, "items": [
                   {"item_id": f"plan-{i}", "item_name": "Monthly plan", "price": 9.9, "quantity": 1} for i in (1, 2)]}}
        yield {"client_id": f"GA1.1.{client['client_id']}", "session_cookie": "GS2.1.s1759990000$o3$g0$t1759990100$j60$l0$h0",
               "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"}, "name": "generate_lead",
               "params": {"engagement_time_msec": 1, "currency": "EUR", "value": 250, "note": "Grüße aus Köln \"x\""}}


def count(judge, phase, rounds, path):
    """Instructions of one run."""
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={out.name}", judge,
                               f"-{phase}", str(rounds), path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{CLIENTS * 3 * rounds} accepted\n", done.stdout
    return int(re.search(r"I +refs: +([\d,]+)", done.stderr)[1].replace(",", ""))


def measure(build):
    judge = pathlib.Path(build) / "tests" / "judge"
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(x, separators=(",", ":"), ensure_ascii=False) + "\n" for x in lines())
        file.flush()
        total = {phase: (count(judge, phase, MANY, file.name) - count(judge, phase, FEW, file.name)) /
                 (CLIENTS * 3 * (MANY - FEW)) for _, phase, _ in PHASES}
    return {name: round(total[phase] - total.get(before, 0)) for name, phase, before in PHASES}


def circumstances(build):
    """What the counts depend on beside our code."""
    options = (pathlib.Path(build) / ".build_opts").read_text().split()
    compiler = subprocess.run([options[0], "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    libc = subprocess.run(["ldd", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    machine = platform.machine()
    if platform.architecture(pathlib.Path(build) / "tests" / "judge")[0] == "32bit":
        machine += ", 32 bits"
    level = " ".join(x for x in options if x.startswith("-O"))
    return f"{compiler}; {level}; {libc}; {machine}"


def read_figures():
    where, *rows = FIGURES.read_text(encoding="utf-8").splitlines()
    return where, {name: int(n) for name, n in (row.split() for row in rows)}


def complaints(build, now):
    wrong = []
    if now["validate"] >= now["parse"]:
        wrong.append(f"validating ({now['validate']}) costs more than parsing ({now['parse']})")
    where, before = read_figures()
    if where != circumstances(build):
        print(f"NOT COMPARED: the figures are of another compiler or machine:\n  {where}\n  {circumstances(build)}")
        return wrong
    return wrong + [f"{name}: {now[name]} instructions an event, {before[name]} before" for name in before
                    if now[name] > before[name] * SLACK]


def main():
    build, mode = sys.argv[1], (sys.argv[2:] + [""])[0]
    now = measure(build)
    text = "".join(f"{name:<9}{n:>7}\n" for name, n in now.items())
    print(text, end="")
    if mode == "--write":
        FIGURES.write_text(circumstances(build) + "\n" + text, encoding="utf-8")
    wrong = complaints(build, now) if mode == "--check" else []
    print("".join(f"MORE THAN BEFORE: {x}\n" for x in wrong), end="")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
