# test_package.py - the Debian package: lintian, installed, upgraded under load, removed, purged
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from container import wait
from lib.client import event
from service import ETC, STATE

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def packages():
    """Two revisions of the package, as files."""
    made = []
    for revision in ("1", "2"):
        r = subprocess.run(["make", "--no-print-directory", "deb", f"DEB_REVISION={revision}"], cwd=TOP, text=True,
                           capture_output=True, timeout=600, env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"})
        assert r.returncode == 0, r.stdout + r.stderr
        (one,) = (TOP / "build").glob(f"ga4relay_*-{revision}_*.deb")
        made.append(one)
    return made


def install(box, package):
    shutil.copy(package, box.file("/root/ga4relay.deb"))
    return box.run("dpkg", "--install", "/root/ga4relay.deb")


@pytest.fixture(scope="module")
def installed(box, packages):
    box.said = install(box, packages[0])
    return box


def test_lintian(packages):
    if not shutil.which("lintian"):
        warnings.warn("LINTIAN IS MISSING: the package is not checked against Debian's policy (apt install lintian)")
        pytest.skip("lintian is missing")
    r = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", packages[0]],
                       capture_output=True, text=True, timeout=300)
    print(r.stdout)
    assert r.returncode == 0, r.stdout + r.stderr


def test_a_fresh_install_listens_and_waits_for_its_configuration(installed):
    assert "waits for its configuration" in installed.said
    assert installed.run("id", "-gn", "ga4relay").strip() == "ga4relay"
    assert installed.show("ActiveState", "ga4relay.socket") == "active"
    assert installed.show("UnitFileState", "ga4relay.socket") == "enabled"
    assert installed.show("ActiveState") == "inactive"
    assert installed.state == "running"
    assert installed.run("ga4relay", "-V")
    assert not installed.try_run("dpkg", "--verify", "ga4relay").stdout


def test_an_upgrade_keeps_everything_and_drops_nobody(service, collector, packages):
    service.allow("destination web")
    box = service.box
    collector.down()
    service.box.run("sh", "-c", f"echo '# an operator was here' >>{ETC}/ga4relay.conf")
    with service.client() as c:
        c.send(*[event(n=i) for i in range(50)])
        assert all(r["ok"] for r in c.replies(50))
    pid, since = service.pid, box.show("ActiveEnterTimestampMonotonic", "ga4relay.socket")
    # A line that was written and not answered, over a connection that stays open, when the upgrade comes.
    waiting = service.client().send(event(n=50))
    install(box, packages[1])
    waiting.close()
    assert box.run("dpkg-query", "-W", "-f", "${Version}", "ga4relay").endswith("-2")
    assert box.show("ActiveEnterTimestampMonotonic", "ga4relay.socket") == since, "the socket was closed"
    assert service.active == "active" and service.pid != pid
    assert "an operator was here" in box.run("cat", f"{ETC}/ga4relay.conf")
    collector.up()
    service.wait_empty()
    assert sorted(e["params"]["n"] for e in collector.events) == list(range(51))


def test_a_disabled_unit_stays_disabled(service, packages):
    service.box.run("systemctl", "disable", "ga4relay.service", "ga4relay.socket")
    install(service.box, packages[1])
    assert service.box.try_run("systemctl", "is-enabled", "ga4relay.socket").stdout.strip() == "disabled"
    service.box.run("systemctl", "enable", "ga4relay.service", "ga4relay.socket")


def test_removed_and_purged(service, packages, collector):
    service.allow("destination web")
    box = service.box
    collector.down()
    assert service.ask()["ok"]
    box.run("dpkg", "--remove", "ga4relay")
    assert not box.file("/usr/sbin/ga4relay").exists() and not box.inside("/run/ga4relay.sock").exists()
    assert box.file(f"{STATE}/outbox.db").exists() and box.file(f"{ETC}/ga4relay.conf").exists()

    install(box, packages[1])
    box.run("systemctl", "start", "ga4relay.service")
    collector.up()
    wait(lambda: collector.count() == 1, "the event from before the removal")

    box.run("dpkg", "--purge", "ga4relay")
    for path in (ETC, STATE, "/usr/share/doc/ga4relay"):
        assert not box.file(path).exists(), path
    left = [p for d in ("etc", "usr", "var/lib/systemd") for p in (box.root / d).rglob("*ga4relay*")]
    assert not left
    assert "ga4relay" not in box.run("systemctl", "list-units", "--all", "--failed", "--no-pager")
