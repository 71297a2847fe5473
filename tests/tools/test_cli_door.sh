#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_door.sh BHCTL DOOR_SERVICE [CHECK...]: bhctl on a database that a service has open: the same words, output and exit codes
# as on one that nobody has, while another merchant is written and read without an error; by the owner, by root, by a user who is
# allowed, and not by one who is not.
# shellcheck disable=SC2317 # checks are called by name
service=$(readlink -f "$2")
set -- "$1" "${@:3}"
. "$(dirname "$(readlink -f "$0")")/cli.bash"

served=

# fresh_shop: a database of ann, who is operated on, and bob, who is written.
fresh_shop() {
	fresh
	run 0 --db db merchant show bob
	for ((i = 0; i < 50; i++)); do printf 'key%02d\tvalue %d\n' "$i" "$i"; done >input
	run 0 --db db load ann/data input
	run 0 --db db compact ann/data
}

# serve [COMMAND...]: begins the service on ./db, by this command, $admins may come in.
serve() {
	: >served.out
	# shellcheck disable=SC2086 # words, or none
	"$@" "$service" db bob ${admins-} >served.out 2>served.err &
	served=$!
	trap 'kill -KILL "$served" 2>/dev/null' EXIT
	for ((tries = 0; tries < 600; tries++)); do
		! grep -q serving served.out || return 0
		kill -0 "$served" 2>/dev/null || die "the service ended: $(<served.err)"
		sleep 0.1
	done
	die "the service does not start"
}

# served_well: it ends, and no call of bob's has failed.
served_well() {
	kill -TERM "$served"
	wait "$served" || die "the service failed: $(head -c 600 served.err)"
	grep -Eq '^rows [1-9][0-9]* errors 0$' served.out || die "the service wrote nothing: $(<served.out)"
}

helpers+=(fresh_shop serve served_well)

# What status and list say, but for what changes by itself.
steady() { sed -E 's/ pin .*| audit floor .*|keyring generation [0-9]+|logs: .*|, [0-9]+ bytes sealed//' out; }
helpers+=(steady)

the_same_words_on_a_database_that_is_open() {
	local command
	fresh_shop
	for command in status "merchant list" "merchant show ann" "status ann"; do
		# shellcheck disable=SC2086 # words
		run 0 --db db $command
		steady | grep -v bob >"closed.${command// /-}"
	done
	serve
	for command in "merchant list" "merchant show ann"; do
		# shellcheck disable=SC2086 # words
		run 0 --db db $command
		steady | grep -v bob | diff "closed.${command// /-}" - || die "'$command' says something else"
	done
	run 0 --db db status --json
	json '.database.path' db
	json '[.merchants[].name]' '["ann","bob"]'
	run 0 --db db status --live --prometheus metrics
	has out "lease held"
	has metrics bulkhead_merchant
	run 3 --db db merchant show nobody --json
	error 3 no-such-merchant
	served_well
}

a_merchant_is_switched_off_and_on() {
	fresh_shop
	serve
	run 0 --db db merchant suspend ann --reason "invoice 17" --operator eve --json
	json '.merchant, .state, .cause' $'ann\nsuspended\noperator'
	json .note "invoice 17 (by eve)"
	run 0 --db db merchant suspend ann
	run 4 --db db rotate ann --json
	error 4 suspended
	run 0 --db db merchant resume ann
	has out "merchant 'ann' is active"
	run 3 --db db merchant suspend nobody
	served_well
	run 0 --db db get ann/data key07
	has out "value 7"
}

keys_are_rotated_and_rewrapped() {
	fresh_shop
	serve
	run 0 --db db rotate ann --now
	has out "all older generations are destroyed"
	run 0 --db db rotate --platform
	run 0 --db db rewrap --all --json
	json '[.rewraps[].merchant]' '["ann","bob"]'
	run 0 kms create "local:kms#ann2"
	run 0 --db db rewrap ann --cmk "local:kms#ann2"
	has out "its data lies under new DEKs"
	run 2 --db db rewrap ann --cmk "local:kms#bob" --json
	error 2 exists
	served_well
	run 0 --db db verify
	run 0 --db db get ann/data key07
}

rows_are_erased_and_a_class_compacted() {
	fresh_shop
	serve
	run 0 --db db compact ann/data
	run 0 --db db erase ann/data --prefix key0 --suppress --json
	json '.complete, .rows' $'true\n10'
	run 0 --db db erase ann/data --list --json
	json '.suppressed | length' 1
	run 0 --db db erase ann/data --prefix key0 --lift
	run 3 --db db erase ann/data --prefix key0 --lift
	served_well
	run 3 --db db get ann/data key07
	run 0 --db db get ann/data key17
}

