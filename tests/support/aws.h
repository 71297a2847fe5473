/* SPDX-License-Identifier: Apache-2.0
 *
 * aws.h: two servers that answer as AWS's KMS, STS and IAM do, on 127.0.0.1, and their owner's console. moto encrypts as AWS does,
 * and looks at nobody's credentials, nor at a key's state. ministack has states, signatures, users and roles, and its encryption is
 * an XOR. They end with the test, however that ends. Thread-safety: none, but for the console.
 */
#ifndef BH_TESTS_AWS_H
#define BH_TESTS_AWS_H

#include <jansson.h>
#include <sys/types.h>

#include "harness.h"

#define AWS_REGION "eu-west-1"
#define AWS_OWNER "test" /* the root user's access key, and its secret */

typedef struct aws {
	pid_t pid;
	int port;
	bool is_moto;
	char log[PATH_SIZE];
	const char *account;
} aws;

/* An access key, as its owner has it. */
typedef struct aws_key {
	char id[64], secret[128], token[2048];
} aws_key;

/* Starts it and waits until it answers. `home` is made; fails the test where there is no server. */
void aws_start(aws *a, const char *home, bool moto);
void aws_end(aws *a); /* SIGKILL: it keeps nothing */
/* Asks KMS in a region as root; fails the test unless it says yes. The answer's object, or NULL. */
json_t *aws_kms_in(const aws *a, const char *region, const char *operation, const char *body);
void aws_kms_do(const aws *a, const char *operation, const char *body);
/* Asks "iam" or "sts" as root, by a form. The answer's text: free() it. */
char *aws_query(const aws *a, const char *service, const char *form);
/* The text of the first element of that name in such an answer. */
void aws_element(const char *answer, const char *name, char *out, size_t size);

/* A symmetric key, and alias/NAME for it. */
void aws_key_make(const aws *a, const char *name);
/* "aws-kms://arn:aws:kms:REGION:ACCOUNT:alias/NAME" */
void aws_uri(const aws *a, const char *name, char *out, size_t size);
/* A user with these actions (JSON strings, with commas) on all keys, and an access key of his. ministack's alone. */
void aws_user_make(const aws *a, const char *name, const char *actions);
void aws_access_key_make(const aws *a, const char *user, aws_key *out);
void aws_access_key_delete(const aws *a, const char *user, const char *id);

/* No variable of AWS's is set; files and metadata of the developer's are not looked at. `home`: HOME. */
void aws_environment_clear(const char *home);
void aws_environment_endpoint(int port); /* AWS_ENDPOINT_URL */

#endif
