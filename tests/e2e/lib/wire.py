# wire.py - a server that misbehaves byte by byte: each connection is handled by a function that a test writes
import socket
import ssl
import threading
import time


class Conn:
    """One connection, as a test's function sees it."""

    def __init__(self, server, sock, number):
        self.server, self.s, self.number = server, sock, number
        self.f = sock.makefile("rb")

    def head(self):
        """The next request's head, recorded; None at the end of file."""
        lines = []
        while True:
            one = self.f.readline()
            if not one:
                return None
            if one in (b"\r\n", b"\n"):
                break
            lines.append(one.decode().rstrip())
        head = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
        head[""] = lines[0]
        self.server.note("heads", head)
        return head

    def body(self, head):
        body = self.f.read(int(head["content-length"]))
        if len(body) == int(head["content-length"]):
            self.server.note("bodies", body)
        return body

    def request(self):
        """Head and whole body; False at the end of file."""
        head = self.head()
        return head is not None and self.body(head) is not None

    def send(self, data):
        self.s.sendall(data)

    def answer(self, status=204, headers=b""):
        """Counted before it is on the wire."""
        with self.server.lock:
            self.server.answered += 1
        self.send(b"HTTP/1.1 %d X\r\n%s%s\r\n" % (status, headers, b"" if status == 204 else b"Content-Length: 0\r\n"))

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        self.f.close()
        self.s.close()

    def hang(self):
        """Until the test is over."""
        self.server.over.wait(120)


def fine(conn):
    while conn.request():
        conn.answer()


class RawServer:
    """on_conn(Conn) is called in a thread for each connection; what it leaves open is closed."""

    def __init__(self, on_conn=fine, host="127.0.0.1", tls=None, receive_buffer=None, port=0):
        self.lock = threading.Condition()
        self.heads, self.bodies = [], []
        self.answered = self.n_conns = self.refused_tls = 0
        self.on_conn, self.tls, self.host = on_conn, tls, host
        self.over = threading.Event()
        self.open = set()
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port))
        s.listen(256)
        self.listener, self.port = s, s.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/mp/collect"

    @property
    def tls_url(self):
        return f"https://localhost:{self.port}/mp/collect"

    def note(self, what, value):
        with self.lock:
            getattr(self, what).append(value)

    def _accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        try:
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                try:
                    c = self.tls.wrap_socket(c, server_side=True)
                except (ssl.SSLError, OSError):
                    with self.lock:
                        self.refused_tls += 1
                    return
            with self.lock:
                self.n_conns += 1
                conn = Conn(self, c, self.n_conns)
                self.open.add(c)
            self.on_conn(conn)
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.open.discard(c)
            c.close()

    def stop(self):
        self.over.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        """Closes what is open at present."""
        with self.lock:
            left = list(self.open)
        for c in left:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class FullBacklog:
    """A listening socket whose queue is full: a further connect gets no answer at all."""

    def __init__(self, host="127.0.0.1", port=0):
        self.s = socket.socket()
        self.s.bind((host, port))
        self.s.listen(0)
        self.port = self.s.getsockname()[1]
        self.fill = []
        for _ in range(8):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex((host, self.port))
            self.fill.append(c)
        time.sleep(0.05)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/mp/collect"

    def stop(self):
        for c in [*self.fill, self.s]:
            c.close()
