#!/bin/bash
# units.sh BUILD_DIR - systemd takes the units as they are, ignores nothing in them, and finds them closed enough
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${1:?usage: units.sh BUILD_DIR}
limit=1.1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# The verifier wants the program where the unit says, so it gets copies that say where the build is.
for unit in ga4relay.service ga4relay.socket; do
	sed -e "s|/usr/sbin/ga4relay|$PWD/$build/ga4relay|" systemd/$unit >"$tree/$unit"
done

out=$(systemd-analyze verify --man=no "$tree/ga4relay.service" "$tree/ga4relay.socket" 2>&1)
rc=$?
# "ignoring": what this version of systemd does not know falls back silently, a Type= too.
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
