#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_golden_databases.sh BHCTL NEWER-TABLES [CHECK...]: databases that each supported RocksDB has written, in
# tests/data/databases (make.sh there), are opened by the one that this is, served and changed; those with tables that it does not
# read are refused untouched, by that reason.
# shellcheck disable=SC2317 # checks are called by name
beside=$(dirname "$(readlink -f "$0")")
reads=$("$2")
set -- "$1" "${@:3}"
. "$beside/cli.bash"

golden=$beside/../data/databases

every_rocksdb_s_database_opens() {
	local archive found=0
	for archive in "$golden"/*.tar.gz; do
		[[ $archive != *-newer-tables.tar.gz ]] || ((reads > 5)) || continue
		BH_TEST_ARCHIVE=$archive "$beside/test_versions.sh" "$bhctl" || die "${archive##*/}"
		found=$((found + 1))
	done
	((found >= 2)) || die "only $found databases in $golden"
}

newer_tables_are_refused_untouched() {
	local archive found=0
	for archive in "$golden"/*-newer-tables.tar.gz; do
		found=$((found + 1))
		((reads == 5)) || continue
		rm -rf db kms db-kms
		tar xzf "$archive"
		run 0 --db db kms relocate "local:$(<place)/db-kms" "local:$PWD/db-kms"
		run 0 --db db kms relocate "local:$(<place)/kms" "local:$PWD/kms"
		unchanged db 2 --db db scan ann/data
		has err "format version 6"
		has err "which a newer RocksDB wrote"
		has err "nothing here is damaged"
		unchanged db 2 --db db put ann/data key value
		unchanged db 2 --db db verify
	done
	((found > 0)) || die "there is none in $golden"
}

run_checks "$@"
