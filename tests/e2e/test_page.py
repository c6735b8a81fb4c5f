# test_page.py - the live page and GET /api/events: by the protocol, and in a real Chromium
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import warnings
from pathlib import Path

import pytest

from lib.browser import Browser, need_chromium
from lib.client import Client, event
from lib.relay import BUILD, SANITIZED, TOP, wait_until
from lib.tls import free_port

MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


class Sandbox:
    """ga4relay --sandbox=DIR --http=…"""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-"))
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.sock = self.dir / "ga4relay.sock"
        self.log = self.dir / "log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BUILD / "ga4relay", f"--sandbox={self.dir}", f"--http={self.host}"],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        wait_until(lambda: self.answers() or self.process.poll() is not None, "the page")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                assert self.process.wait(60) == 0
            assert not re.search(r" error: |Sanitizer|runtime error", self.log.read_text()), self.log.read_text()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def send(self, *lines):
        with Client(self.sock) as c:
            return [c.ask(x) for x in lines]

    def ask(self, path, method="GET", timeout=60, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            answer = c.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            c.close()

    def events(self, **query):
        status, text, headers = self.ask(f"/api/events?{urllib.parse.urlencode(query)}")
        assert status == 200 and headers["Content-Type"] == "application/x-ndjson", text
        return [json.loads(x) for x in text.splitlines()]

    def answer(self, how):
        status, text, _ = self.ask(f"/api/collector?answer={how}", "POST", Origin=self.url)
        assert status == 204, text

    def stream(self, **headers):
        """An open stream of server-sent events."""
        s = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        extra = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        s.sendall(f"GET /api/stream HTTP/1.1\r\nHost: {self.host}\r\n{extra}\r\n".encode())
        return s

    def settled(self):
        """All outcomes are committed: nothing goes again after a kill -9."""
        return re.search(r'^ga4relay_outbox_events\{state="queued"\} 0$', self.ask("/metrics")[1], re.M)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connections(self):
        """To the page's address, as the relay's side sees them."""
        local = f":{self.port:04X}"
        lines = [x.split() for x in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(x[1].endswith(local) and x[3] in ("01", "08") for x in lines)

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])


@pytest.fixture(name="sandbox")
def sandbox_fixture():
    s = Sandbox().start()
    yield s
    s.stop()


def messages(s, until, patience=30):
    """The messages of a stream up to the first that until() takes: (event, id, data)."""
    got, text = [], b""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        text += s.recv(65536)
        body = b"".join(re.findall(rb"\r\n[0-9a-f]+\r\n(.*?)(?=\r\n[0-9a-f]+\r\n|\r\n$)", text, re.S)).decode(errors="replace")
        got = [dict(x.split(": ", 1) for x in m.split("\n") if ": " in x) for m in body.split("\n\n") if "data: " in m]
        got = [(m.get("event"), m.get("id"), m["data"]) for m in got]
        if any(until(*m) for m in got):
            return got
    raise AssertionError(got)


def has_delivery(kind, _, data):
    return kind is None and any(e["state"] == "delivered" for e in json.loads(data))


# ---- the protocol ----

def test_the_page_is_one_and_small(sandbox):
    status, text, headers = sandbox.ask("/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(text.encode()) < 64 << 10
    assert not re.search(r"""(?:src|href)=["']?(?!data:)[a-z/]""", text), "it loads something"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not [h for h in headers if h.lower().startswith("access-control-")]
    assert sandbox.ask("/", "HEAD")[1] == ""


@pytest.mark.parametrize("path,method", [("/", "GET"), ("/api/stream", "GET"), ("/api/events", "GET"), ("/api/collector?answer=503", "POST")])
@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "https://{host}"}, {"Origin": "http://127.0.0.1:1"},
    {"Host": "evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
    {"Origin": "http://{host}.evil.example"}])
def test_no_other_origin_is_answered(sandbox, path, method, headers):
    headers = {k: v.format(host=sandbox.host) for k, v in headers.items()}
    status, text, _ = sandbox.ask(path, method, **headers)
    assert status == 403 and json.loads(text)["ok"] is False


