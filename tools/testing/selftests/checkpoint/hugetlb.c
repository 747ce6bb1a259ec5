// SPDX-License-Identifier: GPL-2.0
/*
 * Huge pages of their own (hugetlb): memory, memfds, SysV segments and files.
 *
 * The pool of huge pages is made larger for the time of the tests. Each of them
 * also compares how many pages are used and reserved, which must be the same
 * after a restart.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cr.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	0x0004U
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT	26
#endif

#define GB_SHIFT	30

/* Huge pages that the tests have. */
#define POOL	24

#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"
#define NR_GIGANTIC	"/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
#define MOUNT	"/tmp/cr-hugetlbfs"

static size_t page_size, huge;
static unsigned char *mem, *other;
static int fd = -1, id;
static long used_was, reserved_was;

struct both {
	int turn;
	int done;
};

static struct both *both;

static long number_in(const char *path)
{
	char buf[64];

	return cr_slurp(path, buf, sizeof(buf)) > 0 ? atol(buf) : -1;
}

static void set_number(const char *path, long number)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (dprintf(fd, "%ld\n", number) < 0)
		perror(path);
	close(fd);
}

static long pool_number(const char *name)
{
	static char buf[8192];
	const char *at;

	NEED(cr_slurp("/proc/meminfo", buf, sizeof(buf)) > 0);
	at = strstr(buf, name);
	return at ? atol(at + strlen(name)) : -1;
}

static long used_pages(void)
{
	return pool_number("HugePages_Total:") - pool_number("HugePages_Free:");
}

/* In a test, how many are used may change while the others look. */
static void note_pool(void)
{
	used_was = used_pages();
	reserved_was = pool_number("HugePages_Rsvd:");
}

/* The IPC namespace of a container that was killed goes some time later. */
static void check_pool(void)
{
	int i;

	for (i = 0; i < 1000 && (used_pages() != used_was ||
				 pool_number("HugePages_Rsvd:") != reserved_was); i++)
		cr_msleep(5);
	CHECK_EQ(used_pages(), used_was);
	CHECK_EQ(pool_number("HugePages_Rsvd:"), reserved_was);
}

static void need_pages(void)
{
	huge = pool_number("Hugepagesize:") * 1024;
	if (pool_number("Hugepagesize:") <= 0)
		cr_skip("no huge pages");
	if (pool_number("HugePages_Free:") - pool_number("HugePages_Rsvd:") < POOL)
		cr_skip("not enough memory for huge pages");
}

static unsigned char *map(size_t pages, int flags, int fd, size_t first)
{
	void *p = mmap(NULL, pages * huge, PROT_READ | PROT_WRITE, flags, fd,
		       first * huge);

	NEED(p != MAP_FAILED);
	return p;
}

