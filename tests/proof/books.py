# books.py - what applications, operators and the endpoint know of each event, by its transaction_id; and the reckoning
import collections
import threading
import time

UNDER_WAY_S = 10                                # longer than a request may take


class Books:
    def __init__(self):
        self.lock = threading.RLock()
        self.turn = threading.Condition(self.lock)
        self.closing = False                    # nobody begins a conversation
        self.busy = 0                           # conversations under way
        self.life = 0                           # of the daemon: counts on at each kill
        self.acked = {}                         # transaction_id -> id
        self.ids = {}                           # id -> transaction_id, also of those found in the outbox only
        self.stored = set()                     # written to a daemon that stopped in order or still runs: as good as acked
        self.written = set()                    # written and closed without reading, and nothing has happened since
        self.unknown = set()                    # written; a kill, or an answer that nobody read, leaves the rest open
        self.refused = set()                    # answered no: must not be stored
        self.codes = collections.Counter()      # of refusals
        self.dropped, self.drop_tried = set(), set()
        self.delivered = collections.Counter()  # 2xx was answered for it, so often
        self.delivered_in = {}                  # (life, time.monotonic()) of the latest
        self.in_one_life = []                   # when an event was first delivered that was again in the same life
        self.twice = collections.Counter()      # (life of the first, life of the second) -> events delivered again
        self.stood_still = []                   # from when to when the machine did (watch.py)
        self.settled = set()                    # acked ones that the reckoning is done with
        self.wrong = []                         # what must not happen, in words

    # ---- pauses, in which everybody holds still ----

    def begin(self):
        """Before a conversation; False: not now."""
        with self.turn:
            if self.closing:
                self.turn.wait(0.2)
                return False
            self.busy += 1
            return True

    def end(self):
        with self.turn:
            self.busy -= 1

    def close(self):
        with self.turn:
            self.closing = True

    def open(self):
        with self.turn:
            self.closing = False
            self.turn.notify_all()

    # ---- what applications say ----

    def sent(self, *names):
        with self.lock:
            self.unknown.update(names)

    def reply(self, names, reply):
        """A line's answer: its events have one id after the other."""
        with self.lock:
            if not reply["ok"]:
                self.codes[reply["code"]] += 1
                if reply["code"] != "STORAGE_ERROR":
                    self.refused.update(names)
                    self.unknown.difference_update(names)
                return
            if reply["count"] != len(names):
                self.wrong.append(f"{names} answered with {reply}")
            for i, name in enumerate(names):
                self._ack(name, reply["id"] + i)

    def _ack(self, name, event_id):
        if self.acked.setdefault(name, event_id) != event_id:
            self.wrong.append(f"{name} has the ids {self.acked[name]} and {event_id}")
        self._has_id(name, event_id)
        self.unknown.discard(name)

    def _has_id(self, name, event_id):
        if self.ids.setdefault(event_id, name) != name:
            self.wrong.append(f"the id {event_id} was given to {self.ids[event_id]} and to {name}")

    def closed(self, names, life):
        """Written in full, then closed: stored, unless the daemon is killed before it looks."""
        with self.lock:
            if life == self.life:
                self.written.update(names)

    # ---- what befalls the daemon ----

    def killed(self):
        """What had been acknowledged by then."""
        with self.lock:
            self.life += 1
            self.written.clear()
            return {**self.acked, **dict.fromkeys(self.stored)}

    def stopped_in_order(self):
        with self.lock:
            self.stored |= self.written
            self.unknown -= self.written
            self.written.clear()

    # ---- what the endpoint says ----

    def answered(self, names, life):
        with self.lock:
            for name in names:
                self.delivered[name] += 1
                if self.delivered[name] > 1:
                    before, at = self.delivered_in[name]
                    self.twice[(before, life)] += 1
                    if before == life:
                        self.in_one_life.append(at)
                self.delivered_in[name] = life, time.monotonic()

    # ---- reckoning ----

    def must_not_be_twice_in_one_life(self):
        """But for what was under way while the machine stood still: it may have been answered and timed out."""
        n = sum(not any(began - UNDER_WAY_S < at < ended + UNDER_WAY_S for began, ended in self.stood_still)
                for at in self.in_one_life)
        if n:
            self.wrong.append(f"{n} events were counted twice without a kill between")

    def must_be_somewhere(self, acked, outbox):
        """outbox: transaction_id -> (id, state, reason). Each acknowledged event was delivered, is there, or was dropped."""
        with self.lock:
            for name, event_id in acked.items():
                if name in self.settled:
                    continue
                if name in outbox:
                    if event_id is not None and outbox[name][0] != event_id:
                        self.wrong.append(f"{name} was acknowledged as {event_id} and is {outbox[name]}")
                elif name in self.delivered or name in self.drop_tried:
                    self.settled.add(name)
                else:
                    self.wrong.append(f"{name} ({event_id}) was acknowledged and is gone")
            for name, (event_id, state, reason) in outbox.items():
                self._has_id(name, event_id)
                if state == "dead" and not reason:
                    self.wrong.append(f"{name} is dead without a reason")
                if name in self.dropped:
                    self.wrong.append(f"{name} was dropped and is back")
                if name in self.refused:
                    self.wrong.append(f"{name} was refused and is there")

    def balance(self, outbox):
        """At the very end: accepted = delivered + queued + dead + dropped, to the event. The figures."""
        with self.lock:
            sure = set(self.acked) | self.stored
            there, delivered = set(outbox), set(self.delivered)
            maybe = self.unknown - sure
            found = there | delivered | self.dropped
            strangers = found - sure - maybe
            if strangers:
                self.wrong.append(f"never accepted and yet there: {sorted(strangers)[:5]} of {len(strangers)}")
            lost = sure - found - self.drop_tried
            if lost:
                self.wrong.append(f"accepted and gone: {sorted(lost)[:5]} of {len(lost)}")
            accepted = sure | (maybe & found)
            dropped = (accepted & self.drop_tried) - there - delivered
            return {"accepted": len(accepted), "delivered": len(delivered), "queued": len(there - delivered),
                    "dropped": len(dropped), "unknown_not_stored": len(maybe - found),
                    "balanced": len(accepted) == len(delivered | there) + len(dropped)}
