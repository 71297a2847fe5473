/* SPDX-License-Identifier: Apache-2.0
 *
 * aws_stand.h: what the table of conformance.h needs of an AWS KMS, whichever server plays it.
 */
#ifndef BH_TESTS_AWS_STAND_H
#define BH_TESTS_AWS_STAND_H

#include "conformance.h"
#include "tests/support/aws.h"
#include "tests/support/slow_build.h"

#define AWS_STAND_SERVICE "\"kms:DescribeKey\",\"kms:Encrypt\",\"kms:Decrypt\",\"kms:ScheduleKeyDeletion\""

typedef struct aws_stand {
	workspace ws;
	aws server;
	kms_proxy proxy;
	aws_key key; /* ministack: the service's, in the credentials file */
} aws_stand;

extern aws_stand aws_stand_now;

int aws_stand_begin(bool moto);
int aws_stand_end(void **state);
/* What both can do; the caller sets the rest. */
kms_stand aws_stand_of(void);

#endif
