/* SPDX-License-Identifier: Apache-2.0
 *
 * status_live.c: see status_live.h.
 */
#include "status_live.h"

#include <string.h>

/* ---- the text */

static double number_of(const json_t *object, const char *name)
{
	return (double)json_integer_value(json_object_get(object, name));
}

static void print_kms(const json_t *kms)
{
	printf("%.0f calls to its KMS, %.0f failed; %.1f ms on average, %.1f ms the slowest\n", number_of(kms, "calls"),
	       number_of(kms, "failed"), number_of(kms, "average_us") / 1000, number_of(kms, "slowest_us") / 1000);
}

void status_live_print_database(const json_t *database)
{
	const json_t *kms = json_object_get(database, "platform_kms");

	if (kms == NULL)
		return;
	printf("      ");
	print_kms(kms);
	printf("  background errors: %.0f\n", number_of(database, "background_errors"));
}

void status_live_print_merchant(const json_t *merchant)
{
	const json_t *lease = json_object_get(merchant, "lease"), *kms = json_object_get(merchant, "kms");

	if (lease == NULL)
		return;
	printf("      lease %s", bh_json_text_of(lease, "state"));
	if (json_object_get(lease, "age_ms") != NULL)
		printf(": %.1f s old, %.1f s left", number_of(lease, "age_ms") / 1000, number_of(lease, "left_ms") / 1000);
	printf("; ");
	print_kms(kms);
	if (number_of(merchant, "suppressed_prefixes") > 0)
		printf("      %.0f erased prefixes are kept out\n", number_of(merchant, "suppressed_prefixes"));
}
