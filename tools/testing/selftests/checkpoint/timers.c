// SPDX-License-Identifier: GPL-2.0
/* Timers, which go on with the time that was left, and signals that are read. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "cr.h"

#define SEC	1000000000LL
#define MS	1000000LL

static int alarms;

static void count_alarm(int sig)
{
	cr_set(&alarms, cr_get(&alarms) + 1);
}

static long long now(clockid_t clock)
{
	struct timespec ts;

	NEED(!clock_gettime(clock, &ts));
	return ts.tv_sec * SEC + ts.tv_nsec;
}

static long long left_of(const struct timeval *value)
{
	return value->tv_sec * SEC + value->tv_usec * 1000LL;
}

/* Uses that much time of the CPU. */
static void burn(long long ns)
{
	long long end = now(CLOCK_PROCESS_CPUTIME_ID) + ns;

	while (now(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

/* What is left of a timer that was set to @all, @used of it used at least */
static void check_left(long long left, long long all, long long used)
{
	CHECK(left > 0);
	CHECK(left <= all - used);
	/* The tests take a while, but not minutes. */
	CHECK(left > all - used - 100 * SEC);
}

static void set_itimer(int which, long long ns, long long interval)
{
	struct itimerval value = {
		.it_value = { ns / SEC, ns % SEC / 1000 },
		.it_interval = { interval / SEC, interval % SEC / 1000 },
	};

	NEED(!setitimer(which, &value, NULL));
}

static void itimer_setup(void)
{
	set_itimer(ITIMER_REAL, 1000 * SEC, 7 * SEC);
	cr_msleep(200);
}

static void itimer_check(enum cr_phase phase)
{
	struct itimerval value;

	CHECK_EQ(getitimer(ITIMER_REAL, &value), 0);
	check_left(left_of(&value.it_value), 1000 * SEC, 200 * MS);
	CHECK_EQ(left_of(&value.it_interval), 7 * SEC);
}

static void alarm_setup(void)
{
	alarm(900);
}

static void alarm_check(enum cr_phase phase)
{
	struct itimerval value;

	CHECK_EQ(getitimer(ITIMER_REAL, &value), 0);
	check_left(left_of(&value.it_value), 900 * SEC, 0);
	CHECK_EQ(left_of(&value.it_interval), 0);
}

/* A timer that is not running: nothing comes back that was not there. */
static void stopped_setup(void)
{
	set_itimer(ITIMER_REAL, 1000 * SEC, 0);
	set_itimer(ITIMER_REAL, 0, 0);
}

static void stopped_check(enum cr_phase phase)
{
	struct itimerval value;
	int which;

	for (which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		CHECK_EQ(getitimer(which, &value), 0);
		CHECK_EQ(left_of(&value.it_value), 0);
		CHECK_EQ(left_of(&value.it_interval), 0);
	}
}

/* It fires, at each interval, also after a restart. */
static void periodic_setup(void)
{
	signal(SIGALRM, count_alarm);
	set_itimer(ITIMER_REAL, 50 * MS, 50 * MS);
}

static void periodic_check(enum cr_phase phase)
{
	int before = cr_get(&alarms), tries = 0;

	while (cr_get(&alarms) < before + 3 && tries++ < 1000)
		cr_msleep(10);
	CHECK(cr_get(&alarms) >= before + 3);
}

/*
 * What is left on disk is left at restart: the driver holds the image back for
 * longer than the timer has left.
 */
static long long armed_at;

static void one_shot_setup(void)
{
	signal(SIGALRM, count_alarm);
	set_itimer(ITIMER_REAL, 3 * SEC, 0);
	armed_at = now(CLOCK_MONOTONIC);
}

static void one_shot_check(enum cr_phase phase)
{
	struct itimerval value;

	if (phase == CR_BEFORE)
		return;
	CHECK_EQ(cr_get(&alarms), 0);
	CHECK_EQ(getitimer(ITIMER_REAL, &value), 0);
	CHECK(left_of(&value.it_value) > 0);
	while (!cr_get(&alarms) && now(CLOCK_MONOTONIC) < armed_at + 15 * SEC)
		cr_msleep(10);
	CHECK_EQ(cr_get(&alarms), 1);
}

static void on_disk_drive(struct cr_run *run)
{
	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL | cr_mode_flags(run->mode)))
		return;
	if (!cr_kill(run))
		return;
	cr_msleep(4000);
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* Fired, and its signal waits: it starts again when the signal is taken. */
static long long unread_since;

static void unread_alarm_setup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
	unread_since = now(CLOCK_MONOTONIC);
	set_itimer(ITIMER_REAL, 10 * MS, 500 * SEC);
	cr_msleep(100);
}

static void unread_alarm_check(enum cr_phase phase)
{
	struct itimerval value;
	struct timespec zero = { };
	sigset_t set;

	CHECK_EQ(getitimer(ITIMER_REAL, &value), 0);
	CHECK_EQ(left_of(&value.it_value), 0);
	CHECK_EQ(left_of(&value.it_interval), 500 * SEC);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CHECK_EQ(sigtimedwait(&set, NULL, &zero), SIGALRM);
	CHECK_EQ(getitimer(ITIMER_REAL, &value), 0);
	/* It goes on in its rhythm, which began when it was set. */
	CHECK(left_of(&value.it_value) <= 500 * SEC);
	CHECK(left_of(&value.it_value) >=
	      500 * SEC - (now(CLOCK_MONOTONIC) - unread_since));
	unread_alarm_setup();
}

/* What counts is the time of the CPU that was left. */
static void cpu_itimer_setup(void)
{
	struct itimerval value;

	set_itimer(ITIMER_VIRTUAL, 1000 * SEC, 3 * SEC);
	set_itimer(ITIMER_PROF, 2000 * SEC, 0);
	do {
		burn(10 * MS);
		NEED(!getitimer(ITIMER_PROF, &value));
	} while (left_of(&value.it_value) > 2000 * SEC - 80 * MS);
}

static void cpu_itimer_check(enum cr_phase phase)
{
	struct itimerval value;

	CHECK_EQ(getitimer(ITIMER_VIRTUAL, &value), 0);
	CHECK(left_of(&value.it_value) <= 1000 * SEC);
	CHECK(left_of(&value.it_value) > 995 * SEC);
	CHECK_EQ(left_of(&value.it_interval), 3 * SEC);
	CHECK_EQ(getitimer(ITIMER_PROF, &value), 0);
	CHECK(left_of(&value.it_value) <= 2000 * SEC - 80 * MS);
	CHECK(left_of(&value.it_value) > 1995 * SEC);
	CHECK_EQ(left_of(&value.it_interval), 0);
}

static void profiled_setup(void)
{
	signal(SIGPROF, count_alarm);
	set_itimer(ITIMER_PROF, 50 * MS, 50 * MS);
}

static void profiled_check(enum cr_phase phase)
{
	int before = cr_get(&alarms);
	long long end = now(CLOCK_MONOTONIC) + 15 * SEC;

	while (cr_get(&alarms) < before + 2 && now(CLOCK_MONOTONIC) < end)
		;
	CHECK(cr_get(&alarms) >= before + 2);
}

/* timerfd */
static int fd;

static void set_timerfd(int n, int flags, long long value, long long interval)
{
	struct itimerspec spec = {
		.it_value = { value / SEC, value % SEC },
		.it_interval = { interval / SEC, interval % SEC },
	};

	NEED(!timerfd_settime(n, flags, &spec, NULL));
}

static long long get_timerfd(int n, long long *interval)
{
	struct itimerspec spec = { };

	CHECK_EQ(timerfd_gettime(n, &spec), 0);
	if (interval)
		*interval = spec.it_interval.tv_sec * SEC + spec.it_interval.tv_nsec;
	return spec.it_value.tv_sec * SEC + spec.it_value.tv_nsec;
}

static const clockid_t clocks[] = {
	CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
	CLOCK_BOOTTIME_ALARM,
};

#define CLOCKS	ARRAY_SIZE(clocks)

static bool is_realtime(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

static int clock_count;		/* as many as the machine has */
static int relative[CLOCKS], absolute[CLOCKS], off[CLOCKS];
static long long moments[CLOCKS];

static void clocks_setup(void)
{
	struct timespec ts;
	int i;

	for (i = 0; i < CLOCKS && !clock_gettime(clocks[i], &ts); i++) {
		relative[i] = timerfd_create(clocks[i], TFD_NONBLOCK);
		absolute[i] = timerfd_create(clocks[i], TFD_CLOEXEC);
		off[i] = timerfd_create(clocks[i], 0);
		if (relative[i] < 0 && errno == EPERM)
			cr_skip("may not wake the machine");
		NEED(relative[i] >= 0 && absolute[i] >= 0 && off[i] >= 0);
		moments[i] = now(clocks[i]) + 2000 * SEC;
		set_timerfd(relative[i], 0, 1000 * SEC, 5 * SEC);
		set_timerfd(absolute[i], TFD_TIMER_ABSTIME, moments[i], 0);
		set_timerfd(off[i], 0, 1000 * SEC, 5 * SEC);
		set_timerfd(off[i], 0, 0, 0);
	}
	clock_count = i;
	NEED(clock_count >= 3);
}

static void clocks_check(enum cr_phase phase)
{
	long long left, interval;
	uint64_t ticks;
	int i;

	for (i = 0; i < clock_count; i++) {
		left = get_timerfd(relative[i], &interval);
		check_left(left, 1000 * SEC, 0);
		CHECK_EQ(interval, 5 * SEC);
		CHECK_EQ(read(relative[i], &ticks, sizeof(ticks)), -1);
		CHECK_EQ(errno, EAGAIN);

		left = get_timerfd(absolute[i], &interval);
		check_left(left, 2000 * SEC, 0);
		CHECK_EQ(interval, 0);
		CHECK_EQ(fcntl(absolute[i], F_GETFD), FD_CLOEXEC);
		/* The moment is where it was on the clock... */
		left += now(clocks[i]) - moments[i];
		CHECK(left > -SEC);
		/* ... or, of a clock that counts on, as far away as it was. */
		if (cr_mode == CR_CONTAINER || is_realtime(clocks[i]))
			CHECK(left < SEC);
		else
			CHECK(left < 100 * SEC);

		get_timerfd(off[i], &interval);
		CHECK_EQ(interval, 0);
	}
}

/* Expirations that nobody has read, and a timer that goes on with the read */
static void ticks_setup(void)
{
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	NEED(fd >= 0);
	set_timerfd(fd, 0, 10 * MS, 0);
	cr_msleep(100);
}

static void ticks_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t ticks = 0;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
	CHECK_EQ(ticks, 1);
	CHECK_EQ(read(fd, &ticks, sizeof(ticks)), -1);
	set_timerfd(fd, 0, 10 * MS, 0);
	cr_msleep(100);
}

static long long began;

static void intervals_setup(void)
{
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	NEED(fd >= 0);
	began = now(CLOCK_MONOTONIC);
	set_timerfd(fd, 0, 20 * MS, 20 * MS);
	cr_msleep(110);
}

static void intervals_check(enum cr_phase phase)
{
	long long interval, left;
	uint64_t ticks = 0;

	CHECK_EQ(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
	CHECK(ticks >= 5);
	CHECK(ticks <= (now(CLOCK_MONOTONIC) - began) / (20 * MS));
	/* Nothing is left if this took longer than that. */
	left = get_timerfd(fd, &interval);
	CHECK(left >= 0 && left <= 20 * MS);
	CHECK_EQ(interval, 20 * MS);
	began = now(CLOCK_MONOTONIC);
	set_timerfd(fd, 0, 20 * MS, 20 * MS);
	cr_msleep(110);
}

/* A reader that sleeps until the timer expires */
static int *word;

static void reader(void *arg)
{
	uint64_t ticks = 0;

	if (read(fd, &ticks, sizeof(ticks)) == sizeof(ticks))
		cr_set(word, ticks);
	for (;;)
		pause();
}

static void sleeper_setup(void)
{
	word = cr_shared(sizeof(*word));
	fd = timerfd_create(CLOCK_BOOTTIME, 0);
	NEED(fd >= 0);
	set_timerfd(fd, 0, 3 * SEC, 0);
	cr_fork(reader, NULL);
}

static void sleeper_check(enum cr_phase phase)
{
	if (phase == CR_BEFORE)
		return;
	CHECK_EQ(cr_get(word), 0);
	cr_await(word, 1);
}

static void timerfd_epoll_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };

	intervals_setup();
	word = malloc(sizeof(*word));
	NEED(word);
	*word = epoll_create1(0);
	NEED(*word >= 0);
	NEED(!epoll_ctl(*word, EPOLL_CTL_ADD, fd, &event));
}

