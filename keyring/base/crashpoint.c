/* SPDX-License-Identifier: Apache-2.0
 *
 * crashpoint.c: see crashpoint.h. A spec that names no point, or is longer than any name, simply never fires.
 */
#include "crashpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool armed;
static atomic_ulong passes_left;
static char target[64];

static void arm(const char *spec)
{
	atomic_store(&armed, false);
	if (spec == NULL)
		return;

	const char *colon = strchr(spec, ':');
	size_t len = colon != NULL ? (size_t)(colon - spec) : strlen(spec);
	if (len == 0 || len >= sizeof(target))
		return;
	memcpy(target, spec, len);
	target[len] = '\0';
	atomic_store(&passes_left, colon != NULL ? strtoul(colon + 1, NULL, 10) : 1);
	atomic_store(&armed, true);
}

static void arm_from_environment(void)
{
	arm(getenv("BH_CRASH_AT"));
}

void bh_crash_arm(const char *spec)
{
	pthread_once(&once, arm_from_environment);
	arm(spec);
}

void bh_crash_point(const char *name)
{
	pthread_once(&once, arm_from_environment);
	if (!atomic_load_explicit(&armed, memory_order_acquire) || (strcmp(target, "*") != 0 && strcmp(name, target) != 0))
		return;
	if (atomic_fetch_sub(&passes_left, 1) != 1)
		return;
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
