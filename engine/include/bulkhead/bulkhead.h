/* SPDX-License-Identifier: Apache-2.0
 *
 * bulkhead.h: all of Bulkhead's public interface.
 */
#ifndef BULKHEAD_BULKHEAD_H
#define BULKHEAD_BULKHEAD_H

#include <bulkhead/bytes.h>
#include <bulkhead/certificate.h>
#include <bulkhead/db.h>
#include <bulkhead/env.h>
#include <bulkhead/erase.h>
#include <bulkhead/kms.h>
#include <bulkhead/kms_provider.h>
#include <bulkhead/audit.h>
#include <bulkhead/pin.h>
#include <bulkhead/report.h>
#include <bulkhead/rotation.h>
#include <bulkhead/status.h>

#endif
