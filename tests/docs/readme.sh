#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# readme.sh BUILD-DIR PART: what README.md shows is what happens. `program`: its C program, out of the page, built and run by
# the command below it, without a warning. `bhctl_evening`: the one at the command line. `size`: a page that a newcomer can read.
. "$(dirname "$(readlink -f "$0")")/docs.bash" "$1"

read -ra flags < <(pkg-config --cflags bulkhead)

program() {
	block README.md c >first.c
	[[ -s first.c ]] || die "README.md has no C program"
	gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only first.c "${flags[@]}"
	play README.md 1
}

bhctl_evening() { play README.md 2; }

size() {
	local lines
	lines=$(wc -l <"$root/README.md")
	((lines <= 200)) || die "README.md has $lines lines, more than 200"
	grep -nE '^.{121}' "$root/README.md" && die "README.md has lines of more than 120 columns"
	((lines > 0))
}

case $2 in
program | bhctl_evening | size) "$2" ;;
*) die "no part $2" ;;
esac
