#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_suspend.sh BHCTL [CHECK...]: a merchant is switched off and on, by an operator or by its KMS, as seen on the command
# line: what is refused and how, what goes on, what comes back, and what verify and dump say meanwhile.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# rows NAME: all that the merchant holds, sorted.
rows() {
	run 0 --db db scan "$1/data" --hex
	cp out data-rows
	run 0 --db db scan "$1/events" --hex
	sort out data-rows
}

hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }

# refused CODE NAME: every command on ann's data ends so, and bob's go on.
refused() {
	local command
	for command in "get ann/data key1" "put ann/data a b" "delete ann/data key1" "scan ann/events" "load ann/data $PWD/input" \
		"compact ann/data"; do
		# shellcheck disable=SC2086 # words
		run "$1" --db db $command --json
		error "$1" "$2"
	done
	run 0 --db db put bob/data more "of bob"
	run 0 --db db get bob/data more
	has out "of bob"
}

# Rows in tables, in blob files, deleted ones, and one that is in the WAL alone until the database is opened; ./before has them.
fill() {
	fresh
	awk 'BEGIN { srand(7); for (i = 0; i < 800; i++) printf "%05d\t%f%f%f\n", i, rand(), rand(), rand() }' >input
	run 0 --db db load ann/events input --blob-min-size 20
	run 0 --db db delete ann/events 00007
	run 0 --db db compact ann/data
	run 0 --db db put ann/data --hex 00ff 0a00
	rows ann >rows-flushed
	run 0 --db db put ann/data last "in the WAL"
	printf '%s\t%s\n' "$(hex last)" "$(hex "in the WAL")" | sort rows-flushed - >before
}

helpers+=(rows hex refused fill one parked_log)

# ---- by an operator

suspend_refuses_one_and_serves_the_others() {
	fill
	run 0 --db db merchant suspend ann --reason "invoice 17" --operator eve --json
	json '.merchant, .state, .cause' $'ann\nsuspended\noperator'
	json .note "invoice 17 (by eve)"
	[[ -d db/parked/ann && ! -e db/tenants/ann ]] || die "its files are not where they should be"
	refused 4 suspended
	run 0 --db db verify
	run 0 --db db merchant resume ann --json
	json '.merchant, .state, .cause' $'ann\nactive\nnull'
	[[ ! -e db/parked/ann && -d db/tenants/ann ]] || die "its files are not where they should be"
	rows ann >after
	cmp before after || die "other rows came back"
	run 0 --db db put ann/data key1 "it writes again"
	run 0 --db db get ann/data key1
	has out "it writes again"
	run 0 --db db verify
}

list_show_and_status_say_why() {
	fill
	run 0 --db db merchant suspend ann --reason "invoice 17" --operator eve
	has out "merchant 'ann' is suspended (operator, since 20"
	has out ": invoice 17 (by eve))"
	run 0 --db db merchant list
	has out "(operator, since 20"
	run 0 --db db merchant list --json
	json '[.merchants[] | .name + ":" + .state] | join(" ")' "ann:suspended bob:active"
	json '.merchants[0].note' "invoice 17 (by eve)"
	json '.merchants[1] | has("cause")' false
	local command
	for command in "merchant show" status; do
		# shellcheck disable=SC2086 # words
		run 0 --db db $command ann --json
		json '.merchants[0] | .state, .cause, .parked' $'suspended\noperator\nparked/ann'
		json '.merchants[0].since | test("^20[0-9-]*T[0-9:]*Z$")' true
		json '.merchants[0].classes[0].sst_files > 0' true
		json '.merchants[0].classes[1].blob_files > 0' true
		# shellcheck disable=SC2086 # words
		run 0 --db db $command ann
		has out "merchant ann: suspended"
		has out ": invoice 17 (by eve); its files are in parked/ann"
	done
	# The live database's logs, not those that are parked.
	run 0 --db db status --json
	json ".database.logs.files == $(find db -maxdepth 1 -name '*.log' | wc -l)" true
}

