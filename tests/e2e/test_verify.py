# test_verify.py - the proof that GA4 counts a stream's events: ga4relay-ctl verify against a stand-in for its Data API
import json
import os
import re
import signal
import stat
import subprocess
import time

import pytest

from lib.collector import Answer, status
from lib.daemons import Tinyproxy
from lib.dataapi import TOKEN, DataApi, error
from lib.relay import BUILD, wait_until

ACCOUNT = "gcloud auth print-access-token"


@pytest.fixture
def api(collector, begin):
    return begin(DataApi, lambda: [e["name"] for e in collector.events])


def token_file(relay, text=TOKEN + "\n", mode=0o600):
    path = relay.dir / "token"
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)
    return path


def verify(relay, api, *args, prop="1234", wait="1s", token=None, json_too=False):
    r = relay.ctl_raw(*(["--json"] if json_too else []), "verify", "--property", prop, "--token-file", token or token_file(relay),
                      "--api", api.url, "--wait", wait, *args)
    return r.returncode, r.stdout + r.stderr if not json_too else r.stdout


def flat(text):
    """Without the line breaks and the indentation of a terminal."""
    return re.sub(r"\s+", " ", text)


def test_seen(relay, api, collector):
    code, out = verify(relay, api)
    assert code == 0, out
    assert "property 1234 may be read" in out
    assert re.search(r"event +ga4relay_verify_[0-9a-f]+ stored as id 1, for stream web", flat(out)), out
    assert re.search(r"realtime +seen after \ds", out), out
    [e] = collector.events
    assert e["params"]["engagement_time_msec"] == 1 and e["params"]["session_id"]
    asked = api.requests
    assert len(asked) == 2                # once before the event, once after
    assert {r[1] for r in asked} == {"/v1beta/properties/1234:runRealtimeReport"}
    assert all(r[0]["Content-Type"] == "application/json" for r in asked)
    assert asked[1][2]["minuteRanges"] == [{"startMinutesAgo": 29, "endMinutesAgo": 0}]


def test_json(relay, api):
    code, out = verify(relay, api, json_too=True)
    lines = [json.loads(x) for x in out.splitlines()]
    assert code == 0
    assert [x["check"] for x in lines[:-1]] == ["report", "event", "delivery", "realtime"]
    assert all(x["result"] == "ok" for x in lines[:-1])
    assert lines[-1]["seen"] and lines[-1]["id"] == 1 and lines[-1]["property"] == "1234" and lines[-1]["asked"] == 2
    assert lines[-1]["seen_ms"] >= lines[-1]["delivered_ms"] >= 0


def test_pauses_grow(relay, api):
    """10 s, then half as much more each time; the last question at the end of the wait."""
    api.late = 1
    started = time.monotonic()
    code, out = verify(relay, api, wait="2m")
    assert code == 0, out
    assert 24 < time.monotonic() - started < 40, out  # 10 + 15
    assert len(api.requests) == 3


def test_an_app_stream(make_relay, api, collector):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(), {"name": "ios", "firebase_app_id": "1:4711:ios:b0a1", "api_secret_file": relay.secret_file}]
    relay.start()
    code, out = verify(relay, api, "--stream", "ios")
    assert code == 0, out
    assert "for stream ios (1:4711:ios:b0a1)" in flat(out)
    assert re.fullmatch("[0-9a-f]{32}", collector.requests[0].body["app_instance_id"])
    code, out = verify(relay, api, "--stream", "nope")
    assert code == 1 and "none is called" in out


def test_not_seen(relay, begin):
    """A wrong secret: 204, and never in the report."""
    api = begin(DataApi)
    code, out = verify(relay, api)
    assert code == 1
    assert "not seen within 1s, though the endpoint took the event" in out
    assert "not Google's" in flat(out)    # the test's collector
    code, out = verify(relay, api, json_too=True)
    assert code == 1 and json.loads(out.splitlines()[-1])["seen"] is False


def test_not_seen_at_google(make_relay, begin, certs):
    """The advice names the stream's id and what to compare; this relay's way to Google is a proxy that answers."""
    api = begin(DataApi)
    proxy = begin(Tinyproxy)
    relay = make_relay("https://www.google-analytics.com/mp/collect", delivery={"proxy": f"http://127.0.0.1:{proxy.port}"})
    relay.allow("destination web").start()
    code, out = verify(relay, api, wait="3s")
    assert code == 1 and "not delivered within 3s" in out and "it stays queued" in flat(out)


