// SPDX-License-Identifier: GPL-2.0
/* Timers of timer_create(), and the signals that they send. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/capability.h>

#include "cr.h"

#define SEC	1000000000LL
#define MS	1000000LL

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id	_sigev_un._tid
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS		77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF		0
#define PR_TIMER_CREATE_RESTORE_IDS_ON		1
#define PR_TIMER_CREATE_RESTORE_IDS_GET		2
#endif

static int timer;

static long long now(clockid_t clock)
{
	struct timespec ts;

	NEED(!clock_gettime(clock, &ts));
	return ts.tv_sec * SEC + ts.tv_nsec;
}

/* The C library would keep records of its own of some timers. */
static int try_timer(clockid_t clock, int notify, int sig, int value, pid_t tid)
{
	struct sigevent event = {
		.sigev_notify = notify,
		.sigev_signo = sig,
		.sigev_value.sival_int = value,
	};
	int id = -1;

	event.sigev_notify_thread_id = tid;
	if (syscall(SYS_timer_create, clock, &event, &id))
		return -1;
	return id;
}

static int make_timer(clockid_t clock, int sig, int value)
{
	int id = try_timer(clock, SIGEV_SIGNAL, sig, value, 0);

	NEED(id >= 0);
	return id;
}

static timer_t handle(int id)
{
	return (timer_t)(intptr_t)id;
}

static void set_timer(int id, int flags, long long value, long long interval)
{
	struct itimerspec spec = {
		.it_value = { value / SEC, value % SEC },
		.it_interval = { interval / SEC, interval % SEC },
	};

	NEED(!timer_settime(handle(id), flags, &spec, NULL));
}

static long long left_of(int id, long long *interval)
{
	struct itimerspec spec = { };

	CHECK_EQ(timer_gettime(handle(id), &spec), 0);
	if (interval)
		*interval = spec.it_interval.tv_sec * SEC + spec.it_interval.tv_nsec;
	return spec.it_value.tv_sec * SEC + spec.it_value.tv_nsec;
}

/* The tests take a while, but not minutes. */
static void check_left(long long left, long long all)
{
	CHECK(left > all - 100 * SEC);
	CHECK(left <= all);
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
}

/* Takes a pending signal; 0: there is none. */
static int take(int sig, siginfo_t *info)
{
	struct timespec zero = { };
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, sig);
	memset(info, 0, sizeof(*info));
	ret = sigtimedwait(&set, info, &zero);
	if (ret < 0) {
		CHECK_EQ(errno, EAGAIN);
		return 0;
	}
	return ret;
}

static bool is_pending(int sig)
{
	sigset_t set;

	NEED(!sigpending(&set));
	return sigismember(&set, sig);
}

static void await_pending(int sig)
{
	long long end = now(CLOCK_MONOTONIC) + 15 * SEC;

	while (!is_pending(sig) && now(CLOCK_MONOTONIC) < end)
		cr_msleep(1);
	NEED(is_pending(sig));
}

static int caught, caught_value;
static pid_t caught_by;

static void catch(int sig, siginfo_t *info, void *context)
{
	cr_set(&caught_value, info->si_value.sival_int);
	cr_set(&caught_by, gettid());
	cr_set(&caught, cr_get(&caught) + 1);
}

