// SPDX-License-Identifier: GPL-2.0
/*
 * Trees that are busy when the checkpoint comes, wherever that finds them.
 *
 * Each worker does something over and over again and verifies it as it goes;
 * a look only has to see that all of them make progress.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cr.h"

#define WORKERS		24

static int *progress;
static int workers;

static void advance(int worker)
{
	cr_set(&progress[worker], cr_get(&progress[worker]) + 1);
}

static void work(void (*fn)(int worker))
{
	int worker = workers++;
	pid_t pid;

	NEED(worker < WORKERS);
	if (!progress)
		progress = cr_shared(WORKERS * sizeof(*progress));
	pid = fork();
	NEED(pid >= 0);
	if (!pid)
		for (;;)
			fn(worker);
}

static void progress_check(enum cr_phase phase)
{
	int patience = 3000 * cr_slowness(), was[WORKERS], i, n;

	for (i = 0; i < workers; i++)
		was[i] = cr_get(&progress[i]);
	for (i = 0; i < workers; i++) {
		for (n = 0; n < patience && cr_get(&progress[i]) < was[i] + 3; n++)
			cr_msleep(3);
		if (cr_get(&progress[i]) < was[i] + 3)
			cr_note(__FILE__, __LINE__, "worker %d stands still", i);
	}
}

/* A stream of bytes through a pipe, in pieces that do not fit together. */
static int fds[2];

static void produce(int worker)
{
	static unsigned char buf[5000];
	static unsigned int seed;
	size_t at = 0, len = 1 + seed * 37 % sizeof(buf);
	ssize_t n;

	cr_pattern(buf, len, seed);
	while (at < len) {
		n = write(fds[1], buf + at, len - at);
		NEED(n > 0);
		at += n;
	}
	seed++;
	advance(worker);
}

static void consume(int worker)
{
	static unsigned char buf[5000];
	static unsigned int seed;
	size_t at = 0, len = 1 + seed * 37 % sizeof(buf);
	ssize_t n;

	while (at < len) {
		n = read(fds[0], buf + at, len - at);
		NEED(n > 0);
		at += n;
	}
	NEED(cr_pattern_differs(buf, len, seed) == len);
	seed++;
	advance(worker);
}

static void pipe_setup(void)
{
	NEED(!pipe(fds));
	work(produce);
	work(consume);
}

/* Two processes that wake each other by turns. */
static int *ball;

static void wait_for(int value)
{
	while (cr_get(ball) != value)
		syscall(SYS_futex, ball, FUTEX_WAIT, 1 - value, NULL, NULL, 0);
}

static void pass(int value)
{
	cr_set(ball, value);
	syscall(SYS_futex, ball, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void ping(int worker)
{
	wait_for(0);
	pass(1);
	advance(worker);
}

static void pong(int worker)
{
	wait_for(1);
	pass(0);
	advance(worker);
}

static void futex_setup(void)
{
	ball = cr_shared(sizeof(*ball));
	work(ping);
	work(pong);
}

/* Children that are made, do a little, and are waited for. */
static void fork_and_wait(int worker)
{
	static unsigned int count;
	int code = count++ % 250, status;
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid)
		_exit(code);
	NEED(waitpid(pid, &status, 0) == pid);
	NEED(WIFEXITED(status) && WEXITSTATUS(status) == code);
	advance(worker);
}

static void fork_setup(void)
{
	work(fork_and_wait);
	work(fork_and_wait);
}

/* The same with threads. */
static void *thread_main(void *arg)
{
	return (char *)arg + 1;
}

static void create_and_join(int worker)
{
	static char *count;
	pthread_t threads[3];
	void *result;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		NEED(!pthread_create(&threads[i], NULL, thread_main, count + i));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		NEED(!pthread_join(threads[i], &result));
		NEED(result == count + i + 1);
	}
	count++;
	advance(worker);
}

static void threads_setup(void)
{
	work(create_and_join);
}

/* Signals with numbers: none is lost, none comes twice, none overtakes. */
static struct mail {
	pid_t receiver;
	int sent, received;
} *mail;

static void receive(int sig, siginfo_t *info, void *context)
{
	if (info->si_int != mail->received)
		cr_note(__FILE__, __LINE__, "signal %d instead of %d",
			info->si_int, mail->received);
	cr_set(&mail->received, mail->received + 1);
}

