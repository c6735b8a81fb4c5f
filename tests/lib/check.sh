#!/bin/bash
# check.sh - runs `make check`: build, unit tests, end-to-end tests, lint, then a summary; installs nothing
# check.sh [VARIANT [STAGE…]]; runs every stage, even after an earlier one failed
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

variant=${1:-release}
shift || true
stages=("$@")
if [ ${#stages[@]} -eq 0 ]; then stages=(build unit fuzz e2e lint); fi

jobs=$(nproc 2>/dev/null || echo 2)
rows=() failed=0

run() { # run NAME COMMAND…
	local name=$1 start=$SECONDS
	shift
	printf '\n==> %s (%s): %s\n' "$name" "$variant" "$*"
	if "$@"; then
		rows+=("$(printf 'passed  %-8s %4ds' "$name" $((SECONDS - start)))")
	else
		rows+=("$(printf 'FAILED  %-8s %4ds' "$name" $((SECONDS - start)))")
		failed=$((failed + 1))
	fi
}

missing=$(tests/lib/setup.sh --list check)
if [ -n "$missing" ]; then echo "$missing"; fi

for stage in "${stages[@]}"; do
	case $stage in
	build) run build make --no-print-directory -j"$jobs" VARIANT="$variant" all ;;
	unit) run unit make --no-print-directory -j"$jobs" VARIANT="$variant" unit ;;
	fuzz) run fuzz make --no-print-directory -j"$jobs" VARIANT="$variant" fuzz-replay ;;
	e2e) run e2e make --no-print-directory VARIANT="$variant" e2e ;;
	lint) run lint make --no-print-directory -j"$jobs" VARIANT="$variant" lint ;;
	*)
		echo "check.sh: no such stage: $stage" >&2
		exit 2
		;;
	esac
done

printf '\n==> make check VARIANT=%s\n' "$variant"
printf '    %s\n' "${rows[@]}"
if [ -n "$missing" ]; then echo "$missing"; fi
printf '%d passed, %d failed\n' $((${#rows[@]} - failed)) "$failed"
[ "$failed" -eq 0 ]
