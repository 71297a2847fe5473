#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_pkcs11.sh BHCTL [CHECK...]: a merchant whose key is in a token, SoftHSM here, from its key to its shred, beside one whose
# key lies in files; and that its PIN is in nothing that is written or shown.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

module=/usr/lib/softhsm/libsofthsm2.so
pin=8364-pin

# A token, and `uri` NAME for the keys in it. A test that finds no SoftHSM fails.
token() {
	mkdir tokens
	printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$PWD/tokens" >softhsm.conf
	export SOFTHSM2_CONF=$PWD/softhsm.conf
	softhsm2-util --init-token --free --label shop --pin "$pin" --so-pin 5678 >/dev/null || die "there is no SoftHSM"
	mkdir secrets
	echo "$pin" >secrets/pin
}
uri() { echo "pkcs11:token=shop;object=$1?module-path=$module&pin-source=file:$PWD/secrets/pin&region=eu"; }

# A database with the merchant "hal", whose key is in the token, beside those of fresh().
hal() {
	token
	fresh
	run 0 --db db kms create "$(uri hal)"
	run 0 --db db merchant add hal --cmk "$(uri hal)" --class data
	run 0 --db db put hal/data key1 "value of hal"
}

bob_is_served() {
	run 0 --db db get bob/data key1
	has out "value of bob"
}

no_pin_is_written() {
	local found
	found=$(grep -rlF --exclude-dir=secrets -e "$pin" .)
	[[ -z $found ]] || die "the PIN is in $found"
}
helpers+=(token uri hal bob_is_served no_pin_is_written)

its_owner_takes_the_key_away_and_gives_it_back() {
	hal
	run 0 kms disable "$(uri hal)"
	run 7 --db db get hal/data key1
	bob_is_served
	run 0 --db db put bob/data key2 more
	run 0 kms enable "$(uri hal)"
	run 0 --db db merchant resume hal
	run 0 --db db get hal/data key1
	has out "value of hal"
	run 0 --db db audit show --merchant hal --json
	has out "token=shop"
	run 0 --db db audit verify
	no_pin_is_written
}

a_wrong_pin_and_a_token_that_is_out_are_told_apart() {
	hal
	echo wrong >secrets/pin
	run 7 --db db get hal/data key1
	run 0 --db db audit show --merchant hal
	has out "CKR_PIN_INCORRECT"
	bob_is_served
	echo "$pin" >secrets/pin
	mv tokens out-of-the-slot && mkdir tokens
	run 8 --db db get hal/data key1
	run 0 --db db audit show --merchant hal
	has out "is not there"
	bob_is_served
	rmdir tokens && mv out-of-the-slot tokens
	run 0 --db db get hal/data key1
	has out "value of hal"
	no_pin_is_written
}

a_pin_in_a_uri_is_refused_and_not_repeated() {
	token
	fresh
	run 2 --db db merchant add hal --cmk "pkcs11:token=shop;object=hal?module-path=$module&pin-value=$pin" --class data
	has err "pin-source=file:"
	run 2 --db db merchant add hal --cmk "vault://shop:$pin@127.0.0.1/transit/keys/hal" --class data
	run 2 --db db rewrap ann --cmk "pkcs11:token=shop;object=hal?module-path=$module&pin-value=$pin"
	run 0 --db db audit show --merchant ann --json
	has out "is not shown"
	run 2 --db db init --region eu --platform-cmk "pkcs11:token=shop;object=p?module-path=$module&pin-value=$pin"
	run 2 kms create "pkcs11:token=shop;object=p?module-path=$module&pin-value=$pin"
	no_pin_is_written
}

it_rotates_moves_and_is_shredded() {
	hal
	run 0 kms rotate "$(uri hal)"
	run 0 --db db rewrap hal --json
	json '.rewraps[0] | [.merchant, .cmk_version, .rewrapped, .behind]' '["hal",2,1,0]'
	run 0 --db db get hal/data key1
	has out "value of hal"
	# From files into the token; and the data is what it was.
	run 0 --db db kms create "$(uri ann)"
	run 0 --db db rewrap ann --cmk "$(uri ann)"
	run 0 kms destroy "local:kms#ann"
	run 0 --db db get ann/data key1
	has out "value of ann"
	run 0 --db db merchant shred hal --yes --certificate hal.json
	run 0 certificate verify hal.json
	has out "FINAL: the signature holds"
	run 3 kms destroy "$(uri hal)" # it is not there any more
	run 5 --db db get hal/data key1
	run 0 --db db get ann/data key1
	has out "value of ann"
	bob_is_served
	run 0 --db db verify
	no_pin_is_written
}

the_platforms_key_can_be_in_a_token() {
	token
	run 0 kms create "$(uri platform)" --region eu
	run 0 --db db init --region eu --platform-cmk "$(uri platform)"
	run 0 --db db kms create "local:kms#ann"
	run 0 --db db merchant add ann --cmk "local:kms#ann" --class data
	run 0 --db db put ann/data key1 one
	run 0 kms rotate "$(uri platform)"
	run 0 --db db rewrap --all
	run 0 --db db get ann/data key1
	has out "one"
	run 0 kms disable "$(uri platform)"
	run 7 --db db get ann/data key1
	run 0 kms enable "$(uri platform)"
	run 0 --db db get ann/data key1
	no_pin_is_written
}

run_checks "$@"
