# test_memory.py - every allocation fails once in turn: no crash, no lost acknowledgement, and the relay goes on
#
# FAULTS=N: so many of the places where an allocation happens are tried, spread evenly (FAULTS=all: each of them); of each of
# ga4relay-ctl's commands a third of that, of each answer a quarter.
import os
import shutil
import signal
import subprocess

import pytest

from lib.client import Client, event
from lib.relay import BUILD, SANITIZED, TOP, VARIANT, wait_until

FAULTS = os.environ.get("FAULTS", "30")
pytestmark = [
    pytest.mark.skipif(SANITIZED, reason="the sanitizers bring their own allocator"),
    pytest.mark.skipif(not shutil.which("cc"), reason="CC IS MISSING: failing allocations are not tested"),
]


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    so = tmp_path_factory.mktemp("failmalloc") / "failmalloc.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O2", "-o", so, TOP / "tests/e2e/lib/failmalloc.c"], check=True)
    return so


# libcurl 7.88 divides by the size of a table that it had no memory for: a crash that is not ours, and must lose nothing.
# Nor is libgcov's at the end, in the build that counts what runs: it takes memory for its files' names unseen.
LIBRARIES = (-signal.SIGFPE, -signal.SIGSEGV) if VARIANT == "cov" else (-signal.SIGFPE,)


AT_EXIT = (0, -signal.SIGSEGV) if VARIANT == "cov" else (0,)


