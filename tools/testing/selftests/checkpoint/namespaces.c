// SPDX-License-Identifier: GPL-2.0
/* The namespaces of a container, and how its init is different. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "cr.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x00000080
#endif

#define SEC	1000000000LL

/* The driver writes down what it has: a child of it may not look. */
static const char * const kinds[] = {
	"pid", "ipc", "uts", "mnt", "net", "user", "cgroup",
};

static int note_namespaces(struct cr_run *run)
{
	char path[128], link[64];
	ssize_t n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		n = readlink(path, link, sizeof(link));
		if (n <= 0) {
			cr_failed(run, "cannot read %s", path);
			break;
		}
		snprintf(path, sizeof(path), "%s/%s", run->dir, kinds[i]);
		cr_write_file(path, link, n);
	}
	return -1;
}

static bool of_the_host(const char *kind)
{
	char path[64], host[64], mine[64];
	ssize_t n;

	NEED(cr_slurp(cr_path(kind), host, sizeof(host)) > 0);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	n = readlink(path, mine, sizeof(mine) - 1);
	NEED(n > 0);
	mine[n] = '\0';
	return !strcmp(host, mine);
}

static void names_setup(void)
{
	NEED(!sethostname("host-of-the-container", 21));
	NEED(!setdomainname("its.domain", 10));
}

static void names_check(enum cr_phase phase)
{
	struct utsname uts;

	NEED(!uname(&uts));
	CHECK_STR(uts.nodename, "host-of-the-container");
	CHECK_STR(uts.domainname, "its.domain");
	CHECK(!of_the_host("uts"));
	CHECK_EQ(sethostname("host-of-the-container", 21), 0);
}

static void nothing_setup(void)
{
}

/* What was apart from the machine stays so, what was not does as well. */
static void apart_check(enum cr_phase phase)
{
	size_t i;

	/* A container has the first three for itself. */
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		CHECK_EQ(of_the_host(kinds[i]),
			 cr_mode != CR_CONTAINER || i >= 3);
}

/*
 * Processes and a thread that have names of their own for the machine: the
 * first two share one, and the child of the second.
 */
static struct renamed {
	int turn;
	bool changes;
	char name[65], domain[65];
} *renamed;

static void note_name(struct renamed *self)
{
	struct utsname uts;

	cr_set(&self->turn, 2);
	for (;;) {
		if (cr_get(&self->turn) == 1) {
			if (self->changes)
				NEED(!setdomainname(self->domain,
						    strlen(self->domain)));
			NEED(!uname(&uts));
			strcpy(self->name, uts.nodename);
			strcpy(self->domain, uts.domainname);
			cr_set(&self->turn, 2);
		}
		cr_msleep(2);
	}
}

static void same_uts(void *arg)
{
	note_name(arg);
}

static void *in_thread(void *arg)
{
	NEED(!unshare(CLONE_NEWUTS) && !sethostname("thread", 6));
	note_name(arg);
	return NULL;
}

static void own_uts(void *arg)
{
	pthread_t thread;

	NEED(!unshare(CLONE_NEWUTS) && !sethostname("inner", 5));
	cr_fork(same_uts, &renamed[1]);
	NEED(!pthread_create(&thread, NULL, in_thread, &renamed[2]));
	note_name(&renamed[0]);
}

static void other_uts(void *arg)
{
	NEED(!unshare(CLONE_NEWUTS) && !sethostname("other", 5));
	note_name(&renamed[3]);
}

static void own_uts_setup(void)
{
	size_t i;

	renamed = cr_shared(4096);
	cr_fork(own_uts, NULL);
	cr_fork(other_uts, NULL);
	for (i = 0; i < 4; i++)
		cr_await(&renamed[i].turn, 2);
}

static void own_uts_check(enum cr_phase phase)
{
	static const char * const names[] = { "inner", "inner", "thread", "other" };
	static const char * const domains[] = { "a", "b", "c" };
	struct utsname uts;
	size_t i;

	/* What the first sets, the second sees, and nobody else. */
	renamed[0].changes = true;
	strcpy(renamed[0].domain, domains[phase]);
	for (i = 0; i < 4; i++) {
		cr_set(&renamed[i].turn, 1);
		cr_await(&renamed[i].turn, 2);
		CHECK_STR(renamed[i].name, names[i]);
		CHECK_EQ(!strcmp(renamed[i].domain, domains[phase]), i < 2);
	}
	NEED(!uname(&uts));
	for (i = 0; i < 4; i++)
		CHECK(strcmp(uts.nodename, names[i]));
	CHECK(strcmp(uts.domainname, domains[phase]));
}

