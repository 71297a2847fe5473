#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_inspect.sh BHCTL [CHECK...]: verify, which finds every change and makes none, and dump, which shows every file as
# far as there are keys.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# ---- verify

verify_is_clean_and_changes_nothing() {
	fresh
	unchanged db 0 --db db verify
	unchanged db 0 --db db verify --json
	json '.ok, .failures' $'true\n0'
	json '[.checks[].ok] | all' true
	json '[.checks[] | select(.name == "tables").pages > 0, select(.name == "logs").frames > 0] | all' true
}

# Every kind of file, one flipped bit: verify says which file.
verify_finds_a_flipped_bit_in_every_file() {
	fresh
	run 0 --db db load ann/events <(awk 'BEGIN { for (i = 0; i < 300; i++) print i "\t" i * i }') --blob-min-size 1
	cp -a db good
	local file offset size
	while read -r file; do
		# What read-only opens append is in no commit mark, so a cut of it can only be found with a floor.
		cp good/AUDIT db/AUDIT
		size=$(stat -c %s "db/$file")
		for offset in 9 20 100 4095 $((size - 1)) $((size > 4300 ? 4200 : size - 1)); do
			((offset < size)) || continue
			flip "db/$file" "$offset"
			unchanged db 6 --db db verify --json
			if [[ $file != KEYRING && $file != AUDIT ]]; then
				json '.ok' false
				json "[.checks[].failures[].file] | index(\"$file\") != null" true
			fi
			cp "good/$file" "db/$file"
		done
	done < <(cd db && find . -type f ! -name LOCK ! -name RESERVE ! -name HOME ! -name 'LOG*' -printf '%P\n')
	run 0 --db db verify
}

verify_names_page_and_frame_and_goes_on() {
	fresh
	awk 'BEGIN { srand(1); for (i = 0; i < 3000; i++) printf "%05d\t%f%f\n", i, rand(), rand() }' >input
	run 0 --db db load ann/events input
	run 0 --db db compact ann/events
	run 0 --db db put bob/data more "and more"
	local table log
	table=$(cd db && find tenants/ann/events -name '*.sst')
	log=$(cd db && find . -name '*.log' -size +4096c -printf '%P\n')
	flip "db/$table" $((4096 + 4 * 2048 + 5))
	flip "db/$log" 4100
	run 6 --db db verify
	has out "FAIL tables"
	has out "$table: page 4 at offset 12288"
	has out "FAIL logs"
	has out "$log: frame 0 at offset 4096"
	has out "ok   manifests"
	has err "restore"
}

verify_finds_files_missing_swapped_and_strange() {
	fresh
	run 0 --db db compact ann/data
	run 0 --db db compact bob/data
	cp -a db good
	local ann bob
	ann=$(cd db && find tenants/ann/data -name '*.sst')
	bob=$(cd db && find tenants/bob/data -name '*.sst')
	rm "db/$ann"
	run 6 --db db verify
	has out "$ann: not-found"
	cp "good/$bob" "db/$ann"
	run 6 --db db verify --json
	json "[.checks[].failures[] | select(.file == \"$ann\").name] | index(\"tag-mismatch\") != null" true
	cp "good/$ann" "db/$ann"
	ln -s /etc/passwd db/tenants/ann/data/000999.sst
	run 0 --db db verify
	has out "000999.sst: is neither file nor directory"
	rm db/tenants/ann/data/000999.sst
	mkdir db/tenants/ann/unknown
	echo hello >db/notes.txt
	cp "good/$ann" db/tenants/ann/data/000998.sst
	run 0 --db db verify
	has out "unknown: a directory that belongs to no column family"
	has out "notes.txt: no file of this database"
	has out "000998.sst: a leftover"
}

verify_skips_whose_key_is_not_there() {
	fresh
	run 0 --db db compact ann/data
	run 0 --db db compact bob/data
	run 0 kms disable local:kms#ann
	unchanged db 0 --db db verify --json
	json '.checks[] | select(.name == "tables").skipped_no_key' 1
	run 0 --db db verify
	has out "skipped: 1, no key"
	has out "merchant 'ann': its keys are not available"
	flip "db/$(cd db && find tenants/bob/data -name '*.sst')" 5000
	run 6 --db db verify
}

# ---- dump

