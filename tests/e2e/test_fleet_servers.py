# test_fleet_servers.py - what the fleet's promises rest on: PostgreSQL's own, with the servers that the other tests use
import pytest

from lib.relay import wait_until


@pytest.fixture
def cluster(make_cluster):
    c = make_cluster(disks=True)
    c.sql("CREATE TABLE t (i int)")
    return c


def test_what_was_acknowledged_survives_a_power_cut_and_a_promotion(cluster):
    cluster.sql("INSERT INTO t SELECT generate_series(1, 1000)")
    cluster.cut_the_power()
    cluster.start()
    assert cluster.value("SELECT count(*) FROM t") == "1000"
    cluster.sql("INSERT INTO t SELECT generate_series(1, 10)")
    cluster.primary.kill9()
    cluster.fail_over()
    cluster.wait_standbys(1)
    assert cluster.value("SELECT count(*) FROM t") == "1010"


def test_a_power_cut_takes_what_was_not_synced(cluster):
    """Else the tests of power cuts would show nothing."""
    cluster.sql("ALTER ROLE admin SET synchronous_commit = off")
    for n in cluster.nodes:
        n.configure({"wal_writer_delay": "10s", "fsync": "off"})
        n.reload()
    wait_until(lambda: cluster.value("SHOW fsync") == "off", "the new setting")
    cluster.sql("INSERT INTO t SELECT generate_series(1, 1000)")
    cluster.cut_the_power()
    cluster.start()
    assert cluster.value("SELECT count(*) FROM t") == "0"
