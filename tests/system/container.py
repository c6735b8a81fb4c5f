# container.py - a Debian that boots under systemd-nspawn, made once and copied for every run
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASE = Path("/var/tmp/ga4relay-system-root")
LOCK = Path("/var/tmp/ga4relay-system.lock")
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter")
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root", "TERM": "dumb"}
BOOT_PATIENCE = 90 # seconds
# Nothing may wake up by itself in the middle of a test, and no server may take the host's ports, which are the container's.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
          "nginx.service", "nghttpx.service", "tinyproxy.service")


def why_not():
    """Why there can be no container here; None: there can."""
    if os.geteuid() != 0:
        return "it takes root"
    missing = [t for t in TOOLS if not shutil.which(t, path=ENV["PATH"])]
    if missing:
        return "missing: " + ", ".join(missing) + " (Debian: apt install debootstrap systemd-container)"
    if "bookworm" != codename():
        return "the container is Debian 12, and the programs are built for this system"
    return None


def codename():
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
    return found and found.group(1)


def mirror():
    """Where this machine's own apt takes its packages from."""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                          "Created-By: Packages"], capture_output=True, text=True, check=True).stdout
    for uri, release, component in (x.split() for x in out.splitlines()):
        if (release, component) == (codename(), "main"):
            return uri
    raise AssertionError(f"apt has no source for {codename()} main")


def proxy():
    out = subprocess.run(["apt-config", "dump", "--format", "%v", "Acquire::http::Proxy"], capture_output=True, text=True)
    return {"http_proxy": out.stdout.strip()} if out.stdout.strip() else {}


def make_base():
    """The tree that the runs copy; made again when what it is made from changes."""
    listed = [x for x in (HERE / "packages").read_text().split("\n") if x and not x.startswith("#")]
    stamp, wanted = BASE / "root/.ga4relay-packages", "\n".join([*listed, *MASKED])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    unfinished = BASE.with_suffix(".new")
    remove(unfinished)
    print(f"making {BASE}, once: some minutes", flush=True)
    log = BASE.with_suffix(".log")
    with open(log, "wb") as out:
        made = subprocess.run(["debootstrap", "--variant=minbase", "--include=" + ",".join(listed), codename(),
                               str(unfinished), mirror()], env={**os.environ, **ENV, **proxy()}, stdout=out, stderr=out)
    subprocess.run(["umount", "-q", unfinished / "proc"], capture_output=True)
    assert made.returncode == 0, f"debootstrap failed, see {log}"
    for unit in MASKED:
        (unfinished / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (unfinished / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    shutil.rmtree(unfinished / "var/cache/apt/archives", ignore_errors=True)
    (unfinished / "root/.ga4relay-packages").write_text(wanted)
    remove(BASE)
    unfinished.rename(BASE)


def remove(tree):
    if tree.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", tree], check=True)


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
        make_base()
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-system-", dir="/var/tmp"))
        self.root = self.dir / "root"
        self.console = self.dir / "console"
        subprocess.run(["cp", "-a", "--reflink=auto", BASE, self.root], check=True)
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
