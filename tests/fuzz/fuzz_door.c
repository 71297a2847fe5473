/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_door.c: what comes through an open database's door. Whatever it is, it is refused or a request of the calls that there are.
 */
#include <stdlib.h>

#include "engine/door/calls.h"
#include "engine/door/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	json_t *request = NULL;

	if (len >= BH_DOOR_REQUEST_MAX || bh_door_parse(bh_view_of(data, len), &request) != BH_OK)
		return 0;
	if (bh_door_request_check(request) == BH_OK && json_string_value(json_object_get(request, "call")) == NULL)
		abort();
	json_decref(request);
	return 0;
}
