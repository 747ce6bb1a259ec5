// SPDX-License-Identifier: GPL-2.0
/*
 * What is set of a mapping apart from its protection: locks, seals, guards,
 * keys, names, merging; and address spaces that nobody would think of.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "cr.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#ifndef SYS_mseal
#define SYS_mseal		462
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE	67
#define PR_GET_MEMORY_MERGE	68
#endif

static size_t page_size;
static unsigned char *mem, *other;

static unsigned char *map(size_t pages, int prot, int flags, int fd)
{
	void *p = mmap(NULL, pages * page_size, prot, flags, fd, 0);

	NEED(p != MAP_FAILED);
	return p;
}

static unsigned char *anon(size_t pages)
{
	return map(pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1);
}

static void fill(unsigned char *p, size_t first, size_t pages)
{
	size_t i;

	for (i = first; i < first + pages; i++)
		cr_pattern(p + i * page_size, page_size, i);
}

static void check_filled(unsigned char *p, size_t first, size_t pages)
{
	size_t i;

	for (i = first; i < first + pages; i++)
		CHECK_PATTERN(p + i * page_size, page_size, i);
}

/* Pages that may be dropped: each is what it was, or holds zeros. */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	0x08
#endif

static char *droppable;

static void droppable_setup(void)
{
	droppable = mmap(NULL, 4 * page_size, PROT_READ | PROT_WRITE,
			 MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (droppable == MAP_FAILED)
		cr_skip("no MAP_DROPPABLE");
	memset(droppable, 7, 3 * page_size);
}

static void droppable_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 4; i++) {
		const char *page = droppable + i * page_size;

		CHECK(page[0] == 0 || (page[0] == 7 && i < 3));
		CHECK(!memcmp(page, page + 1, page_size - 1));
	}
	memset(droppable, 7, 3 * page_size);
}

/* Whether an access would be fatal, found by a call that fails instead. */
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

/* The flags that smaps shows of a mapping, as " rd wr mr ..." */
static const char *vm_flags(const void *addr)
{
	static char line[512];
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool inside = false, found = false;

	NEED(file);
	while (!found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)addr >= start &&
				 (uintptr_t)addr < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			found = true;
	}
	fclose(file);
	return found ? line + strlen("VmFlags:") : "";
}

static void check_flag(const char *file, int line, const void *addr,
		       const char *flag, bool want)
{
	if (!strstr(vm_flags(addr), flag) == want)
		cr_note(file, line, "%s%s: %s", want ? "no" : "has", flag,
			vm_flags(addr));
}

#define CHECK_FLAG(addr, flag, want) \
	check_flag(__FILE__, __LINE__, addr, flag, want)

/* A guard in front of memory, one in the middle of it, several behind. */
static void install(unsigned char *p, size_t first, size_t pages)
{
	if (madvise(p + first * page_size, pages * page_size,
		    MADV_GUARD_INSTALL))
		cr_skip("no guard regions");
}

static void guards_setup(void)
{
	mem = anon(16);
	fill(mem, 0, 16);
	install(mem, 0, 1);
	install(mem, 5, 1);
	install(mem, 10, 6);
}

static void guards_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 16; i++)
		CHECK_EQ(readable(mem + i * page_size),
			 i && i != 5 && i < 10);
	check_filled(mem, 1, 4);
	check_filled(mem, 6, 4);
	/* It can be taken away, and zeros are behind it. */
	CHECK_EQ(madvise(mem + 12 * page_size, page_size, MADV_GUARD_REMOVE),
		 0);
	CHECK(readable(mem + 12 * page_size));
	CHECK_EQ(mem[12 * page_size], 0);
	install(mem, 12, 1);
}

/* More of them than one walk of the page tables can hold. */
#define MANY	1500

static void many_guards_setup(void)
{
	size_t i;

	mem = anon(2 * MANY);
	for (i = 0; i < MANY; i++) {
		mem[2 * i * page_size] = i;
		install(mem, 2 * i + 1, 1);
	}
}

static void many_guards_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < MANY; i++) {
		CHECK_EQ(mem[2 * i * page_size], i & 0xff);
		if (readable(mem + (2 * i + 1) * page_size)) {
			cr_note(__FILE__, __LINE__, "no guard number %zu", i);
			return;
		}
	}
}

