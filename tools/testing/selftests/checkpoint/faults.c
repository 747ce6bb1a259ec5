// SPDX-License-Identifier: GPL-2.0
/*
 * What goes wrong around a checkpoint or a restart: streams that break or stall
 * at any point, signals to the caller, full disks, memory in swap. The tree
 * that was to be saved goes on undisturbed, whatever the flags; of one that was
 * to be restarted nothing is left.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "cr.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define KB		1024UL
#define MB		(1024 * KB)

#define PRIVATE		(3 * MB)
#define SHARED		(1 * MB)
#define SWAP_SIZE	(64 * MB)

/* How much has to get there, in kB. */
#define IN_SWAP		768

#define FULL		"/tmp/cr-full"
#define SWAP		"/var/tmp/cr-swap"

static unsigned char *mem, *other;
static size_t len;
static int ends[2];

struct both {
	int turn;
	int bad;
};

static struct both *both;

/* Another process, which has the same memory since fork(2) and some of its own. */
static void partner(void *arg)
{
	for (;;) {
		if (cr_get(&both->turn) == 1) {
			both->bad = cr_pattern_differs(mem + MB, MB, 2) != MB ||
				    cr_pattern_differs(mem, KB, 9) != KB;
			other[7]++;
			cr_set(&both->turn, 0);
		}
		cr_msleep(2);
	}
}

static void partner_starts(void *arg)
{
	cr_pattern(mem, KB, 9);
	partner(arg);
}

static void family_setup(void)
{
	size_t i;

	len = PRIVATE;
	both = cr_shared(sizeof(*both));
	other = cr_shared(SHARED);
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED && !pipe(ends));
	for (i = 0; i < len / MB; i++)
		cr_pattern(mem + i * MB, MB, i + 1);
	cr_pattern(other + MB / 2, MB / 2, 77);
	NEED(write(ends[1], "in the pipe", 11) == 11);
	NEED(cr_fork(partner_starts, NULL) > 0);
}

static void family_check(enum cr_phase phase)
{
	char text[11];
	size_t i;

	for (i = 0; i < len / MB; i++)
		CHECK_PATTERN(mem + i * MB, MB, i + 1);
	CHECK_PATTERN(other + MB / 2, MB / 2, 77);
	CHECK_EQ(read(ends[0], text, 11), 11);
	CHECK_MEM(text, "in the pipe", 11);
	CHECK_EQ(write(ends[1], text, 11), 11);
	other[7] = 10 * phase;
	cr_set(&both->turn, 1);
	cr_await(&both->turn, 0);
	CHECK_EQ(both->bad, 0);
	CHECK_EQ(other[7], 10 * phase + 1);
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
}

/* Where a stream of some length breaks: often at first, then in larger steps. */
static size_t next_point(size_t at)
{
	return at < 4096 ? at + 331 : at < 64 * KB ? at + 4096 - 17 :
						     at + 200 * KB + 1;
}

static void read_some(int fd, size_t left)
{
	static char buf[64 * 1024];
	ssize_t n;

	while (left && (n = read(fd, buf, left < sizeof(buf) ? left :
							       sizeof(buf))) > 0)
		left -= n;
}

static size_t image_size(struct cr_run *run)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/image", run->dir);
	return stat(path, &st) ? 0 : st.st_size;
}

static long checkpoint_to(struct cr_run *run, int fd, unsigned long flags)
{
	long ret = sys_checkpoint(run->root, fd,
				  flags | cr_mode_flags(run->mode), -1);

	return ret < 0 ? -errno : ret;
}

static const unsigned long variants[] = {
	0, CHECKPOINT_KILL, CHECKPOINT_COW, CHECKPOINT_LEAVE_FROZEN,
};

/* Who reads the image goes away at any point of it. */
static void reader_drive(struct cr_run *run)
{
	size_t at, size, tried = 0;
	int fds[2];
	pid_t pid;
	long ret;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", 0))
		return;
	size = image_size(run);
	signal(SIGPIPE, SIG_IGN);
	for (at = 0; at + 64 * KB < size; at = next_point(at)) {
		if (pipe2(fds, O_CLOEXEC))
			return cr_failed(run, "no pipe");
		pid = fork();
		if (!pid) {
			close(fds[1]);
			read_some(fds[0], at);
			_exit(0);
		}
		close(fds[0]);
		ret = checkpoint_to(run, fds[1], variants[tried++ % 4]);
		close(fds[1]);
		waitpid(pid, NULL, 0);
		if (ret != -EPIPE) {
			cr_failed(run, "the reader left at %zu: %ld", at, ret);
			return;
		}
		if (tried % 8 == 1 && !cr_check(run, CR_AFTER))
			return;
	}
	if (tried < 20)
		cr_failed(run, "only %zu points of %zu bytes", tried, size);
	cr_check(run, CR_AFTER);
}

