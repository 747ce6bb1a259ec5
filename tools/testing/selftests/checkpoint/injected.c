// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations and block requests that fail on purpose, one in each call: the
 * call fails then and says so, or does without. After a checkpoint that failed
 * the tree goes on undisturbed; after a restart that failed nothing is left,
 * and the same image can be restarted.
 *
 * Only a kernel with CONFIG_FAULT_INJECTION can do that.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "cr.h"

#define FAULTS		"/sys/kernel/debug/"
#define KB		1024UL
#define SIZE		(256 * KB)
#define DISK		(8192 * KB)

struct family {
	int turn, of_child, of_thread;
};

static struct family *family;
static unsigned char *mem;
static int ends[2], unnamed, event, timer, epoll, locked;
static int shm = -1, sem, msg;
static pid_t child;

/* A little of much: what is saved by more code has more that can fail. */
static void member(int *word)
{
	for (;;) {
		if (cr_get(&family->turn) && !cr_get(word))
			cr_set(word, cr_pattern_differs(mem, SIZE, 3) == SIZE ?
					     1 : 2);
		cr_msleep(2);
	}
}

static void child_main(void *arg)
{
	NEED(setpgid(0, 0) == 0);
	member(&family->of_child);
}

static void *thread_main(void *arg)
{
	member(&family->of_thread);
	return NULL;
}

static void make_sysv(void)
{
	struct { long type; char text[8]; } message = { 7, "queued" };
	void *at;

	shm = shmget(IPC_PRIVATE, SIZE, 0600);
	sem = semget(IPC_PRIVATE, 2, 0600);
	msg = msgget(IPC_PRIVATE, 0600);
	if (shm < 0 || sem < 0 || msg < 0)
		cr_skip("no System V IPC");
	at = shmat(shm, NULL, 0);
	NEED(at != (void *)-1);
	cr_pattern(at, SIZE, 4);
	NEED(!semctl(sem, 1, SETVAL, 5));
	NEED(!msgsnd(msg, &message, sizeof(message.text), 0));
}

static void make_files(void)
{
	struct epoll_event about = { .events = EPOLLIN };
	struct itimerspec far = { .it_value.tv_sec = 100000 };

	event = eventfd(3, EFD_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	epoll = epoll_create1(0);
	unnamed = open(cr_path("unnamed"), O_RDWR | O_CREAT, 0600);
	locked = memfd_create("locked", 0);
	NEED(event >= 0 && timer >= 0 && epoll >= 0 && unnamed >= 0 &&
	     locked >= 0);
	NEED(!pipe(ends) && write(ends[1], "in the pipe", 11) == 11);
	NEED(!timerfd_settime(timer, 0, &far, NULL));
	NEED(!epoll_ctl(epoll, EPOLL_CTL_ADD, event, &about));
	NEED(write(unnamed, "unnamed", 7) == 7 && !unlink(cr_path("unnamed")));
	NEED(write(locked, "memfd", 5) == 5 && !flock(locked, LOCK_EX));
}

static void family_setup(void)
{
	union sigval value = { .sival_int = 41 };
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
	NEED(!sigqueue(getpid(), SIGRTMIN + 3, value));
	family = cr_shared(sizeof(*family));
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
	cr_pattern(mem, SIZE, 3);
	make_files();
	/* Outside of a container they are not saved. */
	if (cr_mode == CR_CONTAINER)
		make_sysv();
	child = cr_fork(child_main, NULL);
	NEED(child > 0);
	NEED(!pthread_create(&thread, NULL, thread_main, NULL));
}

static void check_sysv(void)
{
	struct msqid_ds queue = { };
	void *at = shmat(shm, NULL, SHM_RDONLY);

	CHECK(at != (void *)-1);
	if (at == (void *)-1)
		return;
	CHECK_PATTERN(at, SIZE, 4);
	shmdt(at);
	CHECK_EQ(semctl(sem, 1, GETVAL), 5);
	CHECK_EQ(msgctl(msg, IPC_STAT, &queue), 0);
	CHECK_EQ(queue.msg_qnum, 1);
}

static void family_check(enum cr_phase phase)
{
	struct epoll_event ready = { };
	struct itimerspec left;
	sigset_t pending;
	char text[16];

	CHECK_PATTERN(mem, SIZE, 3);
	CHECK_EQ(read(ends[0], text, 11), 11);
	CHECK_MEM(text, "in the pipe", 11);
	CHECK_EQ(write(ends[1], text, 11), 11);
	CHECK_EQ(epoll_wait(epoll, &ready, 1, 0), 1);
	CHECK_EQ(pread(unnamed, text, 16, 0), 7);
	CHECK_MEM(text, "unnamed", 7);
	CHECK_EQ(pread(locked, text, 16, 0), 5);
	CHECK_MEM(text, "memfd", 5);
	CHECK_EQ(timerfd_gettime(timer, &left), 0);
	CHECK(left.it_value.tv_sec > 90000);
	CHECK(!sigpending(&pending) && sigismember(&pending, SIGRTMIN + 3));
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	CHECK_EQ(getpgid(child), child);
	if (shm >= 0)
		check_sysv();

	cr_set(&family->of_child, 0);
	cr_set(&family->of_thread, 0);
	cr_set(&family->turn, 1);
	cr_await(&family->of_child, 1);
	cr_await(&family->of_thread, 1);
	cr_set(&family->turn, 0);
}

static bool set_fault(const char *kind, const char *name, long value)
{
	char path[96], text[24];
	int fd, len;
	bool ok;

	snprintf(path, sizeof(path), FAULTS "%s/%s", kind, name);
	len = snprintf(text, sizeof(text), "%ld", value);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, len) == len;
	close(fd);
	return ok;
}