static int make_file(size_t pages)
{
	int fd = open(cr_path("data"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	unsigned char *page = anon(1);
	size_t i;

	NEED(fd >= 0);
	for (i = 0; i < pages; i++) {
		cr_pattern(page, page_size, i);
		NEED(write(fd, page, page_size) == (ssize_t)page_size);
	}
	NEED(!munmap(page, page_size));
	return fd;
}

/* In a file, seen through one mapping and not through the other. */
static void file_guards_setup(void)
{
	int fd = make_file(8);

	mem = map(8, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	other = map(8, PROT_READ, MAP_SHARED, fd);
	NEED(!close(fd));
	install(mem, 2, 3);
}

static void file_guards_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 8; i++)
		CHECK_EQ(readable(mem + i * page_size), i < 2 || i > 4);
	check_filled(other, 0, 8);
	check_filled(mem, 5, 3);
}

static void locked_guard_setup(void)
{
	guards_setup();
	NEED(!mlock(mem, 16 * page_size) || errno == ENOMEM);
}

/* Nothing is installed here: what is locked takes no new guards. */
static void locked_guard_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 16; i++)
		CHECK_EQ(readable(mem + i * page_size),
			 i && i != 5 && i < 10);
	check_filled(mem, 1, 4);
	check_filled(mem, 6, 4);
}

static void sealed_setup(void)
{
	mem = anon(4);
	fill(mem, 0, 4);
	if (syscall(SYS_mseal, mem + page_size, page_size, 0))
		cr_skip("no seals");
	/* Sealed, and nobody may write there any more. */
	other = anon(2);
	fill(other, 0, 2);
	NEED(!mprotect(other, 2 * page_size, PROT_READ));
	NEED(!syscall(SYS_mseal, other, 2 * page_size, 0));
}

static void sealed_check(enum cr_phase phase)
{
	check_filled(mem, 0, 4);
	CHECK_FLAG(mem, " sl", false);
	CHECK_FLAG(mem + page_size, " sl", true);
	CHECK_EQ(munmap(mem + page_size, page_size), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(mprotect(mem + page_size, page_size, PROT_NONE), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(mprotect(mem, page_size, PROT_READ), 0);
	CHECK_EQ(mprotect(mem, page_size, PROT_READ | PROT_WRITE), 0);
	check_filled(other, 0, 2);
	CHECK_EQ(madvise(other, page_size, MADV_DONTNEED), -1);
	CHECK_EQ(errno, EPERM);
}

/* What is mapped from now on is locked, and present at once. */
static void check_future(const char *flag, bool has)
{
	unsigned char vec[2] = { }, *p = anon(2);

	CHECK_FLAG(p, flag, has);
	CHECK_EQ(mincore(p, 2 * page_size, vec), 0);
	CHECK_EQ(vec[1] & 1, !strcmp(flag, " lo"));
	munmap(p, 2 * page_size);
}

static void lock_future_setup(void)
{
	mem = anon(2);
	fill(mem, 0, 2);
	NEED(!mlockall(MCL_FUTURE));
}

static void lock_future_check(enum cr_phase phase)
{
	check_filled(mem, 0, 2);
	CHECK_FLAG(mem, " lo", false);
	check_future(" lo", true);
}

static void lock_on_fault_setup(void)
{
	mem = anon(2);
	NEED(!mlockall(MCL_FUTURE | MCL_CURRENT | MCL_ONFAULT));
	fill(mem, 0, 1);
}

static void lock_on_fault_check(enum cr_phase phase)
{
	unsigned char vec[2], *p = anon(2);

	check_filled(mem, 0, 1);
	CHECK_FLAG(mem, " lo", true);
	CHECK_FLAG(p, " lo", true);
	CHECK_EQ(mincore(p, 2 * page_size, vec), 0);
	CHECK_EQ(vec[0] & 1, 0);
	munmap(p, 2 * page_size);
}

static void mergeable_setup(void)
{
	mem = anon(4);
	other = anon(4);
	fill(mem, 0, 4);
	if (madvise(mem + page_size, 2 * page_size, MADV_MERGEABLE))
		cr_skip("no memory is merged");
}

static void mergeable_check(enum cr_phase phase)
{
	check_filled(mem, 0, 4);
	CHECK_FLAG(mem, " mg", false);
	CHECK_FLAG(mem + page_size, " mg", true);
	CHECK_FLAG(mem + 3 * page_size, " mg", false);
	CHECK_FLAG(other, " mg", false);
	CHECK_EQ(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 0);
}

static void merge_all_setup(void)
{
	mem = anon(4);
	fill(mem, 0, 4);
	if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
		cr_skip("no memory is merged");
	NEED(!madvise(mem, page_size, MADV_UNMERGEABLE));
}

static void merge_all_check(enum cr_phase phase)
{
	unsigned char *p = anon(1);

	check_filled(mem, 0, 4);
	CHECK_EQ(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1);
	CHECK_FLAG(mem, " mg", false);
	CHECK_FLAG(mem + page_size, " mg", true);
	CHECK_FLAG(p, " mg", true);
	munmap(p, page_size);
}

/* Three keys: one of a mapping, one of none, and one that was given back. */
static int keys[3];

static void keys_setup(void)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		keys[i] = pkey_alloc(0, 0);
		if (keys[i] < 0)
			cr_skip("no protection keys");
	}
	mem = anon(3);
	fill(mem, 0, 3);
	NEED(!pkey_mprotect(mem + page_size, page_size,
			    PROT_READ | PROT_WRITE, keys[0]));
	NEED(!pkey_set(keys[0], PKEY_DISABLE_ACCESS));
	NEED(!pkey_free(keys[1]));
}

