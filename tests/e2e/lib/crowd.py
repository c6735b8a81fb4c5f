#!/usr/bin/python3
"""crowd.py - many connections that keep the relay as busy as they can, from a process of their own

crowd.py SOCKET KIND N     prints "ready" once all are connected, goes on until its standard input ends
"""
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

SIZE = 1 << 20


def event(**more):
    return json.dumps({"client_id": "1.2", "name": "x", "params": {"session_id": 1, "engagement_time_msec": 1, **more}})


def warned():
    return (json.dumps({"client_id": "1.2", "name": "refund", "params": {"value": 1}}) + "\n").encode() * 500


def payload(name, n, **beside):
    return json.dumps({"client_id": "1.2", **beside, "events": [{"name": name, "params": {}}] * n})


def request(method, path, body=b""):
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


PROPERTIES = {f"p{i:04}": {"value": "gold"} for i in range(1000)}

FLOODS = {  # what each connection writes without end
    "quiet": b"",
    "blank lines": b"\n" * (64 << 10),
    "one byte at a time": b"x",
    "refused lines": b"no JSON\n" * (8 << 10),
    "good lines": (event() + "\n").encode() * 500,
    "fat refused lines": b'{"client_id":"' + b"x" * (SIZE - 100) + b'","name":7}\n',
    "fat good lines": (payload("x", 1, user_agent="x" * 100_000) + "\n").encode(),
    "fat payloads": (payload("x" * 40, 1000, dedup_key="k" * 200) + "\n").encode(),
    "large envelopes": (payload("x", 1000, user_properties=PROPERTIES) + "\n").encode(),
    "skipped lines": b"x" * SIZE,
    "unread replies": b"no JSON\n" * (8 << 10),
    "warned lines": warned(),
    "unread warnings": warned(),
    "connect and close": b"",
}
DOOR_FLOODS = {  # the same, to the HTTP door
    "healthz": request("GET", "/healthz") * 500,
    "nowhere": request("GET", "/") * 500,
    "metrics": request("GET", "/metrics") * 100,
    "unknown streams": request("POST", "/mp/collect?measurement_id=G-NO", b"x") * 500,
    "no JSON": request("POST", "/mp/collect?measurement_id=G-TEST000001", b"x") * 500,
    "good payloads": request("POST", "/mp/collect?measurement_id=G-TEST000001", payload("x", 1).encode()) * 100,
    "fat debug payloads": request("POST", "/debug/mp/collect", payload("x" * 40, 1000, user_id="u" * 200).encode()) * 10,
    "fat bodies": request("POST", "/nowhere", b"x" * (SIZE // 8)),
    "tiny chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n",
    "long trailers": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 40_000 + b"\r\n",
    "deaf": request("GET", "/metrics") * 100,
}
FLOODS.update(DOOR_FLOODS)
REREADS = {"refused lines", "good lines", "fat refused lines", "fat good lines", "fat payloads", "large envelopes", "warned lines",
           *DOOR_FLOODS.keys() - {"deaf"}}


class Crowd:
    """with Crowd(path, kind, n): they write."""

    def __init__(self, path, kind, n):
        self.args = [sys.executable, Path(__file__), path, kind, str(n)]

    def __enter__(self):
        self.process = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    while True:
        try:
            s.connect(path)
            return s
        except BlockingIOError:
            time.sleep(0.001)


def write_some(s, state, flood):
    try:
        state[0] = (state[0] + s.send(flood[state[0]:])) % len(flood)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass


def read_some(s):
    try:
        s.recv(1 << 16)
    except (BlockingIOError, ConnectionResetError):
        pass


def flood(path, kind, n, poll):
    data = memoryview(FLOODS[kind])
    crowd = {s.fileno(): (s, [0]) for s in (connect(path) for _ in range(n))}
    events = (select.EPOLLOUT if len(data) else 0) | (select.EPOLLIN if kind in REREADS else 0)
    for fd in crowd:
        poll.register(fd, events)
    print("ready", flush=True)
    while True:
        for fd, ready in poll.poll():
            if fd == 0:
                return
            s, state = crowd[fd]
            if ready & select.EPOLLIN:
                read_some(s)
            if ready & select.EPOLLOUT:
                write_some(s, state, data)


def come_and_go(path, n, poll):
    crowd = [connect(path) for _ in range(n)]
    print("ready", flush=True)
    while not poll.poll(0):
        crowd.pop(0).close()
        crowd.append(connect(path))


def main():
    path, kind, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    os.nice(5)  # on a machine of few processors the relay is to be measured, not this
    poll = select.epoll()
    poll.register(0, select.EPOLLIN)
    if kind == "connect and close":
        come_and_go(path, n, poll)
    else:
        flood(path, kind, n, poll)


if __name__ == "__main__":
    main()
