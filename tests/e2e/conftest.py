# conftest.py - the fixtures: a collector, relays in front of it, TLS by nginx
import warnings

import pytest

from lib.collector import Collector
from lib.daemons import Certificates
from lib.postgres import Cluster
from lib.relay import BUILD, Relay
from lib.tls import Nginx, nginx_path


def pytest_sessionstart(session):
    for name in ("ga4relay", "ga4relay-ctl"):
        if not (BUILD / name).exists():
            pytest.exit(f"{BUILD / name} is missing: run make e2e", 2)


# Minutes each, so they begin first: where several tests run at once, none of these is left over at the end.
LONG = ("test_soak", "test_kill_at_random_moments", "test_full_at_start[btrfs]", "test_both_readings_agree")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.name not in LONG)


@pytest.fixture
def collector():
    c = Collector()
    yield c
    c.down()


@pytest.fixture
def make_relay(collector):
    """make_relay(outbox={...}, …): a relay with these options, not started; stopped and judged at the end."""
    made = []

    def make(endpoint=None, **changes):
        made.append(Relay(endpoint or collector.url, **changes))
        return made[-1]

    yield make
    errors = []
    for r in made:
        try:
            r.finish()
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture
def relay(make_relay):
    """A running relay that delivers to the collector."""
    return make_relay().start()


@pytest.fixture
def paused(make_relay):
    """A running relay that takes events and sends none."""
    r = make_relay()
    r.config["streams"] = [r.stream(paused=True)]
    return r.start()


@pytest.fixture
def make_tls(collector):
    """make_tls(...): nginx with TLS in front of the collector."""
    if not nginx_path():
        warnings.warn("NGINX IS MISSING: delivery over TLS is not tested (Debian: apt install nginx-light)")
        pytest.skip("nginx is missing: TLS is not tested")
    made = []

    def make(**kw):
        made.append(Nginx(collector.port, **kw))
        return made[-1]

    yield make
    for n in made:
        n.stop()


@pytest.fixture(scope="session")
def clusters():
    """Those that no test has at the moment, by their number of nodes."""
    idle = {}
    yield idle
    for c in sum(idle.values(), []):
        c.remove()


@pytest.fixture
def make_cluster(clusters):
    """make_cluster(...): PostgreSQL with standbys, as new. The next test has it again unless too much happened to it."""
    made = []

    def make(nodes=3, disks=False):
        while not disks and clusters.get(nodes):
            idle = clusters[nodes].pop()
            if idle.reuse():
                made.append(idle)
                return idle
            idle.remove()
        made.append(Cluster(nodes, disks))
        return made[-1]

    yield make
    for c in made:
        if any(n.disk for n in c.nodes):
            c.remove()
        else:
            clusters.setdefault(len(c.nodes), []).append(c)


@pytest.fixture(scope="session")
def certs():
    """Good and bad certificates of a CA of our own."""
    c = Certificates()
    yield c
    c.stop()


@pytest.fixture
def begin():
    """begin(Class, ...): a server or a proxy that is stopped at the end."""
    made = []

    def make(kind, *args, **kw):
        made.append(kind(*args, **kw))
        return made[-1]

    yield make
    for x in made:
        x.stop()
