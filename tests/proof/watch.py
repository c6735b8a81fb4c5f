# watch.py - notices when the machine stood still: a request that was under way then may have been answered and timed out
import threading
import time


class Watch(threading.Thread):
    def __init__(self, books):
        super().__init__(daemon=True, name="watch")
        self.books, self.over = books, threading.Event()

    def run(self):
        last = time.monotonic()
        while not self.over.wait(0.2):
            now = time.monotonic()
            if now - last > 2:
                self.books.stood_still.append((last, now))
            last = now
