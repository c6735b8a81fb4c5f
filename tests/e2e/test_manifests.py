# test_manifests.py - the examples for containers: their YAML, the configuration in them, and that they agree
import re
import subprocess
import warnings
from pathlib import Path

import pytest

from lib.relay import BUILD

CONTAINER = Path(__file__).resolve().parents[2] / "etc/container"


@pytest.fixture
def load():
    try:
        import yaml
    except ImportError:
        warnings.warn("PYTHON3-YAML IS MISSING: the manifests are not tested (Debian: apt install python3-yaml)")
        pytest.skip("python3-yaml is missing")
    return lambda name: list(yaml.safe_load_all((CONTAINER / name).read_text()))


def check(text, tmp_path):
    """By ga4relay -t, with a secret where the text says that there is one."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("abcdefghijklmnop\n")
    conf = tmp_path / "ga4relay.conf"
    conf.write_text(re.sub('api_secret_file = "[^"]*"', f'api_secret_file = "{secret}"', text))
    r = subprocess.run([BUILD / "ga4relay", "-t", "-c", conf], capture_output=True, text=True)
    assert r.returncode == 0 and "good, 1 stream" in r.stdout, r.stderr
    assert [x for x in r.stderr.splitlines() if "the id is the sample's" not in x and "not loopback" not in x] == [], r.stderr


def test_compose(load, tmp_path):
    [compose] = load("compose.yml")
    relay, app = compose["services"]["ga4relay"], compose["services"]["app"]
    text = (CONTAINER / "container.conf").read_text()
    check(text, tmp_path)
    targets = {x.split(":")[1]: x.split(":")[0] for x in relay["volumes"]}
    assert re.search('api_secret_file = "([^"]+)"', text)[1] in targets
    assert targets["/run/ga4relay"] == app["volumes"][0].split(":")[0] == "events"
    assert re.search('socket = "(/run/ga4relay/[^"]+)"', text) and "/var/lib/ga4relay" in targets
    assert set(compose["volumes"]) == {"outbox", "events"}
    assert relay["read_only"] and relay["user"].split(":")[1] in app["group_add"]
    assert (CONTAINER / relay["build"]["context"] / relay["build"]["dockerfile"]).exists()
    assert relay["healthcheck"]["test"][1:] == ["/usr/sbin/ga4relay-ctl", "-s", "/run/control.sock", "status"]
    assert re.search(r'control: \{ socket = "/run/control.sock"', text)


def test_kubernetes(load, tmp_path):
    config, secret, workload = load("kubernetes.yml")
    assert [x["kind"] for x in (config, secret, workload)] == ["ConfigMap", "Secret", "StatefulSet"]
    text = config["data"]["ga4relay.conf"]
    check(text, tmp_path)
    pod = workload["spec"]["template"]["spec"]
    [relay], [app] = pod["initContainers"], pod["containers"]
    assert relay["restartPolicy"] == "Always"  # a sidecar
    mounts = {x["mountPath"]: x["name"] for x in relay["volumeMounts"]}
    assert set(mounts.values()) == {x["name"] for x in pod["volumes"]} | {x["metadata"]["name"]
                                                                          for x in workload["spec"]["volumeClaimTemplates"]}
    assert {x["mountPath"]: x["name"] for x in app["volumeMounts"]} == {"/run/ga4relay": mounts["/run/ga4relay"]}
    where, name = re.search('api_secret_file = "([^"]+)/([^/"]+)"', text).groups()
    assert where in mounts and name in secret["stringData"]
    context = relay["securityContext"]
    assert context["readOnlyRootFilesystem"] and context["runAsNonRoot"] and context["runAsGroup"] == pod["securityContext"]["fsGroup"]
    port = relay["ports"][0]["containerPort"]
    assert f'metrics = "0.0.0.0:{port}"' in text
    assert workload["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert relay[probe]["httpGet"]["path"] in ("/healthz", "/metrics") and relay[probe]["httpGet"]["port"] == relay["ports"][0]["name"]
    assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]
