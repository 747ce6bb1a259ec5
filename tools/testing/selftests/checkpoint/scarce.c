// SPDX-License-Identifier: GPL-2.0
/*
 * Trees that have hardly enough memory: those of a cgroup with a limit. A
 * checkpoint, which takes memory as well, is not why any of their tasks dies.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include "cr.h"

#define CGROUPS		"/sys/fs/cgroup/"
#define GROUP		CGROUPS "cr-scarce/"
#define SWAP		"/var/tmp/cr-scarce-swap"

#define MB		(1024 * 1024UL)
#define SIZE		(16 * MB)
#define SWAP_SIZE	(96 * MB)

static unsigned char *mem;
static unsigned int seed = 1;

static void large_setup(void)
{
	size_t i;

	cr_write_file(GROUP "cgroup.procs", "0", 1);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
	for (i = 0; i < SIZE / MB; i++)
		cr_pattern(mem + i * MB, MB, seed + i);
}

/* Writes to all that it has. */
static void large_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < SIZE / MB; i++)
		CHECK_PATTERN(mem + i * MB, MB, seed + i);
	if (phase == CR_AGAIN)
		return;
	seed += 100;
	for (i = 0; i < SIZE / MB; i++)
		cr_pattern(mem + i * MB, MB, seed + i);
}

static bool set_group(const char *name, unsigned long value)
{
	char path[96], text[24];
	int fd, len;
	bool ok;

	snprintf(path, sizeof(path), GROUP "%s", name);
	len = snprintf(text, sizeof(text), "%lu", value);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, len) == len;
	close(fd);
	return ok;
}

static long group_event(const char *name)
{
	char buf[512];
	const char *at;

	if (cr_slurp(GROUP "memory.events", buf, sizeof(buf)) <= 0)
		return -1;
	at = strstr(buf, name);
	return at ? atol(at + strlen(name)) : -1;
}

static bool make_group(struct cr_run *run, unsigned long max,
		       unsigned long swap)
{
	int fd = open(CGROUPS "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, "+memory", 7) == 7;

	close(fd);
	mkdir(GROUP, 0755);
	if (ok && set_group("memory.max", max) &&
	    (set_group("memory.swap.max", swap) || !swap))
		return true;
	cr_skipped(run, "no memory controller");
	rmdir(GROUP);
	return false;
}

static void end_group(struct cr_run *run)
{
	if (!run->skipped && group_event("oom_kill "))
		cr_failed(run, "%ld tasks were killed for memory",
			  group_event("oom_kill "));
	cr_kill(run);
	rmdir(GROUP);
}

/*
 * The tree writes to all of its memory while a copy-on-write duplicate has it,
 * too: there is not enough for both. Nobody reads the image meanwhile.
 */
static long save_slowly(struct cr_run *run, unsigned long flags)
{
	static char buf[64 * 1024];
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 1000000ULL;
	int fds[2], result[2], queued = 0;
	long ret = -1;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) || pipe2(result, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		char path[96];
		int log;

		close(fds[0]);
		snprintf(path, sizeof(path), "%s/log", run->dir);
		log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND |
			   O_CLOEXEC, 0600);
		ret = sys_checkpoint(run->root, fds[1],
				     flags | cr_mode_flags(run->mode), log);
		if (ret < 0)
			ret = -errno;
		_exit(write(result[1], &ret, sizeof(ret)) != sizeof(ret));
	}
	close(fds[1]);
	while (!ioctl(fds[0], FIONREAD, &queued) && queued < 32 * 1024 &&
	       cr_now_ns() < end)
		cr_msleep(2);
	cr_check(run, CR_AFTER);
	while (read(fds[0], buf, sizeof(buf)) > 0)
		;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	close(result[1]);
	if (read(result[0], &ret, sizeof(ret)) != sizeof(ret))
		ret = -1;
	close(result[0]);
	return ret;
}

static void duplicate_drive(struct cr_run *run)
{
	long ret;

	if (!make_group(run, SIZE * 3 / 2, 0))
		return;
	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		goto out;
	ret = save_slowly(run, CHECKPOINT_COW);
	if (ret != -ENOMEM || !cr_log_has(run, "too little memory"))
		cr_failed(run, "there was enough memory: %ld", ret);
	/* With the memory that it has, it can be saved otherwise. */
	(void)(cr_check(run, CR_AFTER) && cr_checkpoint(run, "image", 0) &&
	       cr_kill(run) && cr_restart(run, "image", 0) &&
	       cr_check(run, CR_AGAIN));
out:
	end_group(run);
}

/* The duplicate that stays behind makes room, too. */
static void tracked_drive(struct cr_run *run)
{
	const unsigned long flags = CHECKPOINT_TRACK | CHECKPOINT_INCREMENTAL;

	if (!make_group(run, SIZE * 3 / 2, 0))
		return;
	(void)(cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "image", CHECKPOINT_TRACK) &&
	       cr_check(run, CR_AFTER) && cr_check(run, CR_AFTER) &&
	       /* All has changed. */
	       cr_checkpoint(run, "image", flags) && cr_check(run, CR_AFTER) &&
	       cr_checkpoint(run, "image", 0) && cr_kill(run) &&
	       cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
	end_group(run);
}

