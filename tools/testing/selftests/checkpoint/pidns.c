// SPDX-License-Identifier: GPL-2.0
/* Pid namespaces that are nested in that of the root. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cr.h"

#ifndef SIGEV_THREAD_ID
#define SIGEV_THREAD_ID	4
#endif

/* A process that answers for itself when it is asked. */
static struct member {
	int turn;
	pid_t pid, parent, tid, session, next, last;
	pid_t ended, pidfd_is;
	int signal;
} *members;

/* A process in a new pid namespace, whose init it is. */
static pid_t fork_init(void (*fn)(void *), void *arg)
{
	pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0 && (errno == EINVAL || errno == ENOSYS))
		cr_skip("no pid namespaces");
	NEED(pid >= 0);
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

static void leave(void *arg)
{
	_exit(9);
}

static void look(struct member *self)
{
	siginfo_t info = {};
	pid_t pid;

	self->pid = getpid();
	self->parent = getppid();
	self->tid = syscall(SYS_gettid);
	self->session = getsid(0);
	pid = fork();
	if (!pid)
		_exit(0);
	self->last = self->next;
	self->next = pid;
	NEED(waitpid(pid, NULL, 0) == pid);
	/* There may be no child at all. */
	waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
	self->ended = info.si_pid;
}

static void answer(struct member *self)
{
	cr_set(&self->turn, 2);
	for (;;) {
		if (cr_get(&self->turn) == 1) {
			look(self);
			cr_set(&self->turn, 2);
		}
		cr_msleep(2);
	}
}

static void ask(struct member *self)
{
	cr_set(&self->turn, 1);
	cr_await(&self->turn, 2);
}

static void plain(void *arg)
{
	answer(arg);
}

/* The innermost init leads a session, and has a child that has ended. */
static void inner_init(void *arg)
{
	siginfo_t info;
	pid_t ended;

	NEED(setsid() == 1);
	ended = cr_fork(leave, NULL);
	NEED(!waitid(P_PID, ended, &info, WEXITED | WNOWAIT));
	cr_fork(plain, &members[2]);
	answer(&members[1]);
}

static void outer_init(void *arg)
{
	fork_init(inner_init, NULL);
	answer(&members[0]);
}

static void levels_setup(void)
{
	size_t i;

	members = cr_shared(4096);
	fork_init(outer_init, NULL);
	for (i = 0; i < 3; i++)
		cr_await(&members[i].turn, 2);
	for (i = 0; i < 3; i++)
		ask(&members[i]);
}

static void levels_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 3; i++)
		ask(&members[i]);
	CHECK_EQ(members[0].pid, 1);
	CHECK_EQ(members[0].tid, 1);
	CHECK_EQ(members[0].parent, 0);
	CHECK_EQ(members[0].session, 0);
	/* The two others inside have a number there as well. */
	CHECK_EQ(members[0].next, members[0].last + 3);
	CHECK_EQ(members[1].pid, 1);
	CHECK_EQ(members[1].parent, 0);
	CHECK_EQ(members[1].session, 1);
	CHECK_EQ(members[1].ended, 2);
	CHECK_EQ(members[2].pid, 3);
	CHECK_EQ(members[2].parent, 1);
	CHECK_EQ(members[2].session, 1);
	/* The three numbers before are those of the setup. */
	CHECK_EQ(members[1].next, members[2].last + 1);
	CHECK_EQ(members[2].next, members[1].next + 1);
}

/* What names tasks by number: a timer for a thread, a pidfd, a CPU clock. */
static timer_t timer;
static clockid_t clock_of_thread;
static int pidfd, hit;
static pid_t sleeper;

static void on_timer(int sig, siginfo_t *info, void *context)
{
	cr_set(&hit, syscall(SYS_gettid));
}

static void sleep_on(void *arg)
{
	for (;;)
		pause();
}

