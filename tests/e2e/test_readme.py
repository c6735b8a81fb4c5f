# test_readme.py - what README.md and ga4relay-protocol(7) print is run as printed, but for the socket's path
import json
import os
import re
import shutil
import signal
import socket
import subprocess
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

    def __init__(self, directory):
        self.socket = directory / "ga4relay.sock"
        self.received = directory / "received"
        self.log = directory / "log"
        with open(self.received, "wb") as out, open(self.log, "wb") as err:
            self.process = subprocess.Popen(
                [BUILD / "ga4relay", f"--sandbox={directory}"], stdout=out, stderr=err, stdin=subprocess.DEVNULL)
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
