# builder.py - a minimal Debian without systemd in which the package is built, and no more in it than `make deb` asks for
import shutil
import subprocess
import tempfile
from pathlib import Path

from trees import SUITE, TOP, chroot, copy, listed, make_once, remove

LIB = TOP / "tests/lib"
STANDALONE = ("systemd-standalone-sysusers", "systemd-standalone-tmpfiles")


def finish(tree, log):
    (tree / "root/setup").mkdir()
    for name in ("setup.sh", "packages"):
        shutil.copy(LIB / name, tree / "root/setup")
    for command in (["apt-get", "-q", "update"], ["/root/setup/setup.sh", "deb"],
                    ["apt-get", "-q", "-y", "install", "--no-install-recommends", *STANDALONE]):
        done = chroot(tree, *command, stdout=log, stderr=log)
        assert done.returncode == 0, f"{command} failed in {tree}, see {log.name}"


class Builder:
    def __init__(self):
        rows = [" ".join(x[:2]) for x in listed(LIB / "packages") if x[0] in ("build", "deb")]
        # apt's mirror may want certificates, which minbase lacks.
        base = make_once("build", ["ca-certificates"], "\n".join([*rows, *STANDALONE]), finish)
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-build-", dir="/var/tmp"))
        self.root = self.dir / "root"
        copy(base, self.root)

    def run(self, *args, timeout=600):
        r = chroot(self.root, *map(str, args), capture_output=True, text=True, timeout=timeout)
        assert r.returncode == 0, f"{args} on {SUITE}: exit {r.returncode}\n{r.stdout[-4000:]}{r.stderr[-4000:]}"
        return r.stdout

    def package(self):
        """The package, of the release's tarball."""
        made = subprocess.run(["make", "--no-print-directory", "dist"], cwd=TOP, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        tarball = TOP / made.stdout.splitlines()[-1]
        source = self.root / "src"
        source.mkdir()
        shutil.unpack_archive(tarball, source)
        tarball.unlink()
        (where,) = source.iterdir()
        self.run("make", "-C", f"/src/{where.name}", "deb")
        (package,) = (where / "build").glob("ga4relay_*.deb")
        return package

    def stop(self):
        remove(self.dir)
