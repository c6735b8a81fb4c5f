# test_crafted.py - ga4relay-ctl --offline on files that were made to hurt it: no crash, and work in proportion to the file
import os
import random
import resource
import struct
import subprocess
import time

import pytest

from lib import crafted
from lib.client import event
from lib.relay import BUILD, SANITIZED, SANITIZER

MEMORY = 400 << 20                        # address space that a command may have; a sound file needs a tenth of it
SECONDS = 20 if not SANITIZED else 120
COMMANDS = (["check"], ["list"], ["export"], ["count", "--by", "stream"], ["show", "1", "2"])


@pytest.fixture
def crashed(make_relay):
    """The directory of a relay that was killed: its outbox, whose newest events are in the WAL."""
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    with relay.client() as c:
        for i in range(60):
            assert c.ask(event(n=i, blob="b" * (5000 if i % 10 == 0 else 50)))["ok"]
    relay.kill9()
    return relay


def limit():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(path, *command):
    """An exit code and what was said; fails on a signal, a sanitizer's word, or more time than SECONDS."""
    began = time.monotonic()
    r = subprocess.run([BUILD / "ga4relay-ctl", "--offline", path, *command], capture_output=True, preexec_fn=limit,
                       timeout=SECONDS * 3, env={"PATH": os.environ["PATH"], "TMPDIR": str(path.parent)})
    took = time.monotonic() - began
    said = r.stderr.decode(errors="replace")
    assert r.returncode in (0, 1), (command, r.returncode, said)
    assert not SANITIZER.search(said), said
    assert took < SECONDS, (command, took)
    return r.returncode, r.stdout.decode(errors="replace") + said


def look(path):
    for command in COMMANDS:
        code, said = run(path, *command)
        if command == ["check"]:
            assert code == 1, said


def destroy_header(db):
    """So that nothing but the reader of pages can do anything with it."""
    with open(db, "r+b") as f:
        f.write(b"\xa5" * 100)


PAGES = 0xfffffffe
EVENT = b"".join(reversed(crafted.event_row(7, b'{"name":"refund"}')))
WALS = {
    "a number that wraps when half of it is added": [(0xaaaaaaaa, 0, b""), (2, PAGES, b"")],
    "a number that would take gigabytes": [(0x20000000, 0, b""), (2, PAGES, b"")],
    "the highest number": [(0xffffffff, 0xffffffff, b"")],
    "a database of four billion pages": [(2, 0xffffffff, crafted.leaf([EVENT]))],
    "page 0": [(0, 5, b""), (2, 5, b"")],
    "fewer pages than frames": [(9, 0, crafted.leaf([EVENT])), (2, 1, b"")],
    "no commit": [(2, 0, b""), (3, 0, b"")],
    "an own page twice, and then none": [(2, 0, b"\x0d" * crafted.PAGE), (2, 9, crafted.leaf([EVENT])), (2, 0, b"")],
}


