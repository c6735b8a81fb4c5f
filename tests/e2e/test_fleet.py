# test_fleet.py - edges, PostgreSQL and hubs together: the table of failures in ga4relay-fleet(7), a test for each row
import subprocess

import pytest

from lib.client import event
from lib.collector import Answer, status
from lib.fleet import Fleet, numbers
from lib.relay import wait_until

LONG = 60
AWAY = ("fleet: nothing is forwarded: ", "database cannot be reached", "leases ended")


@pytest.fixture
def fleet(make_cluster, make_relay, collector):
    return Fleet(make_cluster(), make_relay, collector)


@pytest.fixture
def powered(make_cluster, make_relay, collector):
    """Servers on disks of their own, whose power can be cut."""
    return Fleet(make_cluster(disks=True), make_relay, collector)


def fill(relay, numbers_, clients=50):
    """One line an event; how many were answered ok."""
    with relay.client() as c:
        for n in numbers_:
            c.send(event(client=f"{n % clients}.1", n=n))
        return sum(r["ok"] for r in c.replies(len(numbers_)))


def all_through(fleet, edge, timeout=LONG):
    wait_until(lambda: not edge.states().get("queued") and not edge.states().get("inflight"), "an empty outbox", timeout)
    wait_until(lambda: fleet.open() == 0, "an empty queue in the engine", timeout)


def test_from_an_edge_by_the_engine_to_a_hub(fleet, collector):
    edge, hub = fleet.edge().start(), fleet.hub().start()
    assert fill(edge, range(2000)) == 2000
    all_through(fleet, edge)
    assert sorted(numbers(collector)) == list(range(2000))
    assert {r.query["measurement_id"] for r in collector.requests} == {"G-TEST000001"}
    assert fleet.states() == {"delivered": 2000}
    assert hub.stop() == 0 and edge.stop() == 0


def test_an_edge_that_is_killed_loses_and_doubles_nothing(fleet, collector):
    edge = fleet.edge().allow("did not end cleanly").start()
    done = 0
    for _ in range(5):
        done += fill(edge, range(done, done + 400))
        edge.kill9()
        edge.start()
    wait_until(lambda: sum(fleet.states().values()) == done, "all of them in the engine", LONG)
    fleet.hub().start()
    all_through(fleet, edge)
    assert sorted(numbers(collector)) == list(range(done))


def test_ten_thousand_keys_sent_again_store_nothing(fleet):
    """An outbox restored from before it forwarded: its events are known."""
    edge = fleet.edge()
    edge.start()
    edge.ctl_raw("pause")
    assert fill(edge, range(10000)) == 10000
    edge.stop()
    before = {p.name: p.read_bytes() for p in edge.dir.glob("outbox.db*")}
    edge.start()
    edge.ctl_raw("resume")
    wait_until(lambda: sum(fleet.states().values()) == 10000, "all of them in the engine", LONG)
    edge.kill9()
    for name, content in before.items():
        (edge.dir / name).write_bytes(content)
    edge.allow("fleet:", "outbox", "did not end cleanly").start()
    edge.ctl_raw("resume")
    wait_until(lambda: not edge.states().get("queued") and not edge.states().get("inflight"), "an empty outbox", LONG)
    assert sum(fleet.states().values()) == 10000


def test_a_killed_primary_and_a_promoted_standby_lose_nothing(fleet, collector):
    edge, hub = fleet.edge().allow(*AWAY).start(), fleet.hub().allow(*AWAY).start()
    assert fill(edge, range(1000)) == 1000
    fleet.cluster.primary.kill9()
    assert fill(edge, range(1000, 2000)) == 1000                    # the outbox takes them
    wait_until(lambda: edge.states().get("queued", 0) >= 1000, "a backlog at the edge")
    fleet.cluster.fail_over()
    fleet.cluster.wait_standbys(1)
    all_through(fleet, edge)
    got = numbers(collector)
    assert set(got) == set(range(2000)) and hub.alive()
    print(f"twice: {len(got) - 2000}")


def test_without_a_synchronous_standby_nothing_is_forwarded(fleet, collector):
    edge = fleet.edge().allow(*AWAY).start()
    assert fill(edge, range(100)) == 100
    wait_until(lambda: sum(fleet.states().values()) == 100, "the first ones in the engine")
    for n in fleet.cluster.standbys:
        n.stop()
    assert fill(edge, range(100, 200)) == 100
    # the server waits for a standby: no outcome, so they stay
    assert edge.states() == {"queued": 100} or edge.states() == {"inflight": 100} or sum(edge.states().values()) == 100
    primary = fleet.cluster.primary
    # a cancelled wait is answered with success and a warning: no acknowledgement
    primary.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    assert sum(v for k, v in edge.states().items()) == 100
    for n in fleet.cluster.nodes:
        if n is not primary:
            n.start()
    fleet.cluster.wait_standbys(1)
    fleet.hub().start()
    all_through(fleet, edge)
    assert sorted(numbers(collector)) == list(range(200))


def test_a_power_cut_of_all_nodes_loses_nothing_that_left_an_edge(powered, collector):
    edge = powered.edge().allow(*AWAY).start()
    assert fill(edge, range(3000)) == 3000
    wait_until(lambda: sum(powered.states().values()) > 500, "some of them in the engine")
    powered.cluster.pause()
    left = sum(edge.states().values())
    powered.cluster.cut_the_power()
    powered.cluster.start()
    assert sum(powered.states().values()) >= 3000 - left
    powered.hub().start()
    all_through(powered, edge)
    assert sorted(set(numbers(collector))) == list(range(3000))


def test_two_edges_and_two_hubs_balance(fleet, collector):
    edges = [fleet.edge().start() for _ in range(2)]
    hubs = [fleet.hub().start() for _ in range(2)]
    collector.rule = lambda r: status(503) if len(collector.requests) % 10 == 3 else None
    for h in hubs:
        h.allow("destination web")
    for k in range(4):
        for i, e in enumerate(edges):
            assert fill(e, range((2 * k + i) * 500, (2 * k + i + 1) * 500)) == 500
    for e in edges:
        all_through(fleet, e)
    assert sorted(numbers(collector)) == list(range(4000))
