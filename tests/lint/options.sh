#!/bin/bash
# options.sh BUILD_DIR - checks that the sample and the manual have every option of the table, and no others
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${1:?usage: options.sh BUILD_DIR}
sample=etc/ga4relay.conf
manual=man/ga4relay.conf.5
bad=0

say() {
	echo "options: $*"
	bad=1
}

for f in "$sample" "$manual"; do
	if [ ! -e "$f" ]; then
		echo "options: $f is missing"
		exit 1
	fi
done
table=$("$build/lint/options") || exit 1
mapfile -t names < <(cut -f 1 <<<"$table")
known=$(cut -f 1 <<<"$table")
if [ ${#names[@]} -lt 30 ]; then say "the table has only ${#names[@]} options"; fi

# The sample's options by their dotted names: `listen:` or `listen = {` opens a group; commented-out options count as well.
sample_names=$(awk '
	{ sub(/^[ \t]*#+[ \t]?/, ""); sub(/^[ \t]+/, "") }
	/^[a-z_0-9]+[ \t]*[:=][ \t]*\{?[ \t]*$/ && !/;/ { group = $0; sub(/[ \t]*[:=].*/, "", group); next }
	/^\}/ { group = ""; next }
	/^[a-z_0-9]+[ \t]*[:=]/ { name = $0; sub(/[ \t]*[:=].*/, "", name); print (group != "" ? group "." : "") name }
' "$sample")

# In the manual an option is an item: `.It Va listen.socket` (Cm and Ic are accepted too).
manual_names=$(awk '/^\.It (Va|Cm|Ic) / { print $3 }' "$manual")

for name in "${names[@]}"; do
	if ! grep -qxF -- "$name" <<<"$sample_names"; then say "$sample lacks $name"; fi
	if ! grep -qxF -- "$name" <<<"$manual_names"; then say "$manual lacks $name"; fi
done

# Fail on names that the table does not have, so that a renamed option cannot linger in the documents.
stream_members=' name measurement_id firebase_app_id api_secret api_secret_file api_secret_credential api_secret_env endpoint validation ambiguous paused '
while read -r name; do
	if [ -z "$name" ] || [[ $stream_members == *" ${name#streams.} "* ]]; then continue; fi
	# Do not use a pipe: grep -q exits early, and pipefail would treat the writer's SIGPIPE as a missing name.
	if ! grep -qxF -- "$name" <<<"$known"; then say "$manual has $name, which is no option"; fi
done <<<"$manual_names"

# The sample's syntax is right if the program accepts it.
if ! out=$("$build/ga4relay" -t -c "$sample" 2>&1) && ! grep -qiE 'secret|streams' <<<"$out"; then
	say "ga4relay -t refuses $sample: $out"
fi

[ $bad -eq 0 ] && echo "${#names[@]} options"
exit $bad
