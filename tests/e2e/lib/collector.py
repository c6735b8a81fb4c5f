# collector.py - a scripted stand-in for GA4 on the loopback: records every request, answers as it is told
import functools
import json
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


@dataclass
class Answer:
    """What happens to one request."""
    status: int = 204
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0             # seconds before the answer
    raw: bytes = None            # instead of an answer: these bytes, then close
    close: str = ""              # "before": unread body; "after": body read, no answer; "then": answer, then close
    hang: threading.Event = None # no answer until it is set


def status(code, retry_after=None, body=b"", **kw):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(status=code, headers=headers, body=body, **kw)


@dataclass
class Request:
    method: str
    path: str
    query: dict
    headers: dict                # names in lower case
    raw: bytes                   # the body as it came
    conn: int
    at: float                    # time.monotonic()
    wall: float
    target: str = ""
    answered: int = None         # the status that was sent; None: none

    @functools.cached_property # a test that waits looks at all of them again and again
    def body(self):
        return json.loads(self.raw)

    @property
    def events(self):
        return self.body.get("events", [])

    @property
    def accepted(self):
        return self.answered is not None and 200 <= self.answered < 300


class Collector:
    loud = True                  # how each connection ended is told on stderr, which pytest shows where a test failed

    def __init__(self, port=0):
        self.lock = threading.Condition()
        self.requests = []
        self.queue = []          # answers for the next requests, first to last
        self.rule = None         # function(request) -> Answer or None, asked when the queue is empty
        self.default = Answer()
        self.sockets = set()
        self.n_conns = 0
        self.listener = None
        self.port = port
        self.up()

    # ---- what a test says ----

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/mp/collect"

    def next(self, *answers):
        with self.lock:
            self.queue += answers

    def up(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port))
        s.listen(256)
        self.port = s.getsockname()[1]
        self.listener = s
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def down(self):
        """As a host that went away: nothing listens, and what was open is reset."""
        s, self.listener = self.listener, None
        if s:
            s.shutdown(socket.SHUT_RDWR)
            s.close()
        with self.lock:
            socks = list(self.sockets)
        for c in socks:
            try:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # ---- what a test asks ----

    @property
    def accepted(self):
        """Requests that were answered 2xx."""
        with self.lock:
            return [r for r in self.requests if r.accepted]

    @property
    def events(self):
        """Events of the requests that were answered 2xx, in order."""
        return [e for r in self.accepted for e in r.events]

    def count(self, name=None):
        return sum(1 for e in self.events if name is None or e["name"] == name)

    # ---- the server ----

    def _accept(self, listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.n_conns += 1
                self.sockets.add(c)
                n = self.n_conns
            threading.Thread(target=self._serve, args=(c, n), daemon=True).start()

    def _serve(self, c, n):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            f = c.makefile("rb")
            while self._serve_one(c, f, n):
                pass
            self._tell(n, "ended")
        except ConnectionError as e:
            self._tell(n, e)     # the relay went away, or down() was called
        except Exception:        # the relay sees an empty reply: whoever looks for the reason finds it here
            self._tell(n, traceback.format_exc())
        finally:
            with self.lock:
                self.sockets.discard(c)
            c.close()

    def _serve_one(self, c, f, n):
        head = self._read_head(f, n)
        if not head:
            return False
        method, target, _ = head[0].split(" ", 2)
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        parts = urlsplit(target)
        r = Request(method, parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}, headers, b"", n,
                    time.monotonic(), time.time(), target)
        with self.lock:
            answer = self.queue.pop(0) if self.queue else None
        if answer is not None and answer.close == "before":
            self._record(r)
            return False
        length = int(headers.get("content-length", 0))
        r.raw = f.read(length)
        if len(r.raw) < length:
            self._tell(n, f"ended after {len(r.raw)} of {length} bytes of a body")
            return False         # the relay went away
        if answer is None:
            answer = (self.rule(r) if self.rule else None) or self.default
        self._record(r)
        return self._answer(c, r, answer)

    def _tell(self, n, what):
        if self.loud:
            print(f"{time.time():.3f} collector {self.port}, connection {n}: {what}", file=sys.stderr, flush=True)

    def _read_head(self, f, n):
        """Its lines; None: the connection ended."""
        lines = []
        while (line := f.readline()) != b"\r\n":
            if not line.endswith(b"\n"):
                if lines or line:
                    self._tell(n, f"ended in a head: {lines} {line}")
                return None
            lines.append(line.decode().strip())
        return lines

    def _record(self, r):
        with self.lock:
            self.requests.append(r)
            self.lock.notify_all()

    def _answer(self, c, r, a):
        if a.hang is not None:
            a.hang.wait(60)
        if a.delay:
            time.sleep(a.delay)
        if a.close == "after":
            return False
        if a.raw is not None:
            c.sendall(a.raw)
            return False
        body = a.body
        if r.path.startswith("/debug/") and a.status == 204:
            a, body = status(200), b'{"validationMessages":[]}'
        head = f"HTTP/1.1 {a.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in a.headers.items())
        if a.status != 204:
            head += f"Content-Length: {len(body)}\r\n"
        # Counted before it is on the wire: whoever sees its effect finds it recorded.
        with self.lock:
            r.answered = a.status
        c.sendall(head.encode() + b"\r\n" + (body if a.status != 204 else b""))
        return a.close != "then"
