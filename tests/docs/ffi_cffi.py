# SPDX-License-Identifier: Apache-2.0
"""ffi_cffi.py HEADER LIBRARY: cffi takes what `cc -E -P -DBH_FFI_BARE` makes of the headers, and a program puts and gets."""
import sys

from cffi import FFI

ffi = FFI()
ffi.cdef(open(sys.argv[1]).read())
bh = ffi.dlopen(sys.argv[2])


def must(status):
    if status != bh.BH_OK:
        sys.exit("%s: %s" % tuple(ffi.string(s).decode() for s in (bh.bh_status_name(status), bh.bh_status_message())))


def view(text):
    return bh.bh_view_of(text, len(text))


db, cf, value = ffi.new("bh_db **"), ffi.new("bh_cf **"), ffi.new("bh_buf *")
profile = ffi.new("char[]", b"profile")
classes = ffi.new("const char *[]", [profile])
for key in b"platform", b"acme":
    must(bh.bh_kms_create(b"local:kms#" + key, b"eu", ffi.NULL))
must(bh.bh_db_create(b"db", b"eu", b"local:kms#platform", ffi.new("bh_db_options *", {"lease_ms": 60000})))
must(bh.bh_db_open(b"db", ffi.NULL, db))
must(bh.bh_merchant_add(db[0], b"acme", b"local:kms#acme", ffi.new("bh_merchant_options *", (classes, 1))))
must(bh.bh_cf_open(db[0], b"acme", b"profile", cf))
key, row = ffi.from_buffer(b"user:17"), ffi.from_buffer(b"Ada")
must(bh.bh_put(cf[0], ffi.new("bh_write_options *", {"sync": True}), view(key), view(row)))
must(bh.bh_get(cf[0], ffi.NULL, view(key), value))
got = bh.bh_buf_view(value)
print(bytes(ffi.buffer(got.data, got.len)).decode())
bh.bh_buf_clear(value)
bh.bh_cf_close(cf[0])
bh.bh_db_close(db[0])
