/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_process.c: see kms_process.h.
 */
#include "kms_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 60000 /* a loaded machine is slow */

static void exec_agent(const kms_process *p, int out_fd)
{
	const char *const args[] = { "bhkms-agent", "--dir",   p->dir,
				     "--socket",    p->socket, p->allow_destroy ? "--allow-destroy" : NULL,
				     NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out_fd, STDOUT_FILENO);
	execv(BH_TEST_AGENT, (char *const *)(uintptr_t)args);
	_exit(127);
}

static void wait_until_it_listens(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char line[16];

	test_check(poll(&poll_fd, 1, START_MS) == 1);
	test_check(read(fd, line, sizeof(line)) > 0); /* the end, if it could not start */
}

void kms_process_start(kms_process *p, const char *dir, const char *socket, bool allow_destroy)
{
	kms_process started = { .allow_destroy = allow_destroy };
	int fds[2];

	test_check(snprintf(started.dir, sizeof(started.dir), "%s", dir) < (int)sizeof(started.dir));
	test_check(snprintf(started.socket, sizeof(started.socket), "%s", socket) < 108);
	*p = started;
	test_check(pipe(fds) == 0);
	p->pid = fork();
	test_check(p->pid >= 0);
	if (p->pid == 0) {
		close(fds[0]);
		exec_agent(p, fds[1]);
	}
	close(fds[1]);
	wait_until_it_listens(fds[0]);
	close(fds[0]);
}

void kms_process_stop(kms_process *p)
{
	int status = 0;

	test_check(kill(p->pid, SIGSTOP) == 0);
	test_check(waitpid(p->pid, &status, WUNTRACED) == p->pid);
	test_check(WIFSTOPPED(status));
}

void kms_process_cont(kms_process *p)
{
	test_check(kill(p->pid, SIGCONT) == 0);
}

static int end_by(kms_process *p, int signal)
{
	int status = 0;

	test_check(kill(p->pid, signal) == 0);
	test_check(waitpid(p->pid, &status, 0) == p->pid);
	p->pid = 0;
	return status;
}

void kms_process_kill(kms_process *p)
{
	if (p->pid != 0)
		(void)end_by(p, SIGKILL);
}

void kms_process_restart(kms_process *p)
{
	const kms_process old = *p;

	kms_process_kill(p);
	kms_process_start(p, old.dir, old.socket, old.allow_destroy);
}

void kms_process_end(kms_process *p)
{
	if (p->pid == 0)
		return;
	int status = end_by(p, SIGTERM);
	test_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

const char *kms_process_cmk(const kms_process *p, const char *key)
{
	static char uris[4][PATH_SIZE + 80];
	static size_t next;
	char *uri = uris[next++ % 4];

	snprintf(uri, sizeof(uris[0]), "agent:%s#%s", p->socket, key);
	return uri;
}
