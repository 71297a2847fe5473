/* SPDX-License-Identifier: Apache-2.0
 *
 * kms.h: key management services, where CMKs live.
 *
 * A CMK never leaves its KMS: Bulkhead asks it to wrap and unwrap DEKs. A key is named by a URI. This build knows
 *     local:DIR#KEY   files in DIR, for development and air-gapped hosts (keyring/README.md has the format): keys under a root key,
 * which is a 0600 file made on first use, or derived from a passphrase (BULKHEAD_KMS_PASSPHRASE, or bh_kms_options);
 *     agent:SOCKET#key   the same in another process, bhkms-agent(1), so that this one never holds a CMK. It wraps, unwraps and
 * describes, and destroys where its operator allows it; what else a key's owner does, he does at the directory, with bhctl(1).
 *     vault://HOST:PORT/MOUNT/keys/NAME[?region=R], vault+http://127.0.0.1:PORT/...   a derived key of the transit engine of
 * HashiCorp Vault or OpenBao, if this build was made with libcurl; keyring/README.md says how it signs in.
 *     aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID   a symmetric key of one region in AWS KMS, if this build was made with libcurl;
 * keyring/README.md says where its credentials come from.
 *     pkcs11:token=T;object=K?module-path=/M.so&pin-source=file:/P[&region=R]   an AES key in a PKCS#11 token (RFC 7512), if this
 * build was made with p11-kit; keyring/README.md has all of it.
 * A service can bring another one: kms_provider.h.
 *
 * Thread-safety: a bh_kms may be used from many threads at once.
 */
#ifndef BULKHEAD_KMS_H
#define BULKHEAD_KMS_H

#include <bulkhead/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One CMK at one provider. */
typedef struct bh_kms bh_kms;

/* All zero: the documented defaults. */
typedef struct bh_kms_options {
	const char *passphrase; /* for local KMS directories under a passphrase; NULL: BULKHEAD_KMS_PASSPHRASE, else a root key
				   file. Borrowed for the call only */
	uint32_t
		timeout_ms; /* how long one call to a KMS in another process may take; 0: 2,000. After it, the KMS is unreachable */
	uint32_t deletion_window_s; /* of a key that is created: seconds between the call that destroys it and the end of its
				       material, in which it can still be enabled again; 0: at once */
} bh_kms_options;

#define BH_KMS_REQUEST_ID_SIZE 65 /* room for a KMS's id of one request: text, with its NUL */

typedef enum bh_kms_key_state {
	BH_KMS_ENABLED = 1,          /* wraps and unwraps */
	BH_KMS_DISABLED = 2,         /* refuses both until enabled again */
	BH_KMS_DESTROYED = 3,        /* key material is gone for good */
	BH_KMS_PENDING_DELETION = 4, /* refuses both; enabled again before its date, or destroyed on it */
} bh_kms_key_state;

/* The name of a state, such as "pending-deletion". Static; never NULL. */
BH_API const char *bh_kms_key_state_name(bh_kms_key_state state);

typedef struct bh_kms_key_info {
	char name[65];
	char region[65]; /* "" where the KMS does not say */
	bh_kms_key_state state;
	uint32_t version;                        /* newest version, from 1; what wraps now use */
	int64_t created_at_s;                    /* seconds since 1970 */
	int64_t changed_at_s;                    /* of the last change of state or version */
	uint32_t deletion_window_s;              /* 0: destroyed at once */
	int64_t scheduled_s;                     /* when its material is to be destroyed, or was to be; 0: no date was set */
	char request_id[BH_KMS_REQUEST_ID_SIZE]; /* of the last change; what a deletion date brings about has the id of the request
						    that set the date. "" where the KMS does not say */
} bh_kms_key_info;

/* What a KMS answers to the one who asked it to destroy a key, and what it can be asked for again by bh_kms_describe(). */
typedef struct bh_kms_evidence {
	bh_kms_key_state state; /* BH_KMS_DESTROYED or BH_KMS_PENDING_DELETION */
	int64_t at_s;           /* when it came into this state, seconds since 1970 */
	int64_t scheduled_s;    /* when its material is to be destroyed, or was to be; 0: no date was set */
	char request_id[BH_KMS_REQUEST_ID_SIZE];
} bh_kms_evidence;