/* Who writes the image to a restart goes away at any point of it. */
static void writer_drive(struct cr_run *run)
{
	size_t at, size, tried = 0;
	unsigned char *image;
	char path[96];
	int fds[2], fd;
	pid_t pid;
	long ret;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	size = image_size(run);
	snprintf(path, sizeof(path), "%s/image", run->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	image = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (image == MAP_FAILED)
		return cr_failed(run, "no image");
	for (at = 0; at < size; at = next_point(at)) {
		size_t done = 0;

		tried++;
		if (pipe2(fds, O_CLOEXEC))
			return cr_failed(run, "no pipe");
		pid = fork();
		if (!pid) {
			signal(SIGPIPE, SIG_IGN);
			while (done < at) {
				ssize_t n = write(fds[1], image + done,
						  at - done);

				if (n <= 0)
					break;
				done += n;
			}
			_exit(0);
		}
		close(fds[1]);
		ret = sys_restart(0, fds[0], 0, -1);
		if (ret >= 0 || (errno != EPIPE && errno != EINVAL))
			return cr_failed(run, "the writer left at %zu: %ld %d",
					 at, ret, errno);
		close(fds[0]);
		waitpid(pid, NULL, 0);
		if (!cr_none_left(run))
			return;
	}
	if (tried < 20)
		cr_failed(run, "only %zu points of %zu bytes", tried, size);
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* A disk that is full at some point. */
static void full_drive(struct cr_run *run)
{
	static const unsigned long sizes[] = {
		4 * KB, 8 * KB, 16 * KB, 64 * KB, 256 * KB, MB, 3 * MB,
	};
	char options[32];
	size_t i;
	long ret;
	int fd;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	mkdir(FULL, 0700);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(options, sizeof(options), "size=%lu", sizes[i]);
		if (mount("tmpfs", FULL, "tmpfs", 0, options))
			return cr_skipped(run, "no tmpfs");
		fd = open(FULL "/image", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		ret = checkpoint_to(run, fd, variants[i % 4]);
		close(fd);
		umount2(FULL, MNT_DETACH);
		if (ret != -ENOSPC)
			cr_failed(run, "a disk of %lu bytes: %ld", sizes[i],
				  ret);
	}
	rmdir(FULL);
	cr_check(run, CR_AFTER);
}

static void taken(int sig)
{
}

/* Waits until the call of that pid sleeps, so that the signal meets it there. */
static void interrupt(pid_t pid, int sig, int fd)
{
	int queued = -1, last = -2, same = 0;

	while (same < 5) {
		last = queued;
		if (ioctl(fd, FIONREAD, &queued))
			_exit(1);
		same = queued == last && queued > 0 ? same + 1 : 0;
		cr_msleep(2);
	}
	kill(pid, sig);
	/* The pipe stays as it is until the caller has gone. */
	for (;;)
		pause();
}

static void catch(unsigned long flags)
{
	struct sigaction action = { .sa_handler = taken, .sa_flags = flags };

	sigaction(SIGINT, &action, NULL);
}

/*
 * A signal to the caller while it writes. It is never started again, since part
 * of the image is gone. A caller that is killed lets the tree go as well.
 */
static void signal_writer(struct cr_run *run, size_t at, int sig,
			  unsigned long flags)
{
	pid_t caller, reader;
	int fds[2], status;

	if (pipe2(fds, O_CLOEXEC))
		return cr_failed(run, "no pipe");
	caller = fork();
	if (!caller) {
		long ret;

		close(fds[0]);
		ret = checkpoint_to(run, fds[1], flags);
		_exit(ret == -EINTR ? 0 : ret < 0 ? -ret : 200);
	}
	reader = fork();
	if (!reader) {
		close(fds[1]);
		read_some(fds[0], at);
		interrupt(caller, sig, fds[0]);
	}
	close(fds[1]);
	close(fds[0]);
	waitpid(caller, &status, 0);
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	if (sig == SIGKILL ? !WIFSIGNALED(status) :
			     !WIFEXITED(status) || WEXITSTATUS(status))
		cr_failed(run, "signal %d at %zu: status %#x", sig, at, status);
}

static void signal_writing_drive(struct cr_run *run)
{
	size_t at, size, tried = 0;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", 0))
		return;
	size = image_size(run);
	for (at = 0; at + 128 * KB < size && !run->failed;
	     at = at < 64 * KB ? at + 9999 : at + 500 * KB) {
		catch(tried % 2 ? SA_RESTART : 0);
		signal_writer(run, at, SIGINT, variants[tried % 4]);
		signal_writer(run, at, SIGKILL, variants[(tried + 1) % 4]);
		tried++;
		if (!cr_check(run, CR_AFTER))
			return;
	}
	if (tried < 8)
		cr_failed(run, "only %zu points of %zu bytes", tried, size);
}

/* The same while it reads: a writer that stalls. */
static bool signal_reader(struct cr_run *run, const unsigned char *image,
			  size_t at, int sig)
{
	pid_t caller, writer;
	int fds[2], status;

	if (pipe2(fds, O_CLOEXEC)) {
		cr_failed(run, "no pipe");
		return false;
	}
	caller = fork();
	if (!caller) {
		long ret;

		close(fds[1]);
		ret = sys_restart(0, fds[0], 0, -1);
		_exit(ret >= 0 ? 200 : errno == EINTR ? 0 : errno);
	}
	writer = fork();
	if (!writer) {
		size_t done = 0;
		int left = 1;

		signal(SIGPIPE, SIG_IGN);
		while (done < at) {
			ssize_t n = write(fds[1], image + done, at - done);

			if (n <= 0)
				_exit(1);
			done += n;
		}
		/* All has been read, and it waits for more. */
		while (!ioctl(fds[1], FIONREAD, &left) && left)
			cr_msleep(1);
		cr_msleep(30);
		kill(caller, sig);
		for (;;)
			pause();
	}
	close(fds[0]);
	close(fds[1]);
	waitpid(caller, &status, 0);
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	if (sig == SIGKILL ? !WIFSIGNALED(status) :
			     !WIFEXITED(status) || WEXITSTATUS(status))
		cr_failed(run, "signal %d at %zu: status %#x", sig, at, status);
	return cr_none_left(run) && !run->failed;
}

static void signal_reading_drive(struct cr_run *run)
{
	size_t at, size, tried = 0;
	unsigned char *image;
	char path[96];
	int fd;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	size = image_size(run);
	snprintf(path, sizeof(path), "%s/image", run->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	image = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (image == MAP_FAILED)
		return cr_failed(run, "no image");
	for (at = 0; at < size;
	     at = at < 32 * KB ? at + 4999 : at + 700 * KB) {
		catch(tried++ % 2 ? SA_RESTART : 0);
		if (!signal_reader(run, image, at, SIGINT) ||
		    !signal_reader(run, image, at, SIGKILL))
			return;
	}
	if (tried < 8)
		cr_failed(run, "only %zu points of %zu bytes", tried, size);
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/*
 * Pages in swap, which is a file on a disk. A test only says so when pages did
 * get there.
 */
static bool make_swap(int fd)
{
	static unsigned char page[64 * 1024];
	size_t size = sysconf(_SC_PAGESIZE);
	uint32_t *info = (uint32_t *)(page + 1024);

	info[0] = 1;
	info[1] = SWAP_SIZE / size - 1;
	memcpy(page + size - 10, "SWAPSPACE2", 10);
	return !fallocate(fd, 0, 0, SWAP_SIZE) &&
	       pwrite(fd, page, size, 0) == (ssize_t)size;
}

static bool start_swap(void)
{
	int fd = open(SWAP, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool made = fd >= 0 && make_swap(fd) && !fsync(fd);

	close(fd);
	return made && !swapon(SWAP, 0);
}

static void end_swap(void)
{
	swapoff(SWAP);
	unlink(SWAP);
}

static long status_kb(const char *name)
{
	static char buf[8192];
	const char *at;

	NEED(cr_slurp("/proc/self/status", buf, sizeof(buf)) > 0);
	at = strstr(buf, name);
	return at ? atol(at + strlen(name)) : 0;
}

static void page_out(void)
{
	int tries;

	for (tries = 0; tries < 20 && status_kb("VmSwap:") < IN_SWAP; tries++) {
		madvise(mem, len, MADV_PAGEOUT);
		madvise(other, SHARED, MADV_PAGEOUT);
		cr_msleep(5);
	}
}

static void swap_setup(void)
{
	family_setup();
	/* What both have stays in memory; from here on this is our own. */
	cr_pattern(mem + 2 * MB, MB, 3);
	page_out();
	if (status_kb("VmSwap:") < IN_SWAP)
		cr_skip("no page gets into swap");
}

static void swap_check(enum cr_phase phase)
{
	family_check(phase);
	if (phase == CR_AGAIN)
		return;
	/* For the next checkpoint. */
	page_out();
	CHECK(status_kb("VmSwap:") >= IN_SWAP);
}

static void swap_drive(struct cr_run *run)
{
	if (!start_swap())
		return end_swap(), cr_skipped(run, "no swap");
	(void)(cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "first", 0) && cr_check(run, CR_AFTER) &&
	       cr_checkpoint(run, "second", CHECKPOINT_COW) &&
	       cr_check(run, CR_AFTER) && cr_kill(run) &&
	       cr_restart(run, "second", 0) && cr_check(run, CR_AGAIN) &&
	       cr_kill(run) && cr_restart(run, "first", 0) &&
	       cr_check(run, CR_AGAIN) && cr_kill(run));
	end_swap();
}

static const struct cr_scenario scenarios[] = {
	{ "fault.reader_leaves", CR_TREE, family_setup, family_check,
	  .drive = reader_drive },
	{ "fault.writer_leaves", CR_TREE, family_setup, family_check,
	  .drive = writer_drive },
	{ "fault.disk_full", CR_TREE, family_setup, family_check,
	  .drive = full_drive },
	{ "fault.signal_while_writing", CR_TREE, family_setup, family_check,
	  .drive = signal_writing_drive },
	{ "fault.signal_while_reading", CR_TREE, family_setup, family_check,
	  .drive = signal_reading_drive },
	{ "fault.in_swap", CR_TREE, swap_setup, swap_check,
	  .drive = swap_drive },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
