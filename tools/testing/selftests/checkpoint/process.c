// SPDX-License-Identifier: GPL-2.0
/* Trees of processes and threads: their numbers, their ends, their names. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/personality.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/wait.h>
#include <linux/perf_event.h>
#include <linux/sched.h>

#include "cr.h"

/* What a task says about itself when it is asked. */
struct ids {
	int ask;	/* the number of a question */
	int told;	/* the number of the last answer */
	pid_t pid, ppid, tid, pgid, sid;
};

static void answer(struct ids *ids)
{
	ids->pid = getpid();
	ids->ppid = getppid();
	ids->tid = syscall(SYS_gettid);
	ids->pgid = getpgrp();
	ids->sid = getsid(0);
}

static void *serve(void *arg)
{
	struct ids *ids = arg;
	int n;

	for (;;) {
		n = cr_get(&ids->ask);
		if (n < 0)
			syscall(SYS_exit, 7);
		if (n != cr_get(&ids->told)) {
			answer(ids);
			cr_set(&ids->told, n);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void ask(struct ids *ids)
{
	int n = cr_get(&ids->ask) + 1;

	cr_set(&ids->ask, n);
	cr_await(&ids->told, n);
}

static void check_same(struct ids *ids, const struct ids *want)
{
	ask(ids);
	CHECK_EQ(ids->pid, want->pid);
	CHECK_EQ(ids->ppid, want->ppid);
	CHECK_EQ(ids->tid, want->tid);
	CHECK_EQ(ids->pgid, want->pgid);
	CHECK_EQ(ids->sid, want->sid);
}

static struct ids mine;

static void ids_setup(void)
{
	answer(&mine);
	CHECK_EQ(mine.tid, mine.pid);
	CHECK_EQ(mine.sid, mine.pid);
	CHECK_EQ(mine.pgid, mine.pid);
	CHECK_EQ(mine.pid == 1, cr_mode == CR_CONTAINER);
}

static void ids_check(enum cr_phase phase)
{
	struct ids now;

	answer(&now);
	CHECK_EQ(now.pid, mine.pid);
	CHECK_EQ(now.ppid, mine.ppid);
	CHECK_EQ(now.tid, mine.tid);
	CHECK_EQ(now.pgid, mine.pgid);
	CHECK_EQ(now.sid, mine.sid);
}

/* Three children that have three children each. */
#define WIDTH	3
#define TREE	(WIDTH + WIDTH * WIDTH)

static struct ids *tree;
static struct ids tree_was[TREE];

static void leaf(void *arg)
{
	serve(arg);
}

static void branch(void *arg)
{
	struct ids *ids = arg;
	size_t first = WIDTH + (ids - tree) * WIDTH;
	size_t i;

	for (i = 0; i < WIDTH; i++)
		cr_fork(leaf, &tree[first + i]);
	serve(ids);
}

static void tree_setup(void)
{
	size_t i;

	tree = cr_shared(TREE * sizeof(*tree));
	for (i = 0; i < WIDTH; i++)
		cr_fork(branch, &tree[i]);
	for (i = 0; i < TREE; i++) {
		ask(&tree[i]);
		tree_was[i] = tree[i];
	}
	for (i = 0; i < TREE; i++)
		CHECK_EQ(tree[i].ppid, i < WIDTH ? getpid() :
			 tree[(i - WIDTH) / WIDTH].pid);
}

static void tree_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < TREE; i++)
		check_same(&tree[i], &tree_was[i]);
}

/* A chain, each the child of the one before. */
#define DEPTH	25

static void link_of_chain(void *arg)
{
	struct ids *ids = arg;

	if (ids + 1 < tree + DEPTH)
		cr_fork(link_of_chain, ids + 1);
	serve(ids);
}

static struct ids chain_was[DEPTH];

static void chain_setup(void)
{
	size_t i;

	tree = cr_shared(DEPTH * sizeof(*tree));
	cr_fork(link_of_chain, tree);
	for (i = 0; i < DEPTH; i++) {
		ask(&tree[i]);
		chain_was[i] = tree[i];
		CHECK_EQ(tree[i].ppid, i ? tree[i - 1].pid : getpid());
	}
}

static void chain_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < DEPTH; i++)
		check_same(&tree[i], &chain_was[i]);
}

#define MANY	40

static void many_setup(void)
{
	size_t i;

	tree = cr_shared(MANY * sizeof(*tree));
	for (i = 0; i < MANY; i++)
		cr_fork(leaf, &tree[i]);
}

