#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_region.sh BHCTL [CHECK...]: keys and data stay in their region: a CMK of another one is refused when a database is made,
# when a merchant is added, when its keys are unwrapped again, and when a copy of the database is opened elsewhere. Exit code 9.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# elsewhere KMS KEY: in the place of the key there is one of another region, as it would be in another region's KMS of that name.
elsewhere() {
	mv "$1/$2.key.json" "$2.here"
	run 0 kms create "local:$1#$2" --region us
}

back() { mv "$2.here" "$1/$2.key.json"; }

helpers+=(elsewhere back)

a_cmk_of_another_region_is_refused_at_once() {
	fresh
	run 0 kms create local:us#k --region us
	run 9 --db other init --region eu --platform-cmk local:us#k --json
	error 9 wrong-region
	run 9 --db db merchant add cat --cmk local:us#k --class data --json
	error 9 wrong-region
	has err "'us'"
	run 3 --db db merchant show cat
	run 9 --db db rewrap ann --cmk local:us#k
	run 0 --db db get ann/data key1
}

a_merchant_whose_cmk_is_elsewhere_stays_outside() {
	fresh
	elsewhere kms ann
	run 7 --db db get ann/data key1 # its KMS does not give the keys: as if it had refused
	has err ann
	run 0 --db db get bob/data key1
	run 9 --db db merchant resume ann --json
	error 9 wrong-region
	has err "'us'"
	run 0 --db db audit show --merchant ann --json
	json '[.entries[] | select(.action == "keys.denied").outcome] | index("wrong-region") != null' true
	back kms ann
	run 0 --db db compact bob/data # an open that may write brings it back
	run 0 --db db get ann/data key1
	has out "value of ann"
}

a_copy_of_the_database_does_not_open_elsewhere() {
	fresh
	elsewhere db-kms platform
	cp -r db copy
	unchanged copy 9 --db copy get ann/data key1
	has err "'us'"
	run 9 --db copy get ann/data key1 --json
	error 9 wrong-region
	run 9 --db copy verify
	back db-kms platform
	run 0 --db copy get ann/data key1
	has out "value of ann"
}

run_checks "$@"
