# test_system.py - the units in a booted Debian: installed, started, restarted, starved, removed
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from container import wait
from crowd import Crowd
from lib.client import event
from lib.collector import Collector
from service import ETC, SECRET, STATE

TOP = Path(__file__).resolve().parents[2]
EXPOSURE = 1.1
FULL = os.environ.get("FULL") == "1"
RESTARTS = 100 if FULL else 30
NAMES = ("ga4relay.service", "ga4relay.socket")


def make(target, box):
    r = subprocess.run(["make", "--no-print-directory", target, f"DESTDIR={box.root}", "prefix=/usr", "sysconfdir=/etc"],
                       cwd=TOP, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stdout + r.stderr


@pytest.fixture(scope="module")
def installed(box):
    make("install", box)
    box.run("systemctl", "daemon-reload")
    box.run("systemd-sysusers")
    box.run("systemd-tmpfiles", "--create", "ga4relay.conf")
    box.run("systemctl", "enable", "--now", "ga4relay.socket")
    return box


def test_the_units_are_taken_as_they_are(installed):
    r = installed.try_run("systemd-analyze", "verify", "--man=no", *NAMES)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    out = installed.run("systemd-analyze", "security", "--no-pager", "--offline=true", "ga4relay.service")
    exposure = float(re.search(r"Overall exposure level for .*: ([0-9.]+)", out).group(1))
    print(f"exposure {exposure}")
    assert exposure <= EXPOSURE
    assert installed.state == "running", installed.run("systemctl", "--failed", "--no-pager")


def test_a_connect_starts_the_service(service, collector):
    assert service.active == "inactive"
    assert service.ask() == {"ok": True, "id": 1, "count": 1}
    wait(lambda: service.active == "active", "the start")
    service.wait_empty()
    assert collector.count("refund") == 1
    assert service.box.show("StatusText") == "taking events"
    for path, owner in ((STATE, "ga4relay:ga4relay 700"), ("/run/ga4relay", "ga4relay:ga4relay 755"),
                        ("/run/ga4relay.sock", "root:ga4relay 660"), (f"{STATE}/outbox.db", "ga4relay:ga4relay 600")):
        assert service.box.run("stat", "-c", "%U:%G %a", path).strip() == owner, path


def test_started_means_ready(service):
    for _ in range(5):
        service.systemctl("restart")
        assert service.ctl("status")[0]["connections"] == 0
    assert service.restarts == 0


def test_members_of_the_group_write_and_strangers_do_not(service):
    python = ("import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/ga4relay.sock'); "
              "s.sendall(b'{\"client_id\":\"1.2\",\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-1\"}}\\n'); "
              "print(s.recv(4096).decode())")
    user = ["setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups", "python3", "-c", python]
    r = service.box.try_run(*user)
    assert r.returncode == 1 and "PermissionError" in r.stderr
    assert service.active == "inactive"
    service.box.run("usermod", "-a", "-G", "ga4relay", "www-data")
    assert json.loads(service.box.run(*user))["ok"]
    r = service.box.try_run(*user[:4], "ga4relay-ctl", "status")
    assert r.returncode == 3, "the control socket is the operator's"


def test_a_stopped_process_is_replaced_by_the_watchdog(service, collector):
    service.drop_in("[Service]\nWatchdogSec=2s\n")
    service.allow("did not end cleanly")
    service.systemctl("start")
    pid = service.pid
    service.box.run("kill", "-STOP", str(pid))
    reply = service.ask()          # waits in the kernel until the next process
    service.wait_other_pid(pid)
    assert reply["ok"]
    assert service.restarts == 1
    assert "Watchdog timeout" in service.box.journal()
    service.wait_empty()
    assert collector.count() == 1


def test_a_process_that_works_is_left_alone_by_the_watchdog(service):
    service.drop_in("[Service]\nWatchdogSec=1s\n")
    service.systemctl("start")
    pid = service.pid
    wait(lambda: service.ctl("status")[0]["uptime_s"] >= 4, "four seconds of life")
    assert (service.pid, service.restarts) == (pid, 0)


def test_a_killed_process_comes_back_with_all_it_had(service, collector):
    service.allow("did not end cleanly", "destination web")
    collector.down()
    with service.client() as c:
        c.send(*[event(n=i) for i in range(100)])
        assert all(r["ok"] for r in c.replies(100))
    pid = service.pid
    service.box.run("kill", "-KILL", str(pid))
    service.wait_other_pid(pid)
    collector.up()
    service.wait_empty()
    assert sorted(e["params"]["n"] for e in collector.events) == list(range(100))


def test_reload(service, collector):
    service.systemctl("start")
    pid = service.pid
    other = Collector()
    service.config["delivery"]["endpoint"] = other.url
    service.write_config()
    service.systemctl("reload")
    wait(lambda: "reloaded" in service.box.journal(), "the reload's word in the journal")
    service.ask()
    service.wait_empty()
    assert (other.count(), collector.count(), service.pid, service.active) == (1, 0, pid, "active")
    other.down()

    service.allow("unknown option", "destination web")
    service.write_config("nonsense = 1;\n")
    assert service.box.try_run("systemctl", "reload", "ga4relay.service").returncode == 1
    assert "nonsense: unknown option" in service.box.journal()
    assert service.ask()["ok"] and (service.pid, service.active) == (pid, "active")
    service.write_config()
    service.systemctl("reload")


def test_a_wrong_configuration_waits_for_its_cure(service, collector):
    """It does not spin, and the socket goes on listening: whoever wrote meanwhile is served in the end."""
    service.allow("unknown option")
    service.write_config("nonsense = 1;\n")
    assert service.box.try_run("systemctl", "start", "ga4relay.service").returncode == 1
    with service.client() as c:
        c.send(event())
    wait(lambda: service.restarts >= 3, "some more tries")
    assert service.box.journal().count("nonsense: unknown option") < 12
    assert service.box.show("ActiveState", "ga4relay.socket") == "active"
    service.write_config()
    wait(lambda: collector.count() == 1, "the event")


def test_a_secret_by_credential(service, collector):
    service.box.run("sh", "-c", f"umask 077; echo from-a-credential >{ETC}/other.secret")
    service.drop_in(f"[Service]\nLoadCredential=web:{ETC}/other.secret\n")
    service.config["streams"] = [{"name": "web", "measurement_id": "G-TEST000001", "api_secret_credential": "web"}]
    service.write_config()
    assert service.ask()["ok"]
    service.wait_empty()
    assert [r.query["api_secret"] for r in collector.accepted] == ["from-a-credential"]


def test_https_out_of_the_sandbox(service, collector, tls):
    service.box.run("sh", "-c", f"cat >{ETC}/ca.pem; chmod 644 {ETC}/ca.pem", stdin=tls.ca.read_text())
    service.config["delivery"].update(endpoint=tls.url, ca_file=f"{ETC}/ca.pem")
    service.write_config()
    assert service.ask()["ok"]
    service.wait_empty()
    (r,) = collector.accepted
    assert r.query["api_secret"] == SECRET and "TLSv1.3" in r.headers["x-protocol"]


def test_a_full_disk(service, collector):
    """QUEUE_FULL while there is no room, delivery meanwhile, everything as before when there is room again."""
    service.allow("destination web", "disk|full|room")
    service.box.run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", STATE)
    service.config["outbox"].update(min_free_disk="4M")
    service.write_config()
    collector.down()
    with service.client() as c:
        c.send(*[event(n=i) for i in range(50)])
        assert all(r["ok"] for r in c.replies(50))
    # What the file system itself gives out is what counts, whatever the relay has taken of it so far.
    service.box.try_run("dd", "if=/dev/zero", f"of={STATE}/hog", "bs=64k", "count=1000")
    refused = wait(lambda: next((r for r in [service.ask()] if not r["ok"]), None), "a refusal")
    assert (refused["code"], refused["retry"]) == ("QUEUE_FULL", True)
    taken = service.events().get("queued", 0) + service.events().get("inflight", 0)
    collector.up()
    wait(lambda: collector.count() == taken, "delivery with a full disk")
    service.box.run("rm", f"{STATE}/hog")
    wait(lambda: service.ask()["ok"], "room again")
    service.wait_empty()
    assert collector.count() == taken + 1
    service.systemctl("stop")


def test_restarts_under_load(service, collector):
    with Crowd(service.socket) as crowd:
        for i in range(RESTARTS):
            before = collector.count()
            service.systemctl("restart")
            wait(lambda: collector.count() > before, f"deliveries after restart {i + 1}")
    service.wait_empty(120)
    assert crowd.judge(collector.events) > 20 * RESTARTS and service.restarts == 0


def test_what_an_operator_asks(service):
    service.ask()
    assert "outbox" in service.box.run("ga4relay-ctl", "status")
    assert "ga4relay_build_info" in service.box.run("ga4relay-ctl", "metrics")
    assert service.box.run("ga4relay", "-t")
    service.systemctl("stop")
    assert service.box.try_run("ga4relay-ctl", "status").returncode == 3
    assert service.box.run("ga4relay-ctl", "--offline", f"{STATE}/outbox.db", "check")


def test_uninstall_leaves_what_is_the_operators(service):
    service.ask()
    box = service.box
    box.run("systemctl", "disable", "--now", *NAMES)
    make("uninstall", box)
    box.run("systemctl", "daemon-reload")
    assert box.show("LoadState") == "not-found"
    left = {str(p.relative_to(box.root)) for d in ("usr", "etc", "var/lib") for p in (box.root / d).rglob("*ga4relay*")}
    assert {"etc/ga4relay", "etc/ga4relay/ga4relay.conf", "var/lib/ga4relay"} == left
    assert box.file(f"{STATE}/outbox.db").exists()
