#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_copies.sh BHCTL [CHECK...]: a copy of the whole directory of a closed database, as docs/operations.md has backups made:
# what is in it, and what of a shred and of an erasure reaches it.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# bob is as he was when the copy was made.
bob_is_there() {
	run 0 --db copy get bob/data key1
	has out "value of bob"
	run 0 --db copy verify
}

helpers+=(bob_is_there)

a_copy_is_the_database_as_it_was() {
	fresh
	cp -a db copy
	run 0 --db db put bob/data key2 later
	run 0 --db copy verify
	run 0 --db copy get ann/data key1
	has out "value of ann"
	run 3 --db copy get bob/data key2
	run 0 --db copy put bob/data key3 elsewhere
	run 3 --db db get bob/data key3
	bob_is_there
}

a_copy_of_a_suspended_merchant_can_be_resumed() {
	fresh
	run 0 --db db merchant suspend ann
	cp -a db copy
	run 0 --db db merchant shred bob --yes
	run 4 --db copy get ann/data key1
	run 0 --db copy merchant resume ann
	run 0 --db copy get ann/data key1
	has out "value of ann"
	run 7 --db copy get bob/data key1
}

a_final_shred_reaches_a_copy() {
	fresh
	cp -a db copy
	run 0 --db copy get ann/data key1
	run 0 --db db merchant shred ann --yes --json
	json .certificate.status FINAL
	run 7 --db copy get ann/data key1
	has err "is destroyed"
	bob_is_there
}

a_pending_shred_does_not_where_the_key_comes_back() {
	fresh
	run 0 --db db kms create local:kms#cat --deletion-window-days 7
	run 0 --db db merchant add cat --cmk local:kms#cat
	run 0 --db db put cat/data key1 "value of cat"
	cp -a db copy
	run 0 --db db merchant shred cat --yes --json
	json .certificate.status PENDING
	run 7 --db copy get cat/data key1
	run 0 --db db kms enable local:kms#cat
	run 5 --db db get cat/data key1
	run 0 --db copy get cat/data key1
	has out "value of cat"
	bob_is_there
}

an_erasure_does_not_reach_a_copy_that_has_its_keyring() {
	fresh
	run 0 --db db put ann/data user:bea:mail bea@example.com
	cp -a db copy
	run 0 --db db erase ann/data --prefix user:bea: --suppress --rotate --json
	json '[.complete, .rotated]' '[true,true]'
	run 3 --db db get ann/data user:bea:mail
	run 0 --db copy get ann/data user:bea:mail
	has out bea@example.com
	run 0 --db copy put ann/data user:bea:mail again
	# Once asked for again in the copy, it holds there too.
	run 0 --db copy erase ann/data --prefix user:bea: --suppress --rotate --json
	json '[.complete, .rotated]' '[true,true]'
	run 3 --db copy get ann/data user:bea:mail
	run 0 --db copy get ann/data key1
	has out "value of ann"
	bob_is_there
}

another_key_and_the_end_of_the_old_one_end_what_a_copy_has() {
	fresh
	run 0 --db db put ann/data user:bea:mail bea@example.com
	cp -a db copy
	run 0 --db db erase ann/data --prefix user:bea: --suppress --rotate
	run 0 --db db kms create local:kms#anew
	run 0 --db db rewrap ann --cmk local:kms#anew
	run 0 --db copy get ann/data user:bea:mail
	run 0 --db db kms destroy local:kms#ann
	run 7 --db copy get ann/data user:bea:mail
	has err "is destroyed"
	run 0 --db db get ann/data key1
	has out "value of ann"
	bob_is_there
}

run_checks "$@"
