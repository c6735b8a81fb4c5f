#!/bin/bash
# setup.sh - checks that `make check` reports what is missing and installs nothing, and that `make setup check` installs first
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

work=$(mktemp -d) bad=0
trap 'rm -rf "$work"' EXIT

say() {
	echo "$*"
	bad=1
}

program() { # program NAME SCRIPT
	printf '#!/bin/sh\n%s\n' "$2" >"$work/$1" && chmod +x "$work/$1"
}

# Simulates a Debian without cmocka and mandoc, where apt-get and sudo only record their arguments.
awk '!/^#/ && $2 != "-" && $2 != "libcmocka-dev" && $2 != "mandoc" {print $2, "installed"}' tests/lib/packages >"$work/installed"
program dpkg-query "cat '$work/installed'"
program apt-get "echo apt-get \"\$@\" >>'$work/told'"
program sudo "\"\$@\""
program tee 'cat'
for name in awk bash cat chmod dirname env grep id printf rm; do ln -s "$(command -v $name)" "$work/$name"; done

out=$(PATH=$work tests/lib/setup.sh --list check 2>&1) || say "setup.sh --list fails: $out"
if ! grep -qx '==> MISSING: libcmocka-dev mandoc' <<<"$out"; then say "setup.sh --list says: $out"; fi
if [ -e "$work/told" ]; then say "setup.sh --list runs $(cat "$work/told")"; fi

out=$(MAKEFLAGS='' make --no-print-directory --dry-run check 2>&1)
if grep -q 'setup\.sh' <<<"$out"; then say "make check sets up: $out"; fi
out=$(MAKEFLAGS='' make --no-print-directory --dry-run -j4 setup check 2>&1)
if [ "$(grep -oE 'lib/(setup|check)\.sh' <<<"$out" | xargs)" != 'lib/setup.sh lib/check.sh' ]; then
	say "make setup check does not set up first: $out"
fi
exit $bad
