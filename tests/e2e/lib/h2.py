# h2.py - an HTTP/2 server over TLS that misbehaves frame by frame, as a test's function says
import struct

from .wire import RawServer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0, 2, 7, 8
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
BIG_WINDOW = (1 << 31) - 1 - 65535


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def head(stream, status, end=True, **fields):
    """An answer's head; no field is compressed."""
    block = b"\x08\x03%d" % status       # literal, name of index 8: ":status"
    for name, value in fields.items():
        name, value = name.replace("_", "-").encode(), str(value).encode()
        block += b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def reset(stream, error=NO_ERROR):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", error))


def goaway(last, error=NO_ERROR):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, error))


class Http2(RawServer):
    """on_head(server, stream) and on_body(server, stream) give the bytes that are sent at once when a request's head or
    all of its body is there; None: nothing. bodies: those that came whole. streams: one connection's numbers, in order."""

    def __init__(self, certs, on_head=None, on_body=None, settings=None, window=BIG_WINDOW):
        tls = certs.context()
        tls.set_alpn_protocols(["h2"])
        self.on_head, self.on_body, self.settings, self.window = on_head, on_body, settings or {}, window
        self.starts = []         # (connection, stream) of each request, as its head came
        super().__init__(self.converse, tls=tls)

    @property
    def url(self):
        return self.tls_url

    def converse(self, conn):
        assert conn.f.read(len(PREFACE)) == PREFACE
        conn.send(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in self.settings.items())))
        if self.window:
            conn.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self.window)))
        bodies = {}
        while len(prefix := conn.f.read(9)) == 9:
            kind, flags, stream = struct.unpack(">BBI", prefix[3:])
            payload = conn.f.read(int.from_bytes(prefix[:3], "big"))
            answer = self._frame(conn, bodies, kind, flags, stream, payload)
            if answer:
                conn.send(answer)

    def _frame(self, conn, bodies, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            return frame(SETTINGS, ACK, 0)
        if kind == PING and not flags & ACK:
            return frame(PING, ACK, 0, payload)
        if kind == HEADERS:
            self.note("starts", (conn.number, stream))
            bodies[stream] = b""
            answer = self.on_head(self, stream) if self.on_head else None
            return (answer or b"") + (frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", self.window)) if self.window else b"")
        if kind == DATA and stream in bodies:
            bodies[stream] += payload
            if flags & END_STREAM:
                self.note("bodies", bodies.pop(stream))
                return self.on_body(self, stream) if self.on_body else None
        if kind == RST_STREAM:
            bodies.pop(stream, None)
        return None
