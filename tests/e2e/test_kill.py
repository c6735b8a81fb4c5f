# test_kill.py - the attackers of tests/proof, small: kill -9 at random and at system calls, power cuts, everything at once
#
# KILLS=50, POINTS=6 (a phase), CUTS=44, RUNS=8, LIVES=12, SOAK=60 (seconds) and SEED change their sizes; make proof runs them in full.
import os
import shutil
import sys
import time

import pytest

from lib.relay import SANITIZED, TOP

sys.path.insert(0, str(TOP / "tests" / "proof"))
import calls  # noqa: E402
import cuts  # noqa: E402
import failed_sync  # noqa: E402
import faults  # noqa: E402
import kill  # noqa: E402
import soak  # noqa: E402

SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
native = pytest.mark.skipif(SANITIZED, reason="tracing and the sanitizers do not go together")


def size(name, native_size, sanitized_size):
    return int(os.environ.get(name, sanitized_size if SANITIZED else native_size))


def test_kill_at_random_moments():
    kills = size("KILLS", 50, 10)
    print(f"seed {SEED}")
    figures = kill.campaign(kills, SEED)
    print(figures)
    assert figures["acknowledged"] > kills and figures["delivered"] > kills


@native
@pytest.mark.parametrize("phase", calls.PHASES)
def test_kill_at_system_calls(phase):
    if phase == "fulldisk" and os.getuid() != 0:
        pytest.skip("NO FILE SYSTEM CAN BE MOUNTED HERE: kills on a full disk are not tested")
    points = size("POINTS", 6, 0)
    assert calls.phase(phase, points) > points / 2


@native
@pytest.mark.skipif(not shutil.which("strace"), reason="STRACE IS MISSING: power cuts of the daemon are not tested")
def test_power_cuts():
    print(f"seed {SEED}")
    phases = [p for p in calls.PHASES if p != "fulldisk" or os.getuid() == 0]
    assert cuts.cuts(size("CUTS", 44, 0), SEED, "full", phases) == []


@native
@pytest.mark.skipif(not shutil.which("strace"), reason="STRACE IS MISSING: power cuts of the daemon are not tested")
def test_a_power_cut_without_syncs_is_noticed():
    assert cuts.cuts(30, 1, "normal", ["intake"])


@native
@pytest.mark.skipif(not faults.SHIM.exists(), reason="THE FAULT SHIM IS MISSING (make e2e builds it): no faults of the disk")
def test_faults_of_the_disk():
    print(f"seed {SEED}")
    figures = faults.campaign(size("LIVES", 12, 0), SEED)
    print(figures)
    assert figures["acknowledged"] > 100


@native
@pytest.mark.skipif(not shutil.which("strace"), reason="STRACE IS MISSING: power cuts after a failed sync are not tested")
def test_power_cuts_after_a_failed_sync():
    print(f"seed {SEED}")
    assert failed_sync.campaign(size("RUNS", 8, 0), 4, SEED) == []


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' memory is not flat")
@pytest.mark.skipif(not soak.SHIM.exists(), reason="THE CLOCK SHIM IS MISSING (make e2e builds it): no soak")
def test_soak():
    print(soak.soak(size("SOAK", 60, 0), SEED))
