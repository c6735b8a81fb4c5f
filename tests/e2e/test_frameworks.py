# test_frameworks.py - the call sites of etc/frameworks: each answers its requests with the relay up, away, stalled, gone
#
# The frameworks are not here; what a call site uses of one is written out in its driver, a few lines of its own language.
# A driver handles REQUESTS requests and prints how long the longest took, in milliseconds.
import os
import shutil
import signal
import socket
import subprocess
import threading
import warnings
from pathlib import Path

import pytest

from lib.client import SLACK
from lib.relay import TOP, wait_until

FRAMEWORKS = TOP / "etc/frameworks"
REQUESTS = 5
PATIENCE_MS = 200
DRIVERS = {
    "php": ("php-cli", ["php", "-d", "display_errors=1", "-r"], """
        require getenv('EXAMPLE');
        $site = new SendRefundToGa4(new Ga4Relay(getenv('SOCKET')));
        $longest = 0;
        for ($i = 0; $i < (int) getenv('REQUESTS'); $i++) {
            $order = (object) ['ga_client_id' => '123.456', 'number' => "T-$i" . getenv('TAIL'), 'currency' => 'EUR', 'value' => 9.5, 'total' => 9.5];
            $start = hrtime(true);
            $site->handle((object) ['order' => $order]);
            $longest = max($longest, (hrtime(true) - $start) / 1e6);
        }
        printf("answered %.0f\\n", $longest);
        """),
    "python": ("python3", ["python3", "-c"], """
        import os, runpy, sys, time, types
        class Signal:
            def __init__(self): self.receivers = []
            def send(self, sender, **kw): return [r(sender, **kw) for r in self.receivers]
        def receiver(signal): return lambda f: signal.receivers.append(f) or f
        dispatch = types.ModuleType("django.dispatch"); dispatch.Signal, dispatch.receiver = Signal, receiver
        db = types.ModuleType("django.db"); db.transaction = types.SimpleNamespace(on_commit=lambda f: f())
        sys.modules |= {"django": types.ModuleType("django"), "django.db": db, "django.dispatch": dispatch}
        sys.path.insert(0, os.path.dirname(os.environ["EXAMPLE"]))
        import ga4relay_django as site
        site.PATH, longest = os.environ["SOCKET"], 0
        for i in range(int(os.environ["REQUESTS"])):
            order = types.SimpleNamespace(ga_client_id="123.456", number=f"T-{i}" + os.environ["TAIL"], currency="EUR", total="9.5")
            start = time.monotonic()
            site.order_refunded.send(sender=None, order=order)
            longest = max(longest, time.monotonic() - start)
        print("answered %.0f" % (longest * 1000))
        """),
    "node": ("nodejs", ["node", "-e"], """
        let route;
        const site = require(process.env.EXAMPLE);
        const refund = (number) => ({ number: number + process.env.TAIL, gaClientId: "123.456", currency: "EUR", total: 9.5 });
        site.refunds({ post: (path, f) => { route = f; } }, { refund }, process.env.SOCKET);
        let longest = 0;
        for (let i = 0; i < Number(process.env.REQUESTS); i++) {
          const start = performance.now();
          route({ params: { number: `T-${i}` } }, { json: () => { longest = Math.max(longest, performance.now() - start); } });
        }
        process.on("exit", () => console.log(`answered ${longest.toFixed(0)}`));
        """),
    "ruby": ("ruby", ["ruby", "-e"], """
        require ENV["EXAMPLE"]
        Ga4Relay.send(:remove_const, :PATH); Ga4Relay::PATH = ENV["SOCKET"]
        Order = Struct.new(:ga_client_id, :number, :currency, :total)
        class Refund < Struct.new(:order)
          def self.after_commit(callback, on:) = @callback = callback
          def self.create(order) = new(order).send(@callback)
          include TracksRefunds
        end
        longest = 0
        ENV["REQUESTS"].to_i.times do |i|
          start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          Refund.create(Order.new("123.456", "T-#{i}#{ENV["TAIL"]}", "EUR", 9.5))
          longest = [longest, Process.clock_gettime(Process::CLOCK_MONOTONIC) - start].max
        end
        puts format("answered %.0f", longest * 1000)
        """),
}
EXAMPLES = {"php": "Ga4Relay.php", "python": "ga4relay_django.py", "node": "ga4relay_express.js", "ruby": "ga4relay_rails.rb"}


