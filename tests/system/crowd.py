# crowd.py - clients outside of the container that write while the service restarts, and what became of their lines
import collections
import json
import subprocess
import sys
from pathlib import Path

WRITERS = Path(__file__).resolve().parent / "writers.py"


class Crowd:
    def __init__(self, socket, threads=4):
        self.processes = [subprocess.Popen([sys.executable, WRITERS, socket, kind, str(threads)], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, text=True) for kind in ("read", "close")]
        self.results = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.results = [x for w in self.processes for x in json.loads(w.communicate(timeout=120)[0])]

    def judge(self, events):
        """Every connect was served, every line whose write() returned was delivered, once; returns how many there were."""
        delivered = collections.Counter(e["params"]["transaction_id"] for e in events)
        written = {f"T-{x['client']}-{n}" for x in self.results for n in range(1, x["written"] + 1)}
        print(f"{sum(x['connects'] for x in self.results)} connections ({sum(x['cut'] for x in self.results)} cut short), "
              f"{len(written)} lines written, {len(delivered)} delivered")
        assert not [w for x in self.results for w in x["wrong"]]
        lost, invented = written - set(delivered), set(delivered) - written
        twice = [k for k, n in delivered.items() if n > 1]
        assert (len(lost), len(invented), len(twice)) == (0, 0, 0), (sorted(lost)[:5], sorted(invented)[:5], twice[:5])
        return len(written)
