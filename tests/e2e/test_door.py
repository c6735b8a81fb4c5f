# test_door.py - the HTTP door: what GA4's own address takes, answered after the events are safe
import contextlib
import errno
import http.client
import json
import os
import signal
import socket
import threading

import pytest

from lib.collector import Answer
from lib.relay import SANITIZED, SECRET, wait_until
from lib.tls import free_port

ID = "G-TEST000001"
COLLECT = f"/mp/collect?measurement_id={ID}&api_secret={SECRET}"


def payload(*transactions):
    return json.dumps({"client_id": "1.2", "events": [
        {"name": "refund", "params": {"transaction_id": t, "session_id": 1, "engagement_time_msec": 1}}
        for t in transactions]})


class Unix(http.client.HTTPConnection):
    """As curl --unix-socket and axios' socketPath do."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Door:
    def __init__(self, relay, connection):
        self.relay, self.connection = relay, connection

    def ask(self, path, body=None, method=None, **headers):
        c = self.connection()
        c.request(method or ("POST" if body is not None else "GET"), path, body,
                  {k.replace("_", "-"): v for k, v in headers.items()})
        answer = c.getresponse()
        text = answer.read().decode()
        c.close()
        return answer.status, text, answer


@pytest.fixture
def door(make_relay):
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}"}).start()
    return Door(relay, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))


@pytest.fixture
def unix_door(make_relay):
    relay = make_relay()
    path = relay.dir / "http.sock"
    relay.change(http={"listen": f"unix:{path}"}).start()
    assert path.stat().st_mode & 0o777 == 0o660
    return Door(relay, lambda: Unix(path))


def test_a_payload_is_delivered(door, collector):
    assert door.ask(COLLECT, payload("T-1", "T-2"))[:2] == (204, "")
    wait_until(lambda: collector.count() == 2, "both events")
    assert [e["params"]["transaction_id"] for e in collector.events] == ["T-1", "T-2"]


def test_204_is_only_said_of_what_is_stored(door, collector):
    """The collector is down: a 204 says that the event is in the outbox, and it is still there after a kill."""
    collector.down()
    for n in range(20):
        assert door.ask(COLLECT, payload(f"T-{n}"))[0] == 204
    door.relay.allow("destination web", "did not end cleanly")
    door.relay.kill9()
    collector.up()
    door.relay.start()
    wait_until(lambda: {e["params"]["transaction_id"] for e in collector.events} ==
                          {f"T-{n}" for n in range(20)}, "all twenty")


@pytest.mark.parametrize("path,status", [
    (f"/mp/collect?measurement_id={ID}", 401),
    (f"/mp/collect?measurement_id={ID}&api_secret=", 403),
    (f"/mp/collect?measurement_id={ID}&api_secret={SECRET}x", 403),
    (f"/mp/collect?measurement_id={ID}&api_secret={SECRET[:-1]}", 403),
    (f"/mp/collect?measurement_id=G-OTHER&api_secret={SECRET}", 404),
    (f"/mp/collect?api_secret={SECRET}", 400),
    (f"/mp/collect?measurement_id={ID}&firebase_app_id=1&api_secret={SECRET}", 400),
    ("/mp/collect/", 404),
    ("/", 404),
])
def test_refused_by_its_address(door, collector, path, status):
    got, text, _ = door.ask(path, payload("T-1"))
    assert got == status
    assert json.loads(text)["ok"] is False and SECRET not in text
    assert door.ask(COLLECT, payload("T-2"))[0] == 204
    wait_until(lambda: collector.count() == 1, "the good one")


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"},
                                     {"Host": "localhost.evil.example:8125"}])
def test_no_web_page_gets_in(door, headers):
    got, _, answer = door.ask(COLLECT, payload("T-1"), **headers)
    assert got == 403
    assert not [h for h in answer.headers if h.lower().startswith("access-control-")]
    assert door.ask("/metrics", **headers)[0] == 403


def test_methods(door):
    for method, path, allow in [("GET", COLLECT, "POST"), ("OPTIONS", COLLECT, "POST"), ("PUT", COLLECT, "POST"),
                                ("DELETE", "/metrics", "GET, HEAD"), ("POST", "/healthz", "GET, HEAD")]:
        got, _, answer = door.ask(path, body="", method=method)
        assert (got, answer.headers["Allow"]) == (405, allow), method
    assert door.ask("/healthz", method="HEAD")[:2] == (200, "")


def raw(door, data, shut=True, refused=False):
    """What comes back for these bytes until the door closes. refused: it may end the connection while it is written to."""
    ended = (BrokenPipeError, ConnectionResetError) if refused else ()
    c = door.connection()
    c.connect()
    got = b""
    with contextlib.suppress(*ended):
        c.sock.sendall(data)
    if shut:
        try:
            c.sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            if not (refused and e.errno == errno.ENOTCONN):
                raise
    with contextlib.suppress(*ended):
        while (part := c.sock.recv(65536)):
            got += part
    c.sock.close()
    return got


def head(*lines, first=f"POST {COLLECT} HTTP/1.1", host="localhost"):
    return "\r\n".join([first, f"Host: {host}", *lines, "", ""]).encode()


GOOD = payload("T-good").encode()
HIDDEN = head(f"Content-Length: {len(payload('T-hidden'))}") + payload("T-hidden").encode()


@pytest.mark.parametrize("data", [
    head("Content-Length: 5", "Content-Length: 0") + HIDDEN,
    head("Content-Length: 0", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + HIDDEN,
    head("Transfer-Encoding: chunked", f"Content-Length: {len(HIDDEN)}") + b"0\r\n\r\n" + HIDDEN,
    head("Transfer-Encoding: xchunked", "Content-Length: 0") + HIDDEN,
    head("Transfer-Encoding: identity, chunked") + HIDDEN,
    head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n" + HIDDEN,
    head("Host: evil.example", "Content-Length: 0") + HIDDEN,
    head("Content-Length: -1") + HIDDEN,
    head("Content-Length: 99999999999999999999") + HIDDEN,
    head("Transfer-Encoding: chunked") + b"-5\r\n" + HIDDEN,
    head("Transfer-Encoding: chunked") + b"ffffffffffffffff1\r\n" + HIDDEN,
    head(f"Content-Length: {len(GOOD)}", first=f"POST {COLLECT}%00 HTTP/1.1") + GOOD + HIDDEN,
])
def test_no_request_hides_behind_another(door, collector, data):
    """Where a proxy could see another end than we do, the connection ends, and what follows is not looked at."""
    got = raw(door, data)
    assert got.count(b"HTTP/1.1 2") == 0, got
    assert door.ask(COLLECT, payload("T-after"))[0] == 204
    wait_until(lambda: collector.count() == 1, "the good one alone")
    assert collector.events[0]["params"]["transaction_id"] == "T-after"


LENGTH, CHUNKED = f"Content-Length: {len(GOOD)}", "Transfer-Encoding: chunked"
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)


def chunk(size, data=GOOD, end=b"\r\n", last=b"0\r\n\r\n"):
    return head(CHUNKED) + size + b"\r\n" + data + end + last


@pytest.mark.parametrize("data", [
    head(LENGTH.replace(":", " :")) + GOOD, head(LENGTH.replace(":", "\t:")) + GOOD, head(LENGTH.replace(": ", ": +")) + GOOD,
    head(LENGTH.replace(": ", ": 0x")) + GOOD, head(LENGTH + " x") + GOOD, head(LENGTH + f", {len(GOOD)}") + GOOD,
    head("Content-Length:", LENGTH) + GOOD, head("Content-Length:") + GOOD, head(LENGTH, LENGTH) + GOOD,
    head("Content-Length: 1", " 2") + GOOD, head("Content_Length: 0", LENGTH) + GOOD, head("X: y\0z", LENGTH) + GOOD,
    head("X: y\rz", LENGTH) + GOOD, head(": x", LENGTH) + GOOD, head(" X: y", LENGTH) + GOOD, head("X: a", "\tb", LENGTH) + GOOD,
    head("(X): y", LENGTH) + GOOD, head("X\x7f: y", LENGTH) + GOOD, head("no colon", LENGTH) + GOOD,
    head(LENGTH).replace(b"\r\n", b"\n") + GOOD, head(LENGTH)[:-2] + b"\n" + GOOD, head("X: y\nZ: z", LENGTH) + GOOD,
    head(LENGTH, first=f"POST {COLLECT} HTTP/1.2") + GOOD, head(LENGTH, first=f"POST  {COLLECT} HTTP/1.1") + GOOD,
    head(LENGTH, first=f"POST {COLLECT} x HTTP/1.1") + GOOD, head(LENGTH, first=f"POST\t{COLLECT} HTTP/1.1") + GOOD,
    head(CHUNKED.replace(":", " :")) + IN_CHUNKS, head(CHUNKED, first=f"POST {COLLECT} HTTP/1.0") + IN_CHUNKS,
    head(CHUNKED, CHUNKED) + IN_CHUNKS, head(CHUNKED + ", chunked") + IN_CHUNKS, head("Transfer-Encoding: gzip") + IN_CHUNKS,
    head("Transfer-Encoding: identity", LENGTH) + GOOD, head("Transfer_Encoding: chunked", LENGTH) + GOOD,
    head("Transfer-Encoding: chunked;x=1") + IN_CHUNKS, head("Transfer-Encoding:", LENGTH) + GOOD,
    chunk(b"0x%x" % len(GOOD)), chunk(b"+%x" % len(GOOD)), chunk(b" %x" % len(GOOD)), chunk(b"%x zz" % len(GOOD)), chunk(b""), chunk(b";x"),
    chunk(b"%x\n" % len(GOOD)), chunk(b"%x" % len(GOOD), end=b"\n"), chunk(b"%x" % len(GOOD), end=b""),
    chunk(b"%x" % (len(GOOD) - 1)), chunk(b"%x;a\0b" % len(GOOD)), chunk(b"%x;a\nb" % len(GOOD)),
    chunk(b"%x" % len(GOOD), last=b"0\n\n"), chunk(b"%x" % len(GOOD), last=b"0\r\nContent-Length: 5\r\n\r\n"),
    chunk(b"%x" % len(GOOD), last=b"0\r\nX : y\r\n\r\n"), chunk(b"%x" % len(GOOD), last=b"x\r\n\r\n"),
    head(f"Content-Length: {len(HIDDEN)}", first="GET /healthz HTTP/1.1") + HIDDEN,
    head(CHUNKED, first="HEAD /healthz HTTP/1.1") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
], ids=lambda data: repr(data[len(COLLECT) + 30:][:50]))
@pytest.mark.parametrize("bytewise", [False, True])
def test_framing_that_only_a_strict_reader_refuses(door, collector, data, bytewise):
    """400 and the end of the connection; neither this request nor one behind it is taken."""
    if bytewise:
        c = door.connection()
        c.connect()
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for i in range(0, len(data), 40):
                c.sock.sendall(data[i:i + 40])
            while (part := c.sock.recv(65536)):
                got += part
        c.sock.close()
    else:
        got = raw(door, data + HIDDEN, shut=False, refused=True)
    assert got.startswith(b"HTTP/1.1 400") or got == b"", got
    assert b" 2" not in got.split(b"\r\n")[0] and got.count(b"HTTP/1.1 ") <= 1
    assert door.ask(COLLECT, payload("T-after"))[0] == 204
    wait_until(lambda: collector.count() == 1, "the good one alone")
    assert collector.events[0]["params"]["transaction_id"] == "T-after"


def test_bad_framing_behind_a_good_request(door, collector):
    """It ends the connection, and takes back no answer that is due."""
    c = door.connection()
    c.connect()
    c.sock.sendall(head(LENGTH) + GOOD)
    c.sock.sendall(head("Content-Length : 5") + HIDDEN)
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while (part := c.sock.recv(65536)):
            got += part
    stored = collector.count() if b" 204 " not in got else 1
    wait_until(lambda: collector.count() == stored, "what was answered 204")
    assert {e["params"]["transaction_id"] for e in collector.events} <= {"T-good"}


def test_chunks_may_have_extensions_and_trailers(door, collector):
    """As RFC 9112 has them; they say nothing to us."""
    size = b"%x" % len(GOOD)
    forms = [chunk(size + ext) for ext in (b";a", b";a=b", b' ; a = "b c"', b";" + b"x" * 900, b"  ")]
    forms += [chunk(b"000" + size.upper(), last=b"0000;x=y\r\nX-Trailer: y\r\nZ:\r\n\r\n")]
    for form in forms:
        assert b" 204 " in raw(door, form), form
        c = door.connection()
        c.connect()
        for byte in form:
            c.sock.sendall(bytes([byte]))
        assert b" 204 " in c.sock.recv(65536), form
        c.sock.close()
    wait_until(lambda: collector.count() == 2 * len(forms), "each once")


@pytest.mark.parametrize("data", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    head("X: " + "y" * 20000), head(*["A: b"] * 5000), b"A" * 100000, head(" folded: x"), head("no colon"),
    head(LENGTH, first=f"POST http://evil.example{COLLECT} HTTP/1.1") + GOOD, head(host=""), head(host="evil.example"),
    head(first="CONNECT localhost:80 HTTP/1.1"), head(first="TRACE / HTTP/1.1"), head(first="BREW / HTTP/1.1"),
    head(first=f"POST {COLLECT}&api_secret=x HTTP/1.1"), head(first=f"POST {COLLECT}&measurement_id=G-X HTTP/1.1"),
    head(first="POST /%6d%70/collect?%00 HTTP/1.1"), head(first="POST /mp/../mp/collect HTTP/1.1"),
    head("Content-Length: 10") + b"short", head("Expect: 200-maybe", "Content-Length: 0"),
], ids=lambda data: repr(data[:24]))
def test_bad_requests_are_refused_and_cost_nobody(door, data):
    got = raw(door, data, refused=True)
    assert b"HTTP/1.1 2" not in got and b"HTTP/1.0 2" not in got, got
    assert SECRET.encode() not in got
    assert door.ask("/healthz")[:2] == (200, "ok\n")


def test_the_forms_of_a_good_request(door, collector):
    """HTTP/1.0, chunks, an absolute address, percent signs, several on one connection."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(GOOD[i:i + 7]), GOOD[i:i + 7]) for i in range(0, len(GOOD), 7)) + b"0\r\n\r\n"
    length = f"Content-Length: {len(GOOD)}"
    forms = [head(length, first=f"POST {COLLECT} HTTP/1.0") + GOOD,
             head("Transfer-Encoding: chunked") + chunks,
             head(length, first=f"POST http://localhost{COLLECT} HTTP/1.1") + GOOD,
             head(length, first=f"POST {COLLECT.replace('-', '%2D')} HTTP/1.1") + GOOD,
             head("Expect: 100-continue", length) + GOOD]
    for form in forms:
        assert b" 204 " in raw(door, form), form
    got = raw(door, (head(length) + GOOD) * 4 + head(length, "Connection: close") + GOOD, shut=False)
    assert got.count(b" 204 ") == 5
    wait_until(lambda: collector.count() == len(forms) + 5, "each once")


