// SPDX-License-Identifier: GPL-2.0
/*
 * System calls in which a task sleeps when the checkpoint comes: it shall
 * sleep on as if nothing had been, and wake up for its own reasons only.
 *
 * A child makes the same call again and again. Each look wakes it, checks what
 * the call returned, and waits until it sleeps in the next one.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cr.h"

/* The plain number is that of a call with other arguments. */
#ifdef SYS__newselect
#undef SYS_select
#define SYS_select	SYS__newselect
#endif

#define SECOND	1000000000ULL

static struct blocker {
	struct cr_task task;
	int rounds;
	long ret;
	int err;
	int interrupted;
	int handled;
	int word;
	pid_t grandchild;
	unsigned long long start, end;
	struct timespec rem;
	char buf[64];
} *b;

static int fds[2];
static pid_t child;
static void (*operation)(void);
static long sleeps_in;
static int rounds_seen;
static unsigned long long armed;

/* For the few calls that a stop of the task ends with EINTR by design. */
static void retry(long (*call)(void))
{
	while ((b->ret = call()) < 0 && errno == EINTR)
		b->interrupted++;
}

static void handler(int sig)
{
	cr_set(&b->handled, b->handled + 1);
}

static void catch(int sig, int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags };

	NEED(!sigaction(sig, &act, NULL));
}

static void block_child(void *arg)
{
	unsigned long long start;

	for (;;) {
		cr_here(&b->task);
		start = cr_now_ns();
		operation();
		b->err = errno;
		b->start = start;
		b->end = cr_now_ns();
		cr_set(&b->rounds, b->rounds + 1);
	}
}

static void start(void (*op)(void), long nr)
{
	b = cr_shared(sizeof(*b));
	operation = op;
	sleeps_in = nr;
	child = cr_fork(block_child, NULL);
	cr_await_blocked(&b->task, nr);
	armed = cr_now_ns();
}

/* The child came out of its call just once, with this result. */
static void check_woken(long ret, int err)
{
	if (!cr_await(&b->rounds, rounds_seen + 1))
		return;
	rounds_seen++;
	CHECK_EQ(b->ret, ret);
	if (ret < 0)
		CHECK_EQ(b->err, err);
}

static void check_asleep(void)
{
	cr_msleep(20);
	CHECK_EQ(cr_get(&b->rounds), rounds_seen);
}

/* A signal with a handler ends the call. */
static void check_interrupted(void)
{
	check_asleep();
	cr_set(&b->handled, 0);
	CHECK_EQ(kill(child, SIGUSR1), 0);
	check_woken(-1, EINTR);
	CHECK_EQ(b->handled, 1);
}

static void rearmed(void)
{
	cr_await_blocked(&b->task, sleeps_in);
	armed = cr_now_ns();
}

/* read() of an empty pipe */
static void do_read(void)
{
	b->ret = read(fds[0], b->buf, sizeof(b->buf));
}

static void read_setup(void)
{
	NEED(!pipe(fds));
	start(do_read, SYS_read);
}

static void read_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(write(fds[1], "wake", 4), 4);
	check_woken(4, 0);
	CHECK_MEM(b->buf, "wake", 4);
	rearmed();
}

/* The same, with a handler in between: it runs, and the read goes on. */
static void read_handler_setup(void)
{
	NEED(!pipe(fds));
	catch(SIGUSR1, SA_RESTART);
	start(do_read, SYS_read);
}

static void read_handler_check(enum cr_phase phase)
{
	check_asleep();
	cr_set(&b->handled, 0);
	CHECK_EQ(kill(child, SIGUSR1), 0);
	cr_await(&b->handled, 1);
	read_check(phase);
}

/* Without SA_RESTART the handler, and only it, ends the call. */
static void read_eintr_setup(void)
{
	NEED(!pipe(fds));
	catch(SIGUSR1, 0);
	start(do_read, SYS_read);
}

static void read_eintr_check(enum cr_phase phase)
{
	check_interrupted();
	rearmed();
}

/* write() to a full pipe */
static char big[65536];

static void do_write(void)
{
	b->ret = write(fds[1], big, 4096);
}

static void write_setup(void)
{
	NEED(!pipe(fds));
	cr_pattern(big, sizeof(big), 1);
	NEED(write(fds[1], big, sizeof(big)) == sizeof(big));
	start(do_write, SYS_write);
}