/* One with an IPC namespace of its own is refused. */
static void own_ipc(void *arg)
{
	NEED(!unshare(CLONE_NEWIPC));
	cr_set(arg, 1);
	for (;;)
		pause();
}

static void own_ipc_setup(void)
{
	int *done = cr_shared(sizeof(*done));

	cr_fork(own_ipc, done);
	cr_await(done, 1);
}

static void own_ipc_check(enum cr_phase phase)
{
}

/* Init gets only the signals that it has a handler for, from inside. */
static int usr1;

static void on_usr1(int sig)
{
	cr_set(&usr1, usr1 + 1);
}

static void attack(void *arg)
{
	NEED(!kill(1, SIGTERM) && !kill(1, SIGKILL) && !kill(1, SIGUSR1));
}

static void init_setup(void)
{
	signal(SIGUSR1, on_usr1);
}

static void init_check(enum cr_phase phase)
{
	cr_set(&usr1, 0);
	CHECK_EQ(getpid(), 1);
	CHECK_EQ(getppid(), 0);
	cr_reap(cr_fork(attack, NULL), 0);
	cr_await(&usr1, 1);
}

/* Who has lost its parent becomes a child of init. */
static int *orphan_leaves;

static void orphan(void *arg)
{
	while (!cr_get(orphan_leaves))
		cr_msleep(2);
	_exit(33);
}

static void short_parent(void *arg)
{
	cr_fork(orphan, NULL);
}

static void orphan_setup(void)
{
	if (!orphan_leaves)
		orphan_leaves = cr_shared(sizeof(*orphan_leaves));
	cr_set(orphan_leaves, 0);
	cr_reap(cr_fork(short_parent, NULL), 0);
}

static void orphan_check(enum cr_phase phase)
{
	siginfo_t info = { };
	int i;

	CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	CHECK_EQ(info.si_pid, 0);
	cr_set(orphan_leaves, 1);
	for (i = 0; i < 5000 && !info.si_pid; i++) {
		CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
		cr_msleep(2);
	}
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_status, 33);
	orphan_setup();
}

/* Numbers go on where they were: none comes twice. */
static pid_t last_pid;

static void empty(void *arg)
{
}

static void numbers_setup(void)
{
	int i;

	for (i = 0; i < 30; i++) {
		last_pid = cr_fork(empty, NULL);
		cr_reap(last_pid, 0);
	}
	CHECK(last_pid >= 31);
}

static void numbers_check(enum cr_phase phase)
{
	pid_t pid = cr_fork(empty, NULL);

	cr_reap(pid, 0);
	CHECK_EQ(pid, last_pid + 1);
	last_pid = pid;
}

/*
 * CLOCK_MONOTONIC and CLOCK_BOOTTIME of a container go on from where they were:
 * through the vDSO, through the system call, and for what waits for a moment.
 */
static const clockid_t clocks[] = {
	CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW,
	CLOCK_MONOTONIC_COARSE,
};

static long long last[ARRAY_SIZE(clocks)], moment;
static timer_t timer;

static struct sleeper {
	long long until, woke;
	int turn, ret;
} *sleeper;

static long long in_ns(const struct timespec *ts)
{
	return ts->tv_sec * SEC + ts->tv_nsec;
}

static long long vdso_clock(clockid_t clock)
{
	struct timespec ts;

	NEED(!clock_gettime(clock, &ts));
	return in_ns(&ts);
}

static long long kernel_clock(clockid_t clock)
{
	struct timespec ts;

	NEED(!syscall(SYS_clock_gettime, clock, &ts));
	return in_ns(&ts);
}

static void sleep_until(void *arg)
{
	struct timespec until;

	for (;;) {
		sleeper->until = vdso_clock(CLOCK_MONOTONIC) + 3 * SEC;
		until.tv_sec = sleeper->until / SEC;
		until.tv_nsec = sleeper->until % SEC;
		cr_set(&sleeper->turn, 1);
		sleeper->ret = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
					       &until, NULL);
		sleeper->woke = vdso_clock(CLOCK_MONOTONIC);
		cr_set(&sleeper->turn, 2);
		while (cr_get(&sleeper->turn) == 2)
			cr_msleep(2);
	}
}

static void note_clocks(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(clocks); i++)
		last[i] = vdso_clock(clocks[i]);
}

