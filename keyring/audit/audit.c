/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.c: the live log: opened and checked, appended to. What its bytes are is format.c, what they prove is scan.c.
 *
 * Events are encoded when they happen, but for their place in the log, which they get under the lock when they are written.
 */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "actor.h"
#include "scan.h"
#include "keyring/base/crashpoint.h"
#include "keyring/base/random.h"

#define MESSAGE_SIZE 512 /* of a status message */
#define ROOM (256u << 10)
#define ROOM_LEAST (128u << 10)
#define BODY_MAX (BH_AUDIT_LINE_MAX - 128)

/* Where the next line goes. */
typedef struct place {
	bh_merkle tree;
	uint8_t root[BH_SHA256_LEN]; /* of it; any, where it is empty */
	uint8_t prev[BH_SHA256_LEN];
	uint64_t base;     /* bytes of the log that were archived, and lie before the file */
	uint64_t len;      /* bytes of the file */
	uint64_t anchored; /* of these, up to the end of the last anchor */
} place;

struct bh_audit {
	const bh_signer *signer; /* borrowed */
	char *path;              /* for messages; immutable after open, as the next two */
	bh_audit_process process;
	bool silent;
	int fd;                 /* O_APPEND; immutable after open */
	uint64_t keyring_known; /* what its newest part says, when it was opened; immutable after that */

	pthread_mutex_t lock; /* guards all below, and the file */
	place at;             /* of what is durable */
	uint64_t reserved;    /* up to here the file's room is allocated */
	bool failed;          /* what is on disk is in doubt: no more appends */
	uint64_t missed;      /* events that could not be written and had to happen all the same */
	char missed_why[MESSAGE_SIZE];
};

int64_t bh_audit_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Who writes */

static bh_status process_fill(const char *actor, bh_audit_process *out)
{
	uint8_t id[BH_ID_LEN];

	BH_TRY(bh_random(id, sizeof(id)));
	bh_hex(id, sizeof(id), out->id);
	out->pid = (long)getpid();
	if (gethostname(out->host, sizeof(out->host) - 1) != 0)
		snprintf(out->host, sizeof(out->host), "unknown");
	if (actor != NULL)
		snprintf(out->actor, sizeof(out->actor), "%s", actor);
	else
		bh_audit_actor_of(getuid(), out->actor);
	return BH_OK;
}

/* Events */

static bh_status body_add(const bh_audit *audit, const bh_audit_event *event, bh_buf *bodies)
{
	bh_audit_process process = audit->process;
	size_t start = bodies->len;

	if (bh_audit_acting() != NULL)
		snprintf(process.actor, sizeof(process.actor), "%s", bh_audit_acting());
	BH_TRY(bh_buf_append_u32(bodies, 0));
	bh_status status = bh_audit_body_encode(&process, bh_audit_now_ms(), event, bodies);
	size_t len = bodies->len - start - sizeof(uint32_t);
	if (status == BH_OK && len > BODY_MAX)
		status = bh_fail(BH_E_INVALID, "%s: an event of %zu bytes is more than a line can have", audit->path, len);
	if (status != BH_OK) {
		bodies->len = start;
		return status;
	}
	bh_put_u32(bodies->data + start, (uint32_t)len);
	return BH_OK;
}

bh_status bh_audit_batch_add(const bh_audit *audit, bh_audit_batch *batch, const bh_audit_event *event)
{
	BH_TRY(body_add(audit, event, &batch->bodies));
	batch->count++;
	return BH_OK;
}

bh_status bh_audit_batch_move(bh_audit_batch *to, bh_audit_batch *from)
{
	BH_TRY(bh_buf_append(&to->bodies, from->bodies.data, from->bodies.len));
	to->count += from->count;
	bh_audit_batch_clear(from);
	return BH_OK;
}

void bh_audit_batch_clear(bh_audit_batch *batch)
{
	bh_buf_clear(&batch->bodies);
	batch->count = 0;
}

/* Appending */