static void timerfd_epoll_check(enum cr_phase phase)
{
	struct epoll_event event;
	uint64_t ticks;

	CHECK_EQ(epoll_wait(*word, &event, 1, 5000), 1);
	CHECK_EQ(event.data.u64, 77);
	CHECK_EQ(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
	CHECK_EQ(epoll_wait(*word, &event, 1, 5000), 1);
}

/* Whoever wants to know that the clock is set does not get to know it of a restart. */
static void cancel_setup(void)
{
	fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	NEED(fd >= 0);
	set_timerfd(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
		    now(CLOCK_REALTIME) + 1000 * SEC, 0);
}

static void cancel_check(enum cr_phase phase)
{
	uint64_t ticks;

	CHECK_EQ(read(fd, &ticks, sizeof(ticks)), -1);
	CHECK_EQ(errno, EAGAIN);
	check_left(get_timerfd(fd, NULL), 1000 * SEC, 0);
}

static void step_clock(long long ns)
{
	struct timespec ts;

	ns += now(CLOCK_REALTIME);
	ts.tv_sec = ns / SEC;
	ts.tv_nsec = ns % SEC;
	if (clock_settime(CLOCK_REALTIME, &ts))
		cr_skip("may not set the clock");
}

static void canceled_setup(void)
{
	cancel_setup();
	step_clock(1);
}

static void canceled_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t ticks;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(read(fd, &ticks, sizeof(ticks)), -1);
	CHECK_EQ(errno, ECANCELED);
	CHECK_EQ(poll(&p, 1, 0), 0);
	step_clock(1);
}

