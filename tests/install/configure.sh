#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# configure.sh: what a build is when nobody says much: its type, its warnings, its parts; also as a part of another project.
set -euo pipefail

source=$(readlink -f "$(dirname "$0")/../..")
work=$(mktemp -d "${TMPDIR:-/tmp}/test_configure.XXXXXX")
trap 'rm -rf "$work"' EXIT
unset CMAKE_BUILD_TYPE

fail() {
	printf 'test_configure: %s\n' "$*" >&2
	[[ ! -e $work/log ]] || tail -n 20 "$work/log" >&2
	exit 1
}
# configure OPTION...: into build, with its log in log.
configure() {
	rm -rf "$work/build"
	cmake -S "${tree-$source}" -B "$work/build" -G Ninja "$@" >"$work/log" 2>&1
}
must_configure() { configure "$@" || fail "cmake $* fails"; }
cached() { sed -n "s/^$1:[A-Z]*=//p" "$work/build/CMakeCache.txt"; }
# compiles TEXT...: some command has each of them.
compiles() {
	local text
	for text; do grep -qF -- "$text" "$work/build/compile_commands.json" || return 1; done
}
# builds, builds_no TARGET...: all of them; none of them
builds() {
	local target all
	all=$(ninja -C "$work/build" -t targets all | sed 's/:.*//')
	for target; do grep -qxF "$target" <<<"$all" || fail "$target is not built"; done
}
builds_no() {
	local target
	for target; do ! (builds "$target") 2>/dev/null || fail "$target is built, though nobody asked for it"; done
}

# Warnings end no build but one that asks for it; what is not asked for is optimised.
must_configure
[[ $(cached CMAKE_BUILD_TYPE) == RelWithDebInfo ]] || fail "the build type is '$(cached CMAKE_BUILD_TYPE)'"
compiles -O2 _FORTIFY_SOURCE || fail "without a build type it is not optimised"
! compiles -Werror || fail "warnings are errors without a preset"
builds test_aead bh_bench bhctl
echo "ok: nothing said"

must_configure -DCMAKE_BUILD_TYPE=Debug -DBULKHEAD_BENCH=OFF
[[ $(cached CMAKE_BUILD_TYPE) == Debug ]] || fail "the build type that was asked for is not taken"
! compiles _FORTIFY_SOURCE || fail "fortified without optimisation"
builds test_aead && builds_no bh_bench
echo "ok: a type of one's own, without benchmarks"

must_configure -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-D_FORTIFY_SOURCE=3 -DCMAKE_COMPILE_WARNING_AS_ERROR=ON
! compiles _FORTIFY_SOURCE=2 || fail "the builder's own _FORTIFY_SOURCE is overruled"
compiles _FORTIFY_SOURCE=3 -Werror || fail "the builder's own flags are lost"
echo "ok: flags of one's own"

# A machine with all that the library needs, and no cmocka.
mkdir "$work/pc"
IFS=: read -ra folders < <(pkg-config --variable pc_path pkg-config)
for folder in "${folders[@]}"; do
	[[ ! -d $folder ]] || find "$folder" -name '*.pc' ! -name 'cmocka*' -exec ln -sf -t "$work/pc" {} +
done
export PKG_CONFIG_LIBDIR=$work/pc
must_configure -DBULKHEAD_TESTS=OFF
builds bulkhead bulkhead_plugin bhctl bhkms-agent && builds_no test_aead bh_bench
must_configure -DBULKHEAD_TESTS=OFF -DBULKHEAD_BENCH=ON
builds bh_bench && builds_no test_aead
! configure || fail "there are tests without cmocka"
grep -q 'BULKHEAD_TESTS=OFF' "$work/log" || fail "what to do without cmocka is not said"
echo "ok: without cmocka"

# A RocksDB that nobody has tested is not taken by accident; nor headers of another one than the library.
mkdir -p "$work/include/rocksdb"
for folder in $(pkg-config --cflags-only-I rocksdb | sed 's/-I//g') /usr/include; do
	[[ ! -d $folder/rocksdb ]] || ln -sf -t "$work/include/rocksdb" "$folder"/rocksdb/*
done
# rocksdb_is HEADERS LIBRARY: their versions, as the build finds them.
rocksdb_is() {
	local major=${1%.*} minor=${1#*.}
	rm -f "$work/include/rocksdb/version.h" "$work/pc/rocksdb.pc"
	printf '#define ROCKSDB_MAJOR %s\n#define ROCKSDB_MINOR %s\n#define ROCKSDB_PATCH 0\n' "$major" "$minor" \
		>"$work/include/rocksdb/version.h"
	printf 'Name: rocksdb\nDescription: for a test\nVersion: %s.0\nLibs: -lrocksdb\nCflags: -I%s\n' "$2" "$work/include" \
		>"$work/pc/rocksdb.pc"
}
# refuses VERSION TEXT [OPTION...]
refuses() {
	rocksdb_is "$1" "$1"
	! configure -DBULKHEAD_TESTS=OFF "${@:3}" || fail "RocksDB $1 is taken"
	tr -s '\n ' ' ' <"$work/log" | grep -qF "$2" || fail "why RocksDB $1 is refused is not said"
}
for version in 10.0 10.4 11.0 12.0; do
	refuses "$version" BULKHEAD_ROCKSDB_UNTESTED=ON
	must_configure -DBULKHEAD_TESTS=OFF -DBULKHEAD_ROCKSDB_UNTESTED=ON
done
compiles -std=gnu++20 || fail "the newest headers want C++20"
for version in 7.9 8.0 8.8; do
	refuses "$version" 'neither those of 7.8 nor' -DBULKHEAD_ROCKSDB_UNTESTED=ON
done
refuses 7.7 rocksdb
for version in 7.8 9.10 9.11; do
	rocksdb_is "$version" "$version"
	must_configure -DBULKHEAD_TESTS=OFF
	compiles -std=gnu++17 || fail "RocksDB $version is not built with in C++17"
done
rocksdb_is 9.10 7.8
! configure -DBULKHEAD_TESTS=OFF || fail "headers of another RocksDB than the library are taken"
grep -q 'of one version' "$work/log" || fail "that headers and library differ is not said"
unset PKG_CONFIG_LIBDIR
echo "ok: RocksDB's versions"

# A part of somebody else's project leaves that project's settings alone.
mkdir "$work/project" && tree=$work/project
cat >"$tree/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(theirs LANGUAGES C CXX)
add_subdirectory("$source" bulkhead)
add_executable(theirs "$source/tests/install/consumer.c")
target_link_libraries(theirs PRIVATE bulkhead::bulkhead)
END
must_configure
[[ -z $(cached CMAKE_BUILD_TYPE) ]] || fail "another project's build type is set"
builds theirs bulkhead && builds_no test_aead bh_bench
echo "ok: a part of another project"
