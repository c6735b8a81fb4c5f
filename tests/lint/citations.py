#!/usr/bin/env python3
# citations.py - fails on a comment that names a file, a function or a constant that is not there
"""Comments outlive what they name. Of the C files' comments: a file name must be that of a file here, and a name of one of our
functions, `name()`, or constants, `NAME_OF_IT`, must occur in code. Names of the libraries and of the C library count
as known when the code of this repository uses them, or when their prefix says whose they are."""
import re
import sys
from pathlib import Path

LIBRARIES = re.compile(r"(sqlite3|curl|CURL|event|ev[a-z]*|bufferevent|yajl|config|sd|SQLITE|pthread|PQ|Sec)_?\w*$")
SYSTEM = set("""fork exec open read write close connect accept bind listen socket send recv malloc calloc realloc free
    poll epoll_wait select printf scanf strtod localtime getaddrinfo fsync fdatasync rename unlink stat kill wcwidth
    mallinfo2""".split())
# Followed by a colon it is a heading: "LIST: reads one slice of rows".
CONSTANT = r"\b([A-Z]{2,}_[A-Z0-9_]*[A-Z0-9])\b(?![=:])"
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def comments_and_code(text):
    blanked = STRING.sub(lambda m: m.group().replace("/*", "  ").replace("//", "  "), text)
    comments = [(blanked.count("\n", 0, m.start()) + 1, m.group()) for m in COMMENT.finditer(blanked)]
    return comments, COMMENT.sub(" ", blanked)


def main():
    files = [str(p) for d in (".", "src", "tests", "findings", "systemd", "etc", "man")
             for p in Path(d).glob("*" if d == "." else "**/*") if p.is_file() and "__pycache__" not in p.parts]
    bases = {f.rsplit("/", 1)[-1] for f in files}
    sources = [f for f in files if re.match(r"(src|tests)/.*\.[ch]$", f)]
    names, found = set(), []
    for f in files:
        if re.search(r"(^|/)(Makefile|configure\.ac)$|\.(py|sh|mk\.in)$", f):
            names |= set(re.findall(r"\w+", open(f, errors="replace").read()))
    for f in sources:
        comments, code = comments_and_code(open(f).read())
        found += [(f, line, text) for line, text in comments]
        names |= set(re.findall(r"\w+", code))
        bases |= set(re.findall(r"<(?:\w+/)*(\w+\.h)>", code))
    traps = set(re.findall(r"^(\d+)\. ", open("src/README.md").read(), re.M))
    bad = 0
    for f, line, text in found:
        cited = [(m, m in bases) for m in re.findall(r"(?<![\w/<.-])([a-z][a-z0-9_]*\.(?:c|h|py|sh|md))\b(?!\()", text)]
        cited += [(m + "()", m in names or m in SYSTEM or LIBRARIES.match(m))
                  for m in re.findall(r"(?<![\w.])([a-z_][a-z0-9_]{2,})\(\)", text)]
        cited += [(m, m in names or LIBRARIES.match(m)) for m in re.findall(CONSTANT, text) if f.startswith("src/")]
        cited += [(f"trap {n}", n in traps) for n in re.findall(r"\btraps? (\d+)", text)]
        for name, known in cited:
            if not known:
                print(f"{f}:{line}: the comment names {name}, which is not there")
                bad += 1
    return 1 if bad else 0


sys.exit(main())