def test_a_slow_client_holds_up_nobody(door):
    """A head that comes byte by byte, a body that does not come: others are served meanwhile."""
    slow = []
    for data in (b"POST ", head("X: y")[:-4], head("Content-Length: 1000") + b"{", head("Transfer-Encoding: chunked") + b"50\r\n{"):
        for _ in range(20):
            c = door.connection()
            c.connect()
            c.sock.sendall(data[:-1])
            slow.append(c)
    for _ in range(20):
        assert door.ask(COLLECT, payload("T-1"))[0] == 204
        for c in slow:
            c.sock.sendall(b"x")
    for c in slow:
        c.close()


@pytest.mark.parametrize("form", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_large_bodies_of_many_are_bounded(make_relay, form):
    """Whoever can connect, without a secret: most of a megabyte each, and no end of it. Others are served meanwhile."""
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}"}, listen={"max_memory": "16M"}).start()
    door = Door(relay, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))
    before, crowd = relay.rss_kib(), []
    for _ in range(200):
        c = door.connection()
        c.connect()
        crowd.append(c)
        with contextlib.suppress(ConnectionError):
            c.sock.sendall(head(form) + (b"f0000\r\n" if "chunked" in form else b"") + b"x" * 900_000)
    assert door.ask(COLLECT, payload("T-1"))[0] == 204
    most = relay.rss_kib() - before
    assert SANITIZED or most < 48 << 10, most
    for c in crowd:
        c.close()
    assert door.ask(COLLECT, " " * 900_000 + payload("T-2"))[0] == 204


