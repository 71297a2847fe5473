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

# play PAGE N: types the commands of the N-th console block, those behind "$ ", into a shell of their own, and holds against what
# each prints what stands below it. There "..." stands for anything. Commands that fail are part of the story.
play() {
	local line command='' wanted='' played=0
	while IFS= read -r line; do
		if [[ $line == '$ '* ]]; then
			[[ -z $command ]] || type_in "$command" "$wanted"
			command=${line#'$ '} wanted='' played=$((played + 1))
		elif [[ $command == *\\ && -z $wanted ]]; then
			command+=$'\n'$line
		else
			wanted+=$line$'\n'
		fi
	done < <(block "$1" console "$2")
	((played > 0)) || die "$1 has no console block $2"
	type_in "$command" "$wanted"
}

type_in() {
	local got pattern=$2
	got=$(bash -c "$1" 2>&1 </dev/null | sed 's|[[:space:]]*$||' || true)
	pattern=${pattern%$'\n'}
	pattern=$(sed 's/[][*?\\]/\\&/g; s/\.\.\./*/g' <<<"$pattern")
	# shellcheck disable=SC2053 # a pattern
	[[ $got == $pattern ]] || die "$(printf '$ %s\n--- printed\n%s\n--- the page has\n%s' "$1" "$got" "$2")"
	say "ok: $1"
}
