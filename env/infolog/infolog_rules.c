/* SPDX-License-Identifier: Apache-2.0
 *
 * infolog_rules.c: the allow-lists of the info LOG; see infolog_rules.h. Taken from the call sites of RocksDB 7.8; a line that is
 * not here loses its strings and keeps its numbers.
 */
#include "infolog_rules.h"

#include <ctype.h>

/* ---- kinds */

static bool only(bh_view text, const char *extra)
{
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum(text.data[i]) && (text.data[i] == 0 || !strchr(extra, text.data[i])))
			return false;
	return true;
}

static bool equals(bh_view text, const char *s)
{
	return text.len == strlen(s) && (text.len == 0 || memcmp(text.data, s, text.len) == 0);
}

static bool is_name(bh_view text)
{
	return text.len > 0 && text.len <= BH_NAME_MAX && isalnum(text.data[0]) && only(text, "._-");
}

static bool is_family(bh_view text)
{
	const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
	size_t at;

	if (equals(text, "default"))
		return true;
	if (!slash)
		return false;
	at = (size_t)(slash - text.data);
	return is_name(bh_view_of(text.data, at)) && is_name(bh_view_of(slash + 1, text.len - at - 1));
}

static bool is_source(bh_view text)
{
	return text.len > 3 && text.len < 256 && only(text, "_./+-") && memcmp(text.data + text.len - 3, ".cc", 3) == 0;
}

static bool is_printable(bh_view text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!isprint(text.data[i]) && text.data[i] != '\n' && text.data[i] != '\t')
			return false;
	return true;
}

static bool is_number(bh_view text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!isdigit(text.data[i]) && (text.data[i] == 0 || !strchr("+-.einfa", text.data[i])))
			return false;
	return text.len > 0 && text.len < 32;
}

bool bh_infolog_fits(char kind, bh_view text)
{
	switch (kind) {
	case 'C': return is_family(text);
	case 'F': return is_source(text);
	case 'L': return text.len < 2048 && only(text, " .,:;'()[]@+#%/_=-\n");
	case 'N': return is_number(text);
	case 'O': return true;
	case 'P': return text.len < 4096 && only(text, " ._/+@:,;=~-");
	case 'T': return text.len < 256 && is_printable(text);
	default: return false;
	}
}

/* ---- statuses */

/* rocksdb::Status::ToString(): the code, then " " and the subcode's message or the text. */
static const char *const status_codes[] = {
	"NotFound: ",
	"Corruption: ",
	"Not implemented: ",
	"Invalid argument: ",
	"IO error: ",
	"Merge in progress: ",
	"Result incomplete: ",
	"Shutdown in progress: ",
	"Operation timed out: ",
	"Operation aborted: ",
	"Resource busy: ",
	"Operation expired: ",
	"Operation failed. Try again.: ",
	"Compaction too large: ",
	"Column family dropped: ",
};

static bh_status append_withheld(size_t len, bh_buf *out)
{
	return bh_buf_printf(out, "<withheld %zu bytes>", len);
}

static bh_status append_status(bh_view text, bh_buf *out)
{
	if (equals(text, "OK"))
		return bh_buf_append(out, "OK", 2);
	for (size_t i = 0; i < sizeof(status_codes) / sizeof(status_codes[0]); i++) {
		size_t n = strlen(status_codes[i]);

		if (text.len < n || memcmp(text.data, status_codes[i], n) != 0)
			continue;
		BH_TRY(bh_buf_append(out, text.data, n));
		return text.len > n ? append_withheld(text.len - n, out) : BH_OK;
	}
	return append_withheld(text.len, out);
}

bh_status bh_infolog_string(char kind, bh_view text, bh_buf *out)
{
	if (kind == 'S')
		return append_status(text, out);
	if (!bh_infolog_fits(kind, text))
		return append_withheld(text.len, out);
	return bh_buf_append(out, text.data, text.len);
}

/* ---- formats */

