/* SPDX-License-Identifier: Apache-2.0
 *
 * rotation_fixture.c: see rotation_fixture.h.
 */
#include "rotation_fixture.h"

generations generations_of(bh_db *db, const char *merchant)
{
	generations found = { 0 };
	bh_generation *all = NULL;
	size_t count = 0;

	test_ok(bh_merchant_generations(db, merchant, &all, &count));
	for (size_t i = 0; i < count; i++) {
		found.kept += !all[i].retired;
		found.retired += all[i].retired_at_s > 0;
		found.newest = BH_MAX(found.newest, all[i].generation);
	}
	free(all);
	return found;
}

static void print_pins(bh_db *db, const char *merchant)
{
	bh_generation *all = NULL;
	size_t count = 0;

	test_ok(bh_merchant_generations(db, merchant, &all, &count));
	for (size_t i = 0; i < count; i++)
		if (!all[i].retired && !all[i].newest)
			fprintf(stderr, "generation %u of %s: %llu files, %llu WALs, %llu MANIFESTs %s\n",
				(unsigned)all[i].generation, all[i].cls, (unsigned long long)all[i].files,
				(unsigned long long)all[i].wals, (unsigned long long)all[i].manifests, all[i].log);
	free(all);
}

void expect_generations(bh_db *db, const char *merchant, size_t kept, size_t retired, uint32_t newest)
{
	const generations found = generations_of(db, merchant);

	if (found.kept == kept && found.retired == retired && found.newest == newest)
		return;
	print_pins(db, merchant);
	test_fail_at(__FILE__, __LINE__, "merchant '%s': %zu generations kept, %zu retired, newest %u; wanted %zu, %zu, %u",
		     merchant, found.kept, found.retired, (unsigned)found.newest, kept, retired, (unsigned)newest);
}

void expect_pins(bh_db *db, const char *merchant, bool files, bool wals, bool manifests)
{
	bh_generation *all = NULL, total = { 0 };
	size_t count = 0;

	test_ok(bh_merchant_generations(db, merchant, &all, &count));
	for (size_t i = 0; i < count; i++) {
		total.files += all[i].files;
		total.wals += all[i].wals;
		total.manifests += all[i].manifests;
	}
	free(all);
	if ((total.files > 0) != files || (total.wals > 0) != wals || (total.manifests > 0) != manifests)
		test_fail_at(__FILE__, __LINE__, "older generations of '%s' are needed by %llu files, %llu WALs, %llu MANIFESTs",
			     merchant, (unsigned long long)total.files, (unsigned long long)total.wals,
			     (unsigned long long)total.manifests);
}

void compact_all(bh_db *db, const char *merchant, const char *cls)
{
	bh_cf *cf = test_cf(db, merchant, cls);

	test_ok(bh_flush(cf));
	test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	bh_cf_close(cf);
}

void find_table(const workspace *ws, const char *below, char out[PATH_SIZE])
{
	char dir[PATH_SIZE];

	path_join(dir, ws->db, below);
	test_check(file_find(dir, ".sst", 0, out));
}