static void handle_signal(int sig)
{
	struct sigaction action = {
		.sa_sigaction = catch,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	NEED(!sigaction(sig, &action, NULL));
}

static void await_caught(int more)
{
	long long end = now(CLOCK_MONOTONIC) + 15 * SEC;
	int want = cr_get(&caught) + more;

	while (cr_get(&caught) < want && now(CLOCK_MONOTONIC) < end)
		cr_msleep(1);
	CHECK(cr_get(&caught) >= want);
}

static const clockid_t clocks[] = {
	CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
	CLOCK_BOOTTIME_ALARM, CLOCK_TAI,
};

#define CLOCKS	ARRAY_SIZE(clocks)

static int relative[CLOCKS], absolute[CLOCKS], off[CLOCKS], quiet[CLOCKS];
static long long moments[CLOCKS];

static void clocks_setup(void)
{
	int i;

	for (i = 0; i < CLOCKS; i++) {
		relative[i] = try_timer(clocks[i], SIGEV_SIGNAL, SIGALRM, i, 0);
		if (relative[i] < 0 && (errno == EPERM || errno == EOPNOTSUPP))
			cr_skip("may not wake the machine");
		absolute[i] = make_timer(clocks[i], SIGALRM, i);
		off[i] = make_timer(clocks[i], SIGALRM, i);
		quiet[i] = try_timer(clocks[i], SIGEV_NONE, 0, i, 0);
		NEED(relative[i] >= 0 && quiet[i] >= 0);
		moments[i] = now(clocks[i]) + 2000 * SEC;
		set_timer(relative[i], 0, 1000 * SEC, 5 * SEC);
		set_timer(absolute[i], TIMER_ABSTIME, moments[i], 0);
		set_timer(off[i], 0, 1000 * SEC, 5 * SEC);
		set_timer(off[i], 0, 0, 0);
		set_timer(quiet[i], 0, 3000 * SEC, 0);
	}
}

static void clocks_check(enum cr_phase phase)
{
	long long left, interval;
	int i;

	for (i = 0; i < CLOCKS; i++) {
		check_left(left_of(relative[i], &interval), 1000 * SEC);
		CHECK_EQ(interval, 5 * SEC);
		left = left_of(absolute[i], &interval);
		check_left(left, 2000 * SEC);
		CHECK_EQ(interval, 0);
		/* The moment is where it was on the clock. */
		left += now(clocks[i]) - moments[i];
		CHECK(left > -SEC && left < SEC);
		CHECK_EQ(left_of(off[i], &interval), 0);
		CHECK_EQ(interval, 0);
		check_left(left_of(quiet[i], NULL), 3000 * SEC);
	}
}

/* A process may keep such a timer when it may not make one any more. */
static void alarm_setup(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	timer = try_timer(CLOCK_BOOTTIME_ALARM, SIGEV_SIGNAL, SIGALRM, 1, 0);
	if (timer < 0 && (errno == EPERM || errno == EOPNOTSUPP))
		cr_skip("may not wake the machine");
	set_timer(timer, 0, 1000 * SEC, 0);
	NEED(!syscall(SYS_capget, &head, caps));
	caps[CAP_WAKE_ALARM / 32].effective &= ~(1U << CAP_WAKE_ALARM % 32);
	caps[CAP_WAKE_ALARM / 32].permitted &= ~(1U << CAP_WAKE_ALARM % 32);
	NEED(!syscall(SYS_capset, &head, caps));
}

static void alarm_check(enum cr_phase phase)
{
	check_left(left_of(timer, NULL), 1000 * SEC);
	CHECK_EQ(try_timer(CLOCK_BOOTTIME_ALARM, SIGEV_SIGNAL, SIGALRM, 1, 0), -1);
	CHECK_EQ(errno, EPERM);
}

/* The numbers, between which some are free, and the next one. */
static int made[8];

static void ids_setup(void)
{
	int i;

	for (i = 0; i < 8; i++)
		made[i] = make_timer(CLOCK_MONOTONIC, SIGALRM, i);
	for (i = 1; i < 8; i += 2)
		NEED(!timer_delete(handle(made[i])));
}

static void ids_check(enum cr_phase phase)
{
	struct itimerspec spec;
	int i, id, next = made[7] + 1;

	for (i = 0; i < 8; i++)
		CHECK_EQ(timer_gettime(handle(made[i]), &spec), i % 2 ? -1 : 0);
	if (phase == CR_BEFORE)
		return;
	id = make_timer(CLOCK_MONOTONIC, SIGALRM, 0);
	CHECK(id >= next);
	CHECK(id <= next + 1);
	NEED(!timer_delete(handle(id)));
}

/* The number of the next timer, when there is none. */
static void next_id_setup(void)
{
	int id = make_timer(CLOCK_MONOTONIC, SIGALRM, 0);

	NEED(!timer_delete(handle(id)));
	id = make_timer(CLOCK_MONOTONIC, SIGALRM, 0);
	NEED(!timer_delete(handle(id)));
	cr_set(&made[0], id);
}

static void next_id_check(enum cr_phase phase)
{
	int id;

	if (phase == CR_BEFORE)
		return;
	id = make_timer(CLOCK_MONOTONIC, SIGALRM, 0);
	CHECK(id > made[0]);
	CHECK(id <= made[0] + 2);
	NEED(!timer_delete(handle(id)));
}

/* Programs that choose the numbers. */
static void choose_setup(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };

	if (prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON, 0, 0, 0))
		cr_skip("no PR_TIMER_CREATE_RESTORE_IDS");
	timer = 123456;
	NEED(!syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
	CHECK_EQ(timer, 123456);
}