static void many_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < MANY; i++) {
		ask(&tree[i]);
		CHECK_EQ(tree[i].ppid, getpid());
		CHECK_EQ(kill(tree[i].pid, 0), 0);
	}
}

/* Threads, each with thread-local memory. */
#define THREADS	4

static struct ids threads[THREADS], threads_were[THREADS];
static pthread_t handles[THREADS];
static __thread unsigned long local;
static unsigned long *locals[THREADS];

static void *thread_main(void *arg)
{
	struct ids *ids = arg;

	local = 0x1234567890UL + (ids - threads);
	locals[ids - threads] = &local;
	return serve(arg);
}

static void threads_setup(void)
{
	size_t i;

	for (i = 0; i < THREADS; i++) {
		NEED(!pthread_create(&handles[i], NULL, thread_main,
				     &threads[i]));
		ask(&threads[i]);
		threads_were[i] = threads[i];
		CHECK_EQ(threads[i].pid, getpid());
		CHECK(threads[i].tid != getpid());
	}
}

static void threads_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < THREADS; i++) {
		check_same(&threads[i], &threads_were[i]);
		CHECK_EQ(*locals[i], 0x1234567890UL + i);
		CHECK_EQ(syscall(SYS_tgkill, getpid(), threads[i].tid, 0), 0);
	}
}

/* The threads of a child: tree[0] is its leader, tree[1..] its threads. */
static void child_threads(void *arg)
{
	pthread_t thread;
	size_t i;

	for (i = 1; i <= THREADS; i++)
		NEED(!pthread_create(&thread, NULL, serve, &tree[i]));
	serve(&tree[0]);
}

static void child_threads_setup(void)
{
	size_t i;

	tree = cr_shared((THREADS + 1) * sizeof(*tree));
	cr_fork(child_threads, NULL);
	for (i = 0; i <= THREADS; i++) {
		ask(&tree[i]);
		tree_was[i] = tree[i];
		CHECK_EQ(tree[i].pid, tree[0].pid);
		CHECK_EQ(tree[i].ppid, getpid());
	}
}

static void child_threads_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i <= THREADS; i++)
		check_same(&tree[i], &tree_was[i]);
}

/* pthread_join() waits for what the kernel does with clear_child_tid. */
static int leave;

static void *leaver(void *arg)
{
	while (!cr_get(&leave))
		cr_msleep(2);
	return (void *)0x77;
}

static void join_setup(void)
{
	NEED(!pthread_create(&handles[0], NULL, leaver, NULL));
}

static void join_check(enum cr_phase phase)
{
	struct timespec end;
	void *result = NULL;

	cr_set(&leave, 1);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += CR_TIMEOUT_MS / 1000;
	CHECK_EQ(pthread_timedjoin_np(handles[0], &result, &end), 0);
	CHECK_EQ((uintptr_t)result, 0x77);
	cr_set(&leave, 0);
	join_setup();
}

/* The leader is dead, its last thread is not. */
static struct cr_task *leader_task;

static void *outlive_leader(void *arg)
{
	return serve(&tree[0]);
}

static void dead_leader(void *arg)
{
	pthread_t thread;

	cr_here(leader_task);
	NEED(!pthread_create(&thread, NULL, outlive_leader, NULL));
	syscall(SYS_exit, 5);
}

static pid_t child;

static void dead_leader_setup(void)
{
	siginfo_t info = { };

	leader_task = cr_shared(sizeof(*leader_task));
	tree = cr_shared(sizeof(*tree));
	child = cr_fork(dead_leader, NULL);
	ask(&tree[0]);
	tree_was[0] = tree[0];
	/* Until it is one, the leader's thread would be saved alive. */
	cr_msleep(100);
	NEED(!waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT));
	CHECK_EQ(info.si_pid, 0);
}

static void dead_leader_check(enum cr_phase phase)
{
	char path[96], stat[512] = "", *end;

	check_same(&tree[0], &tree_was[0]);
	CHECK_EQ(tree[0].pid, child);
	CHECK(tree[0].tid != child);
	if (cr_mode == CR_CONTAINER && phase == CR_AGAIN)
		return;
	snprintf(path, sizeof(path), "/proc/%s/stat", leader_task->proc);
	CHECK(cr_slurp(path, stat, sizeof(stat)) > 0);
	end = strrchr(stat, ')');
	CHECK(end && end[2] == 'Z');
}