static void write_check(enum cr_phase phase)
{
	static char buf[4096];

	check_asleep();
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), sizeof(buf));
	check_woken(4096, 0);
	rearmed();
}

/* read() of an eventfd */
static void eventfd_setup(void)
{
	fds[0] = eventfd(0, 0);
	fds[1] = fds[0];
	NEED(fds[0] >= 0);
	start(do_read, SYS_read);
}

static void eventfd_check(enum cr_phase phase)
{
	uint64_t value = 0x1234567 + phase;

	check_asleep();
	CHECK_EQ(write(fds[1], &value, sizeof(value)), sizeof(value));
	check_woken(8, 0);
	CHECK_MEM(b->buf, &value, sizeof(value));
	rearmed();
}

/* open() of a fifo that nobody writes */
static void do_open(void)
{
	int fd = open(cr_path("fifo"), O_RDONLY);

	b->ret = read(fd, b->buf, 1);
	close(fd);
}

static void open_setup(void)
{
	NEED(!mkfifo(cr_path("fifo"), 0600));
	start(do_open, SYS_openat);
}

static void open_check(enum cr_phase phase)
{
	int fd;

	check_asleep();
	fd = open(cr_path("fifo"), O_WRONLY);
	CHECK(fd >= 0);
	CHECK_EQ(close(fd), 0);
	check_woken(0, 0);
	rearmed();
}

#ifdef SYS_poll
static int poll_timeout = -1;

static void do_poll(void)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	b->ret = syscall(SYS_poll, &p, 1, poll_timeout);
	b->word = p.revents;
	if (b->ret > 0)
		NEED(read(fds[0], b->buf, 1) == 1);
}

static void poll_setup(void)
{
	NEED(!pipe(fds));
	start(do_poll, SYS_poll);
}

static void poll_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(write(fds[1], "x", 1), 1);
	check_woken(1, 0);
	CHECK_EQ(b->word, POLLIN);
	rearmed();
}

static void poll_long_setup(void)
{
	poll_timeout = 1000000;
	poll_setup();
}
#endif

/*
 * Timeouts that come: of two seconds one has gone when the checkpoint comes.
 * So at most one is left when this look begins, and not two again.
 */
static void check_timeout(long ret, int err)
{
	unsigned long long now = cr_now_ns();

	check_woken(ret, err);
	CHECK(b->end - b->start >= 2 * SECOND);
	if (armed < now - SECOND && b->end > now + SECOND * 8 / 5)
		cr_note(__FILE__, __LINE__, "timed out %llu ms too late",
			(b->end - now - SECOND) / 1000000);
	rearmed();
	cr_msleep(1000);
}

#ifdef SYS_poll
static void poll_timeout_setup(void)
{
	poll_timeout = 2000;
	poll_setup();
	cr_msleep(1000);
}

static void poll_timeout_check(enum cr_phase phase)
{
	check_timeout(0, 0);
}
#endif

static void check_remaining(void)
{
	unsigned long long rem = b->rem.tv_sec * SECOND + b->rem.tv_nsec;
	unsigned long long all = 1000 * SECOND;

	/* At least what it slept before the checkpoint has gone ... */
	CHECK(rem <= all - SECOND * 3 / 10);
	/* ... at most all the time since it began, but for the rounding. */
	CHECK(rem + (b->end - b->start) + SECOND / 100 >= all);
}

/* ppoll() has another mask while it sleeps, and tells what is left. */
static void do_ppoll(void)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };
	struct timespec ts = { .tv_sec = 1000 };
	uint64_t none = 0;
	sigset_t blocked, after;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	NEED(!sigprocmask(SIG_SETMASK, &blocked, NULL));
	b->ret = syscall(SYS_ppoll, &p, 1, &ts, &none, sizeof(none));
	b->err = errno;
	b->rem = ts;
	NEED(!sigprocmask(SIG_SETMASK, NULL, &after));
	b->word = sigismember(&after, SIGUSR1);
	errno = b->err;
}

static void ppoll_setup(void)
{
	NEED(!pipe(fds));
	catch(SIGUSR1, SA_RESTART);
	start(do_ppoll, SYS_ppoll);
	cr_msleep(300);
}

