# test_config.py - a wrong configuration starts nothing and says where; a reload is all or nothing
import json
import os
import re
import subprocess

import pytest

from lib.client import event
from lib.relay import BUILD, SECRET, wait_until
from lib.tls import free_port


@pytest.mark.parametrize("text, says", [
    ("delivery = {\n lingr = \"1s\";\n};", ":3: delivery.lingr: unknown option; did you mean \"delivery.linger\"?"),
    ("delivery = { max_batch = 26; };", ":2: delivery.max_batch: 26 is out of range (1 to 25)"),
    ("delivery = { max_batch = 4294967301; };", ":2: the number 4294967301 is out of range"),
    ("outbox = { max_events = 5000000000; };", ":2: the number 5000000000 is out of range"),
    ("delivery = {\n max_batch = 010;\n};", ":3: the number 010 has a leading zero"),
    ("delivery = {\n max_batch = 08;\n};", ":3: the number 08 has a leading zero"),
    ("http = { hosts = [ \"a\",\n ]; };", ":2: nothing follows this comma"),
    ("outbox = { keep_rejected = 1,\n };", ":2: nothing follows this comma"),
    ("log = { level = \"info\";\n level = \"debug\"; };", ":3: level is given twice: here and on line 2"),
    ("streams = ( { } );", ":2: streams is given twice: here and on line 1"),
    ("delivery = { linger = 200; };", ":2: delivery.linger: expected a duration"),
    ("http = { hosts = [ \"a\" \"b\" ]; };", ":2: two strings follow each other"),
    ("default_stream = \"x\";", ":2: default_stream: there is no stream \"x\""),
    ("validation = ;", ":2: syntax error"),
])
def test_errors(make_relay, text, says):
    """Exit 78, with file, line and the nearest known name; the same from -t and ga4relay-ctl check-config."""
    relay = make_relay().allow("ga4relay.conf:")
    good = f'streams = ( {{ name = "web"; measurement_id = "G-1"; api_secret_file = "{relay.secret_file}"; }} );\n'
    relay.write_config(good + text)
    relay.spawn()
    assert relay.wait_exit() == 78
    assert f"{relay.conf}{says}" in relay.log
    r = subprocess.run([BUILD / "ga4relay", "-t", "-c", relay.conf], capture_output=True, text=True)
    assert r.returncode == 78 and f"{relay.conf}{says}" in r.stderr
    r = relay.ctl_raw("check-config", relay.conf)
    assert r.returncode != 0 and f"{relay.conf}{says}" in r.stdout + r.stderr
    assert not relay.sock.exists() and not relay.db.exists()


def test_missing_file_and_secret(make_relay):
    relay = make_relay().allow("cannot")
    relay.spawn()
    assert relay.wait_exit() == 78
    relay.secret_file.unlink()
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 78
    assert str(relay.secret_file) in relay.log


def test_t_says_good(make_relay):
    relay = make_relay()
    relay.write_config()
    r = subprocess.run([BUILD / "ga4relay", "-t", "-c", relay.conf], capture_output=True, text=True)
    assert r.returncode == 0, r
    assert not relay.sock.exists() and not relay.db.exists()


def test_inline_secret_in_a_readable_file(make_relay):
    relay = make_relay().allow("can be read by everybody")
    relay.config["streams"] = [{"name": "web", "measurement_id": "G-1", "api_secret": SECRET}]
    relay.write_config()
    relay.conf.chmod(0o644)
    relay.spawn()
    assert relay.wait_exit() == 78
    assert SECRET not in relay.log
    relay.start()                         # 0600 again
    assert relay.ask(event())["ok"]


def test_credential(make_relay, collector):
    relay = make_relay()
    relay.config["streams"] = [{"name": "web", "measurement_id": "G-1", "api_secret_credential": "secret"}]
    relay.env = {"CREDENTIALS_DIRECTORY": str(relay.dir)}
    relay.start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert collector.requests[0].query["api_secret"] == SECRET


def check_both(relay, **kw):
    """ga4relay -t and check-config: exit codes and what each says."""
    relay.write_config()
    t = subprocess.run([BUILD / "ga4relay", "-t", "-c", relay.conf], capture_output=True, text=True, **kw)
    ctl = relay.ctl_raw("check-config", relay.conf)
    return t.returncode, ctl.returncode, t.stdout + t.stderr, ctl.stdout + ctl.stderr


