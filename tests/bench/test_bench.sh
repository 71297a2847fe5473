#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every benchmark of bh_bench runs over every engine, on tiny numbers, and its JSON says what it did.
# usage: test_bench.sh BH_BENCH
set -euo pipefail

bench=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/test_bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
passed=0

fail() {
	printf 'test_bench: %s\n' "$*" >&2
	exit 1
}

# run ENGINE BENCHMARKS FLAG...: its JSON lines; the database of the last fill is still there for the next call without one.
run() {
	local engine=$1 benchmarks=$2
	shift 2
	"$bench" --engine="$engine" --db="$work/$engine" --benchmarks="$benchmarks" --json --num=2000 --reads=600 --merchants=3 \
		--batch_size=20 --range_tombstone_width=20 "$@" || fail "$engine: $benchmarks failed"
}

# check LINES ENGINE BENCHMARKS: a line each, in this order, with operations, times in order, and what was found.
check() {
	local lines=$1 engine=$2 benchmarks=$3
	[[ $(jq -r .benchmark <<<"$lines" | paste -sd,) == "$benchmarks" ]] || fail "$engine: other lines than $benchmarks: $lines"
	jq -e --arg engine "$engine" '.engine == $engine and .ops > 0 and .seconds > 0 and .micros_per_op > 0
		and .cpu_micros_per_op > 0 and .merchants == 3 and .max_us > 0
		and .p50_us <= .p99_us and .p99_us <= .p999_us' <<<"$lines" >/dev/null ||
		fail "$engine: a line that cannot be: $lines"
	passed=$((passed + 1))
}

fresh() {
	rm -rf "${work:?}/$1" "$work/$1-kms"
}

everything=fillrandom,overwrite,compact,readrandom,readmissing,multireadrandom,readseq,readreverse,seekrandom,readwhilewriting
everything+=,readrandomwriterandom,mixeduniform,mixedzipf,deleterange,open

engines=(plain stock-ctr evp-ctr bulkhead bulkhead-openssl)
for engine in "${engines[@]}"; do
	for fill in fillseq fillsync fillbatch; do
		fresh "$engine"
		check "$(run "$engine" "$fill" --num=200)" "$engine" "$fill"
	done
	fresh "$engine"
	lines=$(run "$engine" "$everything" --threads=2 --histogram)
	check "$lines" "$engine" "$everything"
	# In another process the data is still there, and every engine finds the same keys: all draw the same random numbers.
	fresh "$engine"
	run "$engine" fillrandom,compact >"$work/lines"
	found=$(run "$engine" readrandom,readmissing,readseq --use_direct_io | jq -c '[.ops, .found]' | paste -sd' ')
	[[ -z ${first_found-} || $found == "$first_found" ]] || fail "$engine found $found, ${engines[0]} $first_found"
	first_found=$found
done
[[ $first_found =~ ^\[600,[1-9][0-9]*\]\ \[600,0\]\ \[600,0\]$ ]] || fail "an impossible count of keys found: $first_found"

# What an encrypting engine writes is not what plain wrote: the values' text does not stand in its files.
fresh plain && run plain fillseq,compact --compression_type=none >"$work/lines"
needle=$(strings -n 50 "$work"/plain/tenants/m0/data/*.sst | awk 'NR == 1 { print substr($0, 1, 40) }')
for engine in "${engines[@]}"; do
	fresh "$engine" && run "$engine" fillseq,compact --compression_type=none >"$work/lines"
	if grep -rqF -- "$needle" "$work/$engine"; then seen=yes; else seen=no; fi
	[[ $seen == "$([[ $engine == plain ]] && echo yes || echo no)" ]] || fail "$engine: values readable in its files: $seen"
	passed=$((passed + 1))
done

# Bulkhead's own.
for engine in bulkhead bulkhead-openssl; do
	fresh "$engine"
	run "$engine" fillseq >"$work/lines"
	lines=$(run "$engine" suspend,resume,rotate,rewrap,readrandom,erase,shred --min_blob_size=64)
	check "$lines" "$engine" suspend,resume,rotate,rewrap,readrandom,erase,shred
	[[ $(jq .ops <<<"$lines" | paste -sd' ') == "3 3 3 3 600 3 3" ]] || fail "$engine: not every merchant: $lines"
	[[ $(jq .found <<<"$lines" | paste -sd' ') == "0 0 0 0 600 256 0" ]] || fail "$engine: not everything came back: $lines"
	jq -se '.[5].files_rewritten >= 3 and .[5].bytes_rewritten > 0' <<<"$lines" >"$work/lines" ||
		fail "$engine: nothing was rewritten: $lines"
done
! run_refused=$("$bench" --engine=plain --db="$work/plain" --benchmarks=shred --merchants=3 2>&1) || fail "plain shreds?"
[[ $run_refused == *"plain has no shred"* ]] || fail "plain's shred: $run_refused"

# By turns: a line from each, and what passes while others have their turns is not counted.
mkdir "$work/turns"
began=$(date +%s%N)
lines=$("$bench" --engine=plain,evp-ctr,bulkhead --db="$work/turns" --benchmarks=fillrandom,readrandom --json --num=60000) ||
	fail "by turns: failed"
took=$(($(date +%s%N) - began))
names=$(jq -r '"\(.benchmark) of \(.engine)"' <<<"$lines" | sort | paste -sd,)
three="fillrandom of bulkhead,fillrandom of evp-ctr,fillrandom of plain"
[[ $names == "$three,${three//fillrandom/readrandom}" ]] ||
	fail "by turns: other lines: $lines"
jq -se --argjson took "$took" '(map(.seconds) | add) * 1e9 < $took and all(.ops == 60000 and .max_us < 1e6 * .seconds)' \
	<<<"$lines" >/dev/null || fail "by turns, in $took ns: $lines"
[[ $(jq -s 'group_by(.benchmark)[] | map(.found) | unique | length' <<<"$lines" | paste -sd' ') == "1 1" ]] ||
	fail "by turns: they found different keys: $lines"
# When one of them fails, all end.
! "$bench" --engine=bulkhead,plain --db="$work/turns" --benchmarks=readrandom,suspend --num=60000 >"$work/lines" 2>&1 ||
	fail "by turns: plain suspends?"
grep -q 'plain has no suspend' "$work/lines" || fail "by turns: $(cat "$work/lines")"
! grep -lzs -- "[-]-db=$work/turns" /proc/[0-9]*/cmdline >"$work/lines" ||
	fail "by turns: a process is left: $(cat "$work/lines")"
passed=$((passed + 3))

# Refused input: 2, before anything is made.
for flags in --engine=none "--engine=plain," --turn_ms=0 --num=0 --num=x --compression_type=rot13 --readwritepercent=101 surplus; do
	status=0
	"$bench" --db="$work/none" "$flags" >"$work/lines" 2>&1 || status=$?
	[[ $status == 2 && ! -e $work/none ]] || fail "$flags ended with $status"
	passed=$((passed + 1))
done

printf 'test_bench: %d passed\n' "$passed"
