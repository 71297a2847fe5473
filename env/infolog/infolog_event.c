/* SPDX-License-Identifier: Apache-2.0
 *
 * infolog_event.c: RocksDB's EVENT_LOG_v1 objects, reduced to fields that cannot hold tenant bytes; see infolog_rules.h.
 *
 * RocksDB does not escape the strings it writes. A string that breaks out of its quotes makes a duplicate field, a field of no
 * known name, or no JSON at all; the first and the last withhold the whole event, the second is left out.
 */
#include "infolog_rules.h"

#include <stdlib.h>

#include <jansson.h>

/* Names of numbers, booleans and arrays of numbers. "files_L<level>" is one of them too. */
static const char *const numbers[] = {
	"blob_file_head",
	"blob_file_tail",
	"column_family_id",
	"compaction_time_cpu_micros",
	"compaction_time_micros",
	"creation_time",
	"data_size",
	"destination_level",
	"fast_compression_estimated_data_size",
	"file_creation_time",
	"file_fsync_nanos",
	"file_number",
	"file_prepare_write_nanos",
	"file_range_sync_nanos",
	"file_size",
	"file_write_nanos",
	"files",
	"files_ingested",
	"filter_size",
	"fixed_key_len",
	"format_version",
	"immutable_memtables",
	"index_key_is_user_key",
	"index_partitions",
	"index_size",
	"index_value_is_delta_encoded",
	"input_data_size",
	"job",
	"largest_seqno",
	"lsm_state",
	"memory_usage",
	"num_blob_output_files",
	"num_data_blocks",
	"num_deletes",
	"num_deletions",
	"num_entries",
	"num_filter_entries",
	"num_input_records",
	"num_memtables",
	"num_merge_operands",
	"num_output_files",
	"num_output_records",
	"num_range_deletions",
	"num_single_delete_fallthrough",
	"num_single_delete_mismatches",
	"num_subcompactions",
	"oldest_blob_file_number",
	"oldest_key_time",
	"oldest_snapshot_seqno",
	"orig_file_number",
	"output_level",
	"penultimate_output_level",
	"preclude_last_level_min_seqno",
	"raw_average_key_size",
	"raw_average_value_size",
	"raw_key_size",
	"raw_value_size",
	"score",
	"slow_compression_estimated_data_size",
	"smallest_seqno",
	"time_micros",
	"top_level_index_size",
	"total_blob_bytes",
	"total_blob_count",
	"total_blob_output_size",
	"total_data_size",
	"total_files_size",
	"total_output_size",
	"wal_files",
};

/* Names of strings, with their kind. */
static const struct {
	const char *name;
	char kind;
} strings[] = {
	{ "cf_name", 'C' },
	{ "column_family_name", 'C' },
	{ "comparator", 'L' },
	{ "compaction_reason", 'L' },
	{ "compression", 'L' },
	{ "compression_options", 'L' },
	{ "db_id", 'L' },
	{ "db_session_id", 'L' },
	{ "event", 'L' },
	{ "file_checksum_func_name", 'L' },
	{ "filter_policy", 'L' },
	{ "flush_reason", 'L' },
	{ "merge_operator", 'L' },
	{ "output_compression", 'L' },
	{ "prefix_extractor_name", 'L' },
	{ "property_collectors", 'L' },
	{ "status", 'S' },
};

#define STRING_MAX 128u /* none of these is longer; compression_options, a list of numbers, is the longest */

static bool is_number_name(const char *name)
{
	if (strncmp(name, "files_L", 7) == 0)
		return name[7] != '\0' && strspn(name + 7, "0123456789") == strlen(name + 7) && strlen(name) < 12;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(name, numbers[i]) == 0)
			return true;
	return false;
}

static char string_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (strcmp(name, strings[i].name) == 0)
			return strings[i].kind;
	return 'X';
}

static bool is_plain(const json_t *v)
{
	return json_is_number(v) || json_is_boolean(v);
}

static bool is_plain_array(const json_t *v)
{
	if (!json_is_array(v))
		return false;
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!is_plain(json_array_get(v, i)))
			return false;
	return true;
}

/* The string as it may be said, or NULL: no memory. */
static json_t *redact_string(const char *name, const json_t *v)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	bh_view s = bh_view_of(json_string_value(v), json_string_length(v));
	char kind = s.len <= STRING_MAX || string_kind(name) == 'S' ? string_kind(name) : 'X';

	if (bh_infolog_string(kind, s, &text) != BH_OK)
		return NULL;
	return json_stringn(text.len ? (const char *)text.data : "", text.len);
}

/* A reduced copy, or NULL: no memory. One level of nesting, for table_properties. */
static json_t *redact_object(json_t *in, bool nested)
{
	json_t *out = json_object();
	json_int_t withheld = 0;
	const char *name;
	json_t *v;

	json_object_foreach(in, name, v)
	{
		int failed = 0;

		if ((is_plain(v) || is_plain_array(v)) && is_number_name(name))
			failed = json_object_set(out, name, v);
		else if (json_is_string(v) && string_kind(name) != 'X')
			failed = json_object_set_new(out, name, redact_string(name, v));
		else if (json_is_object(v) && !nested && strcmp(name, "table_properties") == 0)
			failed = json_object_set_new(out, name, redact_object(v, true));
		else
			withheld++;
		if (failed) {
			json_decref(out);
			return NULL;
		}
	}
	if (withheld > 0 && json_object_set_new(out, "withheld", json_integer(withheld)) != 0) {
		json_decref(out);
		return NULL;
	}
	return out;
}

static bh_status dump(const json_t *object, bh_buf *out)
{
	char *text = json_dumps(object, 0);
	bh_status st;

	if (!text)
		return bh_fail(BH_E_NOMEM, "no memory for an event of the info log");
	st = bh_buf_append(out, text, strlen(text));
	free(text);
	return st;
}

bh_status bh_infolog_event(bh_view json, bh_buf *out)
{
	const size_t strict = JSON_REJECT_DUPLICATES;
	const char *text = (const char *)json.data;
	json_t *reduced;
	json_t *in;
	bh_status st;

	in = json_loadb(text, json.len, strict, NULL);
	/* Times and sequence numbers may be over 63 bits, which jansson has no integer for. */
	if (!in)
		in = json_loadb(text, json.len, strict | JSON_DECODE_INT_AS_REAL, NULL);
	if (!json_is_object(in)) {
		json_decref(in);
		return bh_buf_printf(out, "<withheld %zu bytes>", json.len);
	}
	reduced = redact_object(in, false);
	json_decref(in);
	if (!reduced)
		return bh_fail(BH_E_NOMEM, "no memory for an event of the info log");
	st = dump(reduced, out);
	json_decref(reduced);
	return st;
}
