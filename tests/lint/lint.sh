#!/bin/bash
# lint.sh BUILD_DIR - runs every check that needs no running daemon, even after a failure, then prints the count
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

# Prints one line per file; `clang-format -i FILE` corrects all of them.
format() {
	local wrong
	wrong=$(c_files | xargs clang-format --dry-run 2>&1 | sed -nE 's/^([^:]+):[0-9]+:.*clang-format-violations.*/\1/p' | sort | uniq -c)
	if [ -n "$wrong" ]; then
		echo "places that clang-format -i would change:"
		echo "$wrong"
		return 1
	fi
}
functions() { find src -name '*.[ch]' | sort | xargs awk -f tests/lint/functions.awk; }

# The words are written in pieces, so that this file does not match itself.
unfinished() {
	! grep -rnwE 'TO''DO|FIX''ME|X''XX|HA''CK|stub''bed|unimple''mented' \
		src tests etc man systemd findings Makefile configure.ac README.md .ci --include='*' --exclude-dir=__pycache__
}

scripts() {
	find tests .ci systemd findings -type f \( -name '*.sh' -o -name run -o -name postinst -o -name prerm -o -name postrm \) -print0 |
		xargs -0 shellcheck
	local rc=$? completion
	for completion in src/ctl/*.bash; do
		if [ -e "$completion" ]; then shellcheck -s bash "$completion" || rc=1; fi
	done
	for completion in zsh fish; do
		if command -v "$completion" >/dev/null; then
			"$completion" -n "src/ctl/ga4relay-ctl.$completion" || rc=1
		fi
	done
	return $rc
}

# STYLE messages about the operating system's own release do not apply here; warnings and errors do.
manuals() {
	local page rc=0
	for page in ga4relay.8 ga4relay-ctl.8 ga4relay.conf.5 ga4relay-protocol.7 ga4relay-fleet.7; do
		if [ ! -e "man/$page" ]; then
			echo "man/$page is missing"
			rc=1
		else
			mandoc -Tlint -Wwarning "man/$page" || rc=1
		fi
	done
	return $rc
}

check "layers" tests/lint/layers.py
check "layers' own test" tests/lint/layers_selftest.sh
check "functions of at most 60 lines, files that say their job" functions
check "comments name what is there" tests/lint/citations.py
check "nothing unfinished" unfinished
check "options: table, sample and manual agree" tests/lint/options.sh "$build"
check "claims and outcomes name tests that are there" tests/lint/claims.sh
check "configure: another directory, libraries given by hand" tests/lint/configure.sh
check "make check installs nothing, make setup does" tests/lint/setup.sh
check "minimum versions: documents agree with configure" tests/lint/versions.sh
check "diagnostics: the manual knows every warning" tests/lint/diagnostics.sh
# Other versions format the same file differently.
if have clang-format && clang-format --version | grep -q 'version 14\.'; then
	check "format" format
else
	skip "format" "needs clang-format 14"
fi
if have shellcheck; then check "scripts" scripts; else skip "scripts" "no shellcheck"; fi
case $build in
*release) if have readelf; then check "hardening" tests/lint/hardening.sh "$build"; else skip "hardening" "no readelf"; fi ;;
*) skip "hardening" "the release build has it" ;;
esac
if have mandoc; then check "manuals" manuals; else skip "manuals" "no mandoc"; fi
if have systemd-analyze; then
	check "systemd units" tests/lint/units.sh "$build"
else
	skip "systemd units" "no systemd-analyze"
fi

echo "lint: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