@pytest.fixture(params=DRIVERS)
def app(request):
    """app(socket) -> what it logged; it has answered each request in time."""
    package, command, driver = DRIVERS[request.param]
    if not shutil.which(command[0]):
        warnings.warn(f"{command[0].upper()} IS MISSING: its call site is not tested (Debian: apt install {package})")
        pytest.skip(f"{command[0]} is missing")
    lines = driver.strip("\n").split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())

    def run(path, tail="", requests=REQUESTS):
        r = subprocess.run([*command, "\n".join(x[indent:] for x in lines)], capture_output=True, timeout=SLACK * 4, encoding="utf-8",
                           errors="replace", env={**os.environ, "SOCKET": str(path), "EXAMPLE": str(FRAMEWORKS / EXAMPLES[request.param]),
                                                  "REQUESTS": str(requests), "TAIL": tail, "PYTHONDONTWRITEBYTECODE": "1"})
        assert r.returncode == 0 and r.stdout.startswith("answered "), r.stdout + r.stderr
        longest = int(r.stdout.split()[1])
        assert longest < PATIENCE_MS + 2000, r.stdout
        return r.stderr

    return run


def test_up(app, relay, collector):
    assert app(relay.sock) == ""
    wait_until(lambda: collector.count("refund") == REQUESTS, "the deliveries")
    assert {e["params"]["transaction_id"] for e in collector.events} == {f"T-{i}" for i in range(REQUESTS)}
    app(relay.sock)
    assert relay.ask({"client_id": "1.2", "name": "last"})["ok"]
    wait_until(lambda: collector.count("last") == 1, "the deliveries")
    assert collector.count("refund") == REQUESTS  # sent twice, counted once


def test_away(app, tmp_path):
    """No socket; one that nobody listens on; one that may not be opened is the same to them."""
    assert app(tmp_path / "nowhere.sock").count("ga4relay") == REQUESTS
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(tmp_path / "dead.sock"))
    assert app(tmp_path / "dead.sock").count("ga4relay") == REQUESTS


def test_stalled(app, relay, collector):
    """Stopped, with room in the kernel: no request waits, and all is stored when it goes on."""
    relay.signal(signal.SIGSTOP)
    try:
        app(relay.sock)
    finally:
        relay.signal(signal.SIGCONT)
    wait_until(lambda: collector.count("refund") == REQUESTS, "the deliveries")


def test_stalled_for_long(app, tmp_path):
    """Nothing is accepted and the queue of connections is full; nothing is read and the buffer is full."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(tmp_path / "full.sock"))
    s.listen(0)
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(tmp_path / "full.sock"))
    assert app(tmp_path / "full.sock", requests=3).count("ga4relay") == 3
    roomy = socket.socket(socket.AF_UNIX)
    roomy.bind(str(tmp_path / "roomy.sock"))
    roomy.listen(64)
    assert app(tmp_path / "roomy.sock", tail="x" * 20000, requests=3) == ""
    assert app(tmp_path / "roomy.sock", tail="x" * 110000, requests=3).count("ga4relay") == 3


def test_gone_meanwhile(app, tmp_path):
    """It accepts, and closes at once, with and without a reset."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(tmp_path / "rude.sock"))
    s.listen(64)

    def serve():
        while True:
            try:
                c, _ = s.accept()
            except OSError:
                return
            c.close()

    threading.Thread(target=serve, daemon=True).start()
    app(tmp_path / "rude.sock")
    s.close()


def test_they_are_installed(tmp_path):
    """Those that a reader is sent to are the ones that are tested."""
    assert {p.name for p in FRAMEWORKS.iterdir()} == set(EXAMPLES.values())
    assert all(name in Path(TOP / "README.md").read_text() for name in EXAMPLES.values())