static void receiver(int worker)
{
	struct sigaction act = {
		.sa_sigaction = receive,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	if (!mail->receiver) {
		NEED(!sigaction(SIGRTMIN, &act, NULL));
		mail->receiver = getpid();
	}
	advance(worker);
	cr_msleep(1);
}

static void sender(int worker)
{
	union sigval value = { .sival_int = mail->sent };

	if (!mail->receiver) {
		cr_msleep(1);
		return;
	}
	if (mail->sent > cr_get(&mail->received) + 50) {
		/* The receiver does nothing else as long as there is a signal. */
		while (mail->sent > cr_get(&mail->received))
			cr_msleep(1);
	}
	NEED(!sigqueue(mail->receiver, SIGRTMIN, value));
	mail->sent++;
	advance(worker);
}

static void signals_setup(void)
{
	mail = cr_shared(sizeof(*mail));
	work(receiver);
	work(sender);
}

/* Mappings that come, change and go. */
static void map_and_unmap(int worker)
{
	static unsigned int seed;
	size_t page = sysconf(_SC_PAGESIZE), len = (1 + seed % 40) * page;
	unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(p != MAP_FAILED);
	cr_pattern(p, len, seed);
	NEED(!mprotect(p, page, PROT_READ));
	NEED(!mprotect(p, page, PROT_READ | PROT_WRITE));
	p = mremap(p, len, 2 * len, MREMAP_MAYMOVE);
	NEED(p != MAP_FAILED);
	NEED(cr_pattern_differs(p, len, seed) == len);
	NEED(!munmap(p, 2 * len));
	seed++;
	advance(worker);
}

/* Memory that is written all over, and verified. */
static void fill_and_verify(int worker)
{
	static unsigned char buf[1 << 18];
	static unsigned int seed;

	cr_pattern(buf, sizeof(buf), seed);
	NEED(cr_pattern_differs(buf, sizeof(buf), seed) == sizeof(buf));
	seed++;
	advance(worker);
}

static void memory_setup(void)
{
	work(map_and_unmap);
	work(fill_and_verify);
}

/* Floating point, whose result is the same each time to the last bit. */
static double series(void)
{
	double sum = 0, x = 1;
	int i;

	for (i = 1; i < 20000; i++) {
		x = x * 1.0000001 + 1.0 / i;
		sum += x / (i + sum);
	}
	return sum;
}

static void compute(int worker)
{
	static double first;
	double now = series();

	if (!first)
		first = now;
	NEED(!memcmp(&now, &first, sizeof(now)));
	advance(worker);
}

static void compute_setup(void)
{
	work(compute);
	work(compute);
}

/* A file that is written, read back, and renamed. */
static void write_and_read(int worker)
{
	static unsigned char buf[3000];
	static unsigned int seed;
	int fd = open(cr_path("draft"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	NEED(fd >= 0);
	cr_pattern(buf, sizeof(buf), seed);
	NEED(write(fd, buf, sizeof(buf)) == sizeof(buf));
	NEED(lseek(fd, 0, SEEK_SET) == 0);
	memset(buf, 0, sizeof(buf));
	NEED(read(fd, buf, sizeof(buf)) == sizeof(buf));
	NEED(cr_pattern_differs(buf, sizeof(buf), seed) == sizeof(buf));
	NEED(!close(fd));
	NEED(!rename(cr_path("draft"), cr_path("final")));
	seed++;
	advance(worker);
}

static void file_setup(void)
{
	work(write_and_read);
}

static void all_setup(void)
{
	pipe_setup();
	futex_setup();
	fork_setup();
	threads_setup();
	signals_setup();
	memory_setup();
	compute_setup();
	file_setup();
}

static const struct cr_scenario scenarios[] = {
	{ "running.pipe", CR_TREE, pipe_setup, progress_check },
	{ "running.futex", CR_TREE, futex_setup, progress_check },
	{ "running.fork", CR_TREE, fork_setup, progress_check },
	{ "running.threads", CR_TREE, threads_setup, progress_check },
	{ "running.signals", CR_TREE, signals_setup, progress_check },
	{ "running.memory", CR_TREE, memory_setup, progress_check },
	{ "running.floating_point", CR_TREE, compute_setup, progress_check },
	{ "running.file", CR_TREE, file_setup, progress_check,
	  .goes_on = true },
	{ "running.all", CR_TREE, all_setup, progress_check,
	  .goes_on = true },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
