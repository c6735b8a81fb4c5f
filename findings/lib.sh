# shellcheck shell=bash
# lib.sh - what every finding does: a folder of its own, pinned packages in it, the comparison; sourced, no finding itself
set -euo pipefail

work=$(mktemp -d)
started=() # servers, by their process ids
clean_up() {
	if [ ${#started[@]} -gt 0 ]; then kill "${started[@]}" 2>/dev/null || true; fi
	rm -rf "$work"
}
trap clean_up EXIT
cd "$work"
export LC_ALL=C.UTF-8 HOME=$work

cannot() {
	echo "cannot be tried here: $*" >&2
	exit 2
}

# debs NAME=VERSION…: unpacks packages of Debian 12 under $work/root. "=1.5-*" is the upstream version with any fix of Debian's.
debs() {
	local name triplet
	command -v apt-get >/dev/null || cannot "this needs apt and the package lists of Debian 12"
	apt-get -qq download "$@" >/dev/null 2>apt.log || cannot "apt has no $* (Debian 12 has): $(grep '^E:' apt.log | head -n 1)"
	for name in *.deb; do
		echo "package: ${name%.deb}"
		dpkg -x "$name" root && rm "$name"
	done
	triplet=$(gcc -dumpmachine 2>/dev/null) || cannot "there is no gcc"
	export LD_LIBRARY_PATH=$work/root/usr/lib/$triplet
}

# compile COMPILER SOURCE LIBRARY…: makes $work/try against what debs() unpacked
compile() {
	local compiler=$1 source=$2
	shift 2
	command -v "$compiler" >/dev/null || cannot "there is no $compiler"
	"$compiler" -O0 -Iroot/usr/include -I"root/usr/include/${LD_LIBRARY_PATH##*/}" -I. -o try "$source" \
		-L"$LD_LIBRARY_PATH" "$@"
}

# npm_packages NAME@VERSION…: installs them under $work/node_modules and runs none of their scripts
npm_packages() {
	command -v npm >/dev/null || cannot "there is no npm"
	mkdir empty
	echo '{"name":"http","version":"0.0.1-security"}' >empty/package.json
	# Some name the placeholder "http", which not every registry carries; node takes its own module of that name anyway.
	echo '{"private":true,"overrides":{"http":"file:./empty"}}' >package.json
	npm install --silent --no-audit --no-fund --ignore-scripts "$@" >npm.log 2>&1 || cannot "npm install $*: $(tail -n 1 npm.log)"
	printf 'package: %s\n' "$@"
}

# expect COMMAND…: runs it, prints what it printed, and fails unless that is what stands on standard input
expect() {
	cat >expected
	"$@" >seen 2>&1 || echo "exit status $?" >>seen
	echo "output seen:"
	sed 's/^/    /' seen
	if ! diff expected seen >difference; then
		echo "THIS HAS CHANGED (<: as it was found, >: now):"
		cat difference
		exit 1
	fi
	echo "as it was found"
}