/* Formats by how they begin, [file], [family] and [JOB] taken off; a kind for each %s in order. The first match counts. */
static const struct format_rule {
	const char *prefix;
	const char *kinds;
} format_rules[] = {
	/* start and recovery */
	{ "RocksDB version: %s", "T" },
	{ "Git sha %s", "T" },
	{ "Compile date %s", "T" },
	{ "\t%s supported: %d", "T" },
	{ "Fast CRC32 supported: %s", "T" },
	{ "DMutex implementation: %s", "T" },
	{ "DB ID: %s", "T" },
	{ "DB Session ID: ", "T" },
	{ "CURRENT file: ", "P" },
	{ "IDENTITY file: ", "P" },
	{ "MANIFEST file: ", "P" },
	{ "SST files in %s dir", "PP" },
	{ "Write Ahead Log file in %s", "PP" },
	{ "Recovering from manifest file: ", "P" },
	{ "Recovered from manifest file:", "P" },
	{ "Trying to recover from manifest: ", "P" },
	{ "Switched to new manifest: ", "P" },
	{ "Column family [%s] (ID ", "C" },
	{ "DB::Open() failed: ", "S" },
	{ "Failed to truncate log #", "S" },
	{ "IOError during point-in-time reading log #", "S" },
	{ "%s%s: dropping %d bytes; %s", "LPS" },
	{ "%s: dropping %d bytes", "P" },
	{ "[WriteLevel0TableForRecovery]", "S" },
	/* families and options */
	{ "Created column family [%s]", "C" },
	{ "Creating column family [%s] FAILED", "CS" },
	{ "Dropping column family with id ", "S" },
	{ "DropColumnFamily failed with error ", "S" },
	{ "--------------- Options for column family [%s]", "C" },
	{ "SetOptions() on column family [%s]", "C" },
	{ "Column family %s does not use any background compaction", "C" },
	{ "Unnable to persist options -- ", "S" },
	{ "Unable to persist options in SetDBOptions() -- ", "S" },
	{ "prefix_extractor: ", "O" },
	{ "ignore_max_compaction_bytes_for_input: ", "O" },
	{ "max_bytes_for_level_multiplier_additional: ", "O" },
	{ "enable_blob_files: ", "O" },
	{ "blob_compression_type: ", "O" },
	{ "enable_blob_garbage_collection: ", "O" },
	{ "prepopulate_blob_cache: ", "O" },
	{ "table_factory options: ", "O" },
	{ "blob_cache options: ", "O" },
	{ "blob_cache prepopulated: ", "O" },
	/* flush and compaction */
	{ "Compacting %s, score ", "L" },
	{ "Compaction start summary: ", "L" },
	{ "Compaction error: ", "S" },
	{ "Generated table #", "LL" },
	{ "Unable to remove SST file for table #", "L" },
	{ "OpenCompactionOutputFiles for table #", "S" },
	{ "Manual flush finished, status: ", "S" },
	{ "Manual atomic flush finished, status: ", "S" },
	{ "Level-0 flush %s", "L" },
	{ "Waiting after background flush error: ", "S" },
	{ "Waiting after background compaction error: ", "S" },
	{ "Force flushing stats CF with manual flush of ", "C" },
	/* errors */
	{ "Background IO error ", "S" },
	{ "Ignoring error ", "S" },
	{ "DB resume requested but ", "S" },
	{ "Failed to resume DB [%s]", "S" },
	{ "MANIFEST write ", "S" },
	{ "Failed to delete manifest ", "S" },
	{ "WAL flush error ", "S" },
	{ "WAL Sync error ", "S" },
	{ "Unable to Sync WAL file ", "PS" },
	{ "Cannot Flush data ", "S" },
	{ "Unable to load table properties for file ", "S" },
	{ "Shutdown: canceling all background work", "" },
	/* files */
	{ "Delete %s type=%d", "PS" },
	{ "Tried to delete a non-existing file ", "PS" },
	{ "Failed to delete %s type=%d", "PS" },
	{ "Delete info log file ", "PS" },
	{ "Tried to delete non-existing info log file ", "PS" },
	{ "Move log file %s to %s -- %s", "PPS" },
	{ "Deleted file %s immediately", "P" },
	{ "Mark file: %s as trash", "PS" },
	{ "[AddFile] External SST file ", "PP" },
	{ "AddFile() clean up for file ", "PS" },
	{ "Failed to sync ingested file ", "PS" },
	{ "Try to link file ", "PS" },
	{ "Triy to link file ", "PS" },
	{ "STATISTICS:", "O" },
};

