# test_npm_clients.py - clients of other people post to the HTTP door: two npm packages, node's fetch, curl
import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from lib.relay import BUILD, PATIENCE, SECRET
from lib.tls import free_port

ID = "G-TEST000001"
PACKAGES = {"ga4-mp": "1.0.3", "electron-google-analytics4": "1.2.1"}
QUERY = f"measurement_id={ID}&api_secret={SECRET}"


def skip(why):
    warnings.warn(f"CLIENT LIBRARIES ARE NOT TESTED: {why}")
    pytest.skip(why)


def manifest(directory):
    """ga4-mp names the placeholder "http" among its dependencies, which not every registry carries. Node takes its
    own module of that name in any case, so an empty package stands in."""
    (directory / "http").mkdir(parents=True, exist_ok=True)
    (directory / "http/package.json").write_text('{"name":"http","version":"0.0.1-security"}')
    (directory / "package.json").write_text(json.dumps({
        "name": "clients", "private": True, "dependencies": PACKAGES, "overrides": {"http": "file:./http"}}))


@pytest.fixture(scope="session")
def packages():
    """A directory with the packages in node_modules, kept between runs under build/."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node and npm are missing (Debian: apt install nodejs npm)")
    directory = Path(os.environ.get("GA4RELAY_NPM_CACHE", BUILD.parent / "npm"))
    if not all((directory / "node_modules" / p / "package.json").exists() for p in PACKAGES):
        manifest(directory)
        try:
            r = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=directory,
                               capture_output=True, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            skip("npm install took more than 180 s")
        if r.returncode != 0:
            skip("npm install failed: " + r.stderr.strip()[-300:])
    return directory


def run_node(script, *args, cwd="/"):
    """The script as an application would hold it; args are in process.argv from [1] on."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    r = subprocess.run(["node", "-e", script, *map(str, args)], cwd=cwd, env=env, capture_output=True, text=True,
                       timeout=PATIENCE * 3)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


@pytest.fixture
def relay(make_relay):
    """Started by tcp or unix."""
    return make_relay()


@pytest.fixture
def tcp(relay):
    """The address of a door on the loopback."""
    port = free_port()
    relay.change(http={"listen": f"127.0.0.1:{port}"}).start()
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def unix(relay):
    """The path of a door on a Unix socket."""
    path = relay.dir / "http.sock"
    relay.change(http={"listen": f"unix:{path}"}).start()
    return path


def check_numbers(relay, collector, n):
    """The events 0 to n-1 came once each. The client has its answers: what it sent is in the outbox or went out."""
    relay.wait_empty()
    assert sorted(int(e["params"]["n"]) for e in collector.events) == list(range(n))


GA4_MP = """
const { createClient } = require("ga4-mp");
const [, address, id, secret] = process.argv;
const ga4 = createClient(secret, id, "123.456");
ga4.GA_ENDPOINT = ga4.GA_ENDPOINT.replace("https://www.google-analytics.com", address);
const event = (n) => ({ name: "generate_lead", params: { n, currency: "EUR", value: n + 0.5, gone: null,
                                                         session_id: "1700000000", engagement_time_msec: 1 } });
ga4.setConstantParam("affiliate", "Größe");
ga4.send([event(0), event(1)]);                                       // at once
for (let n = 2; n < 60; n++) ga4.send([event(n)], true);              // postponed: three requests, of 25, 25 and 8
ga4.flushBuffer();
"""


def test_ga4_mp(packages, tcp, relay, collector):
    said = run_node(GA4_MP, tcp, ID, SECRET, cwd=packages)
    assert "AxiosError" not in said and "Error:" not in said, said
    check_numbers(relay, collector, 60)
    for r in collector.accepted:
        assert r.body["client_id"] == "123.456" and len(r.events) <= 25
        for e in r.events:
            p = e["params"]
            assert e["name"] == "generate_lead" and p["affiliate"] == "Größe" and p["currency"] == "EUR"
            assert p["value"] == p["n"] + 0.5 and "gone" not in p


