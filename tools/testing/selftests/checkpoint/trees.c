// SPDX-License-Identifier: GPL-2.0
/* Trees of very many processes and threads, wide and deep. */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "cr.h"

#define MOST	1000
#define MANY	(MOST / (int)cr_slowness())

/* What a task says about itself when it is asked. */
struct member {
	pid_t pid, ppid, tid;
};

struct census {
	int turn;	/* the number of the question */
	int told;	/* how many have answered */
	struct member members[MOST];
};

static struct census *census;
static struct member were[MOST];

static void *answer_always(void *arg)
{
	struct member *me = arg;
	int turn = 0;

	for (;;) {
		while (cr_get(&census->turn) == turn)
			syscall(SYS_futex, &census->turn, FUTEX_WAIT, turn,
				NULL, NULL, 0);
		turn = cr_get(&census->turn);
		me->pid = getpid();
		me->ppid = getppid();
		me->tid = syscall(SYS_gettid);
		__atomic_add_fetch(&census->told, 1, __ATOMIC_ACQ_REL);
	}
	return NULL;
}

static void ask_all(void)
{
	cr_set(&census->told, 0);
	cr_set(&census->turn, cr_get(&census->turn) + 1);
	syscall(SYS_futex, &census->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	cr_await(&census->told, MANY);
}

static void remember(void)
{
	ask_all();
	memcpy(were, census->members, sizeof(were));
}

static void same_check(enum cr_phase phase)
{
	memset(census->members, 0, sizeof(census->members));
	ask_all();
	CHECK_MEM(census->members, were, sizeof(were));
}

static void leaf(void *arg)
{
	answer_always(arg);
}

static void wide_setup(void)
{
	size_t i;

	census = cr_shared(sizeof(*census));
	for (i = 0; i < MANY; i++)
		cr_fork(leaf, &census->members[i]);
	remember();
	for (i = 0; i < MANY; i++)
		CHECK_EQ(were[i].ppid, getpid());
}

/*
 * The memory of a process has a list of all forebears that it was forked from,
 * so that much longer chains are the fork()s' own undoing.
 */
#define CHAINS	5
#define DEPTH	(MANY / CHAINS)

static void deep_setup(void)
{
	size_t i, j;
	pid_t pid;

	census = cr_shared(sizeof(*census));
	for (i = 0; i < MANY; i += DEPTH) {
		pid = fork();
		for (j = i; !pid; j++) {
			if (j + 1 < i + DEPTH)
				pid = fork();
			if (pid || j + 1 == i + DEPTH)
				answer_always(&census->members[j]);
		}
		NEED(pid > 0);
	}
	remember();
	for (i = 0; i < MANY; i++)
		CHECK_EQ(were[i].ppid,
			 i % DEPTH ? were[i - 1].pid : getpid());
}

static void threads_setup(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	size_t i;

	census = cr_shared(sizeof(*census));
	pthread_attr_init(&attr);
	NEED(!pthread_attr_setstacksize(&attr, 65536));
	for (i = 0; i < MANY; i++)
		NEED(!pthread_create(&thread, &attr, answer_always,
				     &census->members[i]));
	remember();
	for (i = 0; i < MANY; i++)
		CHECK_EQ(were[i].pid, getpid());
}

/* All are children of one process, and nobody has waited for them. */
static void zombies_setup(void)
{
	size_t i;

	for (i = 0; i < MANY; i++) {
		were[i].pid = fork();
		NEED(were[i].pid >= 0);
		if (!were[i].pid)
			_exit(i % 256);
	}
	for (i = 0; i < MANY; i++)
		NEED(!waitid(P_PID, were[i].pid, &(siginfo_t){ },
			     WEXITED | WNOWAIT));
}

static void zombies_check(enum cr_phase phase)
{
	siginfo_t info;
	size_t i;

	for (i = 0; i < MANY; i++) {
		CHECK_EQ(waitid(P_PID, were[i].pid, &info,
				WEXITED | WNOHANG | WNOWAIT), 0);
		CHECK_EQ(info.si_pid, were[i].pid);
		CHECK_EQ(info.si_status, i % 256);
	}
}

static const struct cr_scenario scenarios[] = {
	{ "tree.wide", CR_TREE, wide_setup, same_check,
	  .many_tasks = true },
	{ "tree.deep", CR_TREE, deep_setup, same_check,
	  .many_tasks = true },
	{ "tree.threads", CR_TREE, threads_setup, same_check,
	  .many_tasks = true },
	{ "tree.zombies", CR_TREE, zombies_setup, zombies_check,
	  .many_tasks = true },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
