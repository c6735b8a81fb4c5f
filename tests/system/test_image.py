# test_image.py - the container image: built from a bare Debian, and run as etc/container/ says, by podman
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from pathlib import Path

import pytest
import trees
from container import wait
from lib.client import Client, event
from lib.collector import Collector, status
from lib.tls import free_port

TOP = trees.TOP
CONTAINER = TOP / "etc/container"
IMAGE = "localhost/ga4relay-test"
STORE = Path(f"/var/tmp/ga4relay-podman-{trees.SUITE}")  # layers are kept, so that only what changed is built again
SECRET = "CANARY-container-secret"


# crun, podman's own choice, refuses kernels where some controllers are of cgroup v1.
PODMAN = ["podman", "--root", STORE, "--runroot", f"{STORE}-run", "--cgroup-manager=cgroupfs",
          *(["--runtime=runc"] if shutil.which("runc") else [])]

# Lower than anybody's: podman's own are more than a root without CAP_SYS_RESOURCE may give.
LIMITS = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]


def why_not():
    if os.environ.get("CI") and os.environ.get("FULL") != "1":
        return "it makes a Debian and builds the image in it, some minutes: in CI only with FULL=1"
    if not shutil.which("podman"):
        return "missing: podman (Debian: apt install podman)"
    return trees.why_not()


def podman(*args, check=True, timeout=600):
    r = subprocess.run([*PODMAN, *map(str, args)], capture_output=True, text=True, timeout=timeout)
    assert r.returncode == 0 or not check, f"podman {args}: {r.returncode}\n{r.stdout[-800:]}{r.stderr[-800:]}"
    return r


def finish(tree, _log):
    # A mirror may be a snapshot, older than its suites say they are good for.
    (tree / "etc/apt/apt.conf.d/snapshot").write_text('Acquire::Check-Valid-Until "false";\n')


def base_of(containerfile):
    """The image that the Containerfile starts from."""
    return next(x.split("=")[1] for x in containerfile.read_text().splitlines() if x.startswith("ARG BASE="))


