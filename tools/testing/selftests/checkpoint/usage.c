// SPDX-License-Identifier: GPL-2.0
/* CPU clocks, usage, peaks and start times: they go on where they were. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

#include "cr.h"

#define MS	1000000LL

/* CPUCLOCK_PROF of the process: the ticks of user and system. */
#define CLOCK_PROF	((clockid_t)(~0U << 3))

/* What is burnt: much more than a restart takes. */
#define BURNT	(400 * MS)

static long long now(clockid_t clock)
{
	struct timespec ts;

	NEED(!clock_gettime(clock, &ts));
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void burn(long long ns)
{
	long long end = now(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (now(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static long long ns_of(struct timeval tv)
{
	return tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL;
}

enum number {
	PROCESS_CLOCK, PROF_CLOCK, THREAD_CLOCK, TIMES_SELF, TIMES_CHILDREN, SELF_TIME,
	SELF_FAULTS, SELF_SWITCHES, SELF_MAXRSS, THREAD_TIME, CHILDREN_TIME,
	CHILDREN_FAULTS, CHILDREN_MAXRSS, NUMBERS
};

static const char * const names[NUMBERS] = {
	"process clock", "clock of ticks", "thread clock", "times", "times of children",
	"time", "faults", "switches", "maxrss", "time of thread",
	"time of children", "faults of children", "maxrss of children",
};

static void read_all(long long *all)
{
	struct rusage usage;
	struct tms tms;

	all[PROCESS_CLOCK] = now(CLOCK_PROCESS_CPUTIME_ID);
	all[PROF_CLOCK] = now(CLOCK_PROF);
	all[THREAD_CLOCK] = now(CLOCK_THREAD_CPUTIME_ID);
	times(&tms);
	all[TIMES_SELF] = (tms.tms_utime + tms.tms_stime) * 10 * MS;
	all[TIMES_CHILDREN] = (tms.tms_cutime + tms.tms_cstime) * 10 * MS;
	NEED(!getrusage(RUSAGE_SELF, &usage));
	all[SELF_TIME] = ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
	all[SELF_FAULTS] = usage.ru_minflt + usage.ru_majflt;
	all[SELF_SWITCHES] = usage.ru_nvcsw + usage.ru_nivcsw;
	all[SELF_MAXRSS] = usage.ru_maxrss;
	NEED(!getrusage(RUSAGE_THREAD, &usage));
	all[THREAD_TIME] = ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
	NEED(!getrusage(RUSAGE_CHILDREN, &usage));
	all[CHILDREN_TIME] = ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
	all[CHILDREN_FAULTS] = usage.ru_minflt + usage.ru_majflt;
	all[CHILDREN_MAXRSS] = usage.ru_maxrss;
}

/* In memory, and so in the image, are the last numbers before it. */
static long long last[NUMBERS];

static void burn_in_thread(long long ns, void *(*fn)(void *))
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, fn, &ns));
	NEED(!pthread_join(thread, NULL));
}

static void *thread_main(void *arg)
{
	burn(*(long long *)arg);
	return NULL;
}

static void child_main(void *arg)
{
	char *memory = mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(memory, 1, 1 << 24);
	burn(BURNT);
}

static void clocks_setup(void)
{
	pid_t child = cr_fork(child_main, NULL);

	cr_reap(child, 0);
	burn(BURNT);
	burn_in_thread(BURNT, thread_main);
	read_all(last);
	CHECK(last[PROCESS_CLOCK] >= 2 * BURNT);
	CHECK(last[THREAD_CLOCK] >= BURNT);
	CHECK(last[THREAD_CLOCK] < 2 * BURNT);
	CHECK(last[CHILDREN_TIME] >= BURNT * 9 / 10);
	CHECK(last[SELF_TIME] >= BURNT * 19 / 10);
}

static void clocks_check(enum cr_phase phase)
{
	long long all[NUMBERS], used;
	enum number i;

	read_all(all);
	for (i = 0; i < NUMBERS; i++)
		if (all[i] < last[i])
			cr_note(__FILE__, __LINE__, "%s went back: %lld was %lld",
				names[i], all[i], last[i]);
	/* Nor has anything been added that was not used: by another's call next to nothing was. */
	used = phase != CR_BEFORE && cr_mode == CR_SELF ? BURNT * 9 / 10 : BURNT / 2;
	CHECK(all[PROCESS_CLOCK] < last[PROCESS_CLOCK] + used);
	CHECK(all[THREAD_CLOCK] < last[THREAD_CLOCK] + used);
	CHECK(all[SELF_TIME] < last[SELF_TIME] + used);
	CHECK_EQ(all[CHILDREN_TIME], last[CHILDREN_TIME]);
	CHECK_EQ(all[TIMES_CHILDREN], last[TIMES_CHILDREN]);
	CHECK_EQ(all[CHILDREN_FAULTS], last[CHILDREN_FAULTS]);
	CHECK_EQ(all[CHILDREN_MAXRSS], last[CHILDREN_MAXRSS]);
	memcpy(last, all, sizeof(last));
}

/* Each thread has its own clock. */
#define THREADS	3

static struct burner {
	int turn, told;
	long long clock;
} *burners;

static void *burner_main(void *arg)
{
	struct burner *me = arg;
	int turn;

	burn(BURNT / 4 * (me - burners));
	for (;;) {
		turn = cr_get(&me->turn);
		if (turn != me->told) {
			me->clock = now(CLOCK_THREAD_CPUTIME_ID);
			cr_set(&me->told, turn);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void threads_check(enum cr_phase phase)
{
	static long long clocks[THREADS];
	int i;

	for (i = 0; i < THREADS; i++) {
		cr_set(&burners[i].turn, cr_get(&burners[i].turn) + 1);
		cr_await(&burners[i].told, burners[i].turn);
		CHECK(burners[i].clock >= clocks[i]);
		CHECK(burners[i].clock >= BURNT / 4 * i);
		CHECK(burners[i].clock < BURNT / 4 * (i + 1));
		clocks[i] = burners[i].clock;
	}
}

static void threads_setup(void)
{
	pthread_t thread;
	int i;

	burners = cr_shared(THREADS * sizeof(*burners));
	for (i = 0; i < THREADS; i++)
		NEED(!pthread_create(&thread, NULL, burner_main, &burners[i]));
}

/* What wait4() is going to tell of a child that has ended. */
static pid_t zombie;
static struct rusage of_zombie;

static void get_of_zombie(struct rusage *usage)
{
	siginfo_t info;

	NEED(!syscall(SYS_waitid, P_PID, zombie, &info, WEXITED | WNOWAIT,
		      usage));
}

static void zombie_setup(void)
{
	zombie = cr_fork(child_main, NULL);
	get_of_zombie(&of_zombie);
	/* Its last steps count as well. */
	cr_msleep(50);
	get_of_zombie(&of_zombie);
	CHECK(ns_of(of_zombie.ru_utime) + ns_of(of_zombie.ru_stime) >=
	      BURNT * 9 / 10);
	CHECK(of_zombie.ru_maxrss > 1 << 14);
}

static void zombie_check(enum cr_phase phase)
{
	struct rusage usage;

	get_of_zombie(&usage);
	CHECK_MEM(&usage, &of_zombie, sizeof(usage));
}

/* The leader has ended with what it has used, and its process goes on. */
static struct {
	int turn, told;
	long long clock;
} *heir;

static void *heir_main(void *arg)
{
	int turn;

	for (;;) {
		turn = cr_get(&heir->turn);
		if (turn != heir->told) {
			heir->clock = now(CLOCK_PROCESS_CPUTIME_ID);
			cr_set(&heir->told, turn);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void leader_main(void *arg)
{
	pthread_t thread;

	burn(BURNT);
	NEED(!pthread_create(&thread, NULL, heir_main, NULL));
	syscall(SYS_exit, 0);
}

static void dead_leader_check(enum cr_phase phase)
{
	static long long was = BURNT;

	cr_set(&heir->turn, cr_get(&heir->turn) + 1);
	cr_await(&heir->told, heir->turn);
	CHECK(heir->clock >= was);
	CHECK(heir->clock < 2 * BURNT);
	was = heir->clock;
}

static void dead_leader_setup(void)
{
	heir = cr_shared(sizeof(*heir));
	cr_fork(leader_main, NULL);
	dead_leader_check(CR_BEFORE);
	cr_msleep(50);
}

/* When a task was made, in ticks: the 22nd number. */
static long long start_of(const char *path)
{
	char text[1024], *at;
	int i;

	NEED(cr_slurp(path, text, sizeof(text)) > 0);
	at = strrchr(text, ')');
	for (i = 2; at && i < 22; i++)
		at = strchr(at + 1, ' ');
	NEED(at);
	return atoll(at);
}

static long long started, thread_started;
static char thread_path[64];

static void *slow_thread(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void start_setup(void)
{
	pthread_t thread;
	pid_t tid;

	started = start_of("/proc/self/stat");
	cr_msleep(50);
	NEED(!pthread_create(&thread, NULL, slow_thread, NULL));
	/* The first that is made has the next number. */
	tid = getpid() + 1;
	snprintf(thread_path, sizeof(thread_path), "/proc/self/task/%d/stat",
		 tid);
	if (access(thread_path, F_OK))
		thread_path[0] = '\0';
	else
		thread_started = start_of(thread_path);
}

static void start_check(enum cr_phase phase)
{
	struct timespec ts;

	CHECK_EQ(start_of("/proc/self/stat"), started);
	if (thread_path[0])
		CHECK_EQ(start_of(thread_path), thread_started);
	NEED(!clock_gettime(CLOCK_BOOTTIME, &ts));
	CHECK(started <= (ts.tv_sec + 1) * sysconf(_SC_CLK_TCK));
}

static long long status_of(const char *line)
{
	char text[4096], *at;

	NEED(cr_slurp("/proc/self/status", text, sizeof(text)) > 0);
	at = strstr(text, line);
	NEED(at);
	return atoll(at + strlen(line));
}

static long long peaks[2];

static void peaks_setup(void)
{
	size_t size = 48 << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(memory != MAP_FAILED);
	memset(memory, 1, size);
	NEED(!munmap(memory, size));
	peaks[0] = status_of("VmHWM:");
	peaks[1] = status_of("VmPeak:");
	CHECK(peaks[0] > 48 << 10);
	CHECK(status_of("VmRSS:") < 24 << 10);
}

static void peaks_check(enum cr_phase phase)
{
	struct rusage usage;

	CHECK_EQ(status_of("VmHWM:"), peaks[0]);
	CHECK_EQ(status_of("VmPeak:"), peaks[1]);
	NEED(!getrusage(RUSAGE_SELF, &usage));
	CHECK(usage.ru_maxrss >= peaks[0]);
}

/*
 * A limit of CPU time counts what was used before: by ticks of user and system,
 * which CLOCK_PROF shows.
 */
static int exceeded;

static void on_xcpu(int sig)
{
	cr_set(&exceeded, 1);
}

static void limit_setup(void)
{
	struct rlimit limit = { .rlim_cur = 1, .rlim_max = 100 };

	NEED(signal(SIGXCPU, on_xcpu) != SIG_ERR);
	NEED(!setrlimit(RLIMIT_CPU, &limit));
	while (now(CLOCK_PROF) < 600 * MS)
		;
}

static void limit_check(enum cr_phase phase)
{
	long long used = now(CLOCK_PROF);

	CHECK(used >= 600 * MS);
	CHECK(used < 900 * MS);
	CHECK(!cr_get(&exceeded));
	if (phase != CR_AGAIN)
		return;
	while (!cr_get(&exceeded) && now(CLOCK_PROF) < 1200 * MS)
		;
	CHECK(cr_get(&exceeded));
	CHECK(now(CLOCK_PROF) >= 1000 * MS);
}

static const struct cr_scenario scenarios[] = {
	{ "usage.clocks", CR_ANY, clocks_setup, clocks_check },
	{ "usage.clocks_of_threads", CR_TREE, threads_setup, threads_check },
	{ "usage.zombie", CR_TREE, zombie_setup, zombie_check },
	{ "usage.dead_leader", CR_TREE, dead_leader_setup, dead_leader_check },
	{ "usage.start_time", CR_TREE, start_setup, start_check },
	{ "usage.peaks", CR_ANY, peaks_setup, peaks_check },
	{ "usage.limit", CR_ANY, limit_setup, limit_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