/* Its last thread ends as well, and with it the process. */
static void dead_leader_ends_check(enum cr_phase phase)
{
	int status = 0;

	check_same(&tree[0], &tree_was[0]);
	CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
	cr_set(&tree[0].ask, -1);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 7 << 8);
	dead_leader_setup();
}

/*
 * Many threads without their leader: with a handler, a signal that waits for
 * the process, and children.
 */
static int *usr1;

static void count_usr1(int sig)
{
	__atomic_add_fetch(usr1, 1, __ATOMIC_ACQ_REL);
}

static void *orphan_thread(void *arg)
{
	struct ids *ids = arg;

	cr_fork(leaf, ids + THREADS);
	return serve(ids);
}

static void dead_leader_of_many(void *arg)
{
	struct sigaction act = { .sa_handler = count_usr1 };
	pthread_t thread;
	sigset_t set;
	size_t i;

	NEED(!sigaction(SIGUSR1, &act, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
	NEED(!kill(getpid(), SIGUSR2));
	for (i = 0; i < THREADS; i++)
		NEED(!pthread_create(&thread, NULL, orphan_thread, &tree[i]));
	syscall(SYS_exit, 5);
}

static void dead_leader_many_setup(void)
{
	size_t i;

	usr1 = cr_shared(sizeof(*usr1));
	tree = cr_shared(2 * THREADS * sizeof(*tree));
	child = cr_fork(dead_leader_of_many, NULL);
	for (i = 0; i < 2 * THREADS; i++) {
		ask(&tree[i]);
		tree_was[i] = tree[i];
	}
	cr_msleep(100);
}

static void dead_leader_many_check(enum cr_phase phase)
{
	char path[64], status[4096] = "";
	size_t i;

	for (i = 0; i < 2 * THREADS; i++) {
		check_same(&tree[i], &tree_was[i]);
		CHECK_EQ(i < THREADS ? tree[i].pid : tree[i].ppid, child);
	}
	cr_set(usr1, 0);
	CHECK_EQ(kill(child, SIGUSR1), 0);
	cr_await(usr1, 1);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	if (cr_mode == CR_CONTAINER)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", child,
		 tree[1].tid);
	CHECK(cr_slurp(path, status, sizeof(status)) > 0);
	CHECK(strstr(status, "ShdPnd:\t0000000000000800"));
}

/* Dead children that nobody has waited for. */
static void exit_42(void *arg)
{
	_exit(42);
}

static void kill_self(void *arg)
{
	kill(getpid(), SIGKILL);
}

static pid_t zombies[2];

static void zombies_setup(void)
{
	siginfo_t info;

	zombies[0] = cr_fork(exit_42, NULL);
	zombies[1] = cr_fork(kill_self, NULL);
	NEED(!waitid(P_PID, zombies[0], &info, WEXITED | WNOWAIT));
	NEED(!waitid(P_PID, zombies[1], &info, WEXITED | WNOWAIT));
}

static void check_zombie(pid_t pid, int flags, int code, int status)
{
	siginfo_t info = { };

	CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOHANG | flags), 0);
	CHECK_EQ(info.si_signo, SIGCHLD);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_uid, 0);
	CHECK_EQ(info.si_code, code);
	CHECK_EQ(info.si_status, status);
}

static void zombies_check(enum cr_phase phase)
{
	int flags = phase == CR_AGAIN ? 0 : WNOWAIT;

	check_zombie(zombies[0], flags, CLD_EXITED, 42);
	check_zombie(zombies[1], flags, CLD_KILLED, SIGKILL);
	if (phase == CR_AGAIN) {
		CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
		CHECK_EQ(errno, ECHILD);
	}
}

/* A child that exits when it is told: with SIGCHLD, and with its code. */
static siginfo_t last_info;
static int signals;

static void note_signal(int sig, siginfo_t *info, void *context)
{
	last_info = *info;
	cr_set(&signals, signals + 1);
}

