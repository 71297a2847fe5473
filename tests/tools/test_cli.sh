#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli.sh BHCTL [CHECK...]: bhctl as people and scripts use it: what each command does, the shape of its JSON, every exit code,
# and that what is refused changes nothing.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# ---- init

init_makes_a_database_and_a_local_kms() {
	run 0 --db db init --region eu --json
	json .region eu
	json .local_kms_made true
	json .platform_cmk "local:$PWD/db-kms#platform"
	[[ -d db-kms && -f db/KEYRING && -f db/CURRENT ]] || die "files are missing"
	[[ $(stat -c %a db-kms/root.key) == 600 ]] || die "root key mode"
	run 0 --db db/ status
}

init_with_a_key_of_its_own() {
	run 0 kms create local:keys#platform --region eu
	run 0 --db db init --region eu --platform-cmk local:keys#platform --json
	json .local_kms_made false
	[[ ! -e db-kms ]] || die "a local KMS was made all the same"
	# A relative URI is recorded as an absolute one.
	(cd / && "$bhctl" --db "$OLDPWD/db" status >/dev/null) || die "not found from elsewhere"
	run 0 --db db status --prometheus metrics.prom
	grep -q '^bulkhead_background_errors 0$' metrics.prom || die "no metrics"
	grep -q '^bulkhead_kms_calls_total{merchant=""} [1-9]' metrics.prom || die "no calls to the platform's KMS"
	run 2 --db db status --prometheus
}

init_refuses_what_is_there() {
	run 0 --db db init --region eu
	unchanged db 2 --db db init --region eu
	unchanged db 2 --db db init --region us --json
	ldb --db=plain --create_if_missing put a b >/dev/null
	unchanged plain 2 --db plain init --region eu
	[[ ! -e plain-kms ]] || die "a KMS was made for it"
}

init_refuses_bad_regions_and_keys() {
	mkdir here
	unchanged here 2 --db here/db init
	unchanged here 2 --db here/db init --region ../eu
	unchanged here 2 --db here/db init --region eu --platform-cmk nonsense
	unchanged here 2 --db here/db init --region eu --platform-cmk "local:here/db#k"
	unchanged here 2 --db here/db init --region eu --platform-cmk "local:here/db/kms#k"
	unchanged here 2 --db here/db init --region eu --platform-cmk "local:here/../here/db/kms#k"
	unchanged here 8 --db here/db init --region eu --platform-cmk "local:here/nokms#k"
	run 0 kms create local:us#k --region us
	unchanged here 9 --db here/db init --region eu --platform-cmk local:us#k --json
	error 9 wrong-region
}

# ---- kms

kms_console() {
	local request
	run 0 kms create local:kms#one --region eu --json
	json .key.state enabled
	json .key.region eu
	run 0 kms create local:kms#two
	run 2 kms create local:kms#two --json
	error 2 exists
	run 0 kms rotate local:kms#one --json
	json .key.version 2
	run 0 kms disable local:kms#one --json
	json .key.state disabled
	run 0 kms enable local:kms#one --json
	json .key.state enabled
	run 0 kms destroy local:kms#two --json
	json .key.state destroyed
	run 7 kms enable local:kms#two --json
	error 7 kms-refused
	run 0 kms create local:kms#four --deletion-window-days 7 --json
	json .key.deletion_window_s 604800
	run 0 kms destroy local:kms#four --json
	json .key.state pending-deletion
	request=$(jq -r .key.request_id out)
	[[ $request =~ ^[0-9a-f]{32}$ ]] || die "no request id: $request"
	run 0 kms destroy local:kms#four --json
	json .key.request_id "$request"
	json '.key.scheduled_at != null' true
	run 7 kms disable local:kms#four
	run 0 kms enable local:kms#four --json
	json .key.state enabled
	run 2 kms create local:kms#five --deletion-window-days 9999
	run 2 kms create local:kms#five --deletion-window-days -1
	run 0 kms list local:kms --json
	json '[.keys[].name] | join(" ")' "four one two"
	run 0 kms list local:kms
	has out destroyed
	run 3 kms rotate local:kms#three
	run 8 kms list local:nowhere
	run 2 kms create local:kms#../x
	run 2 kms create vault:x#y
}

kms_create_takes_the_region_of_the_database() {
	run 0 --db db init --region eu
	run 0 --db db kms create local:kms#k --json
	json .key.region eu
	unchanged db 2 --db db kms create local:db/kms#k
}

kms_that_gives_no_answer_ends_with_8() {
	local long
	long=$(printf 'n%.0s' {1..300})
	run 8 kms list "local:$long" --json
	error 8 kms-unreachable
}

