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

bytes_are_given_in_hex() {
	users
	run 0 --db db put ann/data ff01 00 --hex
	run 0 --db db erase ann/data --prefix ff --hex --json
	json '[.complete, .rows]' '[true,1]'
}

what_cannot_be_erased_is_refused() {
	users
	run 2 --db db erase ann/data
	run 2 --db db erase ann/data --prefix ""
	run 2 --db db erase ann --prefix x
	run 2 --db db erase ann/data --prefix x --wait soon
	run 3 --db db erase ann/none --prefix x
	run 0 --db db merchant suspend ann
	run 4 --db db erase ann/data --prefix user:bea:
	run 0 --db db merchant resume ann
	run 0 --db db erase ann/data --prefix user:bea:
	has out "2 rows erased"
}

run_checks "$@"