static void choose_check(enum cr_phase phase)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	int other = 777;

	CHECK_EQ(left_of(timer, NULL), 0);
	CHECK_EQ(prctl(PR_TIMER_CREATE_RESTORE_IDS,
		       PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0), 1);
	CHECK_EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &other), 0);
	CHECK_EQ(other, 777);
	CHECK_EQ(timer_delete(handle(777)), 0);
}

static void many_setup(void)
{
	int i, id;

	for (i = 0; i < 1000; i++) {
		id = make_timer(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, SIGALRM, i);
		set_timer(id, 0, (1000 + i) * SEC, 0);
		if (!i)
			timer = id;
	}
}

static void many_check(enum cr_phase phase)
{
	int i;

	for (i = 0; i < 1000; i++)
		check_left(left_of(timer + i, NULL), (1000 + i) * SEC);
}

/* It fires, at each interval, also after a restart. */
static void periodic_setup(void)
{
	handle_signal(SIGUSR1);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 4711);
	set_timer(timer, 0, 50 * MS, 50 * MS);
}

static void periodic_check(enum cr_phase phase)
{
	await_caught(3);
	CHECK_EQ(cr_get(&caught_value), 4711);
}

/*
 * What is left on disk is left at restart: the driver holds the image back for
 * longer than the timer has left.
 */
static void held_setup(void)
{
	handle_signal(SIGUSR1);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 1);
	set_timer(timer, 0, 3 * SEC, 0);
}

static void held_check(enum cr_phase phase)
{
	if (phase == CR_BEFORE)
		return;
	CHECK_EQ(cr_get(&caught), 0);
	CHECK(left_of(timer, NULL) > 0);
	await_caught(1);
	CHECK_EQ(cr_get(&caught), 1);
	CHECK_EQ(left_of(timer, NULL), 0);
}

static void held_drive(struct cr_run *run)
{
	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL | cr_mode_flags(run->mode)))
		return;
	if (!cr_kill(run))
		return;
	cr_msleep(5000);
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* Expirations that were missed while the signal waited, but not those on disk. */
static void overrun_setup(void)
{
	block(SIGUSR1);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 5);
	set_timer(timer, 0, 100 * MS, 100 * MS);
	cr_msleep(700);
}

static void overrun_check(enum cr_phase phase)
{
	siginfo_t info;

	if (phase == CR_BEFORE)
		return;
	CHECK_EQ(timer_getoverrun(handle(timer)), 0);
	CHECK_EQ(take(SIGUSR1, &info), SIGUSR1);
	CHECK_EQ(info.si_code, SI_TIMER);
	CHECK_EQ(info.si_timerid, timer);
	CHECK_EQ(info.si_value.sival_int, 5);
	CHECK(info.si_overrun >= 5);
	CHECK(info.si_overrun < 45);
	CHECK_EQ(timer_getoverrun(handle(timer)), info.si_overrun);
	/* It goes on in its rhythm. */
	await_pending(SIGUSR1);
	CHECK_EQ(take(SIGUSR1, &info), SIGUSR1);
	CHECK(info.si_overrun < 40);
}

/* The overruns of the last signal, of a timer that has been stopped since */
static void last_overrun_setup(void)
{
	siginfo_t info;

	block(SIGUSR1);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 5);
	set_timer(timer, 0, 1 * MS, 500 * SEC);
	await_pending(SIGUSR1);
	NEED(take(SIGUSR1, &info) == SIGUSR1);
	CHECK_EQ(timer_getoverrun(handle(timer)), 0);
	made[0] = make_timer(CLOCK_MONOTONIC, SIGUSR1, 5);
	set_timer(made[0], 0, 10 * MS, 10 * MS);
	cr_msleep(200);
	NEED(take(SIGUSR1, &info) == SIGUSR1);
	made[1] = timer_getoverrun(handle(made[0]));
}

