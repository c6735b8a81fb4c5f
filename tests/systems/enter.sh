#!/bin/bash
# enter.sh ROOT COMMAND - runs a shell command in a tree, with processes, mounts and a loopback network of its own
# NETWORK=1: with this machine's network, to install packages.
set -euo pipefail
root=$1 command=$2
net=(--net)
if [ -n "${NETWORK:-}" ]; then net=(); fi

# A root that is a mount point, so that the tests can make namespaces of their own in it.
# shellcheck disable=SC2016 # the inner shell's variables
unshare --mount --pid --ipc --uts "${net[@]}" --fork --kill-child bash -euc '
	root=$1 command=$2
	mount --make-rprivate /
	mount --bind "$root" "$root"
	cd "$root"
	mount -t proc proc proc
	mount --rbind /sys sys
	mount --rbind /dev dev
	mount -t tmpfs tmpfs dev/shm
	mount -t tmpfs -o mode=755 tmpfs run
	if [ -z "${NETWORK:-}" ]; then ip link set lo up; fi
	pivot_root . mnt
	umount --lazy /mnt
	exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
		E2E_AGAIN="${E2E_AGAIN:-}" ${CASES:+CASES="$CASES"} ${PYTEST_ARGS:+PYTEST_ARGS="$PYTEST_ARGS"} ${http_proxy:+http_proxy="$http_proxy"} bash -c "$command"
' enter "$root" "$command" &
# unshare itself ignores both, and so does what is the first process of its namespace.
trap 'kill -KILL $!' INT TERM
wait $!