static void ppoll_check(enum cr_phase phase)
{
	check_interrupted();
	CHECK_EQ(b->word, 1);
	check_remaining();
	rearmed();
	cr_msleep(300);
}

#ifdef SYS_select
/* select() tells how much of its timeout is left. */
static void do_select(void)
{
	struct timeval tv = { .tv_sec = 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	b->ret = syscall(SYS_select, fds[0] + 1, &set, NULL, NULL, &tv);
	b->word = FD_ISSET(fds[0], &set);
	b->rem.tv_sec = tv.tv_sec;
	b->rem.tv_nsec = tv.tv_usec * 1000;
	if (b->ret > 0)
		NEED(read(fds[0], b->buf, 1) == 1);
}

static void select_setup(void)
{
	NEED(!pipe(fds));
	start(do_select, SYS_select);
	cr_msleep(300);
}

static void select_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(write(fds[1], "x", 1), 1);
	check_woken(1, 0);
	CHECK_EQ(b->word, 1);
	check_remaining();
	rearmed();
	cr_msleep(300);
}
#endif

#ifdef SYS_pselect6
/* With another mask: what comes meanwhile finds it, and then the old one. */
static void do_pselect(void)
{
	sigset_t none, after;
	fd_set set;

	sigemptyset(&none);
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	b->ret = pselect(fds[0] + 1, &set, NULL, NULL, NULL, &none);
	b->err = errno;
	sigprocmask(SIG_SETMASK, NULL, &after);
	b->word = sigismember(&after, SIGUSR1);
	errno = b->err;
}

static void pselect_setup(void)
{
	sigset_t usr1;

	NEED(!pipe(fds));
	catch(SIGUSR1, SA_RESTART);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	NEED(!sigprocmask(SIG_BLOCK, &usr1, NULL));
	start(do_pselect, SYS_pselect6);
}

static void pselect_check(enum cr_phase phase)
{
	check_interrupted();
	CHECK_EQ(b->word, 1);
	rearmed();
}
#endif

/* epoll_wait(); a stop may end it with EINTR, see signal(7) */
static int epfd;
static struct epoll_event event;

static long call_epoll(void)
{
	return epoll_wait(epfd, &event, 1, -1);
}

static void do_epoll(void)
{
	retry(call_epoll);
	b->word = event.data.u32;
	NEED(read(fds[0], b->buf, 1) == 1);
}

static void epoll_setup(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 4711 };

	NEED(!pipe(fds));
	epfd = epoll_create1(0);
	NEED(epfd >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &ev));
#ifdef SYS_epoll_wait
	start(do_epoll, SYS_epoll_wait);
#else
	start(do_epoll, SYS_epoll_pwait);
#endif
}

static void epoll_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(write(fds[1], "x", 1), 1);
	check_woken(1, 0);
	CHECK_EQ(b->word, 4711);
	rearmed();
}

/* futex() */
static struct timespec *futex_timeout;

static void do_futex(void)
{
	b->ret = syscall(SYS_futex, &b->word, FUTEX_WAIT, 0, futex_timeout,
			 NULL, 0);
}

static void futex_setup(void)
{
	start(do_futex, SYS_futex);
}

static void futex_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(syscall(SYS_futex, &b->word, FUTEX_WAKE, 10, NULL, NULL, 0),
		 1);
	check_woken(0, 0);
	rearmed();
}

static void futex_timeout_setup(void)
{
	static struct timespec two = { .tv_sec = 2 };

	futex_timeout = &two;
	start(do_futex, SYS_futex);
	cr_msleep(1000);
}

static void futex_timeout_check(enum cr_phase phase)
{
	check_timeout(-1, ETIMEDOUT);
}

/* Until a moment on the wall clock, as pthread_cond_timedwait() does */
static void do_futex_until(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 2;
	b->ret = syscall(SYS_futex, &b->word,
			 FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &ts,
			 NULL, FUTEX_BITSET_MATCH_ANY);
}

static void futex_until_setup(void)
{
	start(do_futex_until, SYS_futex);
	cr_msleep(1000);
}

/*
 * The calls of futex2: their numbers are the same everywhere. 32-bit programs
 * give the 64-bit times of the kernel as well.
 */
#define NR_FUTEX_WAITV		449
#define NR_FUTEX_WAIT		455
#define FUTEX2_U32		2

struct waiter {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

struct moment {
	int64_t sec, nsec;
};

static struct moment in_two_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (struct moment){ ts.tv_sec + 2, ts.tv_nsec };
}

