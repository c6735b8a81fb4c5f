#!/bin/bash
# run.sh - runs libFuzzer targets one after the other for FUZZ_SECONDS each; findings stay in build/fuzz/findings
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

export ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/tests/e2e/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
seconds=${FUZZ_SECONDS:-60} failed=0
findings=build/fuzz/findings
mkdir -p "$findings"

for target in "$@"; do
	grown=build/fuzz/corpus/$target committed=build/fuzz/committed/$target log=build/fuzz/$target.log
	mkdir -p "$grown"
	tests/fuzz/corpus.sh unpack "$target" "$committed" || exit 1
	dict=()
	if [ -f "tests/fuzz/$target.dict" ]; then dict=(-dict="tests/fuzz/$target.dict"); fi
	# Leaks are looked for at the end, not after each input: a relay keeps what it took, and was ten times slower.
	if nice -n 10 "build/fuzz/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 \
		-detect_leaks=0 -print_final_stats=1 -artifact_prefix="$findings/$target-" "${dict[@]}" "$grown" \
		"$committed" >"$log" 2>&1; then
		word=clean
	else
		word="FOUND SOMETHING, see $log" failed=$((failed + 1))
	fi
	printf '%-12s %12s executions, %s; %s\n' "$target" \
		"$(awk '/number_of_executed_units/ {print $2}' "$log")" \
		"$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)" "$word"
done
[ "$failed" -eq 0 ]