dump_shows_every_kind_of_file() {
	fresh
	run 0 --db db load ann/events <(printf 'blob1\tits value\nblob2\tanother value\n') --blob-min-size 1
	run 0 --db db compact ann/data
	run 0 --db db put bob/data last written
	local table log manifest blob
	table=$(find db/tenants/ann/data -name '*.sst')
	blob=$(find db/tenants/ann/events -name '*.blob')
	log=$(find db -name '*.log' -size +4096c)
	manifest=$(find db -name 'MANIFEST-*')
	local before
	before=$(tree_hash db)
	run 0 dump "$table"
	has out '"key1" = "value of ann"'
	run 0 dump --json "$table"
	json '.owner, .header.kind, .entries[0].value' $'ann/data\nsst\nvalue of ann'
	run 0 dump "$blob" --json
	json '[.blobs[].key] | join(" ")' "blob1 blob2"
	run 0 dump "$log"
	has out 'put bob/data "last" = "written"'
	run 0 dump --hex "$log" --json
	json '.records[0].entries[0] | .owner + " " + .key_hex + " " + .op' "bob/data 6c617374 put"
	json '.owners[0].owner' bob/data
	json '.end' clean
	run 0 dump "$manifest" --json
	json '[.edits[].fields[] | select(.field == "family-added").text] | join(" ")' "ann/data ann/events bob/data bob/events"
	json '[.edits[].fields[] | select(.field == "file-added").smallest.key] | index("key1") != null' true
	run 0 dump "$manifest" --limit 1 --json
	json '.edits | length' 1
	run 0 dump db/CURRENT
	has out "$(basename "$manifest")"
	run 0 dump db/IDENTITY
	run 0 dump "$(find db -name 'OPTIONS-*' | head -n 1)"
	has out "[DBOptions]"
	run 0 dump db/KEYRING --json
	json '[.merchants[].name] | join(" ")' "ann bob"
	json '.deks | length' 5
	[[ $(tree_hash db) == "$before" ]] || die "dump changed the database"
	run 2 dump db/LOG
	run 2 dump db/AUDIT
	run 3 dump db/nowhere.sst
	run 2 dump db
}

dump_raw_needs_no_key() {
	fresh
	run 0 --db db compact ann/data
	run 0 --db db put bob/data last written
	mv kms kms-away
	mv db-kms db-kms-away
	local file
	while read -r file; do
		run 0 dump --raw "$file"
		! grep -qE 'key1|value of|written' out || die "$file: a row is shown"
		run 0 dump --raw "$file" --json
		json '.header.kind | length > 0' true
	done < <(find db -type f ! -name 'LO[CG]*' ! -name AUDIT ! -name HOME ! -name RESERVE)
	run 0 dump --raw --json "$(find db -name '*.log' -size +4096c)"
	json '.frames[0].offset, .layout.sync_mark.frames' $'4096\n1'
	# Without --raw: what can be shown, then why it is not all.
	run 8 dump "$(find db/tenants -name '*.sst' | head -n 1)" --json
	json '.header.kind' sst
	json '.error.code' 8
}

dump_says_no_key() {
	fresh
	run 0 --db db compact ann/data
	run 0 --db db put ann/data last "the last value"
	cp -a db old
	run 0 --db db merchant shred ann --yes
	local log
	log=$(find old -name '*.log' -size +4096c)
	run 0 --db db dump "$log"
	has out "put ann/data <no key: 4 bytes> = <no key: 14 bytes>"
	run 0 --db db dump "$log" --json
	json '.records[0].entries[0] | .key, .key_bytes' $'null\n4'
	json '.owners[0].key_available' false
	run 5 --db db dump "$(find old/tenants/ann -name '*.sst')" --json
	json '.error.name' shredded
	run 0 --db db dump "$(find old -name 'MANIFEST-*')"
	has out "smallest <no key"
	! grep -A 9 '(ann/' out | grep -q 'smallest "' || die "a boundary key is shown"
	# A file of no database.
	mkdir elsewhere && cp "$log" elsewhere/
	run 4 dump "elsewhere/$(basename "$log")"
	run 0 dump --raw "elsewhere/$(basename "$log")"
}

dump_refuses_what_is_no_file_of_ours() {
	echo nonsense >000001.sst
	run 6 dump --raw 000001.sst --json
	error 6 truncated
	head -c 9000 /dev/zero >000002.sst
	run 6 dump --raw 000002.sst --json
	error 6 malformed
	: >000003.log
	run 6 dump --raw 000003.log
	mkfifo 000004.sst
	run 2 dump --raw 000004.sst
}

run_checks "$@"
