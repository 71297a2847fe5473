// SPDX-License-Identifier: Apache-2.0
//
// evening.rs: evening.c in Rust, without a crate. bindgen makes the declarations from the headers (docs/embedding.md).
// rustc --edition=2021 evening.rs -L native=$(pkg-config --variable=libdir bulkhead)
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr::{null, null_mut};
#[repr(C)]
struct View { data: *const u8, len: usize }
#[repr(C)]
struct Buf { data: *mut u8, len: usize, cap: usize }
#[repr(C)]
struct WriteOptions { sync: bool, no_wal: bool }
#[repr(C)]
struct MerchantOptions { classes: *const *const c_char, class_count: usize }
#[repr(C)]
struct CertificateInfo {
    is_final: bool, public_key: [u8; 32], database_id: [c_char; 33], merchant: [c_char; 65], merchant_id: [c_char; 33],
}
enum Db {}
enum Cf {}

#[link(name = "bulkhead")]
extern "C" {
    fn bh_status_name(status: c_int) -> *const c_char;
    fn bh_status_message() -> *const c_char;
    fn bh_buf_clear(buf: *mut Buf);
    fn bh_kms_create(uri: *const c_char, region: *const c_char, options: *const c_void) -> c_int;
    fn bh_db_create(dir: *const c_char, region: *const c_char, uri: *const c_char, options: *const c_void) -> c_int;
    fn bh_db_open(dir: *const c_char, options: *const c_void, out: *mut *mut Db) -> c_int;
    fn bh_db_close(db: *mut Db);
    fn bh_merchant_add(db: *mut Db, name: *const c_char, uri: *const c_char, options: *const MerchantOptions) -> c_int;
    fn bh_merchant_suspend(db: *mut Db, name: *const c_char, options: *const c_void) -> c_int;
    fn bh_merchant_resume(db: *mut Db, name: *const c_char, options: *const c_void) -> c_int;
    fn bh_merchant_shred(db: *mut Db, name: *const c_char, certificate: *mut Buf) -> c_int;
    fn bh_certificate_verify(json: View, public_key: *const u8, info: *mut CertificateInfo) -> c_int;
    fn bh_cf_open(db: *mut Db, merchant: *const c_char, class: *const c_char, out: *mut *mut Cf) -> c_int;
    fn bh_cf_close(cf: *mut Cf);
    fn bh_put(cf: *mut Cf, options: *const WriteOptions, key: View, value: View) -> c_int;
    fn bh_get(cf: *mut Cf, options: *const c_void, key: View, value: *mut Buf) -> c_int;
}

impl View { fn of(bytes: &[u8]) -> View { View { data: bytes.as_ptr(), len: bytes.len() } } }
impl Buf {
    fn new() -> Buf { Buf { data: null_mut(), len: 0, cap: 0 } }
    fn bytes(&self) -> &[u8] {
        if self.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(self.data, self.len) } }
    }
}
impl Drop for Buf { fn drop(&mut self) { unsafe { bh_buf_clear(self) } } }
fn text<'a>(p: *const c_char) -> &'a str { unsafe { CStr::from_ptr(p) }.to_str().unwrap() }

fn must(status: c_int) {
    if status != 0 {
        unsafe { eprintln!("{}: {}", text(bh_status_name(status)), text(bh_status_message())) };
        std::process::exit(1);
    }
}

unsafe fn add(db: *mut Db, name: &CStr, row: &[u8]) -> *mut Cf {
    let uri = CString::new(format!("local:evening-kms#{}", name.to_str().unwrap())).unwrap();
    let (classes, mut cf) = ([c"profile".as_ptr()], null_mut());
    must(bh_kms_create(uri.as_ptr(), c"eu".as_ptr(), null())); // the customer does this, in a KMS of its own
    let options = MerchantOptions { classes: classes.as_ptr(), class_count: 1 };
    must(bh_merchant_add(db, name.as_ptr(), uri.as_ptr(), &options));
    must(bh_cf_open(db, name.as_ptr(), c"profile".as_ptr(), &mut cf));
    must(bh_put(cf, &WriteOptions { sync: true, no_wal: false }, View::of(b"user:17"), View::of(row)));
    cf
}

unsafe fn show(when: &str, cf: *mut Cf) {
    let mut value = Buf::new();
    match bh_get(cf, null(), View::of(b"user:17"), &mut value) {
        0 => println!("{when}: user:17 is {}", String::from_utf8_lossy(value.bytes())),
        status => println!("{when}: {}", text(bh_status_name(status))),
    }
}

fn main() {
    unsafe {
        let (mut db, mut certificate, mut info) = (null_mut(), Buf::new(), std::mem::zeroed::<CertificateInfo>());
        must(bh_kms_create(c"local:evening-kms#platform".as_ptr(), c"eu".as_ptr(), null()));
        must(bh_db_create(c"evening-db".as_ptr(), c"eu".as_ptr(), c"local:evening-kms#platform".as_ptr(), null()));
        must(bh_db_open(c"evening-db".as_ptr(), null(), &mut db));
        let (acme, blue) = (add(db, c"acme", b"Ada"), add(db, c"blue", b"Grace"));
        show("acme", acme);
        must(bh_merchant_suspend(db, c"acme".as_ptr(), null()));
        show("acme, suspended", acme);
        show("blue meanwhile", blue);
        must(bh_merchant_resume(db, c"acme".as_ptr(), null()));
        show("acme, resumed", acme);
        must(bh_merchant_shred(db, c"acme".as_ptr(), &mut certificate));
        must(bh_certificate_verify(View::of(certificate.bytes()), null(), &mut info));
        let outcome = if info.is_final { "FINAL" } else { "PENDING" };
        println!("the certificate of {} is {outcome}", text(info.merchant.as_ptr()));
        show("acme, shredded", acme);
        show("blue still", blue);
        (bh_cf_close(acme), bh_cf_close(blue), bh_db_close(db));
    }
}
