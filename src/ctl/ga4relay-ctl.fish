# fish completion for ga4relay-ctl
#
# What the daemon says is printed, one candidate a line: fish quotes what it inserts and expands nothing of it. Of
# streams, only names that a configuration may have are offered.

function __ga4relay_ctl_streams
	ga4relay-ctl $argv --json status 2>/dev/null | tr '{' '\n' |
		LC_ALL=C sed -n 's/^"name":"\([A-Za-z0-9][A-Za-z0-9_.-]*\)".*/\1/p'
end

function __ga4relay_ctl_commands
	ga4relay-ctl --help | LC_ALL=C sed -n 's/^  \([a-z][a-z-]*\) [ A-Z[].*/\1/p'
end

function __ga4relay_ctl_options
	ga4relay-ctl $argv[1] --help | LC_ALL=C sed -n 's/^  \(-[a-z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
end

function __ga4relay_ctl
	set -l words (commandline -opc)
	set -l typed (commandline -ct)
	set -l sockets
	set -l command ''
	set -l takes -s --control --offline --config -c --socket --state --stream --client --name --reason --older --limit --by \
		--property --token-file --conninfo-file --quota-project --wait --api
	set -l i 2

	while test $i -le (count $words)
		set -l word $words[$i]
		if contains -- $word $takes
			set i (math $i + 1)
			if contains -- $word -s --control; and test $i -le (count $words)
				set sockets -s $words[$i]
			end
		else if not string match -q -- '-*' $word
			set command $word
			break
		end
		set i (math $i + 1)
	end

	switch $words[-1]
		case -s --control --socket --offline --config -c --token-file --conninfo-file
			__fish_complete_path $typed
			return
		case --state
			printf '%s\n' queued inflight held dead delivered rejected
			return
		case --reason
			printf '%s\n' refused too-large expired ambiguous corrupt
			return
		case --by
			printf '%s\n' stream name state reason age
			return
		case --older
			printf '%s\n' 5m 1h 24h 72h 7d
			return
		case --stream
			__ga4relay_ctl_streams $sockets
			return
		case --wait
			printf '%s\n' 2m 10m 29m
			return
		case --client --name --limit --property --quota-project --api
			return
	end

	switch $command
		case ''
			__ga4relay_ctl_commands
			printf '%s\n' --offline --fleet --json --help -s
			return
		case pause resume
			__ga4relay_ctl_streams $sockets
		case drop
			echo ALL
		case log-level
			printf '%s\n' error warning info debug
		case send validate backup restore check-config
			__fish_complete_path $typed
	end
	__ga4relay_ctl_options $command
end

complete -c ga4relay-ctl -f -a '(__ga4relay_ctl)'
