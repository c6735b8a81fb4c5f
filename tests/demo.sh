#!/bin/bash
# demo.sh BUILD_DIR - the main job, before your eyes: events in, an outage, the recovery; in a sandbox, then all gone
set -euo pipefail

build=$(cd "${1:?usage: demo.sh BUILD_DIR}" && pwd)
dir=$(mktemp -d)
sock=$dir/ga4relay.sock
ctl=("$build/ga4relay-ctl" -s "$dir/control.sock")
daemon=

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
	bold='' dim='' plain=''
fi

finish() {
	local rc=$?
	if [ -n "$daemon" ] && kill "$daemon" 2>/dev/null; then wait "$daemon" || true; fi
	if [ $rc -ne 0 ]; then
		echo "demo: failed. The daemon's log:" >&2
		tail -n 40 "$dir/log" >&2 || true
	fi
	rm -rf "$dir"
}
trap finish EXIT

fail() {
	echo "demo: $*" >&2
	exit 1
}
chapter() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
indent() { sed -u "s/^/    /"; }

# wait_for WHAT COMMAND…: until COMMAND succeeds, 20 seconds at most
wait_for() {
	local what=$1 end=$((SECONDS + 20))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "demo: waited 20 s for $what" >&2
			return 1
		fi
		sleep 0.05
	done
}

# send WANTED LINE…: writes each line as an application does, and prints it and its reply, which must contain WANTED
send() {
	local wanted=$1 line reply
	shift
	for line in "$@"; do
		printf '    %s> %s%s\n' "$dim" "$line" "$plain"
		reply=$(printf '%s\n' "$line" | nc -NU "$sock")
		printf '    < %s\n' "$reply"
		[[ $reply == *"$wanted"* ]] || fail "the reply lacks $wanted"
	done
}

queued() { "${ctl[@]}" --json count --state "$1" | sed -n 's/.*"count":\([0-9]*\).*/\1/p'; }
none_waits() { [ "$(queued queued)" = 0 ] && [ "$(queued inflight)" = 0 ]; }
arrived() { wc -l <"$dir/received"; }
destination_waits() { "${ctl[@]}" --json status | grep -q '"last_error":"[^"]'; }

# expect_delivered N TRANSACTION…: the collector received N events in all, and each of these exactly once
expect_delivered() {
	local n transaction
	n=$(grep -c '^✓ ' "$dir/received") || true
	[ "$n" = "$1" ] || fail "$n events arrived at the collector instead of $1"
	shift
	for transaction in "$@"; do
		n=$(grep '^✓ ' "$dir/received" | grep -c "transaction_id=$transaction ") || true
		[ "$n" = 1 ] || fail "the event of $transaction arrived $n times"
	done
}

# Lines that the collector printed since the last time.
shown=0
show_arrived() {
	tail -n +$((shown + 1)) "$dir/received" | indent
	shown=$(arrived)
}

collector() { # collector QUERY: tells the built-in stand-in for GA4 how to answer
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf 'POST /control?%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" >&3
	head -n 1 <&3 | grep -q ' 20[04]'
	exec 3>&-
}

# The first port from 8125 on that nobody listens at.
page=8125
while (exec 3<>"/dev/tcp/127.0.0.1/$page") 2>/dev/null; do page=$((page + 1)); done

start() {
	"$build/ga4relay" --sandbox="$dir" --http="127.0.0.1:$page" >>"$dir/received" 2>"$dir/log" &
	daemon=$!
	wait_for "the collector's address in the log" grep -q '/control?' "$dir/log"
	port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/control.*|\1|p' "$dir/log" | head -n 1)
}

now=$(date +%s)

chapter "1. The relay starts: no configuration, no account, no network"
start
echo "    event socket $sock, outbox $dir/outbox.db, and a collector on 127.0.0.1:$port that stands in for GA4"
echo "    The live page, in a browser: ${bold}http://127.0.0.1:$page/${plain}"

