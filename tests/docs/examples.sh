#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# examples.sh BUILD-DIR LANGUAGE: docs/examples/evening.* in that language has less than 100 lines, is built without a network,
# tells the story of evening.expected, and leaves a database that is whole.
. "$(dirname "$(readlink -f "$0")")/docs.bash" "$1"

examples=$root/docs/examples
read -ra flags < <(pkg-config --cflags --libs bulkhead)

# needs TOOL ARG...: skips where the toolchain is not installed (a shim of a version manager may be there all the same).
needs() { "$@" >/dev/null 2>&1 || skip "$1 is not installed"; }

case $2 in
c)
	source=$examples/evening.c
	needs gcc --version
	gcc -std=c11 -Wall -Wextra -Werror -o evening "$source" "${flags[@]}"
	;;
c++)
	source=$examples/evening.cc
	needs g++ --version
	g++ -std=c++17 -Wall -Wextra -Werror -o evening "$source" "${flags[@]}"
	;;
python)
	source=$examples/evening.py
	needs python3 -c 'import ctypes'
	cp "$source" evening
	;;
go)
	source=$examples/evening.go
	export GOPROXY=off GOTOOLCHAIN=local GOCACHE=$build/go-cache GOPATH=$work/go GOFLAGS=-modcacherw
	needs go version
	needs gcc --version
	go build -o evening "$source"
	;;
rust)
	source=$examples/evening.rs
	needs rustc --version
	rustc --edition=2021 -D warnings -o evening "$source" -L native="$(pkg-config --variable=libdir bulkhead)"
	;;
*) die "no example in $2" ;;
esac

lines=$(wc -l <"$source")
((lines < 100)) || die "$source: $lines lines"
chmod +x evening
./evening >out
same out "$examples/evening.expected" "$(basename "$source")"
bhctl --db evening-db verify >/dev/null
say "ok: $2"
