#!/bin/bash
# corpus.sh - the fuzzers' inputs, an archive per target under tests/fuzz/corpus/
# corpus.sh unpack TARGET DIRECTORY      makes DIRECTORY hold exactly the committed inputs
# corpus.sh pack TARGET DIRECTORY        replaces the archive; the same inputs give the same bytes
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
verb=${1:?usage: corpus.sh unpack|pack TARGET DIRECTORY} target=${2:?which target?} directory=${3:?which directory?}
archive=$here/corpus/$target.tar.gz

case $verb in
unpack)
	rm -rf "$directory"
	mkdir -p "$directory"
	tar --extract --gzip --file "$archive" -C "$directory"
	;;
pack)
	(cd "$directory" && tar --create --sort=name --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@0 -- *) |
		gzip -9n >"$archive.new"
	mv "$archive.new" "$archive"
	;;
*)
	echo "corpus.sh: unpack or pack, not $verb" >&2
	exit 2
	;;
esac
