// SPDX-License-Identifier: GPL-2.0
/* Descriptors of processes and threads. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cr.h"

/* <linux/pidfd.h> does not go together with <fcntl.h>. */
#ifndef P_PIDFD
#define P_PIDFD	3
#endif
#define PIDFD_NONBLOCK			O_NONBLOCK
#define PIDFD_THREAD			O_EXCL
#define PIDFD_SIGNAL_PROCESS_GROUP	0x4
#define PIDFD_INFO_EXIT			0x8
#define PIDFD_GET_INFO			_IOWR(0xff, 11, struct pidfd_info)

struct pidfd_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t ids[11];
	int32_t exit_code;
};

static int fd, other;
static pid_t child;
static int *word;

static int open_pidfd(pid_t pid, unsigned int flags)
{
	int n = syscall(SYS_pidfd_open, pid, flags);

	if (n < 0 && cr_unsupported(errno))
		cr_skip("no pidfd");
	NEED(n >= 0);
	return n;
}

static int send_signal(int n, int sig, unsigned int flags)
{
	return syscall(SYS_pidfd_send_signal, n, sig, NULL, flags);
}

static short poll_of(int n)
{
	struct pollfd p = { .fd = n, .events = POLLIN };

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

/* "Pid:" of /proc/self/fdinfo */
static int pid_of(int n)
{
	char path[64], line[128];
	int pid = -2;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", n);
	f = fopen(path, "r");
	if (!f)
		return -2;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	fclose(f);
	return pid;
}

static ino_t inode_of(int n)
{
	struct stat st = { };

	CHECK_EQ(fstat(n, &st), 0);
	return st.st_ino;
}

static void count_signal(int sig)
{
	cr_set(word, cr_get(word) + 1);
}

static void counter(void *arg)
{
	signal(SIGUSR1, count_signal);
	cr_set(&word[1], 1);
	for (;;)
		pause();
}

static void child_setup(void)
{
	word = cr_shared(2 * sizeof(*word));
	child = cr_fork(counter, NULL);
	cr_await(&word[1], 1);
	fd = open_pidfd(child, 0);
	other = open_pidfd(child, PIDFD_NONBLOCK);
}

static void child_check(enum cr_phase phase)
{
	siginfo_t info;

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(fcntl(other, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(inode_of(fd), inode_of(other));
	CHECK_EQ(poll_of(fd), 0);
	cr_set(word, 0);
	CHECK_EQ(send_signal(fd, SIGUSR1, 0), 0);
	cr_await(word, 1);
	CHECK_EQ(waitid(P_PIDFD, other, &info, WEXITED), -1);
	CHECK_EQ(errno, EAGAIN);
}

static void self_setup(void)
{
	fd = open_pidfd(getpid(), 0);
}

static void self_check(enum cr_phase phase)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK_EQ(send_signal(fd, SIGUSR1, 0), 0);
	CHECK_EQ(sigwaitinfo(&set, NULL), SIGUSR1);
	CHECK_EQ(poll_of(fd), 0);
}

/* A child waits for its parent's end, and the parent for its child's. */
static void patient(void *arg)
{
	for (;;)
		pause();
}

static void epoll_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 9 };

	child = cr_fork(patient, NULL);
	fd = open_pidfd(child, 0);
	other = epoll_create1(0);
	NEED(other >= 0 && !epoll_ctl(other, EPOLL_CTL_ADD, fd, &event));
}

static void epoll_check(enum cr_phase phase)
{
	struct epoll_event event;
	siginfo_t info = { };

	CHECK_EQ(epoll_wait(other, &event, 1, 0), 0);
	CHECK_EQ(send_signal(fd, SIGKILL, 0), 0);
	CHECK_EQ(epoll_wait(other, &event, 1, 10000), 1);
	CHECK_EQ(event.data.u32, 9);
	CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED), 0);
	CHECK_EQ(info.si_pid, child);
	close(fd);
	close(other);
	epoll_setup();
}

/* PIDFD_THREAD */
static pid_t tid;

static void *thread(void *arg)
{
	cr_set((int *)&tid, syscall(SYS_gettid));
	for (;;)
		pause();
	return NULL;
}

static void thread_setup(void)
{
	pthread_t id;

	NEED(!pthread_create(&id, NULL, thread, NULL));
	while (!cr_get((int *)&tid))
		cr_msleep(2);
	fd = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	if (fd < 0)
		cr_skip("no pidfd of a thread");
	other = open_pidfd(getpid(), 0);
}

