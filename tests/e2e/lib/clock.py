# clock.py - the clocks of a relay under test, stepped while it runs (clock_shim.c)
import mmap
import struct
import time

from .relay import BUILD

SHIM = BUILD / "tests" / "clock_shim.so"


class Clock:
    """What is added to the relay's clocks: the wall clock, and those that only run forward."""

    def __init__(self, relay):
        self.path = relay.dir / "clock"
        self.path.write_bytes(bytes(16))
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 16)
        self.wall_ns = self.forward_ns = 0
        relay.env["GA4RELAY_TEST_CLOCK"] = str(self.path)
        relay.env["LD_PRELOAD"] = str(SHIM)
        relay.env["ASAN_OPTIONS"] = "verify_asan_link_order=0"
        self.relay = relay

    def _set(self):
        self.map[:] = struct.pack("=qq", self.wall_ns, self.forward_ns)
        if self.relay.alive():
            self.relay.status()           # the loop wakes and looks at its clocks

    def step(self, seconds):
        """Somebody sets the clock; no time goes by."""
        self.wall_ns += int(seconds * 10**9)
        self._set()

    def passes(self, seconds):
        """Time goes by, on all clocks."""
        self.forward_ns += int(seconds * 10**9)
        self.step(seconds)

    def now(self):
        return time.time() + self.wall_ns / 10**9
