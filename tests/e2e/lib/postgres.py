# postgres.py - a primary and its standbys: real servers that are stopped, killed, promoted, and lose their power
#
# The database folder is made once per process and copied: a standby that begins with its primary's own bytes streams from
# the first moment. A server never runs as root; where the tests do, it runs as the system's database user.
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import pytest

from .mounts import Mount
from .relay import wait_until
from .tls import free_port

PASSWORD = "CANARY-fleet-4c1"
USER, DATABASE = "relay", "ga4relay"
START = 60                              # seconds
TEMPLATE = None


def programs():
    """The folder of the newest installed server; skips loudly without one."""
    found = [p for p in glob.glob("/usr/lib/postgresql/*/bin") if os.path.exists(f"{p}/initdb")]
    if found:
        return Path(max(found, key=lambda p: int(p.split("/")[-2])))
    if shutil.which("initdb"):
        return Path(os.path.realpath(shutil.which("initdb"))).parent
    warnings.warn("POSTGRESQL IS MISSING: the fleet is not tested (Debian: apt install postgresql)")
    pytest.skip("PostgreSQL is missing: the fleet is not tested (Debian: apt install postgresql)")


def account():
    """Whom the servers run as, for Popen: nobody else than who runs the tests, unless that is root."""
    if os.getuid() != 0:
        return {}
    name = "postgres" if any(p.pw_name == "postgres" for p in pwd.getpwall()) else "nobody"
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give(path):
    if account():
        subprocess.run(["chown", "-R", f"{account()['user']}:{account()['group']}", path], check=True)


def run(*args, **kw):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                       cwd="/", **account(), **kw)
    assert r.returncode == 0, f"{args}: {r.stdout}{r.stderr}"
    return r.stdout


class Template:
    """A database folder with the role and the database, shut down."""

    def __init__(self):
        bin_ = programs()
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-pg-"))
        give(self.dir)
        self.data = self.dir / "data"
        run(bin_ / "initdb", "-D", self.data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=4")
        script = (f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}';\n"
                  f"CREATE DATABASE {DATABASE} OWNER {USER};\n")
        run(bin_ / "postgres", "--single", "-D", self.data, "postgres", input=script)
        (self.data / "pg_hba.conf").write_text("local all admin trust\nlocal replication admin trust\n"
                                               "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n")

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def template():
    global TEMPLATE
    if TEMPLATE is None:
        import atexit

        TEMPLATE = Template()
        atexit.register(TEMPLATE.remove)
    return TEMPLATE


