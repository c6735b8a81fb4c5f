"""The edge of a fleet, with real servers: what leaves the outbox is in PostgreSQL, once, and on a standby."""
import os
import shutil
import subprocess

import pytest

from lib.client import event
from lib.postgres import DATABASE, PASSWORD, USER, give
from lib.relay import BUILD, wait_until

AWAY = (r"fleet: nothing is forwarded: ",)


def fleet_init(conninfo_file):
    r = subprocess.run([str(BUILD / "ga4relay-ctl"), "fleet-init", "--conninfo-file", str(conninfo_file)], capture_output=True,
                       text=True, timeout=60)
    if "built without PostgreSQL" in r.stderr:
        pytest.skip("this ga4relay was built without PostgreSQL")
    assert r.returncode == 0, r.stderr
    assert PASSWORD not in r.stdout + r.stderr
    return r.stdout


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()


@pytest.fixture
def alone(make_cluster):
    return make_cluster(nodes=1)


@pytest.fixture
def make_edge(make_relay):
    def make(cluster, conninfo=None, **fleet):
        r = make_relay()
        secret = r.dir / "conninfo"
        secret.write_text((conninfo or cluster.conninfo()) + "\n")
        secret.chmod(0o600)
        r.change(fleet={"role": "edge", "conninfo_file": secret, **fleet})
        fleet_init(secret)
        return r

    yield make


def stored(cluster):
    return int(cluster.value("SELECT count(*) FROM ga4relay.event"))


def wait_stored(cluster, n):
    wait_until(lambda: stored(cluster) == n, f"{n} events in PostgreSQL")


def fill(relay, n, clients=7, first=0):
    """n lines of several clients; the ids that were answered ok."""
    with relay.client() as c:
        for i in range(first, first + n):
            c.send(event(client=f"{i % clients}.1", number=i))
        replies = c.replies(n)
    assert all(r["ok"] for r in replies), replies
    return [r["id"] for r in replies]


def test_schema_is_made_once(cluster, make_edge):
    edge = make_edge(cluster)
    assert "nothing to do" in fleet_init(edge.dir / "conninfo")
    for view in ("queued", "dead", "delivered_keys"):
        assert cluster.sql(f"SELECT * FROM ga4relay.{view}") == []


def test_events_are_forwarded_in_the_order_of_each_client(cluster, make_edge, collector):
    edge = make_edge(cluster).start()
    ids = fill(edge, 1000)
    edge.wait_empty()
    assert stored(cluster) == 1000
    rows = cluster.sql("SELECT client, id FROM ga4relay.queued ORDER BY seq")
    assert sorted(int(i) for _, i in rows) == ids
    for client in range(7):
        own = [int(i) for c, i in rows if c == f"{client}.1"]
        assert own == sorted(own) and own
    body, stream, name = cluster.sql("SELECT body, stream, name FROM ga4relay.queued ORDER BY id LIMIT 1")[0]
    assert stream == "web" and name == "refund" and '"number":0' in body
    assert not collector.requests
    assert PASSWORD not in edge.log
    assert cluster.value("SELECT count(DISTINCT lane) FROM ga4relay.event GROUP BY client ORDER BY 1 DESC LIMIT 1") == "1"


def test_over_tcp_by_name(alone, make_edge):
    """The name is looked up by the loop's own resolver."""
    edge = make_edge(alone, conninfo=f"host=localhost port={alone.primary.port} user={USER} password={PASSWORD} dbname={DATABASE}",
                     require_sync=False).start()
    fill(edge, 10)
    wait_stored(alone, 10)


@pytest.fixture
def with_tls(alone, certs):
    """with_tls(certificate): the server has that one."""
    def make(certificate):
        for path, name in zip(certs.files(certificate), ("server.crt", "server.key")):
            target = alone.primary.data / name
            target.write_bytes(path.read_bytes())
            target.chmod(0o600)
            give(target)
        alone.primary.configure({"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"})
        alone.primary.reload()
        wait_until(lambda: alone.value("SHOW ssl") == "on", "a server with TLS")
        return (f"host=localhost port={alone.primary.port} user={USER} password={PASSWORD} dbname={DATABASE} "
                f"sslmode=verify-full sslrootcert={certs.ca}")

    return make


