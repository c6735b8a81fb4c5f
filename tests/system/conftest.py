# conftest.py - the booted container, the collector outside of it, the service between them
import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from container import Container, why_not # noqa: E402
from lib.collector import Collector # noqa: E402
from lib.tls import Nginx, nginx_path # noqa: E402
from service import Service # noqa: E402
from trees import SUITE, codename # noqa: E402


def pytest_collection_modifyitems(items):
    reason = why_not()
    if reason:
        warnings.warn(f"THE UNITS AND THE PACKAGE ARE NOT TESTED IN A BOOTED SYSTEM: {reason}")
    for item in items:
        if item.path.name == "test_image.py":
            continue  # it needs no container that boots, and says itself what it misses
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif SUITE != codename() and item.path.name != "test_package.py":
            item.add_marker(pytest.mark.skip(reason=f"the programs are built for this system, not for {SUITE}; the package is"))


@pytest.fixture(scope="module")
def box():
    """A fresh Debian that has booted."""
    c = Container()
    try:
        yield c.boot()
    finally:
        c.stop()


@pytest.fixture
def collector():
    c = Collector()
    yield c
    c.down()


@pytest.fixture
def service(installed, collector):
    """The installed service, stopped, its socket listening, its outbox empty; it delivers to the collector."""
    s = Service(installed, collector.url)
    s.reset()
    yield s
    s.judge()


@pytest.fixture
def tls(collector):
    if not nginx_path():
        warnings.warn("NGINX IS MISSING: delivery over TLS is not tested (Debian: apt install nginx-light)")
        pytest.skip("nginx is missing: TLS is not tested")
    n = Nginx(collector.port)
    yield n
    n.stop()
