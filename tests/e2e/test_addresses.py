# test_addresses.py - endpoints by name: several addresses of which some do not answer, and an address that moves
import os
import subprocess
import time
import warnings

import pytest

from lib.client import event
from lib.clock import SHIM, Clock
from lib.collector import Answer
from lib.daemons import Nginx2
from lib.net import Net
from lib.relay import wait_until
from lib.wire import FullBacklog, RawServer, fine


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


# ---- the same with a resolver and rules that drop packets ----

PORT = 8080


def in_net(make_relay, begin, *addresses, **delivery):
    """A network, a server on each of the addresses, and a relay in front of them."""
    net = begin(Net, "field.test", *addresses)
    servers = [begin(lambda a=a: net.inside(lambda: RawServer(host=a, port=PORT))) for a in addresses]
    relay = make_relay(f"http://field.test:{PORT}/mp/collect", delivery={"allow_plaintext": True, **delivery})
    relay.wrapper = net.enter
    return net, servers, relay


def answered(servers):
    return sum(s.answered for s in servers)


@pytest.mark.parametrize("addresses", [("10.71.0.2", "10.71.0.3"), ("fd71::2", "10.71.0.3"), ("fd71::2", "fd71::3")])
def test_one_of_two_addresses_drops_syns(make_relay, begin, addresses):
    """The one that is tried first, of one family and of both."""
    net, servers, relay = in_net(make_relay, begin, *addresses, connect_timeout="3s")
    silent = net.resolved()[0]
    net.drop(silent, PORT)
    relay.start()
    for i in range(2):
        dropped = net.dropped
        assert relay.ask(event(n=i))["ok"]
        wait_until(lambda: answered(servers) == i + 1, "the delivery", 15)
        assert net.dropped > dropped
        for s in servers:
            s.hang_up()          # each event needs a new connection
    assert all(s.answered == 0 for s in servers if s.host == silent)
    assert "destination web" not in relay.log


def test_an_address_that_goes_silent_under_a_kept_connection(make_relay, begin):
    """Nothing comes back on the connection, and nothing on new ones to that address."""
    net, servers, relay = in_net(make_relay, begin, "10.71.0.2", "10.71.0.3", connect_timeout="2s", timeout="3s")
    relay.allow("destination web").start()
    assert relay.ask(event(n=0))["ok"]
    relay.wait_empty()
    used = next(s for s in servers if s.answered)
    net.drop(used.host, PORT, "")
    assert relay.ask(event(n=1))["ok"]
    wait_until(lambda: answered(servers) == 2, "the delivery", 15)
    assert used.answered == 1


# ---- connections have an end, so that a new address is found ----

STEPS, STEP_S = 7, 40    # shorter than the time after which an idle connection is closed


def aged(relay):
    if not SHIM.exists():
        warnings.warn(f"{SHIM} IS MISSING: no test with a stepped clock was run (make e2e builds it)")
        pytest.skip("the clock cannot be stepped")
    return Clock(relay)


def test_an_address_that_moved_while_the_old_one_answers(make_relay, begin):
    """Both servers answer, and the connection is in use all the time. The new address is used within five minutes."""
    old = begin(RawServer, fine, host="127.0.0.2")
    new = begin(RawServer, fine, host="127.0.0.3", port=old.port)
    relay = make_relay(f"http://field.test:{old.port}/mp/collect", delivery={"allow_plaintext": True})
    clock = aged(named(relay, "127.0.0.2"))
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert old.answered == 1
    (relay.dir / "hosts").write_text("127.0.0.3 field.test\n")
    for i in range(STEPS):
        clock.passes(STEP_S)
        assert relay.ask(event(n=i))["ok"]
        relay.wait_empty()
    assert new.answered > 0
    assert old.n_conns == 1


def test_a_name_is_resolved_again(make_relay, begin):
    """The host moves, and nobody is left at its old address: the relay follows once its answer is 30 s old."""
    first = begin(RawServer, fine, host="127.0.0.2")
    relay = make_relay(f"http://field.test:{first.port}/mp/collect", delivery={"allow_plaintext": True})
    clock = aged(named(relay, "127.0.0.2").allow("destination web"))
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert first.answered == 1
    first.stop()
    second = begin(RawServer, fine, host="127.0.0.3", port=first.port)
    (relay.dir / "hosts").write_text("127.0.0.3 field.test\n")
    clock.passes(31)
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert second.answered == 1


def test_a_connection_that_always_has_requests_in_flight(make_relay, begin, certs, collector):
    """Over HTTP/2 a busy connection is never idle, and libcurl closes only idle ones for their age."""
    collector.rule = lambda r: Answer(delay=0.3)
    server = begin(Nginx2, certs, collector.port)
    relay = make_relay(server.url, delivery={"http2": True, "ca_file": certs.ca, "timeout": "10m"})
    clock = aged(relay)
    relay.start()
    n = 0

    def pour(seconds):
        nonlocal n
        until = time.monotonic() + seconds
        with relay.client() as c:
            while time.monotonic() < until:
                assert c.ask(event(client=f"{n}.1"))["ok"]
                n += 1
                time.sleep(0.03)

    pour(0.5)
    for _ in range(STEPS):
        clock.passes(STEP_S)
        pour(0.2)
    pour(1)
    relay.wait_empty()
    assert collector.count() == n
    assert len({x[1] for x in server.access}) == 2
    assert "maybe-sent" not in relay.log


# ---- connections that share a local port ----

def test_two_endpoints_over_one_local_port(make_relay, begin):
    """Connections to two addresses may have the same port at this end. What arrives on one is never looked for on the
    other: the second answer of the first endpoint counts for no request."""
    net = begin(Net, "field.test", "10.71.0.2", "10.71.0.3")
    net.run("sysctl", "-w", "net.ipv4.ip_local_port_range=40000 40001", "net.ipv4.tcp_tw_reuse=1")
    ports, unasked = set(), []

    def twice(conn):
        ports.add(conn.s.getpeername()[1])
        if conn.request():
            conn.answer()
            time.sleep(0.02)
            conn.answer()
            unasked.append(1)
            conn.request()       # never answered

    def note(conn):
        ports.add(conn.s.getpeername()[1])
        fine(conn)

    first = begin(lambda: net.inside(lambda: RawServer(twice, host="10.71.0.2", port=PORT)))
    others = [begin(lambda i=i: net.inside(lambda: RawServer(note, host="10.71.0.3", port=PORT + i))) for i in range(2)]
    relay = make_relay(first.url, delivery={"allow_plaintext": True}).allow("destination a")
    relay.wrapper = net.enter
    relay.config["streams"] = [relay.stream(name="a")] + [
        relay.stream(name=f"b{i}", measurement_id=f"G-B{i}", endpoint=s.url) for i, s in enumerate(others)]
    relay.start()
    for i in range(2):
        for stream in ("a", "b0", "b1"):
            assert relay.ask({**event(n=i), "stream": stream})["ok"]
            relay.wait_empty()
        wait_until(lambda: len(unasked) > i, "the second answer")
    assert len(first.bodies) == 2 and len(unasked) == 2
    assert [s.answered for s in others] == [2, 2] and [s.n_conns for s in others] == [1, 1]
    assert len(ports) <= 2
