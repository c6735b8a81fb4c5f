# test_dashboard.py - every query of the Grafana dashboard answers, over a run with an outage that a real Prometheus watched
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from pathlib import Path

import pytest

from lib.client import event
from lib.collector import status
from lib.relay import TOP, wait_until
from lib.tls import free_port

DASHBOARD = json.loads((TOP / "etc/grafana/ga4relay.json").read_text())
PANELS = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
QUERIES = [t["expr"] for p in PANELS for t in p["targets"]] + [a["expr"] for a in DASHBOARD["annotations"]["list"]]


class Prometheus:
    def __init__(self, target):
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-prometheus-"))
        self.port = free_port()
        (self.dir / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms, evaluation_interval: 500ms}\n"
            "scrape_configs: [{job_name: ga4relay, static_configs: [{targets: ['" + target + "']}]}]\n")
        self.log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def query(self, expr):
        """Samples of an instant query; the dashboard's variables are filled in as Grafana does."""
        expr = (expr.replace("$instance", ".*").replace("$job", "ga4relay").replace("$__rate_interval", "2m"))
        assert "$" not in expr, expr
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expr})
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as e:
            if e.code == 503:
                return []                 # it is starting
            raise AssertionError(f"{expr}: {e.read().decode()}") from None
        except OSError:
            return []                     # not up yet

    def value(self, expr):
        return [float(x["value"][1]) for x in self.query(expr)]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def watched(make_relay):
    if not shutil.which("prometheus"):
        warnings.warn("PROMETHEUS IS MISSING: the dashboard's queries are not run (Debian: apt install prometheus)")
        pytest.skip("prometheus is missing")
    port = free_port()
    relay = make_relay(http={"metrics": f"127.0.0.1:{port}"}).allow("destination web")
    relay.start()
    relay.prometheus = Prometheus(f"127.0.0.1:{port}")
    yield relay
    relay.prometheus.stop()


def test_every_query_answers_over_an_outage(watched, collector):
    seen = watched.prometheus
    wait_until(lambda: seen.value("up") == [1], "the first scrape", 60)
    wait_until(lambda: seen.value("changes(up[1m])") == [0], "a second one", 60)
    with watched.client() as c:
        c.send(*[event(client=f"{i}.1") for i in range(50)], {"client_id": "1", "name": "error"}).replies(51)
    wait_until(lambda: seen.value("ga4relay_events_delivered_total") == [50], "the deliveries", 60)
    collector.rule = lambda r: status(503)
    with watched.client() as c:
        c.send(*[event(client=f"{i}.1") for i in range(50)]).replies(50)
    wait_until(lambda: seen.value("ga4relay_destination_up") == [0], "the outage", 60)
    assert seen.value("ga4relay_events_queued") == [50]
    collector.rule = None
    wait_until(lambda: seen.value("ga4relay_events_delivered_total") == [100], "the recovery", 60)
    wait_until(lambda: seen.value("ga4relay_destination_up") == [1], "its end", 60)
    for q in QUERIES:
        if q.startswith("changes("):
            assert seen.query(q) == [], q     # there was no restart
            q = q.replace(" > 0", "")
        found = seen.query(q)
        assert found, f"no answer: {q}"
        assert not any(x["value"][1] == "NaN" for x in found), (q, found)
    # what the outage looked like, as the panels show it
    assert seen.value("max_over_time(sum(ga4relay_events_queued)[5m:500ms])") == [50]
    assert seen.value("min_over_time(ga4relay_destination_up[5m])") == [0]
    assert seen.value('max_over_time(ga4relay_oldest_event_age_seconds{stream="web"}[5m])')[0] > 0


def test_the_dashboard_is_whole():
    """Panels do not overlap, have a title and a unit, and name no data source of their own."""
    ids = [p["id"] for p in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) and len(PANELS) >= 20 and len(QUERIES) > len(PANELS)
    cells = [(x, y) for p in DASHBOARD["panels"] for g in [p["gridPos"]] for x in range(g["x"], g["x"] + g["w"])
             for y in range(g["y"], g["y"] + g["h"])]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    for p in PANELS:
        assert p["title"] and p["fieldConfig"]["defaults"]["unit"] and p["datasource"]["uid"] == "${datasource}"
        assert all(t["datasource"]["uid"] == "${datasource}" and "$instance" in t["expr"] for t in p["targets"])


def test_the_dashboard_names_metrics_that_are_there(relay):
    text = relay.ctl_raw("metrics").stdout
    names = {re.sub("_(bucket|sum|count)$", "", x) for q in QUERIES for x in re.findall(r"ga4relay_[a-z_]+", q)}
    assert len(names) >= 25
    assert [x for x in names if f"# TYPE {x} " not in text] == []
