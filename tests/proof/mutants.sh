#!/bin/bash
# mutants.sh - the attackers against relays that are broken on purpose: each must be caught, or the attacker proves nothing
# mutants.sh [NAME…]; a mutant is a file of src/, an edit for sed, and the attacker that must fail on it
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

names=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
caught=0 missed=()

build() { # build FILE EDIT
	rm -rf "$work/tree" && mkdir -p "$work/tree" || return 1
	tar --create --exclude=./build/[!r]* --exclude=./.git . | tar --extract -C "$work/tree" || return 1
	sed -i "$2" "$work/tree/$1"
	if cmp -s "$1" "$work/tree/$1"; then
		echo "the edit changes nothing in $1"
		return 1
	fi
	make --no-print-directory -C "$work/tree" -j"$(nproc)" CFLAGS=-Wno-error all build/release/proof/killat build/release/proof/powercut build/release/tests/clock_shim.so build/release/tests/heap_shim.so >"$work/log" 2>&1 ||
		{ tail -20 "$work/log" && return 1; }
}

# In the attacker's words. Where there is none of these it failed, but not of the mutant.
reason() {
	grep -oE 'acknowledged and (is )?gone|given to|had been given|counted twice|damaged file.{0,40}|memory grows: [0-9]+ KiB, then [0-9]+|events-lost=[1-9][0-9]*|images-corrupt=[1-9][0-9]*|not sound' \
		"$work/out" | sort | uniq -c | sort -rn | sed -n '1s/^ *//p' | grep .
}

mutant() { # mutant NAME FILE EDIT ATTACKER [ARGUMENT…]
	local name=$1 file=$2 edit=$3 why
	shift 3
	if [ ${#names[@]} -gt 0 ] && [[ " ${names[*]} " != *" $name "* ]]; then return; fi
	build "$file" "$edit" || { missed+=("$name (not built)") && return; }
	if (cd "$work/tree" && BUILD_DIR=$PWD/build/release PYTHONDONTWRITEBYTECODE=1 "$@") >"$work/out" 2>&1; then
		missed+=("$name")
		echo "MISSED  $name: $*"
	elif why=$(reason); then
		caught=$((caught + 1))
		echo "caught  $name: $why"
	else
		missed+=("$name (the attacker failed otherwise)")
		echo "FAILED  $name: $(tail -n 1 "$work/out" | cut -c1-300)"
	fi
}

# An ok before the COMMIT: two of three groups are committed with the next one.
mutant early-ok src/outbox/db/db.c \
	's/^\treturn db_run(db, SQL_BEGIN);/\treturn sqlite3_get_autocommit(db->conn) ? db_run(db, SQL_BEGIN) : 0;/
	 s/^\treturn db_run(db, SQL_COMMIT);/\tstatic int n;\n\n\treturn ++n % 3 ? 0 : db_run(db, SQL_COMMIT);/' \
	tests/proof/kill.py -n 30 -s 1
# A COMMIT without its sync.
mutant no-sync src/outbox/store/store.c 's/PRAGMA synchronous = FULL/PRAGMA synchronous = OFF/' tests/proof/cuts.py -n 60 -s 1 intake checkpoint
mutant no-sync-store src/outbox/store/store.c 's/PRAGMA synchronous = FULL/PRAGMA synchronous = NORMAL/' build/release/proof/powercut -n 200 -m full
# The promise of ids in the lock file is written, not synced.
mutant mark-not-synced src/outbox/file/lockfile.c 's/ || fdatasync(l->fd) < 0//' tests/proof/cuts.py -n 160 -s 1 setaside setasidesuspect
# The new file's name is not synced.
mutant name-not-synced src/outbox/file/new_outbox.c 's/fd < 0 || fsync(fd) < 0/fd < 0/' tests/proof/cuts.py -n 90 -s 1 firststart setaside
# The WAL that another process left is taken as it reads.
mutant wal-not-rewritten src/outbox/store/store.c 's/rewrite_wal(st->path, st->config.vfs, err)/0/' build/release/proof/powercut -n 300 -s 5 -f 10
# What is in flight is not noted.
mutant no-bound src/outbox/jobs/jobs_admin.c 's/(int64_t)CONTAINER_OF(job, struct job_in_flight, job)->bound/0/' tests/proof/kill.py -n 60 -s 1
# A damaged outbox is set aside without its WAL.
mutant wal-left src/outbox/store/aside.c 's/r = beside_rename(path, aside, suffix, err);/r = beside_remove(path, suffix, err);/' tests/proof/calls.py -n 4 setaside
# A KiB of every fifty lines is never freed.
mutant leak src/event/event.c \
	's/^\t\tfree(s->block);/\t{\n\t\tstatic unsigned n;\n\n\t\tfree(s->block);\n\t\tif (++n % 50 == 0)\n\t\t\t*(volatile char *)malloc(1024) = 1;\n\t}/' \
	tests/proof/soak.py -t 900 -s 1

echo "$caught caught, ${#missed[@]} missed: ${missed[*]-}"
[ ${#missed[@]} -eq 0 ]