def test_a_wrong_payload_is_refused_with_its_reason(door):
    got, text, _ = door.ask(COLLECT, '{"client_id":"1.2","events":[{"name":"session_start"}]}')
    reason = json.loads(text)
    assert got == 400
    assert (reason["code"], reason["field"], reason["retry"]) == ("NAME_RESERVED", "events[0].name", False)
    assert json.loads(door.ask(COLLECT, "{")[1])["code"] == "JSON_INVALID"
    assert door.ask(COLLECT, "")[0] == 400
    assert json.loads(door.ask(COLLECT, '{"stream":"web",' + payload("T-1")[1:])[1])["field"] == "stream"


@pytest.mark.parametrize("form", ["127.0.0.1", "::1", "unix", "full"])
def test_who_wrote_what_was_refused(make_relay, form):
    """By address over TCP, by pid and uid over a Unix socket; and when it is the outbox that refuses."""
    port, host = free_port(), "127.0.0.1" if form == "full" else form
    where = {"::1": f"[::1]:{port}"}.get(host, f"{host}:{port}")
    relay = make_relay(outbox={"max_events": 1} if form == "full" else {})
    relay.change(http={"listen": f"unix:{relay.dir}/door.sock" if form == "unix" else where}).allow("outbox", "full")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    door = Door(relay, lambda: Unix(relay.dir / "door.sock") if form == "unix" else http.client.HTTPConnection(host, port, 20))
    if form == "full":
        assert door.ask(COLLECT, payload("T-1"))[0] == 204
    assert door.ask(COLLECT, payload("T-2") if form == "full" else "nonsense")[0] in (400, 503)
    row = wait_until(lambda: relay.list("--state", "rejected"), "the refused line")[0]
    shown = relay.ctl_raw("show", row["id"]).stdout
    if form == "unix":
        assert (row["uid"], row["pid"], row["address"]) == (os.getuid(), os.getpid(), None)
        assert f"uid {os.getuid()}, pid {os.getpid()}" in shown
    else:
        assert (row["uid"], row["pid"], row["address"]) == (None, None, host)
        assert any(x.split() == ["written", "by", host] for x in shown.splitlines())
    assert str(2**32 - 1) not in shown + json.dumps(row)


