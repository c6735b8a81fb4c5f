# test_completion.py - the shells' completion: what is offered, and that no name of a stream is ever run
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import threading
import time
import warnings

import pytest

from lib.client import event
from lib.relay import BUILD, TOP, wait_until

EVIL = ["$(touch pwned)", "`touch pwned`", ";touch pwned;", "a b'$(touch pwned)'\"$(touch pwned)", "x|touch pwned", "{touch,pwned}",
        "~/$(touch pwned)", "-s $(touch pwned)"]
SETUP = {
    "bash": "bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'\n"
            "source {top}/src/ctl/ga4relay-ctl.bash\n",
    "zsh": "unsetopt beep zle_bracketed_paste; fpath=({home} $fpath); autoload -Uz compinit; compinit -u -d {home}/dump\n",
    "fish": "source {top}/src/ctl/ga4relay-ctl.fish\n",
}
START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "--no-config", "-i"]}


def need(shell):
    if not shutil.which(shell):
        warnings.warn(f"{shell.upper()} IS MISSING: its completion is not tested (Debian: apt install {shell})")
        pytest.skip(f"{shell} is missing")


class Shell:
    """An interactive shell on a terminal of its own, in an empty directory."""

    def __init__(self, name, home):
        self.home = home
        self.out = b""
        (home / "_ga4relay-ctl").write_bytes((TOP / "src/ctl/ga4relay-ctl.zsh").read_bytes())
        (home / "cwd").mkdir(exist_ok=True)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home / "cwd")
            os.execvpe(name, START[name], {"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(home), "TERM": "xterm",
                                           "COLUMNS": "200", "LC_ALL": "C.UTF-8", "XDG_CONFIG_HOME": str(home),
                                           "XDG_DATA_HOME": str(home)})
        self.type(SETUP[name].format(top=TOP, home=home))
        self.type("echo re''ady\n")
        self.until(lambda: b"ready" in self.out, "the shell")

    def read(self, seconds=0.05):
        while select.select([self.fd], [], [], seconds)[0]:
            try:
                got = os.read(self.fd, 65536)
            except OSError:
                return
            # a shell asks what its terminal is, where its cursor is
            if b"\x1b[c" in got or b"\x1b[0c" in got:
                os.write(self.fd, b"\x1b[?62;c")
            if b"\x1b[6n" in got:
                os.write(self.fd, b"\x1b[1;1R")
            self.out += got

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, condition, what):
        wait_until(lambda: self.read() or condition(), f"{what}, after {self.out!r}")

    def stop(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, 9)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


@pytest.fixture
def shells(tmp_path):
    made = []

    def start(name):
        need(name)
        made.append(Shell(name, tmp_path))
        return made[-1]

    yield start
    for s in made:
        s.stop()


@pytest.fixture
def liar(paused):
    """The control socket of a daemon that answers as a real one does, but calls its streams what it likes."""
    path = paused.dir / "liar.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(8)

    def relay_one(conn):
        with conn, socket.socket(socket.AF_UNIX) as real:
            real.connect(str(paused.control))
            line = conn.makefile("rb").readline()
            real.sendall(line)
            for answer in real.makefile("rb"):
                streams = re.search(rb'"streams":\[(\{.*?\})\]', answer)
                if streams:
                    more = b",".join(streams[1].replace(b'"name":"web"', b'"name":' + json.dumps(n).encode())
                                     for n in [*EVIL, "web", "shop.eu-1"])
                    answer = answer.replace(streams[1], more)
                conn.sendall(answer)
                if b'"end":true' in answer:
                    break

    def serve():
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=relay_one, args=[conn], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield path
    server.close()


@pytest.mark.parametrize("shell", SETUP)
@pytest.mark.parametrize("words", ["pause ", "list --stream "])
def test_a_stream_s_name_is_never_run(liar, shells, shell, words):
    """By TAB, TAB, and by running what was inserted."""
    s = shells(shell)
    s.out = b""
    s.type(f"ga4relay-ctl -s {liar} {words}\t")
    s.until(lambda: b"shop.eu-1" in s.out, "the names")
    s.type("\t\t")
    time.sleep(0.5)
    s.type("\x15")                        # the line is given up
    s.type(f"ga4relay-ctl -s {liar} {words}sho\t --json\n")
    s.read(1)
    assert list((s.home / "cwd").iterdir()) == [], s.out
    assert b"touch" not in s.out, s.out


