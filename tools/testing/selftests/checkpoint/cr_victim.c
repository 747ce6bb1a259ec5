// SPDX-License-Identifier: GPL-2.0
/*
 * The side of the harness that lives in the tree which is saved: it runs the
 * scenario's functions on command and offers them small helpers.
 *
 * Between two commands the root of the tree sleeps and looks; it holds no
 * descriptor of ours then, and no memory but its own.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cr.h"

const char *cr_dir;
enum cr_mode cr_mode;
bool cr_in_user_ns;
static enum cr_phase phase;
static const char * const phase_names[] = { "before", "after", "again" };

bool cr_unsupported(int err)
{
	return err == ENOSYS || err == EOPNOTSUPP || err == EAFNOSUPPORT ||
	       err == ENODEV;
}

const char *cr_path(const char *name)
{
	static __thread char bufs[4][128];
	static __thread unsigned int next;
	char *buf = bufs[next++ % ARRAY_SIZE(bufs)];

	snprintf(buf, sizeof(bufs[0]), "%s/%s", cr_dir, name);
	return buf;
}

ssize_t cr_slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (len < size - 1) {
		n = read(fd, buf + len, size - 1 - len);
		if (n <= 0)
			break;
		len += n;
	}
	close(fd);
	buf[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

void cr_write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	NEED(fd >= 0);
	NEED(write(fd, data, len) == (ssize_t)len);
	close(fd);
}

/* A file that appears at once with all that is in it. */
static void post(const char *name, const char *text)
{
	cr_write_file(cr_path("post"), text, strlen(text));
	NEED(!rename(cr_path("post"), cr_path(name)));
}

void cr_note(const char *file, int line, const char *fmt, ...)
{
	int saved_errno = errno;
	char buf[512];
	va_list args;
	int fd, len;

	len = snprintf(buf, sizeof(buf), "%s:%d: [%s] ", file, line,
		       phase_names[phase]);
	va_start(args, fmt);
	len += vsnprintf(buf + len, sizeof(buf) - len - 1, fmt, args);
	va_end(args);
	if (len > (int)sizeof(buf) - 2)
		len = sizeof(buf) - 2;
	buf[len++] = '\n';

	fd = open(cr_path("failures"),
		  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd >= 0) {
		if (write(fd, buf, len) != len)
			abort();
		close(fd);
	}
	errno = saved_errno;
}

void cr_fatal(const char *file, int line, const char *what)
{
	cr_note(file, line, "needed: %s (errno %d, %s)", what, errno,
		strerror(errno));
	_exit(1);
}