class Server:
    """One server. disk: a Mount that holds its folder, for power cuts."""

    def __init__(self, name, sockets, disk=None):
        self.name, self.sockets, self.disk = name, sockets, disk
        self.bin, self.port, self.process = programs(), free_port(), None
        self.home = disk.path if disk else Path(tempfile.mkdtemp(prefix=f"ga4relay-{name}-"))
        self.data = self.home / "data"
        self.log_path = sockets / f"{name}.log"

    def create(self, settings, upstream=None):
        shutil.copytree(template().data, self.data)
        self.data.chmod(0o700)
        self.configure(settings)
        if upstream:
            self.follow(upstream)
        give(self.home)
        if self.disk:
            subprocess.run(["sync", "-f", self.home], check=True)   # the template itself is not what a power cut takes
        return self

    def configure(self, settings):
        """Over what was set before, one value per name."""
        self.settings = {**getattr(self, "settings", {}), **settings}
        text = "".join(f"{k} = '{v}'\n" for k, v in self.settings.items())
        (self.data / "postgresql.auto.conf").write_text(text)
        give(self.data / "postgresql.auto.conf")

    def follow(self, upstream):
        """Becomes a standby of that server, at the next start or reload()."""
        self.configure({"primary_conninfo": f"host={self.sockets} port={upstream.port} user=admin application_name={self.name}"})
        if not self.process:
            (self.data / "standby.signal").touch()
            give(self.data / "standby.signal")

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port),
                                             "-k", str(self.sockets)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd="/", env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, start_new_session=True,
                                            **account())

    def start(self):
        """Again for a while, where a killed server's children still end, or a passing connection has its port."""
        until = time.monotonic() + 20
        while True:
            before = len(self.log)
            self.spawn()
            try:
                wait_until(self.answers, f"{self.name} answers", START)
                return self
            except AssertionError:
                passing = re.search("block .* still in use|Address already in use", self.log[before:])
                if not passing or time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def answers(self):
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log}"
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", self.sockets, "-p", str(self.port)]).returncode == 0

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pids(self):
        """The server's processes, itself included; a child may have ended meanwhile."""
        pid = self.process.pid
        out = [pid]
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            out += [int(p) for p in task.read_text().split()]
        return out

    def signal_all(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill9(self):
        """All of its processes at once, as a host that goes."""
        self.process.send_signal(signal.SIGSTOP)        # it starts no new child between the look and the kill
        self.signal_all(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self, number=signal.SIGINT):
        """SIGINT: what is connected is cut off. SIGQUIT: as after a crash."""
        if self.alive():
            self.process.send_signal(number)
            self.process.wait(START)
        self.process = None

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def sql(self, query, user="admin", database=DATABASE):
        """Rows of text."""
        r = subprocess.run([str(self.bin / "psql"), "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets), "-p",
                            str(self.port), "-U", user, "-d", database, "-c", query],
                           env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PGPASSWORD": PASSWORD}, capture_output=True,
                           text=True, timeout=START)
        assert r.returncode == 0, r.stderr
        return [tuple(row.split("\t")) for row in r.stdout.splitlines()]

    def value(self, query):
        return self.sql(query)[0][0]

    def promote(self):
        run(self.bin / "pg_ctl", "promote", "-w", "-D", self.data)

    def lsn(self):
        """How far this standby has what it was sent, as a number."""
        return int(self.value("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')"))

    def remove(self):
        if self.alive():
            self.kill9()
        if self.disk:
            self.disk.remove()
        else:
            shutil.rmtree(self.home, ignore_errors=True)


class Cluster:
    """A primary and two standbys, of which one must have each commit."""

    # No timing of the server's own decides a test; each of them needs little memory.
    SETTINGS = {"listen_addresses": "127.0.0.1", "shared_buffers": "16MB", "wal_level": "replica",
                "max_wal_size": "64MB", "min_wal_size": "8MB", "wal_keep_size": "64MB", "hot_standby": "on",
                "wal_receiver_timeout": "5s", "wal_retrieve_retry_interval": "100ms", "logging_collector": "off",
                "autovacuum_naptime": "1s"}

    def __init__(self, nodes=3, disks=False):
        self.sockets = Path(tempfile.mkdtemp(prefix="ga4relay-pgs-"))
        self.sockets.chmod(0o755)
        give(self.sockets)
        self.nodes, self.removed = [], False
        names = [f"n{i}" for i in range(nodes)]
        try:
            for name in names:
                self.nodes.append(Server(name, self.sockets, Mount("ext4", "256M") if disks else None))
            others = f"ANY 1 ({', '.join(names)})" if nodes > 1 else ""
            self.primary = self.nodes[0]
            for n in self.nodes:
                upstream = None if n is self.primary else self.primary
                n.create({**self.SETTINGS, "synchronous_standby_names": others}, upstream)
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self):
        for n in self.nodes:
            n.spawn()
        for n in self.nodes:
            wait_until(n.answers, f"{n.name} answers", START)
        self.wait_standbys(len(self.nodes) - 1)
        self.as_made = {n: dict(n.settings) for n in self.nodes}
        return self

    def reuse(self):
        """Makes it as new for another test, which is quicker than another cluster. False: too much has happened to it."""
        if not self.nodes[0].alive() or self.primary is not self.nodes[0] or any(n.disk for n in self.nodes):
            return False
        for n in self.nodes:
            if n.settings != self.as_made[n]:
                n.configure(self.as_made[n])
                n.reload()
            if not n.alive():
                n.start()
        wait_until(lambda: self.value("SHOW synchronous_standby_names") == self.as_made[self.primary]["synchronous_standby_names"],
                   "the settings that it was made with", START)
        self.wait_standbys(len(self.nodes) - 1)
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename <> 'admin'")
        self.sql("DROP SCHEMA IF EXISTS ga4relay CASCADE")
        return True

    @property
    def standbys(self):
        return [n for n in self.nodes if n is not self.primary and n.alive()]

    def wait_standbys(self, n):
        """That many stream to the primary and may acknowledge."""
        q = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')"
        wait_until(lambda: int(self.primary.value(q)) >= n, f"{n} synchronous standbys", START)

    def conninfo(self, sockets=True, **more):
        """All of them: libpq goes to the one that takes writes."""
        hosts = ",".join([str(self.sockets) if sockets else "127.0.0.1"] * len(self.nodes))
        ports = ",".join(str(n.port) for n in self.nodes)
        more = {"connect_timeout": 5, **more}
        return (f"host={hosts} port={ports} user={USER} password={PASSWORD} dbname={DATABASE} target_session_attrs=read-write "
                + " ".join(f"{k}={v}" for k, v in more.items()))

    def sql(self, query):
        return self.primary.sql(query)

    def value(self, query):
        return self.primary.value(query)

    def fail_over(self):
        """By hand: of the standbys that are left, the one that has most becomes the primary, and the others follow it."""
        new = max(self.standbys, key=lambda n: n.lsn())
        new.promote()
        self.primary = new
        for n in self.standbys:
            n.follow(new)
            n.reload()
        return new

    def pause(self):
        for n in self.nodes:
            if n.alive():
                n.signal_all(signal.SIGSTOP)

    def cut_the_power(self):
        """Every server loses all that was not synced, at one moment. They come back with start()."""
        self.pause()
        for n in self.nodes:
            cut = n.disk.cut_the_power(self.sockets)
            if n.alive():
                n.kill9()
            n.disk.remove()
            n.disk, n.home, n.data = cut, cut.path, cut.path / "data"

    def remove(self):
        if self.removed:
            return
        self.removed = True
        for n in self.nodes:
            n.remove()
        if "GA4RELAY_KEEP" not in os.environ:
            shutil.rmtree(self.sockets, ignore_errors=True)