static bh_status lines_add_entry(place *at, bh_view body, bh_buf *lines)
{
	size_t start = lines->len;
	uint8_t leaf[BH_SHA256_LEN];

	BH_TRY(bh_audit_entry_encode(at->tree.size + 1, at->prev, body, lines));
	bh_view line = bh_view_of(lines->data + start, lines->len - start);
	BH_TRY(bh_merkle_leaf(line, leaf));
	BH_TRY(bh_merkle_add(&at->tree, leaf));
	return bh_sha256(line, at->prev);
}

static bh_status lines_add_checkpoint(const bh_audit *audit, place *at, bh_buf *lines)
{
	bh_audit_checkpoint checkpoint = { .position.size = at->tree.size, .at_ms = bh_audit_now_ms() };
	uint8_t message[BH_AUDIT_ANCHOR_SIGNED_LEN];
	size_t start = lines->len;
	const uint64_t lies = at->len + start, offset = at->base + lies;

	BH_TRY(bh_merkle_root(&at->tree, at->root));
	memcpy(checkpoint.position.root, at->root, BH_SHA256_LEN);
	memcpy(checkpoint.prev, at->prev, BH_SHA256_LEN);
	if (lies - at->anchored >= BH_AUDIT_ANCHOR_EVERY)
		checkpoint.offset = offset;
	size_t len = bh_audit_checkpoint_message(&checkpoint, message);
	BH_TRY(bh_sign(audit->signer, bh_view_of(message, len), checkpoint.signature));
	BH_TRY(bh_audit_checkpoint_encode(&checkpoint, &at->tree, lines));
	if (checkpoint.offset != 0)
		at->anchored = at->len + lines->len;
	return bh_sha256(bh_view_of(lines->data + start, lines->len - start), at->prev);
}

/* The lines of an append; `at` moves to behind them. */
static bh_status lines_make(const bh_audit *audit, bh_view bodies, place *at, bh_buf *lines)
{
	bh_reader r = bh_reader_of(bodies);

	while (r.rest.len > 0)
		BH_TRY(lines_add_entry(at, bh_read_bytes(&r, bh_read_u32(&r)), lines));
	BH_TRY(lines_add_checkpoint(audit, at, lines));
	at->len += lines->len;
	return BH_OK;
}

/* Takes back what was not wholly written, so that a full disk can be cleared and the work go on. */
static void append_undo(bh_audit *audit)
{
	audit->reserved = audit->at.len;
	if (bh_io_truncate(audit->fd, audit->path, audit->at.len) != BH_OK || bh_io_datasync(audit->fd, audit->path) != BH_OK)
		audit->failed = true;
}

/* What a full disk leaves: room for some hundred entries, so that what makes room can be logged, and leases be renewed. */
static void room_keep(bh_audit *audit, uint64_t end)
{
	if (end + ROOM_LEAST > audit->reserved && bh_io_reserve(audit->fd, audit->at.len, end - audit->at.len + ROOM))
		audit->reserved = end + ROOM;
}

static bh_status lines_write(bh_audit *audit, bh_view lines)
{
	room_keep(audit, audit->at.len + lines.len);
	BH_TRY(bh_io_append(audit->fd, audit->path, lines));
	bh_crash_point("audit.append.written");
	BH_TRY(bh_io_datasync(audit->fd, audit->path));
	bh_crash_point("audit.append.synced");
	return BH_OK;
}

static bh_status gap_add(const bh_audit *audit, bh_buf *bodies)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	if (audit->missed == 0)
		return BH_OK;
	BH_TRY(bh_buf_printf(&text, "%llu events before this one could not be recorded, the last for this reason: %s",
			     (unsigned long long)audit->missed, audit->missed_why));
	BH_TRY(bh_buf_append_u8(&text, 0));
	const bh_audit_event event = { .action = BH_AUDIT_LOG_GAP, .outcome = BH_E_IO, .detail = (const char *)text.data };
	return body_add(audit, &event, bodies);
}

static bh_status refuse(const bh_audit *audit)
{
	if (audit->process.pid != (long)getpid())
		return bh_fail(BH_E_INVALID, "%s: was opened before a fork: open the database again in the child", audit->path);
	if (audit->failed)
		return bh_fail(BH_E_IO, "%s: an earlier append failed; close the database and open it again", audit->path);
	return BH_OK;
}