# ---- merchants

merchants_are_added_and_shown() {
	fresh
	run 0 --db db merchant list --json
	json '[.merchants[] | .name + ":" + .state] | join(" ")' "ann:active bob:active"
	run 0 --db db merchant list
	has out "local:$PWD/kms#bob"
	run 0 --db db merchant show ann --json
	json '[.merchants[0].classes[].name] | join(" ")' "data events"
	json '.merchants[0].cmk.state' enabled
	json '.merchants[0].classes[0].deks[0].generation' 1
	run 0 --db db kms create local:kms#cleo
	run 0 --db db merchant add cleo --cmk local:kms#cleo --json
	json '.classes | join(" ")' data
	[[ -d db/tenants/cleo/data ]] || die "no directory"
	run 3 --db db merchant show dora --json
	error 3 no-such-merchant
}

merchant_add_refuses() {
	fresh
	run 0 kms create local:kms#free --region eu
	run 0 kms create local:kms#us --region us
	run 0 kms create local:kms#off --region eu
	run 0 kms disable local:kms#off
	run 2 --db db merchant add ann --cmk local:kms#free --json
	error 2 exists
	run 2 --db db merchant add ANN --cmk local:kms#free
	run 2 --db db merchant add cleo --cmk local:kms#ann --json
	error 2 exists
	run 2 --db db merchant add cleo --cmk local:db-kms#platform
	run 3 --db db merchant add cleo --cmk local:kms#none
	run 7 --db db merchant add cleo --cmk local:kms#off --json
	error 7 kms-refused
	run 9 --db db merchant add cleo --cmk local:kms#us --json
	error 9 wrong-region
	run 2 --db db merchant add cleo --cmk local:kms#free --class data --class data
	unchanged db 2 --db db merchant add cleo --cmk local:db/kms#free
	unchanged db 2 --db db merchant add cleo
	run 0 --db db merchant list --json
	json '.merchants | length' 2
}

