/* SPDX-License-Identifier: Apache-2.0
 *
 * consumer.c: a program outside of this tree, built against an installed Bulkhead alone (run.sh).
 */
#include <bulkhead/bulkhead.h>

#include <string.h>

int main(void)
{
	return strcmp(bh_status_name(BH_OK), "") == 0;
}