def test_the_switch_needs_its_own_origin(sandbox):
    assert sandbox.ask("/api/collector?answer=503", "POST")[0] == 403
    assert sandbox.ask("/api/collector?answer=503", "GET")[0] == 405
    assert sandbox.ask("/api/collector?answer=never", "POST", Origin=sandbox.url)[0] == 400
    assert sandbox.ask("/api/collector?answer=503", "POST", Origin=sandbox.url, Sec_Fetch_Site="same-origin")[0] == 204


def test_an_event_is_waited_for(sandbox):
    assert sandbox.events() == []
    began = time.monotonic()
    assert sandbox.events(name="purchase", wait="500ms") == []
    assert 0.4 < time.monotonic() - began < 10
    got = []
    waits = threading.Thread(target=lambda: got.extend(sandbox.events(name="refund", state="delivered", wait="30s")))
    waits.start()
    sandbox.send(event("login"), event("refund", client="7.7"))
    waits.join(30)
    assert [(e["name"], e["client"], e["state"], e["last_status"], e["verdict"]) for e in got] == [
        ("refund", "7.7", "delivered", 204, "accepted")]
    assert json.loads(got[0]["line"]) == event("refund", client="7.7")
    body = json.loads(got[0]["body"])
    assert body["client_id"] == "7.7" and body["events"][0]["name"] == "refund"
    assert got[0]["realtime"] == {"shows": True, "because": None}
    assert sandbox.events(name="refund", since=got[0]["id"]) == []
    sandbox.send(event("refund", client="8.8"))
    (again,) = sandbox.events(name="refund", since=got[0]["id"], state="delivered", wait="30s")
    assert again["client"] == "8.8" and again["id"] > got[0]["id"]
    assert len(sandbox.events(client="8.8")) == 1
    for bad in ("since=x", "since=-1", "wait=5", "wait=11m"):
        assert sandbox.ask(f"/api/events?{bad}")[0] == 400


def test_verdicts_and_reasons(sandbox):
    keyed = {**event("refund"), "dedup_key": "k"}
    sandbox.send(keyed, keyed, {"client_id": "1.2", "name": "session_start"}, b"nonsense\n",
                 {"client_id": "1.2", "name": "login"}, {"client_id": "1.2", "events": [event("a"), event("b")]})
    wait_until(lambda: len(sandbox.events(state="delivered")) == 2, "the good ones")
    by = {v: sandbox.events(verdict=v) for v in ("accepted", "duplicate", "refused", "warned")}
    assert {k: len(v) for k, v in by.items()} == {"accepted": 1, "duplicate": 1, "refused": 3, "warned": 1}
    reserved = by["refused"][0]
    assert reserved["refusal"]["code"] == "NAME_RESERVED" and reserved["refusal"]["hint"] and reserved["refusal"]["field"] == "name"
    assert reserved["realtime"] == {"shows": False, "because": "the relay refused it: nothing is sent"}
    assert by["refused"][1]["line"] == "nonsense" and by["refused"][1]["refusal"]["code"] == "JSON_INVALID"
    assert by["duplicate"][0]["event_id"] == by["accepted"][0]["event_id"]
    warned = by["warned"][0]
    assert {w["field"] for w in warned["warnings"]} == {"params.session_id", "params.engagement_time_msec"} or warned["warnings"]
    assert warned["realtime"]["shows"] is False and "session_id" in warned["realtime"]["because"]


def test_outage_by_the_switch(sandbox):
    sandbox.answer("503")
    sandbox.send(event("purchase"))
    (failed,) = sandbox.events(state="retrying", wait="30s")
    assert failed["last_status"] == 503 and failed["attempts"] >= 1
    sandbox.answer("hang")
    wait_until(lambda: sandbox.events(state="sent"), "one that hangs")
    sandbox.answer("204")
    (done,) = sandbox.events(state="delivered", wait="60s")
    assert [s["state"] for s in done["steps"]][0] == "queued" and done["steps"][-1]["status"] == 204
    sandbox.answer("400")
    sandbox.send(event("refund"))
    wait_until(lambda: sandbox.events(name="refund")[0]["attempts"] > 0, "what 400 does")


