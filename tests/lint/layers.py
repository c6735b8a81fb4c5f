#!/usr/bin/python3
"""layers.py - checks the rooms of src/: includes follow tests/lint/rooms, which has no cycle; layers.py [SRC [ROOMS]]"""
import collections
import fnmatch
import os
import re
import sys
from pathlib import Path

SOURCES_MAX = 25  # a folder with more is to be divided
SAME_NAME_MAX = 2  # so that a name finds its file
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


class Room:
    def __init__(self, may, public, libraries):
        self.may, self.public, self.libraries = may.split(), public.split(), libraries.split()


def read_rooms(path):
    rooms = {}
    for text in Path(path).read_text().splitlines():
        if text and not text.startswith("#"):
            name, may, public, *libraries = (x.strip() for x in text.split("|"))
            rooms[name] = Room(may, public, " ".join(libraries))
    return rooms


def find_cycle(rooms):
    """Returns a list of rooms that leads back to its first one, or None."""
    finished = set()

    def walk(name, path):
        if name in path:
            return path[path.index(name):] + [name]
        if name in finished:
            return None
        for target in rooms[name].may:
            cycle = walk(target, path + [name])
            if cycle:
                return cycle
        finished.add(name)
        return None

    return next((c for c in (walk(name, []) for name in rooms) if c), None)


def judge_own(rooms, src, room, header):
    """Returns what is wrong with one of our own headers included from room, or None."""
    target = os.path.dirname(header)
    if not (src / header).exists():
        return f"there is no {src}/{header}; includes name the whole path below {src}"
    if target not in rooms:
        return f"{target} is not a room"
    if target == room:
        return None
    if target not in rooms[room].may:
        return f"{room} must not include {target} (allowed: {' '.join(rooms[room].may) or 'libc only'})"
    if not any(fnmatch.fnmatch(os.path.basename(header), p) for p in rooms[target].public):
        return f"{header} is private to {target} (public: {' '.join(rooms[target].public) or 'nothing'})"
    return None


def judge_library(rooms, room, header):
    users = [name for name, r in rooms.items() if any(header.startswith(p) for p in r.libraries)]
    if users and room not in users:
        return f"<{header}> belongs in {' or '.join(users)}, not in {room}"
    return None


def main():
    src = Path(sys.argv[1] if len(sys.argv) > 1 else "src")
    rooms = read_rooms(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).with_name("rooms"))
    faults, seen = [], 0
    for name, room in rooms.items():
        faults += [f"rooms: {name} may include {m}, which is not a room" for m in room.may if m not in rooms]
    cycle = None if faults else find_cycle(rooms)
    if cycle:
        faults.append("rooms: a cycle: " + " -> ".join(cycle))
    sources = sorted(p for p in src.rglob("*") if p.suffix in (".c", ".h"))
    for path in sources:
        room = str(path.parent.relative_to(src))
        if room not in rooms:
            faults.append(f"{path}: {room} is not a room")
            continue
        text = path.read_text()
        for m in INCLUDE.finditer(text):
            seen += 1
            judged = judge_own(rooms, src, room, m[2]) if m[1] == '"' else judge_library(rooms, room, m[2])
            if judged:
                faults.append(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {judged}")
    for folder, n in collections.Counter(p.parent for p in sources).items():
        if n > SOURCES_MAX:
            faults.append(f"{folder}: {n} sources, at most {SOURCES_MAX}")
    for name, n in collections.Counter(p.name for p in sources).items():
        if n > SAME_NAME_MAX:
            faults.append(f"{name}: {n} files have that name, at most {SAME_NAME_MAX}")
    if not seen:
        faults.append(f"no include found under {src}: looking in the wrong place?")
    print(*faults, sep="\n", file=sys.stderr)
    print(f"layers: {len(faults)} faults" if faults else f"layers: {seen} includes between {len(rooms)} rooms, one way")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
