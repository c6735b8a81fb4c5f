# test_package.py - the Debian package: lintian, installed, upgraded under load, removed, purged
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from builder import Builder
from container import wait
from crowd import Crowd
from lib.client import event
from service import ETC, SECRET, STATE
from trees import SUITE

TOP = Path(__file__).resolve().parents[2]
DROP_IN = "/etc/systemd/system/ga4relay.service.d"


@pytest.fixture(scope="module")
def builder():
    b = Builder()
    try:
        yield b
    finally:
        b.stop()


@pytest.fixture(scope="module")
def packages(builder):
    """The package of this release, and the same with a higher version."""
    first = builder.package()
    unpacked, second = builder.dir / "second", builder.dir / first.name.replace("-1_", "-2_")
    subprocess.run(["dpkg-deb", "-R", first, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(control.read_text().replace("-1\n", "-2\n", 1))
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", unpacked, second], check=True, capture_output=True)
    return [first, second]


def install(box, package):
    """As a user would: with apt, which finds everything needed in place."""
    shutil.copy(package, box.file("/root/ga4relay.deb"))
    return apt(box, "install", "/root/ga4relay.deb")


def apt(box, verb, what):
    return box.run("apt-get", "-q", "-y", "--allow-downgrades", "-o", "Dpkg::Use-Pty=0", verb, what)


@pytest.fixture(scope="module")
def installed(box, packages):
    box.said = install(box, packages[0])
    return box


def test_lintian(packages):
    if not shutil.which("lintian"):
        warnings.warn("LINTIAN IS MISSING: the package is not checked against Debian's policy (apt install lintian)")
        pytest.skip("lintian is missing")
    r = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs",
                        "--tag-display-limit", "0", packages[0]],
                       capture_output=True, text=True, timeout=300)
    print(r.stdout)
    assert r.returncode == 0, r.stdout + r.stderr


def test_it_installs_without_systemd(builder, packages):
    """A container of one process has the standalone sysusers and tmpfiles at most."""
    shutil.copy(packages[0], builder.root / "root/ga4relay.deb")
    builder.run("dpkg", "--install", "/root/ga4relay.deb")
    assert not (builder.root / "usr/lib/systemd/systemd").exists()
    assert builder.run("stat", "-c", "%U:%G %a", STATE, "/run/ga4relay").split("\n")[:2] == [
        "ga4relay:ga4relay 700", "ga4relay:ga4relay 755"]
    builder.run("dpkg", "--purge", "ga4relay")


def test_a_fresh_install_listens_and_waits_for_its_configuration(installed):
    assert "waits for its configuration" in installed.said
    assert installed.run("id", "-gn", "ga4relay").strip() == "ga4relay"
    assert installed.show("ActiveState", "ga4relay.socket") == "active"
    assert installed.show("UnitFileState", "ga4relay.socket") == "enabled"
    assert installed.show("ActiveState") == "inactive"
    assert installed.state == "running"
    assert f'VERSION_CODENAME={SUITE}' in installed.run("cat", "/etc/os-release")
    assert installed.run("ga4relay", "-V")
    assert not installed.try_run("dpkg", "--verify", "ga4relay").stdout


def test_an_upgrade_keeps_everything_and_drops_nobody(service, collector, packages):
    service.allow("destination web")
    box = service.box
    collector.down()
    service.box.run("sh", "-c", f"echo '# an operator was here' >>{ETC}/ga4relay.conf")
    with service.client() as c:
        c.send(*[event(transaction_id=f"T-before-{i}") for i in range(50)])
        assert all(r["ok"] for r in c.replies(50))
    pid, since = service.pid, box.show("ActiveEnterTimestampMonotonic", "ga4relay.socket")
    # A line that was written and not answered, over a connection that stays open, when the upgrade comes.
    with service.client().send(event(transaction_id="T-waiting")), Crowd(service.socket, 1) as crowd:
        install(box, packages[1])
    assert box.run("dpkg-query", "-W", "-f", "${Version}", "ga4relay").endswith("-2")
    assert box.show("ActiveEnterTimestampMonotonic", "ga4relay.socket") == since, "the socket was closed"
    assert service.active == "active" and service.pid != pid
    assert "an operator was here" in box.run("cat", f"{ETC}/ga4relay.conf")
    collector.up()
    service.wait_empty(120)
    before = {f"T-before-{i}" for i in range(50)} | {"T-waiting"}
    other = [e for e in collector.events if e["params"]["transaction_id"] not in before]
    assert len(collector.events) - len(other) == len(before)
    assert crowd.judge(other) > 100


