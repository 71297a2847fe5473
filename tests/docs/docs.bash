# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# docs.bash BUILD-DIR: what the tests of the documentation share: `. docs.bash "$1"`. Programs find the build tree as if it
# were installed: bhctl and bhkms-agent in PATH, the library by pkg-config. The working directory is an empty one.
set -euo pipefail
export LC_ALL=C.UTF-8

build=$(readlink -f "$1")
root=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
work=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead-docs.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { printf '%s\n' "$*"; }

# What ctest shows as skipped (SKIP_RETURN_CODE).
skip() {
	say "skipped: $*"
	exit 77
}

die() {
	say "FAILED: $*"
	exit 1
}

# same FILE WANTED WHAT: the two files are the same.
same() { diff -u --label wanted --label "$3" "$2" "$1" || die "$3: not what was wanted"; }

# block PAGE LANGUAGE [N]: the N-th code block of a page that is fenced for that language.
block() {
	awk -v open="\`\`\`$2" -v want="${3:-1}" '$0 == open { n++; on = n == want; next } /^```/ { on = 0 } on' "$root/$1"
}

mkdir "$work/pkgconfig"
{
	for layer in keyring env engine; do
		flags="${flags-} -I$root/$layer/include"
	done
	printf 'libdir=%s\nName: bulkhead\nDescription: the build tree\nVersion: 0\nRequires: rocksdb\n' "$build"
	# shellcheck disable=SC2016 # pkg-config's variable
	printf 'Cflags:%s\nLibs: -L${libdir} -lbulkhead\n' "$flags"
} >"$work/pkgconfig/bulkhead.pc"
export PKG_CONFIG_PATH=$work/pkgconfig LD_LIBRARY_PATH=$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PATH=$build/tools/bhctl:$build/tools/bhkms-agent:$PATH
