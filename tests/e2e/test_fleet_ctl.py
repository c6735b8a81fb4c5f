# test_fleet_ctl.py - what an operator sees of a fleet: --fleet, status, doctor and the metrics
import json
import re
import subprocess

import pytest

from lib.client import event
from lib.collector import status
from lib.fleet import Fleet, numbers
from lib.relay import BUILD, wait_until

LONG = 60
AWAY = ("fleet: nothing is forwarded: ", "database cannot be reached", "leases ended")


@pytest.fixture
def fleet(make_cluster, make_relay, collector):
    return Fleet(make_cluster(nodes=1), make_relay, collector)


@pytest.fixture
def trio(make_cluster, make_relay, collector):
    return Fleet(make_cluster(), make_relay, collector)


def ctl(fleet, *words, code=0, stdin=None):
    r = subprocess.run([BUILD / "ga4relay-ctl", "--conninfo-file", fleet.conninfo_file, *words], capture_output=True, text=True,
                       input=stdin, timeout=LONG)
    assert r.returncode == code, (words, r.stdout, r.stderr)
    return r


def rows(fleet, *words, **kw):
    return [json.loads(x) for x in ctl(fleet, "--json", *words, **kw).stdout.splitlines()]


def test_list_count_and_show(fleet):
    fleet.put(30, clients=3)
    fleet.put(5, stream="app", name="renewal", age=7200)
    listed = rows(fleet, "list")
    assert len(listed) == 20 and [r["outbox_id"] for r in listed] == list(range(1, 21))
    assert [r["id"] for r in listed] == sorted(r["id"] for r in listed)
    assert listed[0]["state"] == "queued" and listed[0]["client"] == "1.1" and listed[0]["outbox"]
    assert len(rows(fleet, "list", "--limit", "0")) == 35
    assert [r["outbox_id"] for r in rows(fleet, "list", "--reverse", "--limit", "2")] == [35, 34]
    assert {r["outbox_id"] for r in rows(fleet, "list", "--stream", "app")} == set(range(31, 36))
    assert {r["outbox_id"] for r in rows(fleet, "list", "--older", "1h")} == set(range(31, 36))
    assert rows(fleet, "count") == [{"key": "total", "count": 35}]
    assert rows(fleet, "count", "--stream", "nobody") == [{"key": "total", "count": 0}]
    assert rows(fleet, "count", "--by", "stream") == [{"key": "web", "count": 30}, {"key": "app", "count": 5}]
    assert rows(fleet, "count", "--by", "state") == [{"key": "queued", "count": 35}]
    assert rows(fleet, "count", "--by", "age") == [{"key": "<1m", "count": 30}, {"key": "<128m", "count": 5}]
    assert rows(fleet, "count", "--client", "1.1' OR '1'='1") == [{"key": "total", "count": 0}]
    shown = rows(fleet, "show", str(listed[3]["id"]))[0]
    assert json.loads(shown["line"])["client_id"] == "1.1" and shown["tries"] == []
    text = ctl(fleet, "show", str(listed[3]["id"])).stdout
    assert re.search(r"outbox +00000000-", text) and re.search(r"id there +4\n", text)
    assert "unknown" in ctl(fleet, "show", "999999999", code=1).stderr
    assert ctl(fleet, "list").stdout.splitlines()[0].split()[:2] == ["ID", "STATE"]


def test_an_exported_backlog_goes_through_another_relay(fleet, make_relay, collector):
    """More than one FETCH."""
    put = fleet.put(600)
    lines = ctl(fleet, "export").stdout
    assert len(lines.splitlines()) == 600
    other = make_relay().start()
    assert other.ctl_raw("send", stdin=lines).returncode == 0
    other.wait_empty()
    assert sorted(numbers(collector)) == put