/* signalfd */
static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
}

static int open_signalfd(int sig, int other, int flags)
{
	sigset_t set;
	int n;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigaddset(&set, other);
	block(sig);
	block(other);
	n = signalfd(-1, &set, flags);
	NEED(n >= 0);
	return n;
}

static void signalfd_setup(void)
{
	union sigval value = { .sival_int = 4711 };

	fd = open_signalfd(SIGUSR1, SIGRTMIN + 1, SFD_NONBLOCK | SFD_CLOEXEC);
	block(SIGUSR2);
	NEED(!kill(getpid(), SIGUSR2));
	NEED(!sigqueue(getpid(), SIGRTMIN + 1, value));
}

static void signalfd_check(enum cr_phase phase)
{
	struct signalfd_siginfo info = { };
	union sigval value = { .sival_int = 4711 };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(read(fd, &info, sizeof(info)), sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGRTMIN + 1);
	CHECK_EQ(info.ssi_int, 4711);
	CHECK_EQ(info.ssi_code, SI_QUEUE);
	/* SIGUSR2 waits too, but it is not in the mask. */
	CHECK_EQ(read(fd, &info, sizeof(info)), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
	CHECK_EQ(read(fd, &info, sizeof(info)), sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGUSR1);
	CHECK_EQ(sigqueue(getpid(), SIGRTMIN + 1, value), 0);
}

/* A set that waits for signals is woken up by them, in whichever process. */
static int set_fd, signal_fd;
static pid_t child;

static void watcher(void *arg)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 5 };
	struct signalfd_siginfo info;

	signal_fd = open_signalfd(SIGUSR1, SIGUSR2, 0);
	set_fd = epoll_create1(0);
	NEED(set_fd >= 0);
	NEED(!epoll_ctl(set_fd, EPOLL_CTL_ADD, signal_fd, &event));
	cr_set(&word[1], 1);
	for (;;) {
		int n = epoll_wait(set_fd, &event, 1, -1);

		if (n < 0 && errno == EINTR)
			continue;
		NEED(n == 1 && event.data.u32 == 5);
		NEED(read(signal_fd, &info, sizeof(info)) == sizeof(info));
		cr_set(word, info.ssi_signo);
	}
}

