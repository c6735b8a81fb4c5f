#!/bin/bash
# layers.sh - includes point one way, and each third-party header lives in one directory; layers.sh [DIR, default src]
set -uo pipefail

dir=${1:-src}

# For every layer what it may include, itself aside. The picture is README.md's "The house".
declare -A may=(
	[base]=''
	[model]='base'
	[codec]='base model'
	[conf]='base model'
	[store]='base model'
	[net]='base model/outcome.h'
	[daemon]='base model codec conf store net'
	[ctl]='base model codec conf store'
)
# The only file of ctl that may touch the store: the commands on the file of a stopped daemon.
offline='ctl/offline*.[ch]'

declare -A home=([yajl/]=codec [sqlite3]=store [libconfig]=conf [curl/]=net [event2/]=net)

bad=0
say() {
	echo "$1" >&2
	bad=$((bad + 1))
}

check_own() { # check_own FILE:LINE LAYER INCLUDED FILE
	local where=$1 layer=$2 included=$3 file=$4 target=${3%%/*} ok
	if [ "$target" = "$included" ]; then
		say "$where: write \"$layer/$included\": includes name their layer"
		return
	fi
	if [ ! -e "$dir/$included" ]; then
		say "$where: there is no $dir/$included"
		return
	fi
	if [ "$target" = "$layer" ]; then return; fi
	# shellcheck disable=SC2053,SC2254 # a pattern on purpose
	if [ "$layer/$target" = ctl/store ] && [[ $file != $offline ]]; then
		say "$where: only $offline may include the store: $included"
		return
	fi
	for ok in ${may[$layer]}; do
		if [ "$target" = "$ok" ] || [ "$included" = "$ok" ]; then return; fi
	done
	say "$where: $layer must not include $included (allowed: ${may[$layer]:-libc only})"
}

check_system() { # check_system FILE:LINE LAYER HEADER
	local prefix
	for prefix in "${!home[@]}"; do
		if [[ $3 == "$prefix"* ]] && [ "$2" != "${home[$prefix]}" ]; then
			say "$1: <$3> belongs in ${home[$prefix]}/, not in $2/"
		fi
	done
}

seen=0
while IFS=: read -r path line text; do
	seen=$((seen + 1))
	file=${path#"$dir"/}
	layer=${file%%/*}
	if [ -z "${may[$layer]+known}" ]; then
		say "$path: $layer is not a layer"
		continue
	fi
	name=$(sed -E 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]([^>"]+)[>"].*/\1/' <<<"$text")
	case $text in
	*\"*) check_own "$path:$line" "$layer" "$name" "$file" ;;
	*) check_system "$path:$line" "$layer" "$name" ;;
	esac
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include' "$dir" --include='*.[ch]')

if [ "$seen" -eq 0 ]; then
	echo "layers.sh: no include found under $dir: looking in the wrong place?" >&2
	exit 2
fi
if [ "$bad" -gt 0 ]; then
	echo "layers: $bad of $seen includes point the wrong way" >&2
	exit 1
fi
echo "layers: $seen includes, all point the right way"