static void catch(int sig)
{
	struct sigaction act = {
		.sa_sigaction = note_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	NEED(!sigaction(sig, &act, NULL));
}

struct exits {
	int now;
};

static struct exits *exits;

static void exit_on_word(void *arg)
{
	while (!cr_get(&exits->now))
		cr_msleep(2);
	_exit(cr_get(&exits->now));
}

static void exit_setup(void)
{
	catch(SIGCHLD);
	exits = cr_shared(sizeof(*exits));
	child = cr_fork(exit_on_word, NULL);
}

static void exit_check(enum cr_phase phase)
{
	int status;

	CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
	cr_set(&signals, 0);
	cr_set(&exits->now, 7 + phase);
	cr_await(&signals, 1);
	CHECK_EQ(last_info.si_signo, SIGCHLD);
	CHECK_EQ(last_info.si_pid, child);
	CHECK_EQ(last_info.si_code, CLD_EXITED);
	CHECK_EQ(last_info.si_status, 7 + phase);
	cr_reap(child, 7 + phase);

	cr_set(&exits->now, 0);
	child = cr_fork(exit_on_word, NULL);
}

/* A child made by clone() may send another signal than SIGCHLD. */
static void clone_usr1(void)
{
	struct clone_args args = { .exit_signal = SIGUSR1 };

	child = syscall(SYS_clone3, &args, sizeof(args));
	NEED(child >= 0);
	if (!child)
		exit_on_word(NULL);
}

static void exit_signal_setup(void)
{
	catch(SIGUSR1);
	exits = cr_shared(sizeof(*exits));
	clone_usr1();
}

static void exit_signal_check(enum cr_phase phase)
{
	int status = -1;

	cr_set(&signals, 0);
	cr_set(&exits->now, 9);
	cr_await(&signals, 1);
	CHECK_EQ(last_info.si_signo, SIGUSR1);
	CHECK_EQ(last_info.si_pid, child);
	CHECK_EQ(waitpid(child, &status, WNOHANG), -1);
	CHECK_EQ(errno, ECHILD);
	CHECK_EQ(waitpid(child, &status, __WCLONE), child);
	CHECK_EQ(status, 9 << 8);

	cr_set(&exits->now, 0);
	clone_usr1();
}

struct death {
	int ready, got, signal;
	pid_t parent, orphan;
	int parent_exits;
};

static struct death *death;

static void watch_parent(void *arg)
{
	NEED(!prctl(PR_SET_PDEATHSIG, SIGUSR2));
	catch(SIGUSR2);
	cr_set(&death->ready, 1);
	while (!cr_get(&signals))
		cr_msleep(2);
	cr_set(&death->signal, last_info.si_signo);
	cr_set(&death->got, 1);
}

static void mortal_parent(void *arg)
{
	death->orphan = cr_fork(watch_parent, NULL);
	while (!cr_get(&death->parent_exits))
		cr_msleep(2);
}

static void start_mortals(void)
{
	memset(death, 0, sizeof(*death));
	death->parent = cr_fork(mortal_parent, NULL);
	cr_await(&death->ready, 1);
}

static void death_signal_setup(void)
{
	death = cr_shared(sizeof(*death));
	/* The grandchild becomes a child of the root, and stays in the tree. */
	NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	start_mortals();
}

static void death_signal_check(enum cr_phase phase)
{
	int is = 0;

	CHECK_EQ(prctl(PR_GET_CHILD_SUBREAPER, &is), 0);
	CHECK_EQ(is, 1);
	cr_set(&death->parent_exits, 1);
	cr_reap(death->parent, 0);
	cr_await(&death->got, 1);
	CHECK_EQ(death->signal, SIGUSR2);
	cr_reap(death->orphan, 0);
	start_mortals();
}

/* New tasks of every kind can be made. */
static void *touch(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static void exec_self(void *arg)
{
	char path[PATH_MAX] = "";
	char * const argv[] = { path, "--victim", "none", "none", "none", NULL };

	NEED(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	execv(path, argv);
}

static void nothing_setup(void)
{
}

static void offspring_check(enum cr_phase phase)
{
	pthread_t thread;
	int touched = 0;

	cr_reap(cr_fork(exit_42, NULL), 42);
	cr_reap(cr_fork(exec_self, NULL), 104);
	NEED(!pthread_create(&thread, NULL, touch, &touched));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(touched, 1);
}

/* Names, of the process and of a thread. */
static char thread_name[16];
static int name_turn;

static void *named_thread(void *arg)
{
	NEED(!prctl(PR_SET_NAME, "a) thread (b"));
	for (;;) {
		if (cr_get(&name_turn) == 1) {
			prctl(PR_GET_NAME, thread_name);
			cr_set(&name_turn, 2);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void comm_setup(void)
{
	NEED(!prctl(PR_SET_NAME, "fifteen letters"));
	NEED(!pthread_create(&handles[0], NULL, named_thread, NULL));
	cr_msleep(20);
}

static void comm_check(enum cr_phase phase)
{
	char name[16] = "";

	CHECK_EQ(prctl(PR_GET_NAME, name), 0);
	CHECK_STR(name, "fifteen letters");
	cr_set(&name_turn, 1);
	cr_await(&name_turn, 2);
	CHECK_STR(thread_name, "a) thread (b");
}

/* Orphans come to it. */
static void subreaper_setup(void)
{
	NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1));
}

static void leave_orphan(void *arg)
{
	if (!fork()) {
		cr_msleep(20);
		_exit(9);
	}
	_exit(8);
}

static void subreaper_check(enum cr_phase phase)
{
	pid_t pid = cr_fork(leave_orphan, NULL);
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 8 << 8);
	CHECK(waitpid(-1, &status, 0) > 0);
	CHECK_EQ(status, 9 << 8);
}

/* What prctl(2) and /proc say of its address space. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE			65
#define PR_GET_MDWE			66
#endif
#define NO_GAIN				1

static void memory_flags_setup(void)
{
	NEED(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	NEED(!prctl(PR_SET_MDWE, NO_GAIN, 0, 0, 0));
	cr_write_file("/proc/self/coredump_filter", "0x5", 3);
}

static void memory_flags_check(enum cr_phase phase)
{
	char buf[16];

	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	CHECK_EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), NO_GAIN);
	CHECK(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK_EQ(errno, EACCES);
	CHECK_EQ(cr_slurp("/proc/self/coredump_filter", buf, sizeof(buf)), 9);
	CHECK_STR(buf, "00000005\n");
}

/* How it is scheduled, and how soon it dies when memory is short. */
static void oom_score_setup(void)
{
	cr_write_file("/proc/self/oom_score_adj", "123", 3);
}

static void oom_score_check(enum cr_phase phase)
{
	char buf[16];

	CHECK_EQ(cr_slurp("/proc/self/oom_score_adj", buf, sizeof(buf)), 4);
	CHECK_STR(buf, "123\n");
}

static void scheduling_child(void *arg)
{
	for (;;)
		pause();
}

static pid_t fifo, batch, pinned;
static int cpus;

static void scheduling_setup(void)
{
	struct sched_param param = { .sched_priority = 7 };
	cpu_set_t set;
	int cpu;

	fifo = cr_fork(scheduling_child, NULL);
	NEED(!sched_setscheduler(fifo, SCHED_FIFO, &param));
	batch = cr_fork(scheduling_child, NULL);
	param.sched_priority = 0;
	NEED(!sched_setscheduler(batch, SCHED_BATCH, &param));
	NEED(!setpriority(PRIO_PROCESS, batch, 11));
	pinned = cr_fork(scheduling_child, NULL);
	NEED(!sched_getaffinity(0, sizeof(set), &set));
	cpus = CPU_COUNT(&set);
	for (cpu = CPU_SETSIZE - 1; !CPU_ISSET(cpu, &set); cpu--)
		;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	NEED(!sched_setaffinity(pinned, sizeof(set), &set));
}

static void scheduling_check(enum cr_phase phase)
{
	struct sched_param param = { };

	CHECK_EQ(sched_getscheduler(fifo), SCHED_FIFO);
	CHECK_EQ(sched_getparam(fifo, &param), 0);
	CHECK_EQ(param.sched_priority, 7);
	CHECK_EQ(sched_getscheduler(batch), SCHED_BATCH);
	CHECK_EQ(getpriority(PRIO_PROCESS, batch), 11);
	CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
}

static void affinity_check(enum cr_phase phase)
{
	cpu_set_t set;

	CHECK_EQ(sched_getaffinity(pinned, sizeof(set), &set), 0);
	CHECK_EQ(CPU_COUNT(&set), 1);
	CHECK_EQ(sched_getaffinity(fifo, sizeof(set), &set), 0);
	CHECK_EQ(CPU_COUNT(&set), cpus);
}

static void personality_setup(void)
{
	NEED(personality(ADDR_NO_RANDOMIZE | UNAME26) >= 0);
}

static void personality_check(enum cr_phase phase)
{
	CHECK_EQ(personality(~0UL), ADDR_NO_RANDOMIZE | UNAME26);
}

static void timer_slack_setup(void)
{
	NEED(!prctl(PR_SET_TIMERSLACK, 123456UL));
}

static void timer_slack_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 123456);
}

/*
 * The C library has registered an area for restartable sequences: the kernel
 * must know it still, and keep the number of the CPU in it up to date.
 */
static struct rseq *rseq_area(void)
{
	return (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static unsigned int rseq_len;

static int register_rseq(unsigned int len)
{
	if (!syscall(SYS_rseq, rseq_area(), len, 0, RSEQ_SIG))
		return 0;
	return errno;
}

/* How long the area is depends on the C library, which does not tell. */
static void rseq_setup(void)
{
	if (!__rseq_size)
		cr_skip("the C library has no restartable sequences here");
	for (rseq_len = 32; rseq_len <= 256; rseq_len++)
		if (register_rseq(rseq_len) == EBUSY)
			break;
	NEED(rseq_len <= 256);
}

static void rseq_check(enum cr_phase phase)
{
	cpu_set_t old, one;
	int cpu;

	/* The area is the one that is registered: busy, not invalid. */
	CHECK_EQ(register_rseq(rseq_len), EBUSY);

	NEED(!sched_getaffinity(0, sizeof(old), &old));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &old))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		NEED(!sched_setaffinity(0, sizeof(one), &one));
		CHECK_EQ(__atomic_load_n(&rseq_area()->cpu_id,
					 __ATOMIC_RELAXED), cpu);
	}
	NEED(!sched_setaffinity(0, sizeof(old), &old));
}

