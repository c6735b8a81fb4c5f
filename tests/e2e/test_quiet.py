# test_quiet.py - what a busy time needed goes back to the system when it is quiet again
import pytest

from lib.client import event
from lib.relay import SANITIZED, wait_until

EVENTS = 30000


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what was freed")
def test_a_quiet_relay_gives_memory_back(paused):
    with paused.client() as c:
        for i in range(0, EVENTS, 1000):
            c.send(*[event(client=f"{i}.1", note="x" * 90, n=j) for j in range(i, i + 1000)])
            assert all(r["ok"] for r in c.replies(1000))
    paused.ctl("drop", "ALL", "--yes")
    busy = paused.rss_kib()
    wait_until(lambda: paused.rss_kib() < busy * 3 / 4, f"less than three quarters of {busy} KiB")