static void keys_check(enum cr_phase phase)
{
	int key;

	CHECK_EQ(pkey_get(keys[0]), PKEY_DISABLE_ACCESS);
	CHECK(!readable(mem + page_size));
	CHECK_EQ(pkey_set(keys[0], 0), 0);
	check_filled(mem, 0, 3);
	CHECK_EQ(pkey_set(keys[0], PKEY_DISABLE_ACCESS), 0);
	CHECK_FLAG(mem, " mt", false);
	/* The one that is free is the next to be given out. */
	key = pkey_alloc(0, 0);
	CHECK_EQ(key, keys[1]);
	CHECK_EQ(pkey_free(key), 0);
	CHECK_EQ(pkey_mprotect(mem, page_size, PROT_READ | PROT_WRITE,
			       keys[1]), -1);
	CHECK_EQ(pkey_mprotect(mem, page_size, PROT_READ | PROT_WRITE,
			       keys[2]), 0);
	CHECK_EQ(pkey_mprotect(mem, page_size, PROT_READ | PROT_WRITE, 0), 0);
}

/* Code that may be executed and, where there are keys, not be read. */
static bool was_readable;
static int key_after;

static void execute_only_setup(void)
{
	mem = anon(2);
	fill(mem, 0, 2);
	NEED(!mprotect(mem, page_size, PROT_EXEC));
	was_readable = readable(mem);
	key_after = pkey_alloc(0, 0);
	if (key_after >= 0)
		NEED(!pkey_free(key_after));
}

static void execute_only_check(enum cr_phase phase)
{
	int key = pkey_alloc(0, 0);

	CHECK_EQ(readable(mem), was_readable);
	CHECK_EQ(key, key_after);
	if (key >= 0)
		CHECK_EQ(pkey_free(key), 0);
	CHECK_FLAG(mem, " rd", false);
	CHECK_FLAG(mem, " ex", true);
	CHECK_EQ(mprotect(mem, page_size, PROT_READ), 0);
	check_filled(mem, 0, 2);
	CHECK_EQ(mprotect(mem, page_size, PROT_EXEC), 0);
}

/* Two names side by side, and one of shared memory. */
static void names_setup(void)
{
	mem = anon(3);
	other = map(2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	fill(mem, 0, 3);
	fill(other, 0, 2);
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, mem, page_size, "a name"))
		cr_skip("no names for anonymous memory");
	NEED(!prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, mem + page_size,
		    page_size, "{another} (one)"));
	NEED(!prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, other, 2 * page_size,
		    "shared"));
}

static void names_check(enum cr_phase phase)
{
	static char maps[65536], line[256];

	check_filled(mem, 0, 3);
	check_filled(other, 0, 2);
	NEED(cr_slurp("/proc/self/maps", maps, sizeof(maps)) > 0);
	CHECK(strstr(maps, "[anon:a name]\n"));
	CHECK(strstr(maps, "[anon:{another} (one)]\n"));
	CHECK(strstr(maps, "[anon_shmem:shared]\n"));
	snprintf(line, sizeof(line), "%lx-%lx rw-p 00000000 00:00 0 ",
		 (unsigned long)mem + page_size,
		 (unsigned long)mem + 2 * page_size);
	CHECK(strstr(maps, line));
}

/*
 * Memory that counts against overcommit still does when it is not writable any
 * more, as the data of a program that was relocated.
 */