/* Whether a call that ended so got no answer from its KMS, for a reason that goes by itself or is another's to mend: unreachable,
 * throttled, sealed. */
BH_API bool bh_kms_gave_no_answer(bh_status status);

/* Opens the CMK of `uri`; the key must exist, its state is not looked at. Ownership: free with bh_kms_close().
 * Errors: BH_E_INVALID (URI), BH_E_NOT_FOUND (key), BH_E_KMS_REFUSED (wrong passphrase or root key), BH_E_TAG (state
 * file was changed), BH_E_FORMAT, BH_E_VERSION, BH_E_KMS_UNREACHABLE (I/O; no directory, or none that was set up), BH_E_NOMEM. */
BH_API BH_MUST_CHECK bh_status bh_kms_open(const char *uri, const bh_kms_options *options, bh_kms **out);
BH_API void bh_kms_close(bh_kms *kms);

/* Creates the key named in `uri` (and its directory, mode 0700, with a root key) in `region` ("" or NULL: the KMS does not say),
 * with the deletion window of `options`. Errors: BH_E_EXISTS and those of bh_kms_open(). */
BH_API BH_MUST_CHECK bh_status bh_kms_create(const char *uri, const char *region, const bh_kms_options *options);

BH_API BH_MUST_CHECK bh_status bh_kms_describe(bh_kms *kms, bh_kms_key_info *out);
/* The customer's console. A destroyed key cannot be changed, and one that is pending deletion can only be enabled
 * (BH_E_KMS_REFUSED). Further errors: those of bh_kms_open(). */
BH_API BH_MUST_CHECK bh_status bh_kms_rotate(bh_kms *kms, uint32_t *version_out);
BH_API BH_MUST_CHECK bh_status bh_kms_enable(bh_kms *kms);
BH_API BH_MUST_CHECK bh_status bh_kms_disable(bh_kms *kms);
/* Destroys the key: at once, or, where it has a deletion window, at the end of it; either way it refuses everything from now on.
 * `out` may be NULL. Asking again is BH_OK and changes nothing: `out` then tells of the first request, and says DESTROYED once the
 * date has passed. */
BH_API BH_MUST_CHECK bh_status bh_kms_destroy(bh_kms *kms, bh_kms_evidence *out);

/* What came of giving DEKs new wraps. */
typedef struct bh_rewrap_result {
	uint32_t version; /* the CMK's newest */
	size_t behind;    /* wraps that are below it still */
	size_t rewrapped; /* DEKs that got a new wrap; the platform's root secret counts as one */
	bool moved;       /* to another CMK */
	bool rotated;     /* ... and a new generation of DEKs was begun for it, onto which a sweep moves all data */
} bh_rewrap_result;

/* What the calls to one CMK came to (the console's are not counted). Durations are the monotonic clock's. */
typedef struct bh_kms_statistics {
	uint64_t calls; /* opening included */
	uint64_t refused, unreachable, throttled, sealed, not_found;
	uint64_t damaged;          /* an answer, or what the KMS keeps, was changed, cut, malformed, of an unknown version */
	uint64_t other;            /* failures that are none of the KMS's: no memory, refused input */
	int64_t last_success_ms;   /* of CLOCK_MONOTONIC; 0: none */
	int64_t last_success_at_s; /* seconds since 1970; 0: none */
	uint64_t latency_sum_us, latency_max_us; /* of all calls, failed ones included */
} bh_kms_statistics;
BH_API void bh_kms_stats(bh_kms *kms, bh_kms_statistics *out);

/* Calls `each` for every key in the place that `uri` names (the part after '#' is ignored), sorted by name; stops at the first
 * status that is not BH_OK and returns it. */
BH_API BH_MUST_CHECK bh_status bh_kms_list(const char *uri, const bh_kms_options *options,
					   bh_status (*each)(void *arg, const bh_kms_key_info *info), void *arg);

#ifdef __cplusplus
}
#endif
#endif
