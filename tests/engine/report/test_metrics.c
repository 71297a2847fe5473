/* SPDX-License-Identifier: Apache-2.0
 *
 * test_metrics.c: the text exposition format: labels escaped, HELP and TYPE before the samples of each metric, one sample a line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/report/metrics.h"
#include "keyring/base/base.h"

static void labels_are_escaped(void **state)
{
	static const struct {
		const char *value, *escaped;
	} cases[] = {
		{ "", "" }, { "acme", "acme" }, { "a\"b", "a\\\"b" }, { "a\\b", "a\\\\b" }, { "a\nb", "a\\nb" }, { "\\n", "\\\\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf out = { 0 };

		assert_int_equal(bh_metrics_label(&out, cases[i].value), BH_OK);
		assert_int_equal(out.len, strlen(cases[i].escaped));
		if (out.len > 0)
			assert_memory_equal(out.data, cases[i].escaped, out.len);
	}
}

static void make_report(bh_merchant_report merchants[2], bh_db_report *report)
{
	static char uri[] = "local:/a \"b\"#c";

	for (int i = 0; i < 2; i++) {
		merchants[i] = (bh_merchant_report){ .state = "active", .cause = "", .lease = "held", .cmk_uri = uri };
		merchants[i].kms =
			(bh_kms_statistics){ .calls = 7, .refused = 2, .latency_sum_us = 1250000, .latency_max_us = 500000 };
		snprintf(merchants[i].name, sizeof(merchants[i].name), "m%d", i);
	}
	merchants[1].cause = "kms-refused";
	merchants[1].lease_age_ms = merchants[1].lease_left_ms = merchants[1].kms_last_ms = -1;
	merchants[0].suppressed = 4;
	merchants[0].lease_age_ms = 1500;
	merchants[0].lease_left_ms = 298500;
	merchants[0].kms.last_success_at_s = 1700000000;
	*report = (bh_db_report){ .merchants = merchants, .merchant_count = 2, .wal_bytes = 123, .platform_kms.calls = 3 };
}

static void has(const bh_buf *text, const char *line)
{
	if (memmem(text->data, text->len, line, strlen(line)) == NULL)
		fail_msg("no line '%s'", line);
}

static void samples_are_there(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	bh_merchant_report merchants[2];
	bh_db_report report;

	(void)state;
	make_report(merchants, &report);
	assert_int_equal(bh_metrics_format(&report, &text), BH_OK);
	has(&text, "\nbulkhead_lease_age_seconds{merchant=\"m0\"} 1.5\n");
	has(&text, "\nbulkhead_merchant_suspended{merchant=\"m1\",cause=\"kms-refused\"} 1\n");
	has(&text, "\nbulkhead_merchant_cmk_version{merchant=\"m0\",cmk=\"local:/a \\\"b\\\"#c\"} 0\n");
	has(&text, "\nbulkhead_kms_failures_total{merchant=\"m1\",kind=\"refused\"} 2\n");
	has(&text, "\nbulkhead_kms_failures_total{merchant=\"m1\",kind=\"damaged\"} 0\n");
	has(&text, "\nbulkhead_lease_left_seconds{merchant=\"m0\"} 298.5\n");
	has(&text, "\nbulkhead_kms_calls_total{merchant=\"m0\"} 7\n");
	has(&text, "\nbulkhead_kms_calls_total{merchant=\"\"} 3\n"); /* the platform's */
	has(&text, "\nbulkhead_kms_call_seconds_total{merchant=\"m0\"} 1.25\n");
	has(&text, "\nbulkhead_kms_slowest_call_seconds{merchant=\"m0\"} 0.5\n");
	has(&text, "\nbulkhead_kms_last_success_timestamp_seconds{merchant=\"m0\"} 1700000000\n");
	has(&text, "\nbulkhead_suppressed_prefixes{merchant=\"m0\"} 4\n");
	has(&text, "\nbulkhead_wal_bytes 123\n");
	assert_null(memmem(text.data, text.len, "lease_age_seconds{merchant=\"m1\"", 31)); /* not in use: no age */
	assert_null(memmem(text.data, text.len, "last_success_timestamp_seconds{merchant=\"m1\"", 44));
}

/* Each line is HELP, then TYPE of the same metric, then its samples. */
static void every_metric_is_introduced_once(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	bh_merchant_report merchants[2];
	char metric[128] = "", *line, *rest = NULL;
	bh_db_report report;
	unsigned metrics = 0;

	(void)state;
	make_report(merchants, &report);
	assert_int_equal(bh_metrics_format(&report, &text), BH_OK);
	assert_int_equal(text.data[text.len - 1], '\n');
	assert_int_equal(bh_buf_append_u8(&text, 0), BH_OK);
	for (line = strtok_r((char *)text.data, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		char name[128] = "";

		if (sscanf(line, "# HELP %127s", name) == 1) {
			snprintf(metric, sizeof(metric), "%s", name);
			metrics++;
		} else if (sscanf(line, "# TYPE %127s", name) == 1) {
			assert_string_equal(name, metric);
		} else {
			assert_int_equal(sscanf(line, "%127[a-z_]", name), 1);
			assert_string_equal(name, metric);
			assert_int_equal(strncmp(name, "bulkhead_", 9), 0);
		}
	}
	assert_int_equal(metrics, 23);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(samples_are_there),
		cmocka_unit_test(every_metric_is_introduced_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