@pytest.mark.parametrize("shell", SETUP)
def test_an_outbox_whose_streams_are_called_so(make_relay, shells, shell):
    """The daemon itself passes such a name on as a number: to status, list, metrics and the log."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    assert relay.ask(event())["ok"]
    assert relay.stop() == 0
    for i, name in enumerate(EVIL):
        relay.sql("INSERT INTO stream(id, name, pause) VALUES(?, ?, 0)", 2 + i, name)
    relay.sql("UPDATE event SET sid = 2")
    for args in (["list"], ["count", "--by", "stream"], ["export"], ["check"]):
        r = relay.ctl_raw("--offline", relay.db, *args)
        assert "touch" not in r.stdout + r.stderr, r
    relay.allow("not in the configuration", "counters differ").start()
    for args in (["status"], ["list"], ["count", "--by", "stream"], ["metrics"]):
        assert "touch" not in relay.ctl_raw(*args).stdout
    assert "touch" not in relay.log
    s = shells(shell)
    s.out = b""
    s.type(f"ga4relay-ctl -s {relay.control} pause \t")
    s.until(lambda: b"web" in s.out, "the name")
    s.type("\t\t")
    s.read(1)
    assert list((s.home / "cwd").iterdir()) == [] and b"touch" not in s.out, s.out


def test_files_with_such_names_are_quoted_by_bash(shells):
    """A file may be called so, and is offered: what is inserted runs nothing."""
    s = shells("bash")
    (s.home / "cwd" / "x$(touch pwned)").write_text("")
    s.out = b""
    s.type("ga4relay-ctl check-config x\t")
    s.until(lambda: rb"\$" in s.out, "the quoted name")
    s.type("\n")
    s.read(1)
    assert not (s.home / "cwd" / "pwned").exists(), s.out


def offered(shell, *words):
    """What it offers for the last of the words."""
    if shell == "bash":
        test = f"""source {TOP}/src/ctl/ga4relay-ctl.bash; COMP_WORDS=({" ".join(f"'{w}'" for w in words)})
            COMP_CWORD={len(words) - 1}; _ga4relay_ctl; printf '%s\n' "${{COMPREPLY[@]}}" """
    else:
        test = f"source {TOP}/src/ctl/ga4relay-ctl.fish; complete -C '{' '.join(words)}'"
    r = subprocess.run([shell, "-c", test], capture_output=True, text=True, env={"PATH": f"{BUILD}:{os.environ['PATH']}"})
    assert r.stderr == "", r.stderr
    return {x.split("\t")[0].strip() for x in r.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_what_is_offered(make_relay, shell):
    """As the shell asks it: commands, options of a command, states in a list, reasons."""
    need(shell)
    commands = set(re.findall(r"^  ([a-z-]+) [ A-Z\[]", make_relay().ctl_raw("--help").stdout, re.M))
    assert len(commands) >= 23 and commands <= offered(shell, "ga4relay-ctl", "")
    assert offered(shell, "ga4relay-ctl", "cou") == {"count"}
    assert offered(shell, "ga4relay-ctl", "list", "--re") == {"--reason", "--reverse"}
    assert "--watch" in offered(shell, "ga4relay-ctl", "status", "--")
    assert "--watch" not in offered(shell, "ga4relay-ctl", "list", "--")
    assert offered(shell, "ga4relay-ctl", "list", "--state", "de") == {"dead", "delivered"}
    assert "age" in offered(shell, "ga4relay-ctl", "count", "--by", "")
    assert "ALL" in offered(shell, "ga4relay-ctl", "drop", "")


def test_what_zsh_offers(shells):
    s = shells("zsh")
    for typed, expected in [("cou", b"count"), ("list --rev", b"--reverse"), ("list --state del", b"delivered"),
                            ("log-level deb", b"debug")]:
        s.out = b""
        s.type(f"ga4relay-ctl {typed}\t")
        s.until(lambda: expected in s.out, expected)
        s.type("\x15")


def test_what_is_to_be_copied_into_a_shell_is_quoted(paused):
    """check's advice, for a file whose name would run something."""
    assert paused.stop() == 0
    path = paused.dir / "o'$(touch pwned).db"
    paused.db.rename(path)
    with open(path, "r+b") as f:
        f.write(b"\xa5" * 4096)
    said = paused.ctl_raw("--offline", path, "check").stdout
    advice = next(x for x in said.splitlines() if "--offline" in x).split("|")[0].split("--offline ")[1].split(" export")[0]
    r = subprocess.run(["sh", "-c", f"printf %s {advice}"], capture_output=True, text=True, cwd=paused.dir)
    assert r.stdout == str(path) and not (paused.dir / "pwned").exists()
