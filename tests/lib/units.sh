#!/bin/bash
# units.sh - runs unit test programs one after the other, then prints how many tests passed and failed
# UNDER='valgrind …' runs each of them under that command.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

# A sanitizer's finding must fail the test that caused it.
export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/tests/e2e/lsan.supp:${LSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:${TSAN_OPTIONS:-}"

if [ $# -eq 0 ]; then
	echo "units.sh: no unit tests were found in tests/unit" >&2
	exit 1
fi

read -ra under <<<"${UNDER:-}"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
programs=0 passed=0 failed=0 skipped=0
broken=()

for program in "$@"; do
	echo "-- ${program##*/}"
	"${under[@]}" "$program" 2>&1 | tee "$out"
	rc=${PIPESTATUS[0]}
	programs=$((programs + 1))
	good=$(awk '/\[  PASSED  \] [0-9]+ test/ {n += $4} END {print n + 0}' "$out")
	bad=$(awk '/\[  FAILED  \] [0-9]+ test/ {n += $4} END {print n + 0}' "$out")
	left=$(awk '/\[  SKIPPED \] [0-9]+ test/ {n += $4} END {print n + 0}' "$out")
	# A crash or a sanitizer's report ends the program without cmocka's count.
	if [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ "$rc" -eq 0 ] && [ "$((good + left))" -eq 0 ]; then
		echo "units.sh: ${program##*/} ran no test" >&2
		bad=1
	fi
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
	if [ "$bad" -ne 0 ]; then broken+=("${program##*/} (exit $rc)"); fi
done

echo "unit: $programs programs, $passed tests passed, $failed failed, $skipped skipped${broken[*]:+: ${broken[*]}}"
[ "$failed" -eq 0 ]
