#!/bin/bash
# dist_check.sh - checks the tarball: its contents, the same bytes every time, a build without autoconf
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

jobs=$(nproc 2>/dev/null || echo 2)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "dist_check.sh: $*" >&2
	exit 1
}

dist() { make --no-print-directory dist >"$work/log" 2>&1 || fail "make dist failed: $(tail -n 5 "$work/log")"; }

dist
tarball=$(echo ga4relay-*.tar.gz)
mv "$tarball" "$work/first"

# Pack again from another tree, with other times and modes and with files that do not belong to the project.
mkdir "$work/copy"
tar --create --exclude=./build . | tar --extract -C "$work/copy" || fail "no copy of the tree"
(
	cd "$work/copy" || exit 1
	find . -path ./.git -prune -o -type f ! -name '*.ac' -exec touch {} + && chmod -R go-rwx tests || exit 1
	for stray in stray tests/stray.c src/base/stray.c man/stray.8 systemd/stray; do echo stray >$stray; done
	dist
) || exit 1
cmp "$work/first" "$work/copy/$tarball" || fail "two trees of the same commit gave different tarballs"
if tar --list --file "$work/first" | grep stray; then fail "the tarball holds files that are not the project's"; fi

# configure must not be generated again: the first autoconf in PATH fails.
mkdir "$work/unpacked" "$work/no-autoconf"
tar --extract --file "$work/first" -C "$work/unpacked" --strip-components=1 || fail "it does not unpack"
ln -s /bin/false "$work/no-autoconf/autoconf"
cd "$work/unpacked" || exit 1
export PATH="$work/no-autoconf:$PATH"
make --no-print-directory -j"$jobs" all || fail "the tarball does not build"
./build/release/ga4relay -V || fail "what it built does not run"
dist
cmp "$work/first" "$tarball" || fail "the tarball makes another tarball of itself"

rm .dist-files
! make --no-print-directory dist >"$work/log" 2>&1 || fail "made a tarball without a list of files"
grep -q 'clone the repository' "$work/log" || fail "make dist did not say what to do: $(tail -n 3 "$work/log")"
echo "$tarball: $(wc -l < <(tar --list --file "$work/first")) files, the same bytes three times"
