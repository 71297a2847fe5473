/* SPDX-License-Identifier: Apache-2.0
 *
 * pinned.c: see pinned.h.
 */
#include "pinned.h"

bh_status bh_keyring_pin(bh_keyring *keyring, char out[BH_PIN_SIZE])
{
	bh_pin pin = { 0 };

	bh_keyring_read_lock(keyring);
	bh_status status = bh_pin_identity(&keyring->file.head, &pin);
	pin.generation = keyring->generation;
	bh_keyring_unlock(keyring);
	BH_TRY(status);
	bh_audit_position_get(keyring->audit, &pin.audit);
	return bh_pin_format(&pin, out);
}

void bh_keyring_pin_tell(bh_keyring *keyring)
{
	const bh_message message = bh_message_keep();
	char text[BH_PIN_SIZE];

	if (keyring->pin_changed == NULL)
		return;
	if (bh_keyring_pin(keyring, text) == BH_OK)
		keyring->pin_changed(keyring->pin_arg, text);
	bh_message_restore(&message);
}
