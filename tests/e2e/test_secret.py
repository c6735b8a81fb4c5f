# test_secret.py - the secret is in the request's URL and nowhere else
from pathlib import Path

from lib.client import event
from lib.collector import Answer, status
from lib.relay import SECRET, wait_until


def test_canary(make_relay, collector):
    """grep for it: log (debug), replies, every command's output, metrics, database, arguments, environment."""
    relay = make_relay(log={"level": "debug"}, outbox={"keep_delivered": "1h"},
                       delivery={"proxy": ""}).allow("destination", "refused", "dead", "not reloaded", "reload", "unclean",
                                                     "did not end cleanly", "max_batch")
    relay.config["streams"] = [relay.stream(), relay.stream(name="broken", measurement_id="G-BROKEN",
                                                            endpoint="http://127.0.0.1:9/mp/collect")]
    relay.start()
    seen = []
    answers = [status(403), status(503, body=SECRET.encode()), Answer(close="after"), Answer(raw=b"bad\r\n\r\n")]
    collector.next(*answers)
    with relay.client() as c:
        for e in (event(), {**event(), "stream": "broken"}, event("ad_click"), {**event(), "stream": "nope"}):
            c.send(e)
            seen.append(c.raw_reply().decode())
    wait_until(lambda: collector.count() == 1, "the delivery")
    collector.rule = lambda r: status(400) if b"poison" in r.raw else None
    with relay.client() as c:             # others pass: so it is the event, not the destination
        c.send(event("poison"), *[event(client=f"{i}.1") for i in range(20)]).replies(21)
    wait_until(lambda: relay.states().get("dead") == 1, "a dead letter")
    relay.change(delivery={"max_batch": 99})
    relay.reload()
    for args in (["status"], ["list"], ["list", "--state", "dead"], ["list", "--state", "rejected"], ["count"],
                 ["show", "1", "2", "3"], ["export"], ["metrics"], ["doctor"], ["version"], ["reload"],
                 ["check-config", relay.conf]):
        for json in ([], ["--json"]):
            r = relay.ctl_raw(*json, *args)
            seen.append(r.stdout + r.stderr)
    proc = Path(f"/proc/{relay.pid}")
    seen.append((proc / "cmdline").read_text())
    seen.append((proc / "environ").read_text(errors="replace"))
    assert sum(len(x) for x in seen) > 5000
    for text in seen:
        assert SECRET not in text, text
    files = [f for f in relay.dir.iterdir() if f.is_file() and f != relay.secret_file]
    assert relay.db in files
    relay.kill9()                         # with whatever lies in the WAL
    for f in files:
        assert SECRET.encode() not in f.read_bytes(), f
    # (doctor asks the endpoint without it)
    assert {r.query.get("api_secret", SECRET) for r in collector.requests} == {SECRET}


def test_no_parameter_in_the_log(make_relay, collector):
    """No log line holds a parameter's value, a user_id or user_data."""
    relay = make_relay(log={"level": "debug"}).allow("refused", "dead", "destination").start()
    collector.next(status(503))
    with relay.client() as c:
        assert c.ask({**event(note="PRIVATE-value"), "user_id": "PRIVATE-user"})["ok"]
        c.ask({**event("ad_click", note="PRIVATE-value"), "user_id": "PRIVATE-user"})
        c.ask(b'{"client_id":"1.2","name":"x","params":{"a":"PRIVATE-value"},\n')
    relay.wait_empty()
    assert "PRIVATE" not in relay.log
