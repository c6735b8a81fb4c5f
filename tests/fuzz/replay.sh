#!/bin/bash
# replay.sh - feeds each replay_TARGET program its committed corpus
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

export ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/tests/e2e/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:${TSAN_OPTIONS:-}"
failed=0

for program in "$@"; do
	target=${program##*/replay_} inputs=${program%/*}/committed/${program##*/replay_}
	if ! tests/fuzz/corpus.sh unpack "$target" "$inputs" || ! "$program" "$inputs"; then
		echo "replay.sh: $target does not survive its corpus" >&2
		failed=$((failed + 1))
	fi
done
[ "$failed" -eq 0 ]