static void clocks_setup(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct itimerspec spec = { };

	moment = vdso_clock(CLOCK_MONOTONIC) + 1000 * SEC;
	spec.it_value.tv_sec = moment / SEC;
	spec.it_value.tv_nsec = moment % SEC;
	NEED(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	NEED(!timer_settime(timer, TIMER_ABSTIME, &spec, NULL));
	sleeper = cr_shared(sizeof(*sleeper));
	cr_fork(sleep_until, NULL);
	cr_await(&sleeper->turn, 1);
	note_clocks();
}

static void clocks_check(enum cr_phase phase)
{
	long long now, left;
	struct itimerspec spec;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(clocks); i++) {
		now = kernel_clock(clocks[i]);
		CHECK(now >= last[i]);
		/* Much less than passed outside. */
		CHECK(now < last[i] + 10 * SEC);
		CHECK(vdso_clock(clocks[i]) >= now);
		CHECK(vdso_clock(clocks[i]) < now + 5 * SEC);
	}
	NEED(!timer_gettime(timer, &spec));
	left = in_ns(&spec.it_value) + vdso_clock(CLOCK_MONOTONIC) - moment;
	CHECK(left > -SEC / 2 && left < SEC / 2);
	if (phase == CR_AGAIN) {
		cr_await(&sleeper->turn, 2);
		CHECK_EQ(sleeper->ret, 0);
		CHECK(sleeper->woke >= sleeper->until);
		CHECK(sleeper->woke < sleeper->until + 10 * SEC);
		cr_set(&sleeper->turn, 0);
		cr_await(&sleeper->turn, 1);
	}
	note_clocks();
}

/* Killed, restarted, and that a second time from a container that has its clocks. */
static void twice(struct cr_run *run)
{
	(void)(cr_kill(run) && cr_restart(run, "image", 0) &&
	       cr_check(run, CR_AGAIN) &&
	       cr_checkpoint(run, "second", CHECKPOINT_KILL) && cr_kill(run) &&
	       cr_restart(run, "second", 0) && cr_check(run, CR_AGAIN));
}

static void held_drive(struct cr_run *run)
{
	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL))
		return;
	cr_msleep(12000);
	twice(run);
}

/* Another machine is one whose clocks are far ahead. */
static bool go_ahead(struct cr_run *run)
{
	static const char offsets[] = "monotonic 100000 0\nboottime 300000 0\n";
	int fd;

	if (unshare(CLONE_NEWTIME)) {
		cr_skipped(run, "no time namespaces");
		return false;
	}
	cr_write_file("/proc/self/timens_offsets", offsets, sizeof(offsets) - 1);
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME)) {
		cr_failed(run, "cannot enter the time namespace");
		return false;
	}
	close(fd);
	if (vdso_clock(CLOCK_MONOTONIC) < 100000 * SEC)
		cr_failed(run, "the clocks are not ahead");
	return true;
}

static void to_ahead_drive(struct cr_run *run)
{
	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) || !go_ahead(run))
		return;
	twice(run);
}

/* What was saved there is restarted on a machine that has just booted. */
static void to_behind_drive(struct cr_run *run)
{
	int fd = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);

	if (!go_ahead(run) || !cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL))
		return;
	if (setns(fd, CLONE_NEWTIME))
		return cr_failed(run, "cannot go back to the time namespace");
	close(fd);
	twice(run);
}

static void own_time_setup(void)
{
	if (unshare(CLONE_NEWTIME))
		cr_skip("no time namespaces");
}

static void own_time_check(enum cr_phase phase)
{
}

static const struct cr_scenario scenarios[] = {
	{ "namespace.host_name", CR_CONTAINER, names_setup, names_check,
	  .prepare = note_namespaces },
	{ "namespace.apart", CR_TREE, nothing_setup, apart_check,
	  .prepare = note_namespaces },
	{ "namespace.uts_of_child", CR_TREE, own_uts_setup, own_uts_check },
	{ "namespace.ipc_of_child", CR_TREE, own_ipc_setup, own_ipc_check,
	  CR_REFUSED, "is in other namespaces than the root" },
	{ "namespace.clocks", CR_CONTAINER, clocks_setup, clocks_check,
	  .drive = held_drive },
	{ "namespace.clocks_ahead", CR_CONTAINER, clocks_setup, clocks_check,
	  .drive = to_ahead_drive },
	{ "namespace.clocks_behind", CR_CONTAINER, clocks_setup, clocks_check,
	  .drive = to_behind_drive },
	{ "namespace.time_of_children", CR_TREE, own_time_setup, own_time_check,
	  CR_REFUSED, "another time namespace for its children" },
	{ "container.init", CR_CONTAINER, init_setup, init_check },
	{ "container.orphan", CR_CONTAINER, orphan_setup, orphan_check },
	{ "container.next_pid", CR_CONTAINER, numbers_setup, numbers_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
