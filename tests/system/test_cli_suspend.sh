#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_suspend.sh BHCTL [CHECK...]: a merchant is switched off and on, by an operator or by its KMS, as seen on the command
# line: what is refused and how, what goes on, what comes back, and what verify and dump say meanwhile.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# rows NAME: all that the merchant holds.
rows() {
	run 0 --db db scan "$1/data" --hex
	cat out
	run 0 --db db scan "$1/events" --hex
	cat out
}

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

# Rows in tables, in blob files, deleted ones, some that are in the WAL alone, and a class without any.
fill() {
	fresh
	awk 'BEGIN { srand(7); for (i = 0; i < 800; i++) printf "%05d\t%f%f%f\n", i, rand(), rand(), rand() }' >input
	run 0 --db db load ann/events input --blob-min-size 20
	run 0 --db db delete ann/events 00007
	run 0 --db db compact ann/data
	run 0 --db db put ann/data --hex 00ff 0a00
	run 0 --db db put ann/data last "in the WAL"
	rows ann >before
}

helpers+=(rows refused fill)

# ---- by an operator

suspend_refuses_one_and_serves_the_others() {
	fill
	run 0 --db db merchant suspend ann --reason "invoice 17" --operator eve --json
	json '.merchant, .state, .cause' $'ann\nsuspended\noperator'
	json .note "invoice 17 (by eve)"
	[[ -d db/parked/ann && ! -e db/tenants/ann ]] || die "its files are not where they should be"
	refused 4 suspended
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
	error 3 not-found
	unchanged db 3 --db db merchant resume dora --json
	error 3 not-found
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
	# The next open brings it back, whoever asks for what.
	run 0 --db db get bob/data key1
	run 0 --db db merchant show ann --json
	json '.merchants[0].state' active
	rows ann >after
	cmp before after || die "other rows came back"
	run 0 --db db verify
}

resume_after_the_kms_gives_the_key_again() {
	fill
	run 0 kms disable local:kms#ann
	run 7 --db db get ann/data last
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

run_checks "$@"
