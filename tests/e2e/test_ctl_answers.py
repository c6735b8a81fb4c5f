# test_ctl_answers.py - ga4relay-ctl and a daemon that answers what it likes: every sentence of the screens, and nonsense
import json
import os
import pty
import re
import socket
import subprocess

import pytest

from lib.client import event, line
from lib.puppet import Puppet
from lib.relay import BUILD, TOP, wait_until

STREAM = {"name": "web", "state": "up", "retry_in_ms": 0, "window": 4, "in_flight": 0, "last_error": None,
          "events": {"queued": 1, "inflight": 0, "held": 0, "dead": 0}}
STATUS = {"version": "1", "uptime_s": 7, "events": {"queued": 0, "dead": 0}, "oldest_age_s": None,
          "rates": {"in_1m": 0, "in_5m": 0, "out_1m": 0, "out_5m": 0}, "outbox": {"bytes": 10, "limit": 100},
          "dead": {}, "connections": 1, "maybe_twice": 0, "streams": [STREAM]}


@pytest.fixture
def puppet(tmp_path_factory):
    made = []

    def make(answers=None, directory=None, **kw):
        made.append(Puppet(directory or tmp_path_factory.mktemp("p"), answers, **kw))
        return made[-1]

    yield make
    for p in made:
        p.stop()


def ctl(p, *args, stdin="", **kw):
    env = {"PATH": os.environ["PATH"], "LSAN_OPTIONS": f"suppressions={TOP}/tests/e2e/lsan.supp"}
    r = subprocess.run([str(BUILD / "ga4relay-ctl"), "-s", str(p.control), *map(str, args)], env=env, input=stdin,
                       capture_output=True, text=True, timeout=60, **kw)
    return r.returncode, r.stdout, r.stderr


def on_a_terminal(p, *args, stdin=subprocess.DEVNULL, until=None):
    """All that the command writes to a terminal, or as far as `until`."""
    master, slave = pty.openpty()
    child = subprocess.Popen([str(BUILD / "ga4relay-ctl"), "-s", str(p.control), *map(str, args)], stdin=stdin,
                             stdout=slave, stderr=slave, env={"TERM": "xterm", "PATH": os.environ["PATH"]})
    os.close(slave)
    out = b""
    while until is None or until not in out:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    if until is not None:
        child.terminate()
    child.wait(20)
    os.close(master)
    return out.decode()


@pytest.mark.parametrize("change, says", [
    ({"full": "the disk has 1M left"}, "FULL +the disk has 1M left; new events are answered QUEUE_FULL"),
    ({"set_aside": "/x/outbox.db.corrupt"}, "SET ASIDE +/x/outbox.db.corrupt\n +the outbox was damaged"),
    ({"maybe_twice": 25}, "restart +the last run did not end cleanly: at most 25 events may go out twice"),
    ({"expiry_suspended": True}, "expiry +suspended 10 min: a tenth"),
    ({"events": {"queued": 1000, "inflight": 0}, "rates": {"in_1m": 1, "out_1m": 11}}, "drained in "),
    ({"events": {"queued": 1000}, "rates": {"in_1m": 11, "out_1m": 1}}, "not draining"),
    ({"events": {"queued": "x"}}, "events +none"),
    ({"events": 7, "streams": 7}, "^rates"),
    ({"outbox": {"bytes": 90, "limit": 100}}, r"90 %"),
    ({"oldest_age_s": 7200, "first_expiry_s": 60}, r"expires +\S+ \S+ \(in 1m00s\)"),
    ({"dead": {"refused": 1, "too-large": 22222222, "expired": 33333333, "ambiguous": 44444444, "corrupt": 55555555}},
     r"dead +refused 1 .*33\n +ambiguous"),
    ({"maybe_twice": -1, "connections": -3}, " -3 connections"),
    ({"streams": [{**STREAM, "state": "backing-off", "retry_in_ms": 5000, "down_since_micros": 1760000000000000,
                   "last_error": "status 503 from the endpoint " + "x" * 99}]}, r"down since .*, next try \S+ \(in 5s\)\n +last error: status 503"),
])
def test_status_tells_all(puppet, change, says):
    p = puppet({"status": [{**STATUS, **change}, {}]})
    code, out, err = ctl(p, "status")
    assert code == 0 and not err
    assert re.search(says, out, re.M), out
    assert all(len(x) <= 80 or "last error" in x for x in out.splitlines()), out   # in a pipe it is whole
    assert json.loads(ctl(p, "--json", "status")[1]) == {**STATUS, **change}


