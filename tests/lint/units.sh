#!/bin/bash
# units.sh BUILD_DIR - checks that systemd accepts the units, ignores nothing in them, and rates their exposure low enough
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${1:?usage: units.sh BUILD_DIR}
limit=1.1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# systemd-analyze verify needs the program at the path in the unit, so give it copies with the path of the build.
for unit in ga4relay.service ga4relay.socket; do
	sed -e "s|/usr/sbin/ga4relay|$PWD/$build/ga4relay|" systemd/$unit >"$tree/$unit"
done

out=$(systemd-analyze verify --man=no "$tree/ga4relay.service" "$tree/ga4relay.socket" 2>&1)
rc=$?
# "ignoring": settings that this version of systemd does not know are ignored with no other sign, even a Type=.
ours=$(grep -E 'ga4relay\.(service|socket)' <<<"$out")
if [ $rc -ne 0 ] || grep -qiE 'ignoring|unknown|failed' <<<"$ours"; then
	echo "systemd-analyze verify: $out"
	exit 1
fi

exposure=$(systemd-analyze security --offline=true --no-pager "$tree/ga4relay.service" 2>/dev/null |
	sed -nE 's/.*Overall exposure level for .*: ([0-9.]+) .*/\1/p')
if [ -z "$exposure" ]; then
	echo "systemd-analyze security --offline gives no figure here"
	exit 0
fi
echo "exposure $exposure, at most $limit"
awk -v e="$exposure" -v l=$limit 'BEGIN {exit !(e <= l)}'