const char *bh_infolog_kinds(const char *format)
{
	const char *trimmed = format + strspn(format, " ");

	for (size_t i = 0; i < sizeof(format_rules) / sizeof(format_rules[0]); i++)
		if (strncmp(trimmed, format_rules[i].prefix, strlen(format_rules[i].prefix)) == 0)
			return format_rules[i].kinds;
	return NULL;
}

/* ---- ready-made lines */

/* Lines as RocksDB's LogBuffer renders them, [file], [family] and [JOB] taken off. %K is a string of kind K, up to the last place
 * where the literal after it occurs: text that is withheld may hold that literal too. */
static const char *const templates[] = {
	"Level-0 commit table #%N started",
	"Level-0 commit table #%N (+%N blob files) started",
	"Level-0 commit table #%N: memtable #%N done",
	"Level-0 commit table #%N (+%N blob files): memtable #%N done",
	"Level-0 commit table #%N: memtable #%N failed",
	"Level-0 commit table #%N (+%N blob files): memtable #%N failed",
	"Level-0 flush table #%N: %N bytes %S (needs compaction)",
	"Level-0 flush table #%N: %N bytes %S",
	"Level summary: %L",
	"Blob file summary: head=%N, tail=%N",
	"Nothing in memtable to flush",
	("Calling FlushMemTableToOutputFile with column family [%C], flush slots available %N, compaction slots available %N, "
	 "flush slots scheduled %N, compaction slots scheduled %N"),
	("compacted to: %L, MB/sec: %N rd, %N wr, level %N, files in(%N, %N) out(%N +%N blob) MB in(%N, %N +%N blob) "
	 "out(%N +%N blob), read-write-amplify(%N) write-amplify(%N) %S, records in: %N, records dropped: %N "
	 "output_compression: %L"),
	"Compacted %L => output_to_penultimate_level: %N bytes + last: %N bytes. Total: %N bytes",
	"Compacted %L => %N bytes",
	"has Penultimate Level output: %N, level %N, number of files: %N, number of records: %N",
	"Deleted %N files",
	"Moving #%N to level-%N %N bytes",
	"Moved #%N files to level-%N %N bytes %S: base level %L",
	"Moved #%N files to level-%N %N bytes %S: files[%L",
	"Manual compaction starting",
	"Manual compaction paused",
	"Manual compaction from level-%N from %X .. %X; nothing to do",
	"Manual compaction from level-%N to level-%N from %X .. %X; will stop at %X",
	"Universal: %L",
	"FIFO compaction: %L",
};

/* How the statistics that RocksDB dumps now and then begin. They hold families, levels and numbers. */
static const char *const dumps[] = { "\n** DB Stats **\n", "\n** Compaction Stats [", "\n** File Read Latency Histogram" };

/* The last place of `needle` in `text`, or NULL. */
static const uint8_t *find_last(bh_view text, bh_view needle)
{
	if (needle.len > text.len)
		return NULL;
	for (size_t at = text.len - needle.len + 1; at-- > 0;)
		if (memcmp(text.data + at, needle.data, needle.len) == 0)
			return text.data + at;
	return NULL;
}

static const uint8_t *find_first(bh_view text, bh_view needle)
{
	return needle.len <= text.len ? memmem(text.data, text.len, needle.data, needle.len) : NULL;
}

