# test_instructions.py - parse, validate, build and intern cost no more instructions an event than was measured before, and
# good lines allocate nothing
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

SCRIPT = TOP / "tests" / "bench" / "instructions.py"


pytestmark = pytest.mark.skipif(VARIANT != "release", reason="the figures are of the release build")


@pytest.fixture(autouse=True)
def needs_valgrind():
    if not shutil.which("valgrind"):
        warnings.warn("VALGRIND IS MISSING: instructions are not counted (Debian: apt install valgrind)")
        pytest.skip("valgrind is missing: instructions are not counted")


def allocations(rounds, path):
    done = subprocess.run(["valgrind", BUILD / "tests" / "judge", "-n", str(rounds), path], capture_output=True, text=True,
                          timeout=600, check=True)
    return re.search(r"total heap usage: ([\d,]+) allocs", done.stderr)[1]


def test_a_good_line_allocates_nothing_but_its_block(tmp_path):
    """A hundred rounds over the same lines (into the same block) allocate what two rounds do."""
    file = tmp_path / "lines"
    file.write_text("".join(json.dumps(x) + "\n" for x, _ in zip(instructions.lines(), range(30))))
    assert allocations(100, file) == allocations(2, file)


def test_no_phase_grew_by_five_percent():
    done = subprocess.run([sys.executable, SCRIPT, BUILD, "--check"], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if "NOT COMPARED" in done.stdout:
        warnings.warn(done.stdout)