@pytest.mark.parametrize("answer, says", [
    (error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), f"older than the hour that it lives: {ACCOUNT}"),
    (error(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
     f"lacks the scope: {ACCOUNT} --scopes="),
    (error(403, "PERMISSION_DENIED", "Google Analytics Data API has not been used in project 1 before or it is disabled.",
           "SERVICE_DISABLED"), "enable the Google Analytics Data API"),
    (error(403, "PERMISSION_DENIED", "User does not have sufficient permissions for this property."), "Property access management"),
    (error(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), "is the property's id right"),
    (error(429, "RESOURCE_EXHAUSTED", "Exhausted property tokens for a project per hour."), "hourly ones come back within the hour"),
    (error(503, "UNAVAILABLE", "The service is currently unavailable."), "the fault is Google's"),
    ((404, b"<html>not here</html>"), "are --api and the property's id right?"),
    ((200, b"<html>\x1b[2J</html>"), "answered 200, but no report"),
    ((302, b""), "is --api the Data API's address?"),
])
def test_no_event_for_a_token_that_may_not(relay, api, collector, answer, says):
    """The report is asked first; whatever it answers but a report, no event goes out."""
    api.errors = [answer]
    code, out = verify(relay, api)
    assert code == 1
    assert says in flat(out) and "none was sent" in out, out
    if answer[0] != 200 and isinstance(answer[1], dict):
        assert f"answered {answer[0]}: {answer[1]['error']['message']}" in flat(out)
    assert "\x1b" not in out
    assert relay.status()["events"]["queued"] == 0 and not collector.events


def test_a_quota_later_is_waited_for(relay, api):
    quota = error(429, "RESOURCE_EXHAUSTED", "Exhausted concurrent requests quota.")
    api.errors = [None, quota]
    code, out = verify(relay, api, wait="30s")
    assert code == 0, out
    assert re.search("WARNING +report +answered 429: Exhausted concurrent", out) and "seen after" in out
    api.errors = [None, quota]
    code, out = verify(relay, api)
    assert code == 1 and "gave no answer at the end of the wait" in out


def test_the_way_to_the_report_fails(relay, begin):
    api = begin(DataApi)
    api.stop()
    code, out = verify(relay, api)
    assert code == 1 and "no answer: " in out and "ga4relay-ctl doctor tries the way out" in flat(out)


def test_through_the_proxy(make_relay, api, begin):
    """The report is asked as events are sent: by the relay, with delivery.proxy."""
    proxy = begin(Tinyproxy)
    relay = make_relay(delivery={"proxy": f"http://127.0.0.1:{proxy.port}"}).start()
    code, out = verify(relay, api)
    assert code == 0, out
    wait_until(lambda: "runRealtimeReport" in proxy.log, "the proxy's own log")


def test_refused_by_the_relay(make_relay, api):
    relay = make_relay(outbox={"max_events": 1}).allow("outbox")
    relay.start()
    relay.ctl("pause")
    assert relay.ask({"client_id": "1.2", "name": "full"})["ok"]
    code, out = verify(relay, api)
    assert code == 1 and "web is paused" in out and "ga4relay-ctl resume web" in out and "ga4relay_verify" not in out
    relay.ctl("hold", "1")
    relay.ctl("resume")
    code, out = verify(relay, api)
    assert code == 1 and "the relay refused it: QUEUE_FULL" in out, out


def test_destination_down(relay, api, collector):
    relay.allow("destination web")
    collector.rule = lambda r: status(503)
    code, out = verify(relay, api, wait="4s")
    assert code == 1
    assert "stream web is not up: status 503" in flat(out) and "not delivered within 4s: status 503" in flat(out), out
    assert "doctor says what is wrong" in flat(out)
    collector.rule = None
    relay.ctl("flush")
    relay.wait_empty()


def test_dead(make_relay, api, collector):
    relay = make_relay(delivery={"refuse_after": "0s"}).allow("refused", "dead", "destination").start()
    collector.rule = lambda r: status(400) if b"verify" in r.raw else None
    assert relay.ask({"client_id": "1.2", "name": "fine"})["ok"]
    relay.wait_empty()
    code, out = verify(relay, api, wait="20s")
    assert code == 1 and "event 2 is dead: refused" in out, out


def test_stopped(relay, api):
    relay.stop()
    code, out = verify(relay, api)
    assert code == 3 and "no daemon" in out and not api.requests