static void last_overrun_check(enum cr_phase phase)
{
	CHECK(made[1] > 0);
	CHECK_EQ(timer_getoverrun(handle(made[0])), made[1]);
	check_left(left_of(timer, NULL), 500 * SEC);
}

/* Among others of the same number, a signal of a timer keeps its place. */
static void order_setup(void)
{
	union sigval value = { .sival_int = 1 };
	int sig = SIGRTMIN + 3, i;

	block(sig);
	for (i = 0; i < 3; i++) {
		value.sival_int = 10 * i;
		NEED(!sigqueue(getpid(), sig, value));
		made[i] = make_timer(CLOCK_MONOTONIC, sig, 10 * i + 1);
		set_timer(made[i], 0, 1, 0);
		while (left_of(made[i], NULL))
			cr_msleep(1);
	}
}

static void order_check(enum cr_phase phase)
{
	int sig = SIGRTMIN + 3, i;
	siginfo_t info;

	for (i = 0; i < 6; i++) {
		CHECK_EQ(take(sig, &info), sig);
		CHECK_EQ(info.si_code, i % 2 ? SI_TIMER : SI_QUEUE);
		CHECK_EQ(info.si_value.sival_int, i / 2 * 10 + i % 2);
		if (i % 2)
			CHECK_EQ(info.si_timerid, made[i / 2]);
	}
	CHECK_EQ(take(sig, &info), 0);
	for (i = 0; i < 3; i++)
		NEED(!timer_delete(handle(made[i])));
	order_setup();
}

/* Setting a timer takes back the signal that it has sent. */
static void stale_setup(void)
{
	block(SIGUSR1);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 1);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
	made[0] = make_timer(CLOCK_MONOTONIC, SIGUSR2, 1);
	block(SIGUSR2);
	set_timer(made[0], 0, 1, 0);
	await_pending(SIGUSR2);
	set_timer(made[0], 0, 1000 * SEC, 0);
}

static void stale_check(enum cr_phase phase)
{
	siginfo_t info;

	CHECK(is_pending(SIGUSR1));
	CHECK(is_pending(SIGUSR2));
	if (phase == CR_BEFORE)
		return;
	/* This one while it waits, that one before the checkpoint. */
	set_timer(timer, 0, 1000 * SEC, 0);
	CHECK_EQ(take(SIGUSR1, &info), 0);
	CHECK_EQ(take(SIGUSR2, &info), 0);
	check_left(left_of(timer, NULL), 1000 * SEC);
	check_left(left_of(made[0], NULL), 1000 * SEC);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
	set_timer(made[0], 0, 1, 0);
	await_pending(SIGUSR2);
	set_timer(made[0], 0, 1000 * SEC, 0);
}

/* One that was taken back is sent by the next expiry again, once. */
static void reused_setup(void)
{
	block(SIGUSR1);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 1);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
	set_timer(timer, 0, 1000 * SEC, 0);
}

static void reused_check(enum cr_phase phase)
{
	siginfo_t info;

	CHECK(is_pending(SIGUSR1));
	if (phase == CR_BEFORE)
		return;
	set_timer(timer, 0, 1, 0);
	while (left_of(timer, NULL))
		cr_msleep(1);
	CHECK_EQ(take(SIGUSR1, &info), SIGUSR1);
	CHECK_EQ(info.si_timerid, timer);
	CHECK_EQ(take(SIGUSR1, &info), 0);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
	set_timer(timer, 0, 1000 * SEC, 0);
}

/* A signal that is ignored comes when it is not ignored any more. */
static void ignored_setup(void)
{
	signal(SIGUSR1, SIG_IGN);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 9);
	set_timer(timer, 0, 10 * MS, 10 * MS);
	cr_msleep(100);
}

static void ignored_check(enum cr_phase phase)
{
	CHECK(!is_pending(SIGUSR1));
	handle_signal(SIGUSR1);
	await_caught(3);
	CHECK_EQ(cr_get(&caught_value), 9);
	signal(SIGUSR1, SIG_IGN);
	cr_msleep(50);
}

