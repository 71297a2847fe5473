/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_moto.c: the table of conformance.h against aws-kms:, with moto, whose encryption is AWS's kind, and binds
 * the context.
 */
#include "aws_stand.h"

static int setup(void **state)
{
	(void)state;
	return aws_stand_begin(true);
}

int main(void)
{
	kms_stand stand = aws_stand_of();

	stand.can = STAND_ROTATE | STAND_STOP | STAND_FAULTS;
	stand.absent[0] = stand.absent[1] = stand.absent[2] = "moto's keys decrypt in any state";
	stand.absent[6] = "moto takes any credentials";
#ifdef BH_SLOW_BUILD
	stand.merchants = 50;
#else
	stand.merchants = 1000;
#endif
	return conformance_run(&stand, setup, aws_stand_end);
}
