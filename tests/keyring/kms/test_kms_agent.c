/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_agent.c: a KMS in another process: the real bhkms-agent under every state of a key and every way a process can fail.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/kms_agent_fixture.h"
#include "keyring/kms/kms.h"

static void test_wraps_and_unwraps(void **state)
{
	fixture *f = *state;
	bh_kms *kms = kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS), *console = console_open(f, "acme");
	bh_buf wrapped = { 0 };
	bh_kms_key_info info, local;
	char id[BH_KMS_REQUEST_ID_SIZE];

	test_ok(wrap(kms, &wrapped));
	snprintf(id, sizeof(id), "%s", bh_kms_request_id());
	test_check(strlen(id) == 32);
	test_ok(unwrap(kms, &wrapped));
	test_check(strlen(bh_kms_request_id()) == 32 && strcmp(id, bh_kms_request_id()) != 0);
	/* The same key as the directory's. */
	test_ok(unwrap(console, &wrapped));
	test_ok(bh_kms_describe(kms, &info));
	test_ok(bh_kms_describe(console, &local));
	test_check(strcmp(info.name, "acme") == 0 && strcmp(info.region, local.region) == 0 && info.state == BH_KMS_ENABLED);
	test_check(info.version == 1 && info.created_at_s == local.created_at_s);
	test_check(strcmp(info.request_id, local.request_id) == 0);
	/* What the KMS says of a wrap comes through. */
	test_status(unwrap_as(kms, &wrapped, "class=data\nmerchant=acmf\n"), BH_E_TAG);
	wrapped.data[0] = 9;
	test_status(unwrap(kms, &wrapped), BH_E_VERSION);
	wrapped.len = 7;
	wrapped.data[0] = 1;
	test_status(unwrap(kms, &wrapped), BH_E_FORMAT);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
	bh_kms_close(console);
}

static void test_keys_states_come_through(void **state)
{
	const bh_kms_options window = { .deletion_window_s = 3600 };
	fixture *f = *state;
	bh_kms *none = NULL;

	test_ok(bh_kms_create(workspace_cmk(&f->ws, "late"), "eu-1", &window));
	bh_kms *kms = kms_open(kms_process_cmk(&f->agent, "late"), LONG_MS), *console = console_open(f, "late");
	bh_buf wrapped = { 0 }, more = { 0 };
	bh_kms_key_info info;
	uint32_t version = 0;

	test_ok(wrap(kms, &wrapped));
	test_ok(bh_kms_disable(console));
	test_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	test_message_names("disabled");
	test_status(wrap(kms, &more), BH_E_KMS_REFUSED);
	test_ok(bh_kms_enable(console));
	test_ok(unwrap(kms, &wrapped));
	test_ok(bh_kms_rotate(console, &version));
	test_ok(bh_kms_describe(kms, &info));
	test_check(info.version == 2);
	test_ok(bh_kms_destroy(console, NULL));
	test_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	test_ok(bh_kms_describe(kms, &info));
	test_check(info.state == BH_KMS_PENDING_DELETION && info.scheduled_s > 0 && info.deletion_window_s == 3600);
	test_status(bh_kms_open(kms_process_cmk(&f->agent, "none"), NULL, &none), BH_E_NOT_FOUND);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
	bh_kms_close(console);
}