/* To one thread: a signal that it has got, and one that waits for it */
static struct {
	pid_t tid;
	int take, took, overrun;
} other;

static void *other_thread(void *arg)
{
	siginfo_t info;

	block(SIGUSR2);
	cr_set(&other.tid, gettid());
	for (;;) {
		while (!cr_get(&other.take))
			cr_msleep(1);
		other.took = take(SIGUSR2, &info);
		other.overrun = info.si_overrun;
		cr_set(&other.take, 0);
	}
	return NULL;
}

static void thread_setup(void)
{
	pthread_t thread;

	handle_signal(SIGUSR1);
	block(SIGUSR2);
	NEED(!pthread_create(&thread, NULL, other_thread, NULL));
	while (!cr_get(&other.tid))
		cr_msleep(1);
	timer = try_timer(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 6, other.tid);
	made[0] = try_timer(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR2, 7, other.tid);
	NEED(timer >= 0 && made[0] >= 0);
	set_timer(timer, 0, 50 * MS, 50 * MS);
	set_timer(made[0], 0, 10 * MS, 10 * MS);
	cr_msleep(100);
}

static void thread_check(enum cr_phase phase)
{
	siginfo_t info;

	await_caught(2);
	CHECK_EQ(cr_get(&caught_by), other.tid);
	CHECK_EQ(cr_get(&caught_value), 6);
	CHECK_EQ(take(SIGUSR2, &info), 0);
	cr_set(&other.take, 1);
	cr_await(&other.take, 0);
	CHECK_EQ(other.took, SIGUSR2);
	CHECK(other.overrun > 5);
	cr_msleep(100);
}

/* SIGEV_THREAD is like SIGEV_SIGNAL for the kernel. */
static void notify_setup(void)
{
	block(SIGUSR1);
	timer = try_timer(CLOCK_MONOTONIC, SIGEV_THREAD, SIGUSR1, 8, 0);
	NEED(timer >= 0);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
	/* Nobody is told, but the time runs, and the expirations count. */
	made[0] = try_timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 8, 0);
	made[1] = try_timer(CLOCK_MONOTONIC, SIGEV_NONE, -5, 8, 0);
	NEED(made[0] >= 0 && made[1] >= 0);
	set_timer(made[0], 0, 1, 0);
	set_timer(made[1], 0, 10 * MS, 500 * SEC);
	cr_msleep(20);
}

static void notify_check(enum cr_phase phase)
{
	long long interval;
	siginfo_t info;

	CHECK_EQ(take(SIGUSR1, &info), SIGUSR1);
	CHECK_EQ(info.si_value.sival_int, 8);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
	CHECK_EQ(left_of(made[0], NULL), 0);
	check_left(left_of(made[1], &interval), 500 * SEC);
	CHECK_EQ(interval, 500 * SEC);
}

