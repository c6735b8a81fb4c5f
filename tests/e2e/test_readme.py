# test_readme.py - what README.md, etc/languages.md and ga4relay-protocol(7) print is run as printed, but for the socket's path
import http.server
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
import warnings
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD_DIR", TOP / "build" / "release"))
README = (TOP / "README.md").read_text(encoding="utf-8")
LANGUAGES_MD = (TOP / "etc" / "languages.md").read_text(encoding="utf-8")
MANUAL = (TOP / "man" / "ga4relay-protocol.7").read_text(encoding="utf-8")
WAIT = 30  # seconds until a condition counts as missed


def wait_until(what, condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, f"waited {WAIT} s for {what}"
        time.sleep(0.02)


class Sandbox:
    """ga4relay --sandbox and what its collector printed"""

    def __init__(self, directory, args=None):
        self.socket = directory / "ga4relay.sock"
        self.received = directory / "received"
        self.log = directory / "log"
        with open(self.received, "wb") as out, open(self.log, "wb") as err:
            self.process = subprocess.Popen(
                [BUILD / "ga4relay", *(args or [f"--sandbox={directory}"])], stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        wait_until("the event socket", self.answers)

    def answers(self):
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(str(self.socket)) == 0

    def arrived(self):
        return sum(x.startswith("✓") for x in self.received.read_text(encoding="utf-8", errors="replace").splitlines())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(WAIT) == 0, self.log.read_text(errors="replace")


@pytest.fixture(name="sandbox", scope="module")
def sandbox_fixture(tmp_path_factory):
    # Short, since a socket's path has 107 bytes at most.
    sandbox = Sandbox(tmp_path_factory.mktemp("readme"))
    yield sandbox
    sandbox.stop()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README + LANGUAGES_MD, re.M | re.S)


def source_of(language):
    """The example: what else is written in that language keeps its connection."""
    return next(block for block in blocks(language) if "class Relay" not in block)


def run(args, **more):
    done = subprocess.run(args, capture_output=True, timeout=240, check=False, **more)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


# language: the tool it needs, the file's name, the commands
LANGUAGES = {
    "php": ("php", "refund.php", [["php", "refund.php"]]),
    "python": ("/usr/bin/python3", "refund.py", [["/usr/bin/python3", "refund.py"]]),
    "javascript": ("node", "refund.js", [["node", "refund.js"]]),
    "ruby": ("ruby", "refund.rb", [["ruby", "refund.rb"]]),
    "go": ("go", "refund.go", [["go", "build", "-o", "refund", "refund.go"], ["./refund"]]),
    "java": ("javac", "Refund.java", [["javac", "Refund.java"], ["java", "Refund"]]),
    "perl": ("perl", "refund.pl", [["perl", "refund.pl"]]),
    "c": ("cc", "refund.c", [["cc", "-Wall", "-Wextra", "-Werror", "-o", "refund", "refund.c"], ["./refund"]]),
    "sh": ("nc", "refund.sh", [["sh", "refund.sh"]]),
}


def example(language, path, directory):
    """Runs it with that socket: what it wrote to its output and its error output, and how long that took."""
    tool, name, commands = LANGUAGES[language]
    source = source_of(language)
    assert "/run/ga4relay.sock" in source
    if not shutil.which(tool):
        warnings.warn(f"{tool} IS MISSING: README's example in {language} was not run")
        pytest.skip(f"{tool} is not installed")
    (directory / name).write_text(source.replace("/run/ga4relay.sock", str(path)), encoding="utf-8")
    env = {**os.environ, "GOCACHE": str(Path(tempfile.gettempdir()) / "ga4relay-readme-gocache"), "GOFLAGS": "-mod=mod"}
    for command in commands[:-1]:
        run(command, cwd=directory, env=env)
    began = time.monotonic()
    done = subprocess.run(commands[-1], cwd=directory, env=env, capture_output=True, timeout=240, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, time.monotonic() - began


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_liner(language, sandbox, tmp_path):
    before = sandbox.arrived()
    reply = json.loads(example(language, sandbox.socket, tmp_path)[0])
    assert reply["ok"] is True and reply["count"] == 1
    wait_until("its delivery", lambda: sandbox.arrived() > before)


# ---- the relay is away, refuses, stalls, restarts ----

class Stand(threading.Thread):
    """In the relay's place: takes each connection's line and, after `late` seconds, answers it, or closes, or does neither."""

    def __init__(self, path, answer):
        super().__init__(daemon=True)
        self.listening, self.answer, self.kept = socket.socket(socket.AF_UNIX), answer, []
        self.listening.bind(str(path))
        self.listening.listen(8)
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.listening.accept()
            except OSError:
                return
            self.kept.append(s)
            if self.answer is None:
                continue  # stalls: the line stays where it is
            if self.answer:
                s.makefile("rb").readline()
                s.sendall(self.answer)
            self.kept.remove(s)
            s.close()

    def end(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for s in self.kept:
            s.close()


REFUSED = b'{"ok":false,"code":"NAME_RESERVED","field":"name","message":"no","retry":false}\n'


@pytest.mark.parametrize("relay_is", ["away", "refused", "refusing", "stalled", "restarting"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_one_liner_without_its_relay(language, relay_is, tmp_path):
    """It goes on within its time limit: its exit status is 0, and it has said what the matter is."""
    with tempfile.TemporaryDirectory(prefix="ga4-") as name:
        path = Path(name) / "ga4relay.sock"
        stand = None
        if relay_is == "refused":  # its file is there, and nobody listens
            socket.socket(socket.AF_UNIX).bind(str(path))
        elif relay_is != "away":
            stand = Stand(path, {"refusing": REFUSED, "stalled": None, "restarting": b""}[relay_is])
        out, err, took = example(language, path, tmp_path)
        if stand:
            stand.end()
    assert took < 30, took
    if relay_is == "refusing":
        assert json.loads(out) == json.loads(REFUSED)
    else:
        assert '"ok":true' not in out
        assert relay_is == "restarting" or "ga4relay" in err + out or language == "sh", (out, err)


class Restarting(threading.Thread):
    """Answers the first line of a connection and closes the first one; the second one stalls after that."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.seen, self.kept = path, [], []
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen(8)
        self.start()

    def run(self):
        for n in range(3):
            s, _ = self.listening.accept()
            file = s.makefile("rwb")
            self.seen.append(json.loads(file.readline())["dedup_key"])
            file.write(b'{"ok":true,"id":%d,"count":1}\n' % n)
            file.flush()
            if n == 0:
                file.close()
                s.close()
            self.kept.append((s, file))


def test_a_kept_connection_is_made_again(tmp_path):
    """After a restart and after a time-out; and where nobody is there, the application goes on."""
    (kept,) = [block for block in blocks("python") if "class Relay" in block]
    names = {"json": json, "socket": socket}
    exec(kept, names)  # noqa: S102 - it is ours
    with tempfile.TemporaryDirectory(prefix="ga4-") as name:
        path = Path(name) / "ga4relay.sock"
        relay = names["Relay"](str(path))
        assert relay.send({"dedup_key": "0"}) == {"ok": False, "retry": True}
        there = Restarting(path)
        assert [relay.send({"dedup_key": str(i)})["id"] for i in range(3)] == [0, 1, 2]
        assert there.seen == ["0", "1", "2"]


def test_a_kept_connection_of_the_real_relay(sandbox):
    (kept,) = [block for block in blocks("python") if "class Relay" in block]
    names = {"json": json, "socket": socket}
    exec(kept, names)  # noqa: S102 - it is ours
    relay = names["Relay"](str(sandbox.socket))
    event = {"client_id": "1.2", "name": "login", "params": {}}
    first = relay.send({**event, "dedup_key": "kept-1"})["id"]
    relay.file.close()
    assert relay.send({**event, "dedup_key": "kept-1"}) == {**relay.send({**event, "dedup_key": "kept-1"}), "id": first}


def test_readme_names_every_language():
    assert {language for language in LANGUAGES if blocks(language)} == set(LANGUAGES)


def exchange(sandbox, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(sandbox.socket))
        s.sendall(line.encode() + b"\n")
        s.shutdown(socket.SHUT_WR)
        return json.loads(s.makefile().read())


def manual_lines():
    """The .Bd blocks of EXAMPLES that hold a line, unfolded as the page says"""
    examples = MANUAL[MANUAL.index(".Sh EXAMPLES"):]
    for block in re.findall(r"^\.Bd -literal\n(.*?)^\.Ed", examples, re.M | re.S):
        if block.startswith("{"):
            yield "".join(part.strip() for part in block.splitlines())


RECIPES = [line for block in blocks("json") for line in block.splitlines()] + list(manual_lines())


@pytest.mark.parametrize("number", range(len(RECIPES)))
def test_recipe(number, sandbox):
    line = RECIPES[number]
    before = sandbox.arrived()
    reply = exchange(sandbox, line)
    assert reply["ok"] is True, reply
    if not reply.get("duplicate"):
        wait_until("its delivery", lambda: sandbox.arrived() > before)


class Recorder(http.server.BaseHTTPRequestHandler):
    """Stands in for GA4 and keeps what it got."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(name="sent", scope="module")
def sent_fixture(tmp_path_factory):
    """What the README's recipes became, by event name, and the replies."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.bodies = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="ga4-") as name:
        directory = Path(name)
        (directory / "secret").write_text("s3cret\n")
        (directory / "secret").chmod(0o600)
        conf = directory / "conf"
        conf.write_text(f"""
streams = ( {{ name = "web"; measurement_id = "G-ABC1234567"; api_secret_file = "{directory}/secret"; }} );
listen = {{ socket = "{directory}/ga4relay.sock"; }};
control = {{ socket = "{directory}/control.sock"; }};
outbox = {{ path = "{directory}/outbox.db"; min_free_disk = "1M"; ballast = "1M"; }};
delivery = {{ endpoint = "http://127.0.0.1:{server.server_port}/mp/collect"; linger = "10ms"; }};
""")
        relay = Sandbox(directory, ["-c", conf])
        replies = [exchange(relay, line) for block in blocks("json") for line in block.splitlines()]
        wait_until("three events", lambda: sum(len(body["events"]) for body in server.bodies) == 3)
        relay.stop()
    server.shutdown()
    server.server_close()
    yield {e["name"]: {**body, "event": e} for body in server.bodies for e in body["events"]}, replies


def test_the_refund_carries_its_purchase_s_id(sent):
    bodies, replies = sent
    params = bodies["refund"]["event"]["params"]
    assert params == {"transaction_id": "T-1001", "currency": "EUR", "value": 59.9}
    assert bodies["refund"]["client_id"] == "123.456" and "dedup_key" not in bodies["refund"]
    assert replies[0]["ok"]


def test_the_renewal_is_the_customer_s_and_warns_of_the_session_only(sent):
    bodies, replies = sent
    assert bodies["purchase"]["user_id"] == "u-42"
    assert abs(bodies["purchase"]["event"]["timestamp_micros"] / 1e6 - time.time()) < 120
    assert [w["field"] for w in replies[1]["warnings"]] == ["params.session_id"]


def test_the_conversion_joins_the_session_of_its_cookies(sent):
    bodies, replies = sent
    assert bodies["generate_lead"]["client_id"] == "123.456"
    assert bodies["generate_lead"]["event"]["params"]["session_id"] == "1795000000"
    assert "warnings" not in replies[2]


def test_the_page_hands_over_both_ids(tmp_path):
    """The README's script, with a gtag and a document that are ours."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    (page,) = blocks("html")
    fields = re.findall(r'<input type="hidden" name="(\w+)">', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    (tmp_path / "page.js").write_text("""
const elements = {%s};
const gtag = (what, id, field, then) => then(what + " " + id + " " + field);
const document = {getElementById: (id) => ({lead: {elements}})[id]};
%s
console.log(JSON.stringify(elements));
""" % (",".join(name + ":{}" for name in fields), script))
    assert json.loads(run(["node", tmp_path / "page.js"])) == {
        name: {"value": f"get G-ABC1234567 {name}"} for name in ("client_id", "session_id")}


def test_recipes_are_there():
    assert len(blocks("json")) == 3
    assert len(list(manual_lines())) == 3


def test_configuration_of_readme_is_taken(tmp_path):
    (block,) = [b for b in re.findall(r"^```\n(.*?)^```$", README + LANGUAGES_MD, re.M | re.S) if b.startswith("# one stream")]
    secret = tmp_path / "web.secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    conf = tmp_path / "ga4relay.conf"
    # With the commented lines as well, which must be right too.
    text = re.sub(r"^# (delivery|outbox)", r"\1", block, flags=re.M)
    conf.write_text(text.replace("/etc/ga4relay/web.secret", str(secret)))
    run([BUILD / "ga4relay", "-t", "-c", conf])
