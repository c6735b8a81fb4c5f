# sandboxed.py - a pytest plugin for the end-to-end tests: each relay is a unit of systemd with ga4relay.service's sandbox
"""Runs inside the booted container: python3 -m pytest -p sandboxed tests/e2e.

The unit is the shipped file but for what REPLACED names. A system call that the filter refuses kills the relay, and so
fails its test: what passes here made none, whatever its libraries try in silence."""
import itertools
import os
import select
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lib.relay import TOP, Relay

WHERE = Path(os.environ.get("TMPDIR", "/srv/ga4relay-e2e")) # the unit's PrivateTmp hides /tmp
STARTS = WHERE / "starts"
UNIT = Path("/run/systemd/system/ga4relay-e2e@.service")

# What a relay of a test has in place of the unit's own line; None: no such line. All else of [Service] is as shipped.
REPLACED = {
    "Type": "exec",                     # the tests hear READY=1 and WATCHDOG=1 themselves
    "NotifyAccess": None,
    "WatchdogSec": None,
    "ExecStart": f"/bin/sh {STARTS}/%i", # the program with the test's arguments and environment
    "ExecReload": None,
    "Restart": "no",                    # whether it comes back is the test's to say
    "RestartSec": None,
    "StateDirectory": None,             # one writable directory for all: ReadWritePaths below
    "StateDirectoryMode": None,
    "RuntimeDirectory": None,
    "RuntimeDirectoryMode": None,
    "ConfigurationDirectory": None,
    "SystemCallErrorNumber": "kill",
}
ADDED = f"RemainAfterExit=yes\nReadWritePaths={WHERE}\n"

# What cannot be so, by the name of a file or of a test, and why.
EXCLUDED = {
    "test_failing_calls": "strace makes calls fail, and the sandbox lets nobody trace",
    "test_kill_at_system_calls": "is traced, and the sandbox lets nobody trace",
    "test_power_cuts": "strace writes down its calls, and the sandbox lets nobody trace",
    "test_a_power_cut_without_syncs_is_noticed": "as above",
    "test_a_disk_that_fails_is_said": "strace makes calls fail, and the sandbox lets nobody trace",
    "test_a_limit_of_the_size_of_files": "sets the limit by its own hand, and the filter knows no such call",
    "test_a_good_file_of_somebody_else": "its relay would start with files that all belong to the service's user",
    "test_a_file_that_only_root_can_read": "as above, and becomes another user by its own hand",
    "test_root_acts_for_the_service_s_user": "becomes the service's user by its own hand; the unit is that one already",
    "test_two_paths_to_one_file": "mounts the outbox where only root may look",
    "test_a_look_that_fails_once": "strace makes calls fail, and the sandbox lets nobody trace",
    "test_a_group_lets_in_its_members_only": "gives sockets to another group, and the sandbox lets nobody give files away; "
                                             "test_system.py does it with the unit's own",
    "test_the_readers_group_changes_nothing": "as above, without the last part",
    "test_a_user_who_is_not_in_the_group_is_told_which": "as above, without the last part",
    "test_what_is_answered_as_held_or_dropped_is_not_sent": "strace delays calls, and the sandbox lets nobody trace",
    "test_what_is_in_flight_when_a_change_is_asked_for_is_refused": "as above",
    "test_group_commit": "strace counts, and the sandbox lets nobody trace",
    "test_addresses.py": "mounts a file over /etc/hosts, and the sandbox lets nobody mount",
    "test_a_resolver_that_never_answers_stops_nothing": "mounts a file over /etc/resolv.conf, as above",
    "test_the_same_user_cannot_read_the_process": "becomes another user by its own hand; the unit is one already",
    "test_a_large_backlog_is_ready_at_once": "measures a start, and systemd's own part is longer",
    "test_memory.py": "compiles a library and preloads it: there is no compiler inside",
    "test_instructions.py": "counts a program's instructions, starts no relay",
    "test_bench.py": "tests the benchmarks' own programs, and starts relays by their hand",
    "test_differential.py": "compares judgements, starts no relay",
    "test_readme.py": "starts relays by its own hand, as a reader would",
    "test_socket_activation_keeps_connects_waiting_across_a_restart": "hands over a descriptor by its own hand; "
                                                                      "test_system.py does it with systemd's",
    "test_clients_of_a_relay_that_never_ran_are_refused": "as above",
    "test_clients_of_a_relay_that_ran_wait_for_the_cure": "as above",
    "test_a_wrong_configuration_waits_the_longer_the_older_it_is": "as above",
}


