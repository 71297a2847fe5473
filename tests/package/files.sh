#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# files.sh BUILD-DIR: what debian/ says fits what is installed: each file is in one package, none is missing; version, library's
# name and symbols' version are the project's. Building and trying the packages takes minutes: `tools/dev package`.
set -euo pipefail

build=$1
cd "$(dirname "$(readlink -f "$0")")/../.."
work=$(mktemp -d "${TMPDIR:-/tmp}/test_package.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() {
	printf 'test_package: %s\n' "$*" >&2
	exit 1
}

DESTDIR=$work/staged cmake --install "$build" --prefix /usr >/dev/null
cd "$work/staged"
mkdir -p usr/lib/triplet # where Debian has libraries
shopt -s nullglob
for file in usr/lib/libbulkhead* usr/lib/cmake usr/lib/pkgconfig; do mv "$file" usr/lib/triplet/; done
cd - >/dev/null

for list in debian/*.install; do
	while read -r pattern _; do
		matches=$(cd "$work/staged" && compgen -G "$pattern") || fail "$list: nothing is installed as $pattern"
		# shellcheck disable=SC2086 # its matches
		(cd "$work/staged" && find $matches ! -type d) | tee -a "$work/packed" >/dev/null
	done <"$list"
done
packed=$(sort "$work/packed")
[[ -z $(uniq -d <<<"$packed") ]] || fail "in two packages: $(uniq -d <<<"$packed")"
(cd "$work/staged" && find usr ! -type d) | sort | diff - <(printf '%s\n' "$packed") || fail "other files are installed than packed"
echo "ok: every file is in one package"

# From the tag to the next one's first commit it is a release's number, before that its ~dev.
project=$(sed -n 's/^project(bulkhead VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
debian=$(sed -n '1s/^bulkhead (\(.*\)-[0-9]*) .*/\1/p' debian/changelog)
[[ $debian == "$project" || $debian == "$project~dev" ]] || fail "CMake's version is $project, debian/changelog's $debian"
so=$(objdump -p "$(find "$work/staged" -name 'libbulkhead.so.*' -type f)" | sed -n 's/ *SONAME *//p')
[[ -e debian/libbulkhead${so##*.}.symbols ]] || fail "$so is not in libbulkhead${so##*.}"
grep -qF "(symver)$(sed -n 's/ {$//p' cmake/bulkhead.map) " "debian/libbulkhead${so##*.}.symbols" ||
	fail "the library's symbols have another version than debian/ says"
if [[ $debian == *~dev ]]; then
	grep -q '^## \[Unreleased\]$' CHANGELOG.md || fail "CHANGELOG.md has nothing unreleased"
else
	grep -q "^## \[${project//./\\.}\] - 20" CHANGELOG.md || fail "CHANGELOG.md knows no release $project"
fi
echo "ok: versions"
