// SPDX-License-Identifier: GPL-2.0
/* Address spaces: what is mapped, how, with which contents, shared by whom. */
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "cr.h"

#define MB	(1024 * 1024UL)

static size_t page_size;

static unsigned char *map(size_t len, int prot, int flags, int fd)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	NEED(p != MAP_FAILED);
	return p;
}

static unsigned char *anon(size_t len)
{
	return map(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1);
}

static bool is_zero(const unsigned char *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

/*
 * Whether the kernel would let this process read or write there, found with a
 * system call that fails where an access would be fatal.
 */
static bool readable(const void *p)
{
	int fds[2];
	bool ok;

	NEED(!pipe(fds));
	ok = write(fds[1], p, 1) == 1;
	CHECK(ok || errno == EFAULT);
	close(fds[0]);
	close(fds[1]);
	return ok;
}

static bool writable(void *p, unsigned char value)
{
	int fds[2];
	bool ok;

	NEED(!pipe(fds));
	NEED(write(fds[1], &value, 1) == 1);
	ok = read(fds[0], p, 1) == 1;
	CHECK(ok || errno == EFAULT);
	close(fds[0]);
	close(fds[1]);
	return ok;
}

static bool smaps_line(const void *addr, const char *key, char *line,
		       size_t size)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool inside = false, found = false;

	NEED(file);
	while (!found && fgets(line, size, file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)addr >= start &&
				 (uintptr_t)addr < end;
		else if (inside && !strncmp(line, key, strlen(key)))
			found = true;
	}
	fclose(file);
	return found;
}

static unsigned char *mem;

/* Every third page of 4 MB is written, the others stay as they came. */
static void anonymous_setup(void)
{
	size_t i;

	mem = anon(4 * MB);
	for (i = 0; i < 4 * MB / page_size; i += 3)
		cr_pattern(mem + i * page_size, page_size, i);
}

static void anonymous_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 4 * MB / page_size; i++) {
		if (i % 3 == 0)
			CHECK_PATTERN(mem + i * page_size, page_size, i);
		else if (phase == CR_AGAIN)
			CHECK(is_zero(mem + i * page_size, page_size));
	}
}

static size_t resident(void)
{
	char buf[128];
	unsigned long size, pages;

	NEED(cr_slurp("/proc/self/statm", buf, sizeof(buf)) > 0);
	NEED(sscanf(buf, "%lu %lu", &size, &pages) == 2);
	return pages * page_size;
}

/* Of a gigabyte three pages are used: no more comes into being. */
static void sparse_setup(void)
{
	mem = map(1024 * MB, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	NEED(!madvise(mem, 1024 * MB, MADV_NOHUGEPAGE));
	cr_pattern(mem, page_size, 1);
	cr_pattern(mem + 500 * MB, page_size, 2);
	cr_pattern(mem + 1024 * MB - page_size, page_size, 3);
}

static void sparse_check(enum cr_phase phase)
{
	CHECK_PATTERN(mem, page_size, 1);
	CHECK_PATTERN(mem + 500 * MB, page_size, 2);
	CHECK_PATTERN(mem + 1024 * MB - page_size, page_size, 3);
	CHECK(resident() < 16 * MB);
}

static unsigned char *none, *rdonly;

static void protections_setup(void)
{
	none = anon(MB);
	rdonly = anon(MB);
	cr_pattern(none, MB, 4);
	cr_pattern(rdonly, MB, 5);
	NEED(!mprotect(none, MB, PROT_NONE));
	NEED(!mprotect(rdonly, MB, PROT_READ));
	mem = anon(MB);
	NEED(!mprotect(mem + page_size, page_size, PROT_NONE));
	NEED(!mprotect(mem + 3 * page_size, page_size, PROT_READ));
}

static void protections_check(enum cr_phase phase)
{
	size_t i;

	CHECK(!readable(none));
	CHECK(!writable(none, 0));
	NEED(!mprotect(none, MB, PROT_READ));
	CHECK_PATTERN(none, MB, 4);
	NEED(!mprotect(none, MB, PROT_NONE));

	CHECK(readable(rdonly));
	CHECK(!writable(rdonly, 0));
	CHECK_PATTERN(rdonly, MB, 5);
	NEED(!mprotect(rdonly, MB, PROT_READ | PROT_WRITE));
	CHECK(writable(rdonly, rdonly[0]));
	NEED(!mprotect(rdonly, MB, PROT_READ));

	for (i = 0; i < 6; i++) {
		CHECK_EQ(readable(mem + i * page_size), i != 1);
		CHECK_EQ(writable(mem + i * page_size, 0), i != 1 && i != 3);
	}
}

/* Instructions that the process wrote itself. */
#if defined(__x86_64__)
static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 };
#endif

