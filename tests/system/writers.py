# writers.py - clients that write while the service restarts: writers.py SOCKET read|close THREADS, until stdin ends
import json
import random
import socket
import sys
import threading
import time

LINES = 20 # a connection, at most


class Writer(threading.Thread):
    def __init__(self, path, reads, name):
        super().__init__()
        self.path, self.reads, self.client = path, reads, name
        self.random = random.Random(name)
        self.written = 0      # lines whose send() returned: "T-CLIENT-1" to this number
        self.connects = 0
        self.cut = 0          # connections that ended while it wrote
        self.wrong = []

    def run(self):
        while not STOP.is_set():
            try:
                self.connection()
            except OSError as e:
                self.wrong.append(f"connection {self.connects}: {e!r}")
            time.sleep(0.002)

    def connection(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path) # as applications do: it waits when thousands wait already (EAGAIN without waiting)
            s.settimeout(60)
            self.connects += 1
            wrote = 0
            for _ in range(self.random.randint(1, LINES)):
                try:
                    s.sendall(self.line())
                except (BrokenPipeError, ConnectionResetError):
                    self.cut += 1
                    break
                self.written += 1
                wrote += 1
            if self.reads:
                self.read(s, wrote)

    def line(self):
        return json.dumps({"client_id": self.client, "name": "refund", "params": {
            "transaction_id": f"T-{self.client}-{self.written + 1}", "session_id": 1700000000,
            "engagement_time_msec": 1}}).encode() + b"\n"

    def read(self, s, wrote):
        """All replies, in order, all of them good: what was written is answered also by a relay that stops."""
        try:
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got = b""
        try:
            while (part := s.recv(1 << 16)):
                got += part
        except ConnectionResetError:
            pass
        replies = [json.loads(x) for x in got.split(b"\n") if x]
        if len(replies) != wrote:
            self.wrong.append(f"connection {self.connects}: {wrote} lines written, {len(replies)} replies")
        self.wrong += [r for r in replies if not r["ok"]]


STOP = threading.Event()
path, kind, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
writers = [Writer(path, kind == "read", f"{kind}.{i}") for i in range(threads)]
for w in writers:
    w.start()
sys.stdin.read()
STOP.set()
for w in writers:
    w.join()
print(json.dumps([{"client": w.client, "written": w.written, "connects": w.connects, "cut": w.cut, "wrong": w.wrong[:20]}
                  for w in writers]))
