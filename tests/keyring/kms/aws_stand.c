/* SPDX-License-Identifier: Apache-2.0
 *
 * aws_stand.c: see aws_stand.h. The provider has the keys of a user who may do no more than a service needs, in a profile.
 */
#include "aws_stand.h"

#include <sys/stat.h>
#include <unistd.h>

aws_stand aws_stand_now;

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	aws_uri(&aws_stand_now.server, name, out, STAND_URI_SIZE);
}

static void make(const char *name)
{
	aws_key_make(&aws_stand_now.server, name);
}

static void key_do(const char *operation, const char *name, const char *more)
{
	char alias[STAND_URI_SIZE], body[STAND_URI_SIZE + 128];

	uri(name, alias);
	snprintf(body, sizeof(body), "{\"KeyId\":\"%s\"}", strstr(alias, "arn:"));
	json_t *json = aws_kms_in(&aws_stand_now.server, AWS_REGION, "DescribeKey", body);
	const json_t *id = json_object_get(json_object_get(json, "KeyMetadata"), "KeyId");
	snprintf(body, sizeof(body), "{\"KeyId\":\"%s\"%s}", json_string_value(id), more);
	aws_kms_do(&aws_stand_now.server, operation, body);
	json_decref(json);
}

static void rotate(const char *name)
{
	key_do("RotateKeyOnDemand", name, "");
}

static void disable(const char *name)
{
	key_do("DisableKey", name, "");
}

static void enable(const char *name)
{
	key_do("EnableKey", name, "");
}

static void schedule(const char *name)
{
	key_do("ScheduleKeyDeletion", name, ",\"PendingWindowInDays\":7");
}

static void leave(void)
{
	kms_proxy_down(&aws_stand_now.proxy);
}

static void start(void)
{
	kms_proxy_up(&aws_stand_now.proxy);
}

static void expire(void)
{
	aws_access_key_delete(&aws_stand_now.server, "service", aws_stand_now.key.id);
}

static void renew(void)
{
	char path[PATH_SIZE];

	if (aws_stand_now.server.is_moto)
		aws_stand_now.key = (aws_key){ .id = "AKIAEXAMPLE", .secret = "secret" };
	else
		aws_access_key_make(&aws_stand_now.server, "service", &aws_stand_now.key);
	path_join(path, aws_stand_now.ws.root, "credentials");
	FILE *file = fopen(path, "w");
	test_check(file != NULL);
	fprintf(file, "# by the test\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", aws_stand_now.key.id,
		aws_stand_now.key.secret);
	test_check(fclose(file) == 0);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
}

int aws_stand_begin(bool moto)
{
	char home[PATH_SIZE];

	workspace_open(&aws_stand_now.ws);
	path_join(home, aws_stand_now.ws.root, "aws");
	aws_environment_clear(aws_stand_now.ws.root);
	aws_start(&aws_stand_now.server, home, moto);
	kms_proxy_start_tcp(&aws_stand_now.proxy, aws_stand_now.server.port);
	aws_environment_endpoint(aws_stand_now.proxy.port);
	if (!moto)
		aws_user_make(&aws_stand_now.server, "service", AWS_STAND_SERVICE);
	renew();
	return 0;
}

int aws_stand_end(void **state)
{
	(void)state;
	kms_proxy_end(&aws_stand_now.proxy);
	aws_end(&aws_stand_now.server);
	workspace_close(&aws_stand_now.ws);
	return 0;
}

kms_stand aws_stand_of(void)
{
	return (kms_stand){
		.scheme = "aws-kms",
		.proxy = &aws_stand_now.proxy,
		.disabled = BH_E_KMS_REFUSED,
		.destroyed = BH_E_KMS_REFUSED,
		.cut = BH_E_KMS_UNREACHABLE,
		.garbage = BH_E_FORMAT,
		.expired = BH_E_KMS_REFUSED,
		.region = AWS_REGION,
		.principal = "A",
		.uri = uri,
		.make = make,
		.rotate = rotate,
		.disable = disable,
		.enable = enable,
		.schedule = schedule,
		.leave = leave,
		.start = start,
		.expire = expire,
		.renew = renew,
	};
}
