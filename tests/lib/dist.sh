#!/bin/bash
# dist.sh NAME [FILE] - makes NAME.tar.gz or FILE: the files that git tracks, configure, and the list of both
# The same commit gives the same bytes. An unpacked tarball has no git and uses the list that it contains, .dist-files.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=${1:?usage: dist.sh NAME [FILE]}
file=${2:-$name.tar.gz}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

# Look for the list first, because an unpacked tarball may be inside another project's git tree.
if [ -e .dist-files ]; then
	cp .dist-files "$work/.dist-files"
	made=$(stat -c %Y .dist-files)
elif [ -e .git ] && git rev-parse --git-dir >/dev/null; then
	{ git ls-files && printf '%s\n' configure .dist-files; } | sort >"$work/.dist-files"
	made=$(git log -1 --format=%ct)
else
	echo >&2 "make dist: which files belong to ga4relay is known to git in a clone, and in an unpacked release by" \
		".dist-files; here is neither (or git is not installed): clone the repository and run it there"
	exit 1
fi

# Fix owners, modes, times and the order of names, so that they do not depend on where the tarball is made.
grep -vxF .dist-files "$work/.dist-files" |
	tar --create --format=ustar --file "$work/tar" -C "$PWD" --no-recursion --files-from=- -C "$work" .dist-files \
		--transform="s,^,$name/,S" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
		--mtime="@${SOURCE_DATE_EPOCH:-$made}"
gzip --no-name --best <"$work/tar" >"$file"
echo "$file"
