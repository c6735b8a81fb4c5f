# daemons.py - certificates of a CA of our own, and real servers and proxies: nghttpd, nginx, tinyproxy, squid
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import pytest

from .tls import free_port


def need(name, package):
    """The tool's path; skips loudly without it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        warnings.warn(f"{name.upper()} IS MISSING: not tested (Debian: apt install {package})")
        pytest.skip(f"{name} is missing (Debian: apt install {package})")
    return path


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


class Certificates:
    """ca.pem signed good, wrong (another name) and expired; other.pem (unknown) signed itself."""

    def __init__(self):
        need("openssl", "openssl")
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-ca-"))
        self.ca = self.dir / "ca.pem"
        self._authority("ca")
        self._authority("unknown-ca")
        self._leaf("good", "localhost", "ca")
        self._leaf("wrong-name", "elsewhere.example", "ca")
        self._leaf("unknown", "localhost", "unknown-ca")
        self._leaf("expired", "localhost", "ca", "20200101000000Z", "20200201000000Z")

    def _key(self, name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key", cwd=self.dir)

    def _authority(self, name):
        self._key(name)
        openssl("req", "-x509", "-new", "-key", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj",
                f"/CN=test {name}", cwd=self.dir)

    def _leaf(self, name, host, ca, start=None, end=None):
        self._key(name)
        san = f"DNS:{host}" + (",IP:127.0.0.1,IP:::1" if host == "localhost" else "")
        openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}", cwd=self.dir)
        (self.dir / "index.txt").write_text("")
        (self.dir / "ca.cnf").write_text(f"""[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes
default_md=sha256\npolicy=p\nunique_subject=no\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName={san}\n""")
        when = ["-startdate", start, "-enddate", end] if start else ["-days", "2"]
        openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", f"{ca}.pem", "-keyfile", f"{ca}.key", "-in",
                f"{name}.csr", "-out", f"{name}.pem", *when, cwd=self.dir)

    def files(self, name="good"):
        return self.dir / f"{name}.pem", self.dir / f"{name}.key"

    def context(self, name="good", newest=None):
        """For RawServer. newest: ssl.TLSVersion.TLSv1_1 makes a server of the past."""
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(*self.files(name))
        if newest:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                c.minimum_version = ssl.TLSVersion.TLSv1
                c.maximum_version = newest
            c.set_ciphers("ALL:@SECLEVEL=0")
        return c

    def stop(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Daemon:
    """A process in a directory of its own that listens on one port."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-d-"))
        self.dir.chmod(0o755)        # some give up root
        self.port = free_port()
        self.process = None

    def run(self, *args):
        self.args = [str(a) for a in args]
        out = open(self.dir / "out", "ab")
        self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        out.close()
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"{args[0]} does not start: " + (self.dir / "out").read_text())

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def url(self):
        return f"https://localhost:{self.port}/mp/collect"


class Nghttpd(Daemon):
    """HTTP/2 over TLS; /mp/collect is a file, so a POST gets 200. early: answers before it has read the body."""

    def __init__(self, certs, early=False, streams=100):
        path = need("nghttpd", "nghttp2-server")
        super().__init__()
        (self.dir / "mp").mkdir()
        (self.dir / "mp" / "collect").write_text("")
        cert, key = certs.files()
        self.run(path, "-v", "-a", "127.0.0.1", "-d", self.dir, "-m", streams, *(["--early-response"] if early else []),
                 self.port, key, cert)

    @property
    def requests(self):
        return (self.dir / "out").read_text(errors="replace").count(":path: /mp/collect")


