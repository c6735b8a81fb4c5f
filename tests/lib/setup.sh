#!/bin/bash
# setup.sh - installs what a make target needs: setup.sh build | deb | demo | check | bench | ci
# (the table below has what each includes)
# Does nothing if everything is installed. On systems without apt, prints their names of the packages and continues.
# --list: only prints what is missing, and installs nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
list=
if [ "${1:-}" = --list ]; then
	list=1
	shift
fi
want=${1:-build}

case $want in
build) sets='build' ;;
deb) sets='build deb' ;;
demo) sets='build demo' ;;
check) sets='build demo check' ;;
bench) sets='build demo check bench' ;;
ci) sets='build deb demo check ci' ;;
*)
	echo "usage: setup.sh [--list] build|deb|demo|check|bench|ci" >&2
	exit 2
	;;
esac

say() { printf '\n==> %s\n' "$*"; }

# names COLUMN: prints the packages of the wanted sets by one distribution's names
names() {
	awk -v sets=" $sets " -v column="$1" \
		'!/^#/ && NF && index(sets, " " $1 " ") && $column != "-" {print $column}' "$here/packages"
}

print_other_systems() {
	say "this is not Debian or Ubuntu: nothing is installed for you. Needed for 'make $want':"
	echo "  Fedora:  dnf install $(names 3 | xargs)"
	echo "  Alpine:  apk add bash $(names 4 | xargs)"
	echo "  Arch:    pacman -S $(names 5 | xargs)"
	echo "Going on with what is here."
}

# A program with a package's name that is already installed, from whatever source, is used, because nodejs from another repository
# includes npm and conflicts with Debian's npm.
missing_packages() {
	local installed name
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | awk '$2 == "installed" {print $1}')
	for name in $(names 2 | grep -vxF -f <(printf '%s\n' "$installed")); do
		command -v "$name" >/dev/null || echo "$name"
	done
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	print_other_systems
	exit 0
fi

mapfile -t missing < <(missing_packages)
if [ -n "$list" ]; then
	if [ ${#missing[@]} -gt 0 ]; then
		say "MISSING: ${missing[*]}"
		echo "What needs them fails or is skipped. 'make setup' installs them, as root or with sudo."
	fi
	exit 0
fi
if [ ${#missing[@]} -eq 0 ]; then
	echo "==> set-up: all packages for '$want' are installed"
	exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "setup.sh: run this as root (there is no sudo here): apt-get install -y ${missing[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi

# A package's service (nginx) must not start because the tests need its program. policy-rc.d is Debian's way to prevent
# that; an existing one belongs to the machine's owner and is left unchanged.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	# shellcheck disable=SC2064 # expanded now on purpose: as_root does not change later
	trap "${as_root[*]:+${as_root[*]} }rm -f $policy" EXIT
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
	"${as_root[@]}" chmod 755 $policy
fi

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@"; }

say "set-up: installing ${#missing[@]} packages: ${missing[*]}"
if ! apt install -y --no-install-recommends "${missing[@]}"; then
	say "set-up: once more, with fresh package lists"
	apt update
	apt install -y --no-install-recommends "${missing[@]}"
fi
say "set-up: done"
