# somebody.py - does one thing after the other, through every restart of the relay, unless everybody is to hold still
import random
import subprocess
import threading


class Somebody(threading.Thread):
    def __init__(self, name, relay, books, seed, pause):
        super().__init__(daemon=True, name=name)
        self.relay, self.books, self.pause = relay, books, pause
        self.rng = random.Random(seed)
        self.over = threading.Event()
        self.done = 0

    def act(self):
        raise NotImplementedError

    def run(self):
        while not self.over.is_set():
            if not self.books.begin():
                continue
            try:
                self.act()
                self.done += 1
            except (OSError, EOFError, ValueError, subprocess.SubprocessError):
                self.over.wait(0.005)           # the relay is down
            finally:
                self.books.end()
            self.over.wait(self.pause * self.rng.random())

    def stop(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive(), f"{self.name} still runs"
