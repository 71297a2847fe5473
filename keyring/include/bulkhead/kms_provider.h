/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_provider.h: what a KMS provider is: the table of functions behind one scheme of CMK URIs. A service that keeps its merchants'
 * keys in a KMS which Bulkhead does not know writes one, and registers it before it opens a database.
 *
 * Every function is called through Bulkhead's own wrappers, which check what goes in and what comes out, count, and keep what a
 * failing call has half done from anybody's eyes. So a provider may assume: a URI is at most BH_KMS_URI_MAX bytes, without control
 * characters, and begins with its scheme and ':'; `options` is never NULL; outputs are zero; what it writes counts only with BH_OK.
 *
 * How a call ends is the provider's most important duty, since each outcome does something else to a merchant:
 *     BH_OK                 the KMS said yes. Its keys are in use for a further lease
 *     BH_E_KMS_REFUSED      the KMS said no: the key is disabled, pending deletion, destroyed, or not for this principal. The
 * merchant is shut off at once, and asked for again each minute BH_E_NOT_FOUND        the KMS answers, and has no such key. As
 * refused BH_E_REGION           the key is in a region where it must not be. As refused BH_E_TAG              the wrap does not
 * open: damaged, of another key, or of another context. An alarm: the merchant is shut off until an operator resumes it
 *     BH_E_FORMAT, BH_E_TRUNCATED, BH_E_VERSION   a wrap or an answer that cannot be what it should be. As BH_E_TAG
 *     BH_E_KMS_UNREACHABLE  no answer: no network, no server, too late, cut off. The merchant is served to the end of its lease;
 * the call is tried again, ever more slowly BH_E_KMS_THROTTLED    the KMS is there and takes no more calls for now. As unreachable
 *     BH_E_KMS_SEALED       the KMS is there and itself locked (a sealed Vault, an HSM without its operator's card). As unreachable
 *     BH_E_INVALID, BH_E_UNSUPPORTED   the URI, or the kind of key that it names, is not for this provider
 *     BH_E_NOMEM, BH_E_IO, BH_E_CRYPTO   trouble of this process. As unreachable
 * Never guess "refused" out of a missing answer, nor "unreachable" out of a no: the first takes a merchant's service away for a
 * broken cable, the second leaves data in use that its owner has just locked. The sentence for people goes in with bh_fail().
 *
 * Secrets: `dek` and `dek_out` are in locked memory that is not dumped. A provider copies them nowhere but into what it sends, and
 * wipes that. Nothing secret is in a URI, in bh_fail()'s text, in a request's id or a principal's name.
 *
 * Time: a call that waits for somebody else ends within options->timeout_ms (0: 2,000 ms). Nothing may retry beyond it.
 *
 * Thread-safety: all functions may be called from many threads, for one `self` too; only close() comes when no other call is under
 * way. After a fork a child calls none of them.
 */
#ifndef BULKHEAD_KMS_PROVIDER_H
#define BULKHEAD_KMS_PROVIDER_H

#include <bulkhead/kms.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_KMS_URI_MAX 2048     /* bytes of a CMK URI, without the NUL */
#define BH_KMS_WRAPPED_MAX 1024 /* bytes of a wrapped DEK, of any provider */
#define BH_KMS_DEK_LEN 32       /* bytes of a DEK */
#define BH_KMS_PROVIDERS_MAX 16 /* that can be registered in a process */

/* What Bulkhead's own providers share among the keys that one keyring opens. A registered provider ignores it. */
typedef struct bh_kms_session bh_kms_session;

/* A DEK as its CMK has wrapped it. What is in it is the provider's own affair; it comes back to unwrap() as it is. */
typedef struct bh_kms_wrapped {
	uint8_t bytes[BH_KMS_WRAPPED_MAX];
	size_t len;       /* 1 to BH_KMS_WRAPPED_MAX */
	uint32_t version; /* of the CMK, that wrapped it, from 1. A KMS whose keys have no versions says 1 */
} bh_kms_wrapped;

typedef struct bh_kms_provider {
	size_t size;         /* sizeof(bh_kms_provider), as the provider was compiled */
	const char *scheme;  /* "local": lower-case letters, digits, '+' and '-' */
	const char *example; /* "local:DIR#KEY": what a URI of it looks like, for messages */
	const char *console; /* where a key's owner does what this provider does not (see below), for messages; NULL: in the KMS's
				own console */

	/* Opens the key of `uri`, which has to exist; its state need not be looked at. */
	bh_status (*open)(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out);
	void (*close)(void *self);
	/* `region` where the KMS knows it, else "": Bulkhead refuses a key that says it is in another region than its data. */
	bh_status (*describe)(void *self, bh_kms_key_info *out);
	/* Wraps BH_KMS_DEK_LEN bytes under the newest version. The KMS itself binds the wrap to `context`, at most 512 bytes of
	 * printable text and line feeds: unwrap() with another one fails. */
	bh_status (*wrap)(void *self, const uint8_t *dek, bh_view context, bh_kms_wrapped *out);
	/* Writes BH_KMS_DEK_LEN bytes; an answer of any other length is BH_E_FORMAT. */
	bh_status (*unwrap)(void *self, bh_view wrapped, bh_view context, uint8_t *dek_out);
	/* Has the key destroyed, at once or at a date. Asked again it changes nothing and gives the same evidence. */
	bh_status (*destroy)(void *self, bh_kms_evidence *out);
	/* Whether two well-formed URIs of its scheme that differ name the same key. NULL: never. */
	bool (*same_key)(const char *uri, const char *other);

	/* Where `uri` names its key by something that its owner can point elsewhere: the URI that names the key itself, which is
	 * recorded and compared, into `out` of BH_KMS_URI_MAX + 1 bytes; else "". NULL: every URI names the key itself. */
	bh_status (*resolve)(const char *uri, const bh_kms_options *options, char *out);

	/* The owner's console, for `bhctl kms`. Any may be NULL: BH_E_UNSUPPORTED, with `console`. */
	bh_status (*create)(const char *uri, const char *region, const bh_kms_options *options);
	bh_status (*rotate)(void *self, uint32_t *version_out);
	bh_status (*set_state)(void *self, bh_kms_key_state state); /* ENABLED or DISABLED */
	bh_status (*list)(const char *uri, const bh_kms_options *options, bh_status (*each)(void *arg, const bh_kms_key_info *info),
			  void *arg);
} bh_kms_provider;

/* Makes `provider`, which is static, known to the whole process, for good. Call it before any database is opened.
 * Errors: BH_E_INVALID (the table is not complete, of another size, or its scheme is none), BH_E_EXISTS (somebody has that scheme),
 * BH_E_FULL (BH_KMS_PROVIDERS_MAX are there). */
BH_API BH_MUST_CHECK bh_status bh_kms_provider_register(const bh_kms_provider *provider);

/* For providers, within a call, for the audit log; texts are copied and cut, to 64 and 255 bytes.
 * The id that the KMS, or the provider, gave this call: what it is found by in the KMS's own log. */
BH_API void bh_kms_request_id_set(const char *id);
/* As whom the KMS was asked: a role's ARN, a token's name, a user. */
BH_API void bh_kms_principal_set(const char *name);

#ifdef __cplusplus
}
#endif
#endif
