/* SPDX-License-Identifier: Apache-2.0
 *
 * vault_fixture.h: an OpenBao with a transit engine, behind a proxy, and a policy that is all a service needs.
 */
#ifndef BH_TESTS_VAULT_FIXTURE_H
#define BH_TESTS_VAULT_FIXTURE_H

#include "tests/support/bao.h"
#include "tests/support/kms_proxy.h"

#define SERVICE_POLICY                                                                                                             \
	"path \\\"transit/keys/*\\\" { capabilities = [\\\"read\\\"] } "                                                           \
	"path \\\"transit/encrypt/*\\\" { capabilities = [\\\"update\\\"] } "                                                      \
	"path \\\"transit/decrypt/*\\\" { capabilities = [\\\"update\\\"] }"

typedef struct vault_fixture {
	workspace ws;
	bao bao;
	kms_proxy proxy;
} vault_fixture;

static inline void vault_environment_clear(void)
{
	static const char *const names[] = { "VAULT_TOKEN",
					     "VAULT_NAMESPACE",
					     "VAULT_CACERT",
					     "VAULT_CAPATH",
					     "VAULT_CLIENT_CERT",
					     "VAULT_CLIENT_KEY",
					     "BULKHEAD_VAULT_ROLE_ID",
					     "BULKHEAD_VAULT_SECRET_ID_FILE",
					     "BULKHEAD_VAULT_TOKEN_FILE",
					     "BULKHEAD_VAULT_AUTH_MOUNT",
					     "BULKHEAD_KMS_PROXY" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static inline void vault_fixture_begin(vault_fixture *f, bool tls)
{
	char home[PATH_SIZE];

	vault_environment_clear();
	workspace_open(&f->ws);
	path_join(home, f->ws.root, "bao");
	setenv("HOME", f->ws.root, 1); /* no token of the developer's */
	bao_start(&f->bao, home, tls);
	kms_proxy_start_tcp(&f->proxy, f->bao.port);
	bao_do(&f->bao, "POST", "sys/policies/acl/service", "{\"policy\":\"" SERVICE_POLICY "\"}");
}

static inline void vault_fixture_end(vault_fixture *f)
{
	kms_proxy_end(&f->proxy);
	bao_end(&f->bao);
	workspace_close(&f->ws);
	vault_environment_clear();
}

static inline void vault_key_make(const vault_fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "transit/keys/%s", name);
	bao_do(&f->bao, "POST", path, "{\"type\":\"aes256-gcm96\",\"derived\":true}");
}

static inline void file_put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	test_check(file != NULL && fputs(text, file) >= 0);
	test_check(fclose(file) == 0);
}

#endif