def test_hold_release_drop_and_retry(fleet, collector):
    fleet.put(10, clients=10)
    ids = [str(r["id"]) for r in rows(fleet, "list")]
    assert rows(fleet, "hold", *ids[:4]) == [{"changed": 4, "in_flight": 0, "unknown": 0}]
    assert "1 event released" in ctl(fleet, "release", ids[0]).stdout
    assert "--yes" in ctl(fleet, "drop", "--client", "2.1", code=2).stderr
    assert rows(fleet, "drop", "--client", "2.1", "--yes") == [{"changed": 1, "in_flight": 0, "unknown": 0}]
    assert fleet.row(2, "state, body, client, reason") == ("3", "", "", "dropped")
    assert rows(fleet, "show", ids[1])[0]["state"] == "dropped"
    assert "unknown, or in no state for hold" in ctl(fleet, "hold", ids[1], code=1).stderr
    fleet.cluster.sql("UPDATE ga4relay.event SET state = 2, reason = 'refused', attempts = 7, settled = now() WHERE id IN (9, 10)")
    assert {r["reason"] for r in rows(fleet, "list", "--state", "dead")} == {"refused"}
    assert "1 event queued again" in ctl(fleet, "retry", "-", stdin=ids[8] + "\n").stdout
    assert fleet.row(9, "state, attempts, flags") == ("0", "0", "2")
    assert rows(fleet, "retry", "--dead")[0]["changed"] == 1
    fleet.hub().start()
    wait_until(lambda: fleet.open() == 0, "an empty queue", LONG)
    assert sorted(numbers(collector)) == [1, 5, 6, 7, 8, 9, 10]
    assert rows(fleet, "count", "--state", "held") == [{"key": "total", "count": 2}]
    assert rows(fleet, "drop", "ALL", "--yes")[0]["changed"] == 2


def test_what_a_hub_has_taken_is_left_alone(fleet, collector):
    collector.rule = lambda r: status(503)
    fleet.put(4, clients=2)
    fleet.hub().allow("destination web").start()
    wait_until(lambda: rows(fleet, "count", "--by", "state") == [{"key": "inflight", "count": 4}], "a hub that has them")
    some = str(rows(fleet, "list")[0]["id"])
    assert "a hub has taken it" in ctl(fleet, "drop", some, code=1).stderr
    assert rows(fleet, "drop", "ALL", "--yes") == [{"changed": 0, "in_flight": 4, "unknown": 0}]
    assert rows(fleet, "count", "--state", "queued") == [{"key": "total", "count": 0}]
    collector.rule = None
    wait_until(lambda: fleet.open() == 0, "an empty queue", LONG)


def test_status_of_the_queue(trio):
    trio.put(12)
    trio.hub(delivery={"max_requests": 1}).start()
    edge = trio.edge().start()
    assert edge.ask(event())["ok"]
    wait_until(lambda: trio.open() == 0, "an empty queue", LONG)
    wait_until(lambda: rows(trio, "status")[0]["edges"] == 1, "an edge")
    s = rows(trio, "status")[0]
    assert (s["events"], s["hubs"], s["oldest_age_s"]) == ({"queued": 0, "held": 0, "dead": 0}, 1, None)
    assert s["database"]["standbys"] == 2 and "ANY 1" in s["database"]["synchronous_standby_names"]
    assert "lag_bytes" not in s["database"]                         # this user may not see it
    trio.cluster.sql("GRANT pg_monitor TO relay")
    s = rows(trio, "status")[0]["database"]
    assert s["synchronous"] >= 1 and s["lag_bytes"] >= 0 and s["schema"] == 1
    text = ctl(trio, "status").stdout
    assert "2, 2 synchronous" in text and "1 edge, 1 hub connected" in text, text
    trio.cluster.sql("REVOKE pg_monitor FROM relay")


def test_errors_are_sentences(fleet, tmp_path):
    assert "does not take" in ctl(fleet, "pause", code=2).stderr
    assert "without --offline" in ctl(fleet, "list", "--offline", "x", code=2).stderr
    assert "ask it, without --fleet" in ctl(fleet, "list", "--state", "rejected", code=2).stderr
    assert "no state is called" in ctl(fleet, "list", "--state", "x", code=2).stderr
    fleet.cluster.sql("UPDATE ga4relay.schema_version SET version = 0")
    assert "fleet-init" in ctl(fleet, "list", code=1).stderr
    fleet.cluster.sql("UPDATE ga4relay.schema_version SET version = 9, works_from = 9")
    assert "install a newer ga4relay" in ctl(fleet, "list", code=1).stderr
    fleet.cluster.sql("DROP SCHEMA ga4relay CASCADE")
    assert "fleet-init makes it" in ctl(fleet, "list", code=1).stderr
    fleet.conninfo_file = tmp_path / "none"
    fleet.conninfo_file.write_text("host=127.0.0.1 port=1 password=CANARY-ctl")
    r = ctl(fleet, "list", code=1)
    assert "refused" in r.stderr and "CANARY" not in r.stderr


# ---- a member's own status, doctor and metrics ----

def metrics(relay):
    return {k.removeprefix("ga4relay_"): float(v) for k, v in
            (x.rsplit(" ", 1) for x in relay.ctl_raw("metrics").stdout.splitlines() if not x.startswith("#"))}


