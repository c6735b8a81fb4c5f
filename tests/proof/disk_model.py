# disk_model.py - what a disk could hold if the power went: files and names as a trace of system calls left them
#
# Each file has what was synced and what was written since; the directory too. A cut keeps what was synced, any part of
# later writes (whole, none, torn at 512 bytes), and the first so many of later changes of names: they are journalled in
# order, but nothing says how far the journal had come. Only fsync of the directory makes a name certain.
#
# A sync that fails leaves its file's pages clean, as the kernel does: any part of them may have reached the disk, and no
# later sync writes the rest, unless somebody writes those bytes again. A process that is killed may leave the same behind.
import random
import re

CALLS = ("openat", "close", "pwrite64", "write", "ftruncate", "fallocate", "fsync", "fdatasync", "rename", "renameat",
         "renameat2", "link", "linkat", "unlink", "unlinkat", "sendto", "sendmsg", "writev", "recvfrom")
OTHER_NAMES = {"send": "sendto", "recv": "recvfrom", "ftruncate64": "ftruncate"}  # on 32 bits
SYNCS = ("fsync", "fdatasync")
STRACE = ["strace", "-f", "-xx", "-s", "1000000", "-e", "trace=" + ",".join([*CALLS, *("?" + name for name in OTHER_NAMES)])]
SECTOR = 512
LINE = re.compile(r"^(\d+)\s+(.*)$")
WHOLE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
BEGUN, RESUMED = " <unfinished ...>", re.compile(r"^<\.\.\. \w+ resumed>")


def unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


def read_trace(path):
    """Calls in the order of their effect: (name, arguments' text, strings, result). What is sent counts from its begin,
    everything else when it is over."""
    begun, out = {}, []
    with open(path) as f:
        for number, raw in enumerate(f):
            m = LINE.match(raw.rstrip("\n"))
            if not m:
                continue
            tid, text = m.groups()
            at = number
            if text.endswith(BEGUN):
                begun[tid] = (number, text[:-len(BEGUN)])
                continue
            if RESUMED.match(text):
                began, first = begun.pop(tid, (None, None))
                if first is None:
                    continue
                text = first + RESUMED.sub("", text)
                if first.startswith(("send", "write")):
                    at = began
            m = WHOLE.match(text)
            if m and (int(m[3]) >= 0 or m[1] in SYNCS):
                out.append((at, OTHER_NAMES.get(m[1], m[1]), m[2], [unhex(s) for s in STRING.findall(m[2])], int(m[3])))
    out.sort(key=lambda c: c[0])
    return [c[1:] for c in out]


class File:
    def __init__(self, synced=b""):
        self.synced, self.since = synced, []    # since: (offset, bytes), ("size", n), ("least", n)

    def sync(self):
        self.synced = self.content(self.since)
        self.since = []

    def content(self, changes):
        data = bytearray(self.synced)
        for at, what in changes:
            if at == "size":
                data = data[:what] + bytes(max(0, what - len(data)))
            elif at == "least":
                data += bytes(max(0, what - len(data)))
            else:
                data += bytes(max(0, at - len(data)))
                data[at:at + len(what)] = what
        return bytes(data)

    def lose(self, rng):
        """What was written since is clean now, on the disk or not."""
        self.synced = self.at_cut(rng)
        self.since = []

    def at_cut(self, rng):
        mood = rng.randrange(4)                 # before all that was written since, after it, or in between
        if mood == 0:
            return self.synced
        kept = []
        for at, what in self.since:
            dice = rng.randrange(8)
            if mood == 1 or dice < 3:
                kept.append((at, what))
            elif dice < 6 and isinstance(at, int):
                kept += [(at + i, what[i:i + SECTOR]) for i in range(0, len(what), SECTOR) if rng.randrange(2)]
        return self.content(kept)