def test_what_an_operator_does(sandbox):
    """Held, released, dropped and retried events are shown as such, and not as queued for ever."""
    def ctl(*args):
        subprocess.run([BUILD / "ga4relay-ctl", "-s", sandbox.dir / "control.sock", *args], check=True, stdout=subprocess.DEVNULL)

    def states():
        return {e["name"]: e["state"] for e in sandbox.events()}

    ctl("pause")
    sandbox.send(event("refund"), event("login"))
    ctl("hold", "1", "2")
    wait_until(lambda: states() == {"refund": "held", "login": "held"}, "both held")
    ctl("release", "1")
    wait_until(lambda: states() == {"refund": "queued", "login": "held"}, "one released")
    ctl("drop", "2")
    wait_until(lambda: states()["login"] == "dropped", "the other dropped")
    (dropped,) = sandbox.events(state="dropped")
    assert dropped["realtime"] == {"shows": False, "because": "an operator dropped it"}
    assert [s["state"] for s in dropped["steps"]] == ["queued", "held", "dropped"]
    ctl("resume")
    wait_until(lambda: states()["refund"] == "delivered", "the delivery")


def test_the_stream_goes_on_where_it_was(sandbox):
    sandbox.send(event("refund"))
    sandbox.events(state="delivered", wait="30s")
    with sandbox.stream() as s:
        first = messages(s, has_delivery)
    assert first[0][0] == "hello" and json.loads(first[0][2])["sandbox"] is True
    last = [i for kind, i, _ in first if kind is None][-1]
    wait_until(sandbox.settled, "the commit of what was delivered")
    sandbox.kill9()
    sandbox.start()
    sandbox.send(event("purchase"))
    with sandbox.stream(Last_Event_ID=last) as s:
        then = messages(s, has_delivery)
    assert {e.get("name") for kind, _, d in then if kind is None for e in json.loads(d)} <= {"purchase", None}
    assert all(int(i) > int(last) for kind, i, _ in then if kind is None)


def test_readers_are_bounded_and_free_everything(sandbox):
    sandbox.send(event("refund"))
    before = sandbox.descriptors()
    readers = [sandbox.stream() for _ in range(16)]
    for s in readers:
        messages(s, lambda kind, *_: kind == "hello")
    assert sandbox.ask("/api/stream")[0] == 503
    assert sandbox.ask("/api/events")[0] == 503
    assert sandbox.ask("/")[0] == 200
    for s in readers:
        s.close()
    wait_until(lambda: sandbox.descriptors() <= before, "the descriptors")
    assert len(sandbox.events()) == 1


def flood(sandbox, seconds, per_s, replies):
    """Writes so many events a second, and reads their replies."""
    with Client(sandbox.sock) as c:
        begun, n = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < seconds:
            some = max(1, min(200, int(passed * per_s) - n))
            asked = time.monotonic()
            c.send(*(event(["refund", "login"][i % 2], client=f"{i % 50}.7", n=n + i) for i in range(some)))
            c.replies(some)
            replies.append(time.monotonic() - asked)
            n += some
            time.sleep(0.02)
    return n


def test_a_slow_reader_holds_up_nobody(sandbox):
    """It reads nothing: what it misses is not kept for it, and others get all."""
    slow = [sandbox.stream() for _ in range(4)]
    for s in slow:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    before, replies = sandbox.rss_kib(), []
    flood(sandbox, 4, 1000, replies)
    grown = sandbox.rss_kib() - before
    assert SANITIZED or grown < 60 << 10, grown
    assert sandbox.events(name="login")
    for s in slow:
        s.close()