static bh_status append_locked(bh_audit *audit, bh_view events)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bodies = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf lines = { 0 };
	place next = audit->at;

	BH_TRY(refuse(audit));
	BH_TRY(gap_add(audit, &bodies));
	BH_TRY(bh_buf_append(&bodies, events.data, events.len));
	BH_TRY(lines_make(audit, bh_buf_view(&bodies), &next, &lines));
	bh_status status = lines_write(audit, bh_buf_view(&lines));
	if (status != BH_OK) {
		char why[MESSAGE_SIZE];

		snprintf(why, sizeof(why), "%s", bh_status_message());
		append_undo(audit);
		return bh_fail(status, "%s", why);
	}
	audit->at = next;
	audit->missed = 0;
	return BH_OK;
}

bh_status bh_audit_batch_write(bh_audit *audit, bh_audit_batch *batch)
{
	bh_status status = BH_OK;

	if (batch->count == 0 || audit->silent) {
		bh_audit_batch_clear(batch);
		return BH_OK;
	}
	pthread_mutex_lock(&audit->lock);
	status = append_locked(audit, bh_buf_view(&batch->bodies));
	pthread_mutex_unlock(&audit->lock);
	BH_TRY(bh_fail_prefix(status, "audit log"));
	bh_audit_batch_clear(batch);
	return BH_OK;
}

bh_status bh_audit_append(bh_audit *audit, const bh_audit_event *event)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };

	BH_TRY(bh_audit_batch_add(audit, &batch, event));
	return bh_audit_batch_write(audit, &batch);
}

static void missed_add(bh_audit *audit, uint64_t count)
{
	pthread_mutex_lock(&audit->lock);
	audit->missed += count;
	snprintf(audit->missed_why, sizeof(audit->missed_why), "%s", bh_status_message());
	pthread_mutex_unlock(&audit->lock);
}

void bh_audit_batch_note(bh_audit *audit, bh_audit_batch *batch)
{
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof(message), "%s", bh_status_message());
	bh_status status = bh_audit_batch_write(audit, batch);
	if (status == BH_OK)
		return;
	missed_add(audit, batch->count);
	bh_audit_batch_clear(batch);
	(void)bh_fail(status, "%s", message);
}

void bh_audit_note(bh_audit *audit, const bh_audit_event *event)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };

	if (bh_audit_batch_add(audit, &batch, event) == BH_OK)
		bh_audit_batch_note(audit, &batch);
	else
		missed_add(audit, 1);
}

/* Cutting off what was archived */

static bh_status stays_write(const bh_audit *audit, const bh_io_dir *dir, uint64_t off, int *fd_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	const size_t len = (size_t)(audit->at.len - off); /* what comes behind an anchor is some 256 KiB */

	BH_TRY(bh_buf_reserve(&bytes, len));
	BH_TRY(bh_io_read_at(audit->fd, audit->path, off, bytes.data, len));
	bytes.len = len;
	*fd_out = bh_io_make(dir->fd, BH_AUDIT_TEMP, O_RDWR | O_APPEND, 0640);
	if (*fd_out < 0)
		return bh_fail(bh_io_status(errno), "%s: cannot be made: %s", BH_AUDIT_TEMP, strerror(errno));
	BH_TRY(bh_io_append(*fd_out, BH_AUDIT_TEMP, bh_buf_view(&bytes)));
	BH_TRY(bh_io_sync(*fd_out, BH_AUDIT_TEMP));
	bh_crash_point("audit.cut.tmp-synced");
	return bh_io_rename(dir, BH_AUDIT_TEMP, BH_AUDIT_FILE);
}

