/* SPDX-License-Identifier: Apache-2.0
 *
 * meter.h: what calls to one CMK came to: how many, how they ended, how long they took.
 *
 * Durations are the monotonic clock's. Thread-safety: all calls may come from many threads.
 */
#ifndef BH_KMS_METER_H
#define BH_KMS_METER_H

#include <bulkhead/kms.h>

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_kms_meter {
	pthread_mutex_t lock; /* guards the rest */
	bh_kms_statistics statistics;
} bh_kms_meter;

void bh_kms_meter_init(bh_kms_meter *meter);
void bh_kms_meter_clear(bh_kms_meter *meter);
int64_t bh_kms_meter_now_ns(void);
/* One call, which began at `began_ns` and ends now. */
void bh_kms_meter_count(bh_kms_meter *meter, int64_t began_ns, bh_status status);
void bh_kms_meter_read(bh_kms_meter *meter, bh_kms_statistics *out);

#ifdef __cplusplus
}
#endif
#endif