static void code_setup(void)
{
#if defined(__x86_64__)
	mem = anon(page_size);
	memcpy(mem, code, sizeof(code));
	NEED(!mprotect(mem, page_size, PROT_READ | PROT_EXEC));
#else
	cr_skip("no instructions for this architecture");
#endif
}

static void code_check(enum cr_phase phase)
{
	CHECK_EQ(((int (*)(void))mem)(), 42);
	CHECK(!writable(mem, 0));
}

static unsigned char *heap_start, *heap_end;

static void heap_setup(void)
{
	heap_start = sbrk(MB);
	heap_end = sbrk(0);
	cr_pattern(heap_start, MB, 6);
}

static void heap_check(enum cr_phase phase)
{
	CHECK_EQ((uintptr_t)sbrk(0), (uintptr_t)heap_end);
	CHECK_PATTERN(heap_start, MB, 6);
	CHECK_EQ((uintptr_t)sbrk(2 * MB), (uintptr_t)heap_end);
	CHECK(is_zero(heap_end, 2 * MB));
	cr_pattern(heap_end, 2 * MB, 7);
	CHECK_PATTERN(heap_end, 2 * MB, 7);
	CHECK_EQ((uintptr_t)sbrk(-2 * (long)MB),
		 (uintptr_t)heap_end + 2 * MB);
	CHECK_PATTERN(heap_start, MB, 6);
}

/* Each look goes deeper down the stack than all before it. */
static __attribute_noinline__ unsigned char dive(size_t pages)
{
	unsigned char frame[4096];

	cr_pattern(frame, sizeof(frame), pages);
	if (pages && dive(pages - 1) != 1)
		return 0;
	return cr_pattern_differs(frame, sizeof(frame), pages) ==
	       sizeof(frame);
}

static void stack_setup(void)
{
	CHECK_EQ(dive(20), 1);
}

static void stack_check(enum cr_phase phase)
{
	CHECK_EQ(dive(100 + 100 * phase), 1);
}

/* A file of 16 pages and a half, mapped, of which two pages are modified. */
#define FILE_PAGES	16

static size_t file_len;
static unsigned char *page;