static void accounted_setup(void)
{
	mem = anon(4);
	fill(mem, 0, 4);
	NEED(!mprotect(mem, 2 * page_size, PROT_READ));
	other = map(2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void accounted_check(enum cr_phase phase)
{
	CHECK_FLAG(mem, " ac", true);
	CHECK_FLAG(mem + 2 * page_size, " ac", true);
	CHECK_FLAG(other, " ac", false);
	check_filled(mem, 0, 4);
}

/* Far more than the machine has, of which it is not told in advance. */
#define VAST	(4UL << 40)

static void vast_setup(void)
{
	mem = mmap(NULL, VAST, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		cr_skip("no memory that is not reserved");
	cr_pattern(mem + VAST / 2, page_size, 1);
}

static void vast_check(enum cr_phase phase)
{
	CHECK_PATTERN(mem + VAST / 2, page_size, 1);
	CHECK_EQ(mem[VAST / 4], 0);
}

/*
 * A wild address space: pieces of all kinds, mapped over each other, moved,
 * protected, advised and unmapped in any order. What is compared is each page
 * of it: whether it is mapped, its rights and flags, and its content.
 */
#define PAGES	256
#define STEPS	500

struct place {
	char rights[5];
	char flags[120];
	unsigned long offset;
	uint64_t content;
	int error;
};

static unsigned char *arena;
static struct place was[PAGES], is[PAGES];
static uint64_t seed, state;

static unsigned int pick(unsigned int below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % below;
}

static void wild_step(int fd)
{
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
		PROT_READ | PROT_WRITE | PROT_EXEC, PROT_EXEC,
	};
	static const int advices[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTFORK,
		MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK,
		MADV_KEEPONFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_DONTNEED,
		MADV_GUARD_INSTALL, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE,
	};
	unsigned int first = pick(PAGES), pages = 1 + pick(PAGES - first);
	int flags = MAP_FIXED, prot = prots[pick(ARRAY_SIZE(prots))];
	unsigned char *p = arena + first * page_size;
	size_t len, i;

	if (pages > 24)
		pages = 1 + pick(24);
	len = pages * page_size;
	/* What the kernel refuses is refused: any outcome is a state. */
	switch (pick(12)) {
	case 0 ... 2:
		flags |= pick(2) ? MAP_PRIVATE : MAP_SHARED;
		if (!pick(4))
			flags |= MAP_NORESERVE;
		if (pick(3))
			mmap(p, len, prot, flags | MAP_ANONYMOUS, -1, 0);
		else
			mmap(p, len, prot, flags, fd, pick(32) * page_size);
		break;
	case 3 ... 5:
		for (i = 0; i < pages; i++) {
			struct iovec from = {
				.iov_base = &state, .iov_len = sizeof(state),
			};
			struct iovec to = {
				.iov_base = p + i * page_size + 8 * pick(500),
				.iov_len = sizeof(state),
			};

			pick(2);
			process_vm_writev(getpid(), &from, 1, &to, 1, 0);
		}
		break;
	case 6 ... 7:
		mprotect(p, len, prot);
		break;
	case 8 ... 9:
		madvise(p, len, advices[pick(ARRAY_SIZE(advices))]);
		break;
	case 10:
		i = pick(PAGES);
		mremap(p, len, (1 + pick(pages)) * page_size,
		       MREMAP_MAYMOVE | MREMAP_FIXED,
		       arena + (i + pages > PAGES ? PAGES - pages : i) *
		       page_size);
		break;
	case 11:
		if (pick(2))
			munmap(p, len);
		else if (pick(2))
			mlock(p, len);
		else
			munlock(p, len);
		break;
	}
}

/* Reads a page as a debugger would, whatever its protection. */
static void look_at(struct place *place, int fd, unsigned char *p)
{
	static uint64_t words[16384 / sizeof(uint64_t)];
	size_t i;

	if (pread(fd, words, page_size, (uintptr_t)p) != (ssize_t)page_size) {
		place->error = errno;
		return;
	}
	for (i = 0; i < page_size / sizeof(uint64_t); i++)
		place->content = (place->content ^ words[i]) * 0x100000001b3;
}

static void look(struct place *places)
{
	static const char * const separators = "\n ";
	static char line[512];
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0, offset = 0, from, to, at, i;
	char rights[8], *flag;
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	NEED(file && fd >= 0 && page_size <= 16384);
	memset(places, 0, PAGES * sizeof(*places));
	for (i = 0; i < PAGES; i++)
		look_at(&places[i], fd, arena + i * page_size);
	close(fd);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx %4s %lx", &from, &to, rights,
			   &offset) == 4) {
			start = from;
			end = to;
			continue;
		}
		if (strncmp(line, "VmFlags:", 8))
			continue;
		/*
		 * Soft-dirty bits are not kept. That there may be guards is
		 * true of all of a mapping once one that had some has become
		 * part of it.
		 */
		for (flag = strtok(line + 8, separators); flag;
		     flag = strtok(NULL, separators)) {
			if (!strcmp(flag, "sd") || !strcmp(flag, "gu"))
				continue;
			for (i = 0; i < PAGES; i++) {
				at = (unsigned long)arena + i * page_size;
				if (at >= start && at < end) {
					strcat(places[i].flags, " ");
					strcat(places[i].flags, flag);
				}
			}
		}
		for (i = 0; i < PAGES; i++) {
			at = (unsigned long)arena + i * page_size;
			if (at < start || at >= end)
				continue;
			strcpy(places[i].rights, rights);
			if (offset)
				places[i].offset = offset + (at - start);
		}
	}
	fclose(file);
}

