# test_fleet_hub.py - hubs: what they take from PostgreSQL, in which order it goes, and what failures cost
import threading
import time

import pytest

from lib.client import event
from lib.clock import Clock
from lib.collector import Answer, Collector, status
from lib.fleet import Fleet, assert_order, numbers, sent
from lib.relay import SANITIZED, wait_until

LONG = 60


@pytest.fixture
def fleet(make_cluster, make_relay, collector):
    return Fleet(make_cluster(nodes=1), make_relay, collector)


@pytest.fixture
def trio(make_cluster, make_relay, collector):
    return Fleet(make_cluster(), make_relay, collector)


@pytest.fixture
def another():
    c = Collector()
    yield c
    c.down()


def drained(fleet):
    wait_until(lambda: fleet.open() == 0, "an empty queue in the engine", LONG)


def test_events_go_once_in_order_and_leases_go_back(fleet, collector):
    put = fleet.put(3000)
    hub = fleet.hub(delivery={"max_requests": 1}).start()           # requests of one client may overtake each other
    drained(fleet)
    assert sorted(numbers(collector)) == put
    assert_order(collector)
    assert any(len(r.events) > 10 for r in collector.requests)      # they share requests
    wait_until(lambda: fleet.leases() == 0, "released leases")
    assert fleet.states() == {"delivered": 3000}
    assert hub.ask(event(n=3001))["ok"]                             # its own intake goes on beside it
    hub.wait_empty()
    wait_until(lambda: collector.count() == 3001, "its own event")
    assert fleet.row(1, "body, client, envelope") == ("", "", "")   # the key stays, the rest does not


def test_a_refused_event_is_a_dead_letter_with_its_reason(fleet, collector):
    fleet.put(1, clients=1, name="poison")
    fleet.put(20)
    collector.rule = lambda r: status(400, body=b"no such thing") if b"poison" in r.raw else None
    fleet.hub(delivery={"refuse_after": "0"}).allow("dead-refused", "destination web").start()

    def died():
        fleet.put(1)                                                # others pass
        time.sleep(0.2)
        return fleet.states().get("dead")
    wait_until(died, "a dead letter", LONG)
    state, reason, attempts, code, answer = fleet.row(1, "state, reason, attempts, last_status, answer")
    assert (state, reason, code, answer) == ("2", "refused", "400", "no such thing")
    assert int(attempts) >= 1             # one is enough where others passed before it
    drained(fleet)


def test_old_events_expire_in_the_engine(fleet, collector):
    """A hub with a shorter max_age than the edges."""
    fleet.put(5, age=7200)
    put = fleet.put(50)
    fleet.hub(delivery={"max_age": "1h"}).allow("delivery.max_age").start()
    drained(fleet)
    assert fleet.row(1, "state, reason") == ("2", "expired")
    assert sorted(numbers(collector)) == put
    assert fleet.states() == {"dead": 5, "delivered": 50}


def test_a_stop_gives_everything_back(fleet, collector):
    collector.rule = lambda r: Answer(delay=0.2)
    fleet.put(2000, clients=400)
    hub = fleet.hub().start()
    wait_until(lambda: collector.count() > 0, "the first delivery")
    assert hub.stop() == 0
    assert fleet.leases() == 0
    done = numbers(collector)
    assert fleet.states() == {"delivered": len(done), "queued": 2000 - len(done)}
    collector.rule = None
    hub.start()
    drained(fleet)
    assert sorted(numbers(collector)) == list(range(1, 2001))       # not one twice


def test_a_killed_hub_s_events_go_on_with_another(fleet, collector, another):
    """What was in flight may go twice, and is marked; nothing else does."""
    hang = threading.Event()
    collector.rule = lambda r: Answer(hang=hang) if len(collector.requests) > 5 else None
    fleet.put(2000, clients=300)
    first = fleet.hub(fleet={"lease": "5s"}).start()
    wait_until(lambda: len(collector.requests) > 8, "requests that hang")
    first.kill9()
    hang.set()
    in_flight = set(sent([r for r in collector.requests if not r.accepted]))
    fleet.hub(another.url, fleet={"lease": "5s"}).start()
    drained(fleet)
    both = numbers(collector) + numbers(another)
    assert set(both) == set(range(1, 2001))
    twice = {n for n in both if both.count(n) > 1}
    # and those whose outcome was not recorded yet when it was killed
    assert len(twice) <= len(in_flight) + 500
    marked = {int(n) for n, in fleet.cluster.sql("SELECT id FROM ga4relay.event WHERE flags & 1 = 1")}
    print(f"in flight {len(in_flight)}, twice {len(twice)}, marked {len(marked)}")


