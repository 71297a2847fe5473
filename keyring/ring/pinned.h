/* SPDX-License-Identifier: Apache-2.0
 *
 * pinned.h: the pin that a keyring was opened with, and those that it hands out (keyring/manifest/pin.h).
 */
#ifndef BH_RING_PINNED_H
#define BH_RING_PINNED_H

#include "keyring/manifest/pin.h"
#include "ring.h"

/* Hands the pin of what is durable by now to who asked for it. The caller holds `change`, or is alone. Leaves this thread's message
 * alone. */
void bh_keyring_pin_tell(bh_keyring *keyring);

#endif