/* Swap: where pages are that do not fit into memory. */
static bool start_swap(void)
{
	static unsigned char page[64 * 1024];
	size_t size = sysconf(_SC_PAGESIZE);
	uint32_t *info = (uint32_t *)(page + 1024);
	int fd = open(SWAP, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool made;

	info[0] = 1;
	info[1] = SWAP_SIZE / size - 1;
	memcpy(page + size - 10, "SWAPSPACE2", 10);
	made = fd >= 0 && !fallocate(fd, 0, 0, SWAP_SIZE) &&
	       pwrite(fd, page, size, 0) == (ssize_t)size && !fsync(fd);
	close(fd);
	return made && !swapon(SWAP, 0);
}

/*
 * Reclaim goes by statistics that may be seconds old: after all pages of a group
 * have been read it may find none that can be swapped out, and give up. Reading
 * the statistics brings them up to date.
 */
static void settle_group(void)
{
	static char buf[8192];

	NEED(cr_slurp(GROUP "memory.stat", buf, sizeof(buf)) > 0);
}

static void swap_drive(struct cr_run *run)
{
	static const unsigned long flags[] = {
		0, CHECKPOINT_COW, CHECKPOINT_TRACK,
	};
	int i;
	long ret;

	if (!start_swap()) {
		unlink(SWAP);
		cr_skipped(run, "no swap");
		return;
	}
	if (!make_group(run, SIZE * 5 / 8, SWAP_SIZE))
		goto out;
	if (cr_start(run) && cr_check(run, CR_BEFORE)) {
		for (i = 0; i < 9 && !run->failed; i++) {
			ret = cr_try_checkpoint(run, "image", flags[i % 3]);
			settle_group();
			if (ret <= 0)
				cr_failed(run, "round %d: %ld", i, ret);
			cr_check(run, CR_AFTER);
		}
		(void)(!run->failed && cr_checkpoint(run, "image", 0) &&
		       cr_kill(run) && cr_restart(run, "image", 0) &&
		       cr_check(run, CR_AGAIN));
	}
	end_group(run);
out:
	swapoff(SWAP);
	unlink(SWAP);
}

/* Cgroups that are gone, and to which somebody still has a reference. */
static long dying_groups(void)
{
	static const char name[] = "nr_dying_subsys_memory ";
	char buf[1024];
	const char *at;

	if (cr_slurp(CGROUPS "cgroup.stat", buf, sizeof(buf)) <= 0)
		return -1;
	at = strstr(buf, name);
	return at ? atol(at + sizeof(name) - 1) : -1;
}

static void swapped_check(enum cr_phase phase)
{
	large_check(phase);
	if (phase == CR_BEFORE)
		NEED(!madvise(mem, SIZE, MADV_PAGEOUT));
}

/*
 * swapoff(2) goes through all address spaces, and may have the duplicate when
 * the checkpoint, whose reader goes away after a time, gives it up. Without
 * @delay that is afterwards. Returns how many ms swapoff(2) took.
 */
static unsigned int swap_off_meanwhile(struct cr_run *run, unsigned int delay)
{
	unsigned long long began = cr_now_ns();
	unsigned long long end = began + CR_TIMEOUT_MS * 1000000ULL;
	int fds[2], queued = 0;
	pid_t saver, other;

	NEED(!pipe2(fds, O_CLOEXEC));
	saver = fork();
	if (!saver) {
		close(fds[0]);
		signal(SIGPIPE, SIG_IGN);
		sys_checkpoint(run->root, fds[1], CHECKPOINT_COW |
			       cr_mode_flags(run->mode), -1);
		_exit(0);
	}
	close(fds[1]);
	while (!ioctl(fds[0], FIONREAD, &queued) && queued < 32 * 1024 &&
	       cr_now_ns() < end)
		cr_msleep(1);
	/* What it writes to is not in swap any more, but for the duplicate. */
	cr_check(run, CR_AFTER);
	began = cr_now_ns();
	other = fork();
	if (!other)
		_exit(!!swapoff(SWAP));
	if (!delay)
		waitpid(other, NULL, 0);
	else
		cr_msleep(delay);
	end = cr_now_ns();
	close(fds[0]);
	waitpid(saver, NULL, 0);
	if (delay)
		waitpid(other, NULL, 0);
	return (end - began) / 1000000;
}

static void swapoff_drive(struct cr_run *run)
{
	long dying = dying_groups();
	unsigned int i, took = 0, ms;

	if (!start_swap()) {
		unlink(SWAP);
		cr_skipped(run, "no swap");
		return;
	}
	if (!make_group(run, SIZE * 4, SWAP_SIZE))
		goto out;
	for (i = 0; i < 6 && !run->failed; i++) {
		if (!cr_start(run) || !cr_check(run, CR_BEFORE))
			break;
		ms = swap_off_meanwhile(run, took * i / 5);
		took = took ?: ms;
		cr_kill(run);
		NEED(start_swap());
	}
	end_group(run);
	for (i = 0; i < 500 && dying_groups() > dying; i++)
		cr_msleep(20);
	if (dying_groups() > dying)
		cr_failed(run, "%ld cgroups were left", dying_groups() - dying);
out:
	swapoff(SWAP);
	unlink(SWAP);
}

static const struct cr_scenario scenarios[] = {
	{ "scarce.duplicate", CR_SUBTREE, large_setup, large_check,
	  .drive = duplicate_drive },
	{ "scarce.tracked", CR_SUBTREE, large_setup, large_check,
	  .drive = tracked_drive },
	{ "scarce.swap", CR_SUBTREE, large_setup, large_check,
	  .drive = swap_drive },
	{ "scarce.swapoff", CR_SUBTREE, large_setup, swapped_check,
	  .drive = swapoff_drive },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
