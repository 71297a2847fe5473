/* SPDX-License-Identifier: Apache-2.0
 *
 * inlines.c: what bytes.h defines inline, as functions of the library, for languages that cannot compile a header's C.
 */
#define BH_FFI
#include <bulkhead/bytes.h>

bh_view bh_view_of(const void *data, size_t len)
{
	bh_view view = { data, len };
	return view;
}

bh_view bh_view_str(const char *str)
{
	return bh_view_of(str, strlen(str));
}

bh_view bh_buf_view(const bh_buf *buf)
{
	return bh_view_of(buf->data, buf->len);
}
