# container.py - a Debian that boots under systemd-nspawn, made once and copied for every run
import fcntl
import os
import signal
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import trees
from trees import ENV, HERE, SUITE, copy, listed, make_once, remove

LOCK = Path("/var/tmp/ga4relay-system.lock")
BOOT_PATIENCE = 90 # seconds
# Nothing may wake up by itself in the middle of a test, and no server may take the host's ports, which are the container's.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
          "nginx.service", "nghttpx.service", "tinyproxy.service")


def why_not():
    """Why there can be no container here; None: there can."""
    missing = [t for t in ("systemd-nspawn", "nsenter") if not shutil.which(t, path=ENV["PATH"])]
    if missing:
        return "missing: " + ", ".join(missing) + " (Debian: apt install systemd-container)"
    return trees.why_not()


def finish(tree, _log):
    for unit in MASKED:
        (tree / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")


def base():
    """The tree that the runs copy. A package has one name, or those of RELEASES in their order."""
    column = trees.RELEASES.index(SUITE)
    return make_once("system", [x[min(column, len(x) - 1)] for x in listed(HERE / "packages")],
                     "\n".join(MASKED), finish)


def wait(condition, what, timeout=30):
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"{what}: not within {timeout} s (last: {value!r})"
        time.sleep(0.05)


class Container:
    def __init__(self):
        # One at a time: without a manager of units outside, every container's cgroup has the same name.
        self.lock = open(LOCK, "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        tree = base()
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-system-", dir="/var/tmp"))
        self.root = self.dir / "root"
        self.console = self.dir / "console"
        copy(tree, self.root)
        self.process = self.leader = None

    def boot(self):
        with open(self.console, "wb") as out:
            self.process = subprocess.Popen(["systemd-nspawn", "--quiet", "-D", self.root, "-b", "--register=no", "--keep-unit",
                                             "--console=pipe", "--hostname=ga4relay-test", "--resolv-conf=off"],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        self.leader = wait(self._find_leader, "the container's first process", BOOT_PATIENCE)
        self.state = wait(self._booted, "the container's boot", BOOT_PATIENCE)
        return self

    def _find_leader(self):
        assert self.process.poll() is None, f"systemd-nspawn ended: {self.console.read_text(errors='replace')}"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        return None

    def _booted(self):
        state = self.try_run("systemctl", "is-system-running").stdout.strip()
        return state if state in ("running", "degraded") else None

    def stop(self):
        try:
            if self.process and self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM) # systemd-nspawn asks its systemd to power off
                try:
                    self.process.wait(60)
                except subprocess.TimeoutExpired:
                    os.kill(self.leader or self.process.pid, signal.SIGKILL)
                    self.process.wait(20)
        finally:
            remove(self.dir)
            self.lock.close()

    # ---- what happens inside ----

    def try_run(self, *args, stdin=None, timeout=120):
        return subprocess.run(["nsenter", "-t", str(self.leader), "-a", "--", *map(str, args)], env=ENV, input=stdin,
                              capture_output=True, text=True, timeout=timeout)

    def run(self, *args, stdin=None, timeout=120):
        r = self.try_run(*args, stdin=stdin, timeout=timeout)
        assert r.returncode == 0, f"{args}: exit {r.returncode}\n{r.stdout}{r.stderr}"
        return r.stdout

    def file(self, path):
        """A file of the tree, seen from outside, but for what is mounted inside."""
        return self.root / path.lstrip("/")

    def inside(self, path):
        """The same with what is mounted inside, /run above all."""
        return Path(f"/proc/{self.leader}/root") / path.lstrip("/")

    # ---- units ----

    def show(self, prop, unit="ga4relay.service"):
        return self.run("systemctl", "show", "-p", prop, "--value", unit).strip()

    def journal(self, unit="ga4relay.service"):
        return self.run("journalctl", "-u", unit, "-o", "cat", "--no-pager")
