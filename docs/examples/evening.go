// SPDX-License-Identifier: Apache-2.0
//
// evening.go: evening.c in Go, by cgo. go build evening.go
package main

/*
#cgo pkg-config: bulkhead
#include <bulkhead/bulkhead.h>
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"
)

// must ends the program unless the call before was done. The message belongs to the thread that made the call.
func must(status C.bh_status) {
	if status != C.BH_OK {
		fmt.Fprintf(os.Stderr, "%s: %s\n", C.GoString(C.bh_status_name(status)), C.GoString(C.bh_status_message()))
		os.Exit(int(C.bh_status_exit_code(status)))
	}
}

// view borrows C memory. Options and views that are passed to C may not have pointers to Go's memory in them.
func view(text *C.char) C.bh_view { return C.bh_view_str(text) }

func add(db *C.bh_db, name, row string) *C.bh_cf {
	cName, uri, class := C.CString(name), C.CString("local:evening-kms#"+name), C.CString("profile")
	key, value, region := C.CString("user:17"), C.CString(row), C.CString("eu")
	classes := (**C.char)(C.malloc(C.size_t(unsafe.Sizeof(class))))
	options := (*C.bh_merchant_options)(C.calloc(1, C.sizeof_bh_merchant_options))
	for _, p := range []*C.char{cName, uri, class, key, value, region} {
		defer C.free(unsafe.Pointer(p))
	}
	defer C.free(unsafe.Pointer(classes))
	defer C.free(unsafe.Pointer(options))
	*classes = class
	options.classes, options.class_count = classes, 1

	var cf *C.bh_cf
	must(C.bh_kms_create(uri, region, nil)) // the customer does this, in a KMS of its own
	must(C.bh_merchant_add(db, cName, uri, options))
	must(C.bh_cf_open(db, cName, class, &cf))
	must(C.bh_put(cf, &C.bh_write_options{sync: true}, view(key), view(value)))
	return cf
}

func show(when string, cf *C.bh_cf) {
	var value C.bh_buf
	key := C.CString("user:17")
	defer C.free(unsafe.Pointer(key))
	if status := C.bh_get(cf, nil, view(key), &value); status == C.BH_OK {
		fmt.Printf("%s: user:17 is %s\n", when, C.GoBytes(unsafe.Pointer(value.data), C.int(value.len)))
	} else {
		fmt.Printf("%s: %s\n", when, C.GoString(C.bh_status_name(status)))
	}
	C.bh_buf_clear(&value)
}

func main() {
	runtime.LockOSThread() // bh_status_message() is the thread's
	platform, dir := C.CString("local:evening-kms#platform"), C.CString("evening-db")
	region, name := C.CString("eu"), C.CString("acme")
	var db *C.bh_db
	must(C.bh_kms_create(platform, region, nil))
	must(C.bh_db_create(dir, region, platform, nil))
	must(C.bh_db_open(dir, nil, &db))
	acme, blue := add(db, "acme", "Ada"), add(db, "blue", "Grace")
	show("acme", acme)
	must(C.bh_merchant_suspend(db, name, nil))
	show("acme, suspended", acme)
	show("blue meanwhile", blue)
	must(C.bh_merchant_resume(db, name, nil))
	show("acme, resumed", acme)

	var certificate C.bh_buf
	var info C.bh_certificate_info
	must(C.bh_merchant_shred(db, name, &certificate))
	must(C.bh_certificate_verify(C.bh_buf_view(&certificate), nil, &info))
	outcome := map[bool]string{true: "FINAL", false: "PENDING"}[bool(info.is_final)]
	fmt.Printf("the certificate of %s is %s\n", C.GoString(&info.merchant[0]), outcome)
	C.bh_buf_clear(&certificate)
	show("acme, shredded", acme)
	show("blue still", blue)
	C.bh_cf_close(acme)
	C.bh_cf_close(blue)
	C.bh_db_close(db)
}
