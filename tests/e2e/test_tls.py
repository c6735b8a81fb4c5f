# test_tls.py - who is believed: certificates, names, versions of TLS, the CA file, IPv6 and IPv4
import re
import ssl
import subprocess
import time
import warnings

import pytest

from lib.client import event
from lib.daemons import need
from lib.relay import SECRET, wait_until
from lib.wire import RawServer, fine

# As lax as OpenSSL gets: what is refused, the relay refuses.
LAX = """openssl_conf = o\n[o]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n"""


def lax(relay):
    f = relay.dir / "openssl.cnf"
    f.write_text(LAX)
    relay.env = {"OPENSSL_CONF": str(f)}
    return relay


def test_a_good_certificate(make_relay, certs, begin):
    server = begin(RawServer, fine, tls=certs.context())
    relay = make_relay(server.tls_url, delivery={"ca_file": certs.ca}).start()
    with relay.client() as c:
        for i in range(5):
            assert c.ask(event(n=i))["ok"]
            relay.wait_empty()
    assert server.answered == 5
    assert server.n_conns == 1            # kept
    assert relay.states() == {}


@pytest.mark.parametrize("how", ["announced", "closed", "reset"])
def test_a_kept_connection_that_ended_while_idle(make_relay, certs, begin, how):
    """Nothing is sent over it, so that nothing has to be sent again."""
    ended = []

    def once(conn):
        conn.request()
        conn.answer()
        if how == "announced":            # by TLS itself, and whatever the other side answers
            conn.s.settimeout(0.05)
            try:
                conn.s.unwrap()
            except (ssl.SSLError, OSError):
                pass
        conn.reset() if how == "reset" else conn.close()
        ended.append(conn.number)

    server = begin(RawServer, once, tls=certs.context())
    relay = make_relay(server.tls_url, delivery={"ca_file": certs.ca, "retry_min": "10s", "retry_max": "10s"}).start()
    with relay.client() as c:
        for i in range(5):
            assert c.ask(event(n=i))["ok"]
            wait_until(lambda: len(ended) == i + 1, "the connection's end")
            relay.wait_empty()
    assert server.n_conns == len(server.bodies) == 5
    metrics = relay.ctl_raw("metrics").stdout
    assert 'ga4relay_requests_total{stream="web",outcome="delivered"} 5' in metrics
    assert 'outcome="retry-now"} 0' in metrics and "maybe-sent" not in relay.log


@pytest.mark.parametrize("name, words", [("wrong-name", "name|subject"), ("expired", "expired"),
                                         ("unknown", "certificate|issuer")])
def test_a_bad_certificate(make_relay, certs, begin, name, words):
    """No request is made: the secret stays here. The good one at the same place is believed."""
    server = begin(RawServer, fine, tls=certs.context(name))
    relay = make_relay(server.tls_url, delivery={"ca_file": certs.ca}).allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web: tls: " in relay.log, "a failure")
    first, = re.findall(r"destination web: tls: .*", relay.log)
    assert re.search(words, first), first
    # with a wrong name the handshake itself is fine
    n = server.refused_tls + server.n_conns
    wait_until(lambda: server.refused_tls + server.n_conns > n + 1, "more tries")
    assert not server.heads
    assert SECRET not in relay.log
    one, = relay.list()
    assert one["maybe_sent"] is False
    server.tls = certs.context()
    relay.wait_empty()
    assert server.answered == 1 and relay.states() == {}
    assert relay.log.count("destination web: back after") == 1


def test_the_system_s_store_does_not_know_our_ca(make_relay, certs, begin):
    server = begin(RawServer, fine, tls=certs.context())
    relay = make_relay(server.tls_url).allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web: tls: " in relay.log, "a failure")
    assert not server.heads
    relay.change(delivery={"ca_file": certs.ca}).reload()
    relay.wait_empty()
    assert server.answered == 1


@pytest.mark.parametrize("version", ["TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_tls_1_2_at_least(make_relay, certs, begin, version):
    """Even where OpenSSL's own configuration allows everything."""
    newest = ssl.TLSVersion[version]
    server = begin(RawServer, fine, tls=certs.context(newest=newest))
    relay = lax(make_relay(server.tls_url, delivery={"ca_file": certs.ca})).allow("destination web").start()
    if version == "TLSv1_1":              # the server is there, and speaks to those who want it
        r = subprocess.run([need("openssl", "openssl"), "s_client", "-connect", f"localhost:{server.port}", "-tls1_1",
                            "-cipher", "ALL:@SECLEVEL=0"], input=b"", capture_output=True, timeout=20)
        if b"Protocol  : TLSv1.1" not in r.stdout:
            warnings.warn("OPENSSL SPEAKS NO TLS 1.1 ANY MORE: its refusal is not tested")
            pytest.skip("no TLS 1.1 here")
    assert relay.ask(event())["ok"]
    if version != "TLSv1_1":
        relay.wait_empty()
        assert server.answered == 1
        return
    n = server.refused_tls
    wait_until(lambda: "destination web: tls: " in relay.log, "a failure")
    wait_until(lambda: server.refused_tls > n, "a refusal")
    assert not server.heads
    # and what waited goes out when the server learns
    server.tls = certs.context()
    relay.wait_empty()
    assert server.answered == 1


def test_the_host_s_key_log_is_not_written(make_relay, certs, begin):
    server = begin(RawServer, fine, tls=certs.context())
    relay = make_relay(server.tls_url, delivery={"ca_file": certs.ca})
    relay.env = {"SSLKEYLOGFILE": str(relay.dir / "keys"), "SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent",
                 "CURL_CA_BUNDLE": "/nonexistent", "CURL_SSL_BACKEND": "nonsense"}
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert server.answered == 1
    assert not (relay.dir / "keys").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("tls", [False, True])
def test_ipv4_and_ipv6(make_relay, certs, begin, host, tls):
    server = begin(RawServer, fine, host=host, tls=certs.context() if tls else None)
    url = server.url.replace("http:", "https:") if tls else server.url
    relay = make_relay(url, delivery={"ca_file": certs.ca}).start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert server.answered == 1
    assert server.heads[0]["host"] == url.split("/")[2]


def test_localhost_by_ipv4_though_ipv6_is_preferred(make_relay, begin):
    """A name with two addresses, of which the first one refuses."""
    server = begin(RawServer, fine)
    relay = make_relay(server.url.replace("127.0.0.1", "localhost")).start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert server.answered == 1


def test_a_handshake_that_never_ends(make_relay, begin, collector):
    """Connected, and then nothing: the connect timeout holds for TLS too."""
    server = begin(RawServer, lambda c: c.hang())
    relay = make_relay(server.tls_url, delivery={"connect_timeout": "200ms"}).allow("destination web").start()
    began = time.monotonic()
    assert relay.ask(event())["ok"]
    wait_until(lambda: "destination web: timeout: " in relay.log, "a timeout")
    assert time.monotonic() - began < 5
    assert relay.list()[0]["maybe_sent"] is False
    relay.change(delivery={"endpoint": collector.url}).reload()
    relay.wait_empty()
    assert collector.count() == 1
