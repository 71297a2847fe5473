#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# make_database.sh BHCTL ARCHIVE: makes a small database with everything in it, by the bhctl of one RocksDB: merchants with rows in
# tables, rows in the WAL, deletions and an erasure, one of them suspended; its keys; and what a scan of each says. test_versions.sh
# opens it by another RocksDB.
set -euo pipefail
bhctl=$(readlink -f "$1") archive=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

bh() { "$bhctl" --db db "$@" >/dev/null; }

bh init --region eu
for merchant in ann bob cat; do
	bh kms create "local:kms#$merchant"
	bh merchant add "$merchant" --cmk "local:kms#$merchant" --class data
	for ((i = 0; i < 40; i++)); do
		printf 'row%03d\t%s has %d\n' "$i" "$merchant" "$i"
	done | bh load "$merchant/data" - --format tsv
	bh compact "$merchant/data"
	bh put "$merchant/data" row001 "changed later"
	bh delete "$merchant/data" row002
	bh erase "$merchant/data" --prefix row03
	bh put "$merchant/data" zulu "in the log of $merchant"
done
for merchant in ann bob cat; do
	printf '%s/data %s\n' "$merchant" "$("$bhctl" --db db scan "$merchant/data" | sha256sum)"
done >wanted
bh merchant suspend cat
rm -f db/RESERVE db/LOG.old.*
pwd >place
tar --owner=0 --group=0 -cf - db kms db-kms wanted place | gzip -9n >"$archive"
