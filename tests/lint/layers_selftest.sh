#!/bin/bash
# layers_selftest.sh - layers.sh must fail on each kind of wrong include, and only on those
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
bad=0

for layer in base model codec conf store net daemon ctl; do
	mkdir -p "$tree/$layer"
	printf '#include <stdio.h>\n' >"$tree/$layer/x.h"
done
touch "$tree/model/outcome.h"

expect() { # expect good|bad FILE INCLUDE
	local got=good
	printf '#include %s\n' "$3" >"$tree/$2"
	"$here/layers.sh" "$tree" >/dev/null 2>&1 || got=bad
	rm -f "$tree/$2"
	if [ "$got" != "$1" ]; then
		echo "layers_selftest: $2 with #include $3 was found $got, should be $1" >&2
		bad=1
	fi
}

expect good model/a.c '"base/x.h"'
expect good net/a.c '"model/outcome.h"'
expect good daemon/a.c '"store/x.h"'
expect good ctl/offline.c '"store/x.h"'
expect good store/a.c '<sqlite3.h>'
expect bad base/a.c '"model/x.h"'
expect bad model/a.c '"codec/x.h"'
expect bad net/a.c '"model/x.h"'
expect bad net/a.c '"store/x.h"'
expect bad codec/a.c '"conf/x.h"'
expect bad store/a.c '"daemon/x.h"'
expect bad ctl/status.c '"store/x.h"'
expect bad ctl/a.c '"daemon/x.h"'
expect bad ctl/a.c '"net/x.h"'
expect bad model/a.c '"x.h"'
expect bad model/a.c '"base/not_there.h"'
expect bad daemon/a.c '<yajl/yajl_parse.h>'
expect bad daemon/a.c '<sqlite3.h>'
expect bad daemon/a.c '<libconfig.h>'
expect bad daemon/a.c '<curl/curl.h>'
expect bad daemon/a.c '<event2/event.h>'

[ $bad -eq 0 ] && echo "layers_selftest: layers.sh fails where it should"
exit $bad
