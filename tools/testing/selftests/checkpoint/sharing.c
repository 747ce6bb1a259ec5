// SPDX-License-Identifier: GPL-2.0
/* What processes share that are no threads of each other, in any combination. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/futex.h>
#include <linux/ioprio.h>

#include "cr.h"

#define SIGHAND	(CLONE_VM | CLONE_SIGHAND)
#define ALL	(SIGHAND | CLONE_FS | CLONE_FILES | CLONE_IO | CLONE_SYSVSEM)
#define STACK	65536

enum what { MEMORY, HANDLERS, DIRECTORY, DESCRIPTORS, IO_PRIORITY, WHATS,
	    /* Of a semaphore: to be undone when the peer ends. */
	    ADJUSTMENT };

static const int flag_of[WHATS] = {
	[MEMORY] = CLONE_VM,
	[HANDLERS] = CLONE_SIGHAND,
	[DIRECTORY] = CLONE_FS,
	[DESCRIPTORS] = CLONE_FILES,
	[IO_PRIORITY] = CLONE_IO,
};

/*
 * What a peer is to do: set something to a value, or tell the value. It uses
 * nothing of libc but system calls, since it may have somebody else's memory.
 */
struct peer {
	int turn, told;
	bool set;
	enum what what;
	long value;
	pid_t pid, ppid;
	bool leader_ends;
};

/* How the second peer comes to be a relative of the first, which starts it. */
enum relation {
	CHILD,
	SIBLING,	/* with CLONE_PARENT */
	ORPHAN,		/* whose maker has ended */
	GRANDCHILD,	/* whose maker has another program by now */
};

static struct peer *peers;
static enum relation relation;
static int flags;		/* what the peers share */
static long in_memory = 100;

struct kernel_sigaction {
	unsigned long handler, flags, restorer, mask;
};

static long get(enum what what)
{
	struct kernel_sigaction action = { };
	long value;

	switch (what) {
	case MEMORY:
		return __atomic_load_n(&in_memory, __ATOMIC_ACQUIRE);
	case HANDLERS:
		syscall(SYS_rt_sigaction, SIGUSR2, NULL, &action, 8);
		return action.handler;
	case DIRECTORY:
		value = syscall(SYS_umask, 0);
		syscall(SYS_umask, value);
		return value;
	case DESCRIPTORS:
		return syscall(SYS_fcntl, 50, F_GETFD);
	case IO_PRIORITY:
		return syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	default:
		return -1;
	}
}

static void set(enum what what, long value)
{
	struct kernel_sigaction action = {
		.handler = value,
		.flags = 0x04000000 /* SA_RESTORER */,
		.restorer = 0x1000,
	};
	struct sembuf adjust = { .sem_op = 1, .sem_flg = SEM_UNDO };

	switch (what) {
	case MEMORY:
		__atomic_store_n(&in_memory, value, __ATOMIC_RELEASE);
		break;
	case HANDLERS:
		syscall(SYS_rt_sigaction, SIGUSR2, &action, NULL, 8);
		break;
	case DIRECTORY:
		syscall(SYS_umask, value);
		break;
	case DESCRIPTORS:
		syscall(SYS_fcntl, 50, F_SETFD, value);
		break;
	case IO_PRIORITY:
		syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value);
		break;
	case ADJUSTMENT:
		/* The value is the set. */
		syscall(SYS_semop, value, &adjust, 1);
		break;
	default:
		break;
	}
}

/* Two values for each, both unlike what a new process has. */
static long value_of(enum what what, int n)
{
	switch (what) {
	case DIRECTORY:
		return 0111 + n;
	case DESCRIPTORS:
		return n;
	case IO_PRIORITY:
		return IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 5 + n);
	default:
		return 0x5000 + 16 * n;
	}
}

static int answer(void *arg)
{
	struct peer *me = arg;

	for (;;) {
		int turn = cr_get(&me->turn);

		if (turn == me->told) {
			syscall(SYS_futex, &me->turn, FUTEX_WAIT, turn, NULL,
				NULL, 0);
			continue;
		}
		me->pid = syscall(SYS_getpid);
		me->ppid = syscall(SYS_getppid);
		if (me->set)
			set(me->what, me->value);
		else
			me->value = get(me->what);
		cr_set(&me->told, turn);
	}
	return 0;
}

