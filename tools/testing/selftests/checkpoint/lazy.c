// SPDX-License-Identifier: GPL-2.0
/*
 * Restarts that read memory when it is touched (RESTART_LAZY): what becomes of
 * pages that are not there yet.
 *
 * So that they are not there, a page at a low address is damaged in the image:
 * the thread that brings in what nobody touches starts at the lowest, and gives
 * up at that page.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/userfaultfd.h>

#include "cr.h"

#define MB		(1024 * 1024UL)
#define LEN		(4 * MB)
#define SEED		77

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

/* Below the program, and with a whole chunk of page data in it. */
#define TRAP		((unsigned char *)0x100000)
#define TRAP_LEN	(2 * MB + 512 * 1024)
#define TRAP_AT		(TRAP_LEN / 2)

static const char trap_mark[] = "This page of the image is damaged.";

static size_t page_size;
static unsigned char *mem;

static unsigned char *anon(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(p != MAP_FAILED);
	return p;
}

/* The pages that are not there, though they have content. */
static size_t unread(const void *addr, size_t len)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t count = 0, i;
	uint64_t entry;

	NEED(fd >= 0);
	for (i = 0; i < len / page_size; i++) {
		NEED(pread(fd, &entry, 8, ((uintptr_t)addr / page_size + i) * 8) == 8);
		count += !(entry >> 63) && (entry >> 62 & 1);
	}
	close(fd);
	return count;
}