suspended_stays_so_over_every_command_and_suspend_again() {
	fill
	run 0 --db db merchant suspend ann --reason first
	run 0 --db db merchant suspend ann --reason second --json
	json '.state, .note' $'suspended\nfirst'
	run 0 --db db get bob/data key1
	run 0 --db db compact bob/data
	run 0 --db db merchant list
	run 0 --db db kms rotate local:kms#ann
	run 0 kms disable local:kms#ann
	run 4 --db db get ann/data key1
	run 7 --db db merchant resume ann --json
	error 7 kms-refused
	run 4 --db db get ann/data key1
	run 0 kms enable local:kms#ann
	run 4 --db db get ann/data key1
	run 0 --db db merchant resume ann
	rows ann >after
	cmp before after || die "other rows came back"
}

suspend_and_resume_refuse() {
	fresh
	unchanged db 2 --db db merchant suspend
	unchanged db 2 --db db merchant suspend ann bob
	unchanged db 2 --db db merchant suspend ann --reason
	unchanged db 2 merchant suspend ann
	run 2 --db db merchant suspend ann --reason "$(printf 'r%.0s' {1..300})" --json
	error 2 invalid
	run 3 --db db merchant suspend dora --json
	error 3 no-such-merchant
	unchanged db 3 --db db merchant resume dora --json
	error 3 no-such-merchant
	run 2 --db db merchant resume ann --json
	error 2 exists
	has err "'ann': is not suspended"
	run 0 --db db merchant shred bob --yes
	run 5 --db db merchant suspend bob --json
	error 5 shredded
	run 5 --db db merchant resume bob --json
	error 5 shredded
	run 0 --db db get ann/data key1
	local name
	for name in '' . .. ../ann /etc ann/data ' ' $'ann\n' 'ann#' .new-ann parked/ann "$(printf 'n%.0s' {1..65})"; do
		unchanged db 2 --db db merchant suspend -- "$name"
		unchanged db 2 --db db merchant resume -- "$name"
	done
	unchanged db 3 --db nowhere/db merchant suspend ann
}

notes_of_any_bytes_do_not_steer_the_terminal() {
	fresh
	run 0 --db db merchant suspend ann --reason $'\e[31mred\n\xff' --operator $'\a'
	! grep -q $'[\e\a]' out || die "a control character reached the terminal"
	run 0 --db db status
	has out "ann: suspended"
	run 0 --db db merchant show ann
	! grep -q $'[\e\a]' out || die "a control character reached the terminal"
	run 0 --db db merchant list --json
	json '.merchants[0].note_hex' 1b5b33316d7265640aff20286279200729
	run 0 --db db merchant resume ann
}

a_suspended_merchant_is_shredded() {
	fill
	run 0 --db db merchant suspend ann
	run 0 --db db merchant shred ann --yes --json
	json .certificate.status FINAL
	[[ ! -e db/parked/ann && ! -e db/tenants/ann ]] || die "its files are there"
	run 5 --db db get ann/data key1
	run 5 --db db merchant resume ann
	run 0 --db db get bob/data key1
	run 0 --db db verify
	# Its name is free again, and the new one is another merchant.
	run 0 --db db kms create local:kms#ann2
	run 0 --db db merchant add ann --cmk local:kms#ann2 --class data
	run 3 --db db get ann/data key1
	run 0 --db db merchant suspend ann
	run 0 --db db merchant resume ann
	run 3 --db db get ann/data key1
	run 0 --db db verify
}

# ---- by the KMS

a_disabled_cmk_concerns_its_merchant_alone() {
	fill
	run 0 kms disable local:kms#ann
	refused 7 kms-refused
	run 0 --db db merchant show ann --json
	json '.merchants[0] | .state, .cause' $'suspended\nkms-refused'
	run 7 --db db merchant resume ann
	run 0 kms enable local:kms#ann
	# A command that looks leaves it where it is; the next open that may write brings it back, whoever asks for what.
	unchanged db 7 --db db get ann/data last
	run 0 --db db compact bob/data
	run 0 --db db merchant show ann --json
	json '.merchants[0].state' active
	rows ann >after
	cmp before after || die "other rows came back"
	run 0 --db db verify
}

resume_after_the_kms_gives_the_key_again() {
	fill
	run 0 kms disable local:kms#ann
	run 7 --db db delete ann/data none
	run 0 kms enable local:kms#ann
	run 0 --db db merchant resume ann --json
	json .state active
	run 2 --db db merchant resume ann
	rows ann >after
	cmp before after || die "other rows came back"
}

