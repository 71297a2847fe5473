/* SPDX-License-Identifier: Apache-2.0
 *
 * pin.h: what is written down of a database somewhere else, so that another one in its place, or an older state of it, is found.
 *
 * A pin is one line of text: the database's id, the public key that it signs with, a digest of its platform CMK's URI, and how far
 * KEYRING and AUDIT had come (keyring/README.md has the form). It holds no secret. Who opens with a pin is refused where id, key or
 * CMK are others, before any KMS is asked, and where KEYRING or AUDIT do not reach that far, or reach there by another way, before
 * anything is written. Each pin takes the place of the one before. It is worth what the place is worth where it is kept: not on a
 * disk that one can write to who can write the database's.
 *
 * Thread-safety: types alone.
 */
#ifndef BULKHEAD_PIN_H
#define BULKHEAD_PIN_H

#include <bulkhead/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_PIN_SIZE 256 /* room for a pin, with its NUL */

/* Called with each new pin of a database that is open, once what it says is durable: at the open, whenever KEYRING's commit mark
 * has moved, and a last time by the close. The newest call has the newest pin. `pin` is borrowed for the call. It comes from
 * whichever thread made the change, with the keyring's lock for changes held: others who change anything wait for it, and it must
 * not call this library with the same database. */
typedef void (*bh_pin_fn)(void *arg, const char *pin);

#ifdef __cplusplus
}
#endif
#endif
