/* SPDX-License-Identifier: Apache-2.0
 *
 * test_infolog.c: the info LOG says what helps and nothing of a tenant. Formats are those of RocksDB 7.8's call sites.
 */
#include "env/infolog/infolog.h"

#include "tests/env/spans/span_fixture.h"

#define SECRET "s3cr3t-user-key"
#define TIME_FORMAT "(Original Log Time %04d/%02d/%02d-%02d:%02d:%02d.%06d) %s"

static bh_buf line;

/* As RocksDB's Log(): no format attribute, the formats are data here. */
static const char *render(const char *format, ...)
{
	va_list ap;

	line.len = 0;
	va_start(ap, format);
	ok(bh_infolog_render(format, ap, &line));
	va_end(ap);
	ok(bh_buf_append_u8(&line, 0));
	return (const char *)line.data;
}

static const char *buffered(const char *text)
{
	const char *got = render(TIME_FORMAT, 2026, 1, 2, 3, 4, 5, 678, text);
	static const char head[] = "(Original Log Time 2026/01/02-03:04:05.000678) ";

	assert_memory_equal(got, head, sizeof(head) - 1);
	return got + sizeof(head) - 1;
}

static void test_numbers(void **state)
{
	(void)state;
	assert_string_equal(render("%d %5d|%-5d|%05d %u %x %X %o %%", -1, 2, 3, 4, 5u, 255, 255, 8),
			    "-1     2|3    |00004 5 ff FF 10 %");
	assert_string_equal(
		render("%ld %lld %lu %llu %zu %zd %jd", -1L, -2LL, 3UL, UINT64_MAX, (size_t)4, (ssize_t)-5, (intmax_t)6),
		"-1 -2 3 18446744073709551615 4 -5 6");
	assert_string_equal(render("%hhd %hd %hhu %hu", 300, 70000, 300, 70000), "44 4464 44 4464");
	assert_string_equal(render("%.1f %6.2f %e %g %.0lf %.*f %*d", 1.25, 2.5, 1.0, 0.5, 3.0, 1, 9.87, 4, 7),
			    "1.2   2.50 1.000000e+00 0.5 3 9.9    7");
	assert_string_equal(render("100%"), "100<withheld: format not understood>");
	assert_string_equal(render("%n%d", (int *)NULL, 4), "<withheld: format not understood>");
	assert_non_null(render("%.99999999999f %99999d", 1.0, 1));
}

static void test_head_of_a_line(void **state)
{
	(void)state;
	assert_string_equal(
		render("[%s:944] [%s] Stopping writes because we have %d level-0 files", "db/column_family.cc", "acme/events", 36),
		"[db/column_family.cc:944] [acme/events] Stopping writes because we have 36 level-0 files");
	assert_string_equal(
		render("[%s:10] [%s] [JOB %d] Flushing memtable with next log file: %lu\n", "db/flush_job.cc", "default", 3, 12UL),
		"[db/flush_job.cc:10] [default] [JOB 3] Flushing memtable with next log file: 12\n");
	assert_string_equal(render("[%s] New memtable created", "not a family"), "[<withheld 12 bytes>] New memtable created");
	assert_string_equal(render("[%s:1] x", "a\nb"), "[<withheld 3 bytes>:1] x");
	assert_string_equal(render("[%s] x", "acme/ev/x"), "[<withheld 9 bytes>] x");
	assert_string_equal(render("[%s] x", "/events"), "[<withheld 7 bytes>] x");
}

