#!/bin/bash
# minimise.sh TARGET… - keeps of the committed and the newly found inputs the fewest that reach all they reach together
# After `make fuzz`, whose findings lie in build/fuzz/corpus/TARGET; replaces tests/fuzz/corpus/TARGET.tar.gz.
set -euo pipefail
cd "$(dirname "$0")/../.."

for target in "$@"; do
	all=build/fuzz/all/$target least=build/fuzz/least/$target
	tests/fuzz/corpus.sh unpack "$target" "$all"
	mkdir -p "build/fuzz/corpus/$target" && rm -rf "$least" && mkdir -p "$least"
	"build/fuzz/fuzz/fuzz_$target" -set_cover_merge=1 -timeout=20 -rss_limit_mb=3000 -detect_leaks=0 \
		"$least" "$all" "build/fuzz/corpus/$target" >"build/fuzz/$target.merge.log" 2>&1 ||
		{ echo "minimise.sh: $target: see build/fuzz/$target.merge.log" >&2 && exit 1; }
	tests/fuzz/corpus.sh pack "$target" "$least"
	printf '%-12s %d inputs, %d bytes packed\n' "$target" "$(find "$least" -type f | wc -l)" \
		"$(stat -c %s "tests/fuzz/corpus/$target.tar.gz")"
done
