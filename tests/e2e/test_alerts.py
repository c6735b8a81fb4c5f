# test_alerts.py - the metrics as Prometheus' own linter sees them, the alerts as its own tester does
import os
import re
import shutil
import subprocess
import time
import warnings
from pathlib import Path

import pytest

from lib.client import event
from lib.collector import Collector, status
from lib.fleet import Fleet
from lib.relay import TOP, wait_until

RULES = TOP / "etc/ga4relay.rules.yml"


@pytest.fixture
def promtool():
    path = shutil.which("promtool")
    if not path:
        warnings.warn("PROMTOOL IS MISSING: metrics and alerts are not linted (Debian: apt install prometheus)")
        pytest.skip("promtool is missing")
    return path


def test_metrics_lint(relay, promtool):
    relay.ask(event(), {"client_id": "1", "name": "error"})
    relay.wait_empty()
    r = subprocess.run([promtool, "check", "metrics"], input=relay.ctl_raw("metrics").stdout, capture_output=True,
                       text=True)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


def test_alerts_fire_when_they_should(promtool, tmp_path):
    test = tmp_path / "alerts.yml"
    test.write_text((Path(__file__).parent / "data/alerts.yml").read_text().replace("RULES", str(RULES)))
    for args in (["check", "rules", RULES], ["test", "rules", test]):
        r = subprocess.run([promtool, *map(str, args)], capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr


def samples(relay):
    """Metrics as {"name{labels}": value}."""
    return {k.removeprefix("ga4relay_"): float(v) for k, v in
            (x.rsplit(" ", 1) for x in relay.ctl_raw("metrics").stdout.splitlines() if not x.startswith("#"))}


def test_what_is_told_of_a_stream(make_relay, collector):
    """Last delivery, what waits and since when, pauses and dead letters, by stream; a paused stream is not down."""
    relay = make_relay().allow("destination down", "dead", "not reloaded", "max_batch")
    dead_end = Collector()
    dead_end.down()
    relay.config["streams"] = [relay.stream(), relay.stream(name="ios", measurement_id="G-2", paused=True),
                               relay.stream(name="down", measurement_id="G-3", endpoint=dead_end.url)]
    before = time.time()
    relay.start()
    for stream in ("web", "ios", "ios", "down"):
        assert relay.ask({**event(), "stream": stream})["ok"]
    wait_until(lambda: samples(relay)['events_queued{stream="web"}'] == 0, "the delivery")
    wait_until(lambda: samples(relay)['destination_up{stream="down"}'] == 0, "a refused connection")
    wait_until(lambda: samples(relay)['oldest_event_age_seconds{stream="ios"}'] > 0.1, "time to pass")
    m = samples(relay)
    assert before - 1 <= m['last_delivered_timestamp_seconds{stream="web"}'] <= time.time() + 1
    assert 'last_delivered_timestamp_seconds{stream="ios"}' not in m
    assert (m['events_queued{stream="ios"}'], m['events_queued{stream="down"}']) == (2, 1)
    assert m['oldest_event_age_seconds{stream="web"}'] == 0 < m['oldest_event_age_seconds{stream="down"}']
    assert m["oldest_event_age_seconds"] >= m['oldest_event_age_seconds{stream="ios"}'] > 0
    assert (m['destination_up{stream="ios"}'], m['destination_paused{stream="ios"}']) == (1, 1)
    assert (m['destination_up{stream="web"}'], m['destination_paused{stream="web"}']) == (1, 0)
    assert m['destination_paused{stream="down"}'] == 0


def test_what_is_told_of_limits_and_reloads(make_relay):
    relay = make_relay(outbox={"max_events": 1234, "max_bytes": "5M"}).allow("not reloaded", "max_batch")
    before = time.time()
    relay.start()
    m = samples(relay)
    assert (m["outbox_limit_events"], m["outbox_limit_bytes"], m["disk_min_free_bytes"]) == (1234, 5 << 20, 1 << 20)
    free = os.statvfs(relay.dir)
    assert abs(m["disk_free_bytes"] - free.f_bavail * free.f_frsize) < 1 << 30
    assert m["config_last_reload_successful"] == 1
    assert before - 1 <= m["start_time_seconds"] == m["config_last_reload_timestamp_seconds"] <= time.time() + 1
    relay.change(delivery={"max_batch": 99})
    relay.write_config()
    assert relay.ctl_raw("reload").returncode == 1
    n = samples(relay)
    assert n["config_last_reload_successful"] == 0
    assert n["config_last_reload_timestamp_seconds"] == m["config_last_reload_timestamp_seconds"]
    relay.change(delivery={"max_batch": 2})
    relay.write_config()
    assert relay.ctl_raw("reload").returncode == 0
    n = samples(relay)
    assert n["config_last_reload_successful"] == 1 and n["start_time_seconds"] == m["start_time_seconds"]
    assert n["config_last_reload_timestamp_seconds"] > m["config_last_reload_timestamp_seconds"]


@pytest.mark.parametrize("how", ["refused", "expired"])
def test_dead_letters_are_counted_by_stream(make_relay, collector, how):
    relay = make_relay(delivery={"refuse_after": "0s"}).allow("dead", "expir", "would expire")
    relay.config["streams"] = [relay.stream(), relay.stream(name="ios", measurement_id="G-2", paused=how == "expired")]
    relay.start()
    if how == "refused":
        collector.rule = lambda r: status(400) if b"poison" in r.raw else None
        relay.ask({**event("poison", client="9.9"), "stream": "ios"}, *[{**event(client=f"{i}.1"), "stream": "ios"} for i in range(20)])
    else:
        old = int((time.time() - 72 * 3600 + 5) * 1e6)
        relay.ask(*[{**event(client=f"{i}.1"), "stream": "ios"} for i in range(20)],
                  {**event(), "stream": "ios", "timestamp_micros": old})
    key = f'stream_events_dead_total{{stream="ios",reason="{how}"}}'
    wait_until(lambda: samples(relay)[key] == 1, "the dead letter", 60)
    assert samples(relay)[key.replace("ios", "web")] == 0


def alerted():
    """The names of the metrics that alerts ask for."""
    return set(re.findall(r"ga4relay_[a-z_]+", "".join(x for x in RULES.read_text().splitlines()
                                                       if "expr" in x or x.startswith("          ") and "ga4relay_" in x)))


def missing(relay, names):
    text = "\n" + relay.ctl_raw("metrics").stdout
    return {name for name in names if f"\n# TYPE {name} " not in text}


def of_a_fleet(names):
    return {name for name in names if name.startswith("ga4relay_fleet_")}


def test_alerts_name_metrics_that_are_there(relay):
    assert len(alerted()) >= 6
    assert missing(relay, alerted()) == of_a_fleet(alerted())


def test_alerts_of_a_fleet_name_metrics_that_are_there(make_cluster, make_relay, collector):
    fleet = Fleet(make_cluster(nodes=1), make_relay, collector)
    hub = fleet.hub().allow(".*").start()
    names = of_a_fleet(alerted())
    assert len(names) >= 3
    wait_until(lambda: not missing(hub, names), f"the metrics {names}", 60)
