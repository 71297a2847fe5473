/* SPDX-License-Identifier: Apache-2.0
 *
 * archive.c: the beginning of AUDIT moves to an archive (audit/archive.h).
 */
#include "keyring/audit/archive.h"

#include "events.h"
#include "ring.h"

static bh_status archive(bh_keyring *keyring, const char *to, bh_audit_archived *out)
{
	bh_audit_position known;

	/* What the mark does not know yet may not leave: an open looks for it. */
	BH_TRY(bh_keyring_audit_mark(keyring, true));
	pthread_mutex_lock(&keyring->change);
	known = keyring->file.mark.audit;
	pthread_mutex_unlock(&keyring->change);
	BH_TRY(bh_audit_archive(keyring->audit, &keyring->file.dir, keyring->signer, &known, to, out));
	return bh_keyring_audit_mark(keyring, true);
}

bh_status bh_keyring_audit_archive(bh_keyring *keyring, const char *to, bh_audit_archived *out)
{
	if (!keyring->file.writable)
		return bh_fail(BH_E_INVALID, "%s: is open to be read alone", keyring->file.dir.path);
	if (atomic_exchange(&keyring->archiving, true))
		return bh_fail(BH_E_BUSY, "%s: its audit log is being archived already", keyring->file.dir.path);
	bh_status status = archive(keyring, to, out);
	atomic_store(&keyring->archiving, false);
	return status;
}