class Nginx2(Daemon):
    """HTTP/2 over TLS. upstream: a collector's port; None: 204 at once, without reading the body."""

    def __init__(self, certs, upstream=None, options=""):
        path = need("nginx", "nginx-light")
        super().__init__()
        cert, key = certs.files()
        d = self.dir
        d.chmod(0o777)
        place = (f"proxy_pass http://c; proxy_http_version 1.1; proxy_set_header Connection \"\";"
                 f" proxy_set_header X-Protocol \"$server_protocol $ssl_protocol\";") if upstream else "return 204;"
        block = f"upstream c {{ server 127.0.0.1:{upstream}; keepalive 64; }}" if upstream else ""
        (d / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {d}/pid; error_log {d}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format one "$status $connection $server_protocol"; access_log {d}/access.log one;
  client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u;
  scgi_temp_path {d}/s; {block}
  server {{
    listen 127.0.0.1:{self.port} ssl http2; {options}
    ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{ {place} }}
  }}
}}
""")
        self.run(path, "-p", d, "-c", "nginx.conf", "-e", "error.log")

    @property
    def requests(self):
        return len(self.access)

    @property
    def access(self):
        """[status, connection, protocol] of each request."""
        return [x.split() for x in (self.dir / "access.log").read_text().splitlines()]


class NginxBalancer(Daemon):
    """Plain HTTP in turn to the servers on these ports; what one answers is passed on."""

    def __init__(self, ports):
        path = need("nginx", "nginx-light")
        super().__init__()
        d = self.dir
        d.chmod(0o777)
        servers = "".join(f" server 127.0.0.1:{port} max_fails=0;" for port in ports)
        (d / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {d}/pid; error_log {d}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u;
  scgi_temp_path {d}/s; keepalive_requests 100000;
  upstream c {{{servers} keepalive 64; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{ proxy_pass http://c; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off; }}
  }}
}}
""")
        self.run(path, "-p", d, "-c", "nginx.conf", "-e", "error.log")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/mp/collect"


class Haproxy(Daemon):
    """Plain HTTP in front of a collector; more than `rate` requests a second are denied, which is a 403."""

    def __init__(self, upstream, rate):
        path = need("haproxy", "haproxy")
        super().__init__()
        (self.dir / "conf").write_text(f"""
global
  maxconn 500
  log stdout format raw local0
defaults
  mode http
  log global
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  log-format "status %ST"
frontend f
  bind 127.0.0.1:{self.port}
  stick-table type ip size 10 expire 1m store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny if {{ sc_http_req_rate(0) gt {rate} }}
  default_backend b
backend b
  server s 127.0.0.1:{upstream}
""")
        self.run(path, "-f", self.dir / "conf")

    @property
    def denied(self):
        return (self.dir / "out").read_text(errors="replace").count("status 403")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/mp/collect"


class Tinyproxy(Daemon):
    """A proxy for HTTP and CONNECT; auth: (user, password)."""

    def __init__(self, auth=None):
        path = need("tinyproxy", "tinyproxy-bin")
        super().__init__()
        basic = f"BasicAuth {auth[0]} {auth[1]}\n" if auth else ""
        (self.dir / "conf").write_text(f"Port {self.port}\nListen 127.0.0.1\nTimeout 60\nLogFile \"{self.dir}/log\"\n"
                                       f"LogLevel Connect\nMaxClients 50\nAllow 127.0.0.1\n{basic}")
        self.run(path, "-d", "-c", self.dir / "conf")

    @property
    def log(self):
        return (self.dir / "log").read_text(errors="replace")


class Squid(Daemon):
    def __init__(self):
        path = need("squid", "squid")
        super().__init__()
        d = self.dir
        d.chmod(0o777)
        (d / "conf").write_text(f"http_port 127.0.0.1:{self.port}\nhttp_access allow all\naccess_log stdio:{d}/access\n"
                                f"cache_log {d}/cache\ncache deny all\npid_filename {d}/pid\ncoredump_dir {d}\n"
                                f"pinger_enable off\nshutdown_lifetime 0 seconds\nnetdb_filename none\n")
        self.run(path, "-N", "-f", d / "conf")

    @property
    def log(self):
        f = self.dir / "access"
        return f.read_text(errors="replace") if f.exists() else ""