def places(n, share=1):
    """Which of n allocations are made to fail: FAULTS of them, or a share of that."""
    if FAULTS == "all":
        return range(1, n + 1)
    wanted = max(1, int(FAULTS) // share)
    return sorted({1 + i * n // wanted for i in range(wanted)})


def arm(relay, preload, at, gate=None):
    count = relay.dir / "allocations"
    count.unlink(missing_ok=True)
    relay.env = {"LD_PRELOAD": str(preload), "FAILMALLOC_AT": str(at), "FAILMALLOC_COUNT": str(count),
                 "FAILMALLOC_SPARE": "libconfig"}
    if gate:
        relay.env["FAILMALLOC_GATE"] = str(gate)
    return count


def talk(relay, acked, tag):
    """An application with good, bad, long and repeated lines; a closed connection leaves the rest unknown."""
    names = [f"{tag}-{i}" for i in range(12)]
    try:
        with Client(relay.sock, timeout=10) as c:
            c.send(*(event(client=f"{i % 3}.1", transaction_id=n, blob="x" * (i * 900)) for i, n in enumerate(names)))
            c.send(event("ad_click"), b"nonsense\n", {**event(client="9.9"), "dedup_key": tag})
            c.send({"client_id": "7.7", "events": [{"name": "a"}, {"name": "b"}]})
            for n in names:
                r = c.reply()
                if r["ok"]:
                    acked.add(n)
                else:
                    assert r["retry"], r
            c.replies(4)
    except (EOFError, OSError):
        pass
    for args in (["status"], ["list", "--state", "queued"], ["count"], ["metrics"], ["show", "1"]):
        ctl(relay, *args)


def ctl(relay, *args):
    """May be refused or cut off, may not hang."""
    subprocess.run([str(BUILD / "ga4relay-ctl"), "-s", str(relay.control), "--json", *args],
                   capture_output=True, timeout=10)


def arrived(collector):
    return {e["params"]["transaction_id"] for e in collector.events if "transaction_id" in e.get("params", {})}


def judge(relay, collector, acked, at):
    """Everything acknowledged arrives: now, or, when memory ran out where the relay must give up, after a restart."""
    if not relay.alive():
        assert relay.process.returncode in (0, 1, *LIBRARIES), f"allocation {at}: exit {relay.process.returncode}\n{relay.log}"
        relay.env = {}
        relay.start()
    wait_until(lambda: acked <= arrived(collector), f"allocation {at}: acknowledged events arrive", 15)


def test_every_allocation_at_work(make_relay, collector, preload):
    relay = make_relay(delivery={"timeout": "2s"}).allow(".*")
    gate, acked = relay.dir / "gate", set()
    count = arm(relay, preload, 0, gate)
    relay.start()
    gate.touch()
    talk(relay, acked, "first")
    judge(relay, collector, acked, 0)
    assert relay.stop() == 0
    n = int(count.read_text())
    assert n > 100
    gave_up = 0
    for at in places(n):
        gate.unlink(missing_ok=True)
        arm(relay, preload, at, gate)
        relay.start()
        gate.touch()
        try:
            talk(relay, acked, f"f{at}")
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"allocation {at}: ga4relay-ctl gets no answer: {e}\n{relay.log[-1000:]}") from None
        gave_up += not relay.alive()
        judge(relay, collector, acked, at)
        code = relay.stop()
        assert code in (0, *LIBRARIES), f"allocation {at}: exit {code}\n{relay.log[-2000:]}"
        if code in LIBRARIES:  # as late as this: what was acknowledged must still arrive
            judge(relay, collector, acked, at)
            assert relay.stop() == 0
    print(f"{n} allocations at work, {len(places(n))} of them failed once, {gave_up} ended the relay in order, "
          f"{len(acked)} acknowledged")


@pytest.mark.parametrize("command", [["status"], ["list", "--state", "queued"], ["count", "--by", "name"], ["metrics"],
                                     ["show", "1"], ["export"], ["hold", "1"], ["drop", "2"], ["pause"], ["list", "--state", "rejected"]],
                         ids=" ".join)
def test_every_allocation_of_an_answer(make_relay, preload, command):
    """ga4relay-ctl gets an answer, a refusal or the end of its connection, and never waits for ever."""
    relay = make_relay().allow(".*")
    relay.config["streams"] = [relay.stream(paused=True)]
    gate = relay.dir / "gate"
    relay.start()
    with relay.client() as c:
        c.send(*[event()] * 5, b"nonsense\n")
        c.replies(6)
    assert relay.stop() == 0

    def run(at):
        gate.unlink(missing_ok=True)
        count = arm(relay, preload, at, gate)
        relay.start()
        gate.touch()
        ctl(relay, *command)
        gate.unlink()
        ctl(relay, "status")
        assert relay.alive(), relay.log[-2000:]
        assert relay.stop() in AT_EXIT, relay.log[-2000:]
        return int(count.read_text()) if count.exists() else 0

    n = run(0)
    assert n > 3
    for at in places(n, share=4):
        try:
            run(at)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"allocation {at} of {n}: no answer: {e}\n{relay.log[-1000:]}") from None
    print(f"{command}: {n} allocations, {len(places(n, share=4))} failed once")


def test_every_allocation_at_start(make_relay, collector, preload):
    """A start without memory says so and ends with a code; the next start has lost nothing."""
    relay = make_relay().allow(".*")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    relay.ask(event())
    assert relay.stop() == 0
    count = arm(relay, preload, 0)
    relay.start()
    assert relay.stop() == 0
    n = int(count.read_text())
    refused = 0
    for at in places(n):
        arm(relay, preload, at)
        relay.spawn()
        if relay.notified("READY=1"):
            assert relay.stop() in (0, 1, *LIBRARIES), f"allocation {at}\n{relay.log[-2000:]}"
        else:
            refused += 1
            code = relay.wait_exit()
            assert code in (1, 75, 78, *LIBRARIES), f"allocation {at}: exit {code}\n{relay.log[-2000:]}"
    relay.env = {}
    relay.start()
    assert relay.states() == {"queued": 1}
    assert not list(relay.dir.glob("*corrupt*"))
    print(f"{n} allocations at start, {len(places(n))} failed once, {refused} starts refused")


# What ga4relay-ctl is asked while a relay runs ({conf}, {file}, {lines}: a configuration, a copy of the outbox, a file of lines).
COMMANDS = """status|status --json|list|list --json --state dead,queued --reverse|list --state rejected|show 1 2|show --json 1|count --by name
count --json --client 1.1|retry 1 --json|hold 1|release 1|drop 999|retry --stream web --yes|export|export 1 --json|pause|resume --json|flush
send {lines}|send --json {lines}|validate {lines}|validate --json {lines}|validate --config {conf} {lines}|check|check --json|metrics|metrics --json
check-config {conf}|reload|log-level info|version|version --json|doctor --json|doctor --config {conf}|list --name|nonsense|help list
--offline {file} list|--offline {file} list --json --state dead|--offline {file} show 1|--offline {file} count --by age|--offline {file} export
--offline {file} check|--offline {file} check --json""".replace("\n", "|").split("|")


@pytest.mark.parametrize("part", range(4))
def test_every_allocation_of_the_client(make_relay, preload, tmp_path, part):
    """ga4relay-ctl without memory says so, or does without; it neither crashes nor waits, nor fails without a word."""
    relay = make_relay().allow(".*")
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        c.send(*[event(client="1.1")] * 5, b"nonsense\n")
        c.replies(6)
    names = {"conf": relay.conf, "file": tmp_path / "copy.db", "lines": tmp_path / "lines"}
    relay.ctl("backup", names["file"])
    names["lines"].write_text('{"client_id":"8.8","name":"a"}\nnonsense\n{"client_id":"8.8","name":"ad_click"}\n')
    # Spared: libconfig, which ends the process, and libc, whose look at nsswitch.conf crashes (2.36).
    count, tried, wrong = tmp_path / "count", 0, []

    def run(command, at):
        env = {"PATH": os.environ["PATH"], "LD_PRELOAD": str(preload), "FAILMALLOC_AT": str(at), "FAILMALLOC_COUNT": str(count),
               "FAILMALLOC_SPARE": "/libc", **{k: v for k, v in os.environ.items() if k.startswith("GCOV")}}
        words = [w.format(**names) for w in command.split()]
        return subprocess.run([str(BUILD / "ga4relay-ctl"), "-s", str(relay.control), *words], env=env, capture_output=True,
                              text=True, errors="backslashreplace", timeout=60)

    for command in COMMANDS[part::4]:
        good = run(command, 0)
        for at in places(int(count.read_text()), share=3):
            p = run(command, at)
            tried += 1
            where = f"{command}, allocation {at}: exit {p.returncode}\n{p.stdout[-500:]}\n{p.stderr[-500:]}"
            crashed = p.returncode not in (*range(6), *AT_EXIT)
            silent = p.returncode not in (good.returncode, *AT_EXIT) and not p.stderr and not p.stdout
            if crashed or silent:
                wrong.append(where)
    assert not wrong, "\n".join(wrong)
    print(f"{tried} allocations of {len(COMMANDS[part::4])} commands failed once")
