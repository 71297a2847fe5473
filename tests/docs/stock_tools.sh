#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# stock_tools.sh BUILD-DIR: what docs/stock-tools.md shows is what happens.
. "$(dirname "$(readlink -f "$0")")/docs.bash" "$1"

mkdir bin
for tool in sst_dump ldb db_bench; do
	real=$(command -v "$tool") || skip "$tool is not installed (rocksdb-tools)"
	# What the page exports for a whole shell, for these three alone.
	printf '#!/bin/sh\nLD_PRELOAD=%s exec %s "$@"\n' "$build/libbulkhead_plugin.so" "$real" >"bin/$tool"
done
# Newer ones print rows with an arrow, as the page says.
printf '#!/bin/bash\nset -o pipefail\nLD_PRELOAD=%s %s "$@" | sed "s/ ==> / : /"\n' "$build/libbulkhead_plugin.so" \
	"$(command -v ldb)" >bin/ldb
chmod +x bin/*
export PATH=$work/bin:$PATH
for part in 1 2 3 4; do
	play docs/stock-tools.md "$part"
done
