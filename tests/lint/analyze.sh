#!/bin/bash
# analyze.sh [cppcheck] [gcc] [tidy] - static analysis of src/; fails on a finding that analyze.txt does not explain
# Runs all three by default. CPPFLAGS as for the compiler. Rows of analyze.txt that match nothing are reported but do not fail,
# because other versions of the tools find other things.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

list=tests/lint/analyze.txt
tools=("$@")
if [ ${#tools[@]} -eq 0 ]; then tools=(cppcheck gcc tidy); fi
read -ra flags <<<"${CPPFLAGS:-} -Isrc -D_GNU_SOURCE -DGA4RELAY_VERSION=\"0\" -DGA4RELAY_SYSCONFDIR=\"/etc\" -DGA4RELAY_POSTGRES=1"
jobs=$(nproc 2>/dev/null || echo 2)
checks='-*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,-bugprone-macro-parentheses'
checks+=',-bugprone-narrowing-conversions,-clang-analyzer-valist.*,-clang-analyzer-security.insecureAPI.*'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mapfile -t sources < <(find src -name '*.c' | sort)

# cppcheck does not know the cleanup attribute, and without the header of the list macros it stops where they are used.
run_cppcheck() {
	local queue=()

	for header in /usr/include/*/sys/queue.h /usr/include/sys/queue.h; do
		if [ -f "$header" ]; then queue=("--include=$header"); fi
	done
	cppcheck --quiet --enable=warning,portability --std=c11 -j"$jobs" "${queue[@]}" \
		--template='{file}:{line}:{column}: {severity}: {message} [{id}]' \
		-Isrc -D_GNU_SOURCE '-D_cleanup_(f)=' src 2>&1
}

run_gcc() {
	printf '%s\n' "${sources[@]}" | xargs -P"$jobs" -n 1 \
		gcc -std=gnu11 -pthread -O1 -fanalyzer -fdiagnostics-plain-output "${flags[@]}" -c -o /dev/null 2>&1
}

run_tidy() {
	printf '%s\n' "${sources[@]}" | xargs -P"$jobs" -I'{}' \
		clang-tidy --quiet --checks="$checks" '{}' -- -std=gnu11 "${flags[@]}" 2>/dev/null
}

# file:line:column: kind: text [check] → tool file check line text, once each; an error without a check is "compile"
gather() { # gather TOOL
	sed -E -n -e "s,^$PWD/,," \
		-e "s,^(src/[^:]+):([0-9]+):[0-9]+: (warning|error|portability): (.*) \\[-?([A-Za-z_.-]+)[^]]*\\]\$,$1 \\1 \\5 \\2 \\4,p;t" \
		-e "s,^(src/[^:]+):([0-9]+):[0-9]+: (fatal )?error: (.*),$1 \\1 compile \\2 \\4,p" | sort -u
}

for tool in "${tools[@]}"; do
	program=${tool/tidy/clang-tidy}
	if ! declare -F "run_$tool" >/dev/null || ! command -v "$program" >/dev/null; then
		echo "analyze.sh: there is no $program" >&2
		exit 2
	fi
	"run_$tool" | gather "$tool" >>"$work/findings"
done

awk -v tools=" ${tools[*]} " '
	FNR == NR { if (!/^#/ && NF) excused[$1 " " $2 " " $3] = 0; next }
	{ key = $1 " " $2 " " $3
	  if (key in excused) { excused[key]++; explained++ } else { print "NEW: " $0; new++ } }
	END { for (key in excused) { split(key, k, " ")
	        if (!excused[key] && index(tools, " " k[1] " ")) print "explains nothing this time: " key }
	      printf "analyze:%s: %d findings that are explained, %d new\n", tools, explained, new
	      exit new > 0 }' $list "$work/findings"