static int make_file(void)
{
	int fd = open(cr_path("data"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	NEED(fd >= 0);
	file_len = FILE_PAGES * page_size + page_size / 2;
	page = anon(file_len);
	cr_pattern(page, file_len, 8);
	NEED(write(fd, page, file_len) == (ssize_t)file_len);
	return fd;
}

static void private_file_setup(void)
{
	int fd = make_file();

	mem = map(file_len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	NEED(!close(fd));
	cr_pattern(mem + 3 * page_size, page_size, 9);
	cr_pattern(mem + FILE_PAGES * page_size, page_size / 2, 10);
	/* Beyond the end of the file the last page is ours alone. */
	mem[file_len + 10] = 0xab;
}

static void private_file_check(enum cr_phase phase)
{
	unsigned char x = 0x40 + phase;
	int fd;

	CHECK_MEM(mem + page_size, page + page_size, 2 * page_size);
	CHECK_PATTERN(mem + 3 * page_size, page_size, 9);
	CHECK_MEM(mem + 4 * page_size, page + 4 * page_size,
		  (FILE_PAGES - 4) * page_size);
	CHECK_PATTERN(mem + FILE_PAGES * page_size, page_size / 2, 10);
	CHECK_EQ(mem[file_len + 10], 0xab);

	/* The file does not have what was written to the memory ... */
	fd = open(cr_path("data"), O_RDWR);
	NEED(fd >= 0);
	NEED(pread(fd, page, page_size, 3 * page_size) == (ssize_t)page_size);
	CHECK(cr_pattern_differs(page, page_size, 9) < page_size);
	/* ... and pages that were not modified still are the file's. */
	NEED(pwrite(fd, &x, 1, 5) == 1);
	CHECK_EQ(mem[5], x);
	close(fd);
}

struct both {
	int turn;
	unsigned char *mem;
};

static void shared_file_setup(void)
{
	int fd = make_file();

	mem = map(file_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	NEED(!close(fd));
	cr_pattern(mem + 2 * page_size, page_size, 11);
}

static void shared_file_check(enum cr_phase phase)
{
	int fd = open(cr_path("data"), O_RDWR);
	unsigned char x;

	NEED(fd >= 0);
	CHECK_PATTERN(mem + 2 * page_size, page_size, 11);
	mem[7] = 0x10 + phase;
	CHECK_EQ(pread(fd, &x, 1, 7), 1);
	CHECK_EQ(x, 0x10 + phase);
	x = 0x20 + phase;
	CHECK_EQ(pwrite(fd, &x, 1, page_size + 1), 1);
	CHECK_EQ(mem[page_size + 1], 0x20 + phase);
	CHECK_EQ(msync(mem, page_size, MS_SYNC), 0);
	close(fd);
}

/* A child that adds one to the byte each time that it has the turn. */
static struct both *both;

static void adder(void *arg)
{
	for (;;) {
		if (cr_get(&both->turn) == 1) {
			(*both->mem)++;
			cr_set(&both->turn, 0);
		}
		cr_msleep(2);
	}
}

static void check_adder(bool together, unsigned char value)
{
	*both->mem = value;
	cr_set(&both->turn, 1);
	cr_await(&both->turn, 0);
	CHECK_EQ(*both->mem, together ? value + 1 : value);
}

static void file_by_two_setup(void)
{
	int fd = make_file();

	both = cr_shared(sizeof(*both));
	both->mem = map(file_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	NEED(!close(fd));
	cr_fork(adder, NULL);
}

static void by_two_check(enum cr_phase phase)
{
	check_adder(true, 5 * phase);
	check_adder(true, 5 * phase + 100);
}

static void readonly_file_setup(void)
{
	int fd;

	close(make_file());
	fd = open(cr_path("data"), O_RDONLY);
	NEED(fd >= 0);
	mem = map(file_len, PROT_READ, MAP_SHARED, fd);
	NEED(!close(fd));
}

static void readonly_file_check(enum cr_phase phase)
{
	CHECK_MEM(mem, page, file_len);
	/* It was opened for reading: it cannot become writable now. */
	CHECK_EQ(mprotect(mem, page_size, PROT_READ | PROT_WRITE), -1);
	CHECK_EQ(errno, EACCES);
}

/* Part of a file, at an offset, twice. */
static unsigned char *window[2];

static void offset_file_setup(void)
{
	int fd = make_file();
	size_t i;

	for (i = 0; i < 2; i++) {
		window[i] = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
				 MAP_SHARED, fd, (5 + i) * page_size);
		NEED(window[i] != MAP_FAILED);
	}
	NEED(!close(fd));
}

static void offset_file_check(enum cr_phase phase)
{
	CHECK_MEM(window[0] + 1, page + 5 * page_size + 1, page_size - 1);
	CHECK_MEM(window[1] + 1, page + 6 * page_size + 1, page_size - 1);
	window[0][page_size] = phase;
	CHECK_EQ(window[1][0], phase);
	window[1][0] = phase + 100;
	CHECK_EQ(window[0][page_size], phase + 100);
}

static void shared_anon_setup(void)
{
	both = cr_shared(sizeof(*both));
	both->mem = cr_shared(2 * MB);
	cr_pattern(both->mem + 1, 2 * MB - 1, 12);
	cr_fork(adder, NULL);
}

static void shared_anon_check(enum cr_phase phase)
{
	CHECK_PATTERN(both->mem + 1, 2 * MB - 1, 12);
	by_two_check(phase);
}

/* One of them shows read-only what the other one writes. */
/* Somebody outside of the tree writes to it all the time. */
static int write_outside(void *arg)
{
	uint64_t turn;
	size_t i;

	alarm(20);
	for (turn = 2;; turn++)
		for (i = 0; i < 4 * MB; i += 512)
			__atomic_store_n((uint64_t *)(mem + i), turn, __ATOMIC_RELAXED);
}

static void outside_setup(int share)
{
	unsigned char *stack = anon(MB);
	size_t i;

	for (i = 0; i < 4 * MB; i += 512)
		__atomic_store_n((uint64_t *)(mem + i), 1, __ATOMIC_RELAXED);
	NEED(clone(write_outside, stack + MB, share | CLONE_PARENT | SIGCHLD,
		   NULL) > 0);
}

static void shared_outside_setup(void)
{
	mem = cr_shared(4 * MB);
	outside_setup(0);
}

static void private_outside_setup(void)
{
	mem = anon(4 * MB);
	outside_setup(CLONE_VM);
}

static void outside_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 4 * MB; i += 512)
		CHECK(__atomic_load_n((uint64_t *)(mem + i), __ATOMIC_RELAXED) >= 1);
}

static void shared_alias_setup(void)
{
	mem = cr_shared(MB);
	cr_pattern(mem, MB, 13);
	window[0] = mremap(mem, 0, MB, MREMAP_MAYMOVE);
	NEED(window[0] != MAP_FAILED);
	NEED(!mprotect(window[0], MB, PROT_READ));
}

static void shared_alias_check(enum cr_phase phase)
{
	CHECK_MEM(window[0], mem, MB);
	mem[9] = 0x30 + phase;
	CHECK_EQ(window[0][9], 0x30 + phase);
	CHECK(!writable(window[0] + 9, 0));
	cr_pattern(mem, MB, 13);
}

/* What two processes have from one page is two pages as soon as one writes. */
static void copy_on_write_setup(void)
{
	both = cr_shared(sizeof(*both));
	both->mem = anon(MB);
	cr_pattern(both->mem + page_size, MB - page_size, 14);
	cr_fork(adder, NULL);
	check_adder(false, 1);
}

static void copy_on_write_check(enum cr_phase phase)
{
	check_adder(false, 2 + phase);
	CHECK_PATTERN(both->mem + page_size, MB - page_size, 14);
}

static void size_drive(struct cr_run *run)
{
	cr_drive_small(run, 10 * MB);
}

/*
 * A family, each with memory of its own and some that was there before fork(2):
 * more than one processor has something to read.
 */
#define FAMILY		6
#define OWN		(3 * MB + 5 * page_size)

static struct family {
	unsigned char *mem;
	int ask;
	int good[FAMILY];
} *family;

static void be_member(void *arg)
{
	int i = (intptr_t)arg, asked = 0;

	cr_pattern(family->mem + i * OWN, OWN, 100 + i);
	for (;;) {
		size_t len = FAMILY * OWN - i * OWN;
		bool good;

		good = cr_pattern_differs(family->mem + i * OWN, OWN, 100 + i) ==
			OWN &&
		       is_zero(family->mem + (i + 1) * OWN, len - OWN);
		cr_set(&family->good[i], good ? ++asked : -1);
		cr_await(&family->ask, asked);
	}
}

static void family_setup(void)
{
	intptr_t i;

	family = cr_shared(sizeof(*family));
	family->mem = anon((FAMILY + 1) * OWN);
	cr_pattern(family->mem + FAMILY * OWN, OWN, 99);
	for (i = 0; i < FAMILY; i++) {
		cr_fork(be_member, (void *)i);
		cr_await(&family->good[i], 1);
	}
}

static void family_check(enum cr_phase phase)
{
	int i;

	cr_set(&family->ask, family->ask + 1);
	CHECK_PATTERN(family->mem + FAMILY * OWN, OWN, 99);
	for (i = 0; i < FAMILY; i++)
		cr_await(&family->good[i], family->ask + 1);
}

/* Of an image on a disk some pages are in memory, and others are not. */
#define DISK_IMAGE	"/var/tmp/cr-image"

static void disk_image_drive(struct cr_run *run)
{
	char path[256], buf[65536];
	int from, to;
	ssize_t n;
	off_t i;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	snprintf(path, sizeof(path), "%s/image", run->dir);
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = open(DISK_IMAGE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, n) != n)
			break;
	if (n || fsync(to) || unlink(path) || symlink(DISK_IMAGE, path))
		cr_failed(run, "no image on the disk: %s", strerror(errno));
	for (i = 0; i < lseek(to, 0, SEEK_END); i += 2 * MB)
		posix_fadvise(to, i, MB, POSIX_FADV_DONTNEED);
	if (!run->failed && cr_restart(run, "image", 0))
		cr_check(run, CR_AGAIN);
	close(from);
	close(to);
	unlink(DISK_IMAGE);
}

/* All mappings, line by line: addresses, rights, offsets, files, names. */
static char maps_was[65536], maps_is[65536];

static void maps_setup(void)
{
	int fd = make_file();

	anon(3 * page_size);
	none = anon(9 * page_size);
	NEED(!mprotect(none + page_size, page_size, PROT_NONE));
	NEED(!mprotect(none + 4 * page_size, page_size, PROT_READ));
	NEED(!mprotect(none + 6 * page_size, page_size,
		       PROT_READ | PROT_WRITE | PROT_EXEC));
	NEED(!munmap(none + 8 * page_size, page_size));
	map(4 * page_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
	NEED(mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd,
		  3 * page_size) != MAP_FAILED);
	NEED(mmap(NULL, page_size, PROT_READ, MAP_PRIVATE, fd,
		  7 * page_size) != MAP_FAILED);
	NEED(mmap((void *)0x10000000, page_size, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		  -1, 0) != MAP_FAILED);
	NEED(!close(fd));
	sbrk(5 * page_size);
	/* What comes and goes by itself is there before the first look. */
	dive(40);
	NEED(cr_slurp("/proc/self/maps", maps_was, sizeof(maps_was)) > 0);
}

static void maps_check(enum cr_phase phase)
{
	char *was = maps_was, *is = maps_is;
	int n, m;

	CHECK(cr_slurp("/proc/self/maps", maps_is, sizeof(maps_is)) > 0);
	while (*was && *is) {
		n = strcspn(was, "\n");
		m = strcspn(is, "\n");
		if (n != m || memcmp(was, is, n)) {
			cr_note(__FILE__, __LINE__, "'%.*s' is '%.*s'", n, was,
				m, is);
			return;
		}
		was += n + 1;
		is += m + 1;
	}
	if (*was || *is)
		cr_note(__FILE__, __LINE__, "%s is %s", *was ? "gone" : "new",
			*was ? was : is);
}

/* The flags of mappings, as smaps shows them. */
static const struct {
	int advice;
	const char *flag;
} advices[] = {
	{ MADV_SEQUENTIAL, " sr" },
	{ MADV_RANDOM, " rr" },
	{ MADV_DONTFORK, " dc" },
	{ MADV_DONTDUMP, " dd" },
	{ MADV_WIPEONFORK, " wf" },
};

static unsigned char *advised[ARRAY_SIZE(advices)];

static void advice_setup(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		advised[i] = anon(page_size);
		cr_pattern(advised[i], page_size, i);
		NEED(!madvise(advised[i], page_size, advices[i].advice));
	}
}

