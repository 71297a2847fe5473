/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.c: the provider of agent:SOCKET#KEY: a local KMS that another process (bhkms-agent) serves, so that no CMK is ever in
 * this one. DEKs cross the socket, which is the owner's alone (mode 0600), in frames that are kept in locked memory and wiped.
 *
 * A call is a connection of its own: nothing is shared between calls, so a slow key holds up nobody, a fork inherits nothing, and a
 * restarted agent is found again by the next call. Each call has a deadline. How it can end:
 *
 *     BH_E_KMS_UNREACHABLE  no socket, nobody listens, hung up before the answer, no answer before the deadline
 *     BH_E_KMS_REFUSED      the KMS says no; or this user may not use the socket; or a stranger has put one in its place
 *     BH_E_FORMAT           an answer that is cut, malformed, or not to this request
 *     others                what the KMS says of the key or the wrap, as the local KMS says it
 *
 * Thread-safety: `self` is immutable after open.
 */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring/base/io.h"
#include "keyring/crypto/kdf.h"
#include "socket.h"
#include "keyring/base/random.h"

typedef struct agent_kms {
	char *socket;
	char name[BH_NAME_MAX + 1];
	uint32_t timeout_ms;
} agent_kms;

/* URIs: agent:SOCKET#KEY, split at the last '#'. */

static bh_status uri_split(const char *uri, char **socket_out, char key_out[BH_NAME_MAX + 1])
{
	const char *path = strchr(uri, ':') + 1, *hash = strrchr(path, '#');
	struct sockaddr_un address;

	if (hash == NULL || hash == path)
		return bh_fail(BH_E_INVALID, "CMK URI '%s': names no socket or no key; it looks like agent:SOCKET#KEY", uri);
	BH_TRY(bh_name_check("KMS key", hash + 1));
	char *copy = strndup(path, (size_t)(hash - path));
	if (copy == NULL)
		return bh_fail(BH_E_NOMEM, "CMK URI '%s': no memory to read it", uri);
	bh_status status = bh_fail_prefix(bh_agent_address(copy, &address), "CMK URI '%s'", uri);
	if (status != BH_OK) {
		free(copy);
		return status;
	}
	memcpy(key_out, hash + 1, strlen(hash + 1) + 1);
	*socket_out = copy;
	return BH_OK;
}

/* One call */

/* Whether the socket's folder is that user's, and nobody else can put a socket there. */
static bool owns_folder(const char *socket_path, uid_t uid)
{
	BH_CLEANUP(bh_buf_clear) bh_buf folder = { 0 };
	const char *slash = strrchr(socket_path, '/');
	struct stat st;

	if (bh_buf_printf(&folder, "%.*s", slash != NULL ? (int)(slash - socket_path) + 1 : 1, slash != NULL ? socket_path : ".") !=
	    BH_OK)
		return false;
	return stat((const char *)folder.data, &st) == 0 && st.st_uid == uid && (st.st_mode & 0022) == 0;
}

/* An agent is this user's, root's, or the one's whose folder its socket is in. Whoever else answers here has put his in its place.
 */
static bh_status server_check(const agent_kms *kms, int fd)
{
	uid_t uid = 0;

	BH_TRY(bh_agent_peer(fd, &uid));
	if (uid != 0 && uid != geteuid() && geteuid() != 0 && !owns_folder(kms->socket, uid))
		return bh_fail(
			BH_E_KMS_REFUSED,
			"its socket is served by user %u, who is neither root, nor this one, nor alone able to write in its folder",
			(unsigned)uid);
	return BH_OK;
}

static bh_status exchange(const agent_kms *kms, const bh_agent_request *request, bh_secret *room, bh_view *body_out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	BH_CLEANUP(bh_secret_clear) bh_secret frame = { 0 };
	int64_t deadline_ms = bh_agent_now_ms() + kms->timeout_ms;

	BH_TRY(bh_secret_init(room, BH_AGENT_BODY_MAX));
	BH_TRY(bh_agent_request_encode(request, &frame));
	BH_TRY(bh_agent_connect(kms->socket, deadline_ms, &fd));
	BH_TRY(server_check(kms, fd));
	BH_TRY(bh_agent_send(fd, bh_agent_frame_view(&frame), deadline_ms));
	return bh_agent_receive(fd, deadline_ms, room, body_out);
}

static bool answers(const bh_agent_request *request, const bh_agent_answer *answer)
{
	return answer->command == request->command && memcmp(answer->id, request->id, sizeof(request->id)) == 0 &&
	       strcmp(answer->key, request->key) == 0;
}

/* It is this process's user that the agent knows its client by. */
static void principal_set(void)
{
	char name[32];

	snprintf(name, sizeof(name), "uid:%u", (unsigned)geteuid());
	bh_kms_principal_set(name);
}