static void signal_epoll_setup(void)
{
	word = cr_shared(2 * sizeof(*word));
	child = cr_fork(watcher, NULL);
	cr_await(&word[1], 1);
	cr_msleep(50);
}

static void signal_epoll_check(enum cr_phase phase)
{
	CHECK_EQ(kill(child, SIGUSR1), 0);
	cr_await(word, SIGUSR1);
	CHECK_EQ(kill(child, SIGUSR2), 0);
	cr_await(word, SIGUSR2);
	cr_set(word, 0);
	cr_msleep(50);
}

/* The same in a single process, with a signal that waits already */
static void signal_ready_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u32 = 6 };

	signal_fd = open_signalfd(SIGUSR1, SIGUSR2, SFD_NONBLOCK);
	set_fd = epoll_create1(0);
	NEED(set_fd >= 0);
	NEED(!epoll_ctl(set_fd, EPOLL_CTL_ADD, signal_fd, &event));
	NEED(!kill(getpid(), SIGUSR1));
}

static void signal_ready_check(enum cr_phase phase)
{
	struct signalfd_siginfo info = { };
	struct epoll_event event;

	CHECK_EQ(epoll_wait(set_fd, &event, 1, 1000), 1);
	CHECK_EQ(event.data.u32, 6);
	CHECK_EQ(read(signal_fd, &info, sizeof(info)), sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGUSR1);
	CHECK_EQ(epoll_wait(set_fd, &event, 1, 0), 0);
	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
}