static void test_the_console_stays_at_the_directory(void **state)
{
	fixture *f = *state;
	const char *uri = kms_process_cmk(&f->agent, "acme");
	bh_kms *kms = kms_open(uri, LONG_MS);
	bh_buf wrapped = { 0 };
	uint32_t version = 0;

	test_ok(wrap(kms, &wrapped));
	test_status(bh_kms_create(kms_process_cmk(&f->agent, "new"), "eu-1", NULL), BH_E_UNSUPPORTED);
	test_status(bh_kms_rotate(kms, &version), BH_E_UNSUPPORTED);
	test_status(bh_kms_disable(kms), BH_E_UNSUPPORTED);
	test_status(bh_kms_enable(kms), BH_E_UNSUPPORTED);
	test_status(bh_kms_list(uri, NULL, NULL, NULL), BH_E_UNSUPPORTED);
	/* Nor does it destroy, unless it was told that it may. */
	test_status(bh_kms_destroy(kms, NULL), BH_E_KMS_REFUSED);
	test_message_names("--allow-destroy");
	test_ok(unwrap(kms, &wrapped));
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

static void test_destroys_where_it_may(void **state)
{
	fixture *f = *state;
	bh_kms_evidence evidence = { 0 };
	bh_kms_key_info info;

	kms_process_end(&f->agent);
	kms_process_start(&f->agent, f->agent.dir, f->agent.socket, true);
	bh_kms *kms = kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS), *console = console_open(f, "acme");
	test_ok(bh_kms_destroy(kms, &evidence));
	test_check(evidence.state == BH_KMS_DESTROYED);
	test_ok(bh_kms_describe(console, &info));
	test_check(info.state == BH_KMS_DESTROYED && info.changed_at_s == evidence.at_s);
	test_check(strcmp(info.request_id, evidence.request_id) == 0);
	bh_kms_close(kms);
	bh_kms_close(console);
}

static void test_a_stopped_agent_is_unreachable_within_the_deadline(void **state)
{
	fixture *f = *state;
	bh_kms *kms = kms_open(kms_process_cmk(&f->agent, "acme"), SHORT_MS),
	       *patient = kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS);
	bh_buf wrapped = { 0 };

	test_ok(wrap(patient, &wrapped));
	kms_process_stop(&f->agent);
	int64_t began_ms = bh_agent_now_ms();
	test_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	int64_t took_ms = bh_agent_now_ms() - began_ms;
	test_check(took_ms >= SHORT_MS && took_ms < 60 * 1000);
	kms_process_cont(&f->agent);
	test_ok(unwrap(patient, &wrapped));
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
	bh_kms_close(patient);
}

/* Its queue full: connecting itself has to end in time. */
static void test_a_full_queue_is_unreachable_within_the_deadline(void **state)
{
	fixture *f = *state;
	int fds[300];
	size_t count = 0;

	kms_process_stop(&f->agent);
	while (count < 300 && bh_agent_connect(f->agent.socket, bh_agent_now_ms() + 50, &fds[count]) == BH_OK)
		count++;
	test_check(count < 300);
	bh_kms *kms = NULL;
	const bh_kms_options options = { .timeout_ms = SHORT_MS };
	test_status(bh_kms_open(kms_process_cmk(&f->agent, "acme"), &options, &kms), BH_E_KMS_UNREACHABLE);
	while (count > 0)
		close(fds[--count]);
	kms_process_cont(&f->agent);
	bh_kms_close(kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS));
}

static void test_a_killed_agent_is_found_again_after_a_restart(void **state)
{
	fixture *f = *state;
	bh_kms *kms = kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS);
	bh_buf wrapped = { 0 };

	test_ok(wrap(kms, &wrapped));
	for (int i = 0; i < 3; i++) {
		kms_process_kill(&f->agent);
		test_check(file_exists(f->agent.socket)); /* left behind, and nobody's */
		test_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
		kms_process_restart(&f->agent);
		test_ok(unwrap(kms, &wrapped));
	}
	kms_process_end(&f->agent);
	test_check(!file_exists(f->agent.socket));
	test_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

/* A directory that is not mounted, or an empty one in its place, says nothing of its keys. */
static void test_a_directory_that_is_gone_is_unreachable(void **state)
{
	fixture *f = *state;
	bh_kms *kms = kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS), *other = NULL;
	bh_buf wrapped = { 0 };
	char aside[PATH_SIZE];

	path_join(aside, f->ws.root, "aside");
	test_ok(wrap(kms, &wrapped));
	test_check(rename(f->ws.kms, aside) == 0);
	test_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	test_check(mkdir(f->ws.kms, 0700) == 0);
	test_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	test_status(bh_kms_open(kms_process_cmk(&f->agent, "beta"), NULL, &other), BH_E_KMS_UNREACHABLE);
	test_check(rmdir(f->ws.kms) == 0 && rename(aside, f->ws.kms) == 0);
	test_ok(unwrap(kms, &wrapped));
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

