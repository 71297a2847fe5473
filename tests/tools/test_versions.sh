#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_versions.sh BHCTL [CHECK...]: the database $BH_TEST_ARCHIVE, which another RocksDB wrote (make_database.sh), is opened by the
# one that this is: every row is there, whoever was out comes back, and what is written then is there at the next open.
# $BH_TEST_PASSED_ON, if set, gets the database as it is then. `tools/dev test --on` runs it both ways; test_golden_databases.sh
# with what earlier ones wrote.
# shellcheck disable=SC2317 # checks are called by name
beside=$(dirname "$(readlink -f "$0")")
. "$beside/cli.bash"

rows() {
	run 0 --db db scan "$1"
	sha256sum <out
}
helpers+=(rows)

the_other_rocksdb_s_database_opens() {
	local name got
	tar xzf "$BH_TEST_ARCHIVE"
	run 0 --db db kms relocate "local:$(<place)/db-kms" "local:$PWD/db-kms"
	run 0 --db db kms relocate "local:$(<place)/kms" "local:$PWD/kms"
	run 0 --db db verify
	for name in ann/data bob/data; do
		got=$(rows "$name")
		[[ $got == "$(sed -n "s|^$name ||p" wanted)" ]] || die "other rows of $name"
	done
	run 4 --db db scan cat/data
	run 0 --db db merchant resume cat
	got=$(rows cat/data)
	[[ $got == "$(sed -n 's|^cat/data ||p' wanted)" ]] || die "other rows of cat/data, who was out"
	for name in ann bob cat; do
		run 0 --db db put "$name/data" "after" "$name"
		run 0 --db db compact "$name/data"
		run 0 --db db get "$name/data" "after"
		has out "$name"
	done
	run 0 --db db merchant suspend bob
	run 0 --db db merchant resume bob
	run 0 --db db get bob/data after
	run 0 --db db verify
	[[ -z ${BH_TEST_PASSED_ON-} ]] || "$beside/make_database.sh" "$bhctl" "$BH_TEST_PASSED_ON" . || die "cannot be packed"
	run 0 --db db adopt # it was unpacked here
	run 0 --db db merchant shred ann --yes
	run 0 --db db get cat/data after
}

run_checks "$@"