def test_too_large(make_relay):
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}"}, listen={"max_line": "64K"}).start()
    door = Door(relay, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))
    assert door.ask(COLLECT, "x" * 65537)[0] == 413
    assert door.ask(COLLECT, " " * 60000 + payload("T-1"))[0] == 204


def test_full(make_relay, collector):
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}"}, outbox={"max_events": 1000})
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.allow("full")
    relay.start()
    door = Door(relay, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))
    for _ in range(1000):
        got, text, answer = door.ask(COLLECT, payload("T-1", "T-2", "T-3"))
        if got != 204:
            break
    assert got == 503 and int(answer.headers["Retry-After"]) > 0
    assert json.loads(text)["code"] == "QUEUE_FULL"


def test_debug_stores_nothing(door, collector):
    path = f"/debug/mp/collect?measurement_id={ID}&api_secret={SECRET}"
    assert json.loads(door.ask(path, payload("T-1"))[1]) == {"validationMessages": []}
    got, text, _ = door.ask(path, '{"client_id":"1.2","events":[{"name":"_badEventName","params":{}}]}')
    assert got == 200
    assert json.loads(text) == {"validationMessages": [{
        "fieldPath": "events", "validationCode": "NAME_INVALID",
        "description": "Event at index: [0] has invalid name [_badEventName]. "
                       "Names must start with an alphabetic character."}]}
    assert 'accepted_total{stream="web"} 0' in door.ask("/metrics")[1]


