/* SPDX-License-Identifier: Apache-2.0
 *
 * conformance.h: what every KMS provider keeps, as a table of tests that run against each of them and its real server.
 *
 * A stand is one provider with its server. What it cannot do is NULL, and `absent` says why: the row is then a test that it cannot
 * (the console's call is BH_E_UNSUPPORTED), or, where there is nothing to try, one that prints the reason.
 */
#ifndef BH_TESTS_KMS_CONFORMANCE_H
#define BH_TESTS_KMS_CONFORMANCE_H

#include "tests/support/kms_proxy.h"

#include "keyring/kms/kms.h"

#define STAND_URI_SIZE 1024
#define STAND_SHORT_MS 500 /* a deadline that is waited for */

typedef enum stand_can {
	STAND_DISABLE = 1,
	STAND_SCHEDULE = 2,
	STAND_DESTROY = 4,
	STAND_ROTATE = 8,
	STAND_STOP = 16,
	STAND_FAULTS = 32, /* its bytes can be spoiled: `proxy` */
	STAND_EXPIRE = 64, /* credentials, that can end and come again */
} stand_can;

typedef struct kms_stand {
	const char *scheme;
	const char *absent[8]; /* by the number of the bit: why not */
	unsigned can;
	kms_proxy *proxy;
	/* What the calls end with that do not succeed. */
	bh_status disabled, destroyed, cut, garbage, expired;
	const char *region;    /* that describe() has to give */
	const char *principal; /* what the audit log is told, at least in part; NULL: nothing */
	size_t merchants;      /* that come at once */
	/* All of the owner's, with the key named `name`. The URI is the provider's under test. */
	void (*uri)(const char *name, char out[STAND_URI_SIZE]);
	void (*make)(const char *name);
	void (*make_late)(const char *name); /* with a deletion window; NULL: all keys have one, or none can be scheduled */
	void (*rotate)(const char *name);
	void (*disable)(const char *name);
	void (*enable)(const char *name);
	void (*schedule)(const char *name); /* its deletion */
	void (*destroy)(const char *name);  /* NULL: by the provider under test */
	void (*leave)(void);
	void (*start)(void);
	void (*expire)(void); /* the credentials are no good any more */
	void (*renew)(void);  /* ... but there are others, where the provider looks for them */
} kms_stand;

/* Runs the table. Returns cmocka's count of failures. */
int conformance_run(const kms_stand *stand, int (*setup)(void **state), int (*teardown)(void **state));

#endif
