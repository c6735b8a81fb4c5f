#!/bin/bash
# diagnostics.sh - fails if DIAGNOSTICS in ga4relay.8 lacks a message that the daemon logs at warning or above
#
# The longest piece between the conversions of each format must be in that section. diagnostics.sh -l lists the pieces.
set -u
cd "$(dirname "$0")/../.." || exit 2

formats() {
	cat src/*/*.c src/*/*/*.c | tr '\n\t' '  ' |
		grep -oE 'log_(error|warning)\( *("([^"\\]|\\.)*"|PRI[A-Za-z0-9]+| )+' |
		sed -E 's/^[^"]*"//; s/" *PRI[A-Za-z0-9]+ *"/u/g; s/" *PRI[A-Za-z0-9]+ *$/u"/; s/" +"//g; s/" *$//; s/\\"/"/g'
}

pieces() {
	formats | sed -E 's/%[-0-9.*]*(hh|h|ll|l|z|j|t)?[a-zA-Z]/\n/g; s/$/\n--/' |
		awk '$0 == "--" { if (length(best) >= 5) print best; best = ""; next } length > length(best) { best = $0 }' |
		sed -E 's/^[ :,]+//; s/[ (]+$//' | sort -u
}

# Prints the section as running text, without macro names and escapes.
section() {
	sed -n '/^\.Sh DIAGNOSTICS/,/^\.Sh [^D]/p' man/ga4relay.8 |
		sed -E 's/^\.(It|Va|Ql|Pa|Dv) //; s/\\\(dq/"/g; s/\\&//g; s/\\"/"/g; s/\\-/-/g' | tr '\n' ' ' | tr -s ' '
}

if [ "${1-}" = -l ]; then
	pieces
	exit
fi
found=$(pieces)
[ "$(wc -l <<<"$found")" -ge 20 ] || { echo "only a few messages were found in src: the search is broken"; exit 1; }
text=$(section)
rc=0
while IFS= read -r piece; do
	case $text in
	*"$piece"*) ;;
	*)
		echo "man/ga4relay.8 DIAGNOSTICS lacks: $piece"
		rc=1
		;;
	esac
done <<<"$found"
exit $rc