/* Of an agent with these arguments (NULL ends them), which must not come up. */
static int agent_exit_code(const char *const args[8])
{
	const char *argv[10] = { "bhkms-agent" };
	int status = 0;
	pid_t agent = fork();

	if (agent == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, STDERR_FILENO);
		dup2(null, STDOUT_FILENO);
		for (size_t i = 0; i < 8; i++)
			argv[i + 1] = args[i];
		execv(BH_TEST_AGENT, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	test_check(waitpid(agent, &status, 0) == agent);
	test_check(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_one_agent_a_socket(void **state)
{
	fixture *f = *state;
	const char *const args[8] = { "--dir", f->agent.dir, "--socket", f->agent.socket };

	test_check(agent_exit_code(args) == bh_status_exit_code(BH_E_BUSY));
	bh_kms_close(kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS));
}

/* How a start that cannot work ends: with the code that says why, and nothing made. */
static void test_refuses_bad_starts(void **state)
{
	fixture *f = *state;
	char file[PATH_SIZE], fresh[PATH_SIZE], nowhere[PATH_SIZE];
	const struct {
		bh_status status;
		const char *args[8];
	} starts[] = {
		{ BH_E_INVALID, { "--dir", f->ws.kms } },
		{ BH_E_INVALID, { "--dir", f->ws.kms, "--socket", fresh, "--nonsense" } },
		{ BH_E_INVALID, { "--dir", f->ws.kms, "--socket", fresh, "--passphrase-fd", "x" } },
		{ BH_E_INVALID, { "--dir", f->ws.kms, "--socket", "" } },
		{ BH_E_KMS_UNREACHABLE, { "--dir", nowhere, "--socket", fresh } },
		{ BH_E_KMS_UNREACHABLE, { "--dir", f->ws.root, "--socket", fresh } },
		{ BH_E_EXISTS, { "--dir", f->ws.kms, "--socket", file } },
	};

	path_join(file, f->ws.root, "file");
	path_join(fresh, f->ws.root, "fresh");
	path_join(nowhere, f->ws.root, "nowhere");
	file_write(file, bh_view_str("not a socket"));
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		test_check(agent_exit_code(starts[i].args) == bh_status_exit_code(starts[i].status));
		test_check(!file_exists(fresh));
	}
	test_check(file_exists(file));
}

static void as_nobody(void *arg)
{
	const char *uri = arg;
	bh_kms *kms = NULL;

	test_check(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	test_status(bh_kms_open(uri, NULL, &kms), BH_E_KMS_REFUSED);
}

/* By the socket's mode; and, were that changed, by what the kernel says of the client. */
static void test_another_user_is_refused(void **state)
{
	fixture *f = *state;
	struct stat st;
	char uri[PATH_SIZE + 80];

	test_check(stat(f->agent.socket, &st) == 0);
	test_check(S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0600);
	if (geteuid() != 0)
		skip(); /* only root can be somebody else */
	snprintf(uri, sizeof(uri), "%s", kms_process_cmk(&f->agent, "acme"));
	test_check(chmod(f->ws.root, 0755) == 0);
	test_child_ok(as_nobody, uri);
	test_check(chmod(f->agent.socket, 0666) == 0);
	test_child_ok(as_nobody, uri);
}

/* A socket of somebody else's in the agent's place gets no key from us. Both sides go by a relative name: the directories above may
 * be closed to whom they become. */
static void serve_as_nobody(void *arg)
{
	const char *path = "sock";
	struct sockaddr_un address;
	char byte;

	test_check(chdir(arg) == 0);
	test_check(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	test_ok(bh_agent_address(path, &address));
	test_check(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0);
	test_check(chmod(path, 0666) == 0);
	int client = accept(fd, NULL, NULL);
	test_check(client >= 0);
	test_check(recv(client, &byte, 1, 0) == 0); /* it hung up without a word */
}

static void open_as_another(void *arg)
{
	bh_kms *kms = NULL;

	test_check(chdir(arg) == 0);
	test_check(setresgid(65533, 65533, 65533) == 0 && setresuid(65533, 65533, 65533) == 0);
	test_status(bh_kms_open("agent:sock#acme", NULL, &kms), BH_E_KMS_REFUSED);
	test_message_names("65534");
}

static void test_a_strangers_socket_gets_nothing(void **state)
{
	fixture *f = *state;
	char dir[PATH_SIZE], path[PATH_SIZE];

	if (geteuid() != 0)
		skip();
	path_join(dir, f->ws.root, "open");
	path_join(path, dir, "sock");
	test_check(mkdir(dir, 0777) == 0 && chmod(dir, 0777) == 0);
	pid_t stranger = test_child_start(serve_as_nobody, dir);
	struct stat st;
	for (int i = 0; i < 6000 && (stat(path, &st) != 0 || (st.st_mode & 0777) != 0666); i++)
		usleep(10 * 1000);
	test_child_ok(open_as_another, dir);
	test_check(test_child_wait(stranger) == 0);
}

/* Bytes that are no request, and clients that say nothing, do not hold up the others. */
static void test_the_agent_survives_bad_clients(void **state)
{
	static const char *const rubbish[] = { "", "x", "\xff\xff\xff\xff", "\4\0\0\0abcd", "\10\0\0\0BHKQ\1" };
	fixture *f = *state;
	int idle[48];

	for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
		int fd = -1;
		test_ok(bh_agent_connect(f->agent.socket, bh_agent_now_ms() + LONG_MS, &fd));
		test_ok(bh_agent_send(fd, bh_view_str(rubbish[i]), bh_agent_now_ms() + LONG_MS));
		close(fd);
	}
	for (size_t i = 0; i < 48; i++)
		test_ok(bh_agent_connect(f->agent.socket, bh_agent_now_ms() + LONG_MS, &idle[i]));
	bh_kms_close(kms_open(kms_process_cmk(&f->agent, "acme"), LONG_MS));
	for (size_t i = 0; i < 48; i++)
		close(idle[i]);
}

static void test_many_threads(void **state)
{
	fixture *f = *state;
	caller callers[6];

	for (size_t i = 0; i < 6; i++) {
		callers[i] = (caller){ .uri = kms_process_cmk(&f->agent, i % 2 == 0 ? "acme" : "beta") };
		char *own = strdup(callers[i].uri);
		callers[i].uri = own;
		test_check(pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]) == 0);
	}
	for (size_t i = 0; i < 6; i++) {
		pthread_join(callers[i].thread, NULL);
		test_status(callers[i].status, BH_OK);
		free((void *)(uintptr_t)callers[i].uri);
	}
}