static void test_unknown_formats_withhold_strings(void **state)
{
	static const char *const formats[] = {
		"key %s is bad",
		"[%s:1] Unexpected key %s for compaction output",
		"%s",
		"[%s:1] %s",
		"Property %s bad",
		"[%s:1] [%s] Manual compaction from level-1 from %s .. %s; nothing to do",
		"%10s|%-3s|%.5s",
		"[%s:702] Memtable Decider: ParseInternalKey did not parse key_slice %s successfully.",
		"%s: %s",
		"[%s:5250] Error in committing version edit to MANIFEST: %s",
		"In SaveValue: %s %s",
		"[%s:1] [%s] Apply version edit:\n%s",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const char *got = render(formats[i], SECRET, SECRET, SECRET, SECRET);

		if (strstr(got, "s3cr"))
			fail_msg("'%s' gave '%s'", formats[i], got);
		assert_non_null(strstr(got, "<withheld "));
	}
	assert_string_equal(render("a %c b", 'x'), "a <withheld 1 bytes> b");
	assert_string_equal(render("a %p b", (void *)&line), "a <withheld> b");
	assert_string_equal(render("x %s", (char *)NULL), "x <withheld 6 bytes>");
}

static void test_known_formats(void **state)
{
	(void)state;
	assert_string_equal(render("[%s:1] Recovering from manifest file: %s\n", "db/version_set.cc", "/db/MANIFEST-000005"),
			    "[db/version_set.cc:1] Recovering from manifest file: /db/MANIFEST-000005\n");
	assert_string_equal(render("[%s:1] Created column family [%s] (ID %u)", "db/db_impl.cc", "acme/profile", 7u),
			    "[db/db_impl.cc:1] Created column family [acme/profile] (ID 7)");
	assert_string_equal(
		render("[%s:1] [%s] [JOB %d] Compacting %s, score %.2f", "db/c.cc", "acme/events", 4, "4@0 + 2@1 files to L1", 1.5),
		"[db/c.cc:1] [acme/events] [JOB 4] Compacting 4@0 + 2@1 files to L1, score 1.50");
	assert_string_equal(
		render("[%s:1] [%s]: Compaction start summary: %s\n", "db/c.cc", "acme/events",
		       "Base version 3 Base level 0, inputs: [12(3KB)]"),
		"[db/c.cc:1] [acme/events]: Compaction start summary: Base version 3 Base level 0, inputs: [12(3KB)]\n");
	assert_string_equal(render("[JOB %d] Delete %s type=%d #%lu -- %s\n", 1, "/db/000012.sst", 2, 12UL, "OK"),
			    "[JOB 1] Delete /db/000012.sst type=2 #12 -- OK\n");
	assert_string_equal(render("                 Options.comparator: %s", "leveldb.BytewiseComparator"),
			    "                 Options.comparator: leveldb.BytewiseComparator");
	assert_non_null(strstr(render("              Options.env: %p", (void *)&line), "0x"));
	/* The word alone, behind the string, makes no dump of it. */
	assert_null(strstr(render("key %s, see Options.x", SECRET), SECRET));
}

static void test_statuses_keep_their_code(void **state)
{
	(void)state;
	assert_string_equal(
		render("[%s:1] [%s] [JOB %d] Compaction error: %s", "db/c.cc", "acme/events", 4, "Corruption: bad key " SECRET),
		"[db/c.cc:1] [acme/events] [JOB 4] Compaction error: Corruption: <withheld 23 bytes>");
	assert_string_equal(render("[%s:1] DB::Open() failed: %s", "db/o.cc", "IO error: x"),
			    "[db/o.cc:1] DB::Open() failed: IO error: <withheld 1 bytes>");
	assert_string_equal(render("WAL flush error %s", "OK"), "WAL flush error OK");
	assert_string_equal(render("WAL flush error %s", SECRET), "WAL flush error <withheld 15 bytes>");
}

static void test_wrong_shape_is_withheld(void **state)
{
	(void)state;
	assert_null(strstr(render("Recovering from manifest file: %s\n", "/db/\x01" SECRET), SECRET));
	assert_null(strstr(render("Created column family [%s] (ID %u)", SECRET, 7u), SECRET));
	assert_null(strstr(render("[JOB %d] Compacting %s, score %.2f", 1, "\"" SECRET "\"", 1.0), SECRET));
}

