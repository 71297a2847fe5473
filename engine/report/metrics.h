/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.h: the text of a metrics file, and the file; see <bulkhead/report.h>.
 */
#ifndef BH_METRICS_H
#define BH_METRICS_H

#include <bulkhead/report.h>

/* Both append to `out`. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_metrics_label(bh_buf *out, const char *value);
BH_MUST_CHECK bh_status bh_metrics_format(const bh_db_report *report, bh_buf *out);
/* Replaces the file, as bh_db_metrics_write() does; and its errors. */
BH_MUST_CHECK bh_status bh_metrics_store(const char *path, bh_view text);

#endif