def test_over_tls(alone, make_edge, with_tls):
    edge = make_edge(alone, conninfo=with_tls("good"), require_sync=False).start()
    fill(edge, 10)
    wait_stored(alone, 10)
    assert alone.value("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'relay'") == "t"


@pytest.mark.parametrize("certificate, says", [("unknown", "certificate verify failed"), ("wrong-name", "does not match host name"),
                                               ("expired", "certificate verify failed")])
def test_a_server_with_a_wrong_certificate_gets_nothing(alone, make_edge, with_tls, certificate, says):
    edge = make_edge(alone).allow(*AWAY)
    (edge.dir / "conninfo").write_text(with_tls(certificate))
    edge.change(fleet={**edge.config["fleet"], "require_sync": False})
    edge.start()
    fill(edge, 3)
    wait_until(lambda: says in edge.log, "the reason in the log")
    assert says in edge.status()["fleet"]["problem"] and PASSWORD not in edge.log
    assert edge.states() == {"queued": 3} and stored(alone) == 0


def test_an_edge_that_is_killed_loses_nothing_and_stores_nothing_twice(cluster, make_edge):
    edge = make_edge(cluster, batch=50).start()
    n = 0
    for _ in range(8):
        n += len(fill(edge, 500, first=n))
        edge.kill9()
        edge.start()
        edge.allow(r"the last run did not end cleanly")
    edge.wait_empty()
    assert stored(cluster) == n
    assert int(cluster.value("SELECT count(DISTINCT body) FROM ga4relay.event")) == n


