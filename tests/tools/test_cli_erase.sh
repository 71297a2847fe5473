#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_erase.sh BHCTL [CHECK...]: an end user's rows are erased, as seen on the command line: what is said, what the log keeps,
# that others' rows stay, and that what is kept elsewhere is named.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

users() {
	fresh
	local user
	for user in ana bea cem; do
		run 0 --db db put ann/data "user:$user:mail" "$user@example.com"
		run 0 --db db put ann/data "user:$user:name" "$user"
	done
}

helpers+=(users)

erase_takes_the_rows_of_one_user() {
	users
	run 0 --db db erase ann/data --prefix user:bea:
	has out "ann/data: 2 rows erased"
	has out "complete"
	run 3 --db db get ann/data user:bea:mail
	run 0 --db db scan ann/data --prefix user: --json
	json '[.entries[].key] | join(" ")' "user:ana:mail user:ana:name user:cem:mail user:cem:name"
	run 0 --db db verify
	run 0 --db db erase ann/data --prefix user:bea: --json
	json '[.merchant, .class, .complete, .rows, .pending]' '["ann","data",true,0,[]]'
}

the_log_has_a_digest_for_the_prefix() {
	local digest
	users
	run 0 --db db erase ann/data --prefix user:bea: --json
	digest=$(jq -r .prefix_digest out)
	[[ ${#digest} == 64 ]] || die "digest '$digest'"
	run 0 --db db audit show
	has out "erase.begun"
	has out "erase.ended"
	has out "$digest"
	! grep -q "user:" db/AUDIT || die "the prefix is in the log"
	run 0 --db db audit verify
}

rotate_destroys_the_older_keys() {
	users
	run 0 --db db erase ann/data --prefix user:bea: --rotate --json
	json '[.complete, .rotated, .rows]' '[true,true,2]'
	run 0 --db db audit show
	has out "dek.retired"
	run 0 --db db get ann/data user:ana:name
	run 0 --db db verify
}

rotate_ends_what_the_logs_of_a_suspended_merchant_keep() {
	users
	run 0 kms disable local:kms#bob
	run 1 --db db erase ann/data --prefix user:bea: --json
	json '[.complete, .rows]' '[false,2]'
	has out "parked/bob/"
	run 0 --db db erase ann/data --prefix user:bea: --rotate --json
	json '[.complete, .rotated, .pending]' '[true,true,[]]'
	run 0 --db db get ann/data user:ana:name
	run 0 --db db verify
	run 0 kms enable local:kms#bob
	run 0 --db db merchant resume bob
	run 0 --db db get bob/data key1
	has out "value of bob"
}

bytes_are_given_in_hex() {
	users
	run 0 --db db put ann/data ff01 00 --hex
	run 0 --db db erase ann/data --prefix ff --hex --json
	json '[.complete, .rows]' '[true,1]'
}

a_suppressed_prefix_takes_no_rows() {
	local digest
	users
	run 0 --db db erase ann/data --prefix user:bea: --suppress --json
	json '[.complete, .rows, .suppressed]' '[true,2,true]'
	digest=$(jq -r .prefix_digest out)
	run 2 --db db put ann/data user:bea:mail back --json
	error 2 erased
	has err "'ann/data'"
	has err "--lift"
	! grep -q "user:" err || die "the message has the prefix"
	run 0 --db db put ann/data user:cem:mail new
	run 0 --db db delete ann/data user:bea:mail
	run 0 --db db erase ann/data --list --json
	json '[.class, (.suppressed | map(.prefix_digest, .prefix_bytes))]' "[\"data\",[\"$digest\",9]]"
	run 0 --db db erase ann/data --list
	has out "ann/data: 1 erased prefixes are kept out"
	run 0 --db db status ann --live --json
	json '.merchants[0].suppressed_prefixes' 1
	run 0 --db db status ann --live
	has out "1 erased prefixes are kept out"
	run 0 --db db verify
	run 0 --db db erase ann/data --prefix user:bea: --lift --json
	json .suppressed false
	run 3 --db db erase ann/data --prefix user:bea: --lift
	run 0 --db db put ann/data user:bea:mail back
	run 0 --db db audit show
	has out "erase.suppressed"
	has out "erase.lifted"
	! grep -q "user:" db/AUDIT || die "the prefix is in the log"
}

an_import_stops_at_what_was_erased_or_leaves_it_out() {
	users
	run 0 --db db erase ann/data --prefix user:bea: --suppress
	printf 'user:%s\t1\n' abe:x bea:mail bea:x dan:x >rows
	run 2 --db db load ann/data rows --json
	error 2 erased
	has err "rows: line 2"
	has err "the 1 records before it are stored"
	run 0 --db db load ann/data rows --skip-erased --json
	json '[.records, .skipped]' '[2,2]'
	run 0 --db db load ann/data rows --skip-erased
	has out "2 records were left out"
	run 3 --db db get ann/data user:bea:x
	run 0 --db db get ann/data user:dan:x
	run 0 --db db erase ann/data --prefix user:bea: --lift
	run 0 --db db load ann/data rows --json
	json '[.records, .skipped]' '[4,0]'
}

what_cannot_be_erased_is_refused() {
	users
	run 2 --db db erase ann/data
	run 2 --db db erase ann/data --prefix ""
	run 2 --db db erase ann --prefix x
	run 2 --db db erase ann/data --prefix x --wait soon
	run 2 --db db erase ann/data --prefix x --lift --suppress
	run 2 --db db erase ann/data --prefix x --lift --list
	run 2 --db db erase ann/data --prefix x --list
	run 2 --db db erase ann/data --lift
	run 3 --db db erase ann/data --prefix x --lift
	run 3 --db db erase ann/none --prefix x
	run 0 --db db merchant suspend ann
	run 4 --db db erase ann/data --prefix user:bea:
	run 0 --db db merchant resume ann
	run 0 --db db erase ann/data --prefix user:bea:
	has out "2 rows erased"
}

run_checks "$@"
