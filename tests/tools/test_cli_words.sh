#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_words.sh BHCTL [CHECK...]: bhctl's command line: its help, what is misspelt, and what is said of what is given in the
# place of a database, a key or a record.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# ---- the command line

commands=(init "kms create" "kms list" "kms rotate" "kms disable" "kms enable" "kms destroy" "merchant add"
	"merchant list" "merchant show" "merchant suspend" "merchant resume" "merchant shred" "merchant certificate"
	"certificate verify" help put get delete scan load rotate rewrap compact status verify dump)

help_for_every_command() {
	local command
	run 0 --help
	for command in "${commands[@]}"; do
		has out "  $command "
	done
	cp out all
	for command in "${commands[@]}"; do
		# shellcheck disable=SC2086 # two words
		run 0 $command --help
		has out "usage: bhctl [--db DIR] [--json] $command"
	done
	run 0 --version
	has out bhctl
}

help_by_word_and_by_group() {
	local command
	run 0 help
	cp out all
	run 0 --help
	cmp -s out all || die "help and --help differ"
	for command in "${commands[@]}"; do
		# shellcheck disable=SC2086 # two words
		run 0 $command --help
		cp out by_option
		# shellcheck disable=SC2086 # two words
		run 0 help $command
		cmp -s out by_option || die "help $command"
	done
	run 0 help merchant
	cp out group
	has out "  merchant suspend "
	! grep -q '  put ' out || die "a command that is not the group's"
	run 0 merchant --help
	cmp -s out group || die "merchant --help"
	run 2 help nonsense
	run 2 help put nonsense
	run 2 merchant
	has err "suspend, resume, shred"
}

what_was_meant() {
	run 2 merchnat list
	has err "did you mean 'merchant'?"
	run 2 merchant lsit
	has err "did you mean 'list'?"
	run 2 stat
	has err "did you mean 'status'?"
	run 2 shred ann --yes
	has err "did you mean 'merchant shred'?"
	run 2 --db db merchant list --jsno
	has err "did you mean '--json'?"
	run 2 --db db merchant list --json=yes
	has err "--json takes no value"
	run 2 quux
	! grep -q 'did you mean' err || die "like nothing"
	run 2 merchant "$(printf '%0500d' 0)"
	run 2 "$(printf '%0500d' 0)"
	[[ ! -e db ]] || die "db was made"
}

usage_errors_end_with_2() {
	run 2
	run 2 nonsense
	run 2 merchant
	run 2 --nonsense status
	run 2 --db
	run 2 status
	has err "--db"
	run 2 --db db status --nonsense
	run 2 --db db get ann/data
	run 2 --db db get ann/data key more
	run 2 --db db scan ann/data --limit many
	run 2 --db db scan ann/data --limit
	run 2 --db db load ann/data - --format csv
	[[ ! -e db ]] || die "db was made"
}

json_errors_have_code_name_and_message() {
	run 2 --json nonsense
	error 2 invalid
	run 3 --db nowhere --json status
	error 3 not-found
	run 3 --db nowhere status --json
	error 3 not-found
	run 2 --db nowhere scan x --json
	error 2 invalid
}

# ---- messages

what_is_no_database_is_said() {
	fresh
	ldb --db=plain --create_if_missing put a b >/dev/null
	mkdir -p empty && mkfifo pipe
	unchanged plain 3 --db plain status
	has err "plain: holds a RocksDB but no KEYRING"
	for other in empty /etc db-kms db/tenants; do
		run 3 --db "$other" status
		has err "$other: is no Bulkhead database: no KEYRING is in it; 'bhctl --db DIR init' makes one"
	done
	for other in db/KEYRING db/CURRENT pipe; do
		run 2 --db "$other" get ann/data key1
		has err "$other: is not a directory; a database is named by the directory that its KEYRING lies in"
	done
	run 0 --db db get ann/data key1
}

a_missing_key_is_said() {
	fresh
	run 3 --db db merchant add eve --cmk local:kms#eve
	has err "has no key 'eve'; 'bhctl kms create local:$PWD/kms#eve' makes one"
	has err "'bhctl kms list local:$PWD/kms' lists"
	run 0 --db db get ann/data key1
}

what_is_wrong_with_a_line_is_said() {
	fresh
	refused_line() {
		printf '%s\n' "$1" >lines
		run 2 --db db load ann/data lines --format jsonl
		has err "$2"
	}
	refused_line '{"key":"a"}' 'has no "value" (nor "value_hex")'
	refused_line '{"value":"a"}' 'has no "key" (nor "key_hex")'
	refused_line '{"kei":"a","value":"1"}' '"kei" is not known'
	refused_line '{"key":"a","value":"1","more":1}' '"more" is not known'
	refused_line '{"key":"a","key_hex":"61","value":"1"}' 'has "key" and "key_hex"; one of them is enough'
	refused_line '{"key":"a","value":1}' '"value" is not a string'
	run 0 --db db get ann/data key1
}

run_checks "$@"
