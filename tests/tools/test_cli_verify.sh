#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_verify.sh BHCTL [CHECK...]: verify says what opening and reading everything would say. Each case makes one forgery, or
# something odd and healthy, asks verify, then opens the database, reads every row of everybody, suspends and resumes, and compares.
# shellcheck disable=SC2317,SC2094 # checks are called by name; rows is a function and a file
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# ---- the database: SSTs and blob files of two merchants, a WAL with rows, an older generation of keys that is retired

rows() {
	awk -v name="$1" -v from="$2" 'BEGIN {
		for (i = from; i < from + 60; i++)
			printf "row%04d\t%s-%d-%s\n", i, name, i, sprintf("%0" i % 50 + 10 "d", i)
	}'
}

# Makes ./good, of which each case is a copy. One merchant more, cleo, is suspended.
made() {
	fresh
	local name round
	run 0 --db db kms create local:kms#cleo
	run 0 --db db merchant add cleo --cmk local:kms#cleo --class data
	for name in ann bob cleo; do
		for round in 0 100; do
			rows "$name" "$round" >rows
			run 0 --db db load "$name/data" rows
			run 0 --db db compact "$name/data"
			((round)) || cp -a db "before-$name"
		done
	done
	rows ann 300 >rows
	run 0 --db db load ann/events rows --blob-min-size 20
	run 0 --db db compact ann/events
	run 0 --db db merchant suspend cleo --reason rest --operator eve
	run 0 --db db put ann/data last ann
	run 0 --db db put bob/data last bob
	mv db good
	agree "nothing" sound true
}

# The files of the database that is tried, below ./db.
sst() { (cd db && find "$1" -name '*.sst' | sort | head -n 1); }
blob() { (cd db && find tenants/ann/events -name '*.blob' | sort | head -n 1); }
manifest() { (cd db && echo MANIFEST-*); }
# The log that has rows: those before it are flushed.
wal() { (cd db && find . -maxdepth 1 -name '*.log' -size +4096c -printf '%P\n' | sort | tail -n 1); }

# ---- opening and reading: 0, or what it ended with first

everything() {
	local scope code
	for scope in ann/data ann/events bob/data bob/events; do
		"$bhctl" --db db scan "$scope" >>rows-read 2>>open-err </dev/null || return
	done
	"$bhctl" --db db merchant list --json 2>/dev/null |
		jq -e 'all(.merchants[]; .name == "cleo" or .state == "active")' >/dev/null || return 6
	"$bhctl" --db db compact ann/data >/dev/null 2>>open-err </dev/null || return
	"$bhctl" --db db get cleo/data row0001 >/dev/null 2>&1 </dev/null
	code=$?
	((code == 4)) || return "$code"
	"$bhctl" --db db merchant resume cleo >/dev/null 2>>open-err </dev/null || return
	"$bhctl" --db db scan cleo/data >>rows-read 2>>open-err </dev/null
}

# agree WHAT WANTED FORGERY...: a fresh copy, the forgery, verify (which changes nothing), then opening. WANTED: both say that it is
# sound, and every row is there; or both that it is broken.
agree() {
	local what=$1 wanted=$2 verified=0 opened=0 before
	shift 2
	rm -rf db rows-read open-err
	cp -a good db
	"$@" || die "$what: the forgery failed"
	before=$(tree_hash db)
	timeout 60 "$bhctl" --db db verify >out 2>err </dev/null || verified=$?
	[[ $(tree_hash db) == "$before" ]] || die "$what: verify changed the database"
	export -f everything
	bhctl=${bhctl:?} timeout 120 bash -c everything || opened=$?
	((opened < 124)) || die "$what: opening ended with $opened: $(tail -n 3 open-err)"
	[[ $verified == 0 || $verified == 6 ]] || die "$what: verify ended with $verified: $(<err)"
	case $wanted in
	sound) ((verified == 0 && opened == 0)) ;;
	broken) ((verified == 6 && opened != 0)) ;;
	esac || die "$what is not $wanted: verify $verified, opening $opened: $(grep -A4 FAIL out; tail -n 2 open-err)"
	# What is served is served whole.
	if ((opened == 0)); then
		[[ -e all-rows ]] || mv rows-read all-rows
		cmp -s rows-read all-rows || [[ ! -e rows-read ]] ||
			die "$what: rows are missing: $(diff rows-read all-rows | head -n 5)"
	fi
	echo "    $what: $wanted"
}

