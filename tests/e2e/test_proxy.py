# test_proxy.py - delivery.proxy against real ones, and an environment that wants another
import re
import time

import pytest

from lib.client import event
from lib.collector import Answer, Collector
from lib.daemons import Squid, Tinyproxy
from lib.relay import SECRET, wait_until
from lib.tls import free_port
from lib.wire import RawServer, fine

PASSWORD = "CANARY-proxy-7c1"


def everything_said(relay):
    """All that an operator can see: the log, status, events, metrics, the outbox's bytes."""
    out = [relay.log]
    for args in (["status"], ["--json", "status"], ["--json", "list", "--limit", "1000"], ["metrics"], ["--json", "export"],
                 ["doctor"], ["show", "1"]):
        r = relay.ctl_raw(*args)
        out += [r.stdout, r.stderr]
    out += [f.read_bytes().decode(errors="replace") for f in relay.dir.glob("outbox.db*")]
    for what in ("cmdline", "environ"):
        with open(f"/proc/{relay.pid}/{what}", "rb") as f:
            out.append(f.read().decode(errors="replace"))
    return "\n".join(out)


@pytest.mark.parametrize("kind", [Tinyproxy, Squid])
def test_connect(make_relay, certs, begin, kind):
    """https goes through CONNECT, and the certificate is the endpoint's: the proxy sees neither secret nor event."""
    server = begin(RawServer, fine, tls=certs.context())
    proxy = begin(kind)
    relay = make_relay(server.tls_url, delivery={"proxy": f"http://127.0.0.1:{proxy.port}", "ca_file": certs.ca}).start()
    with relay.client() as c:
        for i in range(3):
            assert c.ask(event(n=i))["ok"]
            relay.wait_empty()
    assert server.answered == 3
    assert server.n_conns == 1            # one tunnel, kept
    relay.stop()
    wait_until(lambda: "CONNECT" in proxy.log, "the proxy's own log")
    assert SECRET not in proxy.log


def test_a_bad_certificate_behind_a_proxy(make_relay, certs, begin):
    server = begin(RawServer, fine, tls=certs.context("wrong-name"))
    proxy = begin(Tinyproxy)
    relay = make_relay(server.tls_url, delivery={"proxy": f"http://127.0.0.1:{proxy.port}", "ca_file": certs.ca})
    relay.allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web: tls: " in relay.log, "a failure")
    assert not server.heads


def test_authentication(make_relay, certs, begin):
    server = begin(RawServer, fine, tls=certs.context())
    proxy = begin(Tinyproxy, auth=("relay", PASSWORD))
    relay = make_relay(server.tls_url, delivery={"proxy": f"http://relay:{PASSWORD}@127.0.0.1:{proxy.port}",
                                                 "ca_file": certs.ca})
    relay.change(log={"level": "debug"}).start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert server.answered == 1
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert PASSWORD not in everything_said(relay)
    relay.stop()
    assert PASSWORD not in relay.log


@pytest.mark.parametrize("user", ["", "relay:wrong-%s@" % PASSWORD])
def test_authentication_that_fails(make_relay, certs, begin, user):
    """407 of the proxy: the destination waits, nothing dies, nothing was sent; the right password mends it."""
    server = begin(RawServer, fine, tls=certs.context())
    proxy = begin(Tinyproxy, auth=("relay", PASSWORD))
    relay = make_relay(server.tls_url, delivery={"proxy": f"http://{user}127.0.0.1:{proxy.port}", "ca_file": certs.ca})
    relay.change(log={"level": "debug"}).allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: relay.log.count("outcome=") >= 3, "some tries")
    assert re.search("40[17]", relay.log)  # tinyproxy says 401 of a wrong password
    assert not server.heads
    one, = relay.list()
    assert one["maybe_sent"] is False
    assert "dead" not in relay.states()
    assert PASSWORD not in everything_said(relay)
    relay.change(delivery={"proxy": f"http://relay:{PASSWORD}@127.0.0.1:{proxy.port}"}).reload()
    relay.wait_empty()
    assert server.answered == 1
    assert PASSWORD not in everything_said(relay)


def test_plain_http_through_a_proxy(make_relay, collector, begin):
    """A loopback endpoint too goes through a proxy that is configured (no_proxy is not obeyed)."""
    proxy = begin(Tinyproxy)
    relay = make_relay(delivery={"proxy": f"http://127.0.0.1:{proxy.port}"})
    relay.env = {"no_proxy": "*", "NO_PROXY": "127.0.0.1,localhost"}
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert collector.count() == 1
    assert any("via" in r.headers for r in collector.requests)


def test_a_proxy_that_is_not_there(make_relay, collector):
    """Never around it."""
    relay = make_relay(delivery={"proxy": f"http://relay:{PASSWORD}@127.0.0.1:{free_port()}"}).allow("destination web")
    relay.start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web: connect: " in relay.log, "a failure")
    assert not collector.requests
    assert PASSWORD not in everything_said(relay)
    relay.change(delivery={"proxy": ""}).reload()
    relay.wait_empty()
    assert collector.count() == 1


