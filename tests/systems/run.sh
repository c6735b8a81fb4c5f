#!/bin/bash
# run.sh - the program and its tests in bare trees of other systems: run.sh [SYSTEM…], by default all of tests/systems/systems
# STAGES='build unit' picks what runs there: demo, and the stages of `make check`; by default all of them.
# exit 0: all passed; 1: something failed; 77: nothing could run here, and why is printed
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1

trees=${TREES:-/var/tmp/ga4relay-systems}
read -ra stages <<<"${STAGES:-demo build unit fuzz e2e lint}"
names=("$@")
if [ ${#names[@]} -eq 0 ]; then mapfile -t names < <(awk '!/^#/ {print $1}' "$here/systems"); fi
rows=() ran=() failed=0 skipped=0

why_not() {
	local tool
	if [ "$(id -u)" -ne 0 ]; then echo "it takes root" && return; fi
	for tool in debootstrap unshare pivot_root flock ip; do
		command -v $tool >/dev/null ||
			{ echo "$tool is missing (Debian: apt install debootstrap util-linux iproute2)" && return; }
	done
	unshare --mount --net --pid --ipc --uts --fork true 2>/dev/null || echo "no namespaces can be made here"
}

# The files as they are here, without what was built from them.
copy_sources() { # copy_sources ROOT
	rm -rf --one-file-system "${1:?}/root/ga4relay"
	mkdir -p "$1/root/ga4relay"
	tar --create --exclude=./build --exclude=./.git --exclude=./src/config.mk --exclude=./config.status \
		--exclude=./config.log --exclude=./configure --exclude=./autom4te.cache --exclude=__pycache__ . |
		tar --extract --no-same-owner -C "$1/root/ga4relay"
}

# Of all that a run prints: the stages, how far the tests are, and what failed.
progress() { # progress NAME
	grep --line-buffered -aE '^==> |^ *(passed|FAILED) +[a-z]|^(FAILED|ERROR|SKIPPED) |[0-9]+%\]$|^unit: |^lint: |^  skipped |[0-9]: warning: ' |
		sed -u "s/^/$1: /"
}

# pkg-config's names are long and its versions short: one column of the table.
versions() { # versions ROOT
	# shellcheck disable=SC2016 # the other shell's variables
	"$here/enter.sh" "$1" \
		'v() { pkg-config --modversion "$1"; }; printf "SQLite %s, libcurl %s, libevent %s, libconfig %s, gcc %s" \
		"$(v sqlite3)" "$(v libcurl)" "$(v libevent | sed s/-stable//)" "$(v libconfig)" "$(gcc -dumpfullversion)"'
}

# Of the unit tests, and of the last try of the end-to-end tests.
count_failed() { # count_failed LOG
	awk '/^unit: / && match($0, /[0-9]+ failed/) {unit = substr($0, RSTART) + 0}
		/ in [0-9.]+s/ && / (passed|failed|error)/ {e2e = match($0, /[0-9]+ failed/) ? substr($0, RSTART) + 0 : 0
			if (match($0, /[0-9]+ error/)) e2e += substr($0, RSTART) + 0}
		END {print unit + e2e}' "$1"
}

in_tree() { # in_tree ROOT: the commands of the README, without a network, as a login would run them
	local command='' check=()
	for stage in "${stages[@]}"; do
		if [ "$stage" = demo ]; then command='make demo && '; else check+=("$stage"); fi
	done
	command+=${check:+"make check STAGES='${check[*]}'"}
	"$here/enter.sh" "$1" "cd /root/ga4relay && ${command% && }"
}

# What one system skips and another runs, with the reason that was printed. One reason may stand for many tests.
compare_skips() { # compare_skips NAME…: those that ran
	local name
	for name; do
		sed -nE "s/^SKIPPED \\[[0-9]+\\] ([^:]+):[0-9]+: (.*)/\\1: \\2\t$name/p; s/^  skipped (.*)/lint: \\1\t$name/p" \
			"$trees-$name.log" | sort -u
	done | awk -F '\t' -v all="$#" '{n[$1]++; names[$1] = names[$1] " " $2}
		END {for (what in n) if (n[what] < all) print "    only on" names[what] ": " what}' | sort
}

run() { # run NAME
	local name=$1 root=$trees-$1 log=$trees-$1.log start=$SECONDS result=passed suite arch kept
	read -r _ suite arch kept < <(awk -v n="$name" '$1 == n' "$here/systems")
	if [ -z "${suite:-}" ]; then
		echo "run.sh: no such system: $name (tests/systems/systems lists them)" >&2
		exit 2
	fi
	exec 8>"$trees-$name.lock"
	flock 8
	"$here/tree.sh" "$root" "$suite" "$arch" "$kept"
	case $? in
	0) ;;
	77)
		skipped=$((skipped + 1))
		rows+=("$(printf '%-9s SKIPPED: no bare %s is to be had, see %s' "$name" "$suite" "$root.made.log")")
		return
		;;
	*)
		failed=$((failed + 1))
		rows+=("$(printf '%-9s FAILED to install what the tests need, see %s' "$name" "$root.made.log")")
		return
		;;
	esac
	copy_sources "$root"
	in_tree "$root" </dev/null 2>&1 | tee "$log" | progress "$name"
	if [ "${PIPESTATUS[0]}" -ne 0 ]; then result="FAILED ($(count_failed "$log") tests)" failed=$((failed + 1)); fi
	rows+=("$(printf '%-9s %s  %-6s %4ds  %s; %s' "$name" "$result" "$arch" $((SECONDS - start)) \
		"${stages[*]}" "$(versions "$root")")")
	ran+=("$name")
	echo "$name: $result, all of it: $log"
	exec 8>&-
}

reason=$(why_not)
if [ -n "$reason" ]; then
	echo "NOT RUN ON OTHER SYSTEMS: $reason"
	exit 77
fi
for name in "${names[@]}"; do run "$name"; done

printf '\n==> make systems, %d s\n' $SECONDS
printf '    %s\n' "${rows[@]}"
if [ ${#ran[@]} -gt 1 ]; then
	echo "==> skipped on some of them, and why"
	compare_skips "${ran[@]}"
fi
printf '%d passed, %d failed, %d skipped\n' $((${#rows[@]} - failed - skipped)) "$failed" "$skipped"
if [ "$failed" -gt 0 ]; then exit 1; fi
[ "$skipped" -eq 0 ] || exit 77