ENFORCED = {"client_id": "no-number", "validation_behavior": "ENFORCE_RECOMMENDATIONS", "events": [
    {"name": "purchase", "params": {"value": 1, "Bad name": 1, "session_id": 1, "engagement_time_msec": 1}}]}


def verdict_on(door, body):
    got, text, _ = door.ask("/debug/mp/collect", json.dumps(body))
    assert got == 200
    return [(m["validationCode"], m.get("fieldPath")) for m in json.loads(text)["validationMessages"]]


def test_debug_lists_what_recommendations_say(door):
    """As Google's does: with ENFORCE_RECOMMENDATIONS everything that is worth a warning, otherwise nothing."""
    said = verdict_on(door, ENFORCED)
    assert {("VALUE_INVALID", "client_id"), ("VALUE_REQUIRED", "events[0].params.currency"),
            ("VALUE_REQUIRED", "events[0].params.transaction_id"), ("VALUE_REQUIRED", "events[0].params.items"),
            ("NAME_INVALID", "events[0].params.Bad name")} <= set(said)
    camel = {k.replace("validation_behavior", "validationBehavior"): v for k, v in ENFORCED.items()}
    assert verdict_on(door, camel) == said
    assert verdict_on(door, {**ENFORCED, "validation_behavior": "RELAXED"}) == []
    assert verdict_on(door, {k: v for k, v in ENFORCED.items() if k != "validation_behavior"}) == []
    bad = {**ENFORCED, "events": [{"name": "session_start"}]}
    assert verdict_on(door, bad) == [("VALUE_INVALID", "client_id"), ("NAME_RESERVED", "events[0].name")]
    del bad["validation_behavior"]
    assert verdict_on(door, bad) == [("NAME_RESERVED", "events[0].name")]
    many = {**ENFORCED, "events": [ENFORCED["events"][0]] * 25}
    assert len(verdict_on(door, many)) == 20


