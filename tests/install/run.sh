#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD-DIR: what is installed is complete and works from wherever it lies: programs, manuals, completions, the library by
# pkg-config and by find_package in C and in C++, the plugin for RocksDB's tools.
set -euo pipefail

build=$1
source=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d "${TMPDIR:-/tmp}/test_install.XXXXXX")
trap 'rm -rf "$work"' EXIT
prefix="$work/a prefix of its öwn"
unset LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH

fail() {
	printf 'test_install: %s\n' "$*" >&2
	exit 1
}
ok() { echo "ok: $*"; }
# quietly COMMAND...: its output is shown if it fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" && fail "failed: $*"; }; }

# What lies below the prefix, but for headers: without the machine's name, this build's type and this release's number.
installed() {
	(cd "$prefix" && find . ! -type d ! -path './include/*') | sed -E "s|^./lib/$(gcc -print-multiarch)/|./lib/|
		s|targets-[a-z]+\.cmake|targets-TYPE.cmake|; s|so\.[0-9]+\.[0-9.]+|so.VERSION|" | LC_ALL=C sort
}

everything_is_at_its_place() {
	diff - <(installed) <<'END' || fail "other files than these are installed"
./bin/bhctl
./bin/bhkms-agent
./lib/cmake/bulkhead/bulkhead-config-version.cmake
./lib/cmake/bulkhead/bulkhead-config.cmake
./lib/cmake/bulkhead/bulkhead-targets-TYPE.cmake
./lib/cmake/bulkhead/bulkhead-targets.cmake
./lib/libbulkhead.so
./lib/libbulkhead.so.0
./lib/libbulkhead.so.VERSION
./lib/libbulkhead_plugin.so
./lib/pkgconfig/bulkhead.pc
./share/bash-completion/completions/bhctl
./share/bash-completion/completions/bhkms-agent
./share/man/man1/bhctl.1
./share/man/man1/bhkms-agent.1
./share/zsh/site-functions/_bhctl
END
	diff <(find "$source"/../../{keyring,env,engine}/include -name '*.h' -printf '%f\n' | sort) \
		<(find "$prefix/include/bulkhead" -name '*.h' -printf '%f\n' | sort) || fail "not all headers are installed"
}

# Without this tree's help, and without the loader missing anything.
bhctl() { env -i PATH=/usr/bin:/bin "$prefix/bin/bhctl" "$@"; }
programs_run() {
	local program
	for program in "$prefix"/bin/*; do
		[[ $(env -i "$program" --version) == "${program##*/} "[0-9]* ]] || fail "$program does not run"
		objdump -p "$program" | grep 'RUNPATH.*ORIGIN/\.\./lib' >/dev/null ||
			fail "$program does not look beside itself for libraries"
		! ldd "$program" | grep 'not found' || fail "$program misses libraries"
	done
	[[ $(bhctl --db "$work/db" get ann/data key) == value ]] || fail "bhctl does not give back what it stored"
}

# consumer PROGRAM: gives back what bhctl has stored.
consumer() { [[ $(LD_LIBRARY_PATH=${2-} "$1" "$work/db") == value ]] || fail "$1 does not read the database"; }

pkg_config_serves() {
	local flags compiler language libdir
	PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name bulkhead.pc)")
	export PKG_CONFIG_PATH
	# Its answer is quoted for a shell.
	eval "flags=($(pkg-config --cflags --libs bulkhead))"
	libdir=$(pkg-config --variable=libdir bulkhead)
	for compiler in gcc g++; do
		language=c && [[ $compiler == gcc ]] || language=c++
		"$compiler" -x "$language" -Wall -Wextra -Werror -o "$work/by-pkg-config" "$source/consumer.c" "${flags[@]}"
		consumer "$work/by-pkg-config" "${libdir//\\/}"
	done
	objdump -p "$work/by-pkg-config" | grep 'NEEDED *libbulkhead.so.0$' >/dev/null ||
		fail "a consumer does not name the SOVERSION"
	unset PKG_CONFIG_PATH
}

find_package_serves() {
	local language
	for language in C CXX; do
		rm -rf "$work/consumer"
		quietly cmake -S "$source" -B "$work/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
			-DCONSUMER_LANGUAGE="$language"
		quietly cmake --build "$work/consumer"
		consumer "$work/consumer/consumer"
	done
}

the_plugin_registers() {
	local plugin refusal
	plugin=$(find "$prefix" -name libbulkhead_plugin.so)
	ln -sf "$plugin" "$work/plugin.so" # LD_PRELOAD takes a blank for the end of a name
	refusal=$(LD_PRELOAD=$work/plugin.so ldb --fs_uri=bulkhead://"$work" --db="$work" scan 2>&1 >/dev/null || true)
	[[ $refusal == *"no Bulkhead database"* ]] || fail "ldb with the plugin says: $refusal"
}

manuals_are_in_order() {
	local page
	for page in "$prefix"/share/man/man1/*.1; do
		mandoc -T lint -W warning "$page" || fail "$page: see above"
		mandoc -T markdown "$page" | grep '^# EXIT STATUS' >/dev/null || fail "$page: shows no exit status"
	done
}

completions_work() {
	"$source/../tools/test_completions.sh" "$prefix/bin/bhctl" "$prefix/bin/bhkms-agent" "$prefix/share" ||
		fail "completions: see above"
}

quietly cmake --install "$build" --prefix "$prefix"
everything_is_at_its_place
ok "every file at its place"

bhctl --db "$work/db" init --region eu >/dev/null
bhctl --db "$work/db" kms create "local:$work/kms#ann" >/dev/null
bhctl --db "$work/db" merchant add ann --cmk "local:$work/kms#ann" --class data >/dev/null
bhctl --db "$work/db" put ann/data key value >/dev/null
for state in "as installed" "moved elsewhere"; do
	programs_run
	ok "programs, $state"
	pkg_config_serves
	ok "pkg-config, $state"
	find_package_serves
	ok "find_package, $state"
	[[ $state == moved* ]] && break
	mv "$prefix" "$work/moved"
	prefix=$work/moved
done
the_plugin_registers
ok "plugin"
manuals_are_in_order
ok "manuals"
completions_work
ok "completions"

DESTDIR=$work/staged quietly cmake --install "$build" --prefix /usr
prefix=$work/staged/usr
everything_is_at_its_place
[[ -z $(find "$work/staged" -mindepth 1 -maxdepth 1 ! -name usr) ]] ||
	fail "files outside of /usr in a staged installation"
grep -rlI --include='*.pc' --include='*.cmake' -e "$work" -e "$build" "$work/staged" &&
	fail "these name places of the build"
ok "staged by DESTDIR"
