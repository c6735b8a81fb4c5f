# mounts.py - file systems of their own: tmpfs, or ext4, xfs and btrfs in a file over a loop device (root only)
import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
KINDS = {  # size of the image, how it is made, mount options
    "ext4": ("24M", ["mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4"], "loop"),
    "xfs": ("300M", ["mkfs.xfs", "-q", "-f"], "loop,nouuid"),               # the least that mkfs.xfs makes
    "btrfs": ("128M", ["mkfs.btrfs", "-q", "-f"], "loop"),
    "btrfs-mixed": ("48M", ["mkfs.btrfs", "-q", "-f", "--mixed"], "loop"),
}


def missing(kind):
    """Why that file system cannot be had here; None: it can."""
    if os.getuid() != 0:
        return "mounting needs root"
    if kind != "tmpfs" and not shutil.which(KINDS[kind][1][0], path=SBIN):
        return f"{KINDS[kind][1][0]} is missing"
    return None


def skip(kind, why):
    import pytest                               # campaigns do without

    warnings.warn(f"NO {kind} CAN BE MOUNTED HERE: disks are not tested with it ({why})")
    pytest.skip(f"{kind}: {why}")


class Mount:
    def __init__(self, kind, size=None, where=None, image=None, options=""):
        """size: of a tmpfs, or instead of the usual one; where: the image's directory; image: one that is there."""
        if missing(kind):
            skip(kind, missing(kind))
        self.kind, self.size, self.options = kind, size or (KINDS[kind][0] if kind in KINDS else "16M"), options
        self.path = Path(tempfile.mkdtemp(prefix="ga4relay-disk-"))
        self.image = image or Path(where or self.path.parent) / f"{self.path.name}.img"
        if kind != "tmpfs" and not image:
            subprocess.run(["truncate", "-s", self.size, self.image], check=True)
            subprocess.run([*KINDS[kind][1], self.image], check=True, capture_output=True, env={**os.environ, "PATH": SBIN})
        self.mount()

    def mount(self):
        if self.kind == "tmpfs":
            args = ["-t", "tmpfs", "-o", f"size={self.size}", "tmpfs"]
        else:
            args = ["-o", ",".join(filter(None, [KINDS[self.kind][2], self.options])), self.image]
        r = subprocess.run(["mount", *args, self.path], capture_output=True, text=True)
        if r.returncode != 0:
            self.remove()
            skip(self.kind, r.stderr.strip())

    def umount(self):
        subprocess.run(["umount", self.path], check=True)

    def cut_the_power(self, where):
        """What the disk below has at this moment, mounted: not what only the page cache has."""
        image = Path(where) / f"{self.path.name}.cut"
        shutil.copyfile(self.image, image)
        return Mount(self.kind, image=image)

    def leave(self, n_bytes):
        """A neighbour takes all of the room but so much."""
        free = os.statvfs(self.path)
        with open(self.path / "neighbour", "wb") as f:
            os.posix_fallocate(f.fileno(), 0, max(4096, free.f_bavail * free.f_frsize - n_bytes))

    def remove(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True)
        self.path.rmdir()
        self.image.unlink(missing_ok=True)


def fill(disk):
    """To the last byte."""
    for size in (65536, 4096, 1):
        try:
            with open(disk / "filler", "ab", buffering=0) as f:
                while True:
                    f.write(b"x" * size)
        except OSError:
            pass