/* The string that %K covers: up to the literal that follows, which is up to the next % or the end. */
static bool take_kind(char kind, const char *template, bh_view *line, bh_view *text_out)
{
	bh_view literal = bh_view_of(template, strcspn(template, "%"));
	bool free_text = kind == 'S' || kind == 'X';
	const uint8_t *end;

	if (literal.len == 0)
		end = line->data + line->len;
	else
		end = free_text ? find_last(*line, literal) : find_first(*line, literal);
	if (!end)
		return false;
	*text_out = bh_view_of(line->data, (size_t)(end - line->data));
	*line = bh_view_of(end, line->len - text_out->len);
	return free_text || bh_infolog_fits(kind, *text_out);
}

/* Matches the line against the template; with `out`, also appends it. */
static bh_status match(const char *template, bh_view line, bool *matches_out, bh_buf *out)
{
	*matches_out = false;
	while (*template) {
		bh_view text;
		char kind;

		if (*template != '%') {
			if (line.len == 0 || line.data[0] != (uint8_t) * template)
				return BH_OK;
			if (out)
				BH_TRY(bh_buf_append_u8(out, line.data[0]));
			template ++;
			line = bh_view_of(line.data + 1, line.len - 1);
			continue;
		}
		kind = template[1];
		template += 2;
		if (!take_kind(kind, template, &line, &text))
			return BH_OK;
		if (out)
			BH_TRY(bh_infolog_string(kind, text, out));
	}
	*matches_out = line.len == 0;
	return BH_OK;
}

/* Takes "[...] " off the line if what it holds is of that kind, or a source file and a number for F. */
static bh_status take_bracket(char kind, bh_view *line, bh_buf *out)
{
	const uint8_t *close = line->len > 2 && line->data[0] == '[' ? memchr(line->data, ']', line->len) : NULL;
	size_t len = close ? (size_t)(close - line->data) + 1 : 0;
	bh_view inner = len > 2 ? bh_view_of(line->data + 1, len - 2) : bh_view_of(NULL, 0);
	const uint8_t *colon = kind == 'F' && inner.len > 0 ? memchr(inner.data, ':', inner.len) : NULL;

	if (colon)
		inner.len = (size_t)(colon - inner.data);
	if (kind == 'F' && !colon)
		return BH_OK;
	if (colon && !is_number(bh_view_of(colon + 1, (size_t)(close - colon) - 1)))
		return BH_OK;
	if (!bh_infolog_fits(kind, inner))
		return BH_OK;
	if (len < line->len && line->data[len] == ' ')
		len++;
	BH_TRY(bh_buf_append(out, line->data, len));
	*line = bh_view_of(line->data + len, line->len - len);
	return BH_OK;
}

static bh_status take_job(bh_view *line, bh_buf *out)
{
	static const char job[] = "[JOB ";
	const uint8_t *close = line->len > sizeof(job) ? memchr(line->data, ']', line->len) : NULL;
	size_t len = close ? (size_t)(close - line->data) : 0;

	if (len < sizeof(job) || memcmp(line->data, job, sizeof(job) - 1) != 0)
		return BH_OK;
	if (!is_number(bh_view_of(line->data + sizeof(job) - 1, len - sizeof(job) + 1)) || len + 2 > line->len)
		return BH_OK;
	BH_TRY(bh_buf_append(out, line->data, len + 2));
	*line = bh_view_of(line->data + len + 2, line->len - len - 2);
	return BH_OK;
}

static bool is_dump(bh_view line)
{
	for (size_t i = 0; i < sizeof(dumps) / sizeof(dumps[0]); i++)
		if (line.len >= strlen(dumps[i]) && memcmp(line.data, dumps[i], strlen(dumps[i])) == 0)
			return is_printable(line);
	return false;
}

bh_status bh_infolog_line(bh_view line, bh_buf *out)
{
	bool matches;

	if (is_dump(line))
		return bh_buf_append(out, line.data, line.len);
	while (line.len > 0 && line.data[line.len - 1] == '\n')
		line.len--;
	BH_TRY(take_bracket('F', &line, out));
	BH_TRY(take_bracket('C', &line, out));
	BH_TRY(take_job(&line, out));
	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		BH_TRY(match(templates[i], line, &matches, NULL));
		if (matches)
			return match(templates[i], line, &matches, out);
	}
	return append_withheld(line.len, out);
}
