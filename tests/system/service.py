# service.py - ga4relay as a unit of the container's systemd
import json
import re

from container import wait
from lib.client import Client, event
from lib.relay import render

ETC = "/etc/ga4relay"
STATE = "/var/lib/ga4relay"
SECRET = "CANARY-secret-9f2"


class Service:
    def __init__(self, box, endpoint):
        self.box = box
        self.allowed = []
        self.config = {
            "streams": [{"name": "web", "measurement_id": "G-TEST000001", "api_secret_file": f"{ETC}/web.secret"}],
            "outbox": {"min_free_disk": "1M", "ballast": "1M"},
            "delivery": {"endpoint": endpoint, "linger": "10ms", "retry_min": "100ms", "retry_max": "1s",
                         "connect_timeout": "2s", "timeout": "10s"},
        }

    # ---- from one test to the next ----

    def reset(self):
        b = self.box
        b.run("systemctl", "stop", "ga4relay.socket", "ga4relay.service")
        b.try_run("systemctl", "reset-failed", "ga4relay.socket", "ga4relay.service")
        b.run("sh", "-c", f"rm -rf /etc/systemd/system/ga4relay.service.d; umount -q {STATE}; rm -rf {STATE}/*")
        b.run("systemctl", "daemon-reload")
        b.run("sh", "-c", f"umask 027; echo {SECRET} >{ETC}/web.secret; chgrp ga4relay {ETC}/web.secret")
        self.write_config()
        self.since = b.run("date", "+%s.%N").strip()
        b.run("systemctl", "start", "ga4relay.socket")

    def write_config(self, text=None):
        text = text or "".join(f"{k} = {render(v)};\n" for k, v in self.config.items())
        self.box.run("sh", "-c", f"cat >{ETC}/ga4relay.conf", stdin=text)

    def drop_in(self, text):
        d = "/etc/systemd/system/ga4relay.service.d"
        self.box.run("sh", "-c", f"mkdir -p {d}; cat >{d}/test.conf", stdin=text)
        self.box.run("systemctl", "daemon-reload")

    def allow(self, *patterns):
        self.allowed += patterns

    def judge(self):
        """No warning that the test did not expect, and never the secret."""
        log = self.box.run("journalctl", "-o", "json", "--no-pager", "-u", "ga4relay.service", f"--since=@{self.since}")
        for x in map(json.loads, log.splitlines()):
            text = str(x["MESSAGE"])
            assert SECRET not in text
            if x.get("SYSLOG_IDENTIFIER") == "ga4relay" and int(x["PRIORITY"]) <= 4:
                assert any(re.search(p, text) for p in self.allowed), f"unexpected in the journal: {text}"

    # ---- life ----

    def systemctl(self, verb):
        return self.box.run("systemctl", verb, "ga4relay.service")

    @property
    def active(self):
        return self.box.show("ActiveState")

    @property
    def pid(self):
        return int(self.box.show("MainPID"))

    @property
    def restarts(self):
        return int(self.box.show("NRestarts"))

    def wait_other_pid(self, pid, timeout=30):
        wait(lambda: self.pid not in (0, pid) and self.box.show("SubState") == "running", "another process", timeout)

    # ---- talk ----

    @property
    def socket(self):
        return self.box.inside("/run/ga4relay.sock")

    def client(self):
        return Client(self.socket)

    def ask(self, obj=None):
        with self.client() as c:
            return c.ask(obj or event())

    def ctl(self, *args):
        return [json.loads(x) for x in self.box.run("ga4relay-ctl", "--json", *args).splitlines()]

    def events(self):
        """Events by state, without the refused lines, which never became events."""
        return {k: v for k, v in self.ctl("status")[0]["events"].items() if v and k != "rejected"}

    def wait_empty(self, timeout=60):
        wait(lambda: not self.events(), "an empty outbox", timeout)
