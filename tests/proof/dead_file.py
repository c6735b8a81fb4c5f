# dead_file.py - the file of a relay that does not run: is it sound, which events are there
import json
import shutil
import subprocess

from lib.relay import BUILD


class DeadFile:
    """Whatever is wrong with it goes into the books."""

    def __init__(self, db, books):
        self.db, self.books = db, books

    def offline(self, *args):
        r = subprocess.run([BUILD / "ga4relay-ctl", "--json", "--offline", self.db, *args], capture_output=True, text=True)
        if r.returncode != 0:
            self.books.wrong.append(f"--offline {args}: exit {r.returncode}: {r.stdout}{r.stderr}")
        return [json.loads(x) for x in r.stdout.splitlines()]

    def must_be_sound(self):
        for check in self.offline("check"):
            if not check["ok"] or check["corrupt"]:
                self.books.wrong.append(f"the file is not sound: {check}")
        return self

    def events(self):
        """transaction_id -> (id, state, reason)."""
        rows = self.offline("export", "--state", "queued,held,dead")
        found = names_of(rows)
        if len(found) != len(rows):
            self.books.wrong.append(f"{len(rows)} rows hold {len(found)} events")
        return found

    def copy_to(self, directory):
        """With its WAL, which whoever opens the file takes away."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for f in self.db.parent.glob(self.db.name + "*"):
            if not f.name.endswith("ballast"):
                shutil.copy(f, directory)
        return DeadFile(directory / self.db.name, self.books)


def names_of(rows):
    """transaction_id -> (id, state, reason) of what export printed."""
    out = {}
    for r in rows:
        e = json.loads(r["line"])
        params = e.get("params") or e["events"][0]["params"]
        out[params["transaction_id"]] = (r["id"], r["state"], r["reason"])
    return out
