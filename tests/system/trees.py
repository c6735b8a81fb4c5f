# trees.py - minimal Debian trees, each made once under /var/tmp and copied for every run
import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
RELEASES = ("bookworm", "trixie") # Debian 12 and 13
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root", "TERM": "dumb",
       "DEBIAN_FRONTEND": "noninteractive"}


def codename():
    """The release of this system."""
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
    return found and found.group(1)


SUITE = os.environ.get("SUITE") or codename()


def mirror():
    """Where this machine's own apt takes Debian's packages from; None: it takes none."""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                          "Created-By: Packages"], capture_output=True, text=True).stdout
    for uri, release, component in (x.split() for x in out.splitlines()):
        if (release, component) == (codename(), "main"):
            return uri
    return None


def why_not():
    """Why there can be no such tree here; None: there can."""
    if os.geteuid() != 0:
        return "it takes root"
    if not shutil.which("debootstrap", path=ENV["PATH"]):
        return "missing: debootstrap (Debian: apt install debootstrap)"
    if SUITE not in RELEASES:
        return f"there are trees for {' and '.join(RELEASES)} and this is {SUITE}: SUITE={RELEASES[-1]} picks one"
    if not Path("/usr/share/debootstrap/scripts", SUITE).exists() or not mirror():
        return f"this system's debootstrap does not know {SUITE}, or its apt has no mirror of Debian"
    return None


def proxy():
    out = subprocess.run(["apt-config", "dump", "--format", "%v", "Acquire::http::Proxy"], capture_output=True, text=True)
    return {"http_proxy": out.stdout.strip()} if out.stdout.strip() else {}


def listed(path):
    """The rows of a list of packages."""
    return [x.split() for x in path.read_text().splitlines() if x and not x.startswith("#")]


def remove(tree):
    if tree.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", tree], check=True)


def chroot(tree, *args, **more):
    """Runs a command in a tree that is not booted, with /proc."""
    subprocess.run(["mount", "-t", "proc", "proc", tree / "proc"], check=True)
    try:
        return subprocess.run(["chroot", tree, *args], env={**ENV, **proxy()}, check=False, **more)
    finally:
        subprocess.run(["umount", tree / "proc"], check=True)


def make_once(name, include, recipe, finish):
    """The tree of that name; made again when its recipe, any text, is another. finish(tree, log) does the rest."""
    base = Path(f"/var/tmp/ga4relay-{name}-{SUITE}")
    with open(base.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make(base, include, "\n".join([*include, recipe]), finish)
    return base


def _make(base, include, wanted, finish):
    stamp = base / "root/.ga4relay-recipe"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    unfinished, log = base.with_suffix(".new"), base.with_suffix(".log")
    remove(unfinished)
    print(f"making {base}, once: some minutes", flush=True)
    with open(log, "wb") as out:
        made = subprocess.run(["debootstrap", "--variant=minbase", "--include=" + ",".join(include), SUITE, str(unfinished),
                               mirror()], env={**os.environ, **ENV, **proxy()}, stdout=out, stderr=out)
        subprocess.run(["umount", "-q", unfinished / "proc"], capture_output=True)
        assert made.returncode == 0, f"debootstrap failed, see {log}"
        finish(unfinished, out)
    shutil.rmtree(unfinished / "var/cache/apt/archives", ignore_errors=True)
    (unfinished / "root/.ga4relay-recipe").write_text(wanted)
    remove(base)
    unfinished.rename(base)


def copy(base, tree):
    subprocess.run(["cp", "-a", "--reflink=auto", base, tree], check=True)