static void thread_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fd, F_GETFL) & O_EXCL, O_EXCL);
	CHECK_EQ(fcntl(other, F_GETFL) & O_EXCL, 0);
	CHECK_EQ(poll_of(fd), 0);
	CHECK_EQ(send_signal(fd, 0, 0), 0);
	CHECK(inode_of(fd) != inode_of(other));
	if (cr_mode == CR_SUBTREE)
		CHECK_EQ(pid_of(fd), tid);
}

static void zombie_setup(void)
{
	child = fork();
	NEED(child >= 0);
	if (!child)
		_exit(3);
	fd = open_pidfd(child, 0);
	while (!(poll_of(fd) & POLLIN))
		cr_msleep(2);
}

static void zombie_check(enum cr_phase phase)
{
	siginfo_t info = { };

	CHECK_EQ(poll_of(fd), POLLIN);
	CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT), 0);
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_status, 3);
	if (phase != CR_AGAIN)
		return;
	CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED), 0);
	CHECK_EQ(poll_of(fd), POLLIN | POLLHUP);
}

/* A child that nobody can wait for any more */
static void reaped_setup(void)
{
	zombie_setup();
	other = open_pidfd(child, PIDFD_NONBLOCK);
	cr_reap(child, 3);
}

static void reaped_check(enum cr_phase phase)
{
	struct pidfd_info info = { .mask = PIDFD_INFO_EXIT };

	CHECK_EQ(ioctl(fd, PIDFD_GET_INFO, &info), 0);
	CHECK(info.mask & PIDFD_INFO_EXIT);
	CHECK_EQ(info.exit_code, 3 << 8);
	CHECK_EQ(fcntl(other, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(poll_of(fd), POLLIN | POLLHUP);
	CHECK_EQ(poll_of(other), POLLIN | POLLHUP);
	CHECK_EQ(inode_of(fd), inode_of(other));
	CHECK_EQ(send_signal(fd, 0, 0), -1);
	CHECK_EQ(errno, ESRCH);
	CHECK_EQ(waitid(P_PIDFD, fd, &(siginfo_t){ }, WEXITED), -1);
	CHECK_EQ(errno, ECHILD);
}

/* The leader of a group is gone, and its group is not. */
static void group_setup(void)
{
	int *pids = cr_shared(2 * sizeof(*pids));
	pid_t leader;

	/* Whoever has lost its parent stays in the tree. */
	NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	word = cr_shared(2 * sizeof(*word));
	leader = fork();
	NEED(leader >= 0);
	if (!leader) {
		NEED(!setpgid(0, 0));
		pids[1] = cr_fork(counter, NULL);
		cr_await(&word[1], 1);
		cr_set(pids, 1);
		cr_await(pids, 2);
		_exit(0);
	}
	cr_await(pids, 1);
	fd = open_pidfd(leader, 0);
	cr_set(pids, 2);
	cr_reap(leader, 0);
}

static void group_check(enum cr_phase phase)
{
	CHECK_EQ(poll_of(fd), POLLIN | POLLHUP);
	cr_set(word, 0);
	CHECK_EQ(send_signal(fd, SIGUSR1, PIDFD_SIGNAL_PROCESS_GROUP), 0);
	cr_await(word, 1);
}

static void outside_setup(void)
{
	fd = open_pidfd(getppid(), 0);
}

static void outside_check(enum cr_phase phase)
{
	CHECK_EQ(poll_of(fd), 0);
}

static const struct cr_scenario scenarios[] = {
	{ "pidfd.child", CR_TREE, child_setup, child_check },
	{ "pidfd.self", CR_ANY, self_setup, self_check },
	{ "pidfd.epoll", CR_TREE, epoll_setup, epoll_check },
	{ "pidfd.thread", CR_TREE, thread_setup, thread_check },
	{ "pidfd.zombie", CR_TREE, zombie_setup, zombie_check },
	{ "pidfd.reaped", CR_ANY, reaped_setup, reaped_check },
	{ "pidfd.dead_leader", CR_TREE, group_setup, group_check },
	{ "pidfd.outside", CR_SUBTREE | CR_SELF, outside_setup, outside_check,
	  CR_REFUSED, "has a pidfd of a task that is not in the tree" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
