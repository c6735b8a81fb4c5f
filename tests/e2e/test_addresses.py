# test_addresses.py - endpoints by name: several addresses of which some do not answer, and an address that moves
import os
import subprocess
import time
import warnings

import pytest

from lib.client import event
from lib.relay import wait_until
from lib.wire import FullBacklog, RawServer


def named(relay, *addresses, name="field.test"):
    """The relay alone sees this name with these addresses, in this order."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        warnings.warn("NO MOUNT NAMESPACE CAN BE MADE HERE: names with several addresses are not tested (needs root)")
        pytest.skip("a hosts file of its own needs root and a mount namespace")
    file = relay.dir / "hosts"
    file.write_text("".join(f"{a} {name}\n" for a in addresses))
    relay.wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {file} /etc/hosts && exec "$@"', "sh"]
    return relay


def once(conn):
    """One answer per connection, so that each event needs a new one."""
    if conn.request():
        conn.answer(headers=b"Connection: close\r\n")


@pytest.mark.parametrize("silent", [1, 2])
def test_the_first_address_drops_what_it_gets(make_relay, begin, silent):
    """The next address is tried within connect_timeout, on the first connection and on later ones. Nothing fails, so
    nothing is logged."""
    server = begin(RawServer, once, host="127.0.0.9")
    for i in range(silent):
        begin(FullBacklog, f"127.0.0.{2 + i}", server.port)
    relay = make_relay(f"http://field.test:{server.port}/mp/collect",
                       delivery={"allow_plaintext": True, "connect_timeout": "3s"})
    named(relay, *[f"127.0.0.{2 + i}" for i in range(silent)], "127.0.0.9").start()
    for i in range(2):
        began = time.monotonic()
        assert relay.ask(event(n=i))["ok"]
        wait_until(lambda: server.answered == i + 1, "the delivery", 15)
        assert time.monotonic() - began > 0.15  # the silent one was tried first
    relay.wait_empty()
    assert "destination web" not in relay.log
