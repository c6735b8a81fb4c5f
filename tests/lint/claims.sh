#!/bin/bash
# claims.sh - checks that the tests named by tests/e2e/claims and by the outcome table of tests/e2e/README exist
# Every claim and every outcome must name a test, and every test of test_outcomes.py must be in the table.
set -ufo pipefail
cd "$(dirname "$0")/../.." || exit 1

e2e=tests/e2e
bad=0 claims=0 outcomes=0 tests=0

say() { # say FILE TEXT
	echo "$e2e/$1: $2"
	bad=1
}

defines() { # defines FILE NAME-AS-REGEX
	grep -qE "^(def $2\(|(static )?(void|int) $2\(|#define $2\b)" "$1" 2>/dev/null
}

check_claims() {
	local line claim='' named=1
	while IFS= read -r line; do
		case $line in
		'' | '#'* | '== '*) ;;
		$'\t'*)
			line=${line#$'\t'} named=1 tests=$((tests + 1))
			if ! defines "${line%%:*}" "${line#*:}"; then say claims "no such test: $line"; fi
			;;
		*)
			if [ "$named" -eq 0 ]; then say claims "no test for: $claim"; fi
			claim=$line named=0 claims=$((claims + 1))
			;;
		esac
	done <$e2e/claims
	if [ "$named" -eq 0 ]; then say claims "no test for: $claim"; fi
}

# "test_tls.py test_some… test_other[this, that]": a name may be abbreviated; the words in brackets are the test's parameters.
check_row() { # check_row ROW
	local word name id file=test_outcomes.py named=0
	for word in $1; do
		case $word in
		test_*.py) file=$word ;;
		test_*)
			named=1 tests=$((tests + 1)) name=${word%%[[,]*}
			if ! defines "$e2e/$file" "${name/%…/[a-z0-9_]+}"; then say README "no such test: $file $name"; fi
			;;
		esac
	done
	if [ "$named" -eq 0 ]; then return 1; fi
	while read -r id; do
		if ! grep -qE "^[^#]*[^a-z0-9-]${id}[^a-z0-9-]" "$e2e/$file"; then
			say README "no such parameter: $file $id"
		fi
	done < <(sed -n 's/.*\[\(.*\)\].*/\1/; T; s/, */\n/g; p' <<<"$1")
}

# A row begins at the start of the line or two columns in; lines further in continue the row above.
check_outcomes() {
	local line table name
	table=$(sed '1,/^what came back/d; /^$/,$d' $e2e/README)
	while IFS= read -r line; do
		outcomes=$((outcomes + 1))
		if ! check_row "$line"; then say README "no test for: $line"; fi
	done < <(sed -n '/^\(  \)\?[^ ]/p' <<<"$table")
	while read -r name; do
		if ! grep -qw "$name" <<<"$table"; then say README "the table of outcomes lacks $name"; fi
	done < <(sed -n 's/^def \(test_[a-z0-9_]*\)(.*/\1/p' $e2e/test_outcomes.py)
}

check_claims
check_outcomes
echo "$claims claims, $outcomes outcomes, $tests tests"
[ "$bad" -eq 0 ] && [ "$claims" -gt 0 ] && [ "$outcomes" -gt 0 ]
