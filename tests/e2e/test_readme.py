# test_readme.py - what README.md and ga4relay-protocol(7) print is run as printed, but for the socket's path
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
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD_DIR", TOP / "build" / "release"))
README = (TOP / "README.md").read_text(encoding="utf-8")
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
        return len(self.received.read_text(encoding="utf-8", errors="replace").splitlines())

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
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


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
    "go": ("go", "refund.go", [["go", "run", "refund.go"]]),
    "java": ("java", "Refund.java", [["java", "Refund.java"]]),
    "perl": ("perl", "refund.pl", [["perl", "refund.pl"]]),
    "c": ("cc", "refund.c", [["cc", "-Wall", "-Wextra", "-Werror", "-o", "refund", "refund.c"], ["./refund"]]),
    "sh": ("nc", "refund.sh", [["sh", "refund.sh"]]),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_liner(language, sandbox, tmp_path):
    tool, name, commands = LANGUAGES[language]
    (source,) = blocks(language)
    assert "/run/ga4relay.sock" in source
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    (tmp_path / name).write_text(source.replace("/run/ga4relay.sock", str(sandbox.socket)), encoding="utf-8")
    before = sandbox.arrived()
    env = {**os.environ, "GOCACHE": str(tmp_path / "gocache"), "GOFLAGS": "-mod=mod"}
    for command in commands:
        out = run(command, cwd=tmp_path, env=env)
    reply = json.loads(out)
    assert reply["ok"] is True and reply["count"] == 1
    wait_until("its delivery", lambda: sandbox.arrived() > before)


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
    (block,) = [b for b in re.findall(r"^```\n(.*?)^```$", README, re.M | re.S) if b.startswith("# one stream")]
    secret = tmp_path / "web.secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    conf = tmp_path / "ga4relay.conf"
    # With the commented lines as well, which must be right too.
    text = re.sub(r"^# (delivery|outbox)", r"\1", block, flags=re.M)
    conf.write_text(text.replace("/etc/ga4relay/web.secret", str(secret)))
    run([BUILD / "ga4relay", "-t", "-c", conf])
