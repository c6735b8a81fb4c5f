# crafted.py - outbox files whose numbers lie, with checksums that are right all the same
import struct

WAL_HEADER, FRAME_HEADER = 32, 24
LEAF = 13
PAGE = 2048  # of a new outbox


def varint(n):
    """https://www.sqlite.org/fileformat2.html, "Varint"."""
    if n >= 1 << 56:
        return bytes((n >> (8 + 7 * (7 - i)) & 0x7f) | 0x80 for i in range(8)) + bytes([n & 0xff])
    out = [n & 0x7f]
    while n := n >> 7:
        out.append(n & 0x7f | 0x80)
    return bytes(reversed(out))


def checksum(data, a=0, b=0):
    for x, y in struct.iter_unpack("<II", data):
        a = a + x + b & 0xffffffff
        b = b + y + a & 0xffffffff
    return a, b


def wal(frames, size=PAGE, header=None):
    """frames: (page number, pages of the database after this commit or 0, content). Magic of little-endian checksums."""
    head = header or struct.pack(">IIIIII", 0x377f0682, 3007000, size, 0, 0x11111111, 0x22222222)
    a, b = checksum(head)
    out = [head, struct.pack(">II", a, b)]
    for number, pages, content in frames:
        begin = struct.pack(">II", number, pages)
        content = content.ljust(size, b"\0")
        a, b = checksum(begin + content, a, b)
        out += [begin, head[16:24], struct.pack(">II", a, b), content]
    return b"".join(out)


def event_row(id_, body, envelope=1):
    """A cell of the table of events: NULL for its id, then sid, envelope, state, accepted, time, props, body."""
    types = [0, 1, 1, 8, 6, 6, 8, 13 + 2 * len(body)]
    head = b"".join(map(varint, types))
    record = bytes([len(head) + 1]) + head + bytes([1, envelope]) + struct.pack(">qq", 1760000000000000, 1760000000000000) + body
    return record, varint(len(record)) + varint(id_)


def leaf(cells, size=PAGE, pointers=None):
    """A leaf of a table with these cells; pointers: as many, all to the first cell, instead of one a cell."""
    page = bytearray(size)
    at, places = size, []
    for cell in cells:
        at -= len(cell)
        page[at:at + len(cell)] = cell
        places.append(at)
    if pointers:
        places = [places[0]] * pointers
    page[0:8] = struct.pack(">BHHHB", LEAF, 0, len(places), at & 0xffff, 0)
    page[8:8 + 2 * len(places)] = struct.pack(f">{len(places)}H", *places)
    return bytes(page)


def spilled(id_, total, first_page, size=PAGE, usable=None):
    """A cell that says its payload has so many bytes, the rest of it in the chain that begins at that page."""
    usable = usable or size
    least = (usable - 12) * 32 // 255 - 23
    local = least + (total - least) % (usable - 4)
    local = local if local <= usable - 35 else least
    return varint(total) + varint(id_) + b"x" * local + struct.pack(">I", first_page)