static void set_trap(void)
{
	void *p = mmap(TRAP, TRAP_LEN, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	NEED(p == TRAP);
	cr_pattern(TRAP, TRAP_LEN, SEED + 1);
	memcpy(TRAP + TRAP_AT, trap_mark, sizeof(trap_mark));
}

static void setup(void)
{
	page_size = sysconf(_SC_PAGESIZE);
	set_trap();
	/* What lies between is read with neither. */
	mem = anon(LEN + 4 * MB) + 2 * MB;
	cr_pattern(mem - 2 * MB, LEN + 4 * MB, SEED);
	cr_pattern(mem, LEN, SEED);
}

/* Whether check() is to do what this is about; the memory is not there then. */
static bool is_lazy(enum cr_phase phase)
{
	if (phase != CR_AGAIN) {
		CHECK_PATTERN(mem, LEN, SEED);
		return false;
	}
	CHECK_EQ(unread(mem, LEN), LEN / page_size);
	return true;
}

static bool is_zero(const unsigned char *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

static sigjmp_buf on_signal;

static void jump(int sig)
{
	siglongjmp(on_signal, sig);
}

/* The signal that an access gives, or 0. */
static int signal_of(unsigned char *p, bool write)
{
	struct sigaction act = { .sa_handler = jump }, bus, segv;
	int sig;

	sigaction(SIGBUS, &act, &bus);
	sigaction(SIGSEGV, &act, &segv);
	sig = sigsetjmp(on_signal, 1);
	if (!sig) {
		unsigned char value = __atomic_load_n(p, __ATOMIC_RELAXED);

		if (write)
			__atomic_store_n(p, value, __ATOMIC_RELAXED);
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return sig;
}

static void touch_check(enum cr_phase phase)
{
	unsigned char vec[LEN / 4096] = { };
	size_t i;

	if (!is_lazy(phase))
		return;
	NEED(!mincore(mem, LEN, vec));
	for (i = 0; i < LEN / page_size; i++)
		CHECK_EQ(vec[i] & 1, 0);
	/* From the last to the first, by reading and by writing. */
	for (i = LEN; i >= page_size; i -= page_size)
		mem[i - 1]++;
	for (i = LEN; i >= page_size; i -= page_size)
		mem[i - 1]--;
	CHECK_PATTERN(mem, LEN, SEED);
	CHECK_EQ(unread(mem, LEN), 0);
	CHECK_PATTERN(mem - 2 * MB, 2 * MB, SEED);
}

static void fork_child(void *arg)
{
	CHECK_EQ(unread(mem, LEN), LEN / page_size);
	CHECK_PATTERN(mem, LEN, SEED);
	cr_pattern(mem, LEN, SEED + 3);
	/* The child of a child, of which some is there and some is not. */
	CHECK_PATTERN(mem, LEN, SEED + 3);
}

static void leave(void *arg)
{
}

static void fork_check(enum cr_phase phase)
{
	pid_t pid;

	if (!is_lazy(phase))
		return;
	cr_reap(cr_fork(leave, NULL), 0);
	cr_reap(cr_fork(fork_child, NULL), 0);
	CHECK_EQ(unread(mem, LEN), LEN / page_size);
	CHECK_PATTERN(mem, LEN / 2, SEED);
	cr_pattern(mem, page_size, SEED + 4);
	pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		/* The parent is gone from these pages, not this process. */
		cr_msleep(20);
		CHECK_PATTERN(mem, page_size, SEED + 4);
		cr_pattern(mem, page_size, SEED);
		CHECK_PATTERN(mem, LEN, SEED);
		_exit(0);
	}
	NEED(!munmap(mem + LEN / 2, LEN / 2));
	cr_reap(pid, 0);
	cr_pattern(mem, page_size, SEED);
	CHECK_PATTERN(mem, LEN / 2, SEED);
}

static void exec_child(void *arg)
{
	char * const argv[] = { "lazy", "--victim", "none", "self", "/", NULL };

	execv("/proc/self/exe", argv);
}

static void exec_check(enum cr_phase phase)
{
	if (!is_lazy(phase))
		return;
	cr_reap(cr_fork(exec_child, NULL), 104);
	CHECK_PATTERN(mem, LEN, SEED);
}

static void mremap_check(enum cr_phase phase)
{
	unsigned char *to = NULL, *moved;

	if (!is_lazy(phase))
		return;
	/* Whole page tables, and some pages. */
	to = anon(LEN + 2 * MB);
	moved = mremap(mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to + MB / 2);
	NEED(moved == to + MB / 2);
	CHECK_EQ(unread(moved, LEN), LEN / page_size);
	CHECK_PATTERN(moved, LEN, SEED);
	/* Back, and what follows it, most of which is not there. */
	NEED(mremap(moved, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, mem) == mem);
	CHECK_PATTERN(mem, LEN, SEED);
	CHECK_EQ(unread(mem - 2 * MB, MB), MB / page_size);
	moved = mremap(mem - 2 * MB, MB, MB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
		       NULL);
	NEED(moved != MAP_FAILED);
	CHECK_PATTERN(moved, MB, SEED);
	CHECK(is_zero(mem - 2 * MB, MB));
}

static void munmap_check(enum cr_phase phase)
{
	if (!is_lazy(phase))
		return;
	NEED(!munmap(mem + MB + page_size, MB));
	CHECK_PATTERN(mem, MB + page_size, SEED);
	CHECK_EQ(signal_of(mem + MB + page_size, false), SIGSEGV);
	NEED(mmap(mem + MB + page_size, MB, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	CHECK(is_zero(mem + MB + page_size, MB));
	NEED(!munmap(mem - 2 * MB, LEN + 4 * MB));
}

static void mprotect_check(enum cr_phase phase)
{
	if (!is_lazy(phase))
		return;
	NEED(!mprotect(mem, MB, PROT_NONE));
	NEED(!mprotect(mem + MB, MB, PROT_READ));
	CHECK_EQ(signal_of(mem, false), SIGSEGV);
	CHECK_EQ(signal_of(mem + MB, false), 0);
	CHECK_EQ(signal_of(mem + MB, true), SIGSEGV);
	CHECK_EQ(signal_of(mem + MB + MB / 2, true), SIGSEGV);
	NEED(!mprotect(mem, 2 * MB, PROT_READ | PROT_WRITE));
	CHECK_EQ(signal_of(mem + MB, true), 0);
	CHECK_PATTERN(mem, LEN, SEED);
	cr_pattern(mem, LEN, SEED + 2);
	CHECK_PATTERN(mem, LEN, SEED + 2);
}

static void madvise_check(enum cr_phase phase)
{
	static const int keep[] = {
		MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_HUGEPAGE, MADV_COLLAPSE,
	};
	unsigned char *p = mem, *copy;
	size_t i, at;

	if (!is_lazy(phase))
		return;
	copy = anon(LEN);
	cr_pattern(copy, LEN, SEED);
	NEED(!madvise(p, MB, MADV_DONTNEED));
	CHECK_EQ(unread(p, MB), 0);
	CHECK(is_zero(p, MB));
	NEED(!madvise(p, MB, MADV_DONTNEED));
	cr_pattern(p, MB, SEED);

	/* What is free may come back, page for page. */
	p += MB;
	NEED(!madvise(p, MB, MADV_FREE));

	p += MB;
	NEED(!madvise(p, MB / 2, MADV_GUARD_INSTALL));
	CHECK_EQ(unread(p, MB / 2), MB / 2 / page_size);
	CHECK_EQ(signal_of(p, false), SIGSEGV);
	NEED(!madvise(p, MB / 2, MADV_GUARD_REMOVE));
	CHECK(is_zero(p, MB / 2));
	CHECK_MEM(p - MB, copy + MB, MB);
	CHECK_MEM(p + MB / 2, copy + 2 * MB + MB / 2, LEN - 2 * MB - MB / 2);

	for (i = 0; i < ARRAY_SIZE(keep); i++) {
		at = 2 * MB;
		if (madvise(mem - at, 2 * MB, keep[i]))
			CHECK(keep[i] == MADV_COLLAPSE);
		CHECK_PATTERN(mem - at, 2 * MB, SEED);
	}
}

/* A huge page is made of pages that are not there. */
static void collapse_check(enum cr_phase phase)
{
	unsigned char *p = (void *)(((uintptr_t)mem + 2 * MB - 1) & -(2 * MB));
	unsigned char *copy;

	if (!is_lazy(phase))
		return;
	copy = anon(LEN);
	cr_pattern(copy, LEN, SEED);
	/* It does not wait for what has to be read from a file first. */
	while (madvise(p, 2 * MB, MADV_COLLAPSE) && errno == EAGAIN)
		;
	CHECK_MEM(p, copy + (p - mem), 2 * MB);
}

static void populate_check(enum cr_phase phase)
{
	if (!is_lazy(phase))
		return;
	NEED(!madvise(mem, MB, MADV_POPULATE_READ));
	NEED(!madvise(mem + MB, MB, MADV_POPULATE_WRITE));
	NEED(!mlock(mem + 2 * MB, MB));
	CHECK_EQ(unread(mem, 3 * MB), 0);
	CHECK_PATTERN(mem, LEN, SEED);
}

static void reader(void *arg)
{
	unsigned char *copy = anon(MB);
	struct iovec to = { copy, MB }, from = { mem, MB };

	CHECK_EQ(process_vm_readv(getppid(), &to, 1, &from, 1, 0), MB);
	CHECK_PATTERN(copy, MB, SEED);
	cr_pattern(copy, MB, SEED + 5);
	CHECK_EQ(process_vm_writev(getppid(), &to, 1, &from, 1, 0), MB);
}

static void gup_check(enum cr_phase phase)
{
	unsigned char *copy;
	int fd, flags;

	if (!is_lazy(phase))
		return;
	cr_reap(cr_fork(reader, NULL), 0);
	CHECK_PATTERN(mem, MB, SEED + 5);
	cr_pattern(mem, MB, SEED);

	copy = anon(MB);
	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	NEED(fd >= 0);
	CHECK_EQ(pread(fd, copy, MB, (uintptr_t)mem + MB), MB);
	CHECK_MEM(copy, mem + MB, MB);
	CHECK_EQ(unread(mem + 2 * MB, 2 * MB), 2 * MB / page_size);
	close(fd);
	CHECK_PATTERN(mem, LEN / 2, SEED);

	for (flags = 0; flags <= O_DIRECT; flags += O_DIRECT) {
		unsigned char *p = mem + (flags ? 3 : 2) * MB;

		fd = open(cr_path("data"),
			  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0600);
		if (fd < 0 && flags && errno == EINVAL)
			break;
		NEED(fd >= 0);
		/* Some may have come with what stands beside it. */
		CHECK_EQ(unread(p + MB / 4, MB / 2), MB / 2 / page_size);
		CHECK_EQ(pwrite(fd, p, MB / 2, 0), MB / 2);
		CHECK_EQ(pread(fd, p + MB / 2, MB / 2, 0), MB / 2);
		CHECK_MEM(p, p + MB / 2, MB / 2);
		close(fd);
	}
}

/* Pages that cannot be read are as those of a file that cannot. */
static void damage_check(enum cr_phase phase)
{
	unsigned char byte;
	struct iovec to = { &byte, 1 }, from = { TRAP + TRAP_AT, 1 };
	int fds[2];

	if (!is_lazy(phase))
		return;
	CHECK_EQ(signal_of(TRAP + TRAP_AT, false), SIGBUS);
	CHECK_EQ(signal_of(TRAP + TRAP_AT, true), SIGBUS);
	CHECK_EQ(process_vm_readv(getpid(), &to, 1, &from, 1, 0), -1);
	CHECK_EQ(errno, EFAULT);
	NEED(!pipe(fds));
	CHECK_EQ(write(fds[1], TRAP + TRAP_AT, 1), -1);
	CHECK_EQ(errno, EFAULT);
	close(fds[0]);
	close(fds[1]);
	CHECK_EQ(madvise(TRAP + TRAP_AT, page_size, MADV_POPULATE_READ), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_PATTERN(mem, LEN, SEED);
	/* What is not read is not missed. */
	NEED(!madvise(TRAP + TRAP_AT, page_size, MADV_DONTNEED));
	CHECK(is_zero(TRAP + TRAP_AT, page_size));
}

static void private_setup(void)
{
	int fd = open(cr_path("mapped"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unsigned char *data = anon(LEN);

	page_size = sysconf(_SC_PAGESIZE);
	NEED(fd >= 0);
	set_trap();
	cr_pattern(data, LEN, SEED + 7);
	NEED(write(fd, data, LEN) == LEN);
	mem = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	NEED(mem != MAP_FAILED);
	cr_pattern(mem, LEN, SEED);
	close(fd);
	munmap(data, LEN);
}

static void private_check(enum cr_phase phase)
{
	unsigned char *data;
	int fd;

	if (!is_lazy(phase))
		return;
	data = anon(LEN);
	cr_pattern(data, LEN, SEED + 7);
	NEED(!madvise(mem, MB, MADV_DONTNEED));
	CHECK_MEM(mem, data, MB);
	CHECK_EQ(unread(mem + MB, LEN - MB), (LEN - MB) / page_size);
	fd = open(cr_path("mapped"), O_RDWR | O_CLOEXEC);
	NEED(fd >= 0);
	/* What the file no longer has is lost, also where it was changed. */
	NEED(!ftruncate(fd, 2 * MB));
	CHECK_EQ(signal_of(mem + 3 * MB, false), SIGBUS);
	cr_pattern(data, LEN, SEED);
	CHECK_MEM(mem + MB, data + MB, MB);
	close(fd);
}

static void locked_setup(void)
{
	setup();
	NEED(!mlock(mem, MB));
}

static void locked_check(enum cr_phase phase)
{
	CHECK_EQ(unread(mem, MB), 0);
	if (phase == CR_AGAIN)
		CHECK_EQ(unread(mem + 2 * MB, MB), MB / page_size);
	CHECK_PATTERN(mem, LEN, SEED);
}

static void userfault_check(enum cr_phase phase)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)mem, MB },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy copy = { .dst = (uintptr_t)mem, .len = page_size };
	struct uffdio_zeropage zero = { .range = { (uintptr_t)mem, page_size } };
	struct uffdio_writeprotect wp = { .range = { (uintptr_t)mem, MB } };
	int fd;

	if (!is_lazy(phase))
		return;
	fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	NEED(fd >= 0);
	NEED(!ioctl(fd, UFFDIO_API, &api));
	NEED(!ioctl(fd, UFFDIO_REGISTER, &reg));
	copy.src = (uintptr_t)anon(page_size);
	*(char *)copy.src = 1;
	CHECK_EQ(ioctl(fd, UFFDIO_COPY, &copy), -1);
	CHECK_EQ(errno, EEXIST);
	CHECK_EQ(ioctl(fd, UFFDIO_ZEROPAGE, &zero), -1);
	CHECK_EQ(errno, EEXIST);
	CHECK_EQ(unread(mem, MB), MB / page_size);
	/* It is no miss: nobody else would have the content. */
	CHECK_PATTERN(mem, MB / 4, SEED);
	NEED(!ioctl(fd, UFFDIO_UNREGISTER, &reg.range));

	reg.mode = UFFDIO_REGISTER_MODE_WP;
	if (!ioctl(fd, UFFDIO_REGISTER, &reg)) {
		wp.mode = UFFDIO_WRITEPROTECT_MODE_WP;
		NEED(!ioctl(fd, UFFDIO_WRITEPROTECT, &wp));
		CHECK(unread(mem, MB) > 0);
		wp.mode = 0;
		NEED(!ioctl(fd, UFFDIO_WRITEPROTECT, &wp));
		NEED(!ioctl(fd, UFFDIO_UNREGISTER, &reg.range));
	}
	close(fd);
	CHECK_PATTERN(mem, LEN, SEED);
}

/* Changes one byte of the page with the mark, in the file. */
static bool damage(struct cr_run *run, const char *image)
{
	char path[128], page[4096];
	off_t at;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", run->dir, image);
	fd = open(path, O_RDWR | O_CLOEXEC);
	for (at = 0; pread(fd, page, sizeof(page), at) == sizeof(page);
	     at += sizeof(page)) {
		if (memcmp(page, trap_mark, sizeof(trap_mark)))
			continue;
		page[100] ^= 1;
		if (pwrite(fd, page + 100, 1, at + 100) != 1)
			break;
		/* Where there is a disk, it is read from there. */
		fsync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
		return true;
	}
	cr_failed(run, "no page to change in the image");
	close(fd);
	return false;
}

static bool restart_damaged(struct cr_run *run)
{
	return cr_start(run) && cr_check(run, CR_BEFORE) &&
		cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
		cr_none_left(run) && damage(run, "image") &&
		cr_restart(run, "image", RESTART_LAZY);
}

static void drive(struct cr_run *run)
{
	(void)(restart_damaged(run) && cr_check(run, CR_AGAIN) &&
	       cr_kill(run) && cr_image_is_free(run, "image"));
}

/* It ends without having touched anything. */
static void drive_kill(struct cr_run *run)
{
	(void)(restart_damaged(run) && cr_kill(run) &&
	       cr_image_is_free(run, "image"));
}

/* As for a damaged image, a restart that reads everything fails. */
static void drive_eager(struct cr_run *run)
{
	long ret;

	if (!restart_damaged(run) || !cr_kill(run))
		return;
	ret = cr_try_restart(run, "image", 0);
	if (ret != -EBADMSG)
		cr_failed(run, "restart from a damaged image: %ld", ret);
	cr_none_left(run);
}

/*
 * Saved again while not all is there, also from a duplicate; what cannot be
 * read cannot be saved.
 */
static void drive_again(struct cr_run *run)
{
	unsigned long long end = cr_now_ns() + 1000000000ULL;
	long ret;

	if (!restart_damaged(run))
		return;
	do {
		ret = cr_try_checkpoint(run, "second", 0);
	} while (ret == -EBUSY && cr_now_ns() < end && !usleep(1000));
	if (ret != -EFAULT)
		cr_failed(run, "checkpoint of what cannot be read: %ld", ret);
	/* The check gives the page up. */
	if (!cr_kill(run) || !cr_restart(run, "image", RESTART_LAZY) ||
	    !cr_check(run, CR_AFTER) ||
	    !cr_checkpoint(run, "second", CHECKPOINT_COW) ||
	    !cr_checkpoint(run, "third", 0) ||
	    !cr_check(run, CR_AGAIN) || !cr_kill(run) ||
	    !cr_image_is_free(run, "image") ||
	    !cr_restart(run, "second", 0) || !cr_check(run, CR_AGAIN) ||
	    !cr_kill(run) || !cr_image_is_free(run, "second"))
		return;
	(void)(cr_restart(run, "third", RESTART_LAZY) &&
	       cr_check(run, CR_AGAIN) && cr_kill(run) &&
	       cr_image_is_free(run, "third"));
}

static void again_check(enum cr_phase phase)
{
	if (phase == CR_AFTER) {
		CHECK_EQ(unread(mem, LEN), LEN / page_size);
		NEED(!munmap(TRAP, TRAP_LEN));
		return;
	}
	CHECK_PATTERN(mem - 2 * MB, 2 * MB, SEED);
	CHECK_PATTERN(mem, LEN, SEED);
}

/* All is brought in soon, touched or not, and the image is no longer needed. */
static void drive_all(struct cr_run *run)
{
	(void)(cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
	       cr_none_left(run) && cr_restart(run, "image", RESTART_LAZY) &&
	       cr_image_is_free(run, "image") && cr_check(run, CR_AGAIN));
}

static void all_check(enum cr_phase phase)
{
	CHECK_EQ(unread(TRAP, TRAP_LEN), 0);
	CHECK_EQ(unread(mem, LEN), 0);
	CHECK_PATTERN(mem, LEN, SEED);
}

static void drive_truncated(struct cr_run *run)
{
	char path[128];
	bool ok;

	ok = restart_damaged(run);
	snprintf(path, sizeof(path), "%s/image", run->dir);
	if (!ok || truncate(path, 4096)) {
		cr_failed(run, "no image to truncate");
		return;
	}
	/* The program itself may not survive that; nothing else happens. */
	cr_msleep(50);
	(void)(cr_kill(run) && cr_image_is_free(run, "image"));
}

/* A pipe cannot be read twice. */
static void drive_pipe(struct cr_run *run)
{
	char path[128], log[256] = "";
	int fds[2], fd, logfd;
	char buf[65536];
	ssize_t n;
	long ret;
	pid_t pid;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) || !cr_none_left(run))
		return;
	snprintf(path, sizeof(path), "%s/image", run->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/pipe.log", run->dir);
	logfd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (pipe(fds)) {
		cr_failed(run, "no pipe");
		return;
	}
	pid = fork();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		close(fds[0]);
		while ((n = read(fd, buf, sizeof(buf))) > 0 &&
		       write(fds[1], buf, n) == n)
			;
		_exit(0);
	}
	close(fds[1]);
	ret = sys_restart(0, fds[0], RESTART_LAZY, logfd);
	if (ret != -1 || errno != ESPIPE)
		cr_failed(run, "restart from a pipe: %ld (%s)", ret,
			  strerror(errno));
	close(fds[0]);
	if (pread(logfd, log, sizeof(log) - 1, 0) <= 0 ||
	    !strstr(log, "regular file"))
		cr_failed(run, "the log says: %s", log);
	close(logfd);
	close(fd);
	waitpid(pid, NULL, 0);
	cr_none_left(run);
}

#define LAZY(n, c) \
	{ .name = "lazy." n, .modes = CR_TREE, .setup = setup, .check = c, \
	  .drive = drive }

static const struct cr_scenario scenarios[] = {
	LAZY("touch", touch_check),
	LAZY("fork", fork_check),
	LAZY("exec", exec_check),
	LAZY("mremap", mremap_check),
	LAZY("munmap", munmap_check),
	LAZY("mprotect", mprotect_check),
	LAZY("madvise", madvise_check),
	LAZY("collapse", collapse_check),
	LAZY("populate", populate_check),
	LAZY("gup", gup_check),
	LAZY("damage", damage_check),
	LAZY("userfault", userfault_check),
	{ .name = "lazy.private_file", .modes = CR_TREE, .setup = private_setup,
	  .check = private_check, .drive = drive },
	{ .name = "lazy.locked", .modes = CR_TREE, .setup = locked_setup,
	  .check = locked_check, .drive = drive },
	{ .name = "lazy.kill", .modes = CR_TREE, .setup = setup,
	  .check = touch_check, .drive = drive_kill },
	{ .name = "lazy.eager", .modes = CR_SUBTREE, .setup = setup,
	  .check = touch_check, .drive = drive_eager },
	{ .name = "lazy.again", .modes = CR_TREE, .setup = setup,
	  .check = again_check, .drive = drive_again },
	{ .name = "lazy.all", .modes = CR_TREE, .setup = setup,
	  .check = all_check, .drive = drive_all },
	{ .name = "lazy.truncated", .modes = CR_SUBTREE, .setup = setup,
	  .check = touch_check, .drive = drive_truncated },
	{ .name = "lazy.pipe", .modes = CR_SUBTREE, .setup = setup,
	  .check = touch_check, .drive = drive_pipe },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