/* A directory under a passphrase: the agent has it, its clients have not. */
static void test_the_agent_keeps_the_passphrase(void **state)
{
	const bh_kms_options options = { .passphrase = "correct horse" };
	fixture *f = *state;
	char dir[PATH_SIZE], socket_path[PATH_SIZE], uri[PATH_SIZE + 80];
	kms_process agent;
	bh_buf wrapped = { 0 };

	path_join(dir, f->ws.root, "locked");
	path_join(socket_path, f->ws.root, "locked-sock");
	snprintf(uri, sizeof(uri), "local:%s#acme", dir);
	test_ok(bh_kms_create(uri, "eu-1", &options));
	setenv("BULKHEAD_KMS_PASSPHRASE", "correct horse", 1);
	kms_process_start(&agent, dir, socket_path, false);
	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	bh_kms *kms = kms_open(kms_process_cmk(&agent, "acme"), LONG_MS), *none = NULL;
	test_ok(wrap(kms, &wrapped));
	test_ok(unwrap(kms, &wrapped));
	test_status(bh_kms_open(uri, NULL, &none), BH_E_KMS_REFUSED);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
	kms_process_end(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wraps_and_unwraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_states_come_through, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_console_stays_at_the_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroys_where_it_may, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_stopped_agent_is_unreachable_within_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_full_queue_is_unreachable_within_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_killed_agent_is_found_again_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_directory_that_is_gone_is_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_agent_a_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_bad_starts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_user_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_strangers_socket_gets_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_agent_survives_bad_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_agent_keeps_the_passphrase, setup, teardown),
	};

	return cmocka_run_group_tests_name("kms_agent", tests, NULL, NULL);
}
