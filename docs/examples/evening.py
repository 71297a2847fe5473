#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""evening.py: evening.c in Python, by ctypes alone. It looks for libbulkhead.so.0 as any program does."""
import ctypes
import sys
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_size_t, c_uint8, c_void_p

bh = ctypes.CDLL("libbulkhead.so.0")


class View(ctypes.Structure):
    _fields_ = [("data", c_char_p), ("len", c_size_t)]

    @classmethod
    def of(cls, text):
        return cls(text, len(text))


class Buf(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("len", c_size_t), ("cap", c_size_t)]

    def take(self):
        out = ctypes.string_at(self.data, self.len)
        bh.bh_buf_clear(byref(self))
        return out


class WriteOptions(ctypes.Structure):
    _fields_ = [("sync", c_bool), ("no_wal", c_bool)]


class MerchantOptions(ctypes.Structure):
    _fields_ = [("classes", POINTER(c_char_p)), ("class_count", c_size_t)]


class CertificateInfo(ctypes.Structure):
    _fields_ = [("is_final", c_bool), ("public_key", c_uint8 * 32), ("database_id", c_char * 33),
                ("merchant", c_char * 65), ("merchant_id", c_char * 33)]


class Failure(Exception):
    pass


bh.bh_status_name.restype = bh.bh_status_message.restype = c_char_p
bh.bh_put.argtypes = [c_void_p, POINTER(WriteOptions), View, View]
bh.bh_get.argtypes = [c_void_p, c_void_p, View, POINTER(Buf)]
bh.bh_certificate_verify.argtypes = [View, c_void_p, POINTER(CertificateInfo)]
bh.bh_db_close.argtypes = bh.bh_cf_close.argtypes = [c_void_p]
bh.bh_db_close.restype = bh.bh_cf_close.restype = None


def must(status):
    if status:
        raise Failure("%s: %s" % (bh.bh_status_name(status).decode(), bh.bh_status_message().decode()))


def add(db, name, row):
    uri, cf, classes = b"local:evening-kms#" + name, c_void_p(), (c_char_p * 1)(b"profile")
    must(bh.bh_kms_create(uri, b"eu", None))  # the customer does this, in a KMS of its own
    must(bh.bh_merchant_add(db, name, uri, byref(MerchantOptions(classes, 1))))
    must(bh.bh_cf_open(db, name, b"profile", byref(cf)))
    must(bh.bh_put(cf, byref(WriteOptions(sync=True)), View.of(b"user:17"), View.of(row)))
    return cf


def show(when, cf):
    value = Buf()
    status = bh.bh_get(cf, None, View.of(b"user:17"), byref(value))
    print("%s: %s" % (when, bh.bh_status_name(status).decode() if status else "user:17 is " + value.take().decode()))


def main():
    db, certificate, info = c_void_p(), Buf(), CertificateInfo()
    must(bh.bh_kms_create(b"local:evening-kms#platform", b"eu", None))
    must(bh.bh_db_create(b"evening-db", b"eu", b"local:evening-kms#platform", None))
    must(bh.bh_db_open(b"evening-db", None, byref(db)))
    acme, blue = add(db, b"acme", b"Ada"), add(db, b"blue", b"Grace")
    show("acme", acme)
    must(bh.bh_merchant_suspend(db, b"acme", None))
    show("acme, suspended", acme)
    show("blue meanwhile", blue)
    must(bh.bh_merchant_resume(db, b"acme", None))
    show("acme, resumed", acme)
    must(bh.bh_merchant_shred(db, b"acme", byref(certificate)))
    must(bh.bh_certificate_verify(View.of(certificate.take()), None, byref(info)))
    print("the certificate of %s is %s" % (info.merchant.decode(), "FINAL" if info.is_final else "PENDING"))
    show("acme, shredded", acme)
    show("blue still", blue)
    for handle, close in ((acme, bh.bh_cf_close), (blue, bh.bh_cf_close), (db, bh.bh_db_close)):
        close(handle)


try:
    main()
except Failure as why:
    sys.exit(str(why))
