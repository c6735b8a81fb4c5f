# test_hostile_endpoint.py - what an endpoint, or who sits in its place, may answer; where its words may come out again
import json
import os
import pty
import re
import subprocess
import time
from urllib.parse import quote

import pytest

from lib.client import event
from lib.collector import Answer, Collector, status
from lib.relay import BUILD, SECRET, SANITIZED, wait_until
from lib.wire import RawServer

HOSTILE = b"\x1b[2J\x1b]0;title\x07\x9b31m\xc2\x9b31m\xe2\x80\xae\r\n<3>2026-01-01T00:00:00.000Z error: forged\n\x00\x7f\xff\xfe"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
GRAMMAR = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug): ")


def on_a_terminal(relay, *args):
    master, slave = pty.openpty()
    p = subprocess.Popen([str(BUILD / "ga4relay-ctl"), "-s", str(relay.control), *map(str, args)], stdout=slave, stderr=slave,
                         stdin=subprocess.DEVNULL, env={"TERM": "xterm", "NO_COLOR": "1", "PATH": os.environ["PATH"]})
    os.close(slave)
    out = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    os.close(master)
    p.wait()
    return out.decode(errors="surrogateescape").replace("\r\n", "\n")


def all_screens(relay, *ids):
    for args in (["status"], ["list"], ["list", "--state", "dead"], ["show", *ids], ["--json", "show", *ids], ["doctor"],
                 ["--json", "status"], ["--json", "list", "--state", "dead"], ["export"], ["metrics"]):
        yield args, on_a_terminal(relay, *args)


def judge_text(text, where):
    assert not CONTROL.search(text), (where, CONTROL.search(text), text)
    assert "forged" not in text or "\nerror: forged" not in text, where


def judge_log(relay):
    raw = relay.log_path.read_bytes()
    raw.decode()                                     # valid UTF-8
    for one in raw.decode().splitlines():
        assert GRAMMAR.match(one), one
        assert not CONTROL.search(one), one


@pytest.fixture
def loud(make_relay):
    delivery = {"retry_max": "200ms", "refuse_after": "0s"}
    return make_relay(log={"level": "debug"}, delivery=delivery).allow("destination web", "refused").start()


def refuse_one(relay, collector, answer):
    """One event is refused with the answer, while others pass: it becomes a dead letter with the answer's first bytes."""
    collector.rule = lambda r: answer if b"poison" in r.raw else None
    with relay.client() as c:
        c.send(event("poison"), *[event(client=f"{i}.1") for i in range(20)])
        ids = [r["id"] for r in c.replies(21)]
    wait_until(lambda: relay.states().get("dead") == 1, "a dead letter")
    return ids[0]


# ---- words that act ----

@pytest.mark.parametrize("code", [400, 503, 403])
def test_an_answer_does_nothing_to_log_or_terminal(loud, collector, code):
    answer = status(code, body=HOSTILE * 5)
    if code == 400:
        one = refuse_one(loud, collector, answer)
    else:
        collector.rule = lambda r: answer
        one = loud.ask(event())["id"]
        wait_until(lambda: "destination web" in loud.log, "a failure")
    for where, text in all_screens(loud, one):
        judge_text(text, where)
    judge_log(loud)
    collector.rule = None


def test_a_status_line_and_a_head_do_nothing_either(loud, collector):
    raw = b"HTTP/1.1 503 " + HOSTILE.replace(b"\n", b"") + b"\r\nServer: " + HOSTILE.replace(b"\n", b"") + \
          b"\r\nRetry-After: " + HOSTILE.replace(b"\n", b"") + b"\r\n\r\n"
    collector.next(*[Answer(raw=raw)] * 3, Answer(raw=HOSTILE * 100))
    one = loud.ask(event())["id"]
    wait_until(lambda: loud.log.count("outcome=retry") >= 3, "some tries")
    for where, text in all_screens(loud, one):
        judge_text(text, where)
    loud.wait_empty()
    judge_log(loud)


def test_a_certificate_s_name_does_nothing_either(make_relay, certs, begin):
    """libcurl's error quotes it."""
    certs._leaf("evil", "evil\x1b[2J\u009b31m\u202e.example", "ca")
    server = begin(RawServer, tls=certs.context("evil"))
    relay = make_relay(server.tls_url, log={"level": "debug"}, delivery={"ca_file": certs.ca})
    relay.allow("destination web").start()
    one = relay.ask(event())["id"]
    wait_until(lambda: "destination web: tls: " in relay.log, "the refusal")
    for where, text in all_screens(relay, one):
        judge_text(text, where)
    judge_log(relay)


# ---- words that give away ----