static void need_futex2(long nr)
{
	if (syscall(nr, NULL, 0, 0, NULL, 0, 0) == -1 && errno == ENOSYS)
		cr_skip("no such call for futexes");
}

/* For one of several: the call tells which. */
static void do_waitv(void)
{
	struct waiter waiters[3] = {
		{ 0, (uintptr_t)&b->buf[0], FUTEX2_U32 },
		{ 0, (uintptr_t)&b->buf[4], FUTEX2_U32 },
		{ 0, (uintptr_t)&b->word, FUTEX2_U32 },
	};

	memset(b->buf, 0, 8);
	b->ret = syscall(NR_FUTEX_WAITV, waiters, 3, 0, NULL, 0);
}

static void waitv_setup(void)
{
	need_futex2(NR_FUTEX_WAITV);
	start(do_waitv, NR_FUTEX_WAITV);
}

static void waitv_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(syscall(SYS_futex, &b->word, FUTEX_WAKE, 10, NULL, NULL, 0),
		 1);
	check_woken(2, 0);
	rearmed();
}

static void do_futex2(void)
{
	struct moment end = in_two_seconds();

	b->ret = syscall(NR_FUTEX_WAIT, &b->word, 0UL, ~0U, FUTEX2_U32, &end,
			 CLOCK_MONOTONIC);
}

static void futex2_setup(void)
{
	need_futex2(NR_FUTEX_WAIT);
	start(do_futex2, NR_FUTEX_WAIT);
	cr_msleep(1000);
}

/*
 * Who waits at one futex and has been moved to another one waits there no more
 * after a stop: the call is made again, with the futex that it was made with,
 * as after SIGSTOP and SIGCONT.
 */
