/* SPDX-License-Identifier: Apache-2.0
 *
 * room.h: whether there is room for what is written: bytes and inodes of a database's file system, descriptors of this process.
 *
 * RocksDB takes a write that fails half-way for a fault: it stops everybody's writes, and a build with assertions may end the
 * process. So what may wait is refused before that: writes, and outputs of compactions, while less than a floor is left. What
 * makes room (a shred, an erasure, a suspension) may go below it, and has two reserves for when others filled the disk: a file,
 * DB/RESERVE, that is given up for it, and a few open descriptors. Both are made anew when there is room.
 *
 * Nothing is looked at on a hot path: a file that grows says by how much, and the file system is asked again when that is an
 * eighth of what was left above the floor; who watches calls bh_room_look() for what others write.
 *
 * Thread-safety: all calls. `lock` guards what a look changes; what is asked often is read without it. No call waits for more than
 * a statvfs(2), but for those that make or give up the reserve file.
 */
#ifndef BH_ROOM_H
#define BH_ROOM_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In the database's directory: zeros, and nobody's. The other one is there for a moment, when room is tried for. */
#define BH_RESERVE_FILE "RESERVE"
#define BH_RESERVE_PROBE BH_RESERVE_FILE ".probe"

typedef struct bh_room bh_room;

/* `floor_bytes` 0: 64 MiB, or a twentieth of the file system if that is less. Errors: BH_E_NOMEM, BH_E_IO (no such directory). */
BH_MUST_CHECK bh_status bh_room_new(const char *dir, uint64_t floor_bytes, bh_room **out);
void bh_room_free(bh_room *room); /* NULL-safe; the reserve file stays */

/* BH_OK, or BH_E_FULL with what is used up, how much is left, and the floor. Cheap while there is room; while there is none the
 * file system is asked again, at most every 10 ms. */
BH_MUST_CHECK bh_status bh_room_check(bh_room *room);
/* The same without the sentence, and never asks. */
bool bh_room_is_low(const bh_room *room);
/* Whether so many bytes more would leave the floor alone; of what was seen last. */
bool bh_room_fits(const bh_room *room, uint64_t bytes);
/* BH_OK if so many bytes, inodes and descriptors are there above the floors, as of now. Errors: BH_E_FULL. */
BH_MUST_CHECK bh_status bh_room_need(bh_room *room, uint64_t bytes, uint64_t inodes, uint64_t descriptors);
/* A file of the database grew. */
void bh_room_grew(bh_room *room, uint64_t bytes);

/* A log of the database could not be written, and RocksDB has it still: nothing may be written to it that passes here. REFUSED: for
 * lack of room, and all is as if it had not been tried; it ends by itself when room can be had. BROKEN: RocksDB has to begin
 * another log. */
typedef enum bh_room_log { BH_ROOM_LOG_FINE, BH_ROOM_LOG_REFUSED, BH_ROOM_LOG_BROKEN } bh_room_log;
/* `why`: the failure's sentence; may be this thread's message. */
void bh_room_set_log(bh_room *room, bh_room_log state, const char *why);
/* BH_OK, or BH_E_IO while the log is BROKEN: for what RocksDB would end the process at. */
BH_MUST_CHECK bh_status bh_room_check_log(bh_room *room);

/* Asks the system now. Returns whether it is low. */
bool bh_room_look(bh_room *room);
/* Makes the reserves, the file of so many bytes, where they are missing and there is room above the floor; nothing while somebody
 * uses them. A failure is none: it is tried again at the next call. */
void bh_room_refill(bh_room *room, uint64_t bytes);

/* Around what makes room, or must not fail for lack of it. The first gives the reserves up where they are needed. Nests. */
void bh_room_use(bh_room *room);
void bh_room_use_end(bh_room *room);
bool bh_room_is_used(const bh_room *room); /* outputs of compactions are wanted then */
/* For an open that met the limit of descriptors: gives up those that are kept. Returns whether there were any: try again. */
bool bh_room_lend_descriptors(bh_room *room);

typedef struct bh_room_info {
	uint64_t free_bytes, floor_bytes;
	uint64_t free_inodes, floor_inodes; /* floor 0: the file system counts none */
	uint64_t free_descriptors, floor_descriptors;
	uint64_t reserve_bytes; /* of the reserve file; 0: it is given up */
	bool is_low;
} bh_room_info;
/* Of the last look. */
void bh_room_info_get(bh_room *room, bh_room_info *out);

#ifdef __cplusplus
}
#endif
#endif