/* Lines that are withheld although they look a little like one that is not. */
static void test_buffered_lines(void **state)
{
	static const char *const kept[] = {
		"[db/memtable_list.cc:519] [acme/events] Level-0 commit table #12 started",
		"[db/memtable_list.cc:722] [acme/events] Level-0 commit table #12 (+1 blob files): memtable #3 done",
		"[db/flush_job.cc:973] [acme/events] [JOB 3] Level-0 flush table #9: 1234 bytes OK",
		"[db/flush_job.cc:973] [acme/events] [JOB 3] Level-0 flush table #9: 1234 bytes OK (needs compaction)",
		"[db/db_impl/db_impl_compaction_flush.cc:299] [default] Level summary: files[1 0 0 0 0 0 0] max score 0.25",
		"[db/db_impl/db_impl_compaction_flush.cc:1] [acme/events] Level summary: base level 6 level "
		"multiplier 10.00 max bytes base "
		"268435456 files[0 0 0 0 0 0 2] max score 0.00, estimated pending compaction bytes 0",
		"[db/compaction/compaction_job.cc:864] [acme/events] compacted to: files[0 1 0] max score 0.00, "
		"MB/sec: 10.1 rd, 9.9 wr, level 1, "
		"files in(4, 0) out(1 +0 blob) MB in(1.0, 0.0 +0.0 blob) out(1.0 +0.0 blob), "
		"read-write-amplify(2.0) write-amplify(1.0) OK, "
		"records in: 100, records dropped: 5 output_compression: Snappy",
		"[db/compaction/compaction_job.cc:1662] [acme/events] [JOB 8] Compacted 4@0 files to L1 => 1234 bytes",
		"[db/compaction/compaction_job.cc:889] [acme/events] Blob file summary: head=3, tail=9",
		"[db/x.cc:1] [default] Moved #1 files to level-6 100 bytes OK: files[0 0 0 0 0 0 1] max score 0.00",
		"[db/x.cc:1] [default] Universal: size amp not needed. newer-files-total-size 10 earliest-file-size 20",
		"[db/x.cc:1] Calling FlushMemTableToOutputFile with column family [acme/events], flush slots available 1, "
		"compaction slots available 1, "
		"flush slots scheduled 1, compaction slots scheduled 0",
	};
	static const char *const cut[] = {
		"[db/x.cc:1] [acme/events] Something new with " SECRET,
		"[db/x.cc:1] [acme/events] Level summary: \"" SECRET "\"",
		"[db/x.cc:1] [acme/events] Level-0 commit table #12 started " SECRET,
		"[db/x.cc:1] [acme/events] Level-0 flush table #9: 1234 bytes Corruption: " SECRET,
		"[db/x.cc:1] [acme/events] Level-0 flush table #9: " SECRET " bytes OK",
		"[" SECRET "] [acme/events] Level summary: files[0]",
		"[" SECRET ":12] [acme/events] Level summary: files[0]",
		"[db/x.cc:1] [" SECRET "] Level summary: files[0]",
		"[db/x.cc:1] [acme/events] [JOB " SECRET "] Level summary: files[0]",
		("[db/x.cc:1] [acme/events] Manual compaction from level-0 to level-1 from '" SECRET "' seq:1, type:1 .. '" SECRET
		 "; will stop at x' seq:0, type:0; will stop at (end)"),
		"[db/x.cc:1] [acme/events] Manual compaction from level-0 from " SECRET " .. " SECRET "; nothing to do",
		"[db/x.cc:1] [acme/events] Moved #1 files to level-6 100 bytes Corruption: " SECRET ": files[0] max score 0.00",
		SECRET,
		"[",
		"[]",
		"[JOB ",
		"[x",
		"[db/x.cc:1]",
		"EVENT_LOG_v1",
		"EVENT_LOG_v1 " SECRET,
		"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		assert_string_equal(buffered(kept[i]), kept[i]);
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		const char *got = buffered(cut[i]);

		if (strstr(got, "s3cr"))
			fail_msg("'%s' gave '%s'", cut[i], got);
		assert_non_null(strstr(got, "<withheld "));
	}
	assert_string_equal(buffered("[db/x.cc:1] [acme/events] Manual compaction from level-0 from ab .. cd; nothing to do\n"),
			    "[db/x.cc:1] [acme/events] Manual compaction from level-0 from <withheld 2 bytes> .. "
			    "<withheld 2 bytes>; nothing to do");
}

