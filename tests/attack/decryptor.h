/* SPDX-License-Identifier: Apache-2.0
 *
 * decryptor.h: everything that the keys at hand can make of the files of a database: what someone does who has the disk, or a copy
 * of it, and some of the CMKs. No RocksDB: files are opened by the formats alone, whether RocksDB would still want them or not.
 *
 * The keys at hand are those that the KMS gives out for the wraps in the KEYRING of that very copy: an old copy with the wraps of a
 * merchant that is shredded by now included.
 */
#ifndef BH_TESTS_SYSTEM_DECRYPTOR_H
#define BH_TESTS_SYSTEM_DECRYPTOR_H

#include "env/fs/fs.h"
#include "tests/support/support.h"

typedef struct decryptor {
	char dir[PATH_SIZE];
	bh_fs *fs;            /* owns the keyring */
	char locked_out[256]; /* merchants whose DEKs the KMS did not give, each after a space */
} decryptor;

/* Opens DIR/KEYRING without changing it, and unwraps what can be unwrapped. */
void decryptor_open(decryptor *d, const char *dir);
void decryptor_close(decryptor *d);
bool decryptor_is_locked_out(const decryptor *d, const char *merchant);

/* One file in the three forms it can be had in. */
typedef struct decrypted {
	const char *path;
	bh_path_info info;     /* `sealed` false for KEYRING, too: its bytes are as they are */
	bh_status raw_status;  /* how opening it with the file's own key ended */
	bh_status open_status; /* how opening its spans, too, ended */
	bh_buf stored;         /* as on disk */
	bh_buf raw;            /* under the file's own key; spans still sealed */
	bh_buf opened;         /* streams with spans: these opened as well, or blank without their key */
} decrypted;

/* Calls `each` for every file of the copy. */
void decryptor_walk(const decryptor *d, void (*each)(void *arg, const decrypted *file), void *arg);

/* The logical bytes of a stream or paged file in memory, so far as they could be had; `raw` as in bh_stream_reader_new(). */
bh_status decrypt_stream(bh_view file, const bh_scopes *scopes, bool raw, bh_buf *out);
bh_status decrypt_pages(bh_view file, const bh_scopes *scopes, bh_buf *out);

/* Calls `each` for every whole record of an opened log. */
void log_records(bh_view opened, void (*each)(void *arg, bh_view record), void *arg);

#endif
