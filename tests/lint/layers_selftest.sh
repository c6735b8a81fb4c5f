#!/bin/bash
# layers_selftest.sh - checks that layers.py fails on each kind of wrong include, and only on those
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
bad=0

cat >"$tree/rooms" <<'END'
low   |          | *
json  | low      | read.h | yajl/
left  | low json | left.h
right | low left | right.h
END
mkdir -p "$tree"/src/{low,json,left,right}
for header in low/low.h json/read.h json/private.h left/left.h left/left_private.h right/right.h; do
	printf '#include <stdio.h>\n' >"$tree/src/$header"
done

expect() { # expect good|bad WHAT
	local got=good
	"$here/layers.py" "$tree/src" "$tree/rooms" >/dev/null 2>&1 || got=bad
	if [ "$got" != "$1" ]; then
		echo "layers_selftest: $2 was found $got, should be $1" >&2
		bad=1
	fi
}

include() { # include good|bad FILE INCLUDE
	printf '#include %s\n' "$3" >"$tree/src/$2"
	expect "$1" "$2 with #include $3"
	rm -f "$tree/src/$2"
}

include good left/a.c '"low/low.h"'
include good left/a.c '"left/left_private.h"'
include good right/a.c '"left/left.h"'
include good json/a.c '<yajl/yajl_parse.h>'
include bad left/a.c '"right/right.h"'
include bad low/a.c '"json/read.h"'
include bad left/a.c '"json/private.h"'
include bad right/a.c '"left/left_private.h"'
include bad left/a.c '"left.h"'
include bad left/a.c '"low/not_there.h"'
include bad left/a.c '<yajl/yajl_parse.h>'
mkdir "$tree/src/unknown"
include bad unknown/a.c '"low/low.h"'
for i in {1..26}; do : >"$tree/src/low/$i.c"; done
expect bad '27 sources in a folder'
rm -f "$tree"/src/low/*.c
for room in low left right; do : >"$tree/src/$room/same.c"; done
expect bad 'a third file of one name'
rm -f "$tree"/src/*/same.c
expect good 'the tree as it was'
sed -i 's/^low   |          /low   | right    /' "$tree/rooms"
expect bad 'a cycle in the table'

[ $bad -eq 0 ] && echo "layers_selftest: layers.py fails where it should"
exit $bad
