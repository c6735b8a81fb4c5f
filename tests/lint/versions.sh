#!/bin/bash
# versions.sh - checks that every document has configure.ac's minimum versions, and that src/ uses what needs them
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

readme=${1:-README.md}
bad=0 libraries=0

say() {
	echo "$*"
	bad=1
}

# "libcurl 7.87 libcurl4-openssl-dev CURLOPT_QUICK_EXIT"
table() {
	sed -nE 's/^GA4_PKG\(\[[A-Z]+\], \[([a-z0-9]+)\], \[([0-9.]+)\], \[([a-z0-9-]+)\].*\) dnl ([A-Za-z0-9_]+)$/\1 \2 \3 \4/p' configure.ac
}

while read -r module version package symbol; do
	libraries=$((libraries + 1))
	name=${module/#sqlite3/SQLite}
	named=$(grep -oE "\b$name ≥ [0-9.]*[0-9]" "$readme" | sort -u)
	if [ "$named" != "$name ≥ $version" ]; then
		say "$readme: says \"${named:-nothing about $name}\", configure.ac $module >= $version"
	fi
	if ! grep -rqw -- "$symbol" src; then
		say "configure.ac: src/ does not use $symbol, for which it asks for $module >= $version"
	fi
	while IFS=: read -r file asked; do
		if [ "$asked" != "$package (>= $version)" ]; then
			say "$file: asks for \"$asked\", configure.ac for $module >= $version"
		fi
	done < <(grep -roE "\b$package \(>= [^)]*\)" systemd)
done < <(table)

if [ "$libraries" -ne "$(grep -c '^GA4_PKG(' configure.ac)" ]; then
	say "configure.ac: a GA4_PKG line has another form than this script reads"
fi
echo "$libraries libraries"
[ "$bad" -eq 0 ] && [ "$libraries" -gt 0 ]