def test_a_relay_in_earnest_shows_no_contents(make_relay, collector):
    port = free_port()
    relay = make_relay(http={"listen": f"127.0.0.1:{port}", "page": True}).start()
    relay.ask(event("purchase", client="canary.1", secret="CANARY-value"))
    relay.ask({"client_id": "canary.1", "name": "login", "params": {"CANARY-name": None, "x": "CANARY"}})
    assert relay.ask({"client_id": "canary.1", "name": "CANARY name"})["ok"] is False
    relay.wait_empty()
    page = Sandbox.__new__(Sandbox)
    page.port, page.host = port, f"127.0.0.1:{port}"
    wait_until(lambda: len(page.events(state="delivered")) >= 1, "the event on the page")
    status, text, _ = page.ask("/api/events")
    assert status == 200 and "purchase" in text and "NAME_INVALID" in text
    assert "CANARY" not in text and "canary" not in text
    with page.stream() as s:
        hello = messages(s, lambda kind, *_: kind == "stats")
    assert "CANARY" not in str(hello) and json.loads(hello[0][2])["sandbox"] is False
    assert page.ask("/api/collector?answer=503", "POST", Origin=f"http://127.0.0.1:{port}")[0] == 404


def test_the_page_is_off_by_default(make_relay):
    port = free_port()
    make_relay(http={"listen": f"127.0.0.1:{port}"}).start()
    page = Sandbox.__new__(Sandbox)
    page.port = port
    assert [page.ask(p)[0] for p in ("/", "/api/stream", "/api/events", "/api/collector")] == [404] * 4


