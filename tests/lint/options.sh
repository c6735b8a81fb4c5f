#!/bin/bash
# options.sh BUILD_DIR - every option of the table stands in the sample and the manual, and nothing else does
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

# The sample as dotted names: `listen:` or `listen = {` opens a group, commented options count as well.
sample_names=$(awk '
	{ sub(/^[ \t]*#+[ \t]?/, ""); sub(/^[ \t]+/, "") }
	/^[a-z_0-9]+[ \t]*[:=][ \t]*\{?[ \t]*$/ && !/;/ { group = $0; sub(/[ \t]*[:=].*/, "", group); next }
	/^\}/ { group = ""; next }
	/^[a-z_0-9]+[ \t]*[:=]/ { name = $0; sub(/[ \t]*[:=].*/, "", name); print (group != "" ? group "." : "") name }
' "$sample")

# In the manual an option is an item: `.It Va listen.socket` (Cm and Ic are taken too).
manual_names=$(awk '/^\.It (Va|Cm|Ic) / { print $3 }' "$manual")

for name in "${names[@]}"; do
	if ! grep -qxF -- "$name" <<<"$sample_names"; then say "$sample lacks $name"; fi
	if ! grep -qxF -- "$name" <<<"$manual_names"; then say "$manual lacks $name"; fi
done

# Nothing that the table does not know, so that a renamed option cannot linger in the documents.
stream_members=' name measurement_id firebase_app_id api_secret api_secret_file api_secret_credential endpoint validation ambiguous paused '
while read -r name; do
	if [ -z "$name" ] || [[ $stream_members == *" ${name#streams.} "* ]]; then continue; fi
	# Not through a pipe: grep -q leaves early, and pipefail would take the writer's SIGPIPE for a missing name.
	if ! grep -qxF -- "$name" <<<"$known"; then say "$manual has $name, which is no option"; fi
done <<<"$manual_names"

# A program that takes the sample as it stands is the best proof that its syntax is right.
if ! out=$("$build/ga4relay" -t -c "$sample" 2>&1) && ! grep -qiE 'secret|streams' <<<"$out"; then
	say "ga4relay -t refuses $sample: $out"
fi

[ $bad -eq 0 ] && echo "${#names[@]} options"
exit $bad