static void do_requeued(void)
{
	b->ret = syscall(SYS_futex, &b->word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void requeued_setup(void)
{
	start(do_requeued, SYS_futex);
	/* None is woken, and one is moved. */
	NEED(syscall(SYS_futex, &b->word, FUTEX_CMP_REQUEUE, 0, 1, b->buf,
		     0) == 1);
}

static void requeued_check(enum cr_phase phase)
{
	check_asleep();
	if (phase == CR_BEFORE)
		return;
	CHECK_EQ(syscall(SYS_futex, b->buf, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
	CHECK_EQ(syscall(SYS_futex, &b->word, FUTEX_WAKE, 10, NULL, NULL, 0),
		 1);
	check_woken(0, 0);
	rearmed();
	CHECK_EQ(syscall(SYS_futex, &b->word, FUTEX_CMP_REQUEUE, 0, 1, b->buf,
			 0), 1);
}

/* A mutex with priority inheritance: the kernel knows who has it. */
static pthread_mutex_t *pi_mutex;

static void do_lock_pi(void)
{
	b->ret = pthread_mutex_lock(pi_mutex);
	pthread_mutex_unlock(pi_mutex);
	/* The other one takes it first the next time. */
	while (!cr_get(&b->word))
		cr_msleep(1);
	cr_set(&b->word, 0);
}

static void lock_pi_setup(void)
{
	pthread_mutexattr_t attr;

	pi_mutex = cr_shared(sizeof(*pi_mutex));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	NEED(!pthread_mutex_init(pi_mutex, &attr));
	NEED(!pthread_mutex_lock(pi_mutex));
	start(do_lock_pi, SYS_futex);
}

static void lock_pi_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(pthread_mutex_trylock(pi_mutex), EBUSY);
	CHECK_EQ(pthread_mutex_unlock(pi_mutex), 0);
	cr_msleep(20);
	CHECK_EQ(pthread_mutex_lock(pi_mutex), 0);
	cr_set(&b->word, 1);
	check_woken(0, 0);
	rearmed();
}

/* A condition variable, between threads. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int permits, passed;
static struct cr_task waiter_task;

static void *waiter(void *arg)
{
	for (;;) {
		cr_here(&waiter_task);
		pthread_mutex_lock(&mutex);
		while (!permits)
			pthread_cond_wait(&cond, &mutex);
		permits--;
		pthread_mutex_unlock(&mutex);
		cr_set(&passed, passed + 1);
	}
	return NULL;
}

static void cond_setup(void)
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, waiter, NULL));
	cr_await_blocked(&waiter_task, SYS_futex);
}

static void cond_check(enum cr_phase phase)
{
	int n = cr_get(&passed);

	pthread_mutex_lock(&mutex);
	permits++;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&mutex);
	cr_await(&passed, n + 1);
	cr_await_blocked(&waiter_task, SYS_futex);
}

/* nanosleep() tells what is left when a handler ends it. */
static void do_nanosleep(void)
{
	struct timespec ts = { .tv_sec = 1000 };

	b->ret = nanosleep(&ts, &b->rem);
}

static long nanosleep_nr(void)
{
	/* The C library makes either of the two calls of it. */
	struct cr_task self;
	char path[96], buf[128];
	pid_t pid;
	int i;

	b = cr_shared(sizeof(*b));
	pid = cr_fork(block_child, NULL);
	for (i = 0; i < 1000; i++) {
		cr_msleep(5);
		self = b->task;
		snprintf(path, sizeof(path), "/proc/%s/syscall", self.proc);
		if (cr_slurp(path, buf, sizeof(buf)) > 0 && atol(buf) > 0)
			break;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return atol(buf);
}

static void start_sleep(void (*op)(void))
{
	operation = op;
	start(op, nanosleep_nr());
}

static void nanosleep_setup(void)
{
	catch(SIGUSR1, 0);
	start_sleep(do_nanosleep);
	cr_msleep(300);
}

static void nanosleep_check(enum cr_phase phase)
{
	check_asleep();
	CHECK_EQ(kill(child, SIGUSR1), 0);
	check_woken(-1, EINTR);
	check_remaining();
	rearmed();
	cr_msleep(300);
}

/* A sleep that ends, in relative and in absolute terms. */
static void do_sleep_2(void)
{
	struct timespec ts = { .tv_sec = 2 };

	b->ret = nanosleep(&ts, NULL);
}

static void sleep_setup(void)
{
	start_sleep(do_sleep_2);
	cr_msleep(1000);
}

static void sleep_check(enum cr_phase phase)
{
	check_timeout(0, 0);
}

static void do_sleep_until(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += 2;
	b->ret = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void sleep_until_setup(void)
{
	start_sleep(do_sleep_until);
	cr_msleep(1000);
}

static void sleep_until_check(enum cr_phase phase)
{
	check_timeout(0, 0);
}

/* On a clock that runs only while the process does */
static clockid_t cpu_clock;
static int *runner;

static void *run(void *arg)
{
	cr_set(&runner[1], syscall(SYS_gettid));
	for (;;) {
		if (cr_get(&runner[0]))
			continue;
		cr_msleep(2);
	}
	return NULL;
}

/* Sleeps for half a second of the time of the CPU that run() uses. */
static void do_cpu_sleep(void)
{
	struct timespec ts = { .tv_nsec = 500000000 };
	clockid_t clock = cpu_clock;
	pthread_t thread;

	if (!cr_get(&runner[1])) {
		NEED(!pthread_create(&thread, NULL, run, NULL));
		while (!cr_get(&runner[1]))
			cr_msleep(2);
	}
	if (clock == CLOCK_THREAD_CPUTIME_ID)
		clock = ~runner[1] << 3 | 6;
	b->ret = clock_nanosleep(clock, 0, &ts, NULL);
}

static void cpu_setup(clockid_t clock)
{
	cpu_clock = clock;
	runner = cr_shared(2 * sizeof(*runner));
	start(do_cpu_sleep, SYS_clock_nanosleep);
}

static void cpu_clock_setup(void)
{
	cpu_setup(CLOCK_PROCESS_CPUTIME_ID);
}

static void cpu_thread_setup(void)
{
	cpu_setup(CLOCK_THREAD_CPUTIME_ID);
}

static void cpu_clock_check(enum cr_phase phase)
{
	/* Time goes on, but not that of the CPU. */
	cr_msleep(600);
	check_asleep();
	cr_set(&runner[0], 1);
	check_woken(0, 0);
	cr_set(&runner[0], 0);
	rearmed();
}

static void do_other_sleep(void)
{
	struct timespec ts = { .tv_sec = 1000 };
	clockid_t clock;

	NEED(!clock_getcpuclockid(getppid(), &clock));
	b->ret = clock_nanosleep(clock, 0, &ts, NULL);
}

static void cpu_other_setup(void)
{
	start(do_other_sleep, SYS_clock_nanosleep);
}

static void asleep_check(enum cr_phase phase)
{
	check_asleep();
}

static void do_alarm_sleep(void)
{
	struct timespec ts = { .tv_sec = 2 };

	b->ret = clock_nanosleep(CLOCK_BOOTTIME_ALARM, 0, &ts, NULL);
}

static void alarm_clock_setup(void)
{
	struct timespec ts = { .tv_nsec = 1 };

	if (clock_nanosleep(CLOCK_BOOTTIME_ALARM, 0, &ts, NULL))
		cr_skip("no clock that wakes the machine");
	start(do_alarm_sleep, SYS_clock_nanosleep);
	cr_msleep(1000);
}

/* wait4() and waitid() for a child of the child */
static void exit_on_word(void)
{
	int code;

	while (!(code = cr_get(&b->word)))
		cr_msleep(2);
	cr_set(&b->word, 0);
	_exit(code);
}

static void do_wait4(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		exit_on_word();
	b->ret = syscall(SYS_wait4, pid, &status, 0, NULL) == pid ? status : -1;
}

static void do_waitid(void)
{
	siginfo_t info = { };
	pid_t pid = fork();

	if (!pid)
		exit_on_word();
	b->ret = syscall(SYS_waitid, P_PID, pid, &info, WEXITED, NULL);
	if (!b->ret)
		b->ret = info.si_pid == pid ? info.si_status : -1;
}

static void wait4_setup(void)
{
	start(do_wait4, SYS_wait4);
}

static void wait4_check(enum cr_phase phase)
{
	check_asleep();
	cr_set(&b->word, 5 + phase);
	check_woken((5 + phase) << 8, 0);
	rearmed();
}

static void waitid_setup(void)
{
	start(do_waitid, SYS_waitid);
}

static void waitid_check(enum cr_phase phase)
{
	check_asleep();
	cr_set(&b->word, 5 + phase);
	check_woken(5 + phase, 0);
	rearmed();
}

/* A parent sleeps in vfork() until its child has gone. */
static __attribute_noinline__ void do_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		exit_on_word();
	b->ret = pid > 0 ? 0 : -1;
	if (waitpid(pid, &b->interrupted, 0) != pid)
		b->ret = -1;
}

static void vfork_setup(void)
{
	b = cr_shared(sizeof(*b));
	operation = do_vfork;
	child = cr_fork(block_child, NULL);
	cr_msleep(100);
}

static void vfork_check(enum cr_phase phase)
{
	check_asleep();
	cr_set(&b->word, 5 + phase);
	check_woken(0, 0);
	CHECK_EQ(b->interrupted, (5 + phase) << 8);
	cr_msleep(100);
}

#ifdef SYS_pause
static void do_pause(void)
{
	b->ret = syscall(SYS_pause);
}

static void pause_setup(void)
{
	catch(SIGUSR1, SA_RESTART);
	start(do_pause, SYS_pause);
}

static void pause_check(enum cr_phase phase)
{
	check_interrupted();
	rearmed();
}
#endif

/* sigsuspend() has one mask while it sleeps, and puts back another one. */
static void do_sigsuspend(void)
{
	sigset_t blocked, none, after;

	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGUSR2);
	NEED(!sigprocmask(SIG_SETMASK, &blocked, NULL));
	sigaddset(&none, SIGUSR2);
	b->ret = sigsuspend(&none);
	b->err = errno;
	NEED(!sigprocmask(SIG_SETMASK, NULL, &after));
	b->word = sigismember(&after, SIGUSR1) +
		  2 * sigismember(&after, SIGUSR2) +
		  4 * sigismember(&after, SIGTERM);
	errno = b->err;
}

static void sigsuspend_setup(void)
{
	catch(SIGUSR1, 0);
	catch(SIGUSR2, 0);
	start(do_sigsuspend, SYS_rt_sigsuspend);
}

static void sigsuspend_check(enum cr_phase phase)
{
	cr_set(&b->handled, 0);
	/* This one is blocked by the mask of the sleep, too. */
	CHECK_EQ(kill(child, SIGUSR2), 0);
	check_asleep();
	CHECK_EQ(b->handled, 0);
	CHECK_EQ(kill(child, SIGUSR1), 0);
	check_woken(-1, EINTR);
	CHECK_EQ(b->handled, 1);
	CHECK_EQ(b->word, 3);
	rearmed();
}

/* sigwaitinfo(); a stop may end it with EINTR, see signal(7) */
static siginfo_t waited;

static long call_sigwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	return sigwaitinfo(&set, &waited);
}

static void do_sigwait(void)
{
	retry(call_sigwait);
	b->word = waited.si_int;
}

static void sigwait_setup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
	start(do_sigwait, SYS_rt_sigtimedwait);
}

static void sigwait_check(enum cr_phase phase)
{
	union sigval value = { .sival_int = 100 + phase };

	check_asleep();
	CHECK_EQ(sigqueue(child, SIGRTMIN, value), 0);
	check_woken(SIGRTMIN, 0);
	CHECK_EQ(b->word, 100 + phase);
	rearmed();
}

static const struct cr_scenario scenarios[] = {
	{ "sleep.read_pipe", CR_TREE, read_setup, read_check },
	{ "sleep.read_pipe_handler", CR_TREE, read_handler_setup,
	  read_handler_check },
	{ "sleep.read_pipe_eintr", CR_TREE, read_eintr_setup,
	  read_eintr_check },
	{ "sleep.write_full_pipe", CR_TREE, write_setup, write_check },
	{ "sleep.read_eventfd", CR_TREE, eventfd_setup, eventfd_check },
	{ "sleep.open_fifo", CR_TREE, open_setup, open_check },
#ifdef SYS_poll
	{ "sleep.poll", CR_TREE, poll_setup, poll_check },
	{ "sleep.poll_long", CR_TREE, poll_long_setup, poll_check },
	{ "sleep.poll_timeout", CR_TREE, poll_timeout_setup,
	  poll_timeout_check },
#endif
#ifdef SYS_select
	{ "sleep.select", CR_TREE, select_setup, select_check },
#endif
	{ "sleep.ppoll", CR_TREE, ppoll_setup, ppoll_check },
	{ "sleep.epoll_wait", CR_TREE, epoll_setup, epoll_check },
	{ "sleep.futex", CR_TREE, futex_setup, futex_check },
	{ "sleep.futex_timeout", CR_TREE, futex_timeout_setup,
	  futex_timeout_check },
	{ "sleep.futex_absolute", CR_TREE, futex_until_setup,
	  futex_timeout_check },
	{ "sleep.futex_waitv", CR_TREE, waitv_setup, waitv_check },
	{ "sleep.futex2_timeout", CR_TREE, futex2_setup, futex_timeout_check },
	{ "sleep.futex_requeued", CR_TREE, requeued_setup, requeued_check },
#ifdef SYS_pselect6
	{ "sleep.pselect", CR_TREE, pselect_setup, pselect_check },
#endif
	{ "sleep.lock_pi", CR_TREE, lock_pi_setup, lock_pi_check },
	{ "sleep.condition", CR_TREE, cond_setup, cond_check },
	{ "sleep.nanosleep_remaining", CR_TREE, nanosleep_setup,
	  nanosleep_check },
	{ "sleep.nanosleep", CR_TREE, sleep_setup, sleep_check },
	{ "sleep.absolute", CR_TREE, sleep_until_setup, sleep_until_check },
	{ "sleep.cpu_clock", CR_TREE, cpu_clock_setup, cpu_clock_check },
	{ "sleep.cpu_clock_of_thread", CR_TREE, cpu_thread_setup,
	  cpu_clock_check },
	{ "sleep.cpu_clock_of_other", CR_TREE, cpu_other_setup, asleep_check,
	  CR_REFUSED, "sleeps on a clock that is not supported" },
	{ "sleep.alarm_clock", CR_TREE, alarm_clock_setup, sleep_check },
	{ "sleep.wait4", CR_TREE, wait4_setup, wait4_check },
	{ "sleep.waitid", CR_TREE, waitid_setup, waitid_check },
	{ "sleep.vfork", CR_TREE, vfork_setup, vfork_check },
#ifdef SYS_pause
	{ "sleep.pause", CR_TREE, pause_setup, pause_check },
#endif
	{ "sleep.sigsuspend", CR_TREE, sigsuspend_setup, sigsuspend_check },
	{ "sleep.sigwaitinfo", CR_TREE, sigwait_setup, sigwait_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
