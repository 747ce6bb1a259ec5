// SPDX-License-Identifier: GPL-2.0
/* What prctl(2), sched_setattr(2), seccomp(2) and their like have set. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include "cr.h"

#ifndef PR_FUTEX_HASH
#define PR_FUTEX_HASH			78
#endif
#ifndef PR_FUTEX_HASH_SET_SLOTS
#define PR_FUTEX_HASH_SET_SLOTS		1
#define PR_FUTEX_HASH_GET_SLOTS		2
#endif

/* As the kernel has it; the C library has none, or another. */
struct attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static void set_attr(const struct attr *attr)
{
	NEED(!syscall(SYS_sched_setattr, 0, attr, 0));
}

static struct attr get_attr(void)
{
	struct attr attr = { };

	NEED(!syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0));
	return attr;
}

static void reset_on_fork_setup(void)
{
	const struct attr attr = {
		.size = sizeof(attr),
		.policy = SCHED_FIFO,
		.flags = SCHED_FLAG_RESET_ON_FORK,
		.priority = 3,
	};

	set_attr(&attr);
}

static void reset_on_fork_check(enum cr_phase phase)
{
	struct attr attr = get_attr();
	pid_t pid;

	CHECK_EQ(attr.policy, SCHED_FIFO);
	CHECK_EQ(attr.priority, 3);
	CHECK_EQ(attr.flags, SCHED_FLAG_RESET_ON_FORK);
	pid = fork();
	if (!pid)
		_exit(get_attr().policy);
	cr_reap(pid, SCHED_OTHER);
}

static void slice_setup(void)
{
	const struct attr attr = {
		.size = sizeof(attr),
		.policy = SCHED_OTHER,
		.nice = 4,
		.runtime = 7700000,
	};

	set_attr(&attr);
}

static void slice_check(enum cr_phase phase)
{
	struct attr attr = get_attr();

	CHECK_EQ(attr.policy, SCHED_OTHER);
	CHECK_EQ(attr.nice, 4);
	CHECK_EQ(attr.runtime, 7700000);
}

static void deadline_setup(void)
{
	const struct attr attr = {
		.size = sizeof(attr),
		.policy = SCHED_DEADLINE,
		.flags = SCHED_FLAG_RECLAIM | SCHED_FLAG_RESET_ON_FORK,
		.runtime = 20000000,
		.deadline = 90000000,
		.period = 100000000,
	};

	set_attr(&attr);
}

static void deadline_check(enum cr_phase phase)
{
	struct attr attr = get_attr();

	CHECK_EQ(attr.policy, SCHED_DEADLINE);
	CHECK_EQ(attr.flags, SCHED_FLAG_RECLAIM | SCHED_FLAG_RESET_ON_FORK);
	CHECK_EQ(attr.runtime, 20000000);
	CHECK_EQ(attr.deadline, 90000000);
	CHECK_EQ(attr.period, 100000000);
}

#define KEEP_ALL	(SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS)

/* One clamp is asked for, the other is what it is for all. */
static void clamps_setup(void)
{
	const struct attr attr = {
		.size = sizeof(attr),
		.flags = KEEP_ALL | SCHED_FLAG_UTIL_CLAMP,
		.util_min = 10,
		.util_max = 500,
	};

	if (syscall(SYS_sched_setattr, 0, &attr, 0))
		cr_skip("no utilization clamps");
}

static void clamps_check(enum cr_phase phase)
{
	struct attr attr = get_attr();

	CHECK_EQ(attr.util_min, 10);
	CHECK_EQ(attr.util_max, 500);
}

/* Whether a clamp was asked for shows when the policy changes. */
static void one_clamp_setup(void)
{
	const struct attr attr = {
		.size = sizeof(attr),
		.flags = KEEP_ALL | SCHED_FLAG_UTIL_CLAMP_MAX,
		.util_max = 300,
	};

	if (syscall(SYS_sched_setattr, 0, &attr, 0))
		cr_skip("no utilization clamps");
}

static void one_clamp_check(enum cr_phase phase)
{
	const struct sched_param realtime = { .sched_priority = 2 }, none = { };
	struct attr attr = get_attr();

	CHECK_EQ(attr.util_min, 0);
	CHECK_EQ(attr.util_max, 300);
	CHECK_EQ(sched_setscheduler(0, SCHED_FIFO, &realtime), 0);
	attr = get_attr();
	/* The default of this policy. */
	CHECK(attr.util_min > 0);
	CHECK_EQ(attr.util_max, 300);
	CHECK_EQ(sched_setscheduler(0, SCHED_OTHER, &none), 0);
}

