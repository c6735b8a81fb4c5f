"""parts.py - what the benchmarks start and stop: the relay, the sink, nginx with TLS, the peers; files on a real disk"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time


class Failed(Exception):
    pass


def find_program(name):
    """Daemons lie where the path of somebody who is not root does not lead."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Place:
    """Where everything lives: files beside the build (a disk, not a tmpfs), sockets under /tmp for their short names."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="work.", dir=self.build / "bench"))
        self.sockets = pathlib.Path(tempfile.mkdtemp(prefix="ga4bench."))
        self.running = []

    def stop_all(self):
        for p in reversed(self.running):
            stop(p, 5)  # politely: nginx takes its workers along
        self.running = []

    def close(self):
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signo, signal.SIG_IGN)  # the second Ctrl-C would leave behind what the first one stops
        self.stop_all()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def spawn(self, *args, **kw):
        out = open(self.dir / "output", "ab")
        p = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                             start_new_session=True, **kw)
        out.close()
        self.running.append(p)
        return p

    def tool(self, name, *args, may_fail=False, timeout=600):
        """One of our programs, to its end: what it printed."""
        r = subprocess.run([str(self.build / "bench" / name), *map(str, args)], capture_output=True, text=True,
                           timeout=timeout, cwd=self.dir)
        if r.returncode and not may_fail:
            killed = f"killed by signal {-r.returncode}" if r.returncode < 0 else f"exit {r.returncode}"
            raise Failed(f"{name} {' '.join(map(str, args))}: {r.stderr.strip() or r.stdout.strip() or killed}")
        return json.loads(r.stdout)

    def output(self):
        try:
            return (self.dir / "output").read_text(errors="replace")[-3000:]
        except OSError:
            return ""


class Beside:
    """Does that again and again in a thread while a block runs; and fails like it, or when it was never done: what is
    measured beside nothing would look well."""

    def __init__(self, work, nap=0):
        self.work, self.nap = work, nap
        self.over, self.times, self.error = threading.Event(), 0, None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.over.wait(self.nap):
                self.work()
                self.times += 1
        except Exception as e:  # pylint: disable=broad-except  # it is raised where it is waited for
            self.error = e

    def __enter__(self):
        self.thread.start()

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is None and (self.error or not self.times):
            raise Failed(f"what was to run beside did not: {self.error or 'never came to its end'}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def steal_s():
    """proc(5): the eighth of the first line of /proc/stat, in ticks."""
    return int(pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")


def wait_for(what, check, seconds=30, nap=0.002):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = check()
        if got:
            return got
        time.sleep(nap)
    raise Failed(f"{what}: not within {seconds} s")


def connects(path):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(str(path))
        return s
    except OSError:
        s.close()
        return None


def listens(path):
    s = connects(path)
    if s:
        s.close()
    return s is not None


def stop(process, seconds=60):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Sink:
    def __init__(self, place):
        self.port = free_port()
        self.process = place.spawn(place.build / "bench" / "sink", self.port)
        self.url = f"http://127.0.0.1:{self.port}/mp/collect"
        wait_for("sink", self._is_up)

    def _is_up(self):
        try:
            self.stats()
            return True
        except OSError:
            return False

    def _ask(self, method, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.request(method, path)
            body = c.getresponse().read()
        except http.client.HTTPException as e:
            raise Failed(f"sink: {method} {path}: {e!r}") from e
        finally:
            c.close()
        return json.loads(body) if body else None

    def stats(self):
        return self._ask("GET", "/stats")

    def counts(self):
        return self._ask("GET", "/counts")

    def marks(self):
        return self._ask("GET", "/marks")

    def reset(self):
        self._ask("POST", "/reset")

    def wait(self, events, patience=60):
        """Until so many have arrived, or none has for so many seconds. Asked seldom: it shares the machine with what is
        measured."""
        seen, end = -1, 0
        while (s := self.stats())["events"] < events:
            if s["events"] != seen:
                seen, end = s["events"], time.monotonic() + patience
            if time.monotonic() > end:
                raise Failed(f"{seen} of {events} events are at the sink, and none has come for {patience} s")
            time.sleep(0.05)
        return s


class Nginx:
    """TLS before the sink. It reads a request whole before it passes it on (a bare `return 204` would answer before
    the body is read, which over HTTP/2 measures something else)."""

    program = find_program("nginx")

    def __init__(self, place, sink):
        self.port = free_port()
        self.ca = place.dir / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", place.dir / "key.pem", "-out", self.ca], check=True, capture_output=True)
        conf = place.dir / "nginx.conf"  # the names in it are beside it
        conf.write_text(f"""
