# test_secret.py - the secret is in the request's URL and nowhere else
import http.client
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from lib.client import event
from lib.collector import Answer, status
from lib.relay import SECRET, wait_until
from lib.tls import free_port
from lib.wire import RawServer


def test_a_secret_in_a_refused_line(make_relay):
    """However it is spelled, and where the line is cut: neither list, show, export nor the file has it."""
    relay = make_relay().allow("did not end cleanly")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    spelled = [SECRET, SECRET.replace("-", "%2d"), SECRET.replace("s", r"\u0073"), quote(SECRET).replace("C", "%43"),
               SECRET.replace("C", r"\u002543")]
    with relay.client() as c:
        c.send(b"POST /mp/collect?api_secret=" + SECRET.encode() + b" HTTP/1.1\n").reply()
    with relay.client() as c:
        for x in spelled:
            c.send(f'{{"client_id":"1.2","name":"ad_click","note":"{x}","{x}":1}}\n'.encode()).reply()
            for cut in (3, 6, 9, 12):
                c.send(b'{"client_id":"' + b"x" * (8192 - 14 - cut) + x.encode() + b"\n").reply()
    wait_until(lambda: len(relay.list("--state", "rejected")) == 26, "the refused lines")
    ids = [x["id"] for x in relay.list("--state", "rejected")]
    told = [relay.ctl_raw(*args).stdout for args in (["list", "--state", "rejected"], ["show", *ids], ["--json", "show", *ids],
                                                     ["export", "--state", "rejected"])]
    relay.kill9()
    told += [f.read_bytes().decode(errors="replace") for f in relay.dir.iterdir() if f.name.startswith("outbox.db") and f.is_file()]
    for text in told:
        for x in (*spelled, SECRET[:8]):
            assert x not in text, x
    assert "ad_click" in told[2] and "*" * len(SECRET) in told[2]


def test_canary(make_relay, collector):
    """grep for it: log (debug), replies, every command's output, metrics, database, arguments, environment."""
    relay = make_relay(log={"level": "debug"}, outbox={"keep_delivered": "1h"},
                       delivery={"proxy": "", "refuse_after": "0s"})
    relay.allow("destination", "refused", "dead", "not reloaded", "reload", "unclean", "did not end cleanly", "max_batch")
    relay.config["streams"] = [relay.stream(), relay.stream(name="broken", measurement_id="G-BROKEN",
                                                            endpoint="http://127.0.0.1:9/mp/collect")]
    relay.start()
    seen = []
    answers = [status(403), status(503, body=SECRET.encode()), Answer(close="after"), Answer(raw=b"bad\r\n\r\n")]
    collector.next(*answers)
    with relay.client() as c:
        for e in (event(), {**event(), "stream": "broken"}, event("ad_click"), {**event(), "stream": "nope"}):
            c.send(e)
            seen.append(c.raw_reply().decode())
    wait_until(lambda: collector.count() == 1, "the delivery")
    collector.rule = lambda r: status(400) if b"poison" in r.raw else None
    with relay.client() as c:             # others pass: so it is the event, not the destination
        c.send(event("poison"), *[event(client=f"{i}.1") for i in range(20)]).replies(21)
    wait_until(lambda: relay.states().get("dead") == 1, "a dead letter")
    relay.change(delivery={"max_batch": 99})
    relay.reload()
    for args in (["status"], ["list"], ["list", "--state", "dead"], ["list", "--state", "rejected"], ["count"],
                 ["show", "1", "2", "3"], ["export"], ["metrics"], ["doctor"], ["version"], ["reload"],
                 ["check-config", relay.conf]):
        for json in ([], ["--json"]):
            r = relay.ctl_raw(*json, *args)
            seen.append(r.stdout + r.stderr)
    copy = relay.dir / "copy.db"
    seen.append(relay.ctl_raw("backup", copy).stdout)
    proc = Path(f"/proc/{relay.pid}")
    seen.append((proc / "cmdline").read_text())
    seen.append((proc / "environ").read_text(errors="replace"))
    assert sum(len(x) for x in seen) > 5000
    for text in seen:
        assert SECRET not in text, text
    files = [f for f in relay.dir.iterdir() if f.is_file() and f != relay.secret_file]
    assert relay.db in files and copy in files
    relay.kill9()                         # with whatever lies in the WAL
    for f in files:
        assert SECRET.encode() not in f.read_bytes(), f
    # (doctor asks the endpoint without it)
    assert {r.query.get("api_secret", SECRET) for r in collector.requests} == {SECRET}


