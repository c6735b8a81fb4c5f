# operators.py - somebody at ga4relay-ctl who uses every command at random, and remembers what was dropped
import json
import subprocess

from dead_file import names_of
from lib.relay import BUILD
from somebody import Somebody


class Operator(Somebody):
    def __init__(self, relay, books, seed, pause=0.15):
        super().__init__("operator", relay, books, seed, pause)
        self.acts = [self.hold, self.release, self.retry, self.drop_held, self.drop_dead, self.pause_a_while, self.look,
                     self.look, self.backup, self.tap, self.flush, self.level]

    def act(self):
        self.rng.choice(self.acts)()

    def ctl(self, *args, stdin=None, timeout=60):
        """Exit code and objects."""
        r = subprocess.run([BUILD / "ga4relay-ctl", "-s", self.relay.control, "--json", *map(str, args)], input=stdin,
                           capture_output=True, text=True, timeout=timeout)
        return r.returncode, [json.loads(x) for x in r.stdout.splitlines() if x.startswith("{") and x.endswith("}")]

    def some(self, state):
        """A few ids in this state."""
        code, rows = self.ctl("list", "--state", state, "--limit", 10)
        ids = [r["id"] for r in rows] if code == 0 else []
        return self.rng.sample(ids, min(len(ids), 4))

    def hold(self):
        ids = self.some("queued")
        if ids:
            self.ctl("hold", *ids)

    def release(self):
        self.ctl("release", "--state", "held")

    def retry(self):
        self.ctl("retry", "--dead")

    def drop(self, state):
        """By ids whose names are known; what the relay says it dropped is gone for good."""
        code, rows = self.ctl("export", "--state", state)
        names = names_of(rows)
        chosen = self.rng.sample(sorted(names), min(len(names), 3))
        if code != 0 or not chosen:
            return
        with self.books.lock:
            self.books.drop_tried.update(chosen)
        code, end = self.ctl("drop", *(names[n][0] for n in chosen))
        if code == 0 and end and end[-1]["changed"] == len(chosen):
            with self.books.lock:
                self.books.dropped.update(chosen)

    def drop_held(self):
        self.drop("held")

    def drop_dead(self):
        self.drop("dead")

    def pause_a_while(self):
        self.ctl("pause", *(["web"] if self.rng.random() < 0.5 else []))
        self.over.wait(0.2 * self.rng.random())
        self.ctl("resume")

    def look(self):
        args = self.rng.choice([["status"], ["list", "--limit", 50], ["count", "--by", "state"], ["metrics"], ["show", 1],
                                ["count", "--by", "name"], ["list", "--state", "rejected"], ["check"], ["version"]])
        if args == ["metrics"]:
            subprocess.run([BUILD / "ga4relay-ctl", "-s", self.relay.control, "metrics"], capture_output=True, timeout=60)
        else:
            self.ctl(*args)

    def backup(self):
        copy = self.relay.dir / "copy"
        copy.unlink(missing_ok=True)
        self.ctl("backup", copy)
        copy.unlink(missing_ok=True)

    def tap(self):
        p = subprocess.Popen([BUILD / "ga4relay-ctl", "-s", self.relay.control, "tap"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        self.over.wait(0.3 * self.rng.random())
        p.kill()
        p.wait()

    def flush(self):
        self.ctl("flush")

    def level(self):
        self.ctl("log-level", self.rng.choice(["error", "warning", "info", "info", "debug"]))
