/* SPDX-License-Identifier: Apache-2.0
 *
 * cause.c: see cause.h.
 */
#include "cause.h"

bh_status bh_suspend_status(bh_suspend_cause cause)
{
	switch (cause) {
	case BH_SUSPEND_KMS_REFUSED: return BH_E_KMS_REFUSED;
	case BH_SUSPEND_KMS_UNREACHABLE: return BH_E_KMS_UNREACHABLE;
	case BH_SUSPEND_KMS_DAMAGED: return BH_E_TAG;
	case BH_SUSPEND_DAMAGED: return BH_E_DAMAGED;
	default: return BH_E_SUSPENDED;
	}
}

bh_status bh_suspend_note(const bh_suspend_options *options, bh_buf *out)
{
	const char *reason = options != NULL && options->reason != NULL ? options->reason : "";
	const char *who = options != NULL && options->operator_name != NULL ? options->operator_name : "";

	if (strlen(reason) + strlen(who) + strlen("salvage:  (by )") > BH_SUSPEND_NOTE_MAX)
		return bh_fail(BH_E_INVALID, "reason and operator are longer than %d bytes together", BH_SUSPEND_NOTE_MAX - 15);
	if (options != NULL && options->salvage)
		BH_TRY(bh_buf_printf(out, "salvage%s", reason[0] != '\0' ? ": " : who[0] != '\0' ? " " : ""));
	if (who[0] != '\0')
		return bh_buf_printf(out, "%s%s(by %s)", reason, reason[0] != '\0' ? " " : "", who);
	return bh_buf_printf(out, "%s", reason);
}
