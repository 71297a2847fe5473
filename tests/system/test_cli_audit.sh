#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_audit.sh BHCTL [CHECK...]: the audit log on the command line: shown, proved with the public key alone, who held keys
# when.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

show_filters_and_prints_the_floor() {
	fresh
	run 0 --db db audit show --json
	json '.entries[0].action, ([.entries[].seq] == [range(1; (.entries | length) + 1)])' $'database.created\ntrue'
	run 0 --db db audit show --merchant ann --json
	json '[.entries[].merchant] | unique | join(" ")' ann
	json '[.entries[].action] | index("keys.granted") != null' true
	! grep -q 'value of' db/AUDIT || die "a row is in the log"
	run 0 --db db audit show --merchant ann
	has out "keys.granted ann"
	has out "floor "
	run 0 --db db audit show --since -1h
	has out database.created
	run 0 --db db audit show --since 2999-01-01T00:00:00Z --json
	json '.entries | length' 0
	run 0 audit show db/AUDIT
	run 2 audit show
	run 3 audit show nowhere/AUDIT
	run 2 --db db audit show --since yesterday
}

verify_needs_the_public_key_alone() {
	fresh
	local key floor
	key=$(public_key)
	mv kms kms-away
	mv db-kms db-kms-away
	cp db/AUDIT log
	run 0 audit verify log --public-key "$key" --json
	json '.ok, (.entries > 10)' $'true\ntrue'
	floor=$(jq -r .floor out)
	run 0 audit verify log --public-key "$key" --floor "$floor"
	has out "floor $floor"
	echo "$key" >key
	run 0 audit verify log --public-key key
	run 6 audit verify log --public-key "${key//[0-9]/1}"
	run 2 audit verify log
	run 3 audit verify log --public-key 12
	run 2 audit verify log --public-key "$key" --floor 12
	run 8 --db db audit verify # opens the database, whose KMS is away
}

verify_finds_changes() {
	fresh
	local key floor lines
	key=$(public_key)
	cp db/AUDIT good
	floor=$("$bhctl" audit verify good --public-key "$key" --json | jq -r .floor)
	sed '2s/"outcome":"ok"/"outcome":"io"/' good >log
	run 6 audit verify log --public-key "$key"
	has err "line 3"
	sed '9d' good >log
	run 6 audit verify log --public-key "$key"
	lines=$(wc -l <good)
	# Back to an earlier checkpoint is a log in itself: the floor tells, and the keyring.
	head -n "$(grep -n '^{"checkpoint"' good | head -n 3 | tail -n 1 | cut -d: -f1)" good >log
	((lines > $(wc -l <log))) || die "nothing was cut"
	run 0 audit verify log --public-key "$key"
	run 6 audit verify log --public-key "$key" --floor "$floor"
	has err "cut"
	cp log db/AUDIT
	unchanged db 6 --db db get ann/data key1
	has err AUDIT
	run 6 --db db audit verify
	cp good db/AUDIT
	run 0 --db db get ann/data key1
	run 0 --db db audit verify
}

# An open reads the end of a long log; all of it is verify's to prove.
a_long_log_is_proved_by_verify() {
	fresh
	local key size
	key=$(public_key)
	while ! grep -q '^{"anchor"' db/AUDIT; do
		run 0 --db db get ann/data key1
	done
	size=$(stat -c %s db/AUDIT)
	((size > 262144)) || die "an anchor after $size bytes"
	run 0 --db db get ann/data key1 # its commit mark passes the anchor
	run 0 --db db verify
	cp db/AUDIT good
	sed -i '2s/"outcome":"ok"/"outcome":"io"/' db/AUDIT
	cmp -s db/AUDIT good && die "nothing was changed"
	run 0 --db db get ann/data key1
	run 6 audit verify db/AUDIT --public-key "$key"
	has err "line 3"
	run 6 --db db audit verify
	run 6 --db db verify --json
	json '.checks[] | select(.name == "audit log").failures | length' 1
	sed -i '2s/"outcome":"io"/"outcome":"ok"/' db/AUDIT
	run 0 --db db get ann/data key1 # its commit mark passes what was logged meanwhile
	cp db/AUDIT good
	sed '2d' good >db/AUDIT
	unchanged db 6 --db db get ann/data key1
	has err "line 2"
	cp good db/AUDIT
	sed -i '$d' db/AUDIT
	sed -i '$s/"outcome":"ok"/"outcome":"io"/' db/AUDIT
	unchanged db 6 --db db get ann/data key1
	cp good db/AUDIT
	run 0 --db db audit verify
}

a_lost_log_is_not_made_anew_by_itself() {
	fresh
	rm db/AUDIT
	unchanged db 6 --db db get ann/data key1
	has err "is missing"
	[[ ! -e db/AUDIT ]] || die "a log was made"
	run 6 --db db verify
	run 2 --db db audit restart
	run 0 --db db audit restart --yes
	run 0 --db db audit show
	has out log.restarted
	run 0 --db db get ann/data key1
	# A damaged one is kept.
	flip db/AUDIT 30
	run 6 --db db get ann/data key1
	run 0 --db db audit restart --yes
	[[ -n $(echo db/AUDIT.[0-9]*) ]] || die "the damaged log is gone"
	run 0 --db db audit verify
	run 0 --db db verify --json
	json '[.checks[] | select(.name == "strays").notes[] | select(test("AUDIT"))] | length' 0
}

who_could_decrypt() {
	fresh
	local granted closed
	# Processes of one command each: nobody holds keys in between.
	run 0 --db db audit who-could-decrypt --merchant ann --at -0s
	has out "no process"
	run 0 --db db get ann/data key1
	run 0 --db db audit show --json
	granted=$(jq -r '[.entries[] | select(.action == "keys.granted" and .merchant == "ann")] | last | .time' out)
	closed=$(jq -r '[.entries[] | select(.action == "keyring.closed")] | last | .time' out)
	run 0 --db db audit who-could-decrypt --merchant ann --at "$granted" --json
	json '.holders | length' 1
	json '.holders[0].certain, .holders[0].end, .holders[0].until' "true"$'\nclosed\n'"$closed"
	run 0 --db db audit who-could-decrypt --merchant ann --at "$closed" --json
	json '.holders | length' 0
	# One that is killed: nobody knows until when, but not beyond the next open.
	{ BH_CRASH_AT=shred.recorded "$bhctl" --db db merchant shred bob --yes; } >/dev/null 2>&1
	run 0 --db db audit who-could-decrypt --merchant ann --at 2999-01-01T00:00:00Z
	has out "unknown"
	has out "lease"
	run 0 --db db audit who-could-decrypt --merchant ann --at 2999-01-01T00:00:00Z --json
	json '.holders[0].certain, .holders[0].end' $'false\nunknown'
	run 0 --db db status
	run 0 --db db audit who-could-decrypt --merchant ann --at 2999-01-01T00:00:00Z
	has out "no process"
	run 2 --db db audit who-could-decrypt --merchant ann
	run 2 --db db audit who-could-decrypt --at -1h
}

shred_and_denial_are_told() {
	fresh
	run 0 --db db kms disable local:kms#ann
	"$bhctl" --db db get bob/data key1 >/dev/null 2>&1
	run 0 --db db audit show --merchant ann --json
	json '[.entries[] | select(.action == "keys.denied").outcome] | index("kms-refused") != null' true
	run 0 --db db merchant shred bob --yes
	run 0 --db db audit show --merchant bob --json
	json '[.entries[].action] | contains(["dek.destroyed", "cmk.destroy-answered", "certificate.issued"])' true
	run 0 --db db audit verify
}

run_checks "$@"
