#!/bin/bash
# tree.sh ROOT SUITE ARCH kept|week - a bare Debian in which the README's commands have installed what the tests need
# It is kept, and made again when what it is made from changes; of "week" also each week.
# exit 77: the mirror does not give the bare system; 1: the README's commands fail in it.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$1 suite=$2 arch=$3 kept=$4
new=$root.new log=$root.made.log

stamp() {
	echo "$suite $arch"
	if [ "$kept" = week ]; then date +%G-%V; fi
	cat "$here/tree.sh" "$here/../lib/packages" "$here/../lib/setup.sh"
}

# Where this machine's own apt takes its packages from; MIRROR= names another.
mirror() {
	local codename
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v codename="$codename" '$2 == codename && $3 == "main" {print $1; exit}'
}

make_tree() {
	rm -rf --one-file-system "$new"
	# One script makes all of Debian's suites; not every debootstrap has each one's name.
	debootstrap --variant=minbase --arch="$arch" "$suite" "$new" "$1" /usr/share/debootstrap/scripts/sid || return 77
	cp -L /etc/resolv.conf "$new/etc/resolv.conf"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$new/etc/hosts"
	# A mirror may be a snapshot, older than its suites say they are good for.
	echo 'Acquire::Check-Valid-Until "false";' >"$new/etc/apt/apt.conf.d/snapshot"
	mkdir -p "$new/root/tests" && cp -r "$here/../lib" "$new/root/tests/lib" || return 1
	NETWORK=1 "$here/enter.sh" "$new" 'apt-get update && apt-get install -y make && /root/tests/lib/setup.sh check' || return 1
	rm -rf "$new/root/tests" "$new"/var/cache/apt/archives/*.deb
	stamp >"$new/.ga4relay-stamp"
	rm -rf --one-file-system "$root" && mv "$new" "$root"
}

if stamp | cmp -s - "$root/.ga4relay-stamp"; then exit 0; fi
from=${MIRROR:-$(mirror)}
if [ -z "$from" ]; then
	echo "tree.sh: apt has no source to make $suite from; MIRROR= names one" >&2
	exit 77
fi
export http_proxy=${http_proxy:-$(apt-config dump --format %v Acquire::http::Proxy)}
echo "==> making $root ($suite $arch), once: some minutes"
make_tree "$from" </dev/null >"$log" 2>&1
rc=$?
if [ $rc -ne 0 ]; then
	umount -q "$new/proc" 2>/dev/null
	tail -n 5 "$log" >&2
	# 126: "Exec format error", of a kernel without 32 bits.
	if chroot "$new" /bin/true 2>/dev/null; [ $? -eq 126 ]; then
		echo "tree.sh: this machine's kernel runs no programs for $arch (qemu-user, registered in binfmt_misc, would)" >&2
	fi
	echo "tree.sh: $suite $arch could not be made, see $log" >&2
	exit $rc
fi
