#!/bin/bash
# hardening.sh BUILD_DIR - checks the release programs: PIE, RELRO, BIND_NOW, FORTIFY, stack protector, as configured
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${1:?usage: hardening.sh BUILD_DIR}
bad=0

need() { # need PROGRAM WHAT PATTERN TEXT
	if ! grep -qE -- "$3" <<<"$4"; then
		echo "$1: no $2"
		bad=1
	fi
}

for program in "$build/ga4relay" "$build/ga4relay-ctl"; do
	elf=$(LC_ALL=C readelf --wide --file-header --program-headers --dynamic --symbols "$program") || exit 1
	need "$program" "PIE" '^ *Type: +DYN|Flags: .*\bPIE\b' "$elf"
	need "$program" "RELRO" 'GNU_RELRO' "$elf"
	need "$program" "BIND_NOW" 'BIND_NOW|Flags: .*NOW' "$elf"
	need "$program" "stack protector" '__stack_chk_fail' "$elf"
	need "$program" "FORTIFY" '_chk(@|$)' "$elf"
	if grep -E 'GNU_STACK' <<<"$elf" | grep -q 'RWE'; then
		echo "$program: its stack is executable"
		bad=1
	fi
done
exit $bad
