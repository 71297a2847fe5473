/* SPDX-License-Identifier: Apache-2.0
 *
 * class.h: one data class of a merchant, while its database is open.
 */
#ifndef BH_ENGINE_CLASS_H
#define BH_ENGINE_CLASS_H

#include <bulkhead/db.h>

#include <stdatomic.h>

#include "keyring/base/base.h"

typedef struct bh_class {
	char name[BH_NAME_MAX + 1];
	rocksdb_column_family_handle_t *handle; /* valid while inside the merchant's gate */
	_Atomic(struct bh_suppressed *)
		suppressed;             /* prefixes that nothing may be written under: suppressed.h. NULL: there are none */
	struct bh_suppressed *replaced; /* what a write may look at still; under the merchant's `marking` */
} bh_class;

#endif