an_operator_outweighs_the_kms() {
	fill
	run 0 kms disable local:kms#ann
	run 7 --db db get ann/data last
	run 0 --db db merchant suspend ann --json
	json '.state, .cause' $'suspended\noperator'
	run 0 kms enable local:kms#ann
	run 4 --db db get ann/data last
	run 0 --db db merchant resume ann
	rows ann >after
	cmp before after || die "other rows came back"
}

# ---- verify and dump meanwhile

# one KIND: a parked file of that kind of ann's.
one() { find db/parked/ann -name "$1" | sort | head -n 1; }
# The WAL with her last row.
parked_log() { find db/parked/ann -name '*.log' -size +4096c | sort | tail -n 1; }

verify_while_suspended() {
	fill
	run 0 --db db merchant suspend ann
	unchanged db 0 --db db verify --json
	json '.ok' true
	json '[.checks[] | select(.name == "tables" or .name == "blobs").sealed_suspended > 0] | all' true
	json '[.checks[].skipped_no_key] | add' 0
	json '[.checks[] | select(.name == "files present").files] | first >= 4' true
	run 0 --db db verify
	has out "; sealed, not opened: "
	has out "merchant 'ann' is suspended (operator): its files are sealed, and are not opened"
	! grep -E 'no file of|belongs to no|leftover' out || die "what belongs there is noted"
}

# Whatever can be told without the merchant's key: every header, every size, the shared files to the last bit, and what is there.
verify_finds_what_is_wrong_with_parked_files() {
	fill
	run 0 --db db merchant suspend ann
	cp -a db good
	local table blob manifest file offset
	table=$(one '*.sst') blob=$(one '*.blob') manifest=$(one 'MANIFEST-*')
	for file in "$table" "$blob" "$manifest" db/parked/ann/CURRENT db/parked/ann/INVENTORY; do
		for offset in 9 20 30 60; do
			flip "$file" "$offset"
			unchanged db 6 --db db verify --json
			json "[.checks[].failures[].file] | index(\"${file#db/}\") != null" true
			cp "good/${file#db/}" "$file"
		done
	done
	flip "$manifest" 4200
	run 6 --db db verify
	has out "${manifest#db/}: frame "
	cp "good/${manifest#db/}" "$manifest"
	for file in "$table" "$blob" "$manifest" db/parked/ann/CURRENT db/parked/ann/INVENTORY; do
		rm "$file"
		unchanged db 6 --db db verify
		has out "${file##*/}"
		cp "good/${file#db/}" "$file"
		truncate -s -1 "$file"
		run 6 --db db verify
		cp "good/${file#db/}" "$file"
	done
	# Another file of hers, and one of somebody else's, in its place.
	cp "$(find db/parked/ann/tenants/ann/data -name '*.sst' | head -n 1)" db/parked/ann/tenants/ann/events/
	cp "$(find db/tenants/bob -name '*.sst' | head -n 1)" "$table"
	run 6 --db db verify
	has out "${table#db/}: tag-mismatch"
	cp "good/${table#db/}" "$table"
	run 6 --db db verify --json
	json '[.checks[].failures[] | select(.file | startswith("parked/ann/tenants/ann/events/")).name] | unique[]' tag-mismatch
	rm -r db && cp -a good db
	run 0 --db db verify
	run 0 --db db merchant resume ann
	rows ann >after
	cmp before after || die "other rows came back"
}

verify_compares_states_and_directories() {
	fill
	run 0 --db db merchant suspend ann
	mv db/parked/ann away
	unchanged db 6 --db db verify
	has out "parked/ann: not-found"
	run 6 --db db merchant resume ann
	has err "parked/ann: is missing"
	mv away db/parked/ann
	mkdir -p db/tenants/ann/data
	unchanged db 6 --db db verify
	has out "tenants/ann: malformed"
	run 0 --db db merchant list
	run 0 --db db compact bob/data
	[[ ! -e db/tenants/ann ]] || die "it was not removed"
	# Of nobody who is suspended: noted, and no failure.
	mkdir db/parked/bob db/parked/.new-ann db/parked/dora
	cp db/parked/ann/CURRENT db/parked/bob/
	run 0 --db db verify
	has out "parked/bob: a leftover"
	has out "parked/.new-ann: a leftover"
	has out "parked/dora: belongs to no merchant that is suspended"
	run 0 --db db compact bob/data
	[[ ! -e db/parked/bob && ! -e db/parked/.new-ann ]] || die "leftovers are left"
	cp db/KEYRING db/parked/ann/
	run 0 --db db verify
	has out "parked/ann/KEYRING: no file of this database"
}