static bh_status try_call(const agent_kms *kms, bh_agent_request *request, bh_secret *room, bh_agent_answer *out)
{
	char id_hex[2 * BH_AGENT_REQUEST_ID_LEN + 1];
	bh_view body;

	BH_TRY(bh_random(request->id, sizeof(request->id)));
	bh_hex(request->id, sizeof(request->id), id_hex);
	bh_kms_request_id_set(id_hex);
	principal_set();
	memcpy(request->key, kms->name, sizeof(request->key));
	BH_TRY(exchange(kms, request, room, &body));
	BH_TRY(bh_agent_answer_decode(body, out));
	if (!answers(request, out))
		return bh_fail(BH_E_FORMAT, "the KMS agent's answer belongs to another request");
	if (out->outcome != BH_OK)
		return bh_fail(out->outcome, "%s", out->message);
	return BH_OK;
}

/* `room` is where the answer's bytes lie: the caller clears it after use. */
static bh_status call(const agent_kms *kms, bh_agent_request *request, bh_secret *room, bh_agent_answer *out)
{
	return bh_fail_prefix(try_call(kms, request, room, out), "CMK 'agent:%s#%s'", kms->socket, kms->name);
}

/* The provider */

static void agent_close(void *self)
{
	agent_kms *kms = self;

	free(kms->socket);
	free(kms);
}

static void agent_closep(agent_kms **kms)
{
	if (*kms != NULL)
		agent_close(*kms);
}

static bh_status agent_open(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out)
{
	BH_CLEANUP(agent_closep) agent_kms *kms = calloc(1, sizeof(*kms));
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	bh_agent_request request = { .command = BH_AGENT_OPEN };
	bh_agent_answer answer;
	(void)session;

	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "CMK '%s': no memory to open it", uri);
	kms->timeout_ms = bh_kms_timeout_ms(options);
	BH_TRY(uri_split(uri, &kms->socket, kms->name));
	BH_TRY(call(kms, &request, &room, &answer));
	*self_out = kms;
	kms = NULL;
	return BH_OK;
}

static bh_status agent_describe(void *self, bh_kms_key_info *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	bh_agent_request request = { .command = BH_AGENT_DESCRIBE };
	bh_agent_answer answer;

	BH_TRY(call(self, &request, &room, &answer));
	*out = answer.info;
	return BH_OK;
}

static bh_status agent_wrap(void *self, const uint8_t *dek, bh_view context, bh_kms_wrapped *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	bh_agent_request request = { .command = BH_AGENT_WRAP, .payload = bh_view_of(dek, BH_DEK_LEN), .context = context };
	bh_agent_answer answer;

	BH_TRY(call(self, &request, &room, &answer));
	memcpy(out->bytes, answer.payload.data, answer.payload.len);
	out->len = answer.payload.len;
	out->version = answer.version;
	return BH_OK;
}

static bh_status agent_unwrap(void *self, bh_view wrapped, bh_view context, uint8_t *dek_out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	bh_agent_request request = { .command = BH_AGENT_UNWRAP, .payload = wrapped, .context = context };
	const agent_kms *kms = self;
	bh_agent_answer answer;

	BH_TRY(call(kms, &request, &room, &answer));
	if (answer.payload.len != BH_DEK_LEN)
		return bh_fail(BH_E_FORMAT, "CMK 'agent:%s#%s': the agent answered with a key of %zu bytes, not %d", kms->socket,
			       kms->name, answer.payload.len, BH_DEK_LEN);
	memcpy(dek_out, answer.payload.data, BH_DEK_LEN);
	return BH_OK;
}

static bh_status agent_destroy(void *self, bh_kms_evidence *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	bh_agent_request request = { .command = BH_AGENT_DESTROY };
	bh_agent_answer answer;

	BH_TRY(call(self, &request, &room, &answer));
	*out = answer.evidence;
	return BH_OK;
}

/* By the socket itself: one file has many paths. */
static bool agent_same_key(const char *uri, const char *other)
{
	char *sockets[2] = { NULL, NULL }, keys[2][BH_NAME_MAX + 1];
	struct stat st[2];
	bool same = uri_split(uri, &sockets[0], keys[0]) == BH_OK && uri_split(other, &sockets[1], keys[1]) == BH_OK &&
		    strcmp(keys[0], keys[1]) == 0 && stat(sockets[0], &st[0]) == 0 && stat(sockets[1], &st[1]) == 0 &&
		    st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino;

	free(sockets[0]);
	free(sockets[1]);
	return same;
}

/* It does not manage keys, by design. */
const bh_kms_provider bh_kms_provider_agent = {
	.size = sizeof(bh_kms_provider),
	.scheme = "agent",
	.example = "agent:SOCKET#KEY",
	.console = "at its directory, by bhctl kms ... local:DIR#KEY",
	.open = agent_open,
	.close = agent_close,
	.describe = agent_describe,
	.wrap = agent_wrap,
	.unwrap = agent_unwrap,
	.destroy = agent_destroy,
	.same_key = agent_same_key,
};
