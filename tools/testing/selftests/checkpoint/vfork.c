// SPDX-License-Identifier: GPL-2.0
/* Parents that wait in vfork() for a child, which has their memory meanwhile. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "cr.h"

struct wait {
	int go;		/* the child may go on */
	int rounds;	/* how often vfork() has returned in the parent */
	int depth;	/* how many forbears of the child wait as well */
	pid_t child;	/* as the last child sees itself */
	pid_t got;	/* what vfork() returned */
	int status;	/* how the child ended */
	int counts;	/* goes on while another thread waits */
};

static struct wait *w;
static void (*child_end)(void);
static int rounds_seen;

static void end_exit(void)
{
	_exit(33);
}

/* Executes this program, which finds nothing to do. */
static void end_exec(void)
{
	char * const argv[] = { "vfork", "--victim", "none", "none", "none",
				NULL };

	execv("/proc/self/exe", argv);
	_exit(1);
}

static __attribute_noinline__ void child_main(void)
{
	w->child = syscall(SYS_getpid);
	cr_set(&w->go, 0);
	while (!cr_get(&w->go))
		cr_msleep(2);
	child_end();
}

static __attribute_noinline__ void one_round(int depth)
{
	pid_t pid = vfork();

	if (!pid) {
		if (!depth)
			child_main();
		one_round(depth - 1);
		_exit(33);
	}
	w->got = pid;
	if (waitpid(pid, &w->status, 0) != pid)
		w->status = -1;
}

static void *rounds(void *arg)
{
	for (;;) {
		one_round(w->depth);
		cr_set(&w->rounds, w->rounds + 1);
	}
	return NULL;
}

static void parent_main(void *arg)
{
	rounds(NULL);
}

static void await_child(void)
{
	cr_await(&w->go, 0);
	CHECK_EQ(cr_get(&w->rounds), rounds_seen);
}

static void start(void (*end)(void), int depth, void (*parent)(void *arg))
{
	w = cr_shared(sizeof(*w));
	w->go = 1;
	w->depth = depth;
	child_end = end;
	cr_fork(parent, NULL);
	await_child();
}

static void let_go(int status)
{
	cr_msleep(20);
	CHECK_EQ(cr_get(&w->rounds), rounds_seen);
	cr_set(&w->go, 1);
	cr_await(&w->rounds, ++rounds_seen);
	CHECK_EQ(w->status, status);
	await_child();
}

static void exit_setup(void)
{
	start(end_exit, 0, parent_main);
}

static void exit_check(enum cr_phase phase)
{
	pid_t child = w->child;

	let_go(33 << 8);
	CHECK_EQ(w->got, child);
}

static void exec_setup(void)
{
	start(end_exec, 0, parent_main);
}

static void exec_check(enum cr_phase phase)
{
	pid_t child = w->child;

	let_go(104 << 8);
	CHECK_EQ(w->got, child);
}

/* The child itself waits in vfork(), and so does its child. */
static void nested_setup(void)
{
	start(end_exit, 2, parent_main);
}

static void nested_check(enum cr_phase phase)
{
	let_go(33 << 8);
}

static void killed_check(enum cr_phase phase)
{
	pid_t child = w->child;

	CHECK_EQ(kill(child, SIGKILL), 0);
	cr_await(&w->rounds, ++rounds_seen);
	CHECK_EQ(w->status, SIGKILL);
	CHECK_EQ(w->got, child);
	cr_msleep(100);
}

/* One thread waits, the others go on. */
static void threads_main(void *arg)
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, rounds, NULL));
	for (;;) {
		cr_set(&w->counts, w->counts + 1);
		cr_msleep(1);
	}
}

static void thread_setup(void)
{
	start(end_exit, 0, threads_main);
}

static void thread_check(enum cr_phase phase)
{
	int n = cr_get(&w->counts);

	cr_msleep(50);
	CHECK(cr_get(&w->counts) != n);
	exit_check(phase);
}

/* What was restarted in vfork() is saved and restarted again. */
static void again_drive(struct cr_run *run)
{
	int i;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	for (i = 0; i < 3; i++)
		if (!cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
		    !cr_none_left(run) || !cr_restart(run, "image", 0))
			return;
	cr_check(run, CR_AGAIN);
}

/* A child that is none of the parent's, and not of the tree. */
static int sleep_outside(void *arg)
{
	for (;;)
		pause();
	return 0;
}

static struct cr_task outside_task;

static void *vfork_outside(void *arg)
{
	static char stack[16384];

	cr_here(&outside_task);
	clone(sleep_outside, stack + sizeof(stack),
	      CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, NULL);
	return NULL;
}

static void outside_setup(void)
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, vfork_outside, NULL));
	cr_msleep(50);
}

static void outside_check(enum cr_phase phase)
{
	CHECK(cr_blocks_in(&outside_task, SYS_clone));
}

/* A stop that is not complete, since one thread waits in vfork(). */
static pid_t stopping;

static void stopping_main(void *arg)
{
	w->got = getpid();
	threads_main(NULL);
}

static void stopping_setup(void)
{
	start(end_exit, 0, stopping_main);
	stopping = w->got;
	NEED(!kill(stopping, SIGSTOP));
	cr_msleep(50);
}

static void stopping_check(enum cr_phase phase)
{
	siginfo_t info = { };
	int n = cr_get(&w->counts);

	cr_msleep(50);
	CHECK_EQ(cr_get(&w->counts), n);
	CHECK_EQ(waitid(P_PID, stopping, &info, WSTOPPED | WNOHANG), 0);
	CHECK_EQ(info.si_pid, 0);
}

static const struct cr_scenario scenarios[] = {
	{ "vfork.exit", CR_TREE, exit_setup, exit_check },
	{ "vfork.exec", CR_TREE, exec_setup, exec_check },
	{ "vfork.of_thread", CR_TREE, thread_setup, thread_check },
	{ "vfork.nested", CR_TREE, nested_setup, nested_check },
	{ "vfork.killed", CR_TREE, exit_setup, killed_check },
	{ "vfork.again", CR_TREE, exit_setup, exit_check,
	  .drive = again_drive },
	{ "vfork.outside", CR_SUBTREE, outside_setup, outside_check,
	  CR_REFUSED, "vfork(2) for a process" },
	{ "vfork.stopping", CR_TREE, stopping_setup, stopping_check,
	  CR_REFUSED, "to be stopped" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