static long get_fault(const char *kind, const char *name)
{
	char path[96], text[24];

	snprintf(path, sizeof(path), FAULTS "%s/%s", kind, name);
	return cr_slurp(path, text, sizeof(text)) > 0 ? atol(text) : -1;
}

/* Any allocation may fail, and the kernel's log stays as it is. */
static bool can_inject(struct cr_run *run)
{
	if (!access("/proc/thread-self/fail-nth", W_OK) &&
	    set_fault("failslab", "ignore-gfp-wait", 0) &&
	    set_fault("failslab", "verbose", 0) &&
	    set_fault("fail_page_alloc", "ignore-gfp-wait", 0) &&
	    set_fault("fail_page_alloc", "ignore-gfp-highmem", 0) &&
	    set_fault("fail_page_alloc", "min-order", 0) &&
	    set_fault("fail_page_alloc", "verbose", 0) &&
	    set_fault("fail_make_request", "verbose", 0))
		return true;
	cr_skipped(run, "no fault injection");
	return false;
}

struct call {
	long (*fn)(struct cr_run *run, int fd, int logfd, unsigned long flags);
	int open;
	unsigned long flags;
};

static long checkpoint_fn(struct cr_run *run, int fd, int logfd,
			  unsigned long flags)
{
	return sys_checkpoint(run->root, fd, flags | cr_mode_flags(run->mode),
			      logfd);
}

static long restart_fn(struct cr_run *run, int fd, int logfd,
		       unsigned long flags)
{
	return sys_restart(0, fd, flags, logfd);
}

/* How a fault comes into a call, whether there was one, and how it is told. */
struct fault {
	void (*arm)(long at);
	bool (*disarm)(void);
	int error;
};

static int nth_fd = -1;

static void nth_arm(long at)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%ld", at);

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (write(nth_fd, text, len) != len)
		perror("fail-nth");
}

static bool nth_disarm(void)
{
	char text[24] = "";
	bool left = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 && atol(text);

	if (pwrite(nth_fd, "0", 1, 0) != 1)
		perror("fail-nth");
	close(nth_fd);
	return !left;
}

static const struct fault nth = { nth_arm, nth_disarm, ENOMEM };

/* What this process and those that it makes allocate. */
static void kind_arm(const char *kind, long at, int times)
{
	cr_write_file("/proc/self/make-it-fail", "1", 1);
	set_fault(kind, "interval", 1);
	set_fault(kind, "space", at);
	set_fault(kind, "times", times);
	set_fault(kind, "probability", 100);
}

static bool kind_disarm(const char *kind, int times)
{
	bool done = get_fault(kind, "times") != times;

	set_fault(kind, "probability", 0);
	set_fault(kind, "space", 0);
	cr_write_file("/proc/self/make-it-fail", "0", 1);
	return done;
}

static void slab_arm(long at)
{
	set_fault("failslab", "task-filter", 1);
	kind_arm("failslab", at, 1);
}

static bool slab_disarm(void)
{
	return kind_disarm("failslab", 1);
}

static const struct fault slab = { slab_arm, slab_disarm, ENOMEM };

static void page_arm(long at)
{
	set_fault("fail_page_alloc", "task-filter", 1);
	kind_arm("fail_page_alloc", at, 1);
}

static bool page_disarm(void)
{
	return kind_disarm("fail_page_alloc", 1);
}

static const struct fault page = { page_arm, page_disarm, ENOMEM };

/* The block device with the image. */
static int disk = -1;

static void request_arm(long at)
{
	/* What is in the page cache needs no request. */
	ioctl(disk, BLKFLSBUF, 0);
	kind_arm("fail_make_request", at, 1);
}

static bool request_disarm(void)
{
	return kind_disarm("fail_make_request", 1);
}