/* A nice value that counts when the policy is an ordinary one again. */
static void nice_behind_setup(void)
{
	const struct sched_param param = { .sched_priority = 2 };

	NEED(!setpriority(PRIO_PROCESS, 0, 9));
	NEED(!sched_setscheduler(0, SCHED_RR, &param));
}

static void nice_behind_check(enum cr_phase phase)
{
	CHECK_EQ(sched_getscheduler(0), SCHED_RR);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 9);
}

#define IOPRIO	IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)

static pid_t plain_child;

static void sleep_on(void *arg)
{
	for (;;)
		pause();
}

static void ioprio_setup(void)
{
	plain_child = cr_fork(sleep_on, NULL);
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO))
		cr_skip("no I/O priorities");
}

static void ioprio_check(enum cr_phase phase)
{
	CHECK_EQ(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0), IOPRIO);
	CHECK(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, plain_child) !=
	      IOPRIO);
}

/* Autogroups: of a session, and of processes whose leader is gone. */
static pid_t *members;

static void session_of_two(void *nice)
{
	NEED(setsid() > 0);
	if (nice)
		cr_write_file("/proc/self/autogroup", nice, strlen(nice));
	members[0] = cr_fork(sleep_on, NULL);
	members[1] = cr_fork(sleep_on, NULL);
	if (nice)
		sleep_on(NULL);
}

static void autogroup_setup(void)
{
	pid_t leader;

	if (access("/proc/self/autogroup", F_OK))
		cr_skip("no autogroups");
	members = cr_shared(6 * sizeof(*members));
	NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	leader = cr_fork(session_of_two, NULL);
	cr_reap(leader, 0);
	members += 3;
	members[2] = cr_fork(session_of_two, "7");
	while (!cr_get(&members[1]))
		cr_msleep(2);
	members -= 3;
	members[2] = getpid();
}

static void autogroup_of(pid_t pid, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/autogroup", pid);
	NEED(cr_slurp(path, buf, size) > 0);
}

static void autogroup_check(enum cr_phase phase)
{
	char text[6][64];
	int i;

	for (i = 0; i < 6; i++)
		autogroup_of(members[i], text[i], sizeof(text[i]));
	CHECK_STR(text[0], text[1]);
	CHECK_STR(text[3], text[4]);
	CHECK_STR(text[3], text[5]);
	CHECK(strcmp(text[0], text[2]));
	CHECK(strcmp(text[0], text[3]));
	CHECK(strcmp(text[2], text[3]));
	CHECK(strstr(text[0], "nice 0"));
	CHECK(strstr(text[3], "nice 7"));
}

static void prctls_setup(void)
{
	NEED(!prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	NEED(!prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
}

static void prctls_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
	CHECK_EQ(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0), 1);
}

#ifdef __x86_64__
static void tsc_setup(void)
{
	NEED(!prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
}

static void tsc_check(enum cr_phase phase)
{
	int mode = 0, status = 0;
	pid_t pid;

	CHECK_EQ(prctl(PR_GET_TSC, &mode), 0);
	CHECK_EQ(mode, PR_TSC_SIGSEGV);
	pid = fork();
	if (!pid) {
		__builtin_ia32_rdtsc();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
#endif

static void speculation_setup(void)
{
	if (prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS,
		  PR_SPEC_DISABLE, 0, 0))
		cr_skip("no control of speculation");
}

static void speculation_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0),
		 PR_SPEC_PRCTL | PR_SPEC_DISABLE);
}

static void futex_hash_setup(void)
{
	if (prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, 64, 0, 0))
		cr_skip("no private hash of futexes");
}

static void futex_hash_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS, 0, 0, 0), 64);
}

/* The global hash, for good. */
static void futex_global_setup(void)
{
	if (prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, 0, 0, 0))
		cr_skip("no private hash of futexes");
}

static void futex_global_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, 32, 0, 0), -1);
	CHECK_EQ(errno, EBUSY);
}

#define REGISTERED	(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | \
			 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)

