/* SPDX-License-Identifier: Apache-2.0
 *
 * references.c: see references.h.
 */
#include "references.h"

#include <sys/stat.h>

#include "raw_file.h"
#include "stream_file.h"

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

static bh_status stream_references(int fd, const char *path, const bh_scopes *scopes, bh_dek_visitor visit, void *arg)
{
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;
	uint8_t header[BH_HEADER_LEN];
	struct stat st;

	BH_TRY(bh_raw_header_stable(fd, path, header));
	if (fstat(fd, &st) != 0)
		return bh_raw_fail(path, "looked at");
	BH_TRY(bh_stream_reader_new(bh_view_of(header, sizeof(header)), scopes, true, &reader));
	visit(arg, bh_stream_reader_key(reader)->header.dek_id);
	bh_stream_reader_on_announcement(reader, visit, arg);
	return bh_stream_read_through(fd, path, (uint64_t)st.st_size, reader, NULL, NULL);
}

static bh_status references_once(const char *path, const bh_scopes *scopes, bh_dek_visitor visit, void *arg, bool *again_out)
{
	BH_CLEANUP(bh_raw_close) int fd = -1;
	bh_status status;

	*again_out = false;
	BH_TRY(bh_raw_open(path, &fd));
	status = stream_references(fd, path, scopes, visit, arg);
	*again_out = status != BH_OK && !bh_raw_is_still_there(fd, path);
	return bh_fail_prefix(status, "%s", path);
}

/* One that was sealed anew meanwhile may have been under a DEK that is destroyed by now. */
bh_status bh_file_references(const char *path, const bh_scopes *scopes, bh_dek_visitor visit, void *arg)
{
	bh_status status = BH_OK;
	bool again = true;

	for (int left = 3; again && left > 0; left--)
		status = references_once(path, scopes, visit, arg, &again);
	return status;
}
