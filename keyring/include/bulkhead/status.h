/* SPDX-License-Identifier: Apache-2.0
 *
 * status.h: every way a Bulkhead call can end.
 *
 * A call returns a code; the sentence that goes with it (which file, merchant or key, and what to do next) is kept per thread
 * and read with bh_status_message(). Codes stay distinct all the way up: to the RocksDB status, to the exit code, to the log.
 * A tag mismatch is never softened to another code and never retried.
 *
 * Every call that returns a status sets the message, or, where it returns BH_OK, clears it: what is read is of the last call and of
 * no other, so a server's thread that serves one merchant after the other tells none of them about another. Calls that return no
 * status (close, free, clear) leave the message as it is: they are what a caller does between a failure and the look at it.
 *
 * Thread-safety: codes are values; the message belongs to the calling thread and lives until its next call that returns a status.
 */
#ifndef BULKHEAD_STATUS_H
#define BULKHEAD_STATUS_H

/* For other languages' tools that read these headers (docs/embedding.md). BH_FFI: no function has a body. BH_FFI_BARE: nor an
 * attribute, and nothing of the system's and RocksDB's headers is included: RocksDB's types are opaque then. */
#if defined(BH_FFI_BARE) && !defined(BH_FFI)
#define BH_FFI
#endif

#ifndef BH_FFI_BARE
#include <stdbool.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(BH_FFI_BARE)
#define BH_MUST_CHECK __attribute__((warn_unused_result))
#define BH_PRINTF(fmt_idx, args_idx) __attribute__((format(printf, fmt_idx, args_idx)))
#define BH_API __attribute__((visibility("default")))
#else
#define BH_MUST_CHECK
#define BH_PRINTF(fmt_idx, args_idx)
#define BH_API
#endif

typedef enum bh_status {
	BH_OK = 0,
	BH_E_INVALID,          /* refused input: a bad argument, name, option or URI */
	BH_E_NOT_FOUND,        /* no such file, database, CMK, or other thing that has no code of its own below */
	BH_E_EXISTS,           /* a thing of that name is there already */
	BH_E_BUSY,             /* held by another process or by an open handle */
	BH_E_UNSUPPORTED,      /* what cannot work with Bulkhead, by design */
	BH_E_SUSPENDED,        /* the merchant is suspended; resume it first */
	BH_E_NO_KEY,           /* the DEK or CMK this needs is not available in this process */
	BH_E_SHREDDED,         /* the merchant's keys are destroyed; there is no way back */
	BH_E_TAG,              /* authentication failed: the bytes are not what was sealed */
	BH_E_FORMAT,           /* malformed, though complete */
	BH_E_TRUNCATED,        /* ends before it should */
	BH_E_VERSION,          /* a version or suite this build does not know */
	BH_E_ROLLBACK,         /* older than the floor that the caller gave */
	BH_E_KMS_REFUSED,      /* the KMS said no: disabled, destroyed, denied. Do not retry */
	BH_E_KMS_UNREACHABLE,  /* the KMS gave no answer. May be retried */
	BH_E_REGION,           /* a key or a copy of the data is in the wrong region */
	BH_E_IO,               /* the operating system failed a read, write or sync */
	BH_E_NOMEM,            /* no memory, or none that can be locked */
	BH_E_CRYPTO,           /* the cryptographic library or the random generator failed */
	BH_E_ROCKSDB,          /* RocksDB failed in a way that is none of the above */
	BH_E_DAMAGED,          /* a file of the merchant is damaged: it is off until an operator resumes it */
	BH_E_ERASED,           /* a row under a prefix that was erased, and is kept from coming back */
	BH_E_NO_SUCH_KEY,      /* the class has no row of that key */
	BH_E_NO_SUCH_MERCHANT, /* the database has, and had, no merchant of that name */
	BH_E_NO_SUCH_CLASS,    /* the merchant has no data class of that name */
	BH_E_UNMERGED,         /* a row holds merges, and the merge operator that they are for is not here */
	BH_E_FULL,             /* a disk, a quota, its inodes or the descriptors are used up. Works again when there is room */
	BH_E_KMS_THROTTLED,    /* the KMS takes no more calls for now. May be retried, later */
	BH_E_KMS_SEALED,       /* the KMS is itself locked, and has to be opened by its operator. May be retried */
	BH_E_DENIED,           /* this user may not do that */
	BH_E_COUNT_            /* number of codes; not a code */
} bh_status;

/* The name of a code, such as "tag-mismatch". Static; never NULL, also for a number that is no code. */
BH_API const char *bh_status_name(bh_status status);

/* The sentence of this thread's last call that returned a status: "" if that was BH_OK. Borrowed: valid until the next such call.
 * Never NULL. */
BH_API const char *bh_status_message(void);

/* The bhctl exit code of a status (0 done, 1 other, 2 refused input, 3 not found, 4 suspended or no key, 5 shredded,
 * 6 integrity, 7 KMS refused, 8 KMS unreachable, throttled or sealed, 9 region, 10 I/O, 11 unmerged). */
BH_API int bh_status_exit_code(bh_status status);

/* Records a message for this thread and returns `status`: `return bh_fail(BH_E_FORMAT, "%s: ...", path);`
 * The message is cut at 511 bytes. `status` must not be BH_OK. */
BH_API bh_status bh_fail(bh_status status, const char *fmt, ...) BH_PRINTF(2, 3);

/* Puts "prefix: " before this thread's message and returns `status` unchanged; does nothing for BH_OK. */
BH_API bh_status bh_fail_prefix(bh_status status, const char *fmt, ...) BH_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
