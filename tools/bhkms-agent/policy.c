/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.c: see policy.h.
 */
#include "policy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring/base/io.h"
#include "keyring/dek/context.h"

#define FILE_MAX (1024 * 1024)
#define VALUE_MAX BH_NAME_MAX /* bytes: of keys, merchants and regions */

/* What a rule may ask of a request, but for the user. */
typedef enum field { FIELD_KEY, FIELD_DATABASE, FIELD_MERCHANT, FIELD_REGION, FIELD_COUNT } field;
static const char *const field_names[FIELD_COUNT] = { "key", "database", "merchant", "region" };

typedef struct value {
	bool given;
	char text[VALUE_MAX + 1];
} value;

typedef struct rule {
	unsigned commands; /* a bit each: 1 << bh_agent_command */
	value fields[FIELD_COUNT];
	bool has_uid;
	uid_t uid;
} rule;

struct policy {
	rule *rules;
	size_t count;
};

void policy_free(policy *p)
{
	if (p == NULL)
		return;
	free(p->rules);
	free(p);
}

static void policy_freep(policy **p)
{
	policy_free(*p);
}

/* ---- one line */

static bh_status take_commands(char *list, rule *r)
{
	static const bh_agent_command known[] = { BH_AGENT_WRAP, BH_AGENT_UNWRAP, BH_AGENT_DESTROY };
	char *rest = list;

	for (char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
		size_t i = 0;

		while (i < 3 && strcmp(word, bh_agent_command_name(known[i])) != 0)
			i++;
		if (i == 3)
			return bh_fail(BH_E_INVALID, "'%s': is none of wrap, unwrap and destroy", word);
		if ((r->commands & 1u << known[i]) != 0)
			return bh_fail(BH_E_INVALID, "'%s': is there twice", word);
		r->commands |= 1u << known[i];
	}
	return BH_OK;
}

static bh_status take_uid(const char *text, rule *r)
{
	char *end;
	unsigned long uid = strtoul(text, &end, 10);

	if (r->has_uid)
		return bh_fail(BH_E_INVALID, "'uid': is there twice");
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || uid >= UINT32_MAX)
		return bh_fail(BH_E_INVALID, "'uid=%s': must be a user's number", text);
	r->has_uid = true;
	r->uid = (uid_t)uid;
	return BH_OK;
}

static bh_status check_value(field f, const char *text)
{
	if (f == FIELD_DATABASE && (strlen(text) != 2 * BH_ID_LEN || strspn(text, "0123456789abcdef") != 2 * BH_ID_LEN))
		return bh_fail(BH_E_INVALID, "'database=%s': must be an id of %d digits, 0-9 and a-f", text, 2 * BH_ID_LEN);
	if (f == FIELD_DATABASE || (f == FIELD_MERCHANT && text[0] == '\0'))
		return BH_OK;
	return bh_name_check(field_names[f], text);
}

static bh_status take_field(char *word, rule *r)
{
	char *text = strchr(word, '=');

	if (text == NULL)
		return bh_fail(BH_E_INVALID, "'%s': a field looks like name=value", word);
	*text++ = '\0';
	if (strcmp(word, "uid") == 0)
		return take_uid(text, r);
	for (size_t f = 0; f < FIELD_COUNT; f++) {
		if (strcmp(word, field_names[f]) != 0)
			continue;
		if (r->fields[f].given)
			return bh_fail(BH_E_INVALID, "'%s': is there twice", word);
		BH_TRY(check_value((field)f, text));
		r->fields[f].given = true;
		memcpy(r->fields[f].text, text, strlen(text) + 1);
		return BH_OK;
	}
	return bh_fail(BH_E_INVALID, "'%s': is none of key, database, merchant, region and uid", word);
}

/* A rule that says less than it seems to is refused, not passed over. */
static bh_status check_rule(const rule *r)
{
	bool has_context = r->fields[FIELD_DATABASE].given || r->fields[FIELD_MERCHANT].given || r->fields[FIELD_REGION].given;

	if (!r->fields[FIELD_KEY].given)
		return bh_fail(BH_E_INVALID, "names no key: key=NAME is wanted");
	if ((r->commands & 1u << BH_AGENT_DESTROY) != 0 && (has_context || r->commands != 1u << BH_AGENT_DESTROY))
		return bh_fail(BH_E_INVALID, "a destruction has no context: give it a line of its own, with key and uid alone");
	return BH_OK;
}

/* The words of a line that says something. */
static bh_status take_rule(char *line, rule *out)
{
	rule r = { 0 };
	char *rest = line, *word;
	size_t count = 0;

	while ((word = strsep(&rest, " \t")) != NULL) {
		if (*word == '\0')
			continue;
		if (count == 0 && strcmp(word, "allow") != 0)
			return bh_fail(BH_E_INVALID, "'%s': a rule begins with allow", word);
		if (count == 1)
			BH_TRY(take_commands(word, &r));
		if (count > 1)
			BH_TRY(take_field(word, &r));
		count++;
	}
	if (count < 2)
		return bh_fail(BH_E_INVALID, "a rule looks like: allow wrap,unwrap key=NAME ...");
	BH_TRY(check_rule(&r));
	*out = r;
	return BH_OK;
}

/* ---- the file */

