/* SPDX-License-Identifier: Apache-2.0
 *
 * test_merkle.c: tree heads against those of Certificate Transparency's own tests, and against RFC 6962's definition, written down
 * once more as it stands there, by recursion over all leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keyring/crypto/merkle.h"

static void hex_is(const uint8_t hash[BH_SHA256_LEN], const char *want)
{
	char hex[2 * BH_SHA256_LEN + 1];

	bh_hex(hash, BH_SHA256_LEN, hex);
	assert_string_equal(hex, want);
}

static void add(bh_merkle *tree, bh_view leaf)
{
	uint8_t hash[BH_SHA256_LEN];

	assert_int_equal(bh_merkle_leaf(leaf, hash), BH_OK);
	assert_int_equal(bh_merkle_add(tree, hash), BH_OK);
}

/* certificate-transparency, merkle_tree_test: the leaves and the heads of the first n of them. */
static void known_heads_of_certificate_transparency(void **state)
{
	static const struct {
		const char *leaf, *head;
	} cases[] = {
		{ "", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
		{ "00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" },
		{ "10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77" },
		{ "2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" },
		{ "3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4" },
		{ "40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef" },
		{ "5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c" },
		{ "606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
	};
	bh_merkle tree = { 0 };
	uint8_t bytes[16], root[BH_SHA256_LEN];

	(void)state;
	assert_int_equal(bh_merkle_root(&tree, root), BH_OK);
	hex_is(root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].leaf) / 2;

		assert_int_equal(bh_unhex(cases[i].leaf, bytes, len), BH_OK);
		add(&tree, bh_view_of(bytes, len));
		assert_int_equal(bh_merkle_root(&tree, root), BH_OK);
		hex_is(root, cases[i].head);
	}
}

/* RFC 6962, 2.1: MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])), k the largest power of two below n. Leaf i is the four
 * bytes of i. */
static void naive(uint32_t from, uint32_t n, uint8_t out[BH_SHA256_LEN])
{
	uint8_t bytes[1 + 2 * BH_SHA256_LEN] = { 0x00 };
	uint32_t k = 1;

	if (n == 1) {
		bh_put_u32(bytes + 1, from);
		assert_int_equal(bh_sha256(bh_view_of(bytes, 5), out), BH_OK);
		return;
	}
	while (2 * k < n)
		k *= 2;
	naive(from, k, bytes + 1);
	naive(from + k, n - k, bytes + 1 + BH_SHA256_LEN);
	bytes[0] = 0x01;
	assert_int_equal(bh_sha256(bh_view_of(bytes, sizeof(bytes)), out), BH_OK);
}

static void every_size_agrees_with_the_definition(void **state)
{
	bh_merkle tree = { 0 };

	(void)state;
	for (uint32_t n = 1; n <= 200; n++) {
		uint8_t leaf[4], root[BH_SHA256_LEN], want[BH_SHA256_LEN];

		bh_put_u32(leaf, n - 1);
		add(&tree, bh_view_of(leaf, sizeof(leaf)));
		assert_int_equal(tree.size, n);
		assert_int_equal(bh_merkle_root(&tree, root), BH_OK);
		naive(0, n, want);
		assert_memory_equal(root, want, sizeof(root));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_heads_of_certificate_transparency),
		cmocka_unit_test(every_size_agrees_with_the_definition),
	};

	return cmocka_run_group_tests_name("merkle", tests, NULL, NULL);
}