a_merchant_comes_and_a_merchant_goes() {
	fresh_shop
	serve
	run 0 kms create "local:kms#cleo"
	run 0 --db db merchant add cleo --cmk "local:kms#cleo" --class data --class events
	run 2 --db db merchant add cleo --cmk "local:kms#cleo"
	run 2 --db db merchant shred ann </dev/null
	has err "cannot be undone"
	run 0 --db db merchant shred ann --yes --certificate ann.json
	run 0 certificate verify ann.json
	run 0 --db db merchant certificate ann --out again.json
	cmp ann.json again.json || die "another certificate"
	run 5 --db db merchant suspend ann
	served_well
	run 0 --db db merchant show cleo
	run 0 --db db verify
}

rows_stay_with_the_service() {
	fresh_shop
	serve
	run 1 --db db get ann/data key07 --json
	error 1 busy
	run 1 --db db verify
	has err "the database is open already"
	served_well
}

the_service_is_gone() {
	fresh_shop
	serve
	kill -KILL "$served"
	wait "$served" || :
	[[ -S db/ADMIN ]] || die "it leaves no socket"
	run 0 --db db merchant suspend ann
	run 0 --db db verify
	! grep -q ADMIN out || die "verify talks of what is harmless: $(<out)"
}

# Leases that are renewed every second are told once, ahead; who was killed can have had the keys to the end of what was told.
renewals_are_told_by_spans() {
	fresh_shop
	serve env LEASE_MS=1000
	sleep 5
	"$bhctl" audit show db/AUDIT --merchant bob --json >out
	json '[.entries[] | select(.action == "keys.renewed")] | length' 1
	json '[.entries[] | select(.action == "keys.renewed" and .until > .time)] | length' 1
	local told
	told=$(jq -r '.entries[] | select(.action == "keys.renewed").until | sub("[.].*"; "Z") | fromdate' out)
	run 0 --db db audit verify # by the key that the service says
	mkdir archive
	run 0 --db db audit archive archive
	kill -KILL "$served"
	wait "$served" || :
	run 0 --db db audit who-could-decrypt --merchant bob --at 2999-01-01T00:00:00Z --lease-limit 1 --json
	json '.holders[0] | .certain, .end' $'false\nunknown'
	json '.holders[0].lease_until | sub("[.].*"; "Z") | fromdate' "$((told + 1))"
	serve env LEASE_MS=1000
	sleep 3
	served_well
	"$bhctl" audit show db/AUDIT --merchant bob --json >out
	json '[.entries[] | select(.action == "keys.renewed") | .count // 1] | length, .[-1] > 1' $'3\ntrue'
	run 0 --db db audit verify
}

# Of root, of a user who is allowed and has no key, and of one who is not.
users_are_told_apart() {
	((EUID == 0)) || die "has to be run by root, since it takes three users"
	export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # which looks into processes that nobody may look into
	local shop=65511 ops=65512 stranger=65513 copy=$work/bhctl
	fresh_shop
	cp "$bhctl" "$copy"
	chmod 755 "$copy"
	chmod 711 "$work"
	chmod 711 db
	chown -R "$shop" db db-kms kms
	admins=$ops serve setpriv --reuid="$shop" --regid="$shop" --clear-groups --
	as() { setpriv --reuid="$1" --regid="$1" --clear-groups -- "$copy" "${@:2}" >out 2>err </dev/null; }
	as "$ops" --db db merchant suspend ann || die "who is allowed is refused: $(<err)"
	as "$ops" --db db status || die "who is allowed is refused: $(<err)"
	run 0 --db db merchant resume ann # root
	local code=0
	as "$stranger" --db db merchant suspend ann --json || code=$?
	[[ $code == 7 ]] || die "a stranger is not refused: $code: $(<err)"
	error 7 denied
	run 0 --db db merchant show ann --json
	json '.merchants[0].state' active
	served_well
	changes() { jq -rc 'select(.action == "state.changed" and .merchant == "ann") | .actor' db/AUDIT | sort -u; }
	[[ $(changes) == *"uid:$ops"* ]] || die "the log does not name who suspended ann: $(changes)"
	[[ $(changes) == *uid:root* ]] || die "the log does not name who resumed ann: $(changes)"
	[[ -z $(find db ! -user "$shop") ]] || die "files of another's: $(find db ! -user "$shop")"
}

run_checks "$@"
