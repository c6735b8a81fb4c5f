#!/bin/bash
# configure.sh - checks that configure refuses to run in another directory, and asks pkg-config for nothing that it was given
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

top=$PWD work=$(mktemp -d) bad=0
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/elsewhere" "$work/copy/src/daemon" || exit 1

say() {
	echo "$*"
	bad=1
}

elsewhere() {
	local out
	if out=$(cd "$work/elsewhere" && "$top/configure" 2>&1); then
		say "configure goes on in another directory than the sources'"
	elif ! grep -qF "cd $top && ./configure" <<<"$out"; then
		say "configure does not say what to do in another directory: $(tail -n 3 <<<"$out")"
	fi
}

# This pkg-config logs what it is asked for.
given_by_hand() {
	local name given=() config=$work/copy/src/config.mk
	printf '#!/bin/sh\necho "$*" >>%q\nexit 1\n' "$work/asked" >"$work/pkg-config"
	chmod +x "$work/pkg-config"
	for name in EVENT CURL SQLITE YAJL CONFIG PQ CMOCKA; do
		given+=("${name}_CFLAGS=-DBY_HAND_$name $(pkg-config --cflags "$(module "$name")")" "${name}_LIBS=-l$name")
	done
	cp configure "$work/copy" && cp src/config.mk.in "$work/copy/src" && touch "$work/copy/src/daemon/main.c"
	if ! (cd "$work/copy" && ./configure PKG_CONFIG="$work/pkg-config" "${given[@]}" >"$work/log" 2>&1); then
		say "configure fails with every library given by hand: $(tail -n 3 "$work/log")"
		return
	fi
	if [ -e "$work/asked" ]; then say "pkg-config was asked in spite of it: $(sort -u "$work/asked")"; fi
	for name in EVENT CURL SQLITE YAJL CONFIG PQ CMOCKA; do
		if ! grep -q -- "-DBY_HAND_$name\b" "$config"; then say "${name}_CFLAGS is not in config.mk"; fi
		if ! grep -q -- "-l$name\b" "$config"; then say "${name}_LIBS is not in config.mk"; fi
	done
}

module() {
	case $1 in
	EVENT) echo libevent ;;
	CURL) echo libcurl ;;
	SQLITE) echo sqlite3 ;;
	YAJL) echo yajl ;;
	CONFIG) echo libconfig ;;
	PQ) echo libpq ;;
	CMOCKA) echo cmocka ;;
	esac
}

elsewhere
given_by_hand
exit $bad
