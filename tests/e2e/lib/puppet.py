# puppet.py - a control socket and an event socket without a relay: whatever the test wants is answered
import json
import socket
import threading


class Puppet:
    """answers: {command: bytes or list of objects}; None closes without a word. An event socket gets `replies`."""

    def __init__(self, directory, answers=None, replies=b"", after=0):
        self.control, self.events = directory / "puppet.sock", directory / "puppet-events.sock"
        self.answers = {"paths": [{"event_socket": str(self.events), "config": ""}], **(answers or {})}
        self.replies, self.after = replies, after
        self.requests, self.received = [], b""
        self.listeners = []
        for path, serve in ((self.control, self._control), (self.events, self._events)):
            s = socket.socket(socket.AF_UNIX)
            path.unlink(missing_ok=True)
            s.bind(str(path))
            s.listen(16)
            self.listeners.append(s)
            threading.Thread(target=self._accept, args=(s, serve), daemon=True).start()

    def stop(self):
        for s in self.listeners:
            # Who waits in accept() on a number that is only closed takes another's connection, once a signal has
            # made the kernel begin the call anew.
            s.shutdown(socket.SHUT_RDWR)
            s.close()
        self.listeners = []

    def _accept(self, listener, serve):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(c, serve), daemon=True).start()

    @staticmethod
    def _one(c, serve):
        with c:
            try:
                serve(c)
            except (OSError, ValueError):
                pass

    def _control(self, c):
        with c.makefile("rb") as f:
            for line in f:
                request = json.loads(line)
                self.requests.append(request)
                answer = self.answers.get(request["command"])
                if answer is None:
                    return
                if isinstance(answer, bytes):
                    c.sendall(answer)
                    return
                *rows, end = answer
                c.sendall(b"".join(json.dumps(x).encode() + b"\n" for x in rows))
                c.sendall(b'{"end":true,' + json.dumps({"ok": True, **end}).encode()[1:] + b"\n")

    def _events(self, c):
        """Reads until so many lines came, answers, and closes."""
        while self.received.count(b"\n") < self.after:
            part = c.recv(65536)
            if not part:
                break
            self.received += part
        c.sendall(self.replies)
