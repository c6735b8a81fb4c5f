# bash completion for ga4relay-ctl

_ga4relay_ctl_streams() {
	ga4relay-ctl "${sockets[@]}" --json status 2>/dev/null | tr '{' '\n' | sed -n 's/^"name":"\([^"]*\)".*/\1/p'
}

_ga4relay_ctl() {
	local cur prev word command='' sockets=() options='' i
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()

	local filter='--state --stream --client --name --reason --older'
	local commands='status list show count retry hold release drop pause resume flush tap send validate export
		backup check metrics check-config reload log-level version doctor'

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-s | --control)
			i=$((i + 1))
			if ((i < COMP_CWORD)); then sockets=(-s "${COMP_WORDS[i]}"); fi
			;;
		--offline | --config | -c | --socket | --state | --stream | --client | --name | --reason | --older | \
			--limit | --by) i=$((i + 1)) ;;
		-*) ;;
		*)
			command=$word
			break
			;;
		esac
	done

	case $prev in
	-s | --control | --socket | --offline | --config | -c)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--state)
		mapfile -t COMPREPLY < <(compgen -W 'queued inflight held dead delivered rejected' -- "$cur")
		return
		;;
	--reason)
		mapfile -t COMPREPLY < <(compgen -W 'refused too-large expired ambiguous corrupt' -- "$cur")
		return
		;;
	--by)
		mapfile -t COMPREPLY < <(compgen -W 'stream name state reason age' -- "$cur")
		return
		;;
	--older)
		mapfile -t COMPREPLY < <(compgen -W '5m 1h 24h 72h 7d' -- "$cur")
		return
		;;
	--stream)
		mapfile -t COMPREPLY < <(compgen -W "$(_ga4relay_ctl_streams)" -- "$cur")
		return
		;;
	--client | --name | --limit) return ;;
	esac

	case $command in
	'') options="$commands --offline" ;;
	status) options='--watch' ;;
	list) options="$filter --limit --reverse --offline" ;;
	show) options='--offline' ;;
	count) options="$filter --by --offline" ;;
	retry) options="$filter --dead" ;;
	hold | release) options=$filter ;;
	drop) options="$filter --dead --yes ALL" ;;
	pause | resume) options=$(_ga4relay_ctl_streams) ;;
	tap) options='--stream --name' ;;
	send) options='--socket' ;;
	validate) options='--config --remote --relaxed' ;;
	export) options="$filter --offline" ;;
	check) options='--offline' ;;
	log-level) options='error warning info debug' ;;
	doctor) options='--config' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$options --json --help -s" -- "$cur")
	case $command in
	send | validate | backup | check-config)
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
		;;
	esac
}

complete -F _ga4relay_ctl ga4relay-ctl