/*
 * An area that asks for longer time slices, in place of that of the C library,
 * which is of the first version.
 */
#ifndef PR_RSEQ_SLICE_EXTENSION
#define PR_RSEQ_SLICE_EXTENSION	79
#endif
#define SLICE_GET		1
#define SLICE_SET		2
#define SLICE_ENABLE		1
#define SLICE_AVAILABLE		0x10
#define SLICE_ENABLED		0x20
#define RSEQ_UNREGISTER		1

static struct area {
	unsigned int cpu_id_start, cpu_id;
	unsigned long long cs;
	unsigned int flags, node_id, mm_cid, slice;
	unsigned int room[8];
} *area;

static char area_room[2 * sizeof(*area)];

static void slice_setup(void)
{
	uintptr_t mask = sizeof(*area) - 1;

	rseq_setup();
	area = (void *)(((uintptr_t)area_room + mask) & ~mask);
	NEED(!syscall(SYS_rseq, rseq_area(), rseq_len, RSEQ_UNREGISTER,
		      RSEQ_SIG));
	NEED(!syscall(SYS_rseq, area, sizeof(*area), 0, RSEQ_SIG));
	if (prctl(PR_RSEQ_SLICE_EXTENSION, SLICE_SET, SLICE_ENABLE, 0, 0))
		cr_skip("no extension of time slices");
}

