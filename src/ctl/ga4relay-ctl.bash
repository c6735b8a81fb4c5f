# bash completion for ga4relay-ctl
#
# What the daemon says is compared with what was typed and never expanded: `compgen -W` would run a command substitution
# in one of its words. Of streams, only names that a configuration may have are offered.

_ga4relay_ctl_streams() {
	ga4relay-ctl "${sockets[@]}" --json status 2>/dev/null | tr '{' '\n' |
		LC_ALL=C sed -n 's/^"name":"\([A-Za-z0-9][A-Za-z0-9_.-]*\)".*/\1/p'
}

_ga4relay_ctl_commands() {
	ga4relay-ctl --help | LC_ALL=C sed -n 's/^  \([a-z][a-z-]*\) [ A-Z[].*/\1/p'
}

_ga4relay_ctl_options() {
	ga4relay-ctl "$command" --help | LC_ALL=C sed -n 's/^  \(-[a-z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
}

# Those words that begin with what was typed.
_ga4relay_ctl_offer() {
	local word
	for word; do
		if [[ $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi
	done
}

_ga4relay_ctl_files() {
	compopt -o filenames 2>/dev/null # which quotes them
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
}

_ga4relay_ctl() {
	local cur prev word command='' sockets=() words=() i
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-s | --control)
			i=$((i + 1))
			if ((i < COMP_CWORD)); then sockets=(-s "${COMP_WORDS[i]}"); fi
			;;
		--offline | --config | -c | --socket | --state | --stream | --client | --name | --reason | --older | \
			--limit | --by | --property | --token-file | --conninfo-file | --quota-project | --wait | --api) i=$((i + 1)) ;;
		-*) ;;
		*)
			command=$word
			break
			;;
		esac
	done

	case $prev in
	-s | --control | --socket | --offline | --config | -c | --token-file | --conninfo-file) _ga4relay_ctl_files && return ;;
	--state) _ga4relay_ctl_offer queued inflight held dead delivered rejected && return ;;
	--reason) _ga4relay_ctl_offer refused too-large expired ambiguous corrupt && return ;;
	--by) _ga4relay_ctl_offer stream name state reason age && return ;;
	--older) _ga4relay_ctl_offer 5m 1h 24h 72h 7d && return ;;
	--stream)
		mapfile -t words < <(_ga4relay_ctl_streams)
		_ga4relay_ctl_offer "${words[@]}" && return
		;;
	--wait) _ga4relay_ctl_offer 2m 10m 29m && return ;;
	--client | --name | --limit | --property | --quota-project | --api) return ;;
	esac

	case $command in
	'')
		mapfile -t words < <(_ga4relay_ctl_commands)
		_ga4relay_ctl_offer "${words[@]}" --offline --fleet --json --help -s
		return
		;;
	pause | resume) mapfile -t words < <(_ga4relay_ctl_streams) ;;
	drop) words=(ALL) ;;
	log-level) words=(error warning info debug) ;;
	send | validate | backup | restore | check-config) _ga4relay_ctl_files ;;
	esac
	_ga4relay_ctl_offer "${words[@]}"
	mapfile -t words < <(_ga4relay_ctl_options)
	_ga4relay_ctl_offer "${words[@]}"
}

complete -F _ga4relay_ctl ga4relay-ctl