def test_an_edge_and_a_hub_show_their_part(trio, collector):
    edge, hub = trio.edge().allow(*AWAY).start(), trio.hub().allow(*AWAY).start()
    for n in range(50):
        assert edge.ask(event(n=n))["ok"]
    wait_until(lambda: collector.count() == 50, "the deliveries", LONG)
    wait_until(lambda: edge.status()["fleet"]["forwarded"] == 50, "what was forwarded")
    for relay, says in ((edge, "forwarded to the fleet's queue"), (hub, "unknown id")):
        assert says in relay.ctl_raw("show", "1").stderr
    f = edge.status()["fleet"]
    assert (f["role"], f["up"], f["problem"], f["synchronous"], f["in_flight"]) == ("edge", True, None, True, 0)
    assert f["server_version"] >= 150000 and f["server"]
    f = hub.status()["fleet"]
    assert (f["role"], f["up"], f["taken"]) == ("hub", True, 50) and abs(f["clock_difference_s"]) < 5
    assert metrics(edge)['fleet_up{role="edge"}'] == 1 and metrics(edge)["fleet_events_forwarded_total"] == 50
    m = metrics(hub)
    assert m['fleet_up{role="hub"}'] == 1 and m["fleet_events_taken_total"] == 50 and m["fleet_synchronous"] == 1
    assert re.search(r"fleet +edge, connected for \S+ to \S+, synchronous\n", edge.ctl_raw("status").stdout)
    primary = trio.cluster.primary
    names = primary.settings["synchronous_standby_names"]
    primary.configure({"synchronous_standby_names": ""})
    primary.reload()
    wait_until(lambda: not edge.status()["fleet"]["up"], "an edge that forwards nothing")
    assert "synchronous_standby_names is empty" in edge.status()["fleet"]["problem"]
    primary.configure({"synchronous_standby_names": names})
    primary.reload()
    wait_until(lambda: edge.status()["fleet"]["up"], "an edge that forwards again")
    for n in trio.cluster.nodes:
        n.stop()
    for r in (edge, hub):
        wait_until(lambda r=r: not r.status()["fleet"]["up"], "the outage")
        wait_until(lambda r=r: r.status()["fleet"]["problem"], "its reason")
        assert [v for k, v in metrics(r).items() if k.startswith("fleet_up")] == [0]
    assert "not connected" in edge.ctl_raw("status").stdout
    assert "fleet" not in json.dumps(trio.make_relay().start().status())


def findings(relay, what):
    out = relay.ctl_raw("--json", "doctor", "-c", str(relay.conf)).stdout
    return [json.loads(x) for x in out.splitlines() if json.loads(x)["check"] == what]


def test_doctor_looks_at_the_database(trio):
    hub = trio.hub().allow(*AWAY, "the database says").start()
    found = findings(hub, "fleet")
    assert [f["result"] for f in found] == ["ok", "ok", "ok"] or found[-1]["result"] == "warning", found
    assert "hub: connected to PostgreSQL" in found[0]["detail"] and "schema version 1" in found[1]["detail"]
    assert "may not see" in findings(hub, "standbys")[0]["detail"]
    trio.cluster.sql("GRANT pg_monitor TO relay")
    assert findings(hub, "standbys")[0]["result"] == "ok"
    for n in trio.cluster.standbys:
        n.stop()
    wait_until(lambda: findings(hub, "standbys")[0]["result"] == "failed", "no standby")
    assert "every commit waits" in findings(hub, "standbys")[0]["detail"]
    trio.cluster.primary.configure({"synchronous_standby_names": ""})
    trio.cluster.primary.reload()
    wait_until(lambda: "is empty" in findings(hub, "standbys")[0]["detail"], "the setting")
    trio.cluster.sql("REVOKE pg_monitor FROM relay; ALTER SCHEMA ga4relay OWNER TO admin; REASSIGN OWNED BY relay TO admin")
    trio.cluster.sql("REVOKE ALL ON ga4relay.event FROM relay; GRANT USAGE ON SCHEMA ga4relay TO relay;"
                     "GRANT SELECT ON ga4relay.schema_version TO relay")
    assert "may not write" in findings(hub, "fleet")[1]["detail"]
    trio.cluster.sql("DROP SCHEMA ga4relay CASCADE; ALTER DATABASE ga4relay OWNER TO relay")
    assert "fleet-init" in findings(hub, "fleet")[1]["advice"]
    trio.cluster.primary.stop()
    assert [f["result"] for f in findings(hub, "fleet")] == ["failed"]
