# test_validate.py - ga4relay-ctl validate: line numbers, both verdicts, colours on a terminal only, exit codes
import json
import os
import pty
import subprocess

import pytest

from lib.client import event, line
from lib.collector import status
from lib.relay import BUILD, SECRET, wait_until

GOOD = line(event()).decode()
WARNED = '{"client_id":"1.2","name":"x","params":{"session_id":1,"engagement_time_msec":1,"ga_x":1}}\n'
WRONG = '{"client_id":"1.2","name":"ad_click"}\n'


def validate(relay, *args, text=""):
    r = relay.ctl_raw("validate", *args, stdin=text)
    return r.returncode, r.stdout, r.stderr


def test_line_numbers_are_those_of_the_file(relay, collector):
    """Blank lines and a CR count as an editor counts them; nothing is stored or sent."""
    file = relay.dir / "events.jsonl"
    file.write_text(GOOD + "\n\r\n" + WRONG.replace("\n", "\r\n") + "junk\n" + WARNED + GOOD.rstrip("\n"))
    code, out, err = validate(relay, file)
    assert code == 1 and err == ""
    numbers = [int(x.split()[1]) for x in out.splitlines() if x.startswith("line ")]
    assert numbers == [1, 4, 5, 6, 7], out
    told = ("\n" + out).split("\nline ")
    assert "local   NAME_RESERVED name: 'ad_click'" in told[2]
    assert "local   JSON_INVALID: " in told[3]
    assert "local   ok\n  warning NAME_RESERVED params.ga_x: " in told[4]
    assert out.splitlines()[-1] == "3 good, 2 not"
    assert relay.states() == {} and collector.count() == 0
    assert relay.ctl("list", "--state", "rejected") == []


@pytest.mark.parametrize("text, code, summary", [
    ("", 0, "0 good, 0 not"),
    (GOOD + WARNED, 0, "2 good, 0 not"),
    (WRONG, 1, "0 good, 1 not"),
    ('{"client_id":"1.2","name":"x","params":{"a":"' + "x" * (5 << 20) + '"}}\n' + GOOD, 1, "1 good, 1 not"),
], ids=["nothing", "good", "wrong", "a line of 5 MiB"])
def test_exit_codes_and_summary(relay, text, code, summary):
    got, out, _ = validate(relay, text=text)
    assert (got, out.splitlines()[-1]) == (code, summary)
    assert validate(relay, "-", text=text)[0] == code


@pytest.mark.parametrize("size", [1 << 20, 2 << 20, 5 << 20])
def test_a_line_that_intake_would_skip(relay, size):
    """It is judged as the event socket judges it, also when the request itself is too long."""
    text = '{"client_id":"1.2","name":"x","params":{"a":"' + "x" * size + '"}}\n'
    code, out, err = validate(relay, text=text + GOOD)
    assert code == 1 and "local   LINE_TOO_LONG" in out and "1 good, 1 not" in out, (out, err)


def test_exit_codes_of_failures(relay, make_relay):
    assert validate(relay, relay.dir / "no-such-file")[0] == 2
    assert validate(relay, "--no-such-option")[0] == 2
    assert validate(relay, "--remote", "--config", relay.conf)[0] == 2
    code, out, err = validate(make_relay(), text=GOOD)
    assert code == 3 and "validate --config FILE" in err and out == ""


def test_without_a_daemon_by_a_configuration(make_relay):
    relay = make_relay(validation="strict")
    relay.write_config()
    code, out, _ = validate(relay, "--config", relay.conf, text=GOOD + WARNED)
    assert code == 1 and "1 good, 1 not" in out and "local   NAME_RESERVED params.ga_x" in out


