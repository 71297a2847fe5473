/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger.c: the list of logs in KEYRING's commit mark, for who keeps it (keyring.h). Never waits for a change of the keyring, but
 * while KEYRING is being replaced.
 */
#include "keyring.h"

#include "ring.h"

bool bh_keyring_is_writable(const bh_keyring *keyring)
{
	return keyring->file.writable;
}

void bh_keyring_ledger(bh_keyring *keyring, bh_ledger *out)
{
	bh_keyring_file_ledger(&keyring->file, out);
}

bh_status bh_keyring_ledger_put(bh_keyring *keyring, const bh_ledger *ledger)
{
	return bh_keyring_file_ledger_put(&keyring->file, ledger);
}

bh_status bh_keyring_ledger_sync(bh_keyring *keyring)
{
	return bh_keyring_file_ledger_sync(&keyring->file);
}

uint64_t bh_keyring_sequence(bh_keyring *keyring)
{
	return bh_keyring_file_sequence(&keyring->file);
}

uint64_t bh_keyring_durable(const bh_keyring *keyring)
{
	return atomic_load(&keyring->file.durable);
}
