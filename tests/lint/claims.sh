#!/bin/bash
# claims.sh - every test that tests/e2e/claims names is there, and every claim names one
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

bad=0 claims=0 tests=0 claim='' named=1

say() {
	echo "tests/e2e/claims: $*"
	bad=1
}

end_claim() {
	if [ "$named" -eq 0 ]; then say "no test for: $claim"; fi
}

defines() { # defines FILE NAME
	grep -qE "^(def $2\(|(static )?(void|int) $2\(|#define $2\b)" "$1" 2>/dev/null
}

while IFS= read -r line; do
	case $line in
	'' | '#'* | '== '*) ;;
	$'\t'*)
		test=${line#$'\t'} named=1 tests=$((tests + 1))
		if ! defines "${test%%:*}" "${test#*:}"; then say "no such test: $test"; fi
		;;
	*)
		end_claim
		claim=$line named=0 claims=$((claims + 1))
		;;
	esac
done <tests/e2e/claims
end_claim

echo "$claims claims, $tests tests"
[ "$bad" -eq 0 ]