def test_stalled(make_relay, api):
    """A relay that takes connections and answers nothing: before the first question, and while it asks for a report."""
    relay = make_relay(delivery={"timeout": "1s"}).start()
    token = token_file(relay)

    def begin(*args):
        return subprocess.Popen([BUILD / "ga4relay-ctl", "-s", relay.control, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def begin_verify():
        return begin("verify", "--property", "1234", "--token-file", token, "--api", api.url, "--wait", "20m")

    api.stall = lambda: relay.signal(signal.SIGSTOP)
    started = time.monotonic()
    runs = [begin_verify()]
    wait_until(lambda: len(api.requests) == 1, "the first question")
    runs += [begin_verify(), begin("status"), begin("doctor")]
    try:
        for run in runs:
            out = run.communicate(timeout=60)[0]
            assert run.returncode == 3 and re.search(r"did not answer within 1[56] s. Is it stopped or stalled\?", out), out
        assert time.monotonic() - started < 40
    finally:
        relay.signal(signal.SIGCONT)


def test_the_quota_project(relay, api):
    """A user's own token is of gcloud's project, where the API is off: another project pays, in a header."""
    api.disabled_for = "gcloud"
    code, out = verify(relay, api)
    assert code == 1 and "name one of yours with --quota-project" in flat(out)
    code, out = verify(relay, api, "--quota-project", "my-shop-1")
    assert code == 0, out
    assert [r[0].get("x-goog-user-project") for r in api.requests] == [None, "my-shop-1", "my-shop-1"]
    api.errors = [error(403, "PERMISSION_DENIED", "Caller does not have required permission to use project other-1.", "USER_PROJECT_DENIED")]
    code, out = verify(relay, api, "--quota-project", "other-1")
    assert code == 1 and "Service Usage Consumer" in flat(out)
    for wrong in ("a b", "x\r\nX-Evil: 1", "x" * 101):
        code, out = verify(relay, api, "--quota-project", wrong)
        assert code == 2 and "not the id or number of a Cloud project" in out


def test_usage(relay, api):
    token = token_file(relay)
    for args, says in (((), "needs --property ID and --token-file FILE"),
                       (("--property", "1234"), "needs --property ID"),
                       (("--property", "G-ABC1234567", "--token-file", token), "a property's id is a number"),
                       (("--property", "1/2:x", "--token-file", token), "a property's id is a number"),
                       (("--property", "1", "--token-file", token, "--wait", "30m"), "not from 1s to 29m"),
                       (("--property", "1", "--token-file", token, "--wait", "5"), "not a duration"),
                       (("--property", "1", "--token-file", token, "--api", "http://example.com"), "in plain text"),
                       (("--property", "1", "--token-file", token, "--api", "https://u:p@example.com"), "more than a host"),
                       (("--property", "1", "--token-file", token, "--api", "ftp://example.com"), "scheme is not https"),
                       (("--property", "1" * 21, "--token-file", token), "a property's id is a number")):
        r = relay.ctl_raw("verify", *args)
        assert r.returncode == 2 and says in r.stderr, (args, r.stderr)
    assert relay.status()["events"]["queued"] == 0


@pytest.mark.parametrize("text, mode, says", [
    (TOKEN, 0o644, "has mode 0644: others on this machine can use the token. chmod 0600"),
    ("", 0o600, "holds nothing"),
    ("two words", 0o600, "more than one word"),
    ('{"type": "service_account"}', 0o600, "a service account's key?"),
    ("x" * 5000, 0o600, "too long"),
    ("tok\ten", 0o600, "more than one word"),
    ("tok\"en", 0o600, "no bearer token"),
    ("tok\0en", 0o600, "more than one word"),
])
def test_a_bad_token_file(relay, api, text, mode, says):
    r = verify(relay, api, token=token_file(relay, text, mode))
    assert r[0] in (1, 2) and says in flat(r[1]), r
    assert not api.requests


def test_a_token_that_is_missing_or_piped(relay, api):
    code, out = verify(relay, api, token=relay.dir / "nowhere")
    assert code == 1 and "nowhere: No such file" in out
    r = relay.ctl_raw("verify", "--property", "1234", "--token-file", "-", "--api", api.url, "--wait", "1s", stdin=TOKEN + "\r\n")
    assert r.returncode == 0, r.stdout + r.stderr


def test_the_token_appears_nowhere(make_relay, api):
    """Log at debug, output, the arguments and environment of both processes, the outbox's bytes; and no core dump."""
    relay = make_relay(log={"level": "debug"}, outbox={"keep_delivered": "1h"}).start()
    ctl = subprocess.Popen([BUILD / "ga4relay-ctl", "-s", relay.control, "verify", "--property", "1234", "--token-file",
                            token_file(relay), "--api", api.url, "--wait", "3s"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: len(api.requests) == 1, "the first question")
    seen = [open(f"/proc/{p}/{what}", "rb").read() for p in (relay.pid, ctl.pid) for what in ("cmdline", "environ")]
    assert os.stat(f"/proc/{ctl.pid}/mem").st_uid == 0  # not dumpable: its memory is root's
    api.errors = [error(401, "UNAUTHENTICATED", "no")]
    seen.append(ctl.communicate()[0])
    assert ctl.returncode == 1 and b"answered 401" in seen[-1]
    relay.stop()
    files = [f for f in relay.dir.iterdir() if f.is_file() and f.name != "token"]
    seen += [relay.log.encode()] + [f.read_bytes() for f in files]
    assert relay.db in files
    for text in seen:
        assert TOKEN.encode() not in text
    assert all(r[0]["Authorization"] == f"Bearer {TOKEN}" for r in api.requests)


def test_readers_may_not(make_relay, api):
    """control.read_group is for what changes nothing; this sends an event, and makes the relay ask."""
    import grp
    import socket
    relay = make_relay(control={"read_group": grp.getgrgid(os.getgid()).gr_name}).start()
    s = socket.socket(socket.AF_UNIX)
    s.connect(relay.control + ".read" if isinstance(relay.control, str) else str(relay.control) + ".read")
    s.sendall(b'{"command":"verify","api":"http://127.0.0.1:1","property":"1","name":"x","token":"t"}\n')
    assert b'"ok":false' in s.recv(4096)
    assert stat.S_ISSOCK(os.stat(str(relay.control) + ".read").st_mode)