static void advice_check(enum cr_phase phase)
{
	char line[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		CHECK_PATTERN(advised[i], page_size, i);
		CHECK(smaps_line(advised[i], "VmFlags:", line, sizeof(line)));
		if (!strstr(line, advices[i].flag))
			cr_note(__FILE__, __LINE__, "no%s in %s",
				advices[i].flag, line);
	}
}

static void locked_setup(void)
{
	mem = anon(16 * 4096);
	NEED(!mlock(mem, 16 * 4096));
	cr_pattern(mem, 16 * 4096, 15);
}

static void locked_check(enum cr_phase phase)
{
	static char buf[8192];
	char line[512], *p;

	CHECK_PATTERN(mem, 16 * 4096, 15);
	CHECK(smaps_line(mem, "VmFlags:", line, sizeof(line)));
	CHECK(strstr(line, " lo"));
	CHECK(smaps_line(mem, "Locked:", line, sizeof(line)));
	CHECK_EQ(atoi(line + strlen("Locked:")), 64);
	CHECK(cr_slurp("/proc/self/status", buf, sizeof(buf)) > 0);
	p = strstr(buf, "VmLck:");
	CHECK(p && atoi(p + strlen("VmLck:")) == 64);
	if (phase == CR_AGAIN)
		CHECK_EQ(munlock(mem, 16 * 4096), 0);
}