hostile_names_change_nothing() {
	fresh
	local long
	long=$(printf 'n%.0s' {1..255})
	local name
	for name in '' . .. ../x x/../y /etc x/y ' ' '-' 'a b' $'a\nb' 'a#b' "$long" 'é' tenants/ann; do
		unchanged db 2 --db db merchant add --cmk local:kms#free -- "$name"
		unchanged db 2 --db db merchant show -- "$name"
		unchanged db 2 --db db merchant shred --yes -- "$name"
		unchanged db 2 --db db put -- "ann/$name" k v
		unchanged db 2 --db db get -- "$name/data" k
		[[ $name == */* ]] || unchanged db 2 --db db scan -- "$name"
	done
	unchanged db 2 --db db merchant add cleo --cmk local:kms#free --class ../data
	# A message does not steer the terminal.
	run 2 --db db scan $'\e[31mred'
	! grep -q $'\e' err || die "an escape sequence reached stderr"
}

shred_asks_and_is_final() {
	fresh
	unchanged db 2 --db db merchant shred ann
	has err --yes
	run 3 --db db merchant shred dora --yes
	run 0 --db db merchant shred ann --yes --json
	json .state shredded
	[[ ! -e db/tenants/ann ]] || die "its directory is there"
	local command
	for command in "get ann/data key1" "put ann/data a b" "delete ann/data a" "scan ann/data" "compact ann/data" \
		"merchant shred ann --yes"; do
		# shellcheck disable=SC2086 # words
		run 5 --db db $command --json
		error 5 shredded
	done
	run 0 --db db status ann --json
	json '.merchants[0].state' shredded
	json '[.merchants[0].classes[].deks[].destroyed] | all' true
	run 0 kms list local:kms --json
	json '.keys[] | select(.name == "ann").state' destroyed
	run 0 --db db get bob/data key1
	has out "value of bob"
	run 0 --db db verify
}

a_name_used_again_is_a_new_merchant() {
	fresh
	run 0 --db db merchant show ann --json
	local id
	id=$(jq -r '.merchants[0].id' out)
	run 0 --db db merchant shred ann --yes
	run 0 --db db kms create local:kms#ann2
	run 0 --db db merchant add ann --cmk local:kms#ann2
	run 3 --db db get ann/data key1
	run 0 --db db put ann/data key1 again
	run 0 --db db get ann/data key1
	has out again
	run 0 --db db merchant show ann --json
	json '.merchants | length' 2
	json ".merchants[0].id == \"$id\" and .merchants[1].id != \"$id\"" true
	run 0 --db db verify
}

# ---- data

put_get_delete() {
	fresh
	run 0 --db db put ann/data key value
	[[ ! -s out ]] || die "put prints"
	run 0 --db db get ann/data key
	[[ $(<out) == value ]] || die "another value"
	run 0 --db db put ann/data key other --no-sync --json
	json '.done, .durable' $'put\nfalse'
	run 0 --db db get ann/data key --json
	json '.key + "=" + .value' key=other
	run 0 --db db delete ann/data key --json
	json '.done, .durable' $'delete\ntrue'
	run 3 --db db get ann/data key --json
	error 3 no-such-key
	run 0 --db db delete ann/data key
	run 3 --db db get ann/events key1
	run 3 --db db get ann/other key1
	run 3 --db db get dora/data key1
	run 3 --db db get bob/data key
}

binary_and_odd_values() {
	fresh
	head -c 100000 /dev/urandom >random
	"$bhctl" --db db put ann/data noise <random || die "put from stdin"
	"$bhctl" --db db get ann/data noise | cmp - random || die "another value"
	"$bhctl" --db db put ann/data dash - <random || die "put -"
	"$bhctl" --db db get ann/data dash | cmp - random || die "another value"
	run 0 --db db put ann/data --hex 00ff0a 0a00
	run 0 --db db get ann/data --hex 00ff0a
	[[ $(<out) == 0a00 ]] || die "hex"
	run 0 --db db get ann/data --hex 00FF0A --json
	json '.key_hex + " " + .value_hex' "00ff0a 0a00"
	run 0 --db db put ann/data '' ''
	run 0 --db db get ann/data '' --json
	json '.key + .value' ''
	run 0 --db db put ann/data -- -key --value
	run 0 --db db get ann/data -- -key
	[[ $(<out) == --value ]] || die "dashes"
	run 2 --db db put ann/data --hex 0 00
	run 2 --db db put ann/data --hex zz 00
	run 2 --db db get ann/data --hex 0g
}

scan_in_order_with_prefix_and_limit() {
	fresh
	local key
	for key in b/2 a/1 b/1 c b/10; do
		run 0 --db db put bob/events "$key" "v $key"
	done
	run 0 --db db scan bob/events
	[[ $(cut -f1 out | xargs) == "a/1 b/1 b/10 b/2 c" ]] || die "order: $(<out)"
	run 0 --db db scan bob/events --prefix b/
	[[ $(wc -l <out) == 3 ]] || die "prefix"
	run 0 --db db scan bob/events --prefix b/ --limit 2 --json
	json '[.entries[].key] | join(" ")' "b/1 b/10"
	json '.count' 2
	run 0 --db db scan bob/events --prefix 61 --hex
	[[ $(<out) == $'612f31\t7620612f31' ]] || die "hex: $(<out)"
	run 0 --db db scan ann/events --json
	json '.entries | length' 0
	run 0 --db db scan bob/events --prefix zzz
	[[ ! -s out ]] || die "a prefix of nothing"
}

load_tsv_and_scan_are_each_others_reverse() {
	fresh
	awk 'BEGIN { for (i = 0; i < 5000; i++)
		printf "key%06d\tline one\\nline \\\\ two\\t%d \303\251\\x00\\xff\n", i, i }' >input.tsv
	run 0 --db db load ann/events input.tsv --json
	json '.records' 5000
	run 0 --db db scan ann/events
	cmp -s out input.tsv || die "scan is another text: $(head -n 1 out)"
	"$bhctl" --db db load bob/events - <out >/dev/null || die "load of a scan"
	cp out scanned
	run 0 --db db scan bob/events
	cmp -s out scanned || die "not equal"
	run 0 --db db load ann/events input.tsv --blob-min-size 8
	[[ -n $(find db/tenants/ann/events -name '*.blob') ]] || die "no blob file"
	run 0 --db db scan ann/events
	cmp -s out scanned || die "blobs: not equal"
	run 0 --db db verify
}

load_jsonl() {
	fresh
	printf '%s\n' '{"key":"a","value":"1\n2"}' '{"key_hex":"00ff","value":"x"}' '{"key":"\u00e9","value_hex":"0a"}' >input
	run 0 --db db load ann/events input --format jsonl
	run 0 --db db scan ann/events --json
	json '[.entries[] | .key // .key_hex] | join(" ")' "00ff a é" 2>/dev/null || json '.count' 3
	run 0 --db db get ann/events a
	[[ $(<out) == $'1\n2' ]] || die "another value"
}

load_stops_at_a_bad_line() {
	fresh
	printf 'a\t1\nb\t2\nno tab\nc\t3\n' >bad
	run 2 --db db load ann/events bad --json
	error 2 invalid
	has err "line 3"
	has err "the 2 records before it are stored"
	run 0 --db db scan ann/events --json
	json .count 2
	local line
	for line in $'a\tb\tc' $'a\t\\q' $'a\t\\x0' $'a\t\\xzz' $'a\\\tb'; do
		printf '%s\n' "$line" >bad
		run 2 --db db load ann/events bad
		has err "line 1"
	done
	for line in nonsense '[]' '{"key":"a"}' '{"key":"a","value":1}' '{"key":"a","value":"b","more":1}' \
		'{"key_hex":"0","value":""}' \
		'{"key":"a","key":"b","value":""}'; do
		printf '%s\n' "$line" >bad
		run 2 --db db load ann/events bad --format jsonl
		has err "line 1"
	done
	run 3 --db db load ann/events nowhere
}

large_keys_are_stored_exactly() {
	fresh
	{ head -c 8388608 /dev/zero | tr '\0' k; printf '\tvalue\n'; } >input
	run 0 --db db load ann/events input
	run 0 --db db scan ann/events
	cmp -s out input || die "not equal"
	run 0 --db db verify
}

compact_drops_what_is_deleted() {
	fresh
	run 0 --db db put ann/data gone soon
	run 0 --db db delete ann/data gone
	run 0 --db db compact ann/data --json
	json .compacted ann/data
	run 0 --db db compact ann/data
	run 0 --db db scan ann/data --json
	json .count 1
	local table
	table=$(find db/tenants/ann/data -name '*.sst')
	run 0 dump "$table" --json
	json .properties.entries 1
}

a_rotation_moves_on_and_the_old_key_goes() {
	fresh
	run 0 --db db rotate ann --json
	json .generation 2
	json .older 2 # one of each class
	run 0 --db db put ann/data later row
	run 0 --db db status ann
	has out "still needed by"
	run 0 --db db status ann --json
	json '[.merchants[0].classes[].deks[] | select(.needed_by.files > 0)] | length > 0' true
	json '[.merchants[0].classes[] | select(.name == "data").deks[].sealed > 0] | all' true
	run 0 --db db rotate ann
	has out "generation 3"
	run 0 --db db compact ann/data
	run 0 --db db get ann/data key1
	has out "value of ann"
	run 0 --db db compact ann/events # an open that may write
	run 0 --db db status ann --json
	json '[.merchants[0].classes[] | select(.name == "data").deks[] | select(.destroyed)] | length' 2
	run 0 --db db get ann/data later
	run 0 --db db verify
	run 3 --db db rotate nobody
	run 0 --db db merchant suspend ann
	run 4 --db db rotate ann
	run 4 --db db rotate ann --now
}

a_sweep_ends_with_one_generation() {
	fresh
	run 0 --db db rotate ann
	run 0 --db db put ann/data later row
	run 0 --db db rotate ann --now --json
	json .generation 3
	json .older 0
	json .destroyed 4 # two generations of two classes
	json '.files_swept > 0' true
	run 0 --db db get ann/data key1
	has out "value of ann"
	run 0 --db db rotate ann
	run 0 --db db rotate ann --sweep --rate 500
	has out "all older generations are destroyed"
	run 0 --db db rotate ann --exposed
	run 0 --db db audit show --merchant ann
	has out "exposed; the last byte under it is gone"
	run 0 --db db get ann/data later
	run 0 --db db verify
	run 2 --db db rotate ann --sweep --now
	run 2 --db db rotate ann --now --rate fast
}

output_that_cannot_be_written_ends_with_10() {
	fresh
	local code=0
	"$bhctl" --db db get ann/data key1 >/dev/full 2>err || code=$?
	[[ $code == 10 ]] || die "ended with $code"
	code=0
	"$bhctl" --db db status --json >/dev/full 2>err || code=$?
	[[ $code == 10 ]] || die "ended with $code"
}

# ---- status

status_says_what_an_operator_asks() {
	fresh
	run 0 --db db compact ann/data
	run 0 --db db status --json
	json '.database.region' eu
	json '.database.id | length' 32
	json '.database.keyring_generation > 0' true
	json '.database.aead | test("openssl|ipsec-mb")' true
	json '.database.platform_cmk.state' enabled
	json '[.merchants[] | .name] | join(" ")' "ann bob"
	json '.merchants[0].classes[0].sst_files' 1
	json ".merchants[0].classes[0].sst_bytes == $(find db/tenants/ann/data -name '*.sst' -printf '%s\n')" true
	json '.merchants[0].cmk.uri' "local:$PWD/kms#ann"
	json '[.merchants[].classes[].deks[].id] | unique | length' 4
	run 0 --db db status bob
	has out "merchant bob: active"
	! grep -q ann out || die "ann is in it"
	run 3 --db db status dora
	# What only who has it open can say.
	json_is_absent() { [[ $(jq -r "$1" out) == null ]] || die "$1 is there"; }
	run 0 --db db status ann --json
	json_is_absent .merchants[0].lease
	run 0 --db db status ann --live --json
	json '.merchants[0].lease | .state, .age_ms + .left_ms == .limit_ms, .limit_ms' $'held\ntrue\n300000'
	json '.merchants[0].kms | .calls > 0, .failed, .slowest_us >= .average_us' $'true\n0\ntrue'
	json '.database | .background_errors, .platform_kms.calls > 0' $'0\ntrue'
	run 0 --db db status --live
	has out "lease held: "
	has out "background errors: 0"
	# A key that refuses is shown, and fails nobody.
	run 0 kms disable local:kms#ann
	unchanged db 0 --db db status --json
	json '.merchants[0].cmk.state' disabled
	mv kms kms-away
	run 0 --db db status --json
	json '.merchants[0].cmk.error.name' kms-unreachable
}

# ---- who may open it

a_second_process_is_refused() {
	fresh
	exec 9<db
	flock -x 9
	unchanged db 1 --db db get ann/data key1 --json
	error 1 busy
	unchanged db 1 --db db status
	unchanged db 1 --db db verify
	exec 9<&-
	run 0 --db db get ann/data key1
}

no_database_no_keyring() {
	run 3 --db nowhere get ann/data key1
	[[ ! -e nowhere ]] || die "it was made"
	mkdir empty
	unchanged empty 3 --db empty scan ann/data
	unchanged empty 3 --db empty verify
	fresh
	mv db/KEYRING away
	unchanged db 3 --db db get ann/data key1 --json
	error 3 not-found
	: >db/KEYRING
	unchanged db 6 --db db get ann/data key1
	ln -sf ../away db/KEYRING
	unchanged db 6 --db db get ann/data key1
	rm db/KEYRING && mkdir db/KEYRING
	unchanged db 6 --db db get ann/data key1
}

a_plain_rocksdb_is_left_alone() {
	ldb --db=plain --create_if_missing put a b >/dev/null
	unchanged plain 3 --db plain get ann/data a
	unchanged plain 3 --db plain put ann/data a b
	unchanged plain 3 --db plain verify
	unchanged plain 6 dump plain/CURRENT
	ldb --db=plain get a >/dev/null || die "RocksDB cannot read it any more"
}

a_foreign_keyring_opens_nothing() {
	fresh
	mkdir other && (cd other && fresh) || exit 1
	mv db/KEYRING away
	cp other/db/KEYRING db/KEYRING
	local code=0
	"$bhctl" --db db get ann/data key1 >out 2>err || code=$?
	[[ $code == 4 || $code == 6 ]] || die "ended with $code: $(<err)"
	run 6 --db db verify
	cp away db/KEYRING
	run 0 --db db get ann/data key1
	has out "value of ann"
}

passphrase_by_descriptor_or_environment() {
	local code=0
	"$bhctl" --passphrase-fd 3 --db db init --region eu 3<<<"correct horse" >out 2>err || die "init: $(<err)"
	[[ ! -e db-kms/root.key ]] || die "a root key file was made"
	"$bhctl" --db db status --passphrase-fd 3 3<<<"correct horse" >out 2>err || die "status: $(<err)"
	BULKHEAD_KMS_PASSPHRASE="correct horse" "$bhctl" --db db status >out 2>err || die "status by environment: $(<err)"
	local before
	before=$(tree_hash db)
	"$bhctl" --passphrase-fd 3 --json --db db status 3<<<"wrong" >out 2>err || code=$?
	[[ $code == 7 ]] || die "a wrong one ended with $code"
	error 7 kms-refused
	run 7 --db db status
	[[ $(tree_hash db) == "$before" ]] || die "something changed"
	run 10 --passphrase-fd 77 --db db status
	run 2 --passphrase-fd x --db db status
	! grep -rqaF "correct horse" db db-kms || die "the passphrase is on disk"
}

a_disabled_key_is_told_from_an_unreachable_one() {
	fresh
	run 0 kms disable local:db-kms#platform
	unchanged db 7 --db db status --json
	error 7 kms-refused
	run 0 kms enable local:db-kms#platform
	run 0 --db db get ann/data key1
}

run_checks "$@"