# ---- forgeries; paths are below ./db

absent() { rm -r "db/$1"; }
cut_by() { truncate -s "-$2" "db/$1"; }
grown_by() { head -c "$2" /dev/zero >>"db/$1"; }
empty() { : >"db/$1"; }
flipped() { flip "db/$1" "$2"; }
flipped_at_end() { flip "db/$1" $(($(stat -c %s "db/$1") - 1)); }
directory() { rm "db/$1" && mkdir "db/$1"; }
pipe() { rm "db/$1" && mkfifo "db/$1"; }
link() { rm -rf aside && mv "db/$1" aside && ln -s "$PWD/aside" "db/$1"; }
copied() { cp "db/$1" "db/$2"; }
begun() { head -c "$2" "db/$1" >"db/$3"; }
# One of before in the place of what is there now: the same class, another content.
exchanged() { cp "$(find "before-$1/tenants/$1/data" -name '*.sst' | sort | head -n 1)" "db/$2"; }

# A generation that is destroyed, and a file under it that the MANIFEST still has.
rotated_away() {
	local file=$1
	cp "db/$file" aside
	run 0 --db db rotate ann --now
	cp aside "db/$file"
}

mapfile -t helpers < <(declare -F | cut -d' ' -f3) # what follows are checks

# ---- checks

files_that_an_open_needs() {
	made
	local file
	for file in CURRENT IDENTITY "$(cd good && echo MANIFEST-*)"; do
		agree "no $file" "$([[ $file == IDENTITY ]] && echo sound || echo broken)" absent "$file"
		agree "a directory as $file" broken directory "$file"
		agree "a pipe as $file" broken pipe "$file"
		agree "a link as $file" broken link "$file"
		agree "a bit of $file's header" broken flipped "$file" 100
		agree "a bit of $file's end" broken flipped_at_end "$file"
		agree "a short $file" broken cut_by "$file" 3
		agree "an empty $file" broken empty "$file"
	done
	agree "a longer CURRENT" broken grown_by CURRENT 1
	agree "a longer IDENTITY" broken grown_by IDENTITY 1
	agree "a longer MANIFEST" sound grown_by "$(cd good && echo MANIFEST-*)" 1
	agree "a directory as LOCK" broken directory LOCK
	agree "a pipe as LOCK" broken pipe LOCK
}

logs() {
	made
	rm -rf db && cp -a good db
	local log
	log=$(wal)
	agree "a directory as a log" broken directory "$log"
	agree "a pipe as a log" broken pipe "$log"
	agree "a link as a log" broken link "$log"
	agree "an empty log" broken empty "$log"
	agree "a bit of a log's header" broken flipped "$log" 60
	agree "a bit of a synced frame" broken flipped "$log" 4105
	agree "a short log" broken cut_by "$log" 5
	agree "a torn frame behind a log's synced end" sound grown_by "$log" 3
	agree "zeros behind a log's synced end" sound grown_by "$log" 5000
	agree "another log's name" broken copied "$log" 999999.log
}

tables() {
	made
	rm -rf db && cp -a good db
	local ann bob log manifest
	log=$(wal) manifest=$(manifest)
	ann=$(sst tenants/ann/data) bob=$(sst tenants/bob/data)
	agree "no table" broken absent "$ann"
	agree "a directory as a table" broken directory "$ann"
	agree "a pipe as a table" broken pipe "$ann"
	agree "a link as a table" broken link "$ann"
	agree "an empty table" broken empty "$ann"
	agree "a short table" broken cut_by "$ann" 1
	agree "a longer table" broken grown_by "$ann" 1
	agree "a bit of a table's header" broken flipped "$ann" 80
	agree "a bit of a table's first page" broken flipped "$ann" 4100
	agree "a bit of a table's last page" broken flipped_at_end "$ann"
	agree "an older table of the class" broken exchanged ann "$ann"
	agree "the other merchant's table" broken copied "$bob" "$ann"
	agree "a log as a table" broken copied "$log" "$ann"
	agree "the MANIFEST as a table" broken copied "$manifest" "$ann"
	agree "CURRENT as a table" broken copied CURRENT "$ann"
	agree "a table too many" sound copied "$ann" tenants/ann/data/999999.sst
}