/* With a gap between it and the next, which a restart would join. */
static char *new_stack(void)
{
	char *stack = mmap(NULL, 2 * STACK, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(stack != MAP_FAILED);
	NEED(!mprotect(stack + STACK, STACK, PROT_READ | PROT_WRITE));
	return stack + 2 * STACK;
}

static int run_peer(void *arg)
{
	const int thread = SIGHAND | CLONE_THREAD | CLONE_FS | CLONE_FILES |
			   CLONE_IO | CLONE_SYSVSEM;
	struct peer *me = arg;

	if (!me->leader_ends)
		return answer(me);
	NEED(clone(answer, new_stack(), thread, me) > 0);
	syscall(SYS_exit, 0);
	return 0;
}

static int run_maker(void *arg)
{
	NEED(clone(run_peer, new_stack(), flags | SIGCHLD, &peers[1]) > 0);
	if (relation == ORPHAN)
		syscall(SYS_exit_group, 0);
	execl("/proc/self/exe", "sharing", "sleep", NULL);
	syscall(SYS_exit_group, 1);
	return 0;
}

static void run_first(void *arg)
{
	int pid;

	/* An I/O context to share. */
	set(IO_PRIORITY, value_of(IO_PRIORITY, 0));
	if (relation == ORPHAN || relation == GRANDCHILD)
		pid = clone(run_maker, new_stack(), flags | SIGCHLD, NULL);
	else if (relation == SIBLING)
		pid = clone(run_peer, new_stack(),
			    flags | CLONE_PARENT | SIGCHLD, &peers[1]);
	else
		pid = clone(run_peer, new_stack(), flags | SIGCHLD, &peers[1]);
	NEED(pid > 0);
	if (relation == ORPHAN)
		NEED(waitpid(pid, NULL, 0) == pid);
	run_peer(&peers[0]);
}

static void tell(struct peer *peer)
{
	int turn = cr_get(&peer->turn) + 1;

	cr_set(&peer->turn, turn);
	syscall(SYS_futex, &peer->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	cr_await(&peer->told, turn);
}

static void have_set(struct peer *peer, enum what what, long value)
{
	peer->set = true;
	peer->what = what;
	peer->value = value;
	tell(peer);
}

static long have_got(struct peer *peer, enum what what)
{
	peer->set = false;
	peer->what = what;
	tell(peer);
	return peer->value;
}

static pid_t pids[2], parents[2];

static void start(int share, enum relation how, bool first_ends, bool second_ends)
{
	int i;

	flags = share;
	relation = how;
	peers = cr_shared(2 * sizeof(*peers));
	peers[0].leader_ends = first_ends;
	peers[1].leader_ends = second_ends;
	NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	NEED(dup2(open("/dev/null", O_RDONLY), 50) == 50);
	cr_fork(run_first, NULL);
	for (i = 0; i < 2; i++) {
		have_got(&peers[i], MEMORY);
		pids[i] = peers[i].pid;
		parents[i] = peers[i].ppid;
	}
	/* Until they are zombies, leaders that end would be saved alive. */
	cr_msleep(50);
	CHECK_EQ(parents[0], getpid());
	if (how == CHILD)
		CHECK_EQ(parents[1], pids[0]);
	else if (how != GRANDCHILD)
		CHECK_EQ(parents[1], getpid());
}

/* What one peer sets the other has, if they share it, and only then. */
static void sharing_check(enum cr_phase phase)
{
	enum what what;
	int i;

	for (what = 0; what < WHATS; what++) {
		for (i = 0; i < 2; i++) {
			long old = value_of(what, 1 - i), new = value_of(what, i);

			have_set(&peers[i], what, old);
			have_set(&peers[1 - i], what, old);
			have_set(&peers[i], what, new);
			CHECK_EQ(have_got(&peers[i], what), new);
			if (flags & flag_of[what])
				CHECK_EQ(have_got(&peers[1 - i], what), new);
			else
				CHECK_EQ(have_got(&peers[1 - i], what), old);
		}
	}
	for (i = 0; i < 2; i++) {
		CHECK_EQ(peers[i].pid, pids[i]);
		CHECK_EQ(peers[i].ppid, parents[i]);
	}
}

/*
 * What one peer adds is undone when the last has ended that has the list. The
 * lists are empty when they are saved.
 */
static void end_peer(int n)
{
	CHECK_EQ(kill(pids[n], SIGKILL), 0);
	CHECK_EQ(waitpid(pids[n], NULL, 0), pids[n]);
}

static void undo_check(enum cr_phase phase)
{
	bool shared = flags & CLONE_SYSVSEM;
	int id;

	sharing_check(phase);
	if (phase != CR_AGAIN)
		return;
	id = semget(IPC_PRIVATE, 1, 0600);
	CHECK(id >= 0);
	have_set(&peers[0], ADJUSTMENT, id);
	have_set(&peers[1], ADJUSTMENT, id);
	CHECK_EQ(semctl(id, 0, GETVAL), 2);
	end_peer(1);
	CHECK_EQ(semctl(id, 0, GETVAL), shared ? 2 : 1);
	end_peer(0);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
}

#define SETUP(name, ...) \
static void name(void) \
{ \
	start(__VA_ARGS__); \
}

SETUP(nothing, 0, CHILD, false, false)
SETUP(memory_child, CLONE_VM, CHILD, false, false)
SETUP(memory_sibling, CLONE_VM, SIBLING, false, false)
SETUP(memory_orphan, CLONE_VM, ORPHAN, false, false)
SETUP(memory_grandchild, CLONE_VM, GRANDCHILD, false, false)
SETUP(memory_dead_leader, CLONE_VM, SIBLING, true, false)
SETUP(memory_dead_leaders, CLONE_VM, SIBLING, true, true)
SETUP(handlers_child, SIGHAND, CHILD, false, false)
SETUP(handlers_sibling, SIGHAND, SIBLING, false, false)
SETUP(handlers_orphan, SIGHAND, ORPHAN, false, false)
SETUP(handlers_grandchild, SIGHAND, GRANDCHILD, false, false)
SETUP(handlers_dead_leader, SIGHAND, CHILD, false, true)
SETUP(handlers_dead_leaders, SIGHAND, GRANDCHILD, true, true)
SETUP(directory_sibling, CLONE_FS, SIBLING, false, false)
SETUP(descriptors_sibling, CLONE_FILES, SIBLING, false, false)
SETUP(descriptors_grandchild, CLONE_FILES, GRANDCHILD, false, false)
SETUP(io_child, CLONE_IO, CHILD, false, false)
SETUP(io_sibling, CLONE_IO, SIBLING, false, false)
SETUP(undo_apart, 0, SIBLING, false, false)
SETUP(undo_sibling, CLONE_SYSVSEM, SIBLING, false, false)
SETUP(undo_dead_leader, CLONE_SYSVSEM | CLONE_VM, SIBLING, true, false)
SETUP(all_child, ALL, CHILD, false, false)
SETUP(all_sibling, ALL, SIBLING, false, false)
SETUP(all_grandchild, ALL, GRANDCHILD, false, true)

static int end_at_once(void *arg)
{
	return 3;
}

/* Who has ended has the handlers until somebody waits for it. */
static pid_t ended;

static void zombie_setup(void)
{
	ended = clone(end_at_once, new_stack(), SIGHAND | SIGCHLD, NULL);
	NEED(ended > 0);
	NEED(!waitid(P_PID, ended, &(siginfo_t){ }, WEXITED | WNOWAIT));
}

static void zombie_check(enum cr_phase phase)
{
	siginfo_t info = { };

	CHECK_EQ(waitid(P_PID, ended, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	CHECK_EQ(info.si_pid, ended);
	CHECK_EQ(info.si_status, 3);
}

/*
 * The root adds a signalfd to an epoll set that wakes up for the signals of all
 * that have its handlers. The one that is sent a signal finds it there.
 */
static struct watcher {
	int turn, told;
	int ready, signal;
} *watcher;
static int set_fd, signal_fd;
static pid_t watching;

static int watch(void *arg)
{
	struct signalfd_siginfo info;
	struct epoll_event event;
	int turn;

	for (;;) {
		turn = cr_get(&watcher->turn);
		if (turn == watcher->told) {
			syscall(SYS_futex, &watcher->turn, FUTEX_WAIT, turn,
				NULL, NULL, 0);
			continue;
		}
		watcher->ready = syscall(SYS_epoll_wait, set_fd, &event, 1, 0);
		watcher->signal = 0;
		if (syscall(SYS_read, signal_fd, &info, sizeof(info)) > 0)
			watcher->signal = info.ssi_signo;
		cr_set(&watcher->told, turn);
	}
	return 0;
}

static void signalfd_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	NEED(!sigprocmask(SIG_BLOCK, &mask, NULL));
	signal_fd = signalfd(-1, &mask, SFD_NONBLOCK);
	set_fd = epoll_create1(0);
	NEED(signal_fd >= 0 && set_fd >= 0);
	NEED(!epoll_ctl(set_fd, EPOLL_CTL_ADD, signal_fd, &event));
	watcher = cr_shared(sizeof(*watcher));
	watching = clone(watch, new_stack(), SIGHAND | CLONE_FILES | SIGCHLD,
			 NULL);
	NEED(watching > 0);
	NEED(!kill(watching, SIGUSR1));
}

static void signalfd_check(enum cr_phase phase)
{
	int turn = cr_get(&watcher->turn) + 1;

	cr_set(&watcher->turn, turn);
	syscall(SYS_futex, &watcher->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	cr_await(&watcher->told, turn);
	CHECK_EQ(watcher->ready, 1);
	CHECK_EQ(watcher->signal, SIGUSR1);
	NEED(!kill(watching, SIGUSR1));
}

/* Tasks outside of the tree that share what the root has. */
static int sleep_outside(void *arg)
{
	cr_msleep(60 * 1000);
	return 0;
}

static void outside(int share)
{
	set(IO_PRIORITY, value_of(IO_PRIORITY, 0));
	NEED(clone(sleep_outside, new_stack(), share | CLONE_PARENT | SIGCHLD,
		   NULL) > 0);
}

static void handlers_outside_setup(void)
{
	outside(SIGHAND);
}

static void undo_outside_setup(void)
{
	outside(CLONE_SYSVSEM);
}

static void io_outside_setup(void)
{
	outside(CLONE_IO);
}

#define SHARING(name, setup) \
	{ "sharing." name, CR_TREE, setup, sharing_check }

static const struct cr_scenario scenarios[] = {
	SHARING("nothing", nothing),
	SHARING("memory_of_parent", memory_child),
	SHARING("memory_of_sibling", memory_sibling),
	SHARING("memory_of_stranger", memory_orphan),
	SHARING("memory_of_grandparent", memory_grandchild),
	SHARING("memory_of_dead_leader", memory_dead_leader),
	SHARING("memory_of_dead_leaders", memory_dead_leaders),
	SHARING("handlers_of_parent", handlers_child),
	SHARING("handlers_of_sibling", handlers_sibling),
	SHARING("handlers_of_stranger", handlers_orphan),
	SHARING("handlers_of_grandparent", handlers_grandchild),
	SHARING("handlers_of_dead_leader", handlers_dead_leader),
	SHARING("handlers_of_dead_leaders", handlers_dead_leaders),
	SHARING("directory_of_sibling", directory_sibling),
	SHARING("descriptors_of_sibling", descriptors_sibling),
	SHARING("descriptors_of_grandparent", descriptors_grandchild),
	SHARING("io_priority_of_parent", io_child),
	SHARING("io_priority_of_sibling", io_sibling),
	{ "sharing.undo_of_nobody", CR_TREE, undo_apart, undo_check },
	{ "sharing.undo_of_sibling", CR_TREE, undo_sibling, undo_check },
	{ "sharing.undo_of_dead_leader", CR_TREE, undo_dead_leader, undo_check },
	SHARING("all_of_parent", all_child),
	SHARING("all_of_sibling", all_sibling),
	SHARING("all_of_grandparent", all_grandchild),
	{ "sharing.handlers_of_zombie", CR_TREE, zombie_setup, zombie_check },
	{ "sharing.signals_in_epoll", CR_TREE, signalfd_setup, signalfd_check },
	{ "sharing.handlers_outside", CR_SUBTREE, handlers_outside_setup, NULL,
	  CR_REFUSED, "outside of the tree (CLONE_SIGHAND)" },
	{ "sharing.io_priority_outside", CR_SUBTREE, io_outside_setup, NULL,
	  CR_REFUSED, "outside of the tree (CLONE_IO)" },
	{ "sharing.undo_outside", CR_SUBTREE, undo_outside_setup, NULL,
	  CR_REFUSED, "outside of the tree (CLONE_SYSVSEM)" },
};

int main(int argc, char **argv)
{
	/* The program of a maker. */
	if (argc == 2 && !strcmp(argv[1], "sleep"))
		for (;;)
			pause();
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
