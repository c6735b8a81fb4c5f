# client.py - an application at the event socket
import json
import select
import socket

from .patience import Patience

SLACK = 30 # seconds that an answer may take on a busy machine


def event(name="refund", client="1.2", **params):
    """A line's object that draws no warning."""
    base = {"session_id": 1700000000, "engagement_time_msec": 1}
    if name in ("refund", "purchase"):
        base["transaction_id"] = "T-1"
    return {"client_id": client, "name": name, "params": {**base, **params}}


def line(obj):
    return json.dumps(obj, separators=(",", ":")).encode() + b"\n"


class Client:
    def __init__(self, path, timeout=SLACK):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout)
        self.s.connect(str(path))
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *items):
        """Objects become lines; bytes go as they are."""
        self.s.sendall(b"".join(i if isinstance(i, bytes) else line(i) for i in items))
        return self

    def _receive(self):
        timeout = self.s.gettimeout()
        if timeout:
            patience, ready = Patience(timeout), select.poll()
            ready.register(self.s, select.POLLIN)
            while not ready.poll(min(timeout, 1) * 1000):
                if not patience.left():
                    raise TimeoutError(f"no reply within {timeout} s, {self.pending!r} so far")
        return self.s.recv(1 << 16)

    def raw_reply(self):
        while b"\n" not in self.pending:
            got = self._receive()
            if not got:
                raise EOFError(f"connection closed, {self.pending!r} left")
            self.pending += got
        one, _, self.pending = self.pending.partition(b"\n")
        return one

    def reply(self):
        return json.loads(self.raw_reply())

    def replies(self, n):
        return [self.reply() for _ in range(n)]

    def ask(self, *items):
        """One line, one reply."""
        return self.send(*items).reply()

    def half_close(self):
        self.s.shutdown(socket.SHUT_WR)
        return self

    def rest(self):
        """Replies up to the end of file."""
        out = []
        while True:
            try:
                out.append(self.reply())
            except EOFError:
                assert self.pending == b"", f"half a reply: {self.pending!r}"
                return out

    def no_reply_within(self, seconds):
        """Looks whether something came; the one place where a test waits for nothing to happen."""
        old = self.s.gettimeout()
        self.s.settimeout(seconds)
        try:
            got = self.s.recv(1 << 16)
            self.pending += got
            return False
        except TimeoutError:
            return True
        finally:
            self.s.settimeout(old)

    def close(self):
        self.s.close()