def test_a_primary_that_is_away(cluster, make_edge):
    """The outbox grows meanwhile; the promoted standby gets it all."""
    edge = make_edge(cluster).allow(*AWAY).start()
    fill(edge, 500)
    wait_stored(cluster, 500)
    cluster.primary.kill9()
    fill(edge, 500, first=500)
    assert edge.states()["queued"] > 0
    cluster.fail_over()
    edge.wait_empty()
    assert stored(cluster) == 1000


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_without_standbys_nothing_leaves_the_outbox(cluster, make_edge, how):
    edge = make_edge(cluster).allow(*AWAY).start()
    standbys = cluster.standbys
    for s in standbys:
        if how == "stopped":
            s.stop()
        else:
            s.signal_all(19)
    fill(edge, 50)
    wait_until(lambda: int(cluster.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")) > 0, "a commit that waits")
    assert edge.states() == {"inflight": 50}
    for s in standbys:
        if how == "stopped":
            s.start()
        else:
            s.signal_all(18)
    edge.wait_empty(60)
    assert stored(cluster) == 50


def test_a_wait_that_is_cancelled_is_no_acknowledgement(cluster, make_edge):
    """The server answers the COMMIT with a warning. The same keys are sent again, and wait again."""
    edge = make_edge(cluster).allow(*AWAY).start()
    standbys = cluster.standbys
    for s in standbys:
        s.stop()
    fill(edge, 20)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'ga4relay edge%'"
    for _ in range(3):
        wait_until(lambda: int(cluster.value(waiting)) > 0, "a commit that waits")
        cluster.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    wait_until(lambda: int(cluster.value(waiting)) > 0, "a commit that waits")
    assert edge.states() in ({"inflight": 20}, {"queued": 20})
    for s in standbys:
        s.start()
    edge.wait_empty()
    assert stored(cluster) == 20


def test_synchronous_commit_is_switched_off(cluster, make_edge):
    edge = make_edge(cluster).allow(*AWAY).start()
    fill(edge, 10)
    wait_stored(cluster, 10)
    names = cluster.primary.settings["synchronous_standby_names"]
    cluster.primary.configure({"synchronous_standby_names": ""})
    cluster.primary.reload()
    wait_until(lambda: "without a synchronous standby" in edge.log, "the edge says so")
    fill(edge, 10, first=10)
    assert edge.states().get("queued", 0) + edge.states().get("inflight", 0) == 10
    cluster.primary.configure({"synchronous_standby_names": names, "synchronous_commit": "off"})
    cluster.primary.reload()        # the session's own setting stands above the server's
    edge.wait_empty()
    assert stored(cluster) == 20


def test_ten_thousand_keys_again(cluster, make_edge):
    """As after a restored backup of the same host: what was forwarded is in the outbox again."""
    edge = make_edge(cluster)
    edge.config["streams"] = [edge.stream(paused=True)]
    edge.start()
    fill(edge, 10000)
    assert edge.stop() == 0
    shutil.copy(edge.db, edge.dir / "copy.db")
    edge.config["streams"] = [edge.stream()]
    edge.start()
    wait_stored(cluster, 10000)
    edge.wait_empty()
    assert edge.stop() == 0
    shutil.copy(edge.dir / "copy.db", edge.db)
    edge.start()
    edge.allow("it lacks what was written last")
    edge.wait_empty()
    assert stored(cluster) == 10000


def test_a_cloned_outbox_becomes_another(cluster, make_edge):
    """Two hosts of one image: each one's new events are stored, and none is taken for another's."""
    one = make_edge(cluster)
    two = make_edge(cluster)
    one.start()
    fill(one, 100)
    one.wait_empty()
    assert one.stop() == 0
    for name in os.listdir(one.dir):
        if name.startswith("outbox.db"):
            shutil.copy(one.dir / name, two.dir / name)
    one.start()
    two.start()
    two.allow("this outbox is a copy of another")
    one.allow("this outbox is a copy of another")
    ids = fill(one, 200, first=1000)
    one.wait_empty()
    assert fill(two, 300, first=2000)[0] == ids[0]
    two.wait_empty()
    fill(one, 200, first=3000)
    one.wait_empty()
    assert stored(cluster) == 800
    assert int(cluster.value("SELECT count(DISTINCT body) FROM ga4relay.event")) == 800
    assert "this outbox is a copy of another" in one.log + two.log
    assert cluster.value("SELECT count(DISTINCT outbox) FROM ga4relay.event") in ("2", "3")


def test_a_database_without_the_schema(cluster, make_edge):
    edge = make_edge(cluster).allow(*AWAY)
    cluster.sql("DROP SCHEMA ga4relay CASCADE")
    edge.start()
    fill(edge, 5)
    wait_until(lambda: "fleet-init" in edge.log, "the edge says what to do")
    fleet_init(edge.dir / "conninfo")
    edge.wait_empty(30)
    assert stored(cluster) == 5


def test_a_wrong_password_is_told_and_never_shown(cluster, make_edge):
    edge = make_edge(cluster).allow(*AWAY)
    secret = edge.dir / "conninfo"
    good = secret.read_text()
    secret.write_text(good.replace(PASSWORD, "CANARY-wrong-77"))
    edge.start()
    fill(edge, 5)
    wait_until(lambda: "password authentication failed" in edge.log, "the reason in the log")
    secret.write_text(good)
    edge.reload()
    edge.wait_empty()
    assert stored(cluster) == 5
    assert "CANARY-wrong" not in edge.log and PASSWORD not in edge.log


@pytest.mark.parametrize("text, says", [
    ("role = \"edge\";", "needs exactly one of"),
    ("role = \"edge\"; conninfo_file = \"{secret}\"; keep_keys = \"1h\";", "shorter than delivery.max_age"),
    ("role = \"hub\"; conninfo_file = \"{secret}\"; confirm = \"replicated\";", "not available in this version"),
    ("role = \"edge\"; conninfo_file = \"{broken}\";", "cannot be read as a connection string"),
])
def test_a_wrong_group_is_refused(make_relay, text, says):
    r = make_relay()
    (r.dir / "secret2").write_text("host=a")
    (r.dir / "broken").write_text("host=a CANARY-secret")
    r.write_config()
    config = r.conf.read_text() + "fleet = { " + text.format(secret=r.dir / "secret2", broken=r.dir / "broken") + " };\n"
    r.write_config(config)
    out = subprocess.run([str(BUILD / "ga4relay"), "-t", "-c", str(r.conf)], capture_output=True, text=True)
    assert out.returncode == 78, out.stderr
    assert says in out.stderr or "built without PostgreSQL" in out.stderr, out.stderr
    assert "CANARY" not in out.stderr
