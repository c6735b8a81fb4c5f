# heap.py - how much memory a relay under test has from malloc (heap_shim.c)
import sys

from .relay import BUILD

SHIM = BUILD / "tests" / "heap_shim.so"


class Heap:
    """Not with a sanitizer, which has a malloc of its own."""

    def __init__(self, relay):
        self.path = relay.dir / "heap"
        self.path.write_bytes(bytes(8))
        relay.env["GA4RELAY_TEST_HEAP"] = str(self.path)
        relay.env["LD_PRELOAD"] = ":".join(filter(None, [relay.env.get("LD_PRELOAD"), str(SHIM)]))

    def kib(self):
        return int.from_bytes(self.path.read_bytes(), sys.byteorder) >> 10
