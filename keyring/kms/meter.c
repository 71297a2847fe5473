/* SPDX-License-Identifier: Apache-2.0
 *
 * meter.c: see meter.h.
 */
#include "meter.h"

#include <time.h>

#include "keyring/base/base.h"

void bh_kms_meter_init(bh_kms_meter *meter)
{
	*meter = (bh_kms_meter){ 0 };
	pthread_mutex_init(&meter->lock, NULL);
}

void bh_kms_meter_clear(bh_kms_meter *meter)
{
	pthread_mutex_destroy(&meter->lock);
}

int64_t bh_kms_meter_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t *kind_of(bh_kms_statistics *statistics, bh_status status)
{
	switch (status) {
	case BH_E_KMS_REFUSED: return &statistics->refused;
	case BH_E_KMS_UNREACHABLE: return &statistics->unreachable;
	case BH_E_KMS_THROTTLED: return &statistics->throttled;
	case BH_E_KMS_SEALED: return &statistics->sealed;
	case BH_E_NOT_FOUND: return &statistics->not_found;
	case BH_E_TAG:
	case BH_E_FORMAT:
	case BH_E_TRUNCATED:
	case BH_E_VERSION: return &statistics->damaged;
	default: return &statistics->other;
	}
}

void bh_kms_meter_count(bh_kms_meter *meter, int64_t began_ns, bh_status status)
{
	int64_t now_ns = bh_kms_meter_now_ns(), now_s = (int64_t)time(NULL);
	uint64_t took_us = (uint64_t)(now_ns - began_ns) / 1000;

	pthread_mutex_lock(&meter->lock);
	bh_kms_statistics *statistics = &meter->statistics;
	statistics->calls++;
	statistics->latency_sum_us += took_us;
	statistics->latency_max_us = BH_MAX(statistics->latency_max_us, took_us);
	if (status == BH_OK) {
		statistics->last_success_ms = now_ns / 1000000;
		statistics->last_success_at_s = now_s;
	} else {
		++*kind_of(statistics, status);
	}
	pthread_mutex_unlock(&meter->lock);
}

void bh_kms_meter_read(bh_kms_meter *meter, bh_kms_statistics *out)
{
	pthread_mutex_lock(&meter->lock);
	*out = meter->statistics;
	pthread_mutex_unlock(&meter->lock);
}