static void huge_setup(void)
{
	unsigned char *start = anon(8 * MB);

	mem = (void *)(((uintptr_t)start + 2 * MB - 1) & -(2 * MB));
	if (madvise(mem, 4 * MB, MADV_HUGEPAGE))
		cr_skip("no transparent huge pages");
	cr_pattern(mem, 4 * MB, 16);
}

static void huge_check(enum cr_phase phase)
{
	char line[512];

	CHECK_PATTERN(mem, 4 * MB, 16);
	CHECK(smaps_line(mem, "VmFlags:", line, sizeof(line)));
	CHECK(strstr(line, " hg"));
}

/* The vdso is where it was, and its clocks agree with the kernel's. */
static unsigned long vdso;

static void vdso_setup(void)
{
	vdso = getauxval(AT_SYSINFO_EHDR);
	if (!vdso)
		cr_skip("no vdso");
}

static void vdso_check(enum cr_phase phase)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME };
	struct timespec low, mid, high;
	size_t i;
	int n;

	CHECK_MEM((void *)vdso, ELFMAG, SELFMAG);
	for (i = 0; i < ARRAY_SIZE(clocks); i++) {
		for (n = 0; n < 100; n++) {
			NEED(!syscall(SYS_clock_gettime, clocks[i], &low));
			CHECK_EQ(clock_gettime(clocks[i], &mid), 0);
			NEED(!syscall(SYS_clock_gettime, clocks[i], &high));
			CHECK(mid.tv_sec > low.tv_sec ||
			      (mid.tv_sec == low.tv_sec &&
			       mid.tv_nsec >= low.tv_nsec));
			CHECK(mid.tv_sec < high.tv_sec ||
			      (mid.tv_sec == high.tv_sec &&
			       mid.tv_nsec <= high.tv_nsec));
		}
	}
}

