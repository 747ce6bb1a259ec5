// SPDX-License-Identifier: GPL-2.0
/*
 * Whom a process lets trace it beside its parents: PR_SET_PTRACER. Whether a
 * task may trace another shows when it reads its memory, without a trace. That
 * it matters is the same for the whole machine, so it is set for a moment only.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "cr.h"

#define SCOPE	"/proc/sys/kernel/yama/ptrace_scope"

/* Two tasks that are asked whether they may trace a third. */
static struct state {
	int ready, asked, answered[2], result[2];
	int tracee, tracer;
} *state;

static int secret = 77;

/* A user who may trace what is his, but for Yama. */
static void become_user(void)
{
	NEED(!setresuid(65534, 65534, 65534));
	NEED(!prctl(PR_SET_DUMPABLE, 1));
}

static int read_secret(pid_t pid)
{
	int got = 0;
	struct iovec to = { &got, sizeof(got) };
	struct iovec from = { &secret, sizeof(secret) };

	if (process_vm_readv(pid, &to, 1, &from, 1, 0) != sizeof(got))
		return errno;
	return got == secret ? 0 : EIO;
}

static void ask(void *arg)
{
	int i = arg ? 1 : 0;

	become_user();
	if (!i)
		state->tracer = getpid();
	cr_set(&state->ready, 1);
	for (;;) {
		int n = cr_get(&state->asked);

		if (n != cr_get(&state->answered[i])) {
			state->result[i] = read_secret(state->tracee);
			cr_set(&state->answered[i], n);
		}
		cr_msleep(2);
	}
}

static void be_asked(void *arg)
{
	const char *how = arg;
	unsigned long tracer = 0;

	become_user();
	state->tracee = getpid();
	if (*how == 'a')
		tracer = PR_SET_PTRACER_ANY;
	else if (*how == 'o')
		tracer = state->tracer;
	NEED(!prctl(PR_SET_PTRACER, tracer));
	cr_set(&state->ready, 1);
	for (;;)
		pause();
}

static void start(void (*fn)(void *arg), void *arg)
{
	cr_set(&state->ready, 0);
	cr_fork(fn, arg);
	NEED(cr_await(&state->ready, 1));
}

static void need_yama(void)
{
	if (access(SCOPE, W_OK))
		cr_skip("no Yama");
}

static void setup(const char *how)
{
	need_yama();
	state = cr_shared(sizeof(*state));
	start(ask, NULL);
	start(ask, state);
	start(be_asked, (void *)how);
}

static void check(int first, int second)
{
	char scope[16] = "";
	int i;

	NEED(cr_slurp(SCOPE, scope, sizeof(scope)) > 0);
	cr_write_file(SCOPE, "1", 1);
	cr_set(&state->asked, state->asked + 1);
	for (i = 0; i < 2; i++)
		cr_await(&state->answered[i], state->asked);
	cr_write_file(SCOPE, scope, strlen(scope));
	CHECK_EQ(state->result[0], first);
	CHECK_EQ(state->result[1], second);
}

static void none_setup(void)
{
	setup("none");
}

static void none_check(enum cr_phase phase)
{
	check(EPERM, EPERM);
}

static void one_setup(void)
{
	setup("one");
}

static void one_check(enum cr_phase phase)
{
	check(0, EPERM);
}

static void any_setup(void)
{
	setup("any");
}

static void any_check(enum cr_phase phase)
{
	check(0, 0);
}

static void outside_setup(void)
{
	need_yama();
	NEED(!prctl(PR_SET_PTRACER, (unsigned long)getppid()));
}

static void outside_check(enum cr_phase phase)
{
	CHECK_EQ(kill(getppid(), 0), 0);
}

static const struct cr_scenario scenarios[] = {
	{ "yama.none", CR_TREE, none_setup, none_check },
	{ "yama.one", CR_TREE, one_setup, one_check },
	{ "yama.any", CR_TREE, any_setup, any_check },
	{ "yama.outside", CR_SUBTREE, outside_setup, outside_check,
	  CR_REFUSED, "a process outside of the tree trace it" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