static void slice_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_RSEQ_SLICE_EXTENSION, SLICE_GET, 0, 0, 0),
		 SLICE_ENABLE);
	CHECK_EQ(area->flags, SLICE_AVAILABLE | SLICE_ENABLED);
	/* It can be changed, which looks at the flags, and back. */
	CHECK_EQ(prctl(PR_RSEQ_SLICE_EXTENSION, SLICE_SET, 0, 0, 0), 0);
	CHECK_EQ(area->flags, SLICE_AVAILABLE);
	CHECK_EQ(prctl(PR_RSEQ_SLICE_EXTENSION, SLICE_SET, SLICE_ENABLE, 0, 0),
		 0);
	CHECK_EQ(syscall(SYS_rseq, area, sizeof(*area), 0, RSEQ_SIG), -1);
	CHECK_EQ(errno, EBUSY);
}

/*
 * A kernel without the extension, or one before it, has left other flags: those
 * of this kernel are there after a restart.
 */
static void slice_flags_setup(void)
{
	slice_setup();
	NEED(!prctl(PR_RSEQ_SLICE_EXTENSION, SLICE_SET, 0, 0, 0));
}

static void slice_flags_check(enum cr_phase phase)
{
	if (phase == CR_BEFORE) {
		area->flags = 0;
		return;
	}
	if (phase == CR_AFTER)
		return;
	CHECK_EQ(area->flags, SLICE_AVAILABLE);
	CHECK_EQ(prctl(PR_RSEQ_SLICE_EXTENSION, SLICE_SET, SLICE_ENABLE, 0, 0),
		 0);
	CHECK_EQ(prctl(PR_RSEQ_SLICE_EXTENSION, SLICE_SET, 0, 0, 0), 0);
	area->flags = 0;
}