def test_two_hubs_and_one_slow(fleet, collector, another):
    another.rule = lambda r: Answer(delay=1)
    fleet.put(500)
    slow = fleet.hub(another.url, delivery={"max_requests": 1}).start()
    wait_until(lambda: another.requests, "the slow one's first request")
    fleet.hub().start()
    fleet.put(4000, clients=400)
    wait_until(lambda: collector.count() >= 3500, "the fast one's part", LONG)
    another.rule = None
    drained(fleet)
    both = numbers(collector) + numbers(another)
    assert sorted(both) == list(range(1, 4501))
    assert slow.alive()


@pytest.mark.skipif(SANITIZED, reason="the clock's shim and the sanitizers do not go together")
def test_a_wrong_clock_expires_nothing(fleet, collector):
    hub = fleet.hub().allow("clock is")
    clock = Clock(hub)
    clock.wall_ns = 5 * 86400 * 10**9
    clock.map[:] = clock.wall_ns.to_bytes(8, "little") + bytes(8)
    fleet.put(10)
    hub.start()
    wait_until(lambda: "5d" in hub.log and "ahead of the database's" in hub.log, "an error in the log")
    assert fleet.states() == {"queued": 10}
    clock.step(-5 * 86400)
    wait_until(lambda: "agrees with the database's again" in hub.log, "the clocks' agreement", 90)
    drained(fleet)


def test_events_of_an_unknown_stream_wait_and_are_told(fleet, collector):
    fleet.put(3, stream="app")
    put = fleet.put(30)
    hub = fleet.hub().allow('stream "app"').start()
    wait_until(lambda: fleet.open() == 3, "the others' delivery")
    assert sorted(numbers(collector)) == put
    wait_until(lambda: 'events of the stream "app" are queued' in hub.log, "a warning")


# ---- the engine fails ----

def test_a_promoted_standby_goes_on(trio, collector):
    hub = trio.hub().allow("database cannot be reached", "leases ended").start()
    collector.rule = lambda r: Answer(delay=0.05)
    put = trio.put(3000, clients=500)
    wait_until(lambda: collector.count() > 200, "some deliveries")
    trio.cluster.primary.kill9()
    trio.cluster.fail_over()
    trio.cluster.wait_standbys(1)
    drained(trio)
    got = numbers(collector)
    assert set(got) == set(put)
    print(f"twice: {len(got) - len(put)}")
    assert len(got) - len(put) <= 4 * 500 and hub.alive()           # outcomes under way when it was killed


def test_without_the_engine_it_delivers_what_it_has_leases_for(fleet, collector):
    hub = fleet.hub(fleet={"lease": "6s"}).allow("database cannot be reached", "leases ended", "destination web").start()
    collector.rule = lambda r: status(503)
    fleet.put(100)
    wait_until(lambda: collector.requests, "a first try")
    server = fleet.cluster.primary
    server.stop()
    wait_until(lambda: "database cannot be reached" in hub.log, "a warning")
    collector.rule = None
    wait_until(lambda: collector.count() > 0, "deliveries without the engine")
    n = collector.count()
    wait_until(lambda: "leases ended before" in hub.log or collector.count() == 100, "the end of the leases", LONG)
    server.start()
    drained(fleet)
    assert set(numbers(collector)) == set(range(1, 101)) and n > 0


def test_when_the_leases_have_ended_nothing_more_is_sent(fleet, collector):
    hub = fleet.hub(fleet={"lease": "5s"}).allow("database cannot be reached", "leases ended", "destination web").start()
    collector.rule = lambda r: status(503)
    fleet.put(1000, clients=500)
    wait_until(lambda: collector.requests, "a first try")
    fleet.cluster.primary.stop()
    wait_until(lambda: "leases ended before" in hub.log, "the end of the leases", LONG)
    collector.rule = None
    assert hub.ask(event(n=5000))["ok"]
    wait_until(lambda: 5000 in numbers(collector), "its own event, after the endpoint is back")
    assert numbers(collector) == [5000]
    fleet.cluster.primary.start()
    drained(fleet)
    assert sorted(numbers(collector)) == list(range(1, 1001)) + [5000]
