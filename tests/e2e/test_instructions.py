# test_instructions.py - parse, validate, build and intern cost no more instructions an event than was measured before
import os
import shutil
import subprocess
import sys
import warnings

import pytest

from lib.relay import BUILD, TOP, VARIANT

SCRIPT = TOP / "tests" / "bench" / "instructions.py"


@pytest.mark.skipif(VARIANT != "release", reason="the figures are of the release build")
def test_no_phase_grew_by_five_percent():
    if not shutil.which("valgrind"):
        warnings.warn("VALGRIND IS MISSING: instructions are not counted (Debian: apt install valgrind)")
        pytest.skip("valgrind is missing: instructions are not counted")
    done = subprocess.run([sys.executable, SCRIPT, BUILD, "--check"], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if "NOT COMPARED" in done.stdout:
        warnings.warn(done.stdout)
