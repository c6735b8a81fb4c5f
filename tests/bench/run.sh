#!/bin/sh
# run.sh - the benchmarks: run.sh BUILD_DIR [PART…]; BENCH=small (the default, about a minute) or full
# `run.sh BUILD_DIR -l` lists the parts. tests/bench/README says how to read what comes out.
set -eu
exec /usr/bin/python3 -B "$(dirname "$0")/run.py" "$@"