/* The monotonic clock never steps back, whatever happens in between. */
static unsigned long long last_ns;

static void monotonic_setup(void)
{
	last_ns = cr_now_ns();
}

static void monotonic_check(enum cr_phase phase)
{
	unsigned long long now = cr_now_ns();

	CHECK(now >= last_ns);
	/* Nor does it leap: no test takes that long. */
	CHECK(now < last_ns + 600 * 1000000000ULL);
	last_ns = now;
}

/* What the kernel knows of the layout, and what is read through it. */
static unsigned long long stat_was[52];
static char cmdline_was[256], environ_was[256], auxv_was[1024], exe_was[256];
static ssize_t cmdline_len, environ_len, auxv_len;

static void read_stat(unsigned long long *fields)
{
	static const char * const separators = "\n ";
	char buf[1024], *p;
	int i = 3;

	NEED(cr_slurp("/proc/self/stat", buf, sizeof(buf)) > 0);
	p = strrchr(buf, ')');
	NEED(p);
	for (p = strtok(p + 4, separators); p && i < 52;
	     p = strtok(NULL, separators))
		fields[i++] = strtoull(p, NULL, 10);
}

static void read_exe(char *buf, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", buf, size - 1);

	NEED(len > 0);
	buf[len] = '\0';
}

static void layout_setup(void)
{
	read_stat(stat_was);
	read_exe(exe_was, sizeof(exe_was));
	cmdline_len = cr_slurp("/proc/self/cmdline", cmdline_was,
			       sizeof(cmdline_was));
	environ_len = cr_slurp("/proc/self/environ", environ_was,
			       sizeof(environ_was));
	auxv_len = cr_slurp("/proc/self/auxv", auxv_was, sizeof(auxv_was));
	NEED(cmdline_len > 0 && environ_len > 0 && auxv_len > 0);
}