static void *use_names(void *arg)
{
	struct member *self = arg;
	struct itimerspec now = { .it_value.tv_nsec = 1 };
	struct timespec ts;

	for (;;) {
		if (cr_get(&self->turn) == 1) {
			self->pid = getpid();
			self->tid = syscall(SYS_gettid);
			cr_set(&hit, 0);
			NEED(!timer_settime(timer, 0, &now, NULL));
			while (!cr_get(&hit))
				cr_msleep(1);
			self->signal = hit;
			self->pidfd_is = syscall(SYS_pidfd_send_signal, pidfd,
						 0, NULL, 0) ? -errno : 0;
			self->next = kill(sleeper, 0) ? -errno : 0;
			self->last = clock_gettime(clock_of_thread, &ts) ?
				     -errno : 0;
			cr_set(&self->turn, 2);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void *make_names(void *arg)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR2,
	};
	struct sigaction action = {
		.sa_sigaction = on_timer,
		.sa_flags = SA_SIGINFO,
	};

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
	event.sigev_notify_thread_id = syscall(SYS_gettid);
	NEED(!sigaction(SIGUSR2, &action, NULL));
	NEED(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	NEED(!pthread_getcpuclockid(pthread_self(), &clock_of_thread));
	pidfd = syscall(SYS_pidfd_open, sleeper, 0);
	NEED(pidfd >= 0);
	cr_set(&members[0].turn, 2);
	return use_names(arg);
}

static void names_init(void *arg)
{
	pthread_t thread;

	sleeper = cr_fork(sleep_on, NULL);
	NEED(!pthread_create(&thread, NULL, make_names, &members[0]));
	for (;;)
		pause();
}

static void names_setup(void)
{
	members = cr_shared(4096);
	fork_init(names_init, NULL);
	cr_await(&members[0].turn, 2);
}

static void names_check(enum cr_phase phase)
{
	ask(&members[0]);
	CHECK_EQ(members[0].pid, 1);
	CHECK_EQ(members[0].tid, 3);
	CHECK_EQ(members[0].signal, 3);
	CHECK_EQ(members[0].pidfd_is, 0);
	CHECK_EQ(members[0].next, 0);
	CHECK_EQ(members[0].last, 0);
}

/* One that has made a namespace for its children, and stays outside. */
static void say_pid(void *arg)
{
	struct member *self = arg;

	self->next = getpid();
}

static void outside(void *arg)
{
	struct member *self = arg;

	cr_fork(plain, &members[2]);
	cr_await(&members[2].turn, 2);
	NEED(!unshare(CLONE_NEWPID));
	cr_fork(plain, &members[1]);
	cr_await(&members[1].turn, 2);
	cr_fork(plain, &members[3]);
	cr_await(&members[3].turn, 2);
	cr_set(&self->turn, 2);
	for (;;) {
		if (cr_get(&self->turn) == 1) {
			self->last = self->next;
			cr_reap(cr_fork(say_pid, self), 0);
			self->pid = getpid();
			cr_set(&self->turn, 2);
		}
		cr_msleep(2);
	}
}

static void unshared_setup(void)
{
	members = cr_shared(4096);
	cr_fork(outside, &members[0]);
	cr_await(&members[0].turn, 2);
	ask(&members[0]);
	CHECK_EQ(members[0].next, 3);
}

static void unshared_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 4; i++)
		ask(&members[i]);
	CHECK_EQ(members[1].pid, 1);
	CHECK_EQ(members[1].parent, 0);
	CHECK_EQ(members[3].pid, 2);
	CHECK_EQ(members[3].parent, 0);
	CHECK_EQ(members[2].parent, members[0].pid);
	CHECK(members[2].pid > members[0].pid);
	/* It comes after those that the two inside have made. */
	CHECK(members[0].next > members[0].last);
	CHECK(members[1].next > members[0].next);
	CHECK_EQ(members[3].next, members[1].next + 1);
}

/* Nobody is in it yet. */
static void new_setup(void)
{
	if (unshare(CLONE_NEWPID))
		cr_skip("no pid namespaces");
}

static void new_check(enum cr_phase phase)
{
	struct member *self = cr_shared(sizeof(*self));
	char own[64] = "", next[64] = "";

	readlink("/proc/self/ns/pid", own, sizeof(own) - 1);
	readlink("/proc/self/ns/pid_for_children", next, sizeof(next) - 1);
	CHECK(strcmp(own, next));
	if (phase != CR_AGAIN)
		return;
	cr_reap(cr_fork(say_pid, self), 0);
	CHECK_EQ(self->next, 1);
	/* That was its init. */
	CHECK(fork() < 0);
	CHECK_EQ(errno, ENOMEM);
}

/* Its init has ended, and waits for its parent. */
static pid_t ended;

static void ended_setup(void)
{
	siginfo_t info;

	new_setup();
	ended = cr_fork(leave, NULL);
	NEED(!waitid(P_PID, ended, &info, WEXITED | WNOWAIT));
}

static void ended_check(enum cr_phase phase)
{
	siginfo_t info = {};

	CHECK_EQ(waitid(P_PID, ended, &info, WEXITED | WNOWAIT), 0);
	CHECK_EQ(info.si_status, 9);
	CHECK(fork() < 0);
	CHECK_EQ(errno, ENOMEM);
}

/* A parent inside that waits in vfork(2). */
static void wait_in_vfork(void *arg)
{
	struct member *self = arg;
	pid_t pid = vfork();

	if (!pid) {
		self->tid = syscall(SYS_getpid);
		cr_set(&self->turn, 2);
		while (cr_get(&self->turn) != 1)
			cr_msleep(2);
		_exit(0);
	}
	self->next = pid;
	NEED(waitpid(pid, NULL, 0) == pid);
	cr_set(&self->turn, 2);
	for (;;)
		pause();
}

