# endpoint.py - an endpoint that cannot be relied on: busy, broken, hanging, resetting, refusing; it keeps names, no bodies
import random
import socket
import threading

from lib.collector import Answer, Collector, status


def gone(c):
    """The relay gave this request up: on a machine that stood still, an answer would count what nobody heard."""
    try:
        return c.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


class Endpoint(Collector):
    """Events named poison are refused with 400. trouble: how many of 100 requests come to nothing."""
    loud = False

    def __init__(self, books, seed, trouble=20, hang=6.0):
        self.books, self.dice, self.trouble, self.hang_s = books, random.Random(seed), trouble, hang
        self.over = threading.Event()           # ends what hangs
        self.wire = threading.RLock()           # what is counted as answered is on the wire before an outage begins
        self.counts = {"requests": 0, "events": 0, "hung": 0, "reset": 0, "busy": 0, "refused": 0,
                       "too_late": 0}
        super().__init__()
        self.rule = self.choose

    def choose(self, request):
        events = request.events
        request.names = tuple(e["params"]["transaction_id"] for e in events)
        request.life = self.books.life
        with self.lock:
            dice, kind = self.dice.random() * 100, self.dice.random()
            self.counts["requests"] += 1
        if any(e["name"] == "poison" for e in events):
            return self.say("refused", status(400))
        if dice >= self.trouble:
            return Answer(delay=0.01 * kind)
        if kind < 0.4:
            return self.say("busy", status(503 if kind < 0.3 else 429, retry_after=0 if kind < 0.2 else None))
        if kind < 0.9:
            return self.say("reset", Answer(close="after"))
        return self.say("hung", Answer(hang=self.over, close="after"))

    def say(self, what, answer):
        with self.lock:
            self.counts[what] += 1
        return answer

    def _record(self, request):
        request.raw = b""                       # a long campaign would keep millions

    def _answer(self, c, r, a):
        if a.hang is not None:
            a.hang.wait(self.hang_s)
            return False
        self.over.wait(a.delay)
        a.delay = 0
        with self.wire:
            return self.say("too_late", False) if gone(c) else self.count_and_answer(c, r, a)

    def count_and_answer(self, c, r, a):
        if a.close != "after" and 200 <= a.status < 300:
            with self.lock:
                self.counts["events"] += len(r.names)
            self.books.answered(r.names, r.life)
        return super()._answer(c, r, a)

    def down(self):
        """Nothing listens, open connections end; an answer that was counted arrives before that."""
        s, self.listener = self.listener, None
        if s:
            s.shutdown(socket.SHUT_RDWR)
            s.close()
        with self.lock:
            socks = list(self.sockets)
        with self.wire:
            for c in socks:
                try:
                    c.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def heal(self):
        self.trouble = 0
        self.over.set()
