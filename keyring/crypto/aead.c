/* SPDX-License-Identifier: Apache-2.0
 *
 * aead.c: the choice of an engine, and the wrappers through which alone engines are called.
 *
 * Invariants: whatever an engine leaves behind in a failing call is wiped here; a context inherited over a fork is refused.
 * The ipsec-mb engine is not even asked for where another one is forced: its code does not run then.
 *
 * Thread-safety: the choice is one atomic pointer.
 */
#include "aead.h"

#include "aead_engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MESSAGE_MAX (((uint64_t)1 << 36) - 32) /* bytes; SP 800-38D, 5.2.1.1 */

static _Atomic(const bh_aead_engine *) chosen; /* NULL: the environment names an engine that cannot run */
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static bh_status engine_find(const char *name, const bh_aead_engine **out)
{
	const bh_aead_engine *engine;

	if (strcmp(name, "openssl") == 0) {
		*out = &bh_aead_engine_openssl;
		return BH_OK;
	}
	if (strcmp(name, "ipsec-mb") != 0 && strcmp(name, "auto") != 0)
		return bh_fail(BH_E_INVALID, "no AEAD engine '%s': use openssl, ipsec-mb or auto", name);
	engine = bh_aead_engine_ipsecmb();
	if (!engine && strcmp(name, "ipsec-mb") == 0)
		return bh_fail(BH_E_UNSUPPORTED, "AEAD engine 'ipsec-mb' cannot run here: use openssl or auto");
	*out = engine ? engine : &bh_aead_engine_openssl;
	return BH_OK;
}

static bh_status from_environment(const bh_aead_engine **out)
{
	const char *name = getenv("BH_AEAD");

	return bh_fail_prefix(engine_find(name && name[0] != '\0' ? name : "auto", out), "BH_AEAD");
}

static void choose(void)
{
	const bh_aead_engine *engine = NULL;

	if (from_environment(&engine) == BH_OK)
		atomic_store(&chosen, engine);
}

const bh_aead_engine *bh_aead_default(void)
{
	pthread_once(&chosen_once, choose);
	return atomic_load(&chosen);
}

const char *bh_aead_engine_name(const bh_aead_engine *engine)
{
	return engine ? engine->name : "none";
}

bh_status bh_aead_select(const char *name)
{
	const bh_aead_engine *engine;

	BH_TRY(engine_find(name, &engine));
	/* Not before the environment has had its turn, or it would come later and win. */
	pthread_once(&chosen_once, choose);
	atomic_store(&chosen, engine);
	return BH_OK;
}

bh_status bh_aead_new(const bh_aead_engine *engine, bh_view key, bh_aead **out)
{
	bh_aead *aead;
	bh_status status;

	if (key.len != BH_DEK_LEN)
		return bh_fail(BH_E_INVALID, "an AES-256 key of %zu bytes", key.len);
	if (!engine)
		engine = bh_aead_default();
	if (!engine)
		return from_environment(&engine); /* says again what is wrong with it */
	aead = bh_secret_alloc(engine->size);
	if (!aead)
		return bh_fail(BH_E_NOMEM, "no memory for a cipher context");
	status = engine->init(aead, key.data);
	if (status != BH_OK) {
		bh_secret_free(aead, engine->size);
		return status;
	}
	aead->engine = engine;
	*out = aead;
	return BH_OK;
}

void bh_aead_free(bh_aead *aead)
{
	const bh_aead_engine *engine = aead ? aead->engine : NULL;

	/* One inherited over a fork has no engine: its memory is wiped already. */
	if (!engine)
		return;
	if (engine->clear)
		engine->clear(aead);
	bh_secret_free(aead, engine->size);
}

void bh_aead_freep(bh_aead **aead)
{
	bh_aead_free(*aead);
	*aead = NULL;
}

static bh_status check_len(size_t len)
{
	return len <= MESSAGE_MAX ? BH_OK : bh_fail(BH_E_INVALID, "a message of %zu bytes is more than AES-GCM allows", len);
}

static bh_status fail_forked(void)
{
	return bh_fail(BH_E_CRYPTO, "a cipher context of the parent process: open the database again after fork");
}

bh_status bh_aead_seal(const bh_aead *aead, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
		       uint8_t *out, uint8_t tag[BH_TAG_LEN])
{
	bh_status status;

	BH_TRY(check_len(len));
	status = aead->engine ? aead->engine->seal(aead, nonce, aad, in, len, out, tag) : fail_forked();
	if (status == BH_OK)
		return BH_OK;
	bh_wipe(out, len);
	bh_wipe(tag, BH_TAG_LEN);
	return status;
}

bh_status bh_aead_open(const bh_aead *aead, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
		       const uint8_t tag[BH_TAG_LEN], uint8_t *out)
{
	bh_status status;

	BH_TRY(check_len(len));
	status = aead->engine ? aead->engine->open(aead, nonce, aad, in, len, tag, out) : fail_forked();
	if (status == BH_OK)
		return BH_OK;
	bh_wipe(out, len);
	return status == BH_E_TAG ? bh_fail(BH_E_TAG, "%zu bytes do not match their authentication tag", len) : status;
}
