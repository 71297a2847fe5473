/* SPDX-License-Identifier: Apache-2.0
 *
 * traces.h: whether a key is anywhere in the writable memory of this process: heap, stacks, arena, the libraries' own, memory that
 * cores leave out included. An expanded AES-256 key begins with the two halves of the key, so halves are searched for.
 *
 * Keys that are looked for are kept inverted, so that the search does not find what it searches with.
 */
#ifndef BH_TESTS_TRACES_H
#define BH_TESTS_TRACES_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyring/base/secret.h"

#define TRACE_HALF (BH_DEK_LEN / 2)

typedef struct traced_key {
	uint8_t inverted[BH_DEK_LEN];
} traced_key;

static inline traced_key trace_of(const uint8_t key[BH_DEK_LEN])
{
	traced_key t;

	for (size_t i = 0; i < BH_DEK_LEN; i++)
		t.inverted[i] = (uint8_t)~key[i];
	return t;
}

static inline unsigned traces_at(const uint8_t *data, const traced_key *key)
{
	unsigned found = 0;

	for (size_t half = 0; half < BH_DEK_LEN; half += TRACE_HALF) {
		size_t j = 0;

		while (j < TRACE_HALF && (data[j] ^ key->inverted[half + j]) == 0xff)
			j++;
		found += j == TRACE_HALF;
	}
	return found;
}

/* Which pairs of bytes a half begins with: few positions are worth a closer look. */
typedef struct trace_starts {
	bool begins[1 << 16];
} trace_starts;

static inline size_t trace_pair(const uint8_t *data)
{
	return (size_t)data[0] << 8 | data[1];
}

static inline void trace_starts_set(trace_starts *starts, const traced_key *keys, size_t count)
{
	memset(starts, 0, sizeof(*starts));
	for (size_t k = 0; k < count; k++)
		for (size_t half = 0; half < BH_DEK_LEN; half += TRACE_HALF)
			starts->begins[trace_pair(keys[k].inverted + half) ^ 0xffff] = true;
}

static inline unsigned traces_in(const uint8_t *data, size_t len, const trace_starts *starts, const traced_key *keys, size_t count)
{
	unsigned found = 0;

	for (size_t i = 0; i + TRACE_HALF <= len; i++)
		if (starts->begins[trace_pair(data + i)])
			for (size_t k = 0; k < count; k++)
				found += traces_at(data + i, &keys[k]);
	return found;
}

/* Whether the mapping whose first line of /proc/self/smaps was just read is locked; reads on to its last line. */
static inline bool trace_is_locked(FILE *smaps)
{
	char line[512];

	while (fgets(line, sizeof(line), smaps) != NULL)
		if (strncmp(line, "VmFlags:", 8) == 0)
			return strstr(line, " lo") != NULL;
	return false;
}

/* Halves of the keys in all writable memory, or in what of it is not locked; ~0u: it cannot be read. What it reads into is read
 * again: a trace there is of its own making, so it is wiped. Windows overlap, so that a half is not cut in two. */
static inline unsigned traces_search(const traced_key *keys, size_t count, bool unlocked_alone)
{
	static uint8_t window[1 << 16];
	static trace_starts starts;
	FILE *maps = fopen("/proc/self/smaps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned found = maps != NULL && mem >= 0 ? 0 : ~0u;
	char line[512];

	trace_starts_set(&starts, keys, count);
	while (found != ~0u && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char perms[5];
		bool locked;

		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) != 3)
			continue;
		locked = trace_is_locked(maps);
		if (strncmp(perms, "rw", 2) != 0 || (locked && unlocked_alone))
			continue;
		while (from < to) {
			ssize_t n = pread(mem, window, BH_MIN(sizeof(window), to - from), (off_t)from);

			if (n <= 0)
				break;
			found += traces_in(window, (size_t)n, &starts, keys, count);
			bh_wipe(window, sizeof(window));
			from += (size_t)n == to - from ? (size_t)n : (size_t)n - TRACE_HALF + 1;
		}
	}
	if (maps != NULL)
		fclose(maps);
	if (mem >= 0)
		close(mem);
	return found;
}

static inline unsigned traces_count(const traced_key *keys, size_t count)
{
	return traces_search(keys, count, false);
}

static inline unsigned traces_unlocked(const traced_key *keys, size_t count)
{
	return traces_search(keys, count, true);
}

#endif
