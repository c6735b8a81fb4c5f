# fleet.py - a fleet around one cluster of PostgreSQL: its schema, its hubs and edges, and what the queue holds
import json
import os
import subprocess
import time

from .relay import BUILD

OTHER_OUTBOX = "00000000-0000-4000-8000-000000000001"   # of events that a test puts into the queue itself


class Fleet:
    def __init__(self, cluster, make_relay, collector, **conninfo):
        self.cluster, self.make_relay, self.collector = cluster, make_relay, collector
        self.conninfo_file = cluster.sockets / "conninfo"
        self.conninfo_file.write_text(cluster.conninfo(**conninfo) + "\n")
        self.conninfo_file.chmod(0o600)
        self.put_so_far = 0
        r = subprocess.run([BUILD / "ga4relay-ctl", "fleet-init", "--conninfo-file", self.conninfo_file],
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr

    def member(self, role, endpoint=None, fleet=None, **changes):
        """A relay with that role, not started."""
        return self.make_relay(endpoint or self.collector.url,
                               fleet={"role": role, "conninfo_file": self.conninfo_file, **(fleet or {})}, **changes)

    def hub(self, endpoint=None, **kw):
        return self.member("hub", endpoint, **kw)

    def edge(self, **kw):
        return self.member("edge", "http://127.0.0.1:9/nobody", **kw)     # an edge sends nothing itself

    def put(self, n, clients=100, name="refund", stream="web", age=0, ids=None):
        """As an edge does it: events numbered on from those before, a client's in one lane."""
        first, self.put_so_far = self.put_so_far + 1, self.put_so_far + n
        number = f"(i % {clients})"
        self.cluster.sql(f"""INSERT INTO ga4relay.event (outbox, id, hash, lane, stream, client, name, envelope, body,
            accepted_us, time_us, props_us)
            SELECT '{OTHER_OUTBOX}', i, i, {number} % 256, '{stream}', {number} || '.1', '{name}',
            '{{"client_id":"' || {number} || '.1"}}', '{{"name":"{name}","params":{{"n":' || i || ',"transaction_id":"T"}}}}',
            t, t, 0 FROM generate_series({first}, {first + n - 1}) i, (SELECT (extract(epoch FROM now()) - {age}) * 1000000 AS t) x""")
        return list(range(first, first + n))

    def states(self):
        """Events in the engine by state."""
        names = {"0": "queued", "1": "held", "2": "dead", "3": "delivered"}
        return {names[s]: int(n) for s, n in self.cluster.sql("SELECT state, count(*) FROM ga4relay.event GROUP BY state")}

    def open(self):
        return self.states().get("queued", 0)

    def leases(self):
        return int(self.cluster.value("SELECT count(*) FROM ga4relay.lane WHERE owner <> ''"))

    def row(self, n, columns):
        return self.cluster.sql(f"SELECT {columns} FROM ga4relay.event WHERE outbox = '{OTHER_OUTBOX}' AND id = {n}")[0]


def numbers(collector):
    """params.n of what was accepted, in order."""
    return [e["params"]["n"] for e in collector.events]


def sent(requests):
    """params.n of what these requests carried, whatever was answered."""
    return [e["params"]["n"] for r in requests for e in r.events]


def assert_order(collector):
    """Each client's events in the order of their numbers at their first delivery; one client a request."""
    last, seen = {}, set()
    for r in collector.accepted:
        client = r.body["client_id"]
        for e in r.events:
            n = e["params"]["n"]
            if n in seen:
                continue
            seen.add(n)
            assert last.get(client, 0) < n, f"client {client}: {n} after {last[client]}"
            last[client] = n