@pytest.fixture(scope="module")
def image():
    reason = why_not()
    if reason:
        warnings.warn(f"THE CONTAINER IMAGE IS NOT TESTED: {reason}")
        pytest.skip(reason)
    name = base_of(CONTAINER / "Containerfile")
    tree = trees.make_once("image", ["ca-certificates"], "snapshot", finish)
    made = str((tree / "root/.ga4relay-recipe").stat().st_mtime_ns)
    if podman("inspect", "--format", "{{.Comment}}", name, check=False).stdout.strip() != made:
        tar = subprocess.Popen(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run([*PODMAN, "import", "-m", made, "-", name], stdin=tar.stdout,
                       check=True, capture_output=True)
        assert tar.wait() == 0
    proxy = [f"--build-arg={k}={v}" for k, v in trees.proxy().items()]
    podman("build", "--pull=never", "--network=host", *proxy, "-f", CONTAINER / "Containerfile", "-t", IMAGE, TOP, timeout=1800)
    podman("image", "prune", "-f")
    return IMAGE


class Box:
    """One container, run as etc/container/compose.yml says, but in the host's network, where the collector is."""

    def __init__(self, image, url, uid="10001:10001", outbox=None, secret_line='api_secret_file = "/run/secrets/ga4relay-web"'):
        self.name = f"ga4relay-test-{uuid.uuid4().hex[:8]}"
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-image-", dir="/var/tmp"))
        self.image, self.uid = image, uid
        self.outbox = outbox or f"{self.dir}/outbox:/var/lib/ga4relay"
        user, group = map(int, uid.split(":"))
        for name in ("outbox", "events"):
            (self.dir / name).mkdir(mode=0o770)
            os.chown(self.dir / name, user, group)
        self.dir.chmod(0o755)
        (self.dir / "secret").touch(mode=0o440)
        (self.dir / "secret").write_text(SECRET + "\n")
        os.chown(self.dir / "secret", 0, group)
        self.metrics = free_port()
        text = (CONTAINER / "container.conf").read_text()
        for old, new in (('api_secret_file = "/run/secrets/ga4relay-web"', secret_line), ("G-ABC1234567", "G-IMAGE00001"),
                         ("0.0.0.0:9125", f"127.0.0.1:{self.metrics}")):
            assert old in text
            text = text.replace(old, new)
        (self.dir / "ga4relay.conf").write_text(text + f'delivery: {{ endpoint = "{url}"; }};\n')

    def run(self, *more):
        d = self.dir
        podman("run", "-d", *LIMITS, "--name", self.name, "--network=host", "--read-only", "--user", self.uid, "--cap-drop=all",
               "--security-opt=no-new-privileges", "--tmpfs", "/run:mode=1777",
               "-v", f"{d}/ga4relay.conf:/etc/ga4relay/ga4relay.conf:ro", "-v", f"{d}/secret:/run/secrets/ga4relay-web:ro",
               "-v", self.outbox, "-v", f"{d}/events:/run/ga4relay", *more, self.image)
        wait(lambda: self.http("/healthz") == 200 or self.died(), "readiness")
        return self

    def died(self):
        state = json.loads(podman("inspect", self.name).stdout)[0]["State"]
        assert state["Running"], self.log()

    def http(self, path):
        try:
            with socket.create_connection(("127.0.0.1", self.metrics), 2) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
                return int(s.recv(64).split()[1])
        except OSError:
            return None

    def ctl(self, *args):
        return podman("exec", self.name, "/usr/sbin/ga4relay-ctl", "-s", "/run/control.sock", *args).stdout

    def pid(self):
        return json.loads(podman("inspect", self.name).stdout)[0]["State"]["Pid"]

    def client(self):
        return Client(str(self.dir / "events/events.sock"))

    def log(self):
        r = podman("logs", self.name, check=False)
        return r.stdout + r.stderr

    def stop(self, timeout=30):
        started = time.monotonic()
        podman("stop", "-t", timeout, self.name)
        state = json.loads(podman("inspect", self.name).stdout)[0]["State"]
        return state["ExitCode"], time.monotonic() - started

    def finish(self):
        podman("rm", "-f", self.name, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def box(image):
    made = []
    collector = Collector()

    def make(**kw):
        made.append(Box(image, collector.url, **kw))
        return made[-1]

    make.collector = collector
    yield make
    for b in made:
        b.finish()
    collector.down()


def test_process_1_drains_and_comes_back(box):
    """The program is process 1, read-only root, no capability, no shell: what is accepted is sent, also after a SIGTERM."""
    b = box().run("-v", "/dev/null:/bin/sh:ro", "-v", "/dev/null:/bin/dash:ro", "-v", "/dev/null:/bin/bash:ro")
    with open(f"/proc/{b.pid()}/status") as f:
        fields = dict(x.rstrip("\n").split(":\t", 1) for x in f if ":\t" in x)
    assert fields["Name"] == "ga4relay" and fields["NSpid"].split()[-1] == "1"
    assert fields["Uid"].split() == ["10001"] * 4 and int(fields["CapEff"], 16) == 0 and fields["NoNewPrivs"] == "1"
    with b.client() as c:
        assert c.ask(event("first"))["ok"]
    wait(lambda: box.collector.count("first") == 1, "the delivery")
    assert '"queued":0' in b.ctl("--json", "status")
    assert oct((b.dir / "events/events.sock").stat().st_mode)[-4:] == "0660"

    box.collector.rule = lambda r: status(503)
    with b.client() as c:
        assert all(x["ok"] for x in c.send(*[event("late", n=i) for i in range(50)]).replies(50))
    wait(lambda: json.loads(b.ctl("--json", "status"))["streams"][0]["state"] != "up", "the outage")
    box.collector.rule = None
    code, took = b.stop()
    assert code == 0 and took < 25, b.log()
    assert [json.loads(x)["message"] for x in b.log().splitlines()][-1] == "stopped"
    podman("start", b.name)
    wait(lambda: box.collector.count("late") == 50, "what waited")
    wait(lambda: '"queued":0' in b.ctl("--json", "status"), "an empty queue")
    assert SECRET not in b.log() and {r.query["api_secret"] for r in box.collector.requests} == {SECRET}


def test_any_uid_and_a_secret_from_the_environment(box):
    """As platforms do that choose a uid: group 0, a name that no file has."""
    b = box(uid="1234567:0", secret_line='api_secret_env = "GA4RELAY_WEB_SECRET"').run("-e", f"GA4RELAY_WEB_SECRET={SECRET}")
    with b.client() as c:
        assert c.ask(event("mine"))["ok"]
    wait(lambda: box.collector.count("mine") == 1, "the delivery")
    assert box.collector.requests[0].query["api_secret"] == SECRET
    environ = Path(f"/proc/{b.pid()}/environ").read_bytes()
    assert SECRET.encode() not in environ
    assert b.stop()[0] == 0 and SECRET not in b.log()


def test_the_image_s_own_volume_takes_any_uid(box):
    """Without a mount for the outbox: the anonymous volume is group 0's."""
    b = box(uid="7654321:0", outbox="/var/lib/ga4relay").run()
    with b.client() as c:
        assert c.ask(event())["ok"]
    wait(lambda: box.collector.count() == 1, "the delivery")


def test_without_a_configuration(image):
    """The first thing that happens to everybody: it says what is missing, and ends with 78."""
    r = podman("run", "--rm", *LIMITS, "--network=none", "--read-only", image, check=False)
    assert r.returncode == 78 and "/etc/ga4relay/ga4relay.conf" in r.stderr and "No such file" in r.stderr, r.stderr
    assert podman("run", "--rm", *LIMITS, "--network=none", image, "-V").stdout.startswith("ga4relay")
    user = json.loads(podman("inspect", image).stdout)[0]["Config"]
    assert user["User"] == "10001:10001" and user["Entrypoint"] == ["/usr/sbin/ga4relay"] and "StopSignal" not in str(user.get("Cmd"))