@pytest.mark.parametrize("tls", [False, True])
def test_a_hostile_environment_changes_nothing(make_relay, certs, begin, tls):
    """src/README.md, trap 12: a proxy that listens, is asked for nothing, and no key is written."""
    server = begin(RawServer, fine, tls=certs.context() if tls else None)
    evil = Collector()
    relay = make_relay(server.tls_url if tls else server.url, delivery={"ca_file": certs.ca})
    proxy = f"http://127.0.0.1:{evil.port}"
    relay.env = {k: proxy for x in ("http_proxy", "https_proxy", "all_proxy") for k in (x, x.upper())}
    relay.env |= {"SSLKEYLOGFILE": str(relay.dir / "keys"), "CURL_HOME": str(relay.dir), "NETRC": str(relay.dir / "netrc")}
    (relay.dir / ".curlrc").write_text(f"proxy = {proxy}\n")
    (relay.dir / ".netrc").write_text("machine 127.0.0.1 login evil password evil\nmachine localhost login evil password e\n")
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert server.answered == 1
    assert "authorization" not in server.heads[0]
    assert evil.n_conns == 0
    assert not (relay.dir / "keys").exists()
    evil.down()


# ---- a proxy that refuses CONNECT ----

def refusing(status, headers=b""):
    """A proxy that notes when it was asked, and refuses."""
    def on_conn(conn):
        while conn.head():
            conn.server.note("bodies", time.monotonic())
            conn.answer(status, headers)
    return on_conn


@pytest.mark.parametrize("status, level", [(407, "error"), (403, "error"), (302, "error"), (503, "warning"), (429, "warning")])
def test_a_refused_connect_names_the_proxy_and_its_wish_is_obeyed(make_relay, begin, status, level):
    """The destination or the proxy is wrong, or busy; no event is blamed. Retry-After is the proxy's."""
    proxy = begin(RawServer, refusing(status, b"Retry-After: 2\r\n"))
    relay = make_relay("https://ga4.invalid/mp/collect",
                       delivery={"proxy": f"http://relay:{PASSWORD}@127.0.0.1:{proxy.port}"}).allow("destination web")
    relay.start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: len(proxy.bodies) >= 2, "another try")
    assert proxy.bodies[1] - proxy.bodies[0] > 1.9   # retry_max is a second
    assert all(x[""].startswith("CONNECT ga4.invalid:443") for x in proxy.heads)
    found = re.search(rf" (error|warning): destination web: .*the proxy 127.0.0.1:{proxy.port} .*CONNECT.* {status}", relay.log)
    assert found and found[1] == level, relay.log
    assert str(status) in relay.status()["streams"][0]["last_error"]
    assert "dead" not in relay.states() and not any(e["maybe_sent"] for e in relay.list())
    assert PASSWORD not in everything_said(relay)


def test_a_407_over_plain_http_names_the_proxy(make_relay, collector, begin):
    proxy = begin(RawServer, refusing(407))
    relay = make_relay(delivery={"proxy": f"http://127.0.0.1:{proxy.port}"}).allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: f"error: destination web: status 407: the proxy 127.0.0.1:{proxy.port} " in relay.log, "the proxy's name")
    relay.change(delivery={"proxy": ""}).reload()
    relay.wait_empty()
    assert collector.count() == 1


# ---- a reload that mends it ----

SLOW = {"retry_min": "1h", "retry_max": "1h"}    # whoever waits for it, waits for ever


def backing_off(relay):
    assert relay.ask(event())["ok"]
    wait_until(lambda: relay.status()["streams"][0]["state"] == "backing-off", "the backoff")


def test_a_reload_of_the_proxy_ends_the_backoff(make_relay, collector):
    relay = make_relay(delivery={"proxy": f"http://127.0.0.1:{free_port()}", **SLOW}).allow("destination web").start()
    backing_off(relay)
    relay.change(delivery={"proxy": ""}).reload()
    relay.wait_empty()
    assert collector.count() == 1


@pytest.mark.parametrize("how", ["another file", "the same file"])
def test_a_reload_of_the_ca_file_ends_the_backoff(make_relay, certs, begin, how):
    server = begin(RawServer, fine, tls=certs.context())
    relay = make_relay(server.tls_url)
    file = relay.dir / "ca.pem"
    file.write_bytes((certs.dir / "unknown-ca.pem").read_bytes())
    relay.change(delivery={"ca_file": file, **SLOW}).allow("destination web").start()
    backing_off(relay)
    if how == "the same file":
        file.write_bytes(certs.ca.read_bytes())
    else:
        relay.change(delivery={"ca_file": certs.ca})
    relay.reload()
    relay.wait_empty()
    assert server.answered == 1


def test_a_reload_that_changes_nothing_of_the_way_keeps_the_backoff(make_relay, collector, begin):
    """What is waited for may be the endpoint's own wish."""
    collector.rule = lambda r: Answer(503)
    relay = make_relay(delivery=SLOW).allow("destination web").start()
    backing_off(relay)
    collector.rule = None
    relay.change(delivery={"linger": "11ms"}).reload()
    assert relay.status()["streams"][0]["state"] == "backing-off"
    relay.ctl("flush")
    relay.wait_empty()