def test_a_credential_is_checked_without_systemd(make_relay):
    """Everything else is checked, what could not be looked at is named; the daemon itself starts on no such file."""
    relay = make_relay().allow("CREDENTIALS_DIRECTORY")
    relay.config["streams"] = [relay.stream(name="ios", measurement_id="G-1", api_secret_credential="ios")]
    del relay.config["streams"][0]["api_secret_file"]
    code, ctl_code, *texts = check_both(relay)
    assert (code, ctl_code) == (0, 0), texts
    for text in texts:
        assert "streams[0].api_secret_credential: not looked at" in text and "good, 1 stream; not every secret" in text
    assert relay.ctl("check-config", relay.conf) == [{"ok": True, "streams": 1, "unseen_secrets": 1}]
    r = relay.ctl_raw("doctor", "--config", relay.conf)
    assert "1 secret not looked at" in r.stdout and "configuration not" not in r.stdout, r.stdout
    relay.change(delivery={"max_batch": 26})
    code, ctl_code, *texts = check_both(relay)
    assert (code, ctl_code) == (78, 1) and all("max_batch: 26 is out of range" in x for x in texts)
    relay.change(delivery={"max_batch": 25})
    relay.write_config()
    relay.spawn()
    assert relay.wait_exit() == 78 and "$CREDENTIALS_DIRECTORY is not set" in relay.log


@pytest.mark.skipif(os.getuid() != 0, reason="root's eyes need root")
def test_a_secret_that_the_service_cannot_read_is_an_error_for_root_too(make_relay):
    """The service's user is the owner of the outbox's directory."""
    relay = make_relay()
    state = relay.dir / "state"
    state.mkdir()
    os.chown(state, 65534, 65534)
    relay.dir.chmod(0o755)
    relay.change(outbox={"path": state / "outbox.db"})
    relay.write_config()
    os.chown(relay.conf, 65534, -1)
    code, ctl_code, *texts = check_both(relay)
    assert (code, ctl_code) == (78, 1), texts
    for text in texts:
        assert "not for the service's user nobody" in text and f"{relay.secret_file}: Permission denied" in text, text
    r = relay.ctl_raw("doctor", "--config", relay.conf)
    assert "FAILED  configuration" in r.stdout and "service's user nobody" in r.stdout
    os.chown(relay.secret_file, 65534, -1)
    assert check_both(relay)[:2] == (0, 0)
    os.chown(state, 0, 0)                 # a relay that runs as root
    os.chown(relay.secret_file, 0, -1)
    assert check_both(relay)[:2] == (0, 0)


@pytest.mark.parametrize("changes, says", [
    ({"measurement_id": "G-ABC1234567"}, "the id is the sample's"),
    ({"measurement_id": "G-XXXXXXXXXX"}, "the id is a placeholder"),
    ({"secret": "YOUR_API_SECRET"}, "the secret is a placeholder"),
])
def test_a_placeholder_is_warned_of(make_relay, changes, says):
    """At start, by -t, by check-config and by the doctor; the relay starts all the same."""
    relay = make_relay().allow(says)
    if "secret" in changes:
        relay.secret_file.write_text(changes["secret"] + "\n")
    else:
        relay.config["streams"] = [relay.stream(**changes)]
    code, ctl_code, *texts = check_both(relay)
    assert (code, ctl_code) == (0, 0) and all(f"streams[0]: {says}" in x for x in texts), texts
    relay.start()
    assert f"warning: {relay.conf}:2: streams[0]: {says}" in relay.log
    r = relay.ctl_raw("doctor")
    assert "WARNING stream" in r.stdout and f"web: {says}" in r.stdout, r.stdout
    assert "YOUR_API" not in relay.log + r.stdout + "".join(texts)


def test_a_rotated_credential_needs_a_restart_and_says_so(make_relay, collector):
    """systemd renews no credential on reload: neither the log nor the answer claims that the new one is in force."""
    relay = make_relay()
    secret = relay.dir / "credential"
    secret.write_text("first-one")
    secret.chmod(0o600)
    relay.config["streams"] = [{"name": "web", "measurement_id": "G-1", "api_secret_credential": "credential"}]
    relay.env = {"CREDENTIALS_DIRECTORY": str(relay.dir)}
    relay.start()
    r = relay.ctl_raw("reload")
    assert r.returncode == 0 and r.stdout == "configuration reloaded\n"
    for text in (r.stderr, relay.log):
        assert "the secret of stream web comes from systemd" in text and "systemctl restart ga4relay" in text, text
    secret.write_text("second-one")       # a systemd that renews it
    r = relay.ctl_raw("reload")
    assert (r.returncode, r.stderr) == (0, "")
    assert relay.log.count("comes from systemd") == 1
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    assert collector.requests[0].query["api_secret"] == "second-one"