static bh_status cut_locked(bh_audit *audit, const bh_io_dir *dir, uint64_t off)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;

	BH_TRY(refuse(audit));
	if (audit->silent)
		return bh_fail(BH_E_INVALID, "%s: is not written by this process", audit->path);
	bh_status status = stays_write(audit, dir, off, &fd);
	if (status != BH_OK) {
		unlinkat(dir->fd, BH_AUDIT_TEMP, 0);
		return status;
	}
	bh_crash_point("audit.cut.renamed");
	/* From here on the file is the new one. After a power cut it may be the old one again, without what comes now. */
	bh_io_closep(&audit->fd);
	audit->fd = fd;
	fd = -1;
	audit->at.base += off;
	audit->at.len -= off;
	audit->at.anchored -= off;
	audit->reserved = audit->at.len;
	status = bh_io_dir_sync(dir);
	audit->failed = status != BH_OK;
	return status;
}

bh_status bh_audit_cut(bh_audit *audit, const bh_io_dir *dir, uint64_t off)
{
	pthread_mutex_lock(&audit->lock);
	bh_status status = cut_locked(audit, dir, off);
	pthread_mutex_unlock(&audit->lock);
	return bh_fail_prefix(status, "audit log");
}

/* Opening */

/* What is known of the log by others. */
typedef struct known {
	const bh_audit_position *positions;
	size_t count;
} known;

static const bh_audit_position *known_most(const known *k)
{
	const bh_audit_position *most = &k->positions[0];

	for (size_t i = 1; i < k->count; i++)
		if (k->positions[i].size > most->size)
			most = &k->positions[i];
	return most;
}

static bh_status refuse_missing(const bh_audit *audit, const bh_audit_position *most)
{
	return bh_fail(
		BH_E_FORMAT,
		"%s: is missing, but the keyring knows of %llu entries in it: restore it from a backup, or give it up for good "
		"with 'bhctl audit restart'",
		audit->path, (unsigned long long)most->size);
}

static bool is_forbidden(int error)
{
	return error == EACCES || error == EPERM || error == EROFS;
}

/* Opens the file as it is, or makes the first one. */
static bh_status file_open(bh_audit *audit, const bh_io_dir *dir, const bh_audit_options *options, const known *k, uint64_t *len)
{
	bh_status status = bh_io_open(dir, BH_AUDIT_FILE, O_RDWR | O_APPEND, &audit->fd, len, NULL);

	if (status == BH_E_IO && is_forbidden(errno) && options->optional) {
		audit->silent = true;
		status = bh_io_open(dir, BH_AUDIT_FILE, O_RDONLY, &audit->fd, len, NULL);
	}
	if (status != BH_E_NOT_FOUND)
		return status;
	if (known_most(k)->size > 0)
		return refuse_missing(audit, known_most(k));
	*len = 0;
	BH_TRY(bh_io_create(dir, BH_AUDIT_FILE, &audit->fd));
	bh_crash_point("audit.create.made");
	return bh_io_dir_sync(dir);
}

static bh_status tail_cut(bh_audit *audit, const bh_audit_scan_result *found)
{
	char detail[160];
	const bh_audit_event event = { .action = BH_AUDIT_LOG_TORN_TAIL, .detail = detail };

	if (audit->silent || found->file_len == found->good_len)
		return BH_OK;
	BH_TRY(bh_io_truncate(audit->fd, audit->path, found->good_len));
	bh_crash_point("audit.open.tail-cut");
	BH_TRY(bh_io_datasync(audit->fd, audit->path));
	snprintf(detail, sizeof(detail), "%llu bytes of an append that had not ended were cut off, with %llu whole entries in them",
		 (unsigned long long)(found->file_len - found->good_len), (unsigned long long)found->tail_entries);
	return bh_audit_append(audit, &event);
}

static bh_status note_keyring(void *arg, uint64_t seq, bh_view line)
{
	bh_audit *audit = arg;

	(void)seq;
	audit->keyring_known = BH_MAX(audit->keyring_known, bh_audit_line_number(line, BH_AUDIT_KEYRING));
	return BH_OK;
}

