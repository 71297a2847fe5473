/* SPDX-License-Identifier: Apache-2.0
 *
 * aead_ipsecmb.c: AES-256-GCM by Intel's Multi-Buffer library, through its direct calls: no jobs, no queues.
 *
 * Invariants: the manager is made once a process and is only read afterwards (it is a table of functions); a context is the
 * expanded key, immutable; the state of a message is on the stack and wiped. The library decrypts first and computes the tag:
 * comparing it, and wiping on a mismatch, is up to the caller. It does the former here.
 */
#include "aead_engine.h"

#ifdef BH_HAVE_IPSECMB

#include <pthread.h>

#include <intel-ipsec-mb.h>

typedef struct ipsecmb_aead {
	bh_aead base;
	_Alignas(64) struct gcm_key_data key; /* the library counts on it, though its header says so only where LINUX is defined */
} ipsecmb_aead;

static IMB_MGR *manager;
static pthread_once_t manager_once = PTHREAD_ONCE_INIT;

/* Without AES-NI the library emulates it, slower than OpenSSL and not in constant time: then there is no manager. */
static void manager_new(void)
{
	IMB_MGR *mgr = alloc_mb_mgr(0);

	if (!mgr)
		return;
	init_mb_mgr_auto(mgr, NULL);
	if (imb_get_errno(mgr) == 0 && (mgr->features & IMB_FEATURE_AESNI) != 0)
		manager = mgr;
	else
		free_mb_mgr(mgr);
}

/* The library refuses NULL even for no bytes, and does nothing then without saying so. */
static const uint8_t *not_null(const uint8_t *p)
{
	static const uint8_t nothing[1];

	return p ? p : nothing;
}

static bh_status ipsecmb_init(bh_aead *self, const uint8_t key[BH_DEK_LEN])
{
	IMB_AES256_GCM_PRE(manager, key, &((ipsecmb_aead *)self)->key);
	return BH_OK;
}

static bh_status ipsecmb_seal(const bh_aead *self, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			      uint8_t *out, uint8_t tag[BH_TAG_LEN])
{
	const ipsecmb_aead *aead = (const ipsecmb_aead *)self;
	_Alignas(16) struct gcm_context_data state;
	uint8_t none[1];

	IMB_AES256_GCM_ENC(manager, &aead->key, &state, len != 0 ? out : none, not_null(in), len, nonce, not_null(aad.data),
			   aad.len, tag, BH_TAG_LEN);
	bh_wipe(&state, sizeof(state));
	return BH_OK;
}

static bh_status ipsecmb_open(const bh_aead *self, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			      const uint8_t tag[BH_TAG_LEN], uint8_t *out)
{
	const ipsecmb_aead *aead = (const ipsecmb_aead *)self;
	_Alignas(16) struct gcm_context_data state;
	uint8_t computed[BH_TAG_LEN], none[1];

	IMB_AES256_GCM_DEC(manager, &aead->key, &state, len != 0 ? out : none, not_null(in), len, nonce, not_null(aad.data),
			   aad.len, computed, BH_TAG_LEN);
	bh_wipe(&state, sizeof(state));
	return bh_equal_ct(computed, tag, BH_TAG_LEN) ? BH_OK : BH_E_TAG;
}

static const bh_aead_engine engine = {
	.name = "ipsec-mb",
	.size = sizeof(ipsecmb_aead),
	.init = ipsecmb_init,
	.seal = ipsecmb_seal,
	.open = ipsecmb_open,
};

const bh_aead_engine *bh_aead_engine_ipsecmb(void)
{
	pthread_once(&manager_once, manager_new);
	return manager ? &engine : NULL;
}

#else

const bh_aead_engine *bh_aead_engine_ipsecmb(void)
{
	return NULL;
}

#endif