chapter "2. An application writes one line an event; ok means: committed and synced to disk"
echo "    A refund, a subscription renewal (no browser in sight), an offline conversion (with the visitor's own cookies):"
send '"ok":true' \
	"{\"client_id\":\"123.456\",\"name\":\"refund\",\"dedup_key\":\"refund-T-1001\",\"params\":{\"transaction_id\":\"T-1001\",\"currency\":\"EUR\",\"value\":59.9,\"session_id\":\"$now\",\"engagement_time_msec\":1}}" \
	"{\"client_id\":\"123.456\",\"user_id\":\"u-42\",\"name\":\"purchase\",\"params\":{\"transaction_id\":\"S-77-2026-11\",\"currency\":\"EUR\",\"value\":9.9,\"session_id\":\"$now\",\"engagement_time_msec\":1,\"items\":[{\"item_id\":\"plan-m\",\"item_name\":\"Monthly plan\",\"price\":9.9,\"quantity\":1}]}}" \
	"{\"client_id\":\"GA1.1.777.888\",\"session_cookie\":\"GS1.1.$now.3.1.$now.0.0.0\",\"name\":\"generate_lead\",\"params\":{\"currency\":\"EUR\",\"value\":250,\"engagement_time_msec\":1}}"
echo "    The same refund again, as a job that was restarted would send it: stored once, by its dedup_key"
send '"duplicate":true' "{\"client_id\":\"123.456\",\"name\":\"refund\",\"dedup_key\":\"refund-T-1001\",\"params\":{\"transaction_id\":\"T-1001\",\"currency\":\"EUR\",\"value\":59.9}}"
echo "    And a wrong one, which GA4 would have answered with 204 and thrown away:"
send '"code":"NAME_RESERVED"' '{"client_id":"123.456","name":"session_start","params":{}}'

chapter "3. The collector received"
wait_for "three deliveries" none_waits
show_arrived
expect_delivered 3 T-1001 S-77-2026-11

chapter "4. An outage: the collector answers 503, the application notices nothing"
collector 'fail=503&for=100000'
for n in 1 2 3 4 5 6; do
	printf '{"client_id":"%d.456","name":"refund","params":{"transaction_id":"T-200%d","currency":"EUR","value":%d,"session_id":"%d","engagement_time_msec":1}}\n' \
		$((n % 3 + 1)) "$n" "$n" "$now"
done | nc -NU "$sock" | sed 's/^/    < /'
wait_for "the first failure" destination_waits
"${ctl[@]}" status | indent

chapter "5. The collector is well again: one request probes, then the backlog goes out"
collector 'fail=204'
wait_for "the backlog to drain" none_waits
show_arrived
expect_delivered 9 T-2001 T-2002 T-2003 T-2004 T-2005 T-2006

chapter "6. kill -9 right after an ok, in the middle of another outage"
collector 'fail=503&for=100000'
send '"ok":true' "{\"client_id\":\"123.456\",\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-3001\",\"currency\":\"EUR\",\"value\":1,\"session_id\":\"$now\",\"engagement_time_msec\":1}}"
kill -9 "$daemon"
wait "$daemon" 2>/dev/null || true
mv "$dir/log" "$dir/log.1"
start
echo "    The next process finds it in the outbox and delivers it:"
wait_for "the event to leave" none_waits
show_arrived
expect_delivered 10 T-3001

chapter "7. The end: everything that was answered ok has arrived, the refused line is kept with its reason"
"${ctl[@]}" status | indent
"${ctl[@]}" list --state rejected | indent
[ "$(queued rejected)" = 1 ] || fail "the refused line was not kept"
if [ -t 0 ] && [ -t 1 ]; then
	read -rp "    The live page, http://127.0.0.1:$page/, is there until you press Enter "
fi
kill "$daemon"
wait "$daemon"
daemon=
# Every transaction that was answered ok, by its id, whatever the order.
for id in T-1001 S-77-2026-11 T-2001 T-2002 T-2003 T-2004 T-2005 T-2006 T-3001; do
	grep -q "^✓ .*transaction_id=$id " "$dir/received" || {
		echo "demo: $id was answered ok and did not arrive" >&2
		exit 1
	}
done
printf '\n%sThat was ga4relay.%s Next: README.md, or try it by hand: %s --sandbox --http=127.0.0.1:8125\n' "$bold" "$plain" "build/release/ga4relay"
