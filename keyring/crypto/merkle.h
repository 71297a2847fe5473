/* SPDX-License-Identifier: Apache-2.0
 *
 * merkle.h: the Merkle tree of RFC 6962, section 2.1, over SHA-256, grown a leaf at a time.
 *
 * Kept are the roots of the full subtrees that the leaves so far make up, one for each bit of their number, so that a head costs
 * O(log n) memory and time. The leaves themselves are nobody's to keep.
 *
 * Thread-safety: none. A bh_merkle may be copied by assignment.
 */
#ifndef BH_MERKLE_H
#define BH_MERKLE_H

#include "kdf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero: the empty tree. */
typedef struct bh_merkle {
	uint64_t size;                    /* leaves */
	uint8_t peaks[64][BH_SHA256_LEN]; /* peaks[i]: of the full subtree of 2^i leaves, where bit i of `size` is set */
} bh_merkle;

/* SHA-256(0x00 || leaf). Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_merkle_leaf(bh_view leaf, uint8_t hash_out[BH_SHA256_LEN]);
/* Appends a leaf by its hash. On failure the tree is as it was. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_merkle_add(bh_merkle *tree, const uint8_t leaf_hash[BH_SHA256_LEN]);
/* The tree head: that of an empty tree is SHA-256 of nothing. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_merkle_root(const bh_merkle *tree, uint8_t root_out[BH_SHA256_LEN]);

#ifdef __cplusplus
}
#endif
#endif
