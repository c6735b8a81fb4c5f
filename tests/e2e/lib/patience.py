# patience.py - how long a test waits: only time in which it ran itself counts
import time


class Patience:
    """Seconds that may pass while this process runs. Of each time that the machine stood still, five count."""

    def __init__(self, seconds):
        self.seconds, self.last = seconds, time.monotonic()

    def left(self):
        now = time.monotonic()
        self.seconds -= min(now - self.last, 5)
        self.last = now
        return self.seconds > 0
