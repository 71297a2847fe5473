# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# lib.bash: what the checks share. Each check is a program that looks at one thing, prints what is wrong, and fails if anything is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# shellcheck disable=SC2034 # used by the checks
layers=(keyring env engine)
folders=(keyring env engine tools bench docs tests)
problems=0

problem() {
	printf '%s: %s\n' "$(basename "$0")" "$*"
	problems=$((problems + 1))
}

# Ends a check.
report() {
	((problems == 0)) || exit 1
}

# code EXT...: the C and C++ files with these extensions, sorted; all of them without arguments.
code() {
	local ext
	(($#)) || set -- c cc h hh
	for ext; do
		find "${folders[@]}" -type f -name "*.$ext"
	done | sort
}

# The scripts, whatever their names.
scripts() {
	grep -rlI --exclude-dir=build --exclude-dir='build-*' --exclude-dir=.git -m 1 \
		-e '^#!.*\bbash$' -e '^# shellcheck shell=bash' . | sed 's|^\./||' | sort
}

# The build's own files.
build_files() {
	find . \( -name build -o -name 'build-*' -o -name .git \) -prune -o \
		-type f \( -name CMakeLists.txt -o -name '*.cmake' -o -name '*.cmake.in' \) -print | sed 's|^\./||' | sort
}

# public_headers LAYER
public_headers() {
	find "$1/include" -name '*.h' | sort
}