static const struct fault request = { request_arm, request_disarm, EIO };

/*
 * All from there on. What fails to be read ahead is read once more when it is
 * wanted.
 */
#define MANY	1000000

static void requests_arm(long at)
{
	ioctl(disk, BLKFLSBUF, 0);
	kind_arm("fail_make_request", at, MANY);
}

static bool requests_disarm(void)
{
	return kind_disarm("fail_make_request", MANY);
}

static const struct fault requests = { requests_arm, requests_disarm, EIO };

/*
 * Where there is no memory for an inode, pipe(2) finds too many files and tmpfs
 * no space.
 */
static bool is_cause(const struct fault *fault, int error)
{
	return error == fault->error ||
	       (fault->error == ENOMEM && (error == ENFILE || error == ENOSPC));
}

/* One call with a fault in it. The log shall name the cause of a failure. */
static long try(struct cr_run *run, const char *image, const struct call *call,
		const struct fault *fault, long at, bool *hit)
{
	char log[96];
	struct stat st;
	int fd, logfd;
	long ret;

	snprintf(log, sizeof(log), "%s/log", run->dir);
	fd = open(image, call->open | O_CLOEXEC, 0600);
	logfd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		     0600);
	if (fd < 0 || logfd < 0) {
		cr_failed(run, "cannot open %s or %s", image, log);
		return -EINVAL;
	}
	fault->arm(at);
	ret = call->fn(run, fd, logfd, call->flags);
	if (ret < 0)
		ret = -errno;
	*hit = fault->disarm();
	/* Nothing can be said where there is no room for a sentence. */
	if (ret < 0 && at > 2 && (fstat(logfd, &st) || !st.st_size))
		cr_failed(run, "fault at %ld: %ld (%s), and the log is empty",
			  at, ret, strerror(-ret));
	if (ret < 0 && !(*hit && is_cause(fault, -ret)))
		cr_failed(run, "fault at %ld: %ld (%s)", at, ret,
			  strerror(-ret));
	close(fd);
	close(logfd);
	return ret;
}

/* Each of the first, then in larger steps, so that all of a call is met. */
static long next_nth(long at)
{
	return at + 1 + at / 24;
}

static void progress(const char *what, long at, int failed, int tried)
{
	ksft_print_msg("%s: at %ld, %d of %d failed\n", what, at, failed,
		       tried);
	fflush(stdout);
}

static void image_path(struct cr_run *run, char *path, size_t size)
{
	snprintf(path, size, "%s/image", run->dir);
}

/* A tree that was saved, for what comes next: it runs on as it was. */
static bool go_on(struct cr_run *run, unsigned long flags)
{
	if (flags & CHECKPOINT_LEAVE_FROZEN)
		return cr_thaw(run);
	if (flags & CHECKPOINT_KILL)
		return cr_none_left(run) && cr_restart(run, "image", 0) &&
		       cr_check(run, CR_AGAIN);
	return true;
}