def test_ready_names_every_address(make_relay):
    relay = make_relay().start()
    wait_until(lambda: re.search(r"ready: events on \S+, control on \S+, outbox \S+\n", relay.log), "the line, which follows READY=1")
    door, metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
    relay = make_relay(http={"listen": door, "metrics": metrics}).start()
    wait_until(lambda: f", HTTP door on {door}, metrics on {metrics}\n" in relay.log, "the line")


def test_a_log_of_objects(make_relay, collector):
    """log.format = "json": every line from the configuration on is an object; a reload changes it."""
    relay = make_relay(log={"format": "json", "level": "debug"}).start()
    assert relay.ask(event())["ok"]
    relay.wait_empty()
    wait_until(lambda: '"outcome"' in relay.log, "the batch's line")
    lines = [json.loads(x) for x in relay.log.splitlines()]
    assert all(list(x)[:3] == ["time", "level", "message"] for x in lines)
    assert any(x["level"] == "info" and x["message"].startswith("ready: events on ") for x in lines)
    batch, = (x for x in lines if x["message"] == "batch")
    assert (batch["events"], batch["stream"], batch["status"], batch["outcome"], batch["ids"]) == (1, "web", 204, "delivered", "1")
    relay.change(log={"format": "text"})
    assert " info: configuration reloaded" in relay.reload()


def test_reload(relay, collector):
    """Streams, secrets, delivery and validation change; connections stay."""
    with relay.client() as c:
        assert c.ask(event())["ok"]
        r = c.ask({**event(), "stream": "eu"})
        assert r["code"] == "STREAM_UNKNOWN"
        relay.wait_empty()
        relay.secret_file.write_text("another-secret\n")
        relay.change(streams=[relay.stream(), relay.stream(name="eu", measurement_id="G-EU")], validation="strict")
        assert "configuration reloaded" in relay.reload()
        assert relay.notified("READY=1")
        assert c.ask({**event(), "stream": "eu"})["ok"]
        assert c.ask({"client_id": "1.2", "name": "x"})["ok"] is False     # strict: no session_id
    relay.wait_empty()
    assert collector.requests[0].query["api_secret"] == SECRET
    assert collector.requests[-1].query == {"measurement_id": "G-EU", "api_secret": "another-secret"}


def test_bad_reload_keeps_everything(relay, collector):
    relay.allow("not reloaded")
    streams = relay.config["streams"]
    relay.change(streams=[relay.stream(name="new")], delivery={"max_batch": 99})
    text = relay.reload()
    assert "max_batch: 99 is out of range" in text and "old one stays" in text
    assert relay.ask({**event(), "stream": "new"})["code"] == "STREAM_UNKNOWN"
    assert relay.ask({**event(), "stream": "web"})["ok"]
    relay.wait_empty()
    assert collector.count() == 1
    relay.config["streams"] = streams
    relay.config["delivery"]["max_batch"] = 25
    assert "configuration reloaded" in relay.reload()


def test_what_needs_a_restart_is_warned_of(relay):
    relay.allow("needs a restart")
    relay.change(listen={"max_connections": 7}, outbox={"max_events": 2})
    text = relay.reload()
    assert "listen.max_connections" in text
    assert "max_events" not in text


def test_a_removed_stream_keeps_its_events(make_relay, collector):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), relay.stream(name="old", measurement_id="G-OLD", paused=True)]
    relay.start()
    assert relay.ask({**event(), "stream": "old"})["ok"]
    assert relay.states() == {"queued": 1}
    relay.change(streams=[relay.stream()])
    assert "reloaded" in relay.reload()
    for again in (relay.restart, lambda: None):
        assert relay.list()[0]["stream"] == "old"
        assert [s["name"] for s in relay.status()["streams"]] == ["web", "old"]
        again()
    relay.change(streams=[relay.stream(), relay.stream(name="old", measurement_id="G-NEW")])
    assert "reloaded" in relay.reload()
    relay.wait_empty()
    assert collector.requests[0].query["measurement_id"] == "G-NEW"
