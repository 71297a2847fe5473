#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# make_database.sh BHCTL ARCHIVE [DIR]: makes a small database with everything in it, by the bhctl of one RocksDB: merchants with
# rows in tables and blob files, rows in the WAL, deletions and an erasure, one of them suspended; its keys; and what a scan of
# each says. test_versions.sh opens it by another RocksDB. With DIR the database that came from such an archive, lies there, and
# may have been changed since, is packed anew. $BH_TEST_NEWER_TABLES, if set, is newer_tables.c, which rewrites its tables.
set -euo pipefail
bhctl=$(readlink -f "$1") archive=$(readlink -m "$2")
if (($# < 3)); then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
fi
cd "${3-$work}"

bh() { "$bhctl" --db db "$@" >/dev/null; }

make() {
	local merchant i blobs=()
	bh init --region eu
	for merchant in ann bob cat; do
		bh kms create "local:kms#$merchant"
		bh merchant add "$merchant" --cmk "local:kms#$merchant" --class data
		for ((i = 0; i < 40; i++)); do
			printf 'row%03d\t%s has %d\n' "$i" "$merchant" "$i"
		done >rows
		[[ $merchant != bob ]] || blobs=(--blob-min-size 8)
		bh load "$merchant/data" rows --format tsv "${blobs[@]}"
		bh compact "$merchant/data"
		bh put "$merchant/data" row001 "changed later"
		bh delete "$merchant/data" row002
		[[ $merchant == bob ]] || bh erase "$merchant/data" --prefix row03
		bh put "$merchant/data" zulu "in the log of $merchant"
		blobs=()
	done
	rm -f rows
	[[ -z ${BH_TEST_NEWER_TABLES-} ]] || "$BH_TEST_NEWER_TABLES" db ann bob cat
}

[[ -d db ]] || make
for merchant in ann bob cat; do
	printf '%s/data %s\n' "$merchant" "$("$bhctl" --db db scan "$merchant/data" | sha256sum)"
done >wanted
bh merchant suspend cat
find db -maxdepth 1 -name 'OPTIONS-*' | sort | head -n -1 | xargs rm -f
rm -f db/RESERVE db/LOG db/LOG.old.*
pwd >place
tar --owner=0 --group=0 -cf - db kms db-kms wanted place | gzip -9n >"$archive"