ELECTRON = """
const Analytics = require("electron-google-analytics4").default;
const axios = require("axios");
const [, address, id, secret, socket] = process.argv;
if (socket) axios.defaults.socketPath = socket;
const a = new Analytics(id, secret, "123.456", "1700000000");
a.baseURL = address + "/mp";
a.setUserProperties({ plan: { value: "gold" } });
(async () => {
    for (let n = 0; n < 10; n++) {
        const answer = await a.set("n", n).set("engagement_time_msec", 1).event("tutorial_complete");
        if (answer.status !== 204) throw new Error("status " + answer.status);
    }
})();
"""


def check_electron(relay, collector):
    check_numbers(relay, collector, 10)
    for r in collector.accepted:
        assert r.body["client_id"] == "123.456"
        assert r.body["user_properties"]["plan"]["value"] == "gold"
        assert {(e["name"], e["params"]["session_id"]) for e in r.events} == {("tutorial_complete", "1700000000")}


def test_electron_google_analytics4(packages, tcp, relay, collector):
    run_node(ELECTRON, tcp, ID, SECRET, cwd=packages)
    check_electron(relay, collector)


def test_electron_google_analytics4_over_the_unix_socket(packages, unix, relay, collector):
    run_node(ELECTRON, "http://localhost", ID, SECRET, unix, cwd=packages)
    check_electron(relay, collector)


def test_a_refusal_reaches_the_library(packages, tcp):
    """What Google would drop in silence is an error that axios throws, with the reason in its body."""
    said = json.loads(run_node("""
const Analytics = require("electron-google-analytics4").default;
const [, address, id, secret] = process.argv;
const a = new Analytics(id, secret, "123.456", "1700000000");
a.baseURL = address + "/mp";
a.event("session_start").then(() => process.exit(1),
                              (e) => console.log(JSON.stringify([e.response.status, e.response.data])));
""", tcp, ID, SECRET, cwd=packages))
    assert said[0] == 400 and said[1]["code"] == "NAME_RESERVED"


FETCH = """
const [, url] = process.argv;
(async () => {
    for (let n = 0; n < 10; n++) {
        const answer = await fetch(url, { method: "POST", body: JSON.stringify({ client_id: "1.2", events: [
            { name: "tutorial_complete", params: { n, session_id: "1700000000", engagement_time_msec: 1 } }] }) });
        if (answer.status !== 204) throw new Error(answer.status + " " + await answer.text());
    }
})();
"""


def test_fetch(tcp, relay, collector):
    if not shutil.which("node"):
        skip("node is missing (Debian: apt install nodejs)")
    run_node(FETCH, f"{tcp}/mp/collect?{QUERY}")
    check_numbers(relay, collector, 10)


def curl(*args):
    if not shutil.which("curl"):
        skip("curl is missing")
    return subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *map(str, args)],
                          capture_output=True, text=True, timeout=PATIENCE).stdout


def body(n):
    return json.dumps({"client_id": "1.2", "events": [
        {"name": "tutorial_complete", "params": {"n": n, "session_id": "1700000000", "engagement_time_msec": 1}}]})


def test_curl(tcp, relay, collector):
    """-d sends a form's Content-Type, --json JSON's, and a body above 1 MiB would come with Expect: 100-continue."""
    url = f"{tcp}/mp/collect?{QUERY}"
    assert curl(url, "-d", body(0)) == "204"
    assert curl(url, "--json", body(1)) == "204"
    assert curl(url, "-d", body(2), "-H", "Transfer-Encoding: chunked") == "204"
    assert curl(url, "-d", body(3), "-H", "Expect: 100-continue") == "204"
    assert curl(url, "-d", body(4), "--http1.0") == "204"
    check_numbers(relay, collector, 5)


def test_curl_over_the_unix_socket(unix, relay, collector):
    assert curl("--unix-socket", unix, f"http://localhost/mp/collect?measurement_id={ID}", "-d", body(0)) == "204"
    check_numbers(relay, collector, 1)