# The KMS has taken ann's key and gives it again: her parked files, WALs with rows among them, are opened like any others.
verify_after_the_kms_took_a_key() {
	fill
	run 0 kms disable local:kms#ann
	unchanged db 0 --db db verify
	has out "merchant 'ann': its keys are not available (kms-refused)"
	run 7 --db db delete ann/data none
	[[ -n $(parked_log) ]] || die "no WAL with rows is parked"
	unchanged db 0 --db db verify --json
	json '[.checks[] | select(.name == "tables" or .name == "blobs").skipped_no_key > 0] | all' true
	json '[.checks[].sealed_suspended] | add' 0
	run 0 kms enable local:kms#ann
	unchanged db 0 --db db verify --json
	json '[.checks[].skipped_no_key] | add' 0
	run 0 --db db verify
	has out "merchant 'ann' is suspended (kms-refused)"
	local table
	table=$(one '*.sst')
	cp "$table" good
	flip "$table" 5000
	run 6 --db db verify
	has out "${table#db/}: page 0 at offset 4096"
	cp good "$table"
	flip "$(parked_log)" 4100
	run 6 --db db verify
	has out "FAIL logs"
}

dump_while_suspended() {
	fill
	run 0 --db db put bob/data key2 "another of bob"
	run 0 --db db merchant suspend ann
	local before
	before=$(tree_hash db)
	run 0 dump "$(one 'MANIFEST-*')"
	has out 'family-added "ann/data"'
	has out "smallest <no key"
	grep -A 4 '(bob/data)' out | grep -q 'smallest "key1"' || die "bob's boundary key is not shown"
	run 0 dump db/parked/ann/CURRENT
	has out MANIFEST-
	run 4 dump "$(one '*.sst')" --json
	json '.owner, .header.kind' $'ann/data\nsst'
	error 4 suspended
	run 4 dump "$(one '*.blob')" --json
	error 4 suspended
	run 0 dump --raw "$(one '*.sst')"
	[[ $(tree_hash db) == "$before" ]] || die "dump changed the database"
	run 0 --db db merchant resume ann
	run 0 --db db compact ann/data
	run 0 dump "$(find db/tenants/ann/data -name '*.sst' | head -n 1)"
	has out '"key1" = "value of ann"'
}

dump_of_a_parked_wal() {
	fill
	run 0 kms disable local:kms#ann
	run 0 --db db compact bob/data
	local log
	log=$(parked_log)
	run 0 dump "$log"
	has out "put ann/data <no key: 4 bytes>"
	run 0 kms enable local:kms#ann
	run 0 dump "$log"
	has out 'put ann/data "last" = "in the WAL"'
}

# flip FILE OFFSET: one bit of it.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # the byte is the format
	printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# A page of ann's is damaged: she is off, bob is served, and she comes back with the right file.
a_damaged_file_takes_its_merchant_out() {
	fill
	run 0 --db db compact ann/data
	local file
	file=$(find db/tenants/ann/data -name '*.sst' | head -n 1)
	cp "$file" right
	flip "$file" 4200
	run 6 --db db compact ann/data
	run 0 --db db get bob/data key1
	run 6 --db db get ann/data key1
	run 0 --db db merchant show ann
	has out damaged
	has out "${file##*/}"
	run 6 --db db merchant resume ann
	has err "${file##*/}"
	cp right "db/parked/ann/tenants/ann/data/${file##*/}"
	run 0 --db db merchant resume ann
	run 0 --db db get ann/data key1
}

# No right file is left: what can be read, in the operator's own words.
salvage_brings_back_what_can_be_read() {
	fill
	run 0 --db db compact ann/events
	local file
	file=$(find db/tenants/ann/events -name '*.sst' | head -n 1)
	flip "$file" 4200
	run 6 --db db compact ann/events
	run 0 --db db get bob/data key1
	run 2 --db db merchant suspend ann --salvage
	run 6 --db db merchant resume ann
	run 0 --db db merchant resume ann --salvage --operator eve
	has out "events: lost: from "
	has out "data: "
	run 0 --db db get ann/data key1
	run 0 --db db scan ann/events
	run 0 --db db audit show --merchant ann
	has out "salvage (by eve)"
	run 0 --db db verify
}

run_checks "$@"