static bh_status file_check(bh_audit *audit, uint64_t len, const known *k)
{
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	const bh_audit_scan_options options = {
		.public_key = public_key,
		.floors = k->positions,
		.floor_count = k->count,
		.from_anchor = true,
		.each = note_keyring,
		.arg = audit,
	};
	bh_audit_scan_result found;

	bh_signer_public(audit->signer, public_key);
	BH_TRY(bh_fail_prefix(bh_audit_scan(audit->fd, BH_AUDIT_FILE, len, &options, &found), "%s", audit->path));
	audit->at = (place){ .tree = found.tree, .base = found.base, .len = found.good_len, .anchored = found.anchored };
	memcpy(audit->at.root, found.last.position.root, BH_SHA256_LEN);
	memcpy(audit->at.prev, found.prev, BH_SHA256_LEN);
	return tail_cut(audit, &found);
}

/* An operator's last resort: the old log stays, under another name, for whoever can still make something of it. */
static bh_status set_aside(bh_audit *audit, const bh_io_dir *dir, const bh_audit_position *most)
{
	char aside[40], root[2 * BH_SHA256_LEN + 1], detail[256];

	snprintf(aside, sizeof(aside), BH_AUDIT_FILE ".%lld", (long long)bh_audit_now_ms());
	bh_status moved = bh_io_rename(dir, BH_AUDIT_FILE, aside);
	if (moved != BH_OK && moved != BH_E_NOT_FOUND)
		return moved;
	BH_TRY(bh_io_create(dir, BH_AUDIT_FILE, &audit->fd));
	BH_TRY(bh_io_dir_sync(dir));
	bh_hex(most->root, BH_SHA256_LEN, root);
	snprintf(detail, sizeof(detail), "the keyring knew of %llu entries with root %s; %s%s", (unsigned long long)most->size,
		 root, moved == BH_OK ? "what was there is kept as " : "there was no log any more", moved == BH_OK ? aside : "");
	const bh_audit_event event = { .action = BH_AUDIT_LOG_RESTARTED, .detail = detail };
	return bh_audit_append(audit, &event);
}

static bh_status audit_open(bh_audit *audit, const bh_io_dir *dir, const bh_audit_options *options, const known *k)
{
	uint64_t len = 0;

	if (asprintf(&audit->path, "%s/" BH_AUDIT_FILE, dir->path) < 0) {
		audit->path = NULL;
		return bh_fail(BH_E_NOMEM, "%s: no memory to open its audit log", dir->path);
	}
	BH_TRY(process_fill(options->actor, &audit->process));
	if (options->restart)
		return set_aside(audit, dir, known_most(k));
	BH_TRY(file_open(audit, dir, options, k, &len));
	return file_check(audit, len, k);
}

bh_status bh_audit_open(const bh_io_dir *dir, const bh_signer *signer, const bh_audit_options *options,
			const bh_audit_position *known_positions, size_t known_count, bh_audit **out)
{
	const known k = { known_positions, known_count };
	bh_audit *audit = calloc(1, sizeof(*audit));

	if (audit == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory to open its audit log", dir->path);
	audit->fd = -1;
	audit->signer = signer;
	pthread_mutex_init(&audit->lock, NULL);
	bh_status status = audit_open(audit, dir, options, &k);
	if (status != BH_OK) {
		bh_audit_close(audit);
		return status;
	}
	*out = audit;
	return BH_OK;
}

void bh_audit_close(bh_audit *audit)
{
	if (audit == NULL)
		return;
	bh_io_closep(&audit->fd);
	pthread_mutex_destroy(&audit->lock);
	free(audit->path);
	free(audit);
}

/* Questions */

bh_status bh_audit_check(bh_audit *audit)
{
	pthread_mutex_lock(&audit->lock);
	bh_status status = bh_fail_prefix(refuse(audit), "audit log");
	pthread_mutex_unlock(&audit->lock);
	return status;
}

void bh_audit_position_get(bh_audit *audit, bh_audit_position *out)
{
	pthread_mutex_lock(&audit->lock);
	out->size = audit->at.tree.size;
	memcpy(out->root, audit->at.root, BH_SHA256_LEN);
	pthread_mutex_unlock(&audit->lock);
}

uint64_t bh_audit_keyring_known(const bh_audit *audit)
{
	return audit->keyring_known;
}

bool bh_audit_is_silent(const bh_audit *audit)
{
	return audit->silent;
}