def unit_text():
    """The shipped unit's [Service] with the replacements; each must still be there to be replaced."""
    lines, section, met = ["[Service]"], None, set()
    for line in (TOP / "systemd/ga4relay.service").read_text().splitlines():
        if line.startswith("["):
            section = line
        key, equals, _ = line.partition("=")
        if section != "[Service]" or not equals or line.startswith("#"):
            continue
        met.add(key)
        if key not in REPLACED:
            lines.append(line)
        elif REPLACED[key] is not None:
            lines.append(f"{key}={REPLACED[key]}")
    assert not set(REPLACED) - met, f"no longer in the unit: {set(REPLACED) - met}"
    return "\n".join(lines) + "\n" + ADDED


def systemctl(*args):
    return subprocess.run(["systemctl", *args], check=True, capture_output=True, text=True).stdout


class Unit:
    """To a test what subprocess.Popen is."""

    numbers = itertools.count(1)
    started = 0

    def __init__(self, argv, env, log):
        n = next(self.numbers)
        self.name = f"ga4relay-e2e@{n}.service"
        self.returncode = None
        words = ["env", "-i", *(f"{k}={v}" for k, v in env.items()), *argv]
        (STARTS / str(n)).write_text(f"exec {shlex.join(map(str, words))} >>{shlex.quote(str(log))} 2>&1\n")
        systemctl("start", self.name)
        Unit.started += 1
        self.pid = int(self._show("ExecMainPID"))
        try:
            self.handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.handle = None          # it has ended already

    def _show(self, prop):
        return systemctl("show", "-p", prop, "--value", self.name).strip()

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout=None):
        if self.returncode is not None:
            return self.returncode
        if self.handle is not None:
            if not select.select([self.handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.name, timeout)
            os.close(self.handle)
            self.handle = None
        until = time.monotonic() + 30
        while (code := self._show("ExecMainCode")) == "0": # systemd has not looked yet
            assert time.monotonic() < until, f"{self.name}: systemd does not see its end"
            time.sleep(0.005)
        status = int(self._show("ExecMainStatus"))
        self.returncode = status if code == "1" else -status # 1 is CLD_EXITED
        systemctl("stop", self.name)
        subprocess.run(["systemctl", "reset-failed", self.name], capture_output=True, check=False)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            signal.pidfd_send_signal(self.handle, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def launch(relay, argv, env):
    # The tests are root and make files for the service's user; their servers' certificates are for everybody.
    subprocess.run(["chown", "-hR", "ga4relay:ga4relay", relay.dir], check=True)
    for disk in WHERE.glob("ga4relay-disk-*"): # may be read-only by now
        subprocess.run(["chown", "-R", "ga4relay:ga4relay", disk], capture_output=True, check=False)
    for others in (*WHERE.glob("ga4relay-ca-*"), *WHERE.glob("ga4relay-tls-*")):
        others.chmod(0o755)
    return Unit(argv, env, relay.log_path)


def pytest_configure():
    STARTS.mkdir(parents=True, exist_ok=True)
    UNIT.write_text(unit_text())
    systemctl("daemon-reload")
    Relay.launch = launch


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session, items):
    names = {i.path.name for i in items} | {i.originalname for i in items}
    stale = [x for x in EXCLUDED if x not in names]
    assert session.config.option.lf or not stale, f"excluded, but there are no such tests: {stale}" # lf: only what failed is here
    for item in items:
        why = EXCLUDED.get(item.originalname) or EXCLUDED.get(item.path.name)
        if why:
            item.add_marker(pytest.mark.skip(reason=f"not under the unit: {why}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    before = Unit.started
    yield
    item.session.under_unit = getattr(item.session, "under_unit", 0) + (Unit.started > before)


def pytest_terminal_summary(terminalreporter):
    n = getattr(terminalreporter._session, "under_unit", 0)
    terminalreporter.write_line(f"sandboxed: {n} tests had relays under the unit, {Unit.started} starts")
