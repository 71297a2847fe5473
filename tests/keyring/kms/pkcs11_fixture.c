/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11_fixture.c: see pkcs11_fixture.h.
 */
#include "pkcs11_fixture.h"

#include <dlfcn.h>
#include <sys/stat.h>

void pkcs11_text_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	test_check(file != NULL && fputs(text, file) >= 0);
	test_check(fclose(file) == 0);
}

void pkcs11_token_make(const char *label)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "softhsm2-util --init-token --free --label %s --pin " PKCS11_PIN " --so-pin 5678 >/dev/null", label);
	test_check(system(command) == 0);
}

void pkcs11_fixture_begin(pkcs11_fixture *f)
{
	char conf[PATH_SIZE], tokens[PATH_SIZE], text[PATH_SIZE + 128];

	memset(f, 0, sizeof(*f));
	f->module = BH_TEST_SOFTHSM;
	workspace_open(&f->ws);
	path_join(conf, f->ws.root, "softhsm.conf");
	path_join(tokens, f->ws.root, "tokens");
	path_join(f->pin_file, f->ws.root, "pin");
	test_check(mkdir(tokens, 0700) == 0);
	snprintf(text, sizeof(text), "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens);
	pkcs11_text_write(conf, text);
	pkcs11_text_write(f->pin_file, PKCS11_PIN "\n");
	setenv("SOFTHSM2_CONF", conf, 1);
	setenv("BULKHEAD_PKCS11_MODULES", BH_TEST_SOFTHSM ":" BH_TEST_P11_SHIM, 1);
	pkcs11_token_make("shop");
}

void pkcs11_fixture_end(pkcs11_fixture *f)
{
	unsetenv("BULKHEAD_PKCS11_MODULES");
	workspace_close(&f->ws);
}

p11_shim_state *pkcs11_shim(pkcs11_fixture *f)
{
	void *library = dlopen(BH_TEST_P11_SHIM, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	test_check(library != NULL);
	p11_shim_state *shim = dlsym(library, "p11_shim");
	test_check(shim != NULL);
	f->module = BH_TEST_P11_SHIM;
	return shim;
}

void pkcs11_uri(const pkcs11_fixture *f, const char *name, char *out, size_t size)
{
	snprintf(out, size, "pkcs11:token=shop;object=%s?module-path=%s&pin-source=file:%s&region=eu-1", name, f->module,
		 f->pin_file);
}

void pkcs11_key_make(const char *uri)
{
	test_ok(bh_kms_create(uri, "eu-1", NULL));
}