def test_http_is_for_the_sandbox():
    done = subprocess.run([BUILD / "ga4relay", "--http=127.0.0.1:1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "http.page" in done.stderr


LINE = json.dumps(event("refund"))
CODE = {"python": ("/usr/bin/python3", "t.py", """
import socket
def refund():
    s = socket.socket(socket.AF_UNIX); s.connect(SOCKET); s.sendall(LINE.encode() + b"\\n"); s.recv(4096)
"""), "javascript": ("node", "t.mjs", """
import net from "node:net";
const refund = () => new Promise((done) => {
  const s = net.connect(SOCKET, () => s.write(LINE + "\\n"));
  s.on("data", () => { s.end(); done(); });
});
""")}


@pytest.mark.parametrize("language", CODE)
def test_the_readme_s_integration_test(sandbox, language, tmp_path):
    """Five lines, run as printed but for the port; and they fail where the event is not as wanted."""
    tool, name, before = CODE[language]
    readme = (TOP / "README.md").read_text()
    (test,) = [b for b in re.findall(rf"^```{language}\n(.*?)^```$", readme, re.M | re.S) if "/api/events" in b]
    assert test.count("\n") == 5
    if not shutil.which(tool):
        warnings.warn(f"{tool} IS MISSING: README's integration test in {language} was not run")
        pytest.skip(f"{tool} is not installed")
    for line, works in ((LINE, True), ('{"client_id":"1.2","name":"refund"}', False)):
        sandbox.kill9()
        sandbox.start()
        wait_until(lambda: sandbox.events() == [], "an empty page")
        text = before.replace("SOCKET", json.dumps(str(sandbox.sock))).replace("LINE", json.dumps(line)) + test
        (tmp_path / name).write_text(text.replace("127.0.0.1:8125", sandbox.host))
        done = subprocess.run([tool, name], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode == 0) is works, done.stderr


# ---- in a browser ----

@pytest.fixture(name="one_browser", scope="module")
def one_browser_fixture():
    need_chromium()
    b = Browser()
    yield b
    b.stop()


@pytest.fixture(name="browser")
def browser_fixture(one_browser):
    yield one_browser
    one_browser.open("about:blank")
    one_browser.complaints()


def opened(browser, sandbox):
    browser.open(sandbox.url + "/")
    wait_until(lambda: browser.text("#link") == "live", "the page to be live")
    return browser


def top(browser):
    """The text of the first row."""
    return (browser.rows() or [""])[0]


def test_events_appear_live(sandbox, browser):
    opened(browser, sandbox)
    browser.js("window.mark = 1")
    assert browser.rows() == []
    sandbox.send(event("purchase", client="7.7"))
    wait_until(lambda: any("purchase" in r and r.endswith("204") for r in browser.rows()), "the event, delivered")
    sandbox.send({"client_id": "1.2", "name": "session_start"})
    wait_until(lambda: "refused" in top(browser), "the refused line")
    browser.click(".row[aria-posinset='1']")
    detail = browser.text("#detail")
    assert "NAME_RESERVED" in detail and "Choose another name" in detail and "no, because the relay refused it" in detail
    assert browser.js("return window.mark") == 1, "the page was loaded again"
    assert browser.complaints() == []


def test_values_are_text(sandbox, browser):
    opened(browser, sandbox)
    sandbox.send({"client_id": MARKUP, "name": "purchase", "params": {"x": MARKUP, "transaction_id": "T"}},
                 {"client_id": "1.2", "name": MARKUP}, MARKUP.encode() + b"\n")
    wait_until(lambda: len(browser.rows()) == 3, "three lines")
    for n in (1, 2, 3):
        browser.click(f".row[aria-posinset='{n}']")
        assert "onerror" in browser.text("#detail")
        assert browser.js("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.js("return document.title") == "ga4relay sandbox"
    assert browser.complaints() == []


def test_the_switch_and_the_recovery(sandbox, browser):
    opened(browser, sandbox)
    browser.click("#switch input[value='503']")
    wait_until(lambda: sandbox.ask("/api/events")[0] == 200 and "503" in (browser.text("#said") or ""), "the switch's word")
    sandbox.send(event("purchase"))
    wait_until(lambda: re.search("503|again", top(browser)), "the failure")
    wait_until(lambda: "503" in browser.text("#destination"), "the destination's state")
    browser.click("#switch input[value='204']")
    wait_until(lambda: top(browser).endswith("204"), "the delivery")
    assert browser.js("return document.querySelector('#switch input:checked').value") == "204"


def test_filters_and_keyboard(sandbox, browser):
    opened(browser, sandbox)
    sandbox.send(event("purchase", client="7.7"), event("refund", client="8.8"), event("login", client="9.9"), b"nonsense\n")
    wait_until(lambda: len(browser.rows()) == 4, "four lines")
    browser.press("/", "r", "e", "f")
    wait_until(lambda: len(browser.rows()) == 1 and "refund" in browser.rows()[0], "the filter by name")
    assert "1 of 4" in browser.text("#count")
    browser.js("const n = document.querySelector('#by-name'); n.value = ''; n.dispatchEvent(new Event('input', {bubbles: true}))")
    browser.type("#by-client", "9.9")
    wait_until(lambda: len(browser.rows()) == 1 and "login" in browser.rows()[0], "the filter by client")
    browser.js("const n = document.querySelector('#by-client'); n.value = ''; n.dispatchEvent(new Event('input', {bubbles: true}))")
    browser.js("const n = document.querySelector('#by-verdict'); n.value = 'refused'; n.dispatchEvent(new Event('input', {bubbles: true}))")
    wait_until(lambda: len(browser.rows()) == 1 and "nonsense" in browser.rows()[0], "the filter by verdict")
    browser.js("const n = document.querySelector('#by-verdict'); n.value = ''; n.dispatchEvent(new Event('input', {bubbles: true}))")
    wait_until(lambda: len(browser.rows()) == 4, "all again")
    browser.press("Escape")
    browser.js("document.querySelector('#list').focus()")
    browser.press("j")
    assert browser.text("#detail h2") == "JSON_INVALID"
    browser.press("Down", "j")
    assert browser.text("#detail h2") == "refund"
    browser.press("Up")
    assert browser.text("#detail h2") == "login"
    assert browser.js("return document.querySelector('#list').getAttribute('aria-activedescendant')") == browser.js(
        "return document.querySelector('.row[aria-selected=true]').id")
    browser.press("Tab")
    assert browser.js("return document.activeElement.tagName") in ("ARTICLE", "BUTTON")


def test_the_curl_command_is_the_request(sandbox, browser, tmp_path):
    """It is run as copied: the body arrives byte for byte, nothing in it is a command, and no secret is in it."""
    evil = "it's $(touch pwned) `touch pwned` \"; touch pwned; ' !x"
    opened(browser, sandbox)
    sandbox.send(event("purchase", note=evil, large=12345678901234567890))
    wait_until(lambda: top(browser).endswith("204"), "the delivery")
    browser.js("navigator.clipboard.writeText = async (t) => { window.copied = t }")
    browser.press("j", "c")
    command = wait_until(lambda: browser.js("return window.copied"), "the command")
    assert "api_secret='\"$GA4_API_SECRET\"" in command
    if not shutil.which("curl"):
        pytest.skip("curl is missing")
    since = sandbox.events()[-1]["id"]
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\0" "$@" >args\n')
    (tmp_path / "curl").chmod(0o755)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True,
                   env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "GA4_API_SECRET": "s3cret"})
    args = (tmp_path / "args").read_bytes().decode().split("\0")
    assert args[-2] == sandbox.events(name="purchase")[0]["body"] and not (tmp_path / "pwned").exists()
    assert args[3].startswith("http://127.0.0.1:") and args[3].endswith("&api_secret=s3cret")
    assert since


def test_a_restart_is_survived(sandbox, browser):
    opened(browser, sandbox)
    sandbox.answer("503")
    sandbox.send(event("purchase"))
    wait_until(lambda: re.search("503|again", top(browser)), "the failure")
    sandbox.kill9()
    wait_until(lambda: browser.text("#link") != "live", "the page to notice")
    sandbox.start()
    wait_until(lambda: browser.text("#link") == "live", "the page to come back")
    wait_until(lambda: top(browser).endswith("204"), "what the next process delivered, in the same row")
    assert len(browser.rows()) == 1
    browser.click(".row[aria-posinset='1']")
    assert "The line as it arrived" in browser.text("#detail")


SECONDS = int(os.environ.get("PAGE_SECONDS", "10"))


def test_a_thousand_a_second(sandbox, browser):
    """Page and relay stay responsive and bounded, and a closed tab frees what it had."""
    opened(browser, sandbox)
    assert sandbox.connections() > 0
    before, replies, waits, heaps = sandbox.rss_kib(), [], [], []
    sends = threading.Thread(target=flood, args=(sandbox, SECONDS, 1000, replies))
    sends.start()
    while sends.is_alive():
        asked = time.monotonic()
        heaps.append(browser.js("return performance.memory.usedJSHeapSize"))
        waits.append(time.monotonic() - asked)
        time.sleep(0.2)
    wait_until(lambda: browser.text("#count").startswith("1,000 lines"), "the last thousand")
    wait_until(lambda: browser.rows() and all(r.endswith("204") for r in browser.rows()), "their deliveries")
    rows = browser.js("return document.querySelectorAll('.row').length")
    grown = sandbox.rss_kib() - before
    print(f"{SECONDS} s: slowest reply {max(replies):.3f} s, answers of the page {sorted(waits)[len(waits) // 2]:.3f} s at the median, at most {max(waits):.3f} s, "
          f"relay +{grown} KiB, page's heap at most {max(heaps) >> 20} MiB, {rows} rows are elements")
    assert rows < 60
    assert SANITIZED or (grown < 64 << 10 and max(waits) < 10 and max(replies) < 10 and max(heaps) < 200 << 20)
    browser.open("about:blank")
    # The browser keeps an idle connection for its next request; the relay closes it after 30 s.
    wait_until(lambda: sandbox.connections() == 0, "the end of the closed tab's connections", 90)


@pytest.mark.parametrize("width,dark", [(360, False), (360, True), (1280, True)])
def test_it_fits(sandbox, browser, width, dark):
    browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=1, mobile=width < 500)
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
    try:
        opened(browser, sandbox)
        sandbox.send(event("purchase", client="1796127843.1796127843"), b"nonsense\n")
        wait_until(lambda: len(browser.rows()) == 2, "two lines")
        assert browser.js("return document.documentElement.scrollWidth") <= width
        light = browser.js("return Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) > 128")
        assert light is not dark
        browser.click(".row[aria-posinset='2']")
        assert "purchase" in browser.text("#detail")
        assert browser.js("return document.documentElement.scrollWidth") <= width
        if width < 500:
            browser.click("#back")
        browser.click(".row[aria-posinset='1']")
        assert "JSON_INVALID" in browser.text("#detail")
    finally:
        browser.cdp("Emulation.clearDeviceMetricsOverride")
        browser.cdp("Emulation.setEmulatedMedia", features=[])
