/* SPDX-License-Identifier: Apache-2.0
 *
 * metadata_fake.h: what tells a machine its credentials, in a thread of the test: an instance's (IMDSv2, and no other) and a
 * container's ("/container", for who has the token). Thread-safety: all calls.
 */
#ifndef BH_TESTS_METADATA_FAKE_H
#define BH_TESTS_METADATA_FAKE_H

#include <pthread.h>

#include "aws.h"

#define METADATA_TOKEN "token-of-the-container"

typedef struct metadata_fake {
	int port, listen_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest */
	aws_key key;
	int64_t life_s; /* of what it gives */
	size_t given;   /* so far */
	bool ended;
} metadata_fake;

void metadata_fake_start(metadata_fake *m);
/* From now on it gives these, for that long. */
void metadata_fake_set(metadata_fake *m, const aws_key *key, int64_t life_s);
size_t metadata_fake_given(metadata_fake *m);
void metadata_fake_end(metadata_fake *m);

#endif
