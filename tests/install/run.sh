#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD-DIR: an installation can be used: by find_package, by pkg-config, the library's name carries its SOVERSION, and the
# plugin makes itself known to RocksDB.
set -euo pipefail

build=$1
source=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" >/dev/null

cmake -S "$source" -B "$work/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" --log-level=WARNING >/dev/null
cmake --build "$work/consumer" >/dev/null
"$work/consumer/consumer"
echo "ok: find_package"

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name bulkhead.pc)")
export PKG_CONFIG_PATH
read -ra flags < <(pkg-config --cflags --libs --define-variable=prefix="$prefix" bulkhead)
gcc -std=c11 -Wall -Werror -o "$work/by-pkg-config" "$source/consumer.c" "${flags[@]}"
LD_LIBRARY_PATH=$(pkg-config --variable=libdir --define-variable=prefix="$prefix" bulkhead) "$work/by-pkg-config"
echo "ok: pkg-config"

objdump -p "$work/by-pkg-config" | grep -q 'NEEDED *libbulkhead.so.0$'
echo "ok: SOVERSION"

plugin=$(find "$prefix" -name libbulkhead_plugin.so)
refusal=$(LD_PRELOAD=$plugin ldb --fs_uri=bulkhead://"$work" --db="$work" scan 2>&1 >/dev/null || true)
[[ $refusal == *"no Bulkhead database"* ]]
echo "ok: plugin"