static void wild_setup(void)
{
	const char *given = getenv("CR_SEED");
	int fd = make_file(40), i;

	if (given)
		seed = strtoull(given, NULL, 0);
	else
		NEED(getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
	state = seed;
	arena = map(PAGES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (i = 0; i < STEPS; i++)
		wild_step(fd);
	NEED(!close(fd));
	/* Guards in locked memory are refused. */
	munlock(arena, PAGES * page_size);
	for (i = 0; i < PAGES; i++)
		munlock(arena + i * page_size, page_size);
	look(was);
}

/*
 * By itself, since mappings that are alike and were not joined, because each
 * had pages of its own before it got there, are joined at a restart.
 */
static void wild_drive(struct cr_run *run)
{
	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "first", 0) || !cr_check(run, CR_AFTER) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

static void wild_check(enum cr_phase phase)
{
	size_t i;

	look(is);
	for (i = 0; i < PAGES; i++) {
		if (!memcmp(&was[i], &is[i], sizeof(was[i])))
			continue;
		cr_note(__FILE__, __LINE__,
			"CR_SEED=%#llx page %zu: %s%s %lx %llx (%d) is %s%s %lx %llx (%d)",
			(unsigned long long)seed, i, was[i].rights,
			was[i].flags, was[i].offset,
			(unsigned long long)was[i].content, was[i].error,
			is[i].rights, is[i].flags, is[i].offset,
			(unsigned long long)is[i].content, is[i].error);
		return;
	}
}

static const struct cr_scenario scenarios[] = {
	{ "mapping.guards", CR_ANY, guards_setup, guards_check },
	{ "mapping.many_guards", CR_SUBTREE, many_guards_setup,
	  many_guards_check },
	{ "mapping.guards_in_file", CR_ANY, file_guards_setup,
	  file_guards_check },
	{ "mapping.locked_guards", CR_TREE, locked_guard_setup,
	  locked_guard_check, CR_REFUSED, "guard regions in locked memory" },
	{ "mapping.sealed", CR_ANY, sealed_setup, sealed_check },
	{ "mapping.lock_future", CR_ANY, lock_future_setup,
	  lock_future_check },
	{ "mapping.lock_on_fault", CR_ANY, lock_on_fault_setup,
	  lock_on_fault_check },
	{ "mapping.mergeable", CR_ANY, mergeable_setup, mergeable_check },
	{ "mapping.merge_all", CR_ANY, merge_all_setup, merge_all_check },
	{ "mapping.keys", CR_ANY, keys_setup, keys_check },
	{ "mapping.execute_only", CR_ANY, execute_only_setup,
	  execute_only_check },
	{ "mapping.names", CR_ANY, names_setup, names_check },
	{ "mapping.accounted", CR_ANY, accounted_setup, accounted_check },
	{ "mapping.not_reserved", CR_ANY, vast_setup, vast_check },
	{ "mapping.droppable", CR_ANY, droppable_setup, droppable_check },
	{ "mapping.wild", CR_TREE, wild_setup, wild_check,
	  .drive = wild_drive },
	{ "mapping.wild_again", CR_TREE, wild_setup, wild_check,
	  .drive = wild_drive },
	{ "mapping.wild_once_more", CR_TREE, wild_setup, wild_check,
	  .drive = wild_drive },
};

int main(int argc, char **argv)
{
	page_size = sysconf(_SC_PAGESIZE);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
