#compdef ga4relay-ctl
# zsh completion for ga4relay-ctl
#
# What the daemon says goes to compadd as it is, which quotes what it inserts and expands nothing. Of streams, only names
# that a configuration may have are offered.

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

_ga4relay_ctl() {
	emulate -L zsh
	local -a sockets
	local command= previous=$words[CURRENT-1] i

	for ((i = 2; i < CURRENT; i++)); do
		case $words[i] in
		(-s | --control)
			((++i < CURRENT)) && sockets=(-s "${(Q)words[i]}")
			;;
		(--offline | --config | -c | --socket | --state | --stream | --client | --name | --reason | --older | --limit | --by | \
			--property | --token-file | --conninfo-file | --quota-project | --wait | --api)
			((++i))
			;;
		(-*) ;;
		(*)
			command=$words[i]
			break
			;;
		esac
	done

	case $previous in
	(-s | --control | --socket | --offline | --config | -c | --token-file | --conninfo-file) _files; return ;;
	(--state) compadd -- queued inflight held dead delivered rejected; return ;;
	(--reason) compadd -- refused too-large expired ambiguous corrupt; return ;;
	(--by) compadd -- stream name state reason age; return ;;
	(--older) compadd -- 5m 1h 24h 72h 7d; return ;;
	(--stream) compadd -- ${(f)"$(_ga4relay_ctl_streams)"}; return ;;
	(--wait) compadd -- 2m 10m 29m; return ;;
	(--client | --name | --limit | --property | --quota-project | --api) return 1 ;;
	esac

	case $command in
	('')
		compadd -- ${(f)"$(_ga4relay_ctl_commands)"} --offline --fleet --json --help -s
		return
		;;
	(pause | resume) compadd -- ${(f)"$(_ga4relay_ctl_streams)"} ;;
	(drop) compadd -- ALL ;;
	(log-level) compadd -- error warning info debug ;;
	(send | validate | backup | restore | check-config) _files ;;
	esac
	compadd -- ${(f)"$(_ga4relay_ctl_options)"}
}

_ga4relay_ctl "$@"