void cr_skip(const char *fmt, ...)
{
	char buf[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	cr_write_file(cr_path("skip"), buf, strlen(buf));
	_exit(0);
}

void cr_check_eq(const char *file, int line, const char *what, long long got,
		 long long want)
{
	if (got != want)
		cr_note(file, line, "%s is %lld (%#llx), not %lld (%#llx)",
			what, got, got, want, want);
}

void cr_check_str(const char *file, int line, const char *what,
		  const char *got, const char *want)
{
	if (strcmp(got, want))
		cr_note(file, line, "%s is '%s', not '%s'", what, got, want);
}

void cr_check_mem(const char *file, int line, const char *what,
		  const void *got, const void *want, size_t len)
{
	const unsigned char *g = got, *w = want;
	size_t i;

	for (i = 0; i < len; i++) {
		if (g[i] == w[i])
			continue;
		cr_note(file, line, "%s differs at %zu of %zu: %#x, not %#x",
			what, i, len, g[i], w[i]);
		return;
	}
}

void *cr_shared(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	NEED(mem != MAP_FAILED);
	return mem;
}

pid_t cr_fork(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

unsigned long long cr_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

unsigned int cr_slowness(void)
{
	const char *times = getenv("CR_SLOW");
	int slowness = times ? atoi(times) : 1;

	return slowness > 0 ? slowness : 1;
}

void cr_msleep(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

bool cr_await_word(const char *file, int line, const char *what,
		   const int *word, int value)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 1000000ULL;

	while (cr_get(word) != value) {
		if (cr_now_ns() > end) {
			cr_note(file, line, "%s stays %d, never %d", what,
				cr_get(word), value);
			return false;
		}
		cr_msleep(2);
	}
	return true;
}

void cr_here(struct cr_task *task)
{
	ssize_t len;

	len = readlink("/proc/thread-self", task->proc,
		       sizeof(task->proc) - 1);
	NEED(len > 0);
	task->proc[len] = '\0';
}

/* The C library may use the variant that has times of 64 bits. */
static long with_time64(long nr)
{
	switch (nr) {
#ifdef SYS_clock_nanosleep_time64
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
		return SYS_clock_nanosleep_time64;
	case SYS_futex:
		return SYS_futex_time64;
	case SYS_rt_sigtimedwait:
		return SYS_rt_sigtimedwait_time64;
#endif
	default:
		return nr;
	}
}

bool cr_blocks_in(const struct cr_task *task, long nr)
{
	char path[96], buf[256];
	long is;

	snprintf(path, sizeof(path), "/proc/%s/syscall", task->proc);
	if (cr_slurp(path, buf, sizeof(buf)) <= 0 ||
	    buf[0] < '0' || buf[0] > '9')
		return false;
	is = strtol(buf, NULL, 10);
	return is == nr || is == with_time64(nr);
}

bool cr_await_syscall(const char *file, int line, const struct cr_task *task,
		      long nr)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 1000000ULL;

	while (!cr_blocks_in(task, nr)) {
		if (cr_now_ns() > end) {
			cr_note(file, line, "%s never sleeps in system call %ld",
				task->proc, nr);
			return false;
		}
		cr_msleep(2);
	}
	return true;
}

void cr_reap_child(const char *file, int line, pid_t pid, int code)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 1000000ULL;
	int status;
	pid_t got;

	while (!(got = waitpid(pid, &status, WNOHANG))) {
		if (cr_now_ns() > end) {
			cr_note(file, line, "child %d does not exit", pid);
			return;
		}
		cr_msleep(2);
	}
	if (got != pid)
		cr_note(file, line, "no child %d: errno %d", pid, errno);
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		cr_note(file, line, "child %d has status %#x, not exit code %d",
			pid, status, code);
}

static unsigned char pattern_byte(size_t i, unsigned int seed)
{
	unsigned int x = (unsigned int)i * 2654435761U + seed * 40503U;

	return x >> 24 ^ x >> 11;
}

void cr_pattern(void *buf, size_t len, unsigned int seed)
{
	unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = pattern_byte(i, seed);
}

/* The offset of the first byte that differs, len when there is none. */
size_t cr_pattern_differs(const void *buf, size_t len, unsigned int seed)
{
	const unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != pattern_byte(i, seed))
			break;
	return i;
}

void cr_check_pattern(const char *file, int line, const char *what,
		      const void *buf, size_t len, unsigned int seed)
{
	size_t at = cr_pattern_differs(buf, len, seed);

	if (at != len)
		cr_note(file, line, "%s differs from pattern %u at %zu of %zu",
			what, seed, at, len);
}

static void checkpoint_self(void)
{
	int fd = open(cr_path("image"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int logfd = open(cr_path("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	char reply[32];
	long ret;

	NEED(fd >= 0 && logfd >= 0);
	ret = sys_checkpoint(0, fd, CHECKPOINT_SUBTREE, logfd);
	snprintf(reply, sizeof(reply), "%ld", ret < 0 ? -(long)errno : ret);
	close(fd);
	close(logfd);
	post("reply", reply);
}

int cr_victim(const struct cr_scenario *scenario, enum cr_mode mode,
	      const char *dir)
{
	char command[32];

	cr_dir = dir;
	cr_in_user_ns = scenario->in_user_ns;
	cr_mode = mode;
	scenario->setup();
	post("reply", "setup");

	for (;;) {
		if (access(cr_path("command"), F_OK)) {
			cr_msleep(3);
			continue;
		}
		NEED(cr_slurp(cr_path("command"), command,
			      sizeof(command)) > 0);
		NEED(!unlink(cr_path("command")));
		if (!strcmp(command, "self")) {
			checkpoint_self();
			continue;
		}
		phase = atoi(command);
		if (phase != CR_BEFORE)
			cr_compare_self();
		if (scenario->check)
			scenario->check(phase);
		cr_observe_self();
		post("reply", command);
	}
}