static void membarrier_setup(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
		    0, 0))
		cr_skip("no membarrier");
	NEED(!syscall(SYS_membarrier,
		      MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
}

static void membarrier_check(enum cr_phase phase)
{
	CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS,
			 0, 0), REGISTERED);
	CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
			 0, 0), 0);
	/* It has not registered for this one. */
	CHECK_EQ(syscall(SYS_membarrier,
			 MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0), -1);
	CHECK_EQ(errno, EPERM);
}

/* A system call that is dispatched unless a switch says otherwise. */
static char dispatch_switch;
static int dispatched;

static void on_dispatch(int sig)
{
	dispatch_switch = SYSCALL_DISPATCH_FILTER_ALLOW;
	dispatched++;
}

static void dispatch_setup(void)
{
	signal(SIGSYS, on_dispatch);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0,
		  &dispatch_switch))
		cr_skip("no dispatch of system calls");
}

static void dispatch_check(enum cr_phase phase)
{
	int before = dispatched;

	dispatch_switch = SYSCALL_DISPATCH_FILTER_BLOCK;
	syscall(SYS_getppid);
	CHECK_EQ(dispatched, before + 1);
	CHECK_EQ(dispatch_switch, SYSCALL_DISPATCH_FILTER_ALLOW);
}

/* A filter that lets one system call fail. */
static int add_filter(long nr, int err, unsigned int flags)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {
		.len = ARRAY_SIZE(insns),
		.filter = insns,
	};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

static void check_fails(long nr, int err)
{
	errno = 0;
	CHECK_EQ(syscall(nr, -1, -1, -1), -1);
	CHECK_EQ(errno, err);
}

static void filter_setup(void)
{
	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	NEED(!add_filter(SYS_getppid, 77, 0));
	NEED(!add_filter(SYS_setsid, 78, SECCOMP_FILTER_FLAG_LOG));
}