static void burn(long long ns)
{
	long long end = now(CLOCK_PROCESS_CPUTIME_ID) + ns;

	while (now(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

/* CPU clocks: of the process, of a thread, and of another process */
static int of_thread, of_child, quiet_cpu;
static pid_t child;

static void idle(void *arg)
{
	for (;;)
		pause();
}

static void *cpu_thread(void *arg)
{
	of_thread = make_timer(CLOCK_THREAD_CPUTIME_ID, SIGALRM, 2);
	set_timer(of_thread, 0, 1000 * SEC, 7 * SEC);
	cr_set(&other.tid, gettid());
	for (;;)
		pause();
	return NULL;
}

static void cpu_setup(void)
{
	pthread_t thread;
	clockid_t clock;

	timer = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGALRM, 1);
	set_timer(timer, 0, 1000 * SEC, 3 * SEC);
	quiet_cpu = try_timer(CLOCK_PROCESS_CPUTIME_ID, SIGEV_NONE, 0, 0, 0);
	set_timer(quiet_cpu, 0, 2000 * SEC, 0);
	burn(100 * MS);
	NEED(!pthread_create(&thread, NULL, cpu_thread, NULL));
	while (!cr_get(&other.tid))
		cr_msleep(1);
	child = cr_fork(idle, NULL);
	NEED(!clock_getcpuclockid(child, &clock));
	of_child = make_timer(clock, SIGALRM, 3);
	set_timer(of_child, 0, 1000 * SEC, 0);
}

static void cpu_check(enum cr_phase phase)
{
	long long left, interval;

	left = left_of(timer, &interval);
	check_left(left, 1000 * SEC - 90 * MS);
	CHECK_EQ(interval, 3 * SEC);
	check_left(left_of(quiet_cpu, NULL), 2000 * SEC - 90 * MS);
	check_left(left_of(of_thread, &interval), 1000 * SEC);
	CHECK_EQ(interval, 7 * SEC);
	check_left(left_of(of_child, NULL), 1000 * SEC);
}

static void cpu_fires_setup(void)
{
	handle_signal(SIGUSR1);
	timer = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1, 1);
	set_timer(timer, 0, 50 * MS, 50 * MS);
}

static void cpu_fires_check(enum cr_phase phase)
{
	long long end = now(CLOCK_MONOTONIC) + 15 * SEC;
	int before = cr_get(&caught);

	while (cr_get(&caught) < before + 2 && now(CLOCK_MONOTONIC) < end)
		;
	CHECK(cr_get(&caught) >= before + 2);
}

/* One that has expired, whose signal waits */
static void cpu_pending_setup(void)
{
	block(SIGUSR1);
	timer = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1, 1);
	set_timer(timer, 0, 10 * MS, 500 * SEC);
	while (!is_pending(SIGUSR1))
		burn(1 * MS);
}

static void cpu_pending_check(enum cr_phase phase)
{
	siginfo_t info;

	CHECK_EQ(take(SIGUSR1, &info), SIGUSR1);
	CHECK_EQ(info.si_timerid, timer);
	CHECK_EQ(info.si_overrun, 0);
	check_left(left_of(timer, NULL), 500 * SEC);
	set_timer(timer, 0, 10 * MS, 500 * SEC);
	while (!is_pending(SIGUSR1))
		burn(1 * MS);
}

static int signal_fd, set_fd;

static void signalfd_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;

	block(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal_fd = signalfd(-1, &set, SFD_NONBLOCK);
	set_fd = epoll_create1(0);
	NEED(signal_fd >= 0 && set_fd >= 0);
	NEED(!epoll_ctl(set_fd, EPOLL_CTL_ADD, signal_fd, &event));
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 3);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
}

static void signalfd_check(enum cr_phase phase)
{
	struct signalfd_siginfo info;
	struct epoll_event event;

	CHECK_EQ(epoll_wait(set_fd, &event, 1, 5000), 1);
	CHECK_EQ(read(signal_fd, &info, sizeof(info)), sizeof(info));
	CHECK_EQ(info.ssi_code, SI_TIMER);
	CHECK_EQ(info.ssi_tid, timer);
	CHECK_EQ(epoll_wait(set_fd, &event, 1, 0), 0);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
}

/* A process whose first thread has ended keeps its timers. */
static struct shared {
	int turn, result;
} *shared;

static void *last_thread(void *arg)
{
	long long left;

	timer = make_timer(CLOCK_MONOTONIC, SIGALRM, 1);
	set_timer(timer, 0, 1000 * SEC, 0);
	for (;;) {
		cr_set(&shared->turn, 0);
		while (!cr_get(&shared->turn))
			cr_msleep(1);
		left = left_of(timer, NULL);
		shared->result = left > 900 * SEC && left <= 1000 * SEC;
	}
	return NULL;
}

static void leaderless(void *arg)
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, last_thread, NULL));
	pthread_exit(NULL);
}

static void dead_leader_setup(void)
{
	shared = cr_shared(sizeof(*shared));
	cr_set(&shared->turn, 1);
	cr_fork(leaderless, NULL);
	cr_await(&shared->turn, 0);
}

static void dead_leader_check(enum cr_phase phase)
{
	shared->result = 0;
	cr_set(&shared->turn, 1);
	cr_await(&shared->turn, 0);
	CHECK_EQ(shared->result, 1);
}

/* The signal of a timer that is gone is never taken. */
static void deleted_setup(void)
{
	block(SIGUSR1);
	timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 1);
	set_timer(timer, 0, 1, 0);
	await_pending(SIGUSR1);
	NEED(!timer_delete(handle(timer)));
}