daemon off; worker_processes 1; pid nginx.pid; error_log nginx.log;
{"user root;" if os.getuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_buffer_size 256k; keepalive_requests 100000000; keepalive_timeout 300s;
    client_body_temp_path nginx.body; proxy_temp_path nginx.proxy;
    fastcgi_temp_path nginx.f; uwsgi_temp_path nginx.u; scgi_temp_path nginx.s;
    upstream sink {{ server 127.0.0.1:{sink.port}; keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{self.port} ssl http2; http2_max_requests 100000000; http2_max_concurrent_streams 128;
        ssl_certificate cert.pem; ssl_certificate_key key.pem;
        location / {{ proxy_pass http://sink; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
""")
        self.process = place.spawn(self.program, "-p", place.dir, "-c", conf)
        self.url = f"https://127.0.0.1:{self.port}/mp/collect"
        wait_for("nginx", self._is_up)

    def _is_up(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            if self.process.poll() is not None:
                raise Failed("nginx does not start")
            return False


class Relay:
    """One outbox; started as often as wanted, with this endpoint or that."""

    def __init__(self, place, name):
        self.place, self.name = place, name
        self.dir = place.dir / name
        self.dir.mkdir()
        self.socket = place.sockets / f"{name}.sock"
        self.control = place.sockets / f"{name}.ctl"
        self.process = None

    def configure(self, url="http://127.0.0.1:9/mp/collect", paused=False, ca=None, http2=False, sync="full",
                  extra=""):
        secret = self.dir / "conf"
        secret.write_text(f"""
streams = ( {{ name = "web"; measurement_id = "G-BENCH00001"; api_secret = "bench";
               paused = {str(paused).lower()}; }} );
listen: {{ socket = "{self.socket}"; max_connections = 4096; }};
control: {{ socket = "{self.control}"; }};
outbox: {{ path = "{self.dir}/outbox.db"; max_events = 100000000; max_bytes = "64G"; min_free_disk = "16M";
           sync = "{sync}"; }};
delivery: {{ endpoint = "{url}"; http2 = {str(http2).lower()}; {f'ca_file = "{ca}";' if ca else ""} }};
log: {{ level = "warning"; }};
{extra}
""")
        secret.chmod(0o600)
        return secret

    def start(self, wrapper=(), **conf):
        path = self.configure(**conf)
        self.process = self.place.spawn(*wrapper, self.place.build / "ga4relay", "-c", path)
        wait_for("relay", self._is_up, 120, 0.0005)
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            raise Failed("the relay does not start: " + self.place.output())
        return listens(self.socket) and listens(self.control)

    def stop(self):
        if self.process:
            stop(self.process)
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir)

    def rss_mib(self, what="VmRSS"):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
        raise Failed("no VmRSS")

    def ctl(self, *args):
        r = subprocess.run([str(self.place.build / "ga4relay-ctl"), "-s", str(self.control), *args],
                           capture_output=True, text=True, timeout=300)
        if r.returncode:
            raise Failed(f"ctl {args}: {r.stderr}")
        return r.stdout

    def metric(self, name):
        return sum(float(line.split()[-1]) for line in self.ctl("metrics").splitlines()
                   if line.startswith((name + " ", name + "{")))

    def turns(self):
        """(slow, starved, seconds that the host of a virtual machine withheld from its processors), so far."""
        return (self.metric("ga4relay_slow_loops_total"), self.metric("ga4relay_starved_loops_total"), steal_s())

    def load(self, *args):
        return self.place.tool("load", "-s", self.socket, *args)


class Echo:
    """raw_echo: answers and does nothing else."""

    def __init__(self, place):
        self.place = place
        self.socket = place.sockets / "echo.sock"
        place.spawn(place.build / "bench" / "raw_echo", self.socket)
        wait_for("raw_echo", lambda: listens(self.socket))

    def load(self, *args):
        return self.place.tool("load", "-s", self.socket, "-f", "echo", *args)


class SyslogNg:
    """unix-stream into the reliable disk buffer, from there 25 events a request."""

    program = find_program("syslog-ng")

    def __init__(self, place, url, name):
        self.dir = place.dir / name
        self.dir.mkdir()
        self.socket = place.sockets / f"{name}.sock"
        conf = self.dir / "conf"
        conf.write_text(f"""@version: 3.38
options {{ keep-hostname(yes); stats-freq(0); }};
source s {{ unix-stream("{self.socket}" flags(no-parse) max-connections(256) log-iw-size(65536) log-fetch-limit(100)); }};
destination d {{ http(url("{url}") method("POST") body-prefix('{{"client_id":"1.2","events":[') delimiter(",")
  body-suffix("]}}") batch-lines(25) batch-bytes(130000) batch-timeout(1000) workers(4) body("$MESSAGE")
  disk-buffer(reliable(yes) disk-buf-size(1073741824) mem-buf-size(16777216) dir("{self.dir}"))); }};
log {{ source(s); destination(d); flags(flow-control); }};
""")
        self.process = place.spawn(self.program, "-F", "-f", conf, "-R", self.dir / "persist", "-p", self.dir / "pid",
                                   "-c", self.dir / "ctl", "--no-caps")
        wait_for("syslog-ng", lambda: listens(self.socket))

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Beanstalkd:
    """A put is synced before INSERTED is answered."""

    program = find_program("beanstalkd")

    def __init__(self, place, name):
        self.dir = place.dir / name
        self.dir.mkdir()
        self.socket = place.sockets / f"{name}.sock"
        self.process = place.spawn(self.program, "-b", self.dir, "-f", "0", "-l", f"unix:{self.socket}")
        wait_for("beanstalkd", lambda: listens(self.socket))

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Rsyslog:
    """imptcp into a disk queue that syncs each message, and from there into a file."""

    program = find_program("rsyslogd")
    modules = environment = None

    @classmethod
    def find(cls, place):
        """Installed, or unpacked by rsyslog.sh."""
        root = place.build / "bench" / "rsyslog"
        if not cls.program and (root / "usr/sbin/rsyslogd").exists():
            libraries = next((root / "usr/lib").glob("*-linux-gnu"))
            cls.program, cls.modules = root / "usr/sbin/rsyslogd", libraries / "rsyslog"
            cls.environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}

    def __init__(self, place, name):
        self.dir = place.dir / name
        self.dir.mkdir()
        self.socket = place.sockets / f"{name}.sock"
        conf = self.dir / "conf"
        conf.write_text(f"""global(workDirectory="{self.dir}")
module(load="imptcp")
input(type="imptcp" path="{self.socket}" unlink="on" ruleset="r")
ruleset(name="r" queue.type="Disk" queue.filename="q" queue.syncqueuefiles="on" queue.checkpointInterval="1"
        queue.maxDiskSpace="8g" queue.size="10000000") {{
  action(type="omfile" file="{self.dir}/out")
}}
""")
        modules = ["-M", self.modules] if self.modules else []
        self.process = place.spawn(self.program, "-n", "-f", conf, "-i", self.dir / "pid", *modules, env=self.environment)
        wait_for("rsyslog", lambda: listens(self.socket))

    def lines(self):
        try:
            with open(self.dir / "out", "rb") as f:
                return f.read().count(b"\n")
        except FileNotFoundError:
            return 0

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
