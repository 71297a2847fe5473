/* SPDX-License-Identifier: Apache-2.0
 *
 * shared.h: what providers over HTTPS have in common beside the calls: servers that all keys of a process share, the environment,
 * and files with a token. Thread-safety: all calls.
 */
#ifndef BH_KMS_SHARED_H
#define BH_KMS_SHARED_H

#include <pthread.h>

#include "keyring/crypto/kdf.h"
#include "keyring/kms/provider/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first member of what is shared. Its id is of all that tells one server from another. */
typedef struct bh_shared {
	struct bh_shared *next; /* guarded by the list's lock, as is `refs` */
	size_t refs;
	uint8_t id[BH_SHA256_LEN];
} bh_shared;

typedef struct bh_shared_list {
	pthread_mutex_t lock;
	bh_shared *first;
} bh_shared_list;

/* One that has the id of `made`, with one reference more: an earlier one, or `made` itself. */
bh_shared *bh_shared_join(bh_shared_list *list, bh_shared *made);
/* Gives a reference back. True: it was the last one, and the caller frees it. */
bool bh_shared_leave(bh_shared_list *list, bh_shared *item);

/* The value; `otherwise` where it is not set or empty. */
const char *bh_env(const char *name, const char *otherwise);
/* The whole of a file of less than `size` bytes, without blanks and line ends behind it, with a NUL that counts. False: it cannot
 * be read, is too long, or empty. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_secret_file(const char *path, size_t size, bool *read_out, bh_secret *out);

#ifdef __cplusplus
}
#endif
#endif
