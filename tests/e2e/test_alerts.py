# test_alerts.py - the metrics as Prometheus' own linter sees them, the alerts as its own tester does
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from lib.client import event
from lib.relay import TOP

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


def test_alerts_name_metrics_that_are_there(relay):
    names = set(re.findall(r"ga4relay_[a-z_]+", "".join(x for x in RULES.read_text().splitlines() if "expr" in x or "rate(" in x)))
    assert len(names) >= 6
    text = relay.ctl_raw("metrics").stdout
    for name in names:
        assert f"\n# TYPE {name} " in "\n" + text, name