static bh_status add_line(policy *p, char *line)
{
	rule *grown;

	line[strcspn(line, "#")] = '\0';
	if (line[strspn(line, " \t")] == '\0')
		return BH_OK;
	for (const char *c = line; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 ? *c != '\t' : (unsigned char)*c > 0x7e)
			return bh_fail(BH_E_INVALID, "byte %u, which has no place here", (unsigned)(unsigned char)*c);
	grown = realloc(p->rules, (p->count + 1) * sizeof(*grown));
	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu rules", p->count + 1);
	p->rules = grown;
	BH_TRY(take_rule(line, &grown[p->count]));
	p->count++;
	return BH_OK;
}

static bh_status add_lines(policy *p, const char *path, char *text, size_t len)
{
	char *rest = text;
	unsigned number = 1;

	if (strlen(text) != len)
		return bh_fail(BH_E_INVALID, "%s: has a NUL in it", path);
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
		BH_TRY(bh_fail_prefix(add_line(p, line), "%s:%u", path, number++));
	return p->count > 0 ? BH_OK : bh_fail(BH_E_INVALID, "%s: allows nothing to anybody", path);
}

static bh_status check_owner(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return bh_fail(BH_E_IO, "%s: cannot be looked at", path);
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 0022) != 0)
		return bh_fail(BH_E_KMS_REFUSED,
			       "%s: owner %u and mode %04o let others change it; it has to be this user's or root's "
			       "alone to write",
			       path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
	return BH_OK;
}

static bh_status read_text(const char *path, bh_buf *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf name = { 0 };
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_io_closep) int fd = -1;
	const char *slash = strrchr(path, '/');
	uint64_t size = 0;

	BH_TRY(bh_buf_printf(&name, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : "."));
	BH_TRY(bh_io_dir_open((const char *)name.data, &dir));
	BH_TRY(bh_io_open(&dir, slash != NULL ? slash + 1 : path, O_RDONLY, &fd, &size, NULL));
	BH_TRY(check_owner(fd, path));
	if (size > FILE_MAX)
		return bh_fail(BH_E_FORMAT, "%s: %llu bytes, more than the %d of a policy", path, (unsigned long long)size,
			       FILE_MAX);
	BH_TRY(bh_buf_reserve(out, (size_t)size + 1));
	BH_TRY(bh_io_read_at(fd, path, 0, out->data, (size_t)size));
	out->data[size] = '\0';
	out->len = (size_t)size;
	return BH_OK;
}

bh_status policy_read(const char *path, policy **out)
{
	BH_CLEANUP(policy_freep) policy *p = calloc(1, sizeof(*p));
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	if (p == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory for a policy", path);
	BH_TRY(read_text(path, &text));
	BH_TRY(add_lines(p, path, (char *)text.data, text.len));
	*out = p;
	p = NULL;
	return BH_OK;
}

/* ---- a request */

/* Takes "NAME=..." and its newline off the front; false: that is not what comes there. */
static bool take_entry(bh_view *context, const char *name, value *out)
{
	const size_t len = strlen(name);
	const uint8_t *end;
	size_t size;

	if (context->len <= len || memcmp(context->data, name, len) != 0 || context->data[len] != '=')
		return false;
	*context = bh_view_of(context->data + len + 1, context->len - len - 1);
	end = memchr(context->data, '\n', context->len);
	size = end != NULL ? (size_t)(end - context->data) : SIZE_MAX;
	if (size > VALUE_MAX || memchr(context->data, '\0', size) != NULL)
		return false;
	out->given = true;
	memcpy(out->text, context->data, size);
	out->text[size] = '\0';
	*context = bh_view_of(end + 1, context->len - size - 1);
	return true;
}

/* The canonical text of keyring/dek/context.h, and nothing else. */
static bool take_context(bh_view context, value fields[FIELD_COUNT])
{
	value ignored;

	return take_entry(&context, "class", &ignored) && take_entry(&context, "database", &fields[FIELD_DATABASE]) &&
	       take_entry(&context, "dek", &ignored) && take_entry(&context, "merchant", &fields[FIELD_MERCHANT]) &&
	       take_entry(&context, "region", &fields[FIELD_REGION]) && context.len == 0;
}

static bool allows(const rule *r, const bh_agent_request *request, const value fields[FIELD_COUNT], uid_t uid)
{
	const bool asks = request->command == BH_AGENT_OPEN || request->command == BH_AGENT_DESCRIBE;

	if ((r->has_uid && r->uid != uid) || strcmp(r->fields[FIELD_KEY].text, request->key) != 0)
		return false;
	if (asks)
		return true;
	if ((r->commands & 1u << request->command) == 0)
		return false;
	for (size_t f = FIELD_DATABASE; f < FIELD_COUNT; f++)
		if (r->fields[f].given && (!fields[f].given || strcmp(r->fields[f].text, fields[f].text) != 0))
			return false;
	return true;
}

bh_status policy_check(const policy *p, const bh_agent_request *request, uid_t uid)
{
	const bool has_context = request->command == BH_AGENT_WRAP || request->command == BH_AGENT_UNWRAP;
	value fields[FIELD_COUNT] = { 0 };

	if (!has_context || take_context(request->context, fields))
		for (size_t i = 0; i < p->count; i++)
			if (allows(&p->rules[i], request, fields, uid))
				return BH_OK;
	return bh_fail(BH_E_KMS_REFUSED,
		       "the agent's policy does not allow user %u to %s with key '%s' for merchant '%s' of database '%s'",
		       (unsigned)uid, bh_agent_command_name(request->command), request->key, fields[FIELD_MERCHANT].text,
		       fields[FIELD_DATABASE].text);
}