class Disk:
    """One directory. observe() is told each call; image() is what a cut could leave."""

    def __init__(self, directory, rng=random):
        self.dir, self.rng = str(directory), rng
        self.synced = {p.name: File(p.read_bytes()) for p in directory.iterdir() if p.is_file()}
        self.names, self.changes = dict(self.synced), []
        self.open, self.syncs, self.failed = {}, 0, 0

    def inside(self, path):
        path = path.decode()
        return path[len(self.dir) + 1:] if path.startswith(self.dir + "/") and "/" not in path[len(self.dir) + 1:] else None

    def change(self, *what):
        self.changes.append(what)
        apply(self.names, what)

    def observe(self, call, args, strings, result):
        handler = getattr(self, "on_" + call, None)
        if handler:
            handler(args, strings, result)

    def on_openat(self, args, strings, fd):
        self.open.pop(fd, None)
        if strings[0].decode() == self.dir:
            self.open[fd] = self
            return
        name = self.inside(strings[0])
        if name is None:
            return
        if name not in self.names and "O_CREAT" in args:
            self.change("link", name, File())
        if "O_TRUNC" in args:
            self.names[name].since.append(("size", 0))
        if name in self.names:
            self.open[fd] = self.names[name]

    def file(self, args):
        f = self.open.get(int(args.split(",")[0]))
        return f if isinstance(f, File) else None

    def numbers(self, args):
        return [int(x) for x in re.findall(r"(?<![\w\\])-?\d+(?![\w\\])", STRING.sub("", args))]

    def on_close(self, args, _strings, _result):
        self.open.pop(int(args), None)

    def on_pwrite64(self, args, strings, n):
        f = self.file(args)
        if f:
            f.since.append((self.numbers(args)[-1], strings[0][:n]))

    def on_write(self, args, strings, n):
        f = self.file(args)
        if f:                                   # nobody here writes twice in a row to one file
            f.since.append((0, strings[0][:n]))

    def on_ftruncate(self, args, _strings, _result):
        f = self.file(args)
        if f:
            f.since.append(("size", self.numbers(args)[1]))

    def on_fallocate(self, args, _strings, _result):
        f = self.file(args)
        if f:
            f.since.append(("least", sum(self.numbers(args)[-2:])))

    def restarted(self):
        """Another process goes on; what the last one had not synced may be lost without anybody being told."""
        self.open = {}
        for f in set(self.names.values()):
            f.lose(self.rng)

    def on_fsync(self, args, _strings, result):
        f = self.open.get(int(args))
        if result < 0:
            self.failed += 1
            if isinstance(f, File):
                f.lose(self.rng)
        elif f is self:
            self.synced, self.changes = dict(self.names), []
        elif f:
            f.sync()
        self.syncs += 1

    on_fdatasync = on_fsync

    def on_rename(self, _args, strings, _result):
        before, after = map(self.inside, strings[:2])
        if before in self.names:
            self.change("rename", before, after)

    on_renameat = on_renameat2 = on_rename

    def on_link(self, _args, strings, _result):
        before, after = map(self.inside, strings[:2])
        if before in self.names:
            self.change("link", after, self.names[before])

    on_linkat = on_link

    def on_unlink(self, _args, strings, _result):
        name = self.inside(strings[0])
        if name in self.names:
            self.change("unlink", name)

    on_unlinkat = on_unlink

    def image(self, to, rng):
        names = dict(self.synced)
        for what in self.changes[:rng.randint(0, len(self.changes))]:
            apply(names, what)
        written = {}
        for name, f in names.items():
            if f in written:
                (to / name).hardlink_to(to / written[f])
                continue
            written[f] = name
            (to / name).write_bytes(f.at_cut(rng))
            (to / name).chmod(0o600)


def apply(names, what):
    if what[0] == "link":
        names[what[1]] = what[2]
    elif what[0] == "unlink":
        names.pop(what[1], None)
    elif what[1] in names:
        names[what[2]] = names.pop(what[1])