static void layout_check(enum cr_phase phase)
{
	/* As numbered in proc_pid_stat(5), less one. */
	static const struct {
		int field;
		const char *name;
	} fields[] = {
		{ 22, "vsize" },
		{ 25, "startcode" }, { 26, "endcode" }, { 27, "startstack" },
		{ 44, "start_data" }, { 45, "end_data" }, { 46, "start_brk" },
		{ 47, "arg_start" }, { 48, "arg_end" }, { 49, "env_start" },
		{ 50, "env_end" },
	};
	unsigned long long now[52];
	char buf[1024];
	size_t i;

	read_stat(now);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (now[fields[i].field] != stat_was[fields[i].field])
			cr_note(__FILE__, __LINE__, "%s is %#llx, not %#llx",
				fields[i].name, now[fields[i].field],
				stat_was[fields[i].field]);

	CHECK_EQ(cr_slurp("/proc/self/cmdline", buf, sizeof(buf)),
		 cmdline_len);
	CHECK_MEM(buf, cmdline_was, cmdline_len);
	CHECK_EQ(cr_slurp("/proc/self/environ", buf, sizeof(buf)),
		 environ_len);
	CHECK_MEM(buf, environ_was, environ_len);
	CHECK_EQ(cr_slurp("/proc/self/auxv", buf, sizeof(buf)), auxv_len);
	CHECK_MEM(buf, auxv_was, auxv_len);
	read_exe(buf, sizeof(buf));
	CHECK_STR(buf, exe_was);
}

static const struct cr_scenario scenarios[] = {
	{ "memory.anonymous", CR_ANY, anonymous_setup, anonymous_check },
	{ "memory.sparse", CR_ANY, sparse_setup, sparse_check },
	{ "memory.sparse_image", CR_TREE, sparse_setup, sparse_check,
	  .drive = size_drive },
	{ "memory.protections", CR_ANY, protections_setup,
	  protections_check },
	{ "memory.code", CR_ANY, code_setup, code_check },
	{ "memory.heap", CR_ANY, heap_setup, heap_check },
	{ "memory.stack_grows", CR_ANY, stack_setup, stack_check },
	{ "memory.private_file", CR_ANY, private_file_setup,
	  private_file_check },
	{ "memory.shared_file", CR_ANY, shared_file_setup,
	  shared_file_check },
	{ "memory.shared_file_by_two", CR_TREE, file_by_two_setup,
	  by_two_check },
	{ "memory.readonly_file", CR_ANY, readonly_file_setup,
	  readonly_file_check },
	{ "memory.file_at_offset", CR_ANY, offset_file_setup,
	  offset_file_check },
	{ "memory.shared_anonymous", CR_TREE, shared_anon_setup,
	  shared_anon_check },
	{ "memory.shared_outside", CR_SUBTREE, shared_outside_setup,
	  outside_check },
	{ "memory.private_outside", CR_SUBTREE, private_outside_setup,
	  outside_check },
	{ "memory.shared_alias", CR_ANY, shared_alias_setup,
	  shared_alias_check },
	{ "memory.copy_on_write", CR_TREE, copy_on_write_setup,
	  copy_on_write_check },
	{ "memory.family", CR_TREE, family_setup, family_check },
	{ "memory.image_on_disk", CR_SUBTREE, family_setup, family_check,
	  .drive = disk_image_drive },
	{ "memory.maps", CR_ANY, maps_setup, maps_check },
	{ "memory.advice", CR_ANY, advice_setup, advice_check },
	{ "memory.locked", CR_ANY, locked_setup, locked_check },
	{ "memory.huge_pages", CR_ANY, huge_setup, huge_check },
	{ "memory.layout", CR_ANY, layout_setup, layout_check },
	{ "clock.vdso", CR_ANY, vdso_setup, vdso_check },
	{ "clock.monotonic", CR_ANY, monotonic_setup, monotonic_check },
};

int main(int argc, char **argv)
{
	page_size = sysconf(_SC_PAGESIZE);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
