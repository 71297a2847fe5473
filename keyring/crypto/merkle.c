/* SPDX-License-Identifier: Apache-2.0
 *
 * merkle.c: see merkle.h.
 */
#include "merkle.h"

bh_status bh_merkle_leaf(bh_view leaf, uint8_t hash_out[BH_SHA256_LEN])
{
	static const uint8_t prefix[] = { 0x00 };
	const bh_view parts[] = { bh_view_of(prefix, 1), leaf };

	return bh_sha256_parts(parts, 2, hash_out);
}

/* `out` may be either of the others. */
static bh_status node_hash(const uint8_t left[BH_SHA256_LEN], const uint8_t right[BH_SHA256_LEN], uint8_t out[BH_SHA256_LEN])
{
	static const uint8_t prefix[] = { 0x01 };
	const bh_view parts[] = { bh_view_of(prefix, 1), bh_view_of(left, BH_SHA256_LEN), bh_view_of(right, BH_SHA256_LEN) };

	return bh_sha256_parts(parts, 3, out);
}

bh_status bh_merkle_add(bh_merkle *tree, const uint8_t leaf_hash[BH_SHA256_LEN])
{
	uint8_t node[BH_SHA256_LEN];
	unsigned level = 0;

	memcpy(node, leaf_hash, sizeof(node));
	/* As in counting: every full subtree that the new one meets is carried. */
	for (; (tree->size >> level & 1) != 0; level++)
		BH_TRY(node_hash(tree->peaks[level], node, node));
	memcpy(tree->peaks[level], node, sizeof(node));
	tree->size++;
	return BH_OK;
}

bh_status bh_merkle_root(const bh_merkle *tree, uint8_t root_out[BH_SHA256_LEN])
{
	uint8_t root[BH_SHA256_LEN];
	bool begun = false;

	if (tree->size == 0)
		return bh_sha256(bh_view_of(NULL, 0), root_out);
	/* The smallest subtree is the rightmost; each larger one goes to its left. */
	for (unsigned level = 0; level < 64; level++) {
		if ((tree->size >> level & 1) == 0)
			continue;
		if (begun)
			BH_TRY(node_hash(tree->peaks[level], root, root));
		else
			memcpy(root, tree->peaks[level], sizeof(root));
		begun = true;
	}
	memcpy(root_out, root, sizeof(root));
	return BH_OK;
}
