#!/bin/bash
# lint.sh BUILD_DIR - every check that needs no running daemon; all of them run, then the count
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${1:?usage: lint.sh BUILD_DIR}
passed=0 failed=0 skipped=0

check() { # check NAME COMMAND…
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1))
		printf '  ok      %s\n' "$name${out:+: $(tail -n 1 <<<"$out")}"
	else
		failed=$((failed + 1))
		printf '  FAILED  %s\n' "$name"
		# shellcheck disable=SC2001 # every line is indented
		head -n 60 <<<"$out" | sed 's/^/          /'
	fi
}

skip() {
	skipped=$((skipped + 1))
	printf '  skipped %s: %s\n' "$1" "$2"
}

have() { command -v "$1" >/dev/null; }

c_files() { find src tests -name '*.[ch]' | sort; }

format() { c_files | xargs clang-format --dry-run -Werror; }
functions() { find src -name '*.[ch]' | sort | xargs awk -f tests/lint/functions.awk; }

# The words are spelled in pieces, so that this file does not find itself.
unfinished() {
	! grep -rnwE 'TO''DO|FIX''ME|X''XX|HA''CK|stub''bed|unimple''mented' \
		src tests etc man systemd Makefile configure.ac README.md .ci --include='*' --exclude-dir=__pycache__
}

scripts() {
	find tests .ci -type f \( -name '*.sh' -o -name run \) -print0 | xargs -0 shellcheck
	local rc=$? completion
	for completion in src/ctl/*.bash; do
		if [ -e "$completion" ]; then shellcheck -s bash "$completion" || rc=1; fi
	done
	return $rc
}

# STYLE messages about the operating system's own release do not concern us; warnings and errors do.
manuals() {
	local page rc=0
	for page in ga4relay.8 ga4relay-ctl.8 ga4relay.conf.5 ga4relay-protocol.7; do
		if [ ! -e "man/$page" ]; then
			echo "man/$page is missing"
			rc=1
		else
			mandoc -Tlint -Wwarning "man/$page" || rc=1
		fi
	done
	return $rc
}

check "layers" tests/lint/layers.sh
check "layers' own test" tests/lint/layers_selftest.sh
check "functions of at most 60 lines, files that say their job" functions
check "nothing unfinished" unfinished
check "options: table, sample and manual agree" tests/lint/options.sh "$build"
if have clang-format; then check "format" format; else skip "format" "no clang-format"; fi
if have shellcheck; then check "scripts" scripts; else skip "scripts" "no shellcheck"; fi
if have mandoc; then check "manuals" manuals; else skip "manuals" "no mandoc"; fi
if have systemd-analyze; then
	check "systemd units" tests/lint/units.sh "$build"
else
	skip "systemd units" "no systemd-analyze"
fi

echo "lint: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