def test_debug_lists_all_that_a_strict_stream_refuses(make_relay):
    """/mp/collect names the first of them, and whoever asks the debug path wants to mend them at once."""
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}"}).allow("refused")
    relay.config["streams"] = [relay.stream(validation="strict")]
    door = Door(relay.start(), lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))
    body = {k: v for k, v in ENFORCED.items() if k != "validation_behavior"}
    path = f"/debug{COLLECT}"
    said = [(m["validationCode"], m["fieldPath"]) for m in json.loads(door.ask(path, json.dumps(body))[1])["validationMessages"]]
    assert said[:2] == [("VALUE_INVALID", "client_id"), ("NAME_INVALID", "events[0].params.Bad name")]
    assert {f for _, f in said[2:]} == {f"events[0].params.{p}" for p in ("currency", "transaction_id", "items")}
    body["events"].append({"name": "session_start"})
    assert len(json.loads(door.ask(path, json.dumps(body))[1])["validationMessages"]) == len(said) + 1
    assert door.ask(COLLECT, json.dumps(body))[0] == 400


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_head_on_a_kept_connection(door, path):
    """It has the head of a GET and no body, and what comes next on the connection is the next answer."""
    c = door.connection()
    for _ in range(3):
        c.request("HEAD", path)
        answer = c.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0
    c.request("GET", "/healthz")
    assert c.getresponse().read() == b"ok\n"
    c.close()


@pytest.mark.parametrize("query", ["debug&{}", "{}&debug", "{}&", "&{}", "a=1&&{}", "{}&&b=", "=&{}", "{}&%zz"])
def test_a_query_with_flags_and_gaps(door, query):
    path, rest = COLLECT.split("?")
    assert door.ask(path + "?" + query.format(rest), payload("T-1"))[0] == 204
    assert door.ask(path + "?" + query.format("measurement_id=" + ID), payload("T-1"))[0] == 401


@pytest.mark.parametrize("data,status", [
    (b"nonsense\r\n\r\n", 400), (head("Content-Length : 5"), 400), (head("Content-Length: 10") + b"short", 400),
    (head("Content-Length: 2000000"), 413), (head(CHUNKED) + b"200000\r\n", 413), (head("X: " + "y" * 20000), 431),
    (head("Expect: 200-maybe", LENGTH), 417), (head(host="evil.example"), 403), (head(first="BREW / HTTP/1.1"), 404),
    (head(first="BREW /metrics HTTP/1.1"), 405), (head(first="POST /healthz HTTP/1.1"), 405),
])
def test_every_refusal_is_json(door, data, status):
    got = raw(door, data, refused=True)
    top, _, body = got.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 %d " % status) and b"\r\nContent-Type: application/json" in top, got
    said = json.loads(body)
    assert said["ok"] is False and said["message"]


def test_too_large_for_a_client_that_writes_first(make_relay):
    """http.client writes all of the body before it reads: it gets the 413 all the same."""
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}"}, listen={"max_line": "64K"}).start()
    door = Door(relay, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))
    got, text, _ = door.ask(COLLECT, "x" * 8_000_000)
    assert got == 413 and json.loads(text)["message"] == "the body is longer than 65536 bytes"


def test_half_close_behind_pipelined_requests(door, collector):
    """Each is answered, in order, and stored."""
    request = head(LENGTH) + GOOD
    got = raw(door, request * 30 + head(first="GET /healthz HTTP/1.1"), shut=True)
    assert got.count(b"HTTP/1.1 204 ") == 30
    assert got.endswith(b"\r\n\r\nok\n")
    wait_until(lambda: collector.count() == 30, "each once")