static void checkpoint_drive(struct cr_run *run)
{
	static const unsigned long variants[] = {
		0, CHECKPOINT_COW, CHECKPOINT_KILL,
		CHECKPOINT_LEAVE_FROZEN | CHECKPOINT_TRACK,
	};
	struct call call = { checkpoint_fn, O_WRONLY | O_CREAT | O_TRUNC };
	int tried = 0, failed = 0;
	char image[96];
	bool hit = true;
	long at, ret;

	if (!can_inject(run) || !cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	image_path(run, image, sizeof(image));
	for (at = 1; hit && !run->failed; at = next_nth(at)) {
		call.flags = variants[tried % ARRAY_SIZE(variants)];
		ret = try(run, image, &call, &nth, at, &hit);
		failed += ret < 0;
		if (ret > 0 && !go_on(run, call.flags))
			break;
		if (tried++ % 16 == 0) {
			progress("checkpoint", at, failed, tried);
			(void)(cr_check(run, CR_AFTER) &&
			       cr_image_is_free(run, "image"));
		}
	}
	progress("checkpoint", at, failed, tried);
	if (!failed)
		cr_failed(run, "none of %d calls failed", tried);
	cr_check(run, CR_AFTER);
}

static void restarts(struct cr_run *run, const char *image,
		     const struct fault *fault, const char *what,
		     long (*next)(long at))
{
	struct call call = { restart_fn, O_RDONLY };
	int tried = 0, failed = 0;
	bool hit = true;
	long at, ret;

	for (at = 1; hit && !run->failed; at = next(at)) {
		/* The fault is not for what they do when they run. */
		call.flags = RESTART_FROZEN;
		/* Memory can be read later only from a regular file. */
		if (tried % 2 && fault != &requests)
			call.flags |= RESTART_LAZY;
		ret = try(run, image, &call, fault, at, &hit);
		failed += ret < 0;
		if (ret > 0) {
			run->root = ret;
			(void)(cr_thaw(run) && cr_check(run, CR_AGAIN) &&
			       cr_kill(run));
		} else if (!cr_none_left(run)) {
			break;
		}
		if (tried++ % 16 == 0)
			progress(what, at, failed, tried);
	}
	progress(what, at, failed, tried);
	if (!failed)
		cr_failed(run, "none of %d calls failed", tried);
}

static bool save(struct cr_run *run, char *image, size_t size)
{
	image_path(run, image, size);
	return can_inject(run) && cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
	       cr_none_left(run);
}

/* In the caller, who reads the image and makes the root. */
static void restart_drive(struct cr_run *run)
{
	char image[96];

	if (!save(run, image, sizeof(image)))
		return;
	restarts(run, image, &nth, "restart", next_nth);
	cr_image_is_free(run, "image");
}

static long next_space(long at)
{
	return at + 200 + at / 24;
}

/* In the tasks, which build themselves, too. */
static void tasks_drive(struct cr_run *run)
{
	char image[96];

	if (!save(run, image, sizeof(image)))
		return;
	restarts(run, image, &slab, "memory of tasks", next_space);
	if (!run->failed)
		restarts(run, image, &page, "pages of tasks", next_nth);
	cr_image_is_free(run, "image");
}

/* A block device whose requests can fail; its content is in memory. */
static bool make_disk(struct cr_run *run, char *path, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = memfd_create("disk", MFD_CLOEXEC), number = -1;
	char attribute[64];

	if (control >= 0)
		number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (number >= 0) {
		snprintf(path, size, "/dev/loop%d", number);
		disk = open(path, O_RDWR | O_CLOEXEC);
	}
	if (disk < 0 || fd < 0 || ftruncate(fd, DISK) ||
	    ioctl(disk, LOOP_SET_FD, fd)) {
		cr_skipped(run, "no loop device");
		close(disk);
		disk = -1;
	} else {
		snprintf(attribute, sizeof(attribute),
			 "/sys/block/loop%d/make-it-fail", number);
		cr_write_file(attribute, "1", 1);
	}
	close(fd);
	return disk >= 0;
}

static long next_block(long at)
{
	return at + 4096 + at / 16;
}

/*
 * A page that is written in part is read before. When that fails the write ends
 * before it, and is tried again: the image is whole then.
 */
static bool is_whole(struct cr_run *run, const char *path)
{
	int fd;

	ioctl(disk, BLKFLSBUF, 0);
	if (!cr_kill(run))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	run->root = sys_restart(0, fd, 0, -1);
	close(fd);
	if (run->root > 0)
		return cr_check(run, CR_AGAIN);
	cr_failed(run, "restart from the disk: %s", strerror(errno));
	return false;
}

/* Nothing is lost of an image that was written with O_SYNC, or it is told. */
static void write_to_disk(struct cr_run *run, const char *path)
{
	struct call call = { checkpoint_fn, O_WRONLY | O_SYNC };
	int tried = 0, failed = 0;
	bool hit = true;
	long at, ret;

	for (at = 1; hit && !run->failed; at = next_block(at)) {
		call.flags = tried % 2 ? CHECKPOINT_COW : 0;
		ret = try(run, path, &call, &request, at, &hit);
		failed += ret < 0;
		if (hit && ret >= 0 && !is_whole(run, path))
			break;
		if (tried++ % 16 == 0) {
			progress("writes", at, failed, tried);
			cr_check(run, CR_AFTER);
		}
	}
	progress("writes", at, failed, tried);
	if (!failed)
		cr_failed(run, "none of %d calls failed", tried);
	cr_check(run, CR_AFTER);
}

static void disk_drive(struct cr_run *run)
{
	char path[32];

	if (!can_inject(run) || !make_disk(run, path, sizeof(path)))
		return;
	if (cr_start(run) && cr_check(run, CR_BEFORE)) {
		write_to_disk(run, path);
		if (!run->failed && is_whole(run, path) && cr_kill(run))
			restarts(run, path, &requests, "reads", next_block);
	}
	cr_kill(run);
	ioctl(disk, LOOP_CLR_FD, 0);
	close(disk);
}

#define FAMILY(_name, _modes, _drive) { \
	.name = "injected." _name, .modes = _modes, .setup = family_setup, \
	.check = family_check, .drive = _drive }

static const struct cr_scenario scenarios[] = {
	FAMILY("checkpoint", CR_TREE, checkpoint_drive),
	FAMILY("restart", CR_TREE, restart_drive),
	FAMILY("tasks", CR_TREE, tasks_drive),
	FAMILY("disk", CR_SUBTREE, disk_drive),
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
