#!/usr/bin/python3
# kill.py - kill -9 at random moments under load, in front of an endpoint that cannot be relied on; an autopsy after each
#
# usage: kill.py [-n KILLS] [-s SEED]       (make proof-kill KILLS=1000)
import argparse
import json
import random
import re
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from applications import KINDS, Application, drain  # noqa: E402
from books import Books  # noqa: E402
from dead_file import DeadFile  # noqa: E402
from endpoint import Endpoint  # noqa: E402
from lib.patience import Patience  # noqa: E402
from lib.relay import Relay  # noqa: E402
from operators import Operator  # noqa: E402
from watch import Watch  # noqa: E402

BOUND = re.compile(r"at most (\d+) events may be sent twice")


class Campaign:
    def __init__(self, relay, books, endpoint, seed):
        self.relay, self.books, self.endpoint = relay, books, endpoint
        self.file = DeadFile(relay.db, books)
        self.rng = random.Random(seed)
        self.bounds = {}                        # life -> events that may be sent twice after it, in the relay's words
        self.log_read = self.lives_known = 0    # when bounds were read
        self.in_start = 0                       # kills before the relay was ready

    def change(self):
        """Each life has other limits; a small outbox answers QUEUE_FULL."""
        r = self.rng
        self.relay.change(outbox={"max_events": r.choice([300, 3000, 10_000]), "keep_delivered": r.choice(["0", "0", "1m"]),
                                  "max_bytes": r.choice(["1M", "8G", "8G"])},
                          delivery={"linger": r.choice(["1ms", "20ms"]), "max_requests": r.choice([2, 16, 64]),
                                    "max_batch": r.choice([3, 25, 25])})

    def ready(self):
        self.relay.start()
        text = self.relay.log_path.read_bytes()
        new, self.log_read = text[self.log_read:].decode(errors="replace"), len(text)
        for life in range(self.lives_known, self.books.life):
            self.bounds[life] = sum(int(n) for n in BOUND.findall(new))
        self.lives_known = self.books.life

    def live(self):
        """A while under load, with a reload now and then."""
        time.sleep(self.rng.choice([0.02, 0.3, 1.0]) * self.rng.random())
        if self.rng.random() < 0.2:
            self.change()
            self.relay.write_config()
            self.relay.signal(1)
            time.sleep(0.02 * self.rng.random())

    def make_room(self):
        """Lives are short and the endpoint is in trouble: without this the queue would be full most of the time."""
        patience, trouble = Patience(20), self.endpoint.trouble
        self.books.close()
        self.relay.ctl("resume")
        self.endpoint.trouble = 0
        while self.relay.states().get("queued", 0) > 200 and patience.left():
            time.sleep(0.1)
        self.endpoint.trouble = trouble
        self.books.open()

    def kill(self):
        self.relay.kill9()
        acked = self.books.killed()
        if self.rng.random() < 0.5:             # the next start meets what the kill left; else what the autopsy left
            self.autopsy(acked, self.file.copy_to(self.relay.dir / "autopsy"))
        else:
            self.autopsy(acked, self.file)
        if self.rng.random() < 0.15:            # once more, in the middle of a start
            self.relay.write_config()
            self.relay.spawn()
            time.sleep(0.06 * self.rng.random())
            self.relay.kill9()
            self.in_start += 1
            self.autopsy(self.books.killed(), self.file)

    def autopsy(self, acked, file):
        self.books.must_be_somewhere(acked, file.must_be_sound().events())
        if self.books.wrong:
            keep = Path(f"/tmp/ga4relay-kill-{self.books.life}")
            shutil.copytree(self.relay.dir, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock", "notify"))
            raise AssertionError(f"life {self.books.life}, evidence in {keep}: {self.books.wrong[:5]}")

    def twice(self):
        """Events that the endpoint counted again: only what was in flight at a kill, and no more than the relay said."""
        self.books.must_not_be_twice_in_one_life()
        for life in {first for first, _ in self.books.twice}:
            n = sum(n for (first, second), n in self.books.twice.items() if first == life and second > life)
            if n > self.bounds.get(life, 0):
                self.books.wrong.append(f"{n} events of life {life} were counted twice; the relay said {self.bounds.get(life)}")
        return sum(self.books.twice.values())

    def settle_all(self):
        """No trouble any more: what is left goes out."""
        self.endpoint.heal()
        self.relay.change(outbox={"max_events": 10_000_000, "max_bytes": "8G"})
        self.relay.reload()
        drain(self.relay, self.books, "atlast")


def campaign(kills, seed, say=print):
    books = Books()
    endpoint = Endpoint(books, seed)
    relay = Relay(endpoint.url, delivery={"timeout": "5s", "retry_min": "20ms", "retry_max": "200ms", "refuse_after": "0s"}).allow(".*")
    c = Campaign(relay, books, endpoint, seed)
    crowd = [Application(k, relay, books, i, pause=0.05) for i, k in enumerate([*KINDS, "patient"])]
    crowd.append(Operator(relay, books, seed))
    watch = Watch(books)
    try:
        watch.start()
        c.ready()
        for x in crowd:
            x.start()
        for i in range(kills):
            if i % 20 == 19:
                c.make_room()
            c.live()
            c.kill()
            c.change()
            c.ready()
            if (i + 1) % 50 == 0:
                say(f"{i + 1} kills, {len(books.acked)} acknowledged, {sum(books.twice.values())} counted twice", flush=True)
        for x in crowd:
            x.stop()
        c.settle_all()
        code = relay.stop(60)
        if code != 0:
            books.wrong.append(f"the last stop: exit {code}")
        outbox = c.file.events()
        c.autopsy(books.killed(), c.file)
        twice, books_say = c.twice(), books.balance(outbox)
        relay.check_log()
    finally:
        for x in [*crowd, watch]:
            x.over.set()
        endpoint.over.set()
        endpoint.down()
        if relay.alive():
            relay.kill9()
    figures = {"kills": kills, "in_start": c.in_start, "stood_still": len(books.stood_still), "acknowledged": len(books.acked), "counted_twice": twice,
               "may_be_twice": sum(c.bounds.values()), **books_say, "dead": sum(s == "dead" for _, s, _ in outbox.values()),
               "endpoint": endpoint.counts, "refusals": dict(books.codes), "operator": crowd[-1].done,
               "conversations": {x.kind: x.done for x in crowd[:-1]}}
    assert not books.wrong, books.wrong[:10]
    assert books_say["balanced"], books_say
    shutil.rmtree(relay.dir, ignore_errors=True)
    return figures


def main():
    p = argparse.ArgumentParser(description="kill -9 at random moments under load")
    p.add_argument("-n", type=int, default=50, help="kills")
    p.add_argument("-s", type=int, default=time.time_ns() % 1_000_000, help="seed")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {a.s}, {a.n} kills", flush=True)
    began = time.monotonic()
    figures = campaign(a.n, a.s)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - began)}))


if __name__ == "__main__":
    main()