/* A thread that dies with a robust mutex leaves word of it. */
static pthread_mutex_t robust;
static int holder_turn;
static void *robust_head;

static void *holder(void *arg)
{
	NEED(!pthread_mutex_lock(&robust));
	cr_set(&holder_turn, 1);
	while (cr_get(&holder_turn) != 2)
		cr_msleep(2);
	syscall(SYS_exit, 0);
	return NULL;
}

static void start_holder(void)
{
	pthread_attr_t attr;

	cr_set(&holder_turn, 0);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	NEED(!pthread_create(&handles[0], &attr, holder, NULL));
	pthread_attr_destroy(&attr);
	cr_await(&holder_turn, 1);
}

static void robust_setup(void)
{
	pthread_mutexattr_t attr;
	size_t len;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	NEED(!pthread_mutex_init(&robust, &attr));
	NEED(!syscall(SYS_get_robust_list, 0, &robust_head, &len));
	NEED(robust_head);
	start_holder();
}

static void robust_check(enum cr_phase phase)
{
	struct timespec end;
	void *head = NULL;
	size_t len = 0;

	CHECK_EQ(syscall(SYS_get_robust_list, 0, &head, &len), 0);
	CHECK_EQ((uintptr_t)head, (uintptr_t)robust_head);
	CHECK_EQ(len, 3 * sizeof(void *));

	CHECK_EQ(pthread_mutex_trylock(&robust), EBUSY);
	cr_set(&holder_turn, 2);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += CR_TIMEOUT_MS / 1000;
	CHECK_EQ(pthread_mutex_timedlock(&robust, &end), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&robust), 0);
	CHECK_EQ(pthread_mutex_unlock(&robust), 0);
	start_holder();
}

/* What has been measured with perf_event_open(2), and is no longer */
static void measured_setup(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
	};
	int event = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	if (event < 0)
		cr_skip("no perf events");
	close(event);
	ids_setup();
}

static const struct cr_scenario scenarios[] = {
	{ "process.ids", CR_ANY, ids_setup, ids_check },
	{ "process.tree", CR_TREE, tree_setup, tree_check },
	{ "process.chain", CR_TREE, chain_setup, chain_check },
	{ "process.many_children", CR_TREE, many_setup, many_check },
	{ "process.new_offspring", CR_ANY, nothing_setup, offspring_check },
	{ "process.zombies", CR_TREE, zombies_setup, zombies_check },
	{ "process.child_exits", CR_TREE, exit_setup, exit_check },
	{ "process.exit_signal", CR_TREE, exit_signal_setup,
	  exit_signal_check },
	{ "process.parent_death_signal", CR_TREE, death_signal_setup,
	  death_signal_check },
	{ "process.subreaper", CR_TREE, subreaper_setup, subreaper_check },
	{ "process.memory_flags", CR_ANY, memory_flags_setup,
	  memory_flags_check },
	{ "process.comm", CR_TREE, comm_setup, comm_check },
	{ "process.oom_score", CR_ANY, oom_score_setup, oom_score_check },
	{ "process.scheduling", CR_TREE, scheduling_setup, scheduling_check },
	{ "process.affinity", CR_TREE, scheduling_setup, affinity_check },
	{ "process.measured", CR_ANY, measured_setup, ids_check },
	{ "process.personality", CR_ANY, personality_setup,
	  personality_check },
	{ "process.timer_slack", CR_ANY, timer_slack_setup,
	  timer_slack_check },
	{ "thread.ids", CR_TREE, threads_setup, threads_check },
	{ "thread.of_child", CR_TREE, child_threads_setup,
	  child_threads_check },
	{ "thread.join", CR_TREE, join_setup, join_check },
	{ "thread.dead_leader", CR_TREE, dead_leader_setup,
	  dead_leader_check },
	{ "thread.dead_leader_ends", CR_TREE, dead_leader_setup,
	  dead_leader_ends_check },
	{ "thread.dead_leader_many", CR_TREE, dead_leader_many_setup,
	  dead_leader_many_check },
	{ "thread.rseq", CR_ANY, rseq_setup, rseq_check },
	{ "thread.rseq_slice", CR_ANY, slice_setup, slice_check },
	{ "thread.rseq_flags", CR_ANY, slice_flags_setup, slice_flags_check },
	{ "thread.robust_list", CR_TREE, robust_setup, robust_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
