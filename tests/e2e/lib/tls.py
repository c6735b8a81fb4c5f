# tls.py - nginx with a certificate of a CA of its own, in front of a collector
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def nginx_path():
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")


def run(*args, cwd):
    subprocess.run(args, cwd=cwd, check=True, capture_output=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx:
    """https://localhost:PORT → http://127.0.0.1:upstream; protocols and http2 as given."""

    def __init__(self, upstream, protocols="TLSv1.2 TLSv1.3", http2=False):
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-tls-"))
        self.port = free_port()
        self.ca = self.dir / "ca.pem"
        self._certificates()
        self._configure(upstream, protocols, http2)
        self.process = subprocess.Popen([nginx_path(), "-p", str(self.dir), "-c", "nginx.conf", "-e", "error.log"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()

    @property
    def url(self):
        return f"https://localhost:{self.port}/mp/collect"

    def _certificates(self):
        d = self.dir
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=test CA", cwd=d)
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "csr.pem", "-subj",
            "/CN=localhost", cwd=d)
        (d / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        run("openssl", "x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
            "2", "-extfile", "ext", "-out", "cert.pem", cwd=d)

    def _configure(self, upstream, protocols, http2):
        (self.dir / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {self.dir}/pid; error_log {self.dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p; fastcgi_temp_path {self.dir}/f;
  uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s; keepalive_requests 100000;
  upstream c {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{self.port} ssl{" http2" if http2 else ""};
    ssl_certificate {self.dir}/cert.pem; ssl_certificate_key {self.dir}/key.pem; ssl_protocols {protocols};
    location / {{ proxy_pass http://c; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Protocol "$server_protocol $ssl_protocol"; }}
  }}
}}
""")

    def _wait(self):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("nginx does not start: " + (self.dir / "error.log").read_text())

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)