def test_health_and_metrics(door):
    assert door.ask("/healthz")[:2] == (200, "ok\n")
    got, text, answer = door.ask("/metrics")
    assert got == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "ga4relay_build_info" in text and SECRET not in text


def test_an_address_for_scrapers_alone(make_relay):
    """http.metrics serves /metrics and /healthz, and nothing that takes an event; http.listen may be off."""
    port = free_port()
    relay = make_relay(http={"metrics": f"0.0.0.0:{port}", "hosts": ["relay.example"]}).start()
    door = Door(relay, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))
    assert door.ask("/healthz")[:2] == (200, "ok\n")
    got, text, answer = door.ask("/metrics")
    assert got == 200 and "ga4relay_build_info" in text and SECRET not in text
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for path in (COLLECT, f"/debug{COLLECT}", "/", "/api/events"):
        assert door.ask(path, payload("T-1"))[0] == door.ask(path)[0] == 404, path
    assert door.ask("/metrics", payload("T-1"))[0] == 405
    assert relay.states() == {}
    # probes name an address; a name may be a page's own, rebound to this machine
    assert door.ask("/healthz", Host="10.1.2.3:9125")[0] == door.ask("/healthz", Host="[2001:db8::1]")[0] == 200
    assert door.ask("/healthz", Host="relay.example")[0] == 200
    assert door.ask("/healthz", Host="evil.example")[0] == door.ask("/healthz", Origin="http://x")[0] == 403


def test_a_host_that_is_an_address(door):
    """As a client in another container names it; only names can be rebound."""
    assert door.ask(COLLECT, payload("T-1"), Host="172.17.0.2:8125")[0] == 204
    assert door.ask(COLLECT, payload("T-1"), Host="[fd00::2]:8125")[0] == 204
    assert door.ask(COLLECT, payload("T-1"), Host="172.17.0.2.evil.example")[0] == 403


def test_health_tells_of_a_full_outbox_and_of_a_stop(make_relay, collector):
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}"}, outbox={"max_events": 1},
                       delivery={"drain_timeout": "20s"}).allow("outbox full").start()
    door = Door(relay, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=20))
    collector.rule = lambda r: Answer(hang=stuck)
    stuck = threading.Event()
    kept = door.connection()
    kept.request("GET", "/healthz")
    answer = kept.getresponse()
    assert (answer.status, answer.read()) == (200, b"ok\n")
    assert door.ask(COLLECT, payload("T-1"))[0] == 204
    wait_until(lambda: door.ask("/healthz")[0] == 503, "full")
    assert "full" in door.ask("/healthz")[1] and door.ask(COLLECT, payload("T-2"))[0] == 503
    relay.signal(signal.SIGTERM)
    wait_until(lambda: (kept.request("GET", "/healthz"), kept.getresponse().read())[1] == b"shutting down\n", "its word")
    stuck.set()
    kept.close()
    assert relay.wait_exit() == 0


def test_unix_socket(unix_door, collector):
    """Its permissions stand for the secret; a wrong one is still wrong."""
    assert unix_door.ask(f"/mp/collect?measurement_id={ID}", payload("T-1"))[0] == 204
    assert unix_door.ask(f"/mp/collect?measurement_id={ID}&api_secret=wrong", payload("T-2"))[0] == 403
    wait_until(lambda: collector.count() == 1, "the event")


def test_a_stop_loses_no_answer(door, collector):
    """Clients post as fast as they can while it stops: as many events arrive as there were 204s."""
    answered = []

    def client(n):
        for i in range(100000):
            try:
                if door.ask(COLLECT, payload(f"T-{n}-{i}"))[0] != 204:
                    return
            except (OSError, http.client.HTTPException):
                return
            answered.append(f"T-{n}-{i}")

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    wait_until(lambda: len(answered) > 200, "some traffic")
    door.relay.stop()
    for t in threads:
        t.join()
    door.relay.start()
    wait_until(lambda: set(answered) <= {e["params"]["transaction_id"] for e in collector.events},
                          "every event that was answered 204")
    sent = [e["params"]["transaction_id"] for e in collector.events]
    assert len(sent) == len(set(sent))
    assert len(set(sent) - set(answered)) == 0  # none was stored without its client hearing of it
