#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# adopting.sh BUILD-DIR: docs/examples/adopt.c brings a plain database over as docs/adopting.md says: every row into the class it
# was mapped to, and none elsewhere; also after it was killed; never over rows that are there.
. "$(dirname "$(readlink -f "$0")")/docs.bash" "$1"

read -ra flags < <(pkg-config --cflags --libs bulkhead)
read -ra rocksdb < <(pkg-config --cflags --libs rocksdb)
gcc -O2 -std=c11 -Wall -Wextra -Werror -o make-plain "$root/tests/docs/plain.c" "${rocksdb[@]}"
gcc -O2 -D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror -o adopt "$root/docs/examples/adopt.c" "${flags[@]}" "${rocksdb[@]}"

# class_has NAME/CLASS FAMILY PREFIX: exactly the source's rows.
class_has() {
	bhctl --db shop scan "$1" --hex >got
	./make-plain rows plain "$2" "$3" >wanted
	[[ -s wanted ]] || die "no rows of $2:$3 to compare with"
	cmp -s got wanted || die "$1 has other rows than $2:$3"
	say "ok: $1 has $(wc -l <got) rows"
}

new_shop() {
	rm -rf shop shop-kms keys
	bhctl --db shop init --region eu >/dev/null 2>&1
	for name in acme blue; do
		bhctl --db shop kms create "local:keys#$name" >/dev/null
		bhctl --db shop merchant add "$name" --cmk "local:keys#$name" --class profile --class events >/dev/null
	done
}

./make-plain make plain 100000
before=$(find plain -type f -exec sha256sum {} + | sort)
new_shop
play docs/adopting.md 1
[[ $(find plain -type f -exec sha256sum {} + | sort) == "$before" ]] || die "the plain database was changed"
class_has acme/profile default acme:
class_has blue/profile default blue:
class_has acme/events events ''
bhctl --db shop verify >/dev/null
[[ -z $(find shop -name 'adopt-*') ]] || die "files were left behind"

# Again: nothing to bring, the same rows.
./adopt plain shop default:acme:=acme/profile >/dev/null
bhctl --db shop put blue/events own row
code=0
./adopt plain shop events=blue/events >out 2>&1 || code=$?
[[ $code == 2 ]] || die "over rows that are there it ended with $code: $(<out)"
[[ $(bhctl --db shop scan blue/events) == own$'\t'row ]] || die "rows that were there are changed"
say "ok: nothing is brought over rows that are there"

new_shop
killed=0
for delay in 0.05 0.1 0.2 0.3 0.5; do
	bash -c 'timeout -s KILL "$1" ./adopt plain shop default:acme:=acme/profile; exit $?' - "$delay" >/dev/null 2>&1 ||
		killed=$((killed + 1))
done
((killed > 0)) || die "it was too fast to be killed"
./adopt plain shop default:acme:=acme/profile
class_has acme/profile default acme:
[[ -z $(bhctl --db shop scan blue/profile) ]] || die "another merchant has rows"
bhctl --db shop verify >/dev/null
say "ok: killed $killed times"
