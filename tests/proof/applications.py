# applications.py - programs that write events: patient, careless, deaf, slow, broken; each remembers what it was answered
import itertools
import socket
import subprocess
import time

from lib.client import Client, event, line
from lib.relay import BUILD, wait_until
from somebody import Somebody


class Application(Somebody):
    """One kind of application, one conversation after the other."""

    def __init__(self, kind, relay, books, number, pause=0.0):
        name = f"{kind}{number}"
        super().__init__(name, relay, books, name, pause)
        self.kind, self.act = kind, getattr(self, kind)
        self.numbers = itertools.count(1)

    # ---- pieces ----

    def name_one(self):
        n = f"{self.name}-{next(self.numbers)}"
        self.books.sent(n)
        return n

    def one(self, name, **more):
        """A line of one event; one of 100 is what the endpoint refuses."""
        kind = "poison" if self.rng.random() < 0.01 else "refund"
        e = event(kind, client=f"1.{self.rng.randint(1, 40)}", transaction_id=name, pad="x" * self.rng.randint(0, 300))
        return {**e, **more}

    def many(self, names):
        return {"client_id": f"2.{self.rng.randint(1, 40)}",
                "events": [{"name": "refund", "params": {"transaction_id": n}} for n in names]}

    def connect(self, timeout=30):
        return Client(self.relay.sock, timeout=timeout)

    # ---- kinds ----

    def patient(self):
        """Keeps its connection, writes batches, reads each reply."""
        with self.connect() as c:
            for _ in range(self.rng.randint(1, 20)):
                names = [self.name_one() for _ in range(self.rng.randint(1, 30))]
                c.send(*(self.one(n) for n in names))
                for n in names:
                    self.books.reply([n], c.reply())
                if self.over.is_set() or self.books.closing:
                    return
                time.sleep(self.pause * self.rng.random())

    def payloads(self):
        with self.connect() as c:
            names = [self.name_one() for _ in range(self.rng.randint(2, 60))]
            self.books.reply(names, c.ask(self.many(names)))

    def careless(self):
        """Writes and closes at once."""
        life = self.books.life
        with self.connect() as c:
            names = [self.name_one() for _ in range(self.rng.randint(1, 8))]
            c.send(*(self.one(n) for n in names))
        self.books.closed(names, life)

    def half_closing(self):
        with self.connect() as c:
            names = [self.name_one() for _ in range(self.rng.randint(1, 8))]
            replies = c.send(*(self.one(n) for n in names)).half_close().rest()
        for n, r in zip(names, replies):
            self.books.reply([n], r)

    def deaf(self):
        """Never reads: turns quiet once its replies are too many."""
        life = self.books.life
        with self.connect() as c:
            names = [self.name_one() for _ in range(60)]
            for n in names:
                c.send(self.one(n))
        self.books.closed(names, life)

    def persistent(self):
        """Repeats each line with its dedup_key until it has been answered."""
        n = self.name_one()
        text = self.one(n, dedup_key=n)
        while not self.over.is_set():
            try:
                with self.connect(timeout=10) as c:
                    r = c.ask(text)
                    if self.rng.random() < 0.1:
                        r2 = c.ask(text)        # again, on purpose
                        if r["ok"] and not (r2.get("duplicate") and r2["id"] == r["id"]):
                            self.books.wrong.append(f"the same key was answered {r} and {r2}")
            except (OSError, EOFError, ValueError):
                time.sleep(0.01)
                continue
            if r["ok"] or not r["retry"]:
                self.books.reply([n], r)
                return
            time.sleep(0.05)

    def broken(self):
        """Bad lines between good ones, half a line at the end."""
        with self.connect() as c:
            n = self.name_one()
            c.send(b"nonsense\n", event("ad_click"), self.one(n), b"{" * 100 + b"\n", b'{"client_id":"1.')
            replies = c.half_close().rest()
        if len(replies) == 5:
            self.books.reply([n], replies[2])
            if [r["ok"] for i, r in enumerate(replies) if i != 2] != [False] * 4:
                self.books.wrong.append(f"bad lines were answered {replies}")

    def bytewise(self):
        n = self.name_one()
        with self.connect() as c:
            for b in line(self.one(n)):
                c.s.sendall(bytes([b]))
            self.books.reply([n], c.reply())

    def stalled(self):
        """Begins a line and thinks about it."""
        n = self.name_one()
        text = line(self.one(n))
        with self.connect() as c:
            c.send(text[:20])
            self.over.wait(self.rng.random() * 0.5)
            c.send(text[20:])
            self.books.reply([n], c.reply())

    def flood(self):
        """Many connections that come and go, and say nothing."""
        socks = []
        try:
            for _ in range(50):
                s = socket.socket(socket.AF_UNIX)
                socks.append(s)
                s.settimeout(5)
                s.connect(str(self.relay.sock))
        finally:
            for s in socks:
                s.close()

    def blank(self):
        """Lines of nothing, and one between them."""
        n = self.name_one()
        with self.connect() as c:
            c.send(b"\n" * 50_000 + b" \r\n" * 1000, self.one(n), b"\n" * 50_000)
            self.books.reply([n], c.reply())

    def fat(self):
        """Lines of nearly a MiB: a payload, one that is refused at its end, and one that is longer than allowed."""
        names = [self.name_one() for _ in range(500)]
        good = {**self.many(names), "user_agent": "x" * self.rng.randint(0, 60_000)}
        for e in good["events"]:
            e["params"]["pad"] = "x" * self.rng.randint(0, 1500)
        with self.connect() as c:
            c.send(good, b'{"client_id":"' + b"x" * 1_000_000 + b'","name":7}\n', b"x" * 1_500_000 + b"\n")
            self.books.reply(names, c.reply())
            if [r["ok"] for r in c.replies(2)] != [False] * 2:
                self.books.wrong.append("a bad fat line was answered ok")

    def process(self):
        """Another process: ga4relay-ctl send."""
        names = [self.name_one() for _ in range(self.rng.randint(1, 20))]
        r = subprocess.run([BUILD / "ga4relay-ctl", "--json", "send", "--socket", self.relay.sock], capture_output=True,
                           input=b"".join(line(self.one(n)) for n in names), timeout=60)
        if r.returncode == 0:
            with self.books.lock:
                self.books.stored.update(names)
                self.books.unknown.difference_update(names)


KINDS = ["patient", "payloads", "careless", "half_closing", "deaf", "persistent", "broken", "bytewise", "stalled", "flood",
         "blank", "fat", "process"]


def drain(relay, books, occasion, timeout=180):
    """Everything goes out or dies. A good event goes along each second: where nothing but what it refuses reaches an
    endpoint, it is the endpoint that is taken to be wrong, and nothing dies."""
    last = Application("patient", relay, books, f"draining{occasion}")
    due = [0.0]

    def is_empty():
        if not set(relay.states()) & {"queued", "inflight"}:
            return True
        if time.monotonic() >= due[0]:
            n = last.name_one()
            books.reply([n], relay.ask(event(transaction_id=n)))
            due[0] = time.monotonic() + 1
        return False

    relay.ctl("resume")
    relay.ctl("release", "--state", "held")
    wait_until(is_empty, "an empty queue", timeout)