blobs() {
	made
	rm -rf db && cp -a good db
	local blob ann log manifest
	log=$(wal) manifest=$(manifest)
	blob=$(blob) ann=$(sst tenants/ann/events)
	agree "no blob file" broken absent "$blob"
	agree "a directory as a blob file" broken directory "$blob"
	agree "a pipe as a blob file" broken pipe "$blob"
	agree "a log as a blob file" broken copied "$log" "$blob"
	agree "the MANIFEST as a blob file" broken copied "$manifest" "$blob"
	agree "a table as a blob file" broken copied "$ann" "$blob"
	agree "a short blob file" broken cut_by "$blob" 1
	agree "a bit of a blob file's first page" broken flipped "$blob" 4100
	agree "a blob file too many" sound copied "$blob" tenants/ann/events/999999.blob
}

retired_keys() {
	made
	rm -rf db && cp -a good db
	local ann blob
	ann=$(sst tenants/ann/data) blob=$(blob)
	agree "a table under a destroyed key" broken rotated_away "$ann"
	agree "a blob file under a destroyed key" broken rotated_away "$blob"
}

odd_and_healthy() {
	made
	agree "an unknown file" sound eval 'echo hello >db/notes.txt'
	agree "an unknown pipe" sound mkfifo db/pipe
	agree "an unknown link" sound ln -s /etc/passwd db/tenants/ann/data/notes
	agree "a leftover that is a link" sound ln -s /etc/passwd db/tenants/ann/data/999999.sst
	local table blob
	rm -rf db && cp -a good db
	table=$(sst tenants/ann/data) blob=$(blob)
	agree "a table that a kill left, with its header alone" sound begun "$table" 4096 tenants/ann/data/999999.sst
	agree "a table that a kill left, cut in a page" sound begun "$table" 5000 tenants/ann/data/999999.sst
	agree "a blob file that a kill left, with its header alone" sound begun "$blob" 4096 tenants/ann/events/999999.blob
	agree "a name that is no UTF-8" sound eval $'echo x >db/\xff\xfe'
	agree "trash" sound eval 'echo x >db/tenants/ann/data/000001.sst.trash'
	agree "a leftover of a reseal" sound eval 'echo x >db/tenants/ann/data/000001.sst.bhtmp'
	agree "a directory as LOG" sound eval 'rm db/LOG && mkdir db/LOG'
	local name
	name=$(cd good && find . -maxdepth 1 -name 'OPTIONS-*' -printf '%P\n' | sort | tail -n 1)
	agree "a bit of an OPTIONS file" broken flipped "$name" 4100
	agree "no OPTIONS file" sound eval 'rm db/OPTIONS-*'
	agree "a directory as an OPTIONS file" broken directory "$name"
	agree "a pipe as an OPTIONS file" broken pipe "$name"
	agree "a linked class directory" broken link tenants/ann/data
	rm -rf aside db
	ln -s good link
	run 0 --db link verify
	run 0 --db link/. verify
	run 0 --db ./good// verify
}

# What is parked without keys is looked at as far as that goes: that it is what was parked.
parked() {
	made
	rm -rf db && cp -a good db
	local cleo log
	cleo=$(sst parked/cleo) log=$(wal)
	[[ -n $cleo ]] || die "cleo has no table"
	agree "no parked table" broken absent "$cleo"
	agree "a directory as a parked table" broken directory "$cleo"
	agree "a pipe as a parked table" broken pipe "$cleo"
	agree "an older parked table" broken exchanged cleo "$cleo"
	agree "a log as a parked table" broken copied "$log" "$cleo"
	agree "a bit of a parked table's header" broken flipped "$cleo" 80
	agree "a short parked table" broken cut_by "$cleo" 1
	agree "no INVENTORY" broken absent parked/cleo/INVENTORY
	agree "a directory as the parked CURRENT" broken directory parked/cleo/CURRENT
	rm -rf db && cp -a good db
	run 0 --db db verify
	has out "sealed, not opened"
}

run_checks "$@"