static void deleted_check(enum cr_phase phase)
{
	siginfo_t info;

	if (phase == CR_AGAIN)
		CHECK_EQ(take(SIGUSR1, &info), 0);
}

static void deleted_drive(struct cr_run *run)
{
	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL | cr_mode_flags(run->mode)))
		return;
	(void)(cr_kill(run) && cr_restart(run, "image", 0) &&
	       cr_check(run, CR_AGAIN));
}

static void *ends(void *arg)
{
	timer = try_timer(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 6, gettid());
	made[0] = make_timer(CLOCK_THREAD_CPUTIME_ID, SIGUSR1, 1);
	return NULL;
}

static void end_thread(int *kept, int *gone)
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, ends, NULL));
	NEED(!pthread_join(thread, NULL));
	NEED(timer >= 0 && made[0] >= 0);
	NEED(!timer_delete(handle(*gone)));
	timer = *kept;
}

static void dead_thread_setup(void)
{
	end_thread(&timer, &made[0]);
}

static void dead_cpu_setup(void)
{
	end_thread(&made[0], &timer);
}

static void exists_check(enum cr_phase phase)
{
	left_of(timer, NULL);
}

static void outside_cpu_setup(void)
{
	clockid_t clock;

	NEED(!clock_getcpuclockid(getppid(), &clock));
	timer = make_timer(clock, SIGALRM, 3);
}

static const struct cr_scenario scenarios[] = {
	{ "posix_timer.clocks", CR_ANY, clocks_setup, clocks_check },
	{ "posix_timer.alarm_without_right", CR_ANY, alarm_setup, alarm_check },
	{ "posix_timer.ids", CR_ANY, ids_setup, ids_check },
	{ "posix_timer.next_id", CR_ANY, next_id_setup, next_id_check },
	{ "posix_timer.chosen_id", CR_ANY, choose_setup, choose_check },
	{ "posix_timer.many", CR_ANY, many_setup, many_check },
	{ "posix_timer.periodic", CR_ANY, periodic_setup, periodic_check,
	  .ticks = true },
	{ "posix_timer.on_disk", CR_TREE, held_setup, held_check,
	  .drive = held_drive },
	{ "posix_timer.overrun", CR_TREE, overrun_setup, overrun_check,
	  .drive = held_drive },
	{ "posix_timer.last_overrun", CR_ANY, last_overrun_setup,
	  last_overrun_check },
	{ "posix_timer.order", CR_ANY, order_setup, order_check },
	{ "posix_timer.stale", CR_ANY, stale_setup, stale_check },
	{ "posix_timer.reused", CR_ANY, reused_setup, reused_check },
	{ "posix_timer.ignored", CR_ANY, ignored_setup, ignored_check },
	{ "posix_timer.thread", CR_TREE, thread_setup, thread_check,
	  .ticks = true },
	{ "posix_timer.notify", CR_ANY, notify_setup, notify_check },
	{ "posix_timer.cpu", CR_TREE, cpu_setup, cpu_check },
	{ "posix_timer.cpu_fires", CR_ANY, cpu_fires_setup, cpu_fires_check,
	  .ticks = true },
	{ "posix_timer.cpu_pending", CR_ANY, cpu_pending_setup,
	  cpu_pending_check },
	{ "posix_timer.signalfd", CR_ANY, signalfd_setup, signalfd_check },
	{ "posix_timer.dead_leader", CR_TREE, dead_leader_setup,
	  dead_leader_check },
	{ "posix_timer.deleted", CR_TREE, deleted_setup, deleted_check,
	  .drive = deleted_drive },
	{ "posix_timer.of_dead_thread", CR_TREE, dead_thread_setup, exists_check,
	  CR_REFUSED, "for a thread that has ended" },
	{ "posix_timer.of_dead_cpu", CR_TREE, dead_cpu_setup, exists_check,
	  CR_REFUSED, "on the CPU clock of a task that is not in the tree" },
	{ "posix_timer.of_cpu_outside", CR_SUBTREE, outside_cpu_setup,
	  exists_check, CR_REFUSED,
	  "on the CPU clock of a task that is not in the tree" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
