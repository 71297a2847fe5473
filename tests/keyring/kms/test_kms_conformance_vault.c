/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_vault.c: the table of conformance.h against vault+http://, a real OpenBao behind a proxy. The provider has a
 * token that may do no more than a service needs, out of a file.
 */
#include <unistd.h>

#include "conformance.h"
#include "vault_fixture.h"
#include "tests/support/slow_build.h"

static vault_fixture f;
static char token_file[PATH_SIZE], token[256];

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	snprintf(out, STAND_URI_SIZE, "vault+http://127.0.0.1:%d/transit/keys/%s?region=eu-1", f.proxy.port, name);
}

static void make(const char *name)
{
	vault_key_make(&f, name);
}

static void key_do(const char *method, const char *name, const char *more, const char *body)
{
	char path[128];

	snprintf(path, sizeof(path), "transit/keys/%s%s", name, more);
	bao_do(&f.bao, method, path, body);
}

static void rotate(const char *name)
{
	key_do("POST", name, "/rotate", "{}");
}

static void disable(const char *name)
{
	key_do("DELETE", name, "/soft-delete", NULL);
}

static void enable(const char *name)
{
	key_do("POST", name, "/soft-delete-restore", "{}");
}

static void destroy(const char *name)
{
	key_do("POST", name, "/config", "{\"deletion_allowed\":true}");
	key_do("DELETE", name, "", NULL);
}

static void leave(void)
{
	kms_proxy_down(&f.proxy);
}

static void start(void)
{
	kms_proxy_up(&f.proxy);
}

static void token_new(void)
{
	bao_token(&f.bao, "\"service\"", "", token);
}

static void expire(void)
{
	char body[320];

	snprintf(body, sizeof(body), "{\"token\":\"%s\"}", token);
	bao_do(&f.bao, "POST", "auth/token/revoke", body);
}

static void renew(void)
{
	token_new();
	file_put(token_file, token);
}

static int setup(void **state)
{
	(void)state;
	vault_fixture_begin(&f, false);
	path_join(token_file, f.ws.root, "token");
	renew();
	setenv("BULKHEAD_VAULT_TOKEN_FILE", token_file, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vault_fixture_end(&f);
	return 0;
}

int main(void)
{
	static const kms_stand stand = {
		.scheme = "vault",
		.can = STAND_DISABLE | STAND_DESTROY | STAND_ROTATE | STAND_STOP | STAND_FAULTS | STAND_EXPIRE,
		.absent = { [1] = "Vault deletes at once" },
		.proxy = &f.proxy,
		.disabled = BH_E_KMS_REFUSED,
		.destroyed = BH_E_NOT_FOUND,
		.cut = BH_E_KMS_UNREACHABLE,
		.garbage = BH_E_FORMAT,
		.expired = BH_E_KMS_REFUSED,
		.region = "eu-1",
		.principal = "token-bulkhead",
#ifdef BH_SLOW_BUILD
		.merchants = 100,
#else
		.merchants = 1000,
#endif
		.uri = uri,
		.make = make,
		.rotate = rotate,
		.disable = disable,
		.enable = enable,
		.destroy = destroy,
		.leave = leave,
		.start = start,
		.expire = expire,
		.renew = renew,
	};

	return conformance_run(&stand, setup, teardown);
}
