#!/usr/bin/python3
# failures.py - how much longer a backlog takes by the share of requests that fail, as SVG: tests/bench/failures.py [FILE]
#
# EVENTS events of CLIENTS clients, REQUESTS at once, of which the endpoint takes ANSWER_S each. Each drain is compared with
# one of which nothing fails, in the same minute; the median of ROUNDS. Prints the table for README. Needs a built relay.
import os
import random
import statistics
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import plot  # noqa: E402
from lib.client import event  # noqa: E402
from lib.collector import Answer, Collector  # noqa: E402
from lib.relay import Relay, wait_until  # noqa: E402

EVENTS, CLIENTS, REQUESTS, ANSWER_S = 4000, 800, 16, 0.05
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SHARES = [0.5, 1, 2, 5, 10, 20, 50]                # percent
KINDS = {"502": Answer(status=502, delay=ANSWER_S), "400": Answer(status=400, delay=ANSWER_S),
         "hang-up": Answer(close="after", delay=ANSWER_S)}


def by_chance(share, answer):
    lock, dice = threading.Lock(), random.Random(1)

    def rule(_):
        with lock:
            failing = dice.random() * 100 < share
        return answer if failing else Answer(delay=ANSWER_S)
    return rule


def drain(share, answer=None):
    """Seconds until all are delivered."""
    collector = Collector()
    relay = Relay(collector.url, delivery={"max_requests": REQUESTS}).allow("destination web")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        for i in range(0, EVENTS, 500):
            c.send(*[event(client=f"{j % CLIENTS}.1", n=j) for j in range(i, i + 500)]).replies(500)
    collector.rule = by_chance(share, answer)
    began = time.monotonic()
    relay.ctl("resume", "web")
    wait_until(lambda: collector.count() >= EVENTS, "all events", 600)
    took = time.monotonic() - began
    relay.wait_empty()
    assert collector.count() == EVENTS and relay.states() == {}, "each event once, and none dead"
    relay.stop()
    collector.down()
    return took


def measure():
    """{kind: [(percent, times as long)]}"""
    times = {}
    for share in SHARES:
        for _ in range(ROUNDS):
            without = drain(0)
            for kind, answer in KINDS.items():
                times.setdefault((kind, share), []).append(drain(share, answer) / without)
        print(f"{share:4g} %", *(f"{kind} {statistics.median(times[kind, share]):.1f}" for kind in KINDS), flush=True)
    return {kind: [(share, statistics.median(times[kind, share])) for share in SHARES] for kind in KINDS}


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "failures.svg"
    lines = measure()
    target.write_text(plot.draw(
        "time to drain a backlog, as a multiple of the time when nothing fails",
        f"{EVENTS} events of {CLIENTS} clients, {REQUESTS} requests at once, {ANSWER_S * 1000:.0f} ms each; median of {ROUNDS}; "
        f"{time.strftime('%Y-%m-%d')}, made by tests/bench/failures.py", "requests that fail by chance, %", "times as long", lines))
    print(target)


if __name__ == "__main__":
    main()