def journal(names, pages):
    """A rollback journal that SQLite takes for one left by a crash: it would delete what it names as its super-journal."""
    magic, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(names)
    head = magic + struct.pack(">5I", 0, 0, pages, 512, crafted.PAGE)
    return head.ljust(512, b"\0") + struct.pack(">I", (1 << 30) // crafted.PAGE + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic


@pytest.mark.parametrize("of", ["outbox", "backup"])
def test_a_journal_beside_it_is_neither_replayed_nor_obeyed(make_relay, tmp_path, of):
    relay = make_relay()
    relay.config["streams"] = [relay.stream(paused=True)]
    relay.start()
    for i in range(20):
        assert relay.ask(event(n=i))["ok"]
    relay.ctl("backup", tmp_path / "b.db")
    assert relay.stop() == 0
    relay.allow("set aside is still beside it", "left over beside it", "did not end cleanly")
    path = relay.db if of == "outbox" else tmp_path / "b.db"
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    held, planted = path.read_bytes(), journal(victim, 1)
    beside = path.with_name(f"{path.name}-journal")
    for command in (*COMMANDS, ["restore"]):
        beside.write_bytes(planted)
        if command == ["restore"]:
            command = ["restore", path] if of == "backup" else ["restore", tmp_path / "b.db"]
            assert relay.ctl_raw("--offline", relay.db, *command).returncode == 0
        else:
            code, said = run(path, *command)
            assert code == 0, said
            assert path.read_bytes() == held
        assert victim.exists(), command
    if of == "backup":
        assert beside.read_bytes() == planted and path.read_bytes() == held
    relay.start()
    assert len(relay.list()) == 20 and victim.exists()


@pytest.mark.parametrize("which", WALS)
@pytest.mark.parametrize("header", ["sound", "destroyed"])
def test_numbers_of_a_wal(crashed, which, header):
    if header == "destroyed":
        destroy_header(crashed.db)
    (crashed.dir / "outbox.db-wal").write_bytes(crafted.wal(WALS[which]))
    for command in COMMANDS:
        run(crashed.db, *command)


@pytest.mark.parametrize("size", [512, 2048, 4096, 65536])
@pytest.mark.parametrize("reserved", [0, 32])
def test_rows_that_lie(crashed, size, reserved):
    """Overlapping cells, rings of overflow pages, a chain as long as a file is not; and the one good row is read."""
    usable, body = size - reserved, b'{"name":"refund","params":{"n":1}}'
    good = b"".join(reversed(crafted.event_row(1 << 20, body)))
    most = (usable - 200) // 2
    big = b"".join(reversed(crafted.event_row(3, b'{"name":"x","p":"' + b"y" * (usable * 4 // 10) + b'"}')))
    first = bytearray(b"\x0d" * size)
    first[0:100] = crashed.db.read_bytes()[:100]
    first[16:21] = struct.pack(">HBBB", size & 0xffff or 1, 2, 2, reserved)
    small = [crafted.spilled(i, 50 << 20, 3, size, usable) for i in range(1, 9)]
    pages = [bytes(first), crafted.leaf([], size), struct.pack(">I", 4) + b"z" * (size - 4),
             struct.pack(">I", 3) + b"z" * (size - 4)]
    pages += [shifted(crafted.leaf([big], usable, pointers=most // 2), size)] * 40
    pages += [shifted(crafted.leaf(fitting(small, usable), usable), size)] * 40
    pages += [shifted(crafted.leaf([small[0]], usable, pointers=most // 2), size)] * 40
    pages += [shifted(crafted.leaf([good], usable), size)]
    crashed.db.write_bytes(b"".join(pages))
    (crashed.dir / "outbox.db-wal").unlink()
    look(crashed.db)
    code, said = run(crashed.db, "list", "--limit", "0")
    assert str(1 << 20) in said and code == 1, said


def shifted(page, size):
    return page.ljust(size, b"\0")


def fitting(cells, usable):
    out, room = [], usable - 8
    for cell in cells:
        room -= len(cell) + 2
        if room < 0:
            break
        out.append(cell)
    return out


@pytest.mark.parametrize("what", ["file", "WAL"])
@pytest.mark.parametrize("header", ["sound", "destroyed"])
def test_a_sparse_file(crashed, what, header):
    """Almost all of it a hole: it is not read."""
    size = 1 << 42
    if header == "destroyed":
        destroy_header(crashed.db)
    path = crashed.db if what == "file" else crashed.dir / "outbox.db-wal"
    try:
        os.truncate(path, size)
    except OSError:
        pytest.skip("no file of 4 TiB here")
    for command in COMMANDS:
        run(crashed.db, *command)
    assert run(crashed.db, "count")[1].split()[0] == "60"


def test_a_sparse_wal_whose_checksum_is_zero(crashed):
    """Header and salts such that a hole would be frame after frame that belongs to it."""
    destroy_header(crashed.db)
    magic, size = struct.unpack("<II", struct.pack(">II", 0x377f0682, crafted.PAGE)) # as the words that are summed up
    version = -(2 * magic + size) & 0xffffffff
    head = struct.pack("<IIIIII", magic, version, size, -(version + magic) & 0xffffffff, 0, 0)
    assert crafted.checksum(head) == (0, 0)
    wal = crashed.dir / "outbox.db-wal"
    wal.write_bytes(crafted.wal([(0, 0, b"")] * 3, header=head))
    os.truncate(wal, 1 << 40)
    look(crashed.db)


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_behind_right_checksums(crashed, seed):
    chance = random.Random(seed)
    good_db = crashed.db.read_bytes()
    pages = [good_db[i:i + crafted.PAGE] for i in range(0, len(good_db), crafted.PAGE)]
    for _ in range(4):
        frames = []
        for _ in range(chance.randrange(1, 30)):
            content = bytearray(chance.choice(pages))
            for _ in range(chance.randrange(0, 12)):
                at = chance.choice([chance.randrange(16), chance.randrange(crafted.PAGE)])
                content[at] = chance.choice([0, 1, 13, 0x7f, 0x80, 0xff, chance.randrange(256)])
            number = chance.choice([chance.randrange(1, len(pages) + 9), chance.getrandbits(32)])
            frames.append((number, chance.choice([0, len(pages), chance.getrandbits(32)]), bytes(content)))
        (crashed.dir / "outbox.db-wal").write_bytes(crafted.wal(frames))
        if chance.random() < 0.5:
            destroy_header(crashed.db)
        for command in COMMANDS:
            run(crashed.db, *command)
        crashed.db.write_bytes(good_db)