static void vfork_setup(void)
{
	members = cr_shared(4096);
	fork_init(wait_in_vfork, &members[0]);
	cr_await(&members[0].turn, 2);
}

static void vfork_check(enum cr_phase phase)
{
	CHECK_EQ(members[0].tid, 2);
	if (phase != CR_AGAIN)
		return;
	ask(&members[0]);
	CHECK_EQ(members[0].next, 2);
}

/* An init that nobody can kill from inside. */
static void attack(void *arg)
{
	NEED(!kill(1, SIGKILL) && !kill(1, SIGTERM));
}

static void attacked(void *arg)
{
	struct member *self = arg;

	cr_set(&self->turn, 2);
	for (;;) {
		if (cr_get(&self->turn) == 1) {
			cr_reap(cr_fork(attack, NULL), 0);
			self->pid = getpid();
			cr_set(&self->turn, 2);
		}
		cr_msleep(2);
	}
}

static pid_t init;

static void killed_setup(void)
{
	members = cr_shared(4096);
	init = fork_init(attacked, &members[0]);
	cr_await(&members[0].turn, 2);
}

static void killed_check(enum cr_phase phase)
{
	ask(&members[0]);
	CHECK_EQ(members[0].pid, 1);
	CHECK_EQ(kill(init, 0), 0);
}

/* What is refused. */
static void reaped_setup(void)
{
	new_setup();
	cr_reap(cr_fork(leave, NULL), 9);
}

static void refused_check(enum cr_phase phase)
{
}

static void enter(void *arg)
{
	struct member *self = arg;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", self->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && !setns(fd, CLONE_NEWPID));
	close(fd);
	cr_set(&self->turn, 2);
	for (;;)
		pause();
}

static void here(void *arg)
{
	struct member *self = arg;
	char link[32] = "";

	/* As /proc has it, which may be that of an outer namespace. */
	NEED(readlink("/proc/self", link, sizeof(link) - 1) > 0);
	self->tid = atoi(link);
	cr_set(&self->turn, 2);
	for (;;)
		pause();
}

static void entered_setup(void)
{
	members = cr_shared(4096);
	fork_init(here, &members[0]);
	cr_await(&members[0].turn, 2);
	cr_set(&members[0].turn, 0);
	cr_fork(enter, &members[0]);
	cr_await(&members[0].turn, 2);
}

static void outlive(void *arg)
{
	NEED(setsid() > 1);
	cr_fork(plain, arg);
	cr_await(&members[0].turn, 2);
}

static void outlived_init(void *arg)
{
	cr_reap(cr_fork(outlive, &members[0]), 0);
	cr_set(&members[1].turn, 2);
	for (;;)
		pause();
}

static void outlived_setup(void)
{
	members = cr_shared(4096);
	fork_init(outlived_init, NULL);
	cr_await(&members[1].turn, 2);
}

/* The tree of a process that is inside of a container, and not its init. */
static void inside_setup(void)
{
	cr_fork(sleep_on, NULL);
}

static void inside_drive(struct cr_run *run)
{
	char path[64], list[64];
	pid_t container;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", run->root,
		 run->root);
	if (cr_slurp(path, list, sizeof(list)) <= 0)
		return cr_failed(run, "no children");
	container = run->root;
	run->root = atoi(list);
	run->mode = CR_SUBTREE;
	if (cr_try_checkpoint(run, "image", CHECKPOINT_SUBTREE) !=
	    -EOPNOTSUPP || !cr_log_has(run, "is inside of a container"))
		cr_failed(run, "it was not refused");
	run->root = container;
	run->mode = CR_CONTAINER;
	cr_check(run, CR_AFTER);
}

static const struct cr_scenario scenarios[] = {
	{ "pidns.levels", CR_TREE, levels_setup, levels_check },
	{ "pidns.names", CR_TREE, names_setup, names_check },
	{ "pidns.unshared", CR_TREE, unshared_setup, unshared_check },
	{ "pidns.new", CR_TREE, new_setup, new_check },
	{ "pidns.ended", CR_TREE, ended_setup, ended_check },
	{ "pidns.vfork", CR_TREE, vfork_setup, vfork_check },
	{ "pidns.init", CR_TREE, killed_setup, killed_check },
	{ "pidns.reaped", CR_TREE, reaped_setup, refused_check,
	  CR_REFUSED, "whose init has been reaped" },
	{ "pidns.entered", CR_TREE, entered_setup, refused_check,
	  CR_REFUSED, "another pid namespace for its children" },
	{ "pidns.outlived", CR_TREE, outlived_setup, refused_check,
	  CR_REFUSED, "whose leader has been reaped" },
	{ "pidns.inside", CR_CONTAINER, inside_setup, refused_check,
	  .drive = inside_drive },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