@pytest.mark.parametrize("secret", [SECRET, "s/e+c=re%t&#?<\"x"])
@pytest.mark.parametrize("code", [400, 503, 302, 407])
def test_an_endpoint_that_echoes_the_request(make_relay, collector, secret, code):
    """In body, head and redirect, as it stands in the URL and decoded, whole and cut by the length that is kept."""
    relay = make_relay(log={"level": "debug"}, delivery={"retry_max": "200ms", "refuse_after": "0s"})
    relay.allow("destination web", "refused")
    relay.secret_file.write_text(secret + "\n")
    relay.start()
    coded = quote(secret, safe="-._~")

    def echo(r):
        if code == 400 and b"poison" not in r.raw:
            return None
        pad = b"x" * (len(collector.requests) * 7 % 260)
        return Answer(status=code, body=pad + r.target.encode() + b" " + secret.encode() + b" " + r.target.encode(),
                      headers={"Location": f"http://127.0.0.1:9{r.target}", "X-Echo": r.target, "WWW-Authenticate": r.target})

    collector.rule = echo
    with relay.client() as c:
        c.send(event("poison"), *[event(client=f"{i}.1") for i in range(20)])
        ids = [r["id"] for r in c.replies(21)]
    wait_until(lambda: relay.states().get("dead") == 1 if code == 400 else relay.log.count("outcome=") >= 3, "the answers")
    texts = [x for _, x in all_screens(relay, *ids[:3])] + [relay.log]
    relay.kill9()
    relay.allow("did not end cleanly")
    texts += [f.read_bytes().decode("latin-1") for f in relay.dir.glob("outbox.db*")]
    for text in texts:
        for piece in (secret, coded, secret.encode().decode("latin-1"), coded[:8], secret[:8]):
            assert piece not in text, (piece, text[:3000])


# ---- where it wants us to go ----

@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(loud, collector, code):
    """Not inward either, to what only this host can reach: nobody there ever hears of it."""
    inner = Collector()
    collector.rule = lambda r: Answer(status=code, headers={"Location": f"http://127.0.0.1:{inner.port}/admin?x=1",
                                                            "Refresh": f"0; url={inner.url}", "Alt-Svc": f'h2=":{inner.port}"'})
    assert loud.ask(event())["ok"]
    wait_until(lambda: len(collector.requests) >= 4, "some tries")
    assert inner.n_conns == 0
    collector.rule = None
    loud.wait_empty()
    inner.down()


def test_cookies_and_credentials_are_not_kept(loud, collector):
    collector.rule = lambda r: status(503, body=b"") if len(collector.requests) > 3 else Answer(
        status=401, headers={"Set-Cookie": "a=b; Path=/", "WWW-Authenticate": 'Basic realm="x"'})
    assert loud.ask(event())["ok"]
    wait_until(lambda: len(collector.requests) >= 5, "some tries")
    assert not {"cookie", "authorization"} & {k for r in collector.requests for k in r.headers}
    collector.rule = None
    loud.wait_empty()


# ---- how much it says ----

def endless_body(head):
    def serve(conn):
        while conn.request():
            conn.send(head)
            while True:
                conn.send(b"x" * 65536)
    return serve


@pytest.mark.parametrize("code", [400, 500, 302])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 99999999999999\r\n"])
def test_an_endless_answer_is_cut(make_relay, collector, begin, code, framing):
    server = begin(RawServer, endless_body(b"HTTP/1.1 %d X\r\n%s\r\n" % (code, framing)))
    relay = make_relay(server.url).allow("destination web", "refused").start()
    before = relay.rss_kib()
    assert relay.ask(event())["ok"]
    wait_until(lambda: f"status {code}" in relay.log, "the answer")
    assert SANITIZED or relay.rss_kib() - before < 8 << 10
    assert relay.states() in ({"queued": 1}, {"inflight": 1})
    relay.change(delivery={"endpoint": collector.url}).reload()
    relay.wait_empty()


def test_a_compressed_bomb_is_not_unpacked(loud, collector):
    """The relay asks for no encoding, and takes what comes as the bytes it is."""
    import gzip
    bomb = gzip.compress(b"\0" * (64 << 20))
    before = loud.rss_kib()
    one = refuse_one(loud, collector, Answer(status=400, headers={"Content-Encoding": "gzip"}, body=bomb))
    assert "accept-encoding" not in {k for r in collector.requests for k in r.headers}
    assert SANITIZED or loud.rss_kib() - before < 8 << 10
    assert loud.ctl("show", one)[0]["reason"] == "refused"


# ---- answers that nobody asked for ----

@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_a_second_answer_counts_for_no_later_request(make_relay, certs, begin, tls, http2):
    """Each connection's first request is answered twice, the second time while it idles, and its second request is never
    answered. An event is delivered only by an answer to it."""
    answered, unasked = [], []

    def on_conn(conn):
        first = conn.head()
        answered.append(json.loads(conn.body(first))["events"][0]["params"]["n"])
        conn.answer()
        time.sleep(0.02)
        conn.answer()
        unasked.append(1)
        conn.request()

    server = begin(RawServer, on_conn, tls=certs.context() if tls else None)
    relay = make_relay(server.tls_url if tls else server.url, delivery={"ca_file": certs.ca, "http2": http2}).start()
    for i in range(4):
        assert relay.ask(event(n=i))["ok"]
        relay.wait_empty()
        assert answered == list(range(i + 1))
        wait_until(lambda: len(unasked) == i + 1, "the second answer")
    assert len(server.bodies) == 4
    assert "maybe-sent" not in relay.log