static unsigned char *anon(size_t pages, int flags)
{
	need_pages();
	return map(pages, flags | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

static unsigned char *anon_all(size_t pages)
{
	return map(pages, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

/* Parts of a page, not all of it, so that zeros are around them. */
static void fill(unsigned char *p, unsigned int seed)
{
	cr_pattern(p, 3 * page_size, seed);
	cr_pattern(p + huge - page_size, page_size, seed + 100);
}

static void check_fill(const char *file, int line, const unsigned char *p,
		       unsigned int seed)
{
	size_t i;

	cr_check_pattern(file, line, "start", p, 3 * page_size, seed);
	cr_check_pattern(file, line, "end", p + huge - page_size, page_size,
			 seed + 100);
	for (i = 3 * page_size; i < huge - page_size; i += 512)
		if (p[i]) {
			cr_note(file, line, "byte %zu is %d", i, p[i]);
			return;
		}
}

#define CHECK_FILL(p, seed)	check_fill(__FILE__, __LINE__, p, seed)

/* Writes, and leaves everything as it was. */
static void poke(unsigned char *p)
{
	__atomic_fetch_xor(p, 1, __ATOMIC_RELAXED);
	__atomic_fetch_xor(p, 1, __ATOMIC_RELAXED);
}

static bool present(const void *p)
{
	unsigned char vec = 0;

	CHECK_EQ(mincore((void *)p, page_size, &vec), 0);
	return vec & 1;
}

/*
 * Written to, only read, never touched; and what may only be read, or not even
 * that, by now. A piece is missing in the middle.
 */
static void private_setup(void)
{
	mem = anon(7, MAP_PRIVATE);
	fill(mem, 1);
	NEED(!mem[huge]);
	fill(mem + 3 * huge, 2);
	fill(mem + 4 * huge, 3);
	NEED(!munmap(mem + 5 * huge, huge));
	fill(mem + 6 * huge, 4);
	NEED(!mprotect(mem + 3 * huge, huge, PROT_READ));
	NEED(!mprotect(mem + 4 * huge, huge, PROT_NONE));
	NEED(!madvise(mem + 6 * huge, huge, MADV_DONTFORK));
	note_pool();
}

static void private_check(enum cr_phase phase)
{
	check_pool();
	CHECK_FILL(mem, 1);
	CHECK(present(mem + huge));
	CHECK(!present(mem + 2 * huge));
	CHECK_FILL(mem + 3 * huge, 2);
	CHECK_EQ(mprotect(mem + 4 * huge, huge, PROT_READ), 0);
	CHECK_FILL(mem + 4 * huge, 3);
	CHECK_EQ(mprotect(mem + 4 * huge, huge, PROT_NONE), 0);
	CHECK_FILL(mem + 6 * huge, 4);
	/* It can be written to as before. */
	poke(mem);
	mem[huge] = phase;
	CHECK_EQ(mprotect(mem + 3 * huge, huge, PROT_READ | PROT_WRITE), 0);
	fill(mem + 3 * huge, 2);
	CHECK_EQ(mprotect(mem + 3 * huge, huge, PROT_READ), 0);
	check_pool();
}

static void noreserve_setup(void)
{
	mem = anon(4, MAP_PRIVATE | MAP_NORESERVE);
	other = anon(4, MAP_SHARED | MAP_NORESERVE);
	fill(mem + huge, 1);
	fill(other + 2 * huge, 2);
	note_pool();
}

static void noreserve_check(enum cr_phase phase)
{
	check_pool();
	CHECK(!present(mem));
	CHECK_FILL(mem + huge, 1);
	CHECK(!present(other));
	CHECK_FILL(other + 2 * huge, 2);
}

static void adder(void *arg)
{
	for (;;) {
		if (cr_get(&both->turn) == 1) {
			mem[5]++;
			cr_set(&both->turn, 0);
		}
		cr_msleep(2);
	}
}

/* Shared by two processes; one of them has it twice. */
static void shared_setup(void)
{
	both = cr_shared(sizeof(*both));
	mem = anon(4, MAP_SHARED);
	fill(mem + huge, 1);
	fill(mem + 3 * huge, 2);
	cr_fork(adder, NULL);
	NEED(!mprotect(mem + huge, huge, PROT_READ));
	NEED(!munmap(mem + 2 * huge, huge));
	mem[5] = 1;
	note_pool();
}

static void shared_check(enum cr_phase phase)
{
	check_pool();
	CHECK_FILL(mem + huge, 1);
	CHECK_FILL(mem + 3 * huge, 2);
	mem[5] = 10 * phase;
	cr_set(&both->turn, 1);
	cr_await(&both->turn, 0);
	CHECK_EQ(mem[5], 10 * phase + 1);
}

/*
 * What a child has inherited: one page that both still have, one that the child
 * has changed, one that the parent has. The child has nothing reserved.
 */
static void heir(void *arg)
{
	int turn = 0;

	fill(mem + huge, 20);
	cr_set(&both->done, 1);
	for (;;) {
		if (cr_get(&both->turn) != turn + 1) {
			cr_msleep(2);
			continue;
		}
		CHECK_FILL(mem, 1);
		CHECK_FILL(mem + huge, 20);
		CHECK_FILL(mem + 2 * huge, 3);
		CHECK(!present(mem + 3 * huge));
		turn++;
		cr_set(&both->done, turn + 1);
	}
}

static void fork_setup(void)
{
	both = cr_shared(sizeof(*both));
	mem = anon(5, MAP_PRIVATE);
	fill(mem, 1);
	fill(mem + huge, 2);
	fill(mem + 2 * huge, 3);
	cr_fork(heir, NULL);
	NEED(cr_await(&both->done, 1));
	fill(mem + 2 * huge, 30);
	fill(mem + 3 * huge, 4);
	note_pool();
}

static void fork_check(enum cr_phase phase)
{
	int turn = cr_get(&both->turn) + 1;

	check_pool();
	CHECK_FILL(mem, 1);
	CHECK_FILL(mem + huge, 2);
	CHECK_FILL(mem + 2 * huge, 30);
	CHECK_FILL(mem + 3 * huge, 4);
	CHECK(!present(mem + 4 * huge));
	cr_set(&both->turn, turn);
	cr_await(&both->done, turn + 1);
	check_pool();
}

/* With seals, a hole, and pages that are reserved and not mapped any more. */
static void memfd_setup(void)
{
	need_pages();
	fd = memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING);
	if (fd < 0 && cr_unsupported(errno))
		cr_skip("no memfds with huge pages");
	NEED(fd >= 0);
	NEED(!ftruncate(fd, 8 * huge));
	mem = map(4, MAP_SHARED, fd, 0);
	other = map(2, MAP_PRIVATE, fd, 0);
	fill(mem, 1);
	fill(mem + huge, 2);
	fill(other + huge, 3);
	NEED(!munmap(map(2, MAP_SHARED, fd, 4), 2 * huge));
	NEED(!fallocate(fd, 0, 7 * huge, huge));
	NEED(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	NEED(lseek(fd, 12345, SEEK_SET) == 12345);
	note_pool();
}

static void memfd_check(enum cr_phase phase)
{
	struct stat st;
	unsigned char *p;

	check_pool();
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 8 * huge);
	CHECK_EQ(st.st_blksize, huge);
	CHECK_EQ(st.st_blocks, 3 * huge / 512);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 12345);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	CHECK_FILL(mem, 1);
	CHECK_FILL(mem + huge, 2);
	CHECK_FILL(other, 1);
	CHECK_FILL(other + huge, 3);
	/* One that is there, but was never mapped. */
	p = map(1, MAP_SHARED, fd, 7);
	CHECK_EQ(p[9], 0);
	CHECK_EQ(munmap(p, huge), 0);
	/* What is written is seen by both, and by a descriptor. */
	mem[5] = phase;
	CHECK_EQ(other[5], phase);
	fill(mem, 1);
	check_pool();
}

static void sysv_setup(void)
{
	need_pages();
	id = shmget(0x4e6e, 3 * huge - 5, IPC_CREAT | SHM_HUGETLB | 0600);
	if (id < 0 && cr_unsupported(errno))
		cr_skip("no SysV shared memory");
	NEED(id >= 0);
	mem = shmat(id, NULL, 0);
	other = shmat(id, NULL, SHM_RDONLY);
	NEED(mem != (void *)-1 && other != (void *)-1);
	fill(mem + 2 * huge, 1);
	mem[0] = 1;
	note_pool();
}

static void sysv_check(enum cr_phase phase)
{
	struct shmid_ds ds;

	check_pool();
	CHECK_EQ(shmctl(id, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.shm_segsz, 3 * huge - 5);
	CHECK_EQ(ds.shm_nattch, 2);
	CHECK_FILL(other + 2 * huge, 1);
	mem[0] = phase;
	CHECK_EQ(other[0], phase);
}

/*
 * Files of a mount of hugetlbfs: one that has a name, whose changes in private
 * memory are its own; and one that has been deleted.
 */
static unsigned char *deleted;

static void file_setup(void)
{
	int second;

	need_pages();
	fd = open(MOUNT "/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		cr_skip("no hugetlbfs");
	mem = map(3, MAP_SHARED, fd, 0);
	other = map(3, MAP_PRIVATE, fd, 0);
	fill(mem, 1);
	fill(mem + huge, 2);
	fill(other + huge, 3);
	NEED(!mprotect(other + huge, huge, PROT_READ));
	second = open(MOUNT "/gone", O_RDWR | O_CREAT | O_TRUNC, 0600);
	NEED(second >= 0);
	deleted = map(2, MAP_SHARED, second, 0);
	fill(deleted, 4);
	NEED(!unlink(MOUNT "/gone"));
	NEED(!close(second));
	note_pool();
}

static void file_check(enum cr_phase phase)
{
	/* The pages of the file itself stay when the tree is killed. */
	check_pool();
	CHECK_FILL(mem, 1);
	CHECK_FILL(mem + huge, 2);
	CHECK_FILL(other, 1);
	CHECK_FILL(other + huge, 3);
	CHECK_FILL(deleted, 4);
	/* Who has not changed a page sees what others write. */
	mem[4 * page_size] = phase + 1;
	CHECK_EQ(other[4 * page_size], phase + 1);
	mem[4 * page_size] = 0;
}

/* A child that loses a page since there is none for the parent. */
static void robbed_child(void *arg)
{
	cr_set(&both->done, 1);
	for (;;)
		pause();
}

static void robbed_setup(void)
{
	size_t pages, i;

	both = cr_shared(sizeof(*both));
	mem = anon(1, MAP_PRIVATE);
	fill(mem, 1);
	cr_fork(robbed_child, NULL);
	NEED(cr_await(&both->done, 1));
	pages = pool_number("HugePages_Free:") - pool_number("HugePages_Rsvd:");
	other = anon_all(pages);
	for (i = 0; i < pages; i++)
		other[i * huge] = 1;
	poke(mem);
}

static void robbed_check(enum cr_phase phase)
{
	CHECK_FILL(mem, 1);
}

/*
 * The tree goes on while it is saved, and there is no page left for a copy: who
 * writes is not killed.
 */
static void writer(void *arg)
{
	for (;;) {
		poke(mem + page_size * 8);
		cr_msleep(1);
	}
}

static void tight_setup(void)
{
	size_t pages;

	mem = anon(2, MAP_PRIVATE);
	fill(mem, 1);
	NEED(cr_fork(writer, NULL) > 0);
	fill(mem + huge, 2);
	cr_msleep(50);
	pages = pool_number("HugePages_Free:") - pool_number("HugePages_Rsvd:");
	other = anon_all(pages);
	note_pool();
}

static void tight_check(enum cr_phase phase)
{
	check_pool();
	poke(mem + page_size * 9);
	CHECK_PATTERN(mem, 3 * page_size, 1);
	CHECK_FILL(mem + huge, 2);
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
}

static void tight_drive(struct cr_run *run)
{
	(void)(cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "image", CHECKPOINT_COW) &&
	       cr_check(run, CR_AFTER) && cr_kill(run) &&
	       cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* A machine that has too few of them: nothing runs, nothing is left. */
static void scarce_drive(struct cr_run *run)
{
	long had = number_in(NR_HUGEPAGES), ret;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	set_number(NR_HUGEPAGES, 1);
	ret = cr_try_restart(run, "image", 0);
	set_number(NR_HUGEPAGES, had);
	if (ret != -ENOMEM)
		cr_failed(run, "restart without huge pages: %ld", ret);
	if (!cr_log_has(run, "not enough huge pages") &&
	    !cr_log_has(run, "cannot reserve") &&
	    !cr_log_has(run, "its pages"))
		cr_failed(run, "the log does not name huge pages");
	if (!cr_none_left(run))
		return;
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* The largest that there are. */
static void gigantic_setup(void)
{
	if (number_in(NR_GIGANTIC) < 1)
		cr_skip("not enough memory for a page of 1 GB");
	mem = mmap(NULL, 1UL << GB_SHIFT, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		   GB_SHIFT << MAP_HUGE_SHIFT, -1, 0);
	if (mem == MAP_FAILED)
		cr_skip("no page of 1 GB is free");
	cr_pattern(mem, page_size, 1);
	cr_pattern(mem + (1UL << GB_SHIFT) - page_size, page_size, 2);
}

static void gigantic_check(enum cr_phase phase)
{
	CHECK_PATTERN(mem, page_size, 1);
	CHECK_EQ(mem[1UL << (GB_SHIFT - 1)], 0);
	CHECK_PATTERN(mem + (1UL << GB_SHIFT) - page_size, page_size, 2);
}

/* An image of a gigabyte is written once. */
static void gigantic_drive(struct cr_run *run)
{
	(void)(cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
	       cr_none_left(run) && cr_restart(run, "image", 0) &&
	       cr_check(run, CR_AGAIN));
}

static const struct cr_scenario scenarios[] = {
	{ "hugetlb.private", CR_ANY, private_setup, private_check },
	{ "hugetlb.noreserve", CR_ANY, noreserve_setup, noreserve_check },
	{ "hugetlb.shared", CR_TREE, shared_setup, shared_check },
	{ "hugetlb.fork", CR_TREE, fork_setup, fork_check },
	{ "hugetlb.memfd", CR_ANY, memfd_setup, memfd_check },
	{ "hugetlb.sysv", CR_CONTAINER, sysv_setup, sysv_check },
	{ "hugetlb.file", CR_ANY, file_setup, file_check },
	{ "hugetlb.robbed", CR_SUBTREE, robbed_setup, robbed_check,
	  CR_REFUSED, "has lost huge pages" },
	{ "hugetlb.saved_while_written", CR_TREE, tight_setup, tight_check,
	  .drive = tight_drive },
	{ "hugetlb.scarce_private", CR_TREE, private_setup, private_check,
	  .drive = scarce_drive },
	{ "hugetlb.scarce_memfd", CR_TREE, memfd_setup, memfd_check,
	  .drive = scarce_drive },
	{ "hugetlb.scarce_unreserved", CR_TREE, noreserve_setup,
	  noreserve_check, .drive = scarce_drive },
	{ "hugetlb.gigantic", CR_SUBTREE, gigantic_setup, gigantic_check,
	  .drive = gigantic_drive },
};

static long pool_was = -1, gigantic_was = -1;
static pid_t driver;

/* By whatever way the tests end, the machine gets its memory back. */
static void give_back(void)
{
	if (getpid() != driver)
		return;
	if (pool_was >= 0)
		set_number(NR_HUGEPAGES, pool_was);
	if (gigantic_was >= 0)
		set_number(NR_GIGANTIC, gigantic_was);
	umount2(MOUNT, MNT_DETACH);
	rmdir(MOUNT);
}

int main(int argc, char **argv)
{
	page_size = sysconf(_SC_PAGESIZE);
	if (argc < 2 || strcmp(argv[1], "--victim")) {
		driver = getpid();
		pool_was = number_in(NR_HUGEPAGES);
		gigantic_was = number_in(NR_GIGANTIC);
		if (pool_was >= 0)
			set_number(NR_HUGEPAGES, pool_was + POOL + 4);
		if (gigantic_was >= 0)
			set_number(NR_GIGANTIC, gigantic_was + 1);
		mkdir(MOUNT, 0700);
		mount("hugetlbfs", MOUNT, "hugetlbfs", 0, NULL);
		atexit(give_back);
	}
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
