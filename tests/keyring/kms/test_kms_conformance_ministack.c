/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_ministack.c: the table of conformance.h against aws-kms:, with ministack, which has states of keys,
 * signatures and users.
 */
#include "aws_stand.h"

static int setup(void **state)
{
	(void)state;
	return aws_stand_begin(false);
}

int main(void)
{
	kms_stand stand = aws_stand_of();

	stand.can = STAND_DISABLE | STAND_SCHEDULE | STAND_DESTROY | STAND_STOP | STAND_FAULTS | STAND_EXPIRE;
	stand.absent[3] = "ministack rotates no key on demand";
#ifdef BH_SLOW_BUILD
	stand.merchants = 50;
#else
	stand.merchants = 1000;
#endif
	return conformance_run(&stand, setup, aws_stand_end);
}