def test_a_disabled_unit_stays_disabled(service, packages):
    service.box.run("systemctl", "disable", "ga4relay.service", "ga4relay.socket")
    install(service.box, packages[1])
    assert service.box.try_run("systemctl", "is-enabled", "ga4relay.socket").stdout.strip() == "disabled"
    service.box.run("systemctl", "enable", "ga4relay.service", "ga4relay.socket")


def test_a_stopped_service_is_not_started_by_an_upgrade(service, packages):
    service.systemctl("start")
    service.systemctl("stop")
    install(service.box, packages[1])
    assert (service.active, service.box.show("ActiveState", "ga4relay.socket")) == ("inactive", "active")
    assert service.ask()["ok"]


def test_removed_and_installed_again(service, packages, collector):
    service.allow("destination web")
    box = service.box
    collector.down()
    assert service.ask()["ok"]
    apt(box, "remove", "ga4relay")
    assert not box.file("/usr/sbin/ga4relay").exists() and not box.inside("/run/ga4relay.sock").exists()
    assert box.file(f"{STATE}/outbox.db").exists() and box.file(f"{ETC}/ga4relay.conf").exists()
    said = install(box, packages[1])
    assert "waits for its configuration" not in said
    assert service.active == "active", said
    collector.up()
    wait(lambda: collector.count() == 1, "the event from before the removal")


def test_removed_while_disabled_and_installed_again(service, packages):
    box = service.box
    box.run("systemctl", "disable", "ga4relay.service", "ga4relay.socket")
    apt(box, "remove", "ga4relay")
    install(box, packages[1])
    assert (service.active, box.show("ActiveState", "ga4relay.socket")) == ("inactive", "inactive")
    box.run("systemctl", "enable", "--now", "ga4relay.service", "ga4relay.socket")


def test_a_configuration_with_a_credential_is_ready(service, packages, collector):
    """Everything is there before the package: its configuration, and the drop-in that gives it the secret."""
    box = service.box
    apt(box, "purge", "ga4relay")
    stream = service.config["streams"][0]
    del stream["api_secret_file"]
    stream["api_secret_credential"] = "web"
    box.run("mkdir", "-p", ETC)
    service.write_config()
    box.run("sh", "-c", "umask 077; cat >/root/web.secret", stdin=SECRET)
    service.drop_in("[Service]\nLoadCredential=web:/root/web.secret\n")
    said = box.run("dpkg", "--force-confold", "--install", "/root/ga4relay.deb")
    assert "waits for its configuration" not in said
    assert service.active == "active", said
    service.ask()
    wait(lambda: collector.count() == 1, "delivery with the credential's secret")


def test_a_configuration_that_is_wrong_is_not_started(service, packages):
    box = service.box
    apt(box, "remove", "ga4relay")
    service.write_config('streams = ( { name = "web"; measurement_id = "wrong"; api_secret_credential = "web"; } );\n')
    said = install(box, packages[1])
    assert "waits for its configuration" in said
    assert service.active == "inactive"


def test_a_purge_leaves_what_is_the_administrators(service, packages):
    box = service.box
    service.drop_in("[Service]\nNice=5\n")
    service.systemctl("start")
    apt(box, "purge", "ga4relay")
    assert box.file(f"{DROP_IN}/test.conf").exists()
    for path in (ETC, STATE, "/usr/share/doc/ga4relay"):
        assert not box.file(path).exists(), path
    left = {str(p.relative_to(box.root)) for d in ("etc", "usr", "var/lib/systemd") for p in (box.root / d).rglob("*ga4relay*")}
    assert left == {"etc/systemd/system/ga4relay.service.d"}
    assert "ga4relay" not in box.run("systemctl", "list-units", "--all", "--failed", "--no-pager")
