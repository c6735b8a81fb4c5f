# test_instructions.py - parse, validate, build, intern and store cost no more instructions an event than was measured
# before, and good lines allocate nothing but one block each
import json
import os
import re
import shutil
import subprocess
import sys
import warnings

import pytest

from lib.relay import BUILD, TOP, VARIANT

sys.path.insert(0, str(TOP / "tests" / "bench"))

import instructions  # noqa: E402
import shapes  # noqa: E402

SCRIPT = TOP / "tests" / "bench" / "instructions.py"


pytestmark = pytest.mark.skipif(VARIANT != "release", reason="the figures are of the release build")


@pytest.fixture(autouse=True)
def needs_valgrind():
    if not shutil.which("valgrind"):
        warnings.warn("VALGRIND IS MISSING: instructions are not counted (Debian: apt install valgrind)")
        pytest.skip("valgrind is missing: instructions are not counted")


def allocations(phase, rounds, path):
    done = subprocess.run(["valgrind", BUILD / "tests" / "judge", phase, str(rounds), path], capture_output=True, text=True,
                          timeout=600, check=True)
    return int(re.search(r"total heap usage: ([\d,]+) allocs", done.stderr)[1].replace(",", ""))


@pytest.fixture
def thirty_lines(tmp_path):
    file = tmp_path / "lines"
    file.write_text("".join(json.dumps(x) + "\n" for x, _ in zip(instructions.lines(), range(30))))
    return file


def test_a_good_line_allocates_nothing_but_its_block(thirty_lines):
    """A hundred rounds over the same lines (into the same block) allocate what two rounds do."""
    assert allocations("-n", 100, thirty_lines) == allocations("-n", 2, thirty_lines)


def test_a_line_that_is_stored_allocates_nothing_but_its_block(thirty_lines):
    """Into a block of its own each. SQLite's are a few a commit of a hundred lines, and one a page while its cache grows: a
    fifth of a line, with pages of 2 KiB."""
    few, many = (allocations("-s", rounds, thirty_lines) for rounds in (10, 40))
    assert 1 <= (many - few) / (30 * 30) < 1.25


def instructions_of(lines, tmp_path):
    """To read each of them the second time: the first one also makes room."""
    file, out = tmp_path / "lines", tmp_path / "callgrind"
    file.write_text("".join(line + "\n" for line in lines))
    subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=event_in_read", "--dump-after=event_in_read",
                    "--combine-dumps=yes", f"--callgrind-out-file={out}", BUILD / "tests" / "judge", "-n", "2", file],
                   capture_output=True, timeout=600, check=True)
    counts = [int(n) for n in re.findall(r"^totals: (\d+)$", out.read_text(), re.M)]
    assert len(counts) == 2 * len(lines) + 1, counts # the last: what came after all of them
    return counts[1:-1:2]


def test_a_line_costs_what_its_bytes_cost(tmp_path):
    """Whatever its shape, no byte of a line costs more than five of an ordinary one, nor more in a longer line if that is
    more than an ordinary one's: from 33 members on, names are hashed, which 32 bits feel."""
    lines = [make(size) for make in shapes.SHAPES.values() for size in (25_000, 100_000)]
    each = iter(count / len(line) for count, line in zip(instructions_of(lines, tmp_path), lines))
    costs = dict(zip(shapes.SHAPES, zip(each, each)))
    ordinary, dear = max(costs["ordinary"]), {}
    for shape, (short, long) in costs.items():
        print(f"{short:6.1f}, {long:6.1f} instructions a byte: {shape}")
        if max(short, long) >= 5 * ordinary or long >= max(1.3 * short, ordinary):
            dear[shape] = short, long
    assert not dear, costs


def test_no_phase_grew_by_five_percent():
    done = subprocess.run([sys.executable, SCRIPT, BUILD, "--check"], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if "NOT COMPARED" in done.stdout:
        warnings.warn(done.stdout)