/* A set inherited over fork() waits for the signals of the process that filled it. */
static void outsider_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	pid_t pid;

	signal_fd = open_signalfd(SIGUSR1, SIGUSR2, SFD_NONBLOCK);
	set_fd = epoll_create1(0);
	NEED(set_fd >= 0);
	pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		NEED(!epoll_ctl(set_fd, EPOLL_CTL_ADD, signal_fd, &event));
		_exit(0);
	}
	cr_reap(pid, 0);
}

static void outsider_check(enum cr_phase phase)
{
	struct epoll_event event;

	CHECK_EQ(epoll_wait(set_fd, &event, 1, 0), 0);
}

static const struct cr_scenario scenarios[] = {
	{ "itimer.real", CR_ANY, itimer_setup, itimer_check },
	{ "itimer.alarm", CR_ANY, alarm_setup, alarm_check },
	{ "itimer.stopped", CR_ANY, stopped_setup, stopped_check },
	{ "itimer.periodic", CR_ANY, periodic_setup, periodic_check,
	  .ticks = true },
	{ "itimer.on_disk", CR_TREE, one_shot_setup, one_shot_check,
	  .drive = on_disk_drive },
	{ "itimer.unread", CR_ANY, unread_alarm_setup, unread_alarm_check },
	{ "itimer.cpu", CR_ANY, cpu_itimer_setup, cpu_itimer_check },
	{ "itimer.profile", CR_ANY, profiled_setup, profiled_check },

	{ "timerfd.clocks", CR_ANY, clocks_setup, clocks_check },
	{ "timerfd.ticks", CR_ANY, ticks_setup, ticks_check },
	{ "timerfd.intervals", CR_ANY, intervals_setup, intervals_check },
	{ "timerfd.sleeper", CR_TREE, sleeper_setup, sleeper_check,
	  .drive = on_disk_drive },
	{ "timerfd.epoll", CR_ANY, timerfd_epoll_setup, timerfd_epoll_check },
	{ "timerfd.cancel_on_set", CR_ANY, cancel_setup, cancel_check },
	{ "timerfd.canceled", CR_ANY, canceled_setup, canceled_check },

	{ "signalfd.mask", CR_ANY, signalfd_setup, signalfd_check },
	{ "signalfd.epoll", CR_TREE, signal_epoll_setup, signal_epoll_check },
	{ "signalfd.ready", CR_ANY, signal_ready_setup, signal_ready_check },
	{ "signalfd.added_by_dead", CR_TREE, outsider_setup, outsider_check,
	  CR_REFUSED, "watches the signals of a process that is not in the tree" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