def test_watch_outlives_the_daemon(puppet):
    p = puppet({"status": [STATUS, {}]})
    child = subprocess.Popen([str(BUILD / "ga4relay-ctl"), "-s", str(p.control), "status", "--watch"], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert child.stdout.readline().startswith("ga4relay 1")
    p.stop()
    os.unlink(p.control)
    assert "waiting for it" in child.stderr.readline()
    again = puppet({"status": [{**STATUS, "version": "2"}, {}]}, directory=p.control.parent)
    wait_until(lambda: child.stdout.readline().startswith("ga4relay 2"), "the next daemon's screen")
    assert again.requests
    child.terminate()
    child.wait(20)
    child.stdout.close()
    child.stderr.close()


def test_watch_ends_when_nobody_reads(puppet):
    p = puppet({"status": [STATUS, {}]})
    child = subprocess.Popen([str(BUILD / "ga4relay-ctl"), "-s", str(p.control), "status", "--watch"], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(20) != 0


@pytest.mark.parametrize("answer, code, says", [
    (None, 3, "closed the connection before it had answered"),
    (b'{"id":1', 3, "closed the connection before it had answered"),
    (b"nonsense\n", 1, "makes no sense"),
    (b'{"end":nonsense\n', 1, "makes no sense"),
    (b'{"end":true,"ok":false,"code":"usage","message":"not like that"}\n', 2, "not like that"),
    (b'{"end":true,"ok":false,"code":"busy","message":"not now"}\n', 1, "not now"),
    (b'{"end":true}\n', 1, ""),
])
@pytest.mark.parametrize("command", [["status"], ["list"], ["show", "1"], ["count"], ["export"], ["tap"], ["validate"]])
def test_answers_without_sense(puppet, command, answer, code, says):
    if command == ["validate"] and answer == b"nonsense\n":
        code = 3  # what stands before the end is its verdict, whose end then never comes
    p = puppet({c: answer for c in ("status", "list", "show", "count", "export", "tap", "validate")})
    got, out, err = ctl(p, *command, stdin=line(event()).decode())
    assert got in (code, 1, 3) if answer == b"nonsense\n" else got == code, (got, out, err)
    assert says in err or answer == b"nonsense\n", err


def test_no_socket_to_speak_to(puppet, tmp_path):
    p = puppet()
    p.control = "/" + "x" * 200
    code, _, err = ctl(p, "status")
    assert code == 3 and "name the control socket with -s" in err
    code, _, err = ctl(p, "send", "--socket", "/" + "x" * 200, stdin="{}\n")
    assert code == 3 and "--socket names another event socket" in err
    p.control = tmp_path / "file"
    p.control.write_text("")
    assert ctl(p, "status")[0] == 3
    p.control = tmp_path / "nobody"
    socket.socket(socket.AF_UNIX).bind(str(p.control))
    code, _, err = ctl(p, "status")
    assert code == 3 and "nobody listens" in err
    p.control = tmp_path / "none"
    assert json.loads(ctl(p, "--json", "version")[1])["daemon"] is None


def test_output_that_cannot_be_written(puppet):
    p = puppet({"status": [STATUS, {}], "list": [{"id": 1}, {}]})
    for command in ("status", "list"):
        with open("/dev/full", "w") as full:
            r = subprocess.run([str(BUILD / "ga4relay-ctl"), "-s", str(p.control), command], stdout=full,
                               stderr=subprocess.PIPE, text=True, timeout=20)
        assert r.returncode == 1 and "standard output cannot be written" in r.stderr, r


# ---- tap and the list on a terminal ----

ROW = {"id": 7, "state": "queued", "reason": None, "stream": "web", "client": "1.2", "name": "refund",
       "accepted_micros": 1760000000000000, "attempts": 0, "last_error": None}


def test_tap_for_people(puppet):
    rows = [ROW, {**ROW, "state": "inflight"}, {**ROW, "attempts": 2, "last_error": "status 503"},
            {**ROW, "state": "dead", "reason": "refused"}, {**ROW, "state": "delivered"}, {"missed": 12}]
    p = puppet({"tap": [*rows, {}]})
    code, out, _ = ctl(p, "tap", "--name", "refund", "--stream", "web")
    words = [x.split()[1] for x in out.splitlines()]
    assert code == 0 and words == ["accepted", "sent", "failed", "dead", "delivered", "12"], out
    assert "status 503" in out and "refused" in out and "this reader is too slow" in out
    assert p.requests[-1] == {"command": "tap", "stream": "web", "name": "refund"}
    shown = on_a_terminal(p, "tap")
    assert len(set(re.findall(r"\x1b\[3[0-9]m", shown))) >= 2, shown  # colours by state
    assert [json.loads(x)["id"] for x in ctl(p, "--json", "tap")[1].splitlines()[:5]] == [7] * 5


def test_list_of_every_state_has_its_colour(puppet):
    p = puppet({"list": [ROW, *({**ROW, "state": s, "id": 10 ** 12} for s in ("held", "inflight", "dead", "delivered")), {}]})
    assert len(set(re.findall(r"\x1b\[3[0-9]m", on_a_terminal(p, "list")))) == 3
    assert "1000000000000" in ctl(p, "list")[1]


# ---- send ----

OK = b'{"ok":true,"id":%d,"count":1}\n'


def test_send_says_what_it_does_not_know(puppet):
    """Two of five lines are answered, then the connection ends."""
    p = puppet(replies=OK % 1 + b"nonsense\n", after=5)
    code, out, err = ctl(p, "send", "-", stdin=line(event()).decode() * 5)
    assert code == 1 and "line 2: the reply makes no sense" in err
    assert "from line 3 on no reply came: 3 lines may be stored or not" in err
    assert "5 lines: 1 event stored, 1 refused; id 1\n" in out
    summary = json.loads(ctl(puppet(replies=b"", after=1), "--json", "send", "-", stdin="{}\n")[1].splitlines()[-1])
    assert summary["unanswered"] == 1 and summary["accepted"] == 0


def test_send_counts_duplicates_and_warnings(puppet):
    p = puppet(replies=OK % 5 + b'{"ok":true,"id":5,"count":1,"duplicate":true}\n'
               b'{"ok":true,"id":6,"count":2,"warnings":[]}\n' + OK % 99, after=3)
    code, out, _ = ctl(p, "send", "-", stdin="{}\n" * 3)  # the fourth reply is to nothing
    assert code == 0 and "3 events stored, 0 refused, 1 duplicate, 1 with warnings; ids 5 to 7" in out, out


def test_send_of_a_line_that_is_too_long(puppet):
    long = '{"x":"' + "y" * (25 << 20) + '"}\n'
    p = puppet(replies=OK % 1, after=1)
    code, out, _ = ctl(p, "send", "-", stdin=long + "{}\n")
    assert code == 1 and "line 1: LINE_TOO_LONG" in out and "1 event stored, 1 refused" in out
    p = puppet(replies=OK % 1, after=1)
    code, out, _ = ctl(p, "--json", "send", "-", stdin=long + "{}\n")
    assert code == 1 and json.loads(out.splitlines()[0])["code"] == "LINE_TOO_LONG"


def test_send_when_the_relay_goes_away(puppet):
    """More lines than a socket holds, and nobody reads."""
    p = puppet(replies=b"", after=0)
    code, out, err = ctl(p, "send", "-", stdin=line(event(blob="x" * 60000)).decode() * 200)
    assert code == 1 and "the connection ended before all lines were sent" in err, err
    assert "0 events stored" in out


def test_send_shows_how_far_it_is(paused):
    lines = paused.dir / "lines"
    lines.write_bytes(line(event()) * 20000 + b"nonsense\n")
    with open(lines) as f:
        out = on_a_terminal(paused, "send", "-", stdin=f)
    assert "lines answered, 0 refused" in out, out
    assert "20,001 lines: 20,000 events stored, 1 refused" in out, out


# ---- validate ----

def test_validate_by_a_configuration(make_relay):
    relay = make_relay()
    relay.write_config()
    lines = "".join(x if isinstance(x, str) else line(x).decode() for x in (event(), event("ad_click"), "nonsense\n"))
    lines += '{"x":"' + "y" * (25 << 20) + '"}\n'
    code, out, _ = relay_ctl(relay, "validate", "--config", relay.conf, stdin=lines)
    assert code == 1 and "line 4\n  local   LINE_TOO_LONG" in out, out
    assert re.findall("NAME_RESERVED|JSON_INVALID", out) == ["NAME_RESERVED", "JSON_INVALID"]
    relay.write_config("nonsense")
    code, _, err = relay_ctl(relay, "validate", "--config", relay.conf, stdin=lines)
    assert code == 1 and str(relay.conf) in err


def test_remote_verdict_that_is_none(puppet):
    row = {"line": 1, "local": {"ok": True, "id": 0, "count": 1}, "remote": {"status": 200, "body": "<html>"}}
    p = puppet({"validate": [row, {}]})
    code, out, err = ctl(p, "validate", "--remote", stdin="{}\n")
    assert code in (0, 1), (out, err)


def relay_ctl(relay, *args, stdin=None):
    r = relay.ctl_raw(*args, stdin=stdin)
    return r.returncode, r.stdout, r.stderr


# ---- the rest of the command line ----

def test_check_config(make_relay):
    relay = make_relay()
    relay.write_config()
    assert relay_ctl(relay, "check-config", relay.conf)[:2] == (0, f"{relay.conf}: good, 1 stream\n")
    assert relay.ctl("check-config", relay.conf) == [{"ok": True, "streams": 1, "unseen_secrets": 0}]
    relay.write_config("nonsense")
    code, _, err = relay_ctl(relay, "check-config", relay.conf)
    assert code == 1 and str(relay.conf) in err


@pytest.mark.parametrize("args, says", [
    (["log-level"], "which? error, warning, info or debug"),
    (["export", "1", "--client", "1.2"], "not both"),
    (["list", *["--state", "dead"] * 99], "given too often"),
])
def test_more_usage(make_relay, args, says):
    code, out, err = relay_ctl(make_relay(), *args)
    assert (code, out) == (2, "") and says in err


def test_backup_on_a_terminal(paused):
    for _ in range(20):
        assert paused.ask({"client_id": "1.2", "events": [{"name": "x", "params": {"t": "y" * 90}}] * 1000})["ok"]
    out = on_a_terminal(paused, "backup", paused.dir / "copy.db")
    assert re.search(r"copying: \d+ %", out) and "checked" in out, out
