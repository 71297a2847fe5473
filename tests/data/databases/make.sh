#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# make.sh [here|SUITE...]: the databases beside it, each written by the RocksDB that its name says: by the one of this system, and
# by those of other releases of Debian (tools/suite). All of them, when a file format has changed; what it was made with last is
# what test_golden_databases.sh opens, by every RocksDB. Those with -newer-tables have a table format that not all can read.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../../.."
to=tests/data/databases

# One of them, in the system that has the RocksDB.
if [[ ${1-} == --build ]]; then
	version=$(pkg-config --modversion rocksdb)
	name=$to/rocksdb-${version%.*}
	cmake --preset dev --log-level=WARNING -DBULKHEAD_ROCKSDB_UNTESTED=ON >/dev/null
	cmake --build --preset dev --target bhctl --target newer_tables -- --quiet
	tests/tools/make_database.sh build/dev/tools/bhctl/bhctl "$name.tar.gz"
	(($(build/dev/tests/newer_tables) > 5)) || exit 0
	BH_TEST_NEWER_TABLES=$PWD/build/dev/tests/newer_tables \
		tests/tools/make_database.sh build/dev/tools/bhctl/bhctl "$name-newer-tables.tar.gz"
	exit
fi

(($# > 0)) || set -- here trixie forky
for suite; do
	if [[ $suite == here ]]; then
		"$0" --build
	else
		tools/suite "$suite" make
		tools/suite "$suite" run "$to/make.sh" --build
	fi
done
