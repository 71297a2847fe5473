/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep_logs.h: WALs and MANIFEST in a sweep.
 */
#ifndef BH_ENGINE_SWEEP_LOGS_H
#define BH_ENGINE_SWEEP_LOGS_H

#include "sweep_pace.h"

/* Seals anew the WALs and the MANIFEST that older generations of the merchant are still needed for. */
BH_MUST_CHECK bh_status bh_sweep_logs(bh_sweep *sweep);

#endif
