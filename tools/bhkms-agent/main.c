/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c: bhkms-agent's options, signals and end.
 *
 * It stays in the foreground; SIGTERM and SIGINT end it. No other process of its user may look into it (hide.h), which is
 * the point of there being two: who takes over the database's process has no way from there to a CMK.
 */
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "keyring/kms/provider/session.h"
#include "agent.h"
#include "tools/hide.h"
#include "tools/passphrase.h"

static volatile sig_atomic_t stop;

static void on_stop(int signal)
{
	(void)signal;
	stop = 1;
}

static void usage(FILE *out)
{
	fputs("usage: bhkms-agent --dir DIR --socket PATH [--allow-uid UID]... [--policy FILE | --allow-destroy]\n"
	      "                   [--passphrase-fd N] [--verbose]\n\n"
	      "Serves the keys of a local KMS to databases, which name them agent:PATH#KEY.\n\n"
	      "  --dir DIR           the local KMS, made by 'bhctl kms create local:DIR#KEY'\n"
	      "  --socket PATH       where it is served; its folder should be this user's alone\n"
	      "  --allow-uid UID     this user is served, in place of the agent's own; may be given more than once\n"
	      "  --policy FILE       what is done for whom with which key: a rule a line (bhkms-agent(1))\n"
	      "  --allow-destroy     a merchant's shred destroys its key through this agent, too\n"
	      "  --passphrase-fd N   the passphrase of DIR, up to a newline; else BULKHEAD_KMS_PASSPHRASE\n"
	      "  --verbose           a line a request, on standard error\n",
	      out);
}

static bh_status take_passphrase(const char *fd, bh_secret *out)
{
	char *end;
	long number = strtol(fd, &end, 10);

	if (*fd == '\0' || *end != '\0' || number < 0 || number > INT32_MAX)
		return bh_fail(BH_E_INVALID, "--passphrase-fd '%s': must be a descriptor's number", fd);
	bh_secret_clear(out);
	return passphrase_read((int)number, out);
}

static bh_status take_user(const char *text, agent *a)
{
	char *end;
	unsigned long uid = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || uid >= UINT32_MAX)
		return bh_fail(BH_E_INVALID, "--allow-uid '%s': must be a user's number", text);
	if (a->user_count == AGENT_USERS_MAX)
		return bh_fail(BH_E_INVALID, "--allow-uid: %d users at most", AGENT_USERS_MAX);
	a->users[a->user_count++] = (uid_t)uid;
	return BH_OK;
}

static bh_status take_options(int argc, char **argv, agent *a, bh_secret *passphrase)
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },       { "socket", required_argument, NULL, 's' },
		{ "allow-destroy", no_argument, NULL, 'x' },   { "passphrase-fd", required_argument, NULL, 'p' },
		{ "allow-uid", required_argument, NULL, 'u' }, { "policy", required_argument, NULL, 'P' },
		{ "verbose", no_argument, NULL, 'v' },         { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },         { 0 },
	};
	const char *policy_path = NULL;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'd': a->dir = optarg; break;
		case 's': a->socket = optarg; break;
		case 'x': a->allow_destroy = true; break;
		case 'p': BH_TRY(take_passphrase(optarg, passphrase)); break;
		case 'u': BH_TRY(take_user(optarg, a)); break;
		case 'P': policy_path = optarg; break;
		case 'v': a->verbose = true; break;
		case 'h': usage(stdout); exit(EXIT_SUCCESS);
		case 'V': puts("bhkms-agent " BH_VERSION); exit(EXIT_SUCCESS);
		default: return bh_fail(BH_E_INVALID, "option '%s': not known, or without its value", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return bh_fail(BH_E_INVALID, "'%s': not an option", argv[optind]);
	if (a->dir == NULL || a->socket == NULL)
		return bh_fail(BH_E_INVALID, "--dir and --socket are needed; 'bhkms-agent --help' lists the options");
	if (passphrase->data != NULL)
		a->kms.passphrase = (const char *)passphrase->data;
	if (policy_path != NULL && a->allow_destroy)
		return bh_fail(BH_E_INVALID,
			       "--policy and --allow-destroy: the policy says whose keys are destroyed; give it alone");
	return policy_path != NULL ? policy_read(policy_path, &a->policy) : BH_OK;
}

/* Blocked in every thread, and let through where the loop waits: so none comes between the look at `stop` and the wait. */
static void signals_set_up(sigset_t *during_out)
{
	const struct sigaction on_end = { .sa_handler = on_stop };
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, during_out);
	sigdelset(during_out, SIGTERM);
	sigdelset(during_out, SIGINT);
	sigaction(SIGTERM, &on_end, NULL);
	sigaction(SIGINT, &on_end, NULL);
	signal(SIGPIPE, SIG_IGN); /* of whoever reads the log */
}

static bh_status run(int argc, char **argv, agent *a, bh_secret *passphrase)
{
	sigset_t during;

	BH_TRY(take_options(argc, argv, a, passphrase));
	BH_TRY(bh_kms_session_new(&a->session));
	BH_TRY(agent_check(a));
	signals_set_up(&during);
	BH_TRY(agent_listen(a));
	printf("bhkms-agent: serving %s at %s\n", a->dir, a->socket);
	fflush(stdout);
	return agent_run(a, &stop, &during);
}

int main(int argc, char **argv)
{
	agent a = { .lock_fd = -1, .listen_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .one_ended = PTHREAD_COND_INITIALIZER };
	bh_secret passphrase = { 0 };

	if (!tool_hide()) {
		perror("bhkms-agent: cannot be closed to other processes");
		return bh_status_exit_code(BH_E_IO);
	}
	bh_status status = run(argc, argv, &a, &passphrase);
	if (status != BH_OK)
		fprintf(stderr, "bhkms-agent: %s\n", bh_status_message());
	bh_kms_session_free(a.session);
	policy_free(a.policy);
	bh_secret_clear(&passphrase);
	if (a.listen_fd >= 0)
		close(a.listen_fd);
	if (a.lock_fd >= 0)
		close(a.lock_fd);
	return bh_status_exit_code(status);
}