def test_a_secret_from_the_environment(make_relay, collector):
    """Read once and overwritten: not in /proc/PID/environ, not after a reload, and a reload still knows it."""
    relay = make_relay(log={"level": "debug"})
    relay.config["streams"] = [{"name": "web", "measurement_id": "G-TEST000001", "api_secret_env": "GA4_SECRET"}]
    relay.env = {"GA4_SECRET": SECRET, "GA4_OTHER": "seen"}
    relay.start()
    proc = Path(f"/proc/{relay.pid}")
    for _ in range(2):
        environ = (proc / "environ").read_bytes()
        assert SECRET.encode() not in environ and b"GA4_OTHER=seen" in environ
        assert relay.ask(event())["ok"]
        relay.wait_empty()
        assert relay.ctl_raw("reload").returncode == 0
    assert {r.query["api_secret"] for r in collector.requests} == {SECRET} and collector.count() == 2
    assert SECRET not in relay.log
    r = relay.ctl_raw("check-config", relay.conf)        # which has no such variable
    assert r.returncode == 0 and "not looked at: $GA4_SECRET" in r.stderr
    assert relay.stop() == 0
    relay.env = {}
    relay.allow("GA4_SECRET")
    relay.spawn()
    assert relay.wait_exit() == 78 and "api_secret_env: $GA4_SECRET is not set" in relay.log


def test_no_parameter_in_the_log(make_relay, collector):
    """No log line holds a parameter's value, a user_id or user_data."""
    relay = make_relay(log={"level": "debug"}).allow("refused", "dead", "destination").start()
    collector.next(status(503))
    with relay.client() as c:
        assert c.ask({**event(note="PRIVATE-value"), "user_id": "PRIVATE-user"})["ok"]
        c.ask({**event("ad_click", note="PRIVATE-value"), "user_id": "PRIVATE-user"})
        c.ask(b'{"client_id":"1.2","name":"x","params":{"a":"PRIVATE-value"},\n')
    relay.wait_empty()
    assert "PRIVATE" not in relay.log


def shut(conn):
    conn.head()
    conn.reset()


@pytest.mark.parametrize("how", ["refused", "no-name", "tls", "reset", "garbage", "wrong-scheme"])
def test_an_endpoint_that_fails(make_relay, begin, how):
    """libcurl's own words, at debug: whatever it says of a URL, the query is not among it."""
    port = free_port()
    server = begin(RawServer, shut)
    garbage = begin(RawServer, lambda conn: (conn.head(), conn.send(b"SSH-2.0-x\r\n\r\n"), conn.close()))
    where = {"refused": f"http://127.0.0.1:{port}/mp/collect", "no-name": "https://nowhere.invalid/mp/collect",
             "tls": f"https://127.0.0.1:{server.port}/mp/collect", "reset": server.url, "garbage": garbage.url,
             "wrong-scheme": f"https://127.0.0.1:{garbage.port}/mp/collect"}[how]
    relay = make_relay(where, log={"level": "debug"}, delivery={"retry_max": "200ms"}).allow("destination web").start()
    assert relay.ask(event())["ok"]
    wait_until(lambda: relay.log.count("outcome=") >= 2, "two tries")
    out = [relay.log]
    for args in (["status"], ["show", "1"], ["--json", "show", "1"], ["--json", "list"], ["metrics"], ["doctor"]):
        r = relay.ctl_raw(*args)
        out.append(r.stdout + r.stderr)
    for text in out:
        assert SECRET not in text and "api_secret=" not in text, text


def test_the_door_keeps_it_too(make_relay, collector):
    """Right, wrong, in the path, in a head, in a broken request: the door neither logs nor repeats it."""
    port = free_port()
    relay = make_relay(log={"level": "debug"}, http={"listen": f"127.0.0.1:{port}"}).start()
    answers = []

    def ask(path, body="x", **headers):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        c.request("POST", path, body, headers)
        a = c.getresponse()
        answers.append(str(a.headers) + a.read().decode())
        c.close()
        return a.status

    good = f"/mp/collect?measurement_id=G-TEST000001&api_secret={quote(SECRET)}"
    assert ask(good) == 400
    assert ask(good + "&measurement_id=G-OTHER") in (400, 404)
    assert ask(f"/{SECRET}/mp/collect") == 404
    assert ask(good, Origin=f"http://{SECRET}.example") == 403
    assert ask(good, Host=f"{SECRET}.example") == 403
    assert ask(f"/debug/mp/collect?api_secret={SECRET}") == 200
    assert ask(f"/mp/collect?measurement_id={SECRET}&api_secret={SECRET}") == 404
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(f"POST {good} HTTP/9.{SECRET}\r\n{SECRET}\r\n\r\n".encode())
        s.settimeout(20)
        answers.append(s.recv(65536).decode())
    assert SECRET not in relay.log
    for text in answers:
        assert SECRET not in text, text
