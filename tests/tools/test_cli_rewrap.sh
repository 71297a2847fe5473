#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_rewrap.sh BHCTL [CHECK...]: DEKs get new wraps, under a newer version of their CMK or under another CMK, as seen on the
# command line: what is said, what status shows, and that the database opens when the old CMK is gone.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

rewrap_brings_a_merchant_to_the_newest_version() {
	fresh
	run 0 kms rotate local:kms#ann
	run 0 --db db status ann --json
	json '.merchants[0].behind' 2
	run 0 --db db status ann
	has out "2 wraps below version 2"
	run 0 --db db rewrap ann
	has out "merchant 'ann': 2 DEKs rewrapped; 0 wraps below version 2"
	run 0 --db db rewrap ann --json
	json '.rewraps[0] | [.merchant, .cmk_version, .rewrapped, .behind]' '["ann",2,0,0]'
	run 0 --db db status ann --json
	json '[.merchants[0].behind, .merchants[0].classes[].deks[].cmk_version]' '[0,2,2]'
	run 0 --db db get ann/data key1
	has out "value of ann"
	run 0 --db db audit show --merchant ann
	has out "dek.rewrapped"
	run 0 --db db audit verify
}

rewrap_all_goes_on_past_one_that_fails() {
	fresh
	run 0 kms rotate local:kms#ann
	run 0 kms rotate local:kms#bob
	run 0 kms disable local:kms#ann
	run 7 --db db rewrap --all --json
	json '.rewraps | map(.merchant + " " + (.error.name // (.behind | tostring)))' '["ann kms-refused","bob 0"]'
	run 0 kms enable local:kms#ann
	run 0 --db db rewrap --all
	has out "merchant 'ann': 2 DEKs rewrapped; 0 wraps below version 2"
	has out "merchant 'bob': 0 DEKs rewrapped; 0 wraps below version 2"
}

a_database_opens_after_a_move_when_the_old_cmk_is_destroyed() {
	fresh
	run 0 kms create local:kms#next --region eu
	run 0 --db db rewrap ann --cmk local:kms#next
	has out "2 DEKs rewrapped"
	has out "its data lies under new DEKs"
	run 0 --db db merchant show ann --json
	json '.merchants[0].former_cmks | map([.uri, .destroyed])' "[[\"local:$PWD/kms#ann\",false]]"
	json '[.merchants[0].classes[].deks[] | select(.destroyed)] | length' 2
	run 0 --db db merchant show ann
	has out "former CMK local:$PWD/kms#ann, left "
	run 0 kms destroy local:kms#ann
	run 0 --db db get ann/data key1
	has out "value of ann"
	run 0 --db db status ann --json
	json '.merchants[0].cmk.uri | endswith("#next")' true
	run 0 --db db merchant show ann
	has out "#next"
	run 0 --db db audit show --merchant ann
	has out "merchant.moved"
}

# The DEKs stay those that the CMK of before can unwrap; a shred asks it all the same, wherever its KMS lies by then.
a_shred_is_about_every_cmk() {
	fresh
	run 0 kms create local:next#ann --region eu
	run 0 --db db rewrap ann --cmk local:next#ann --no-rotate
	has out "can unwrap out of an older KEYRING"
	mv kms elsewhere
	run 8 --db db merchant shred ann --yes --certificate early
	run 0 certificate verify early
	has out PENDING
	has out "$PWD/kms#ann"
	run 0 --db db kms relocate "local:$PWD/kms" "local:$PWD/elsewhere"
	run 0 --db db merchant show ann
	has out "former CMK local:$PWD/elsewhere#ann"
	run 0 --db db merchant shred ann --finalize --certificate late
	run 0 certificate verify late
	has out FINAL
	has out "former CMK"
	run 0 kms list local:elsewhere --json
	json '.keys[] | select(.name == "ann").state' destroyed
	run 0 --db db get bob/data key1
	has out "value of bob"
}

the_platform_moves_too() {
	fresh
	run 0 kms create local:kms#operator --region eu
	run 0 --db db rewrap --platform --cmk local:kms#operator
	has out "platform: 2 DEKs rewrapped; 0 wraps below version 1"
	has out "its data lies under new DEKs, which the CMK before never wrapped"
	run 0 --db db status --json
	json '[.database.platform_deks[] | [.generation, .destroyed]]' '[[1,true],[2,false]]'
	mv db-kms gone
	run 0 --db db get bob/data key1
	has out "value of bob"
	run 0 --db db verify
}

the_platform_rotates() {
	fresh
	run 0 --db db merchant shred ann --yes --certificate cert.json
	run 0 --db db status --json
	local pin key
	pin=$(jq -r .database.pin out)
	key=$(jq -r .database.public_key out)
	json '[.database.platform_deks[] | [.generation, .destroyed]]' '[[1,false]]'
	run 0 --db db merchant suspend bob
	run 0 --db db rotate --platform
	has out "platform: new files are sealed under generation 2 of its keys"
	has out "1 older ones are kept for what lies under them: parked/bob"
	run 1 --db db rotate --platform --sweep
	has err "parked/bob"
	run 0 --db db status
	has out "still needed by"
	run 0 --db db merchant resume bob
	run 0 --db db rotate --platform --exposed --json
	json '[.generation, .older, .destroyed]' '[3,0,2]'
	run 0 --db db rewrap --platform
	run 0 --db db --pin "$pin" status --json
	json .database.public_key "$key"
	json '[.database.platform_deks[] | [.generation, .destroyed]]' '[[1,true],[2,true],[3,false]]'
	run 0 --db db dump db/KEYRING --json
	json '[.deks[] | select(.owner == "platform") | [.generation, .destroyed]]' '[[1,true],[2,true],[3,false]]'
	run 0 certificate verify cert.json --public-key "$key"
	run 0 --db db audit verify
	run 0 --db db audit show
	has out "merchant.rotated"
	run 0 --db db get bob/data key1
	has out "value of bob"
	run 0 --db db verify
	run 2 --db db rotate
	run 2 --db db rotate bob --platform
}

what_a_rewrap_refuses() {
	fresh
	run 2 --db db rewrap
	run 2 --db db rewrap ann --all
	run 2 --db db rewrap --all --cmk local:kms#bob
	run 3 --db db rewrap nobody
	run 2 --db db rewrap ann --cmk local:kms#bob --json
	error 2 exists
	run 2 --db db rewrap --platform --cmk local:kms#bob --json
	error 2 exists
	run 0 kms create local:kms#us --region us
	run 9 --db db rewrap ann --cmk local:kms#us
	run 4 --db db rewrap ann --cmk local:kms#missing
	run 0 --db db get ann/data key1
}

run_checks "$@"
