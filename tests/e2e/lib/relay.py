# relay.py - a real ga4relay in a directory of its own; fails the test on any line in its log that was not expected
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from .client import Client
from .patience import Patience

TOP = Path(__file__).resolve().parents[3]
VARIANT = os.environ.get("VARIANT", "release")
BUILD = Path(os.environ.get("BUILD_DIR", TOP / "build" / VARIANT))
SANITIZED = VARIANT in ("asan", "tsan")
PATIENCE = 60 if SANITIZED else 20  # seconds that a condition may take to come true

SECRET = "CANARY-secret-9f2"
SANITIZER = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|SUMMARY:")
LEVEL = re.compile(r" (warning|error): ")


class Raw(str):
    """Configuration text that is not quoted."""


def render(value):
    if isinstance(value, Raw):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{ " + " ".join(f"{k} = {render(v)};" for k, v in value.items()) + " }"
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            return "(\n\t" + ",\n\t".join(render(v) for v in value) + "\n)"
        return "[ " + ", ".join(render(v) for v in value) + " ]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Relay:
    def __init__(self, endpoint, **changes):
        """changes: listen={...}, outbox={...}, delivery={...}, streams=[...], validation="..." over the defaults below."""
        # A path of a socket has 107 bytes at most: pytest's own directories are too deep.
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-"))
        self.sock = self.dir / "ga4relay.sock"
        self.control = self.dir / "control.sock"
        self.db = self.dir / "outbox.db"
        self.conf = self.dir / "ga4relay.conf"
        self.log_path = self.dir / "log"
        self.secret_file = self.dir / "secret"
        self.secret_file.write_text(SECRET + "\n")
        self.secret_file.chmod(0o600)
        self.config = {
            "streams": [self.stream()],
            "listen": {"socket": self.sock},
            "control": {"socket": self.control},
            "outbox": {"path": self.db, "min_free_disk": "1M", "ballast": "1M"},
            "delivery": {"endpoint": endpoint, "linger": "10ms", "retry_min": "100ms", "retry_max": "1s",
                         "connect_timeout": "2s", "timeout": "10s", "drain_timeout": "10s"},
        }
        self.change(**changes)
        self.env = {}
        self.allowed = []
        self.process = None
        self.log_seen = 0        # bytes of the log that check_log() has judged
        self.wrapper = []        # before the program: strace, a socket activator
        self.notify = None

    def stream(self, **changes):
        return {"name": "web", "measurement_id": "G-TEST000001", "api_secret_file": self.secret_file, **changes}

    # ---- configuration ----

    def change(self, **changes):
        for key, value in changes.items():
            if isinstance(value, dict):
                self.config.setdefault(key, {}).update(value)
            else:
                self.config[key] = value
        return self

    def write_config(self, text=None):
        self.conf.write_text(text or "".join(f"{k} = {render(v)};\n" for k, v in self.config.items()))
        self.conf.chmod(0o600)

    # ---- life ----

    def spawn(self):
        """Starts the program and waits for nothing."""
        self._open_notify()
        env = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(self.dir / "notify"), "HOME": str(self.dir),
               "LSAN_OPTIONS": f"suppressions={TOP}/tests/e2e/lsan.supp:print_suppressions=0",
               "TSAN_OPTIONS": "halt_on_error=0:exitcode=66", "UBSAN_OPTIONS": "print_stacktrace=1", **self.env}
        if os.getuid() != 0 and not SANITIZED:
            env["LD_PRELOAD"] = ":".join(filter(None, [env.get("LD_PRELOAD"), str(BUILD / "tests" / "dumpable_shim.so")]))
        self.process = self.launch([*self.wrapper, str(BUILD / "ga4relay"), "-c", str(self.conf)], env)
        return self

    def launch(self, argv, env):
        """A child of this process. tests/system/sandboxed.py makes a unit of systemd of it."""
        with open(self.log_path, "ab") as log:
            return subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        self.write_config()
        self.spawn()
        self.wait_ready()
        return self

    def _open_notify(self):
        if self.notify:
            self.notify.close()
        path = self.dir / "notify"
        path.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(path))
        self.notify.settimeout(0.2)

    def notified(self, word, timeout=PATIENCE):
        """Waits for a message of sd_notify that holds the word."""
        patience = Patience(timeout)
        while patience.left():
            try:
                if word in self.notify.recv(4096).decode().split("\n"):
                    return True
            except TimeoutError:
                if self.process.poll() is not None:
                    return False
        return False

    def wait_ready(self):
        if not self.notified("READY=1"):
            raise AssertionError(f"not ready (exit {self.process.poll()}):\n{self.log}")

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=PATIENCE):
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def wait_exit(self, timeout=PATIENCE):
        patience = Patience(timeout)
        while patience.left():
            try:
                return self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError(f"still running after {timeout} s:\n{self.log}")

    def kill9(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def restart(self):
        assert self.stop() == 0, self.log
        return self.start()

    def reload(self):
        """Writes the configuration and waits until the daemon has taken or refused it."""
        self.write_config()
        before = len(self.log)
        self.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in self.log[before:], "the reload's word in the log")
        return self.log[before:]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # ---- talk ----

    def client(self, **kw):
        return Client(self.sock, **kw)

    def ask(self, *items):
        with self.client() as c:
            return c.ask(*items)

    def ctl_raw(self, *args, stdin=None):
        env = {"PATH": os.environ["PATH"], "LSAN_OPTIONS": f"suppressions={TOP}/tests/e2e/lsan.supp"}
        return subprocess.run([str(BUILD / "ga4relay-ctl"), "-s", str(self.control), *map(str, args)], env=env,
                              input=stdin, capture_output=True, text=True, timeout=120)

    def ctl(self, *args, stdin=None):
        """Objects that --json printed."""
        r = self.ctl_raw("--json", *args, stdin=stdin)
        assert r.returncode == 0, f"ga4relay-ctl {args}: exit {r.returncode}\n{r.stdout}{r.stderr}"
        return [json.loads(x) for x in r.stdout.splitlines()]

    def status(self):
        """As `ga4relay-ctl --json status` prints it, without a process for it: tests ask again and again."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(120)
                s.connect(str(self.control))
                s.sendall(b'{"command":"status"}\n')
                with s.makefile() as answers:
                    status, end = json.loads(answers.readline()), json.loads(answers.readline())
        except (OSError, ValueError) as e:
            raise AssertionError(f"no status: {e}\n{self.log}") from e
        assert end == {"end": True, "ok": True}, end
        return status

    def states(self):
        """Events by state, without the refused lines, which never became events."""
        return {k: v for k, v in self.status()["events"].items() if v and k != "rejected"}

    def list(self, *args):
        return self.ctl("list", "--limit", "100000", *args)

    def rss_kib(self):
        for x in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if x.startswith("VmRSS:"):
                return int(x.split()[1])
        return 0

    def wait_empty(self, timeout=PATIENCE):
        """Nothing is left to be sent."""
        wait_until(lambda: not set(self.states()) & {"queued", "inflight"}, "an empty queue", timeout)

    def sql(self, query, *args):
        """On the file of a stopped daemon only: one connection owns it."""
        assert not self.alive()
        db = sqlite3.connect(self.db)
        try:
            return db.execute(query, args).fetchall()
        finally:
            db.commit()
            db.close()

    # ---- the log ----

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def allow(self, *patterns):
        """Warnings and errors that this test expects (regular expressions)."""
        self.allowed += [re.compile(p) for p in patterns]
        return self

    def check_log(self):
        wrong = [x for x in self.log.splitlines()
                 if SANITIZER.search(x) or (LEVEL.search(x) and not any(p.search(x) for p in self.allowed))]
        assert not wrong, "unexpected in the log:\n" + "\n".join(wrong) + "\n--- all of it:\n" + self.log

    def finish(self):
        """The end of a test: a clean stop, a clean log."""
        try:
            if self.alive():
                assert self.stop() == 0, f"exit {self.process.returncode}:\n{self.log}"
            self.check_log()
        finally:
            if self.alive():
                self.kill9()
            if self.notify:
                self.notify.close()
            if "GA4RELAY_KEEP" not in os.environ:
                shutil.rmtree(self.dir, ignore_errors=True)


def wait_until(condition, what="the condition", timeout=PATIENCE):
    patience = Patience(timeout)
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if not patience.left():
            raise AssertionError(f"{what}: not within {timeout} s (last: {value!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