def on_a_terminal(relay, *args, **env):
    """What the program prints on one."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([str(BUILD / "ga4relay-ctl"), "-s", str(relay.control), "validate", *args], stdout=theirs,
                         stdin=subprocess.DEVNULL, stderr=theirs, env={"PATH": os.environ["PATH"], "TERM": "xterm", **env})
    os.close(theirs)
    out = b""
    while True:
        try:
            got = os.read(ours, 4096)
        except OSError:               # the terminal's way of an end of file
            break
        if not got:
            break
        out += got
    os.close(ours)
    assert p.wait(30) == 1
    return out.decode()


def test_colours_on_a_terminal_only(relay):
    file = relay.dir / "events.jsonl"
    file.write_text(GOOD + WARNED + WRONG)
    assert "\033" not in validate(relay, file)[1]
    out = on_a_terminal(relay, str(file))
    assert "\033[32mok\033[0m" in out and "\033[33mNAME_RESERVED\033[0m" in out and "\033[31mNAME_RESERVED\033[0m" in out
    assert "\033" not in on_a_terminal(relay, str(file), NO_COLOR="1")


def test_a_hostile_line_does_nothing_to_the_terminal(relay):
    text = '{"client_id":"1.2","name":"x","\\u001b]0;pwned\\u0007\\u202e":1}\n'
    code, out, _ = validate(relay, text=text)
    assert code == 1 and not set("\033\a\u202e") & set(out)


def verdict(code, field, words):
    return status(200, body=json.dumps({"validationMessages": [
        {"fieldPath": field, "description": words, "validationCode": code}]}).encode())


CLEAN = status(200, body=b'{"validationMessages":[]}')


def test_both_verdicts_side_by_side(relay, collector):
    """A line that is refused here is asked about as well, when it can be sent at all."""
    text = GOOD + GOOD + WRONG + "junk\n" + '{"name":"x"}\n'
    collector.next(CLEAN, verdict("VALUE_INVALID", "events", "too odd"), verdict("NAME_RESERVED", "events", "theirs"))
    code, out, err = validate(relay, "--remote", text=text)
    told = ("\n" + out).replace("\nline ", "\n\0").split("\0")
    assert code == 1 and err == ""
    assert "local   ok\n  remote  ok\n" in told[1]
    assert "local   ok\n  remote  VALUE_INVALID events: too odd\n" in told[2]
    assert "local   NAME_RESERVED name: " in told[3] and "remote  NAME_RESERVED events: theirs\n" in told[3]
    assert "local   JSON_INVALID" in told[4] and "remote  not asked" in told[4]
    assert "local   VALUE_REQUIRED client_id" in told[5] and "remote  not asked" in told[5]
    assert out.splitlines()[-1] == "1 good, 4 not"
    assert [r.path for r in collector.requests] == ["/debug/mp/collect"] * 3
    for r in collector.requests:
        assert r.query == {"measurement_id": "G-TEST000001"} and SECRET not in r.target
        assert r.body["validation_behavior"] == "ENFORCE_RECOMMENDATIONS"
    assert relay.states() == {}


def test_personal_data_is_not_asked_about(relay, collector):
    def about(name, user_data):
        return line({"client_id": "1.2", "user_id": "u", "name": name, "user_data": user_data}).decode()

    # A line that is refused: what is left of its user data was not judged.
    code, out, _ = validate(relay, "--remote", text=about("ad_click", {"address": {"city": "Bern"}}))
    assert code == 1 and "remote  not asked" in out
    assert collector.requests == []
    for name in ("ad_click", "x"):
        collector.next(CLEAN)
        code, out, _ = validate(relay, "--remote", text=about(name, {"sha256_email_address": "jo@example.org"}))
        assert code == (name == "ad_click") and "remote  ok" in out
        asked = collector.requests[-1]
        assert "user_data" not in asked.body and "example" not in json.dumps(asked.body)
    assert "was left out" in out and len(collector.requests) == 2


def test_relaxed_json_and_failures(relay, collector):
    collector.next(CLEAN)
    code, out, _ = validate(relay, "--remote", "--relaxed", "--json", text="\n" + GOOD)
    assert code == 0
    (one,) = map(json.loads, out.splitlines())
    assert one["line"] == 2 and one["local"]["ok"] and one["remote"]["status"] == 200
    assert "validation_behavior" not in collector.requests[-1].body
    collector.next(status(500))
    code, out, _ = validate(relay, "--remote", text=GOOD)
    assert code == 1 and "remote  no verdict: the endpoint answered 500" in out
    collector.down()
    code, out, _ = validate(relay, "--remote", text=GOOD)
    assert code == 1 and "remote  no verdict: " in out and "0 good, 1 not" in out


def test_a_long_payload_is_asked_about_by_its_first_events(relay, collector):
    events = [{"name": f"e{n}", "params": event()["params"]} for n in range(30)]
    collector.next(CLEAN)
    assert validate(relay, "--remote", text=line({"client_id": "1.2", "events": events}).decode())[0] == 0
    assert [e["name"] for e in collector.requests[0].events] == [f"e{n}" for n in range(25)]


def test_against_the_sandbox(make_relay):
    """Its debug path answers in Google's own words."""
    relay = make_relay()
    there = relay.dir / "sb"
    there.mkdir()
    with open(relay.dir / "out", "wb") as out, open(relay.dir / "err", "wb") as err:
        sandbox = subprocess.Popen([BUILD / "ga4relay", f"--sandbox={there}"], stdout=out, stderr=err,
                                   stdin=subprocess.DEVNULL)
    relay.control = there / "control.sock"
    wait_until(relay.control.exists, "the sandbox")
    try:
        text = '{"client_id":"1.2","name":"_x"}\n{"client_id":"1.2","events":[{"nme":"x","name":"a"}]}\n'
        wait_until(lambda: validate(relay, "--remote", text=GOOD)[0] == 0, "a verdict")
        code, out, _ = validate(relay, "--remote", text=text)
        assert code == 1
        assert ("remote  NAME_INVALID events: Event at index: [0] has invalid name [_x]. "
                "Names must start with an alphabetic character.") in out
        assert "remote  VALUE_INVALID: Unable to parse Measurement Protocol JSON payload. (events[0]) nme: Cannot find" in out
        relay.sock = there / "ga4relay.sock"
        assert relay.ask({"client_id": "1.2", "name": "error"})["code"] == "NAME_RESERVED"
        assert len(relay.ask({"client_id": "1.2", "name": "login"})["warnings"]) == 2
        wait_until(lambda: "✓ login" in (relay.dir / "out").read_text(), "what the sandbox received")
        said = (relay.dir / "out").read_text()
        assert "✗ refused: name: 'error' is a name that GA4 keeps" in said and '"name":"error"' in said.replace(" ", ""), said
        assert "! with warnings: " in said and "    params.session_id: session_id is missing" in said, said
    finally:
        sandbox.terminate()
        assert sandbox.wait(30) == 0