static void filter_check(enum cr_phase phase)
{
	check_fails(SYS_getppid, 77);
	check_fails(SYS_setsid, 78);
	CHECK(getpgrp() >= 0);
	CHECK_EQ(prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

/* Of the same system call, the last filter with the least errno counts. */
static void order_setup(void)
{
	int i;

	for (i = 0; i < 20; i++)
		NEED(!add_filter(SYS_getppid, 60 + i, 0));
}

static void order_check(enum cr_phase phase)
{
	check_fails(SYS_getppid, 79);
	/* It has its privileges still. */
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

/* A user who may not do anything, and keeps to what it was given. */
static void confined_user_setup(void)
{
	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	NEED(!setresuid(65534, 65534, 65534));
	NEED(!add_filter(SYS_getppid, 77, 0));
}

static void confined_user_check(enum cr_phase phase)
{
	check_fails(SYS_getppid, 77);
	CHECK_EQ(geteuid(), 65534);
}

/* A child has what its parent had, and more. */
static struct turn {
	int asked, told;
	int parents, own;
} *turn;

static int errno_of(long nr)
{
	errno = 0;
	return syscall(nr, -1, -1, -1) < 0 ? errno : 0;
}

static void confined_child(void *arg)
{
	NEED(!add_filter(SYS_setsid, 78, 0));
	for (;;) {
		int n = cr_get(&turn->asked);

		if (n != cr_get(&turn->told)) {
			turn->parents = errno_of(SYS_getppid);
			turn->own = errno_of(SYS_setsid);
			cr_set(&turn->told, n);
		}
		cr_msleep(2);
	}
}

static void child_setup(void)
{
	turn = cr_shared(sizeof(*turn));
	NEED(!add_filter(SYS_getppid, 77, 0));
	cr_fork(confined_child, NULL);
}

static void child_check(enum cr_phase phase)
{
	cr_set(&turn->asked, turn->asked + 1);
	cr_await(&turn->told, turn->asked);
	CHECK_EQ(turn->parents, 77);
	CHECK_EQ(turn->own, 78);
	check_fails(SYS_getppid, 77);
	CHECK(errno_of(SYS_setsid) != 78);
}

/*
 * Threads that share their filters can be given another one at once, which
 * those that only have equal ones cannot.
 */
static int thread_asked, thread_told, thread_errno;

static void *confined_thread(void *arg)
{
	for (;;) {
		int n = cr_get(&thread_asked);

		if (n != cr_get(&thread_told)) {
			thread_errno = errno_of(SYS_getppid);
			cr_set(&thread_told, n);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void tsync_setup(void)
{
	pthread_t id;

	NEED(!add_filter(SYS_setsid, 78, 0));
	NEED(!pthread_create(&id, NULL, confined_thread, NULL));
	NEED(!add_filter(SYS_getppid, 60, SECCOMP_FILTER_FLAG_TSYNC));
}

static void tsync_check(enum cr_phase phase)
{
	CHECK_EQ(add_filter(SYS_getppid, 61 + phase, SECCOMP_FILTER_FLAG_TSYNC),
		 0);
	cr_set(&thread_asked, thread_asked + 1);
	cr_await(&thread_told, thread_asked);
	CHECK_EQ(thread_errno, 61 + phase);
}

/* In the strict mode a task can read, write and end, nothing else. */
static int to_strict[2], from_strict[2];

static void strict_child(void *arg)
{
	char byte;

	NEED(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	for (;;) {
		if (read(to_strict[0], &byte, 1) != 1 || byte == 'x')
			break;
		byte++;
		if (write(from_strict[1], &byte, 1) != 1)
			break;
	}
	/* This is forbidden, and the end. */
	syscall(SYS_getppid);
	syscall(SYS_exit, 1);
}

static pid_t strict;

static void strict_setup(void)
{
	NEED(!pipe(to_strict) && !pipe(from_strict));
	strict = cr_fork(strict_child, NULL);
}

static void strict_check(enum cr_phase phase)
{
	char byte = 'a' + phase;
	int status = 0;

	CHECK_EQ(write(to_strict[1], &byte, 1), 1);
	CHECK_EQ(read(from_strict[0], &byte, 1), 1);
	CHECK_EQ(byte, 'b' + phase);
	if (phase != CR_AGAIN)
		return;
	CHECK_EQ(write(to_strict[1], "x", 1), 1);
	CHECK_EQ(waitpid(strict, &status, 0), strict);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Somebody is asked about each call: that cannot be brought back. */
static void listener_setup(void)
{
	NEED(add_filter(SYS_setsid, 78, SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0);
}

static void listener_check(enum cr_phase phase)
{
	check_fails(SYS_setsid, 78);
}

static const struct cr_scenario scenarios[] = {
	{ "sched.reset_on_fork", CR_ANY, reset_on_fork_setup,
	  reset_on_fork_check },
	{ "sched.slice", CR_ANY, slice_setup, slice_check },
	{ "sched.deadline", CR_ANY, deadline_setup, deadline_check },
	{ "sched.clamps", CR_ANY, clamps_setup, clamps_check },
	{ "sched.one_clamp", CR_ANY, one_clamp_setup, one_clamp_check },
	{ "sched.nice_behind_realtime", CR_ANY, nice_behind_setup,
	  nice_behind_check },
	{ "sched.autogroup", CR_SUBTREE, autogroup_setup, autogroup_check },
	{ "sched.io_priority", CR_TREE, ioprio_setup, ioprio_check },
	{ "prctl.mce_and_flusher", CR_ANY, prctls_setup, prctls_check },
#ifdef __x86_64__
	{ "prctl.tsc", CR_ANY, tsc_setup, tsc_check },
#endif
	{ "prctl.speculation", CR_ANY, speculation_setup, speculation_check },
	{ "prctl.futex_hash", CR_ANY, futex_hash_setup, futex_hash_check },
	{ "prctl.futex_global", CR_ANY, futex_global_setup,
	  futex_global_check },
	{ "prctl.dispatch", CR_ANY, dispatch_setup, dispatch_check },
	{ "membarrier.registered", CR_ANY, membarrier_setup,
	  membarrier_check },
	{ "seccomp.filter", CR_ANY, filter_setup, filter_check },
	{ "seccomp.order", CR_ANY, order_setup, order_check },
	{ "seccomp.user", CR_TREE, confined_user_setup, confined_user_check },
	{ "seccomp.child", CR_TREE, child_setup, child_check },
	{ "seccomp.threads", CR_TREE, tsync_setup, tsync_check },
	{ "seccomp.strict", CR_TREE, strict_setup, strict_check },
	{ "seccomp.listener", CR_TREE, listener_setup, listener_check,
	  CR_REFUSED, "with a listener" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