static void test_events(void **state)
{
	static const char event[] =
		"{\"time_micros\": 1, \"cf_name\": \"acme/events\", \"job\": 3, \"event\": "
		"\"table_file_creation\", \"file_number\": 9, "
		"\"file_checksum\": \"" SECRET
		"\", \"smallest_seqno\": 1, \"table_properties\": {\"data_size\": 5, \"comparator\": "
		"\"leveldb.BytewiseComparator\", \"" SECRET "\": \"x\", \"collected\": \"" SECRET "\"}, \"" SECRET
		"\": 5, \"lsm_state\": [1, 0, 2], \"files_L0\": [7, 8], \"files_L" SECRET "\": [1]}";
	static const char *const bad[] = {
		"{\"a\": " SECRET "}",
		"{\"event\": \"x\", \"event\": \"" SECRET "\"}",
		"[\"" SECRET "\"]",
		("{\"job\": \"" SECRET "\", \"event\": {\"" SECRET "\": 1}, \"lsm_state\": [\"" SECRET "\"], \"cf_name\": \"" SECRET
		 "\", "
		 "\"status\": \"IO error: " SECRET "\", \"table_properties\": {\"table_properties\": {\"" SECRET "\": 1}}}"),
		"{\"event\": \"" SECRET,
	};

	(void)state;
	assert_string_equal(render("%s %s", "EVENT_LOG_v1", event),
			    "EVENT_LOG_v1 {\"time_micros\": 1, \"cf_name\": \"acme/events\", \"job\": 3, \"event\": "
			    "\"table_file_creation\", \"file_number\": 9, "
			    "\"smallest_seqno\": 1, \"table_properties\": {\"data_size\": 5, \"comparator\": "
			    "\"leveldb.BytewiseComparator\", \"withheld\": 2}, "
			    "\"lsm_state\": [1, 0, 2], \"files_L0\": [7, 8], \"withheld\": 3}");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

		assert_null(strstr(render("%s %s", "EVENT_LOG_v1", bad[i]), "s3cr"));
		ok(bh_buf_printf(&text, "EVENT_LOG_v1 %s", bad[i]));
		ok(bh_buf_append_u8(&text, 0));
		assert_null(strstr(buffered((const char *)text.data), "s3cr"));
	}
	assert_string_equal(buffered("EVENT_LOG_v1 {\"job\": 3}"), "EVENT_LOG_v1 {\"job\": 3}");
	assert_null(strstr(render("%s %s", "other", SECRET), SECRET));
	/* Over 63 bits: a number all the same. */
	assert_non_null(
		strstr(render("%s %s", "EVENT_LOG_v1", "{\"oldest_snapshot_seqno\": 18446744073709551615}"), "1.84467440737095"));
}

static void test_statistics(void **state)
{
	static const char stats[] = "\n** DB Stats **\nUptime(secs): 0.1 total\n";

	(void)state;
	assert_non_null(strstr(render("[%s:1107] %s", "db/db_impl/db_impl.cc", stats), "Uptime(secs): 0.1 total"));
	assert_null(strstr(render("[%s:1107] %s", "db/db_impl/db_impl.cc", SECRET "\n** DB Stats **\n"), SECRET));
}

static int teardown(void **state)
{
	(void)state;
	bh_buf_clear(&line);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_head_of_a_line),
		cmocka_unit_test(test_unknown_formats_withhold_strings),
		cmocka_unit_test(test_known_formats),
		cmocka_unit_test(test_statuses_keep_their_code),
		cmocka_unit_test(test_wrong_shape_is_withheld),
		cmocka_unit_test(test_buffered_lines),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
