// SPDX-License-Identifier: GPL-2.0
/*
 * Copy-on-write memory: pages that processes share since fork(2), which stay
 * shared, and checkpoints that let the tree run while its memory is written.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cr.h"

#define MB		(1024 * 1024UL)
#define CHILDREN	3

static size_t page_size;

static unsigned char *anon(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(p != MAP_FAILED);
	return p;
}

/* Adds up a line of /proc/self/smaps of the mappings between two addresses. */
static long smaps_sum(const void *from, size_t len, const char *key)
{
	unsigned long start, end, first = (unsigned long)from;
	FILE *file = fopen("/proc/self/smaps", "re");
	bool inside = false;
	char line[256];
	long sum = 0, kb;

	NEED(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start < first + len && end > first;
		else if (inside && !strncmp(line, key, strlen(key)) &&
			 sscanf(line + strlen(key), ": %ld", &kb) == 1)
			sum += kb;
	}
	fclose(file);
	return sum;
}

/*
 * A parent and its children have memory together, of which each has changed
 * pages of its own. They look at it on request, one after the other.
 */
static struct family {
	unsigned char *mem;
	size_t len;
	bool exact;
	int turn;
	long pss[CHILDREN + 1];
	unsigned char was[CHILDREN + 1];
} *family;

/* Makes one byte of the memory differ from what the others have. */
static void own(int who)
{
	unsigned char *mem = family->mem + (who + 1) * 5 * page_size;

	family->was[who] = *mem;
	*mem = 0x70 + who;
}

static void look(int who, enum cr_phase phase)
{
	unsigned char *mem = family->mem;
	size_t at = (who + 1) * 5 * page_size;
	long pss;

	CHECK_EQ(mem[at], 0x70 + who);
	mem[at] = family->was[who];
	CHECK_PATTERN(mem, family->len, 31);
	mem[at] = 0x70 + who;

	pss = smaps_sum(mem, family->len, "Pss");
	if (phase == CR_BEFORE)
		family->pss[who] = pss;
	else if (family->exact && pss != family->pss[who])
		cr_note(__FILE__, __LINE__,
			"phase %d: Pss of member %d is %ld kB, not %ld", phase,
			who, pss, family->pss[who]);
	else if (!family->exact)
		/* Huge pages may have come back as small ones. */
		CHECK(pss < family->pss[who] * 3 / 2 + 64);
}

static void member(void *arg)
{
	int who = (long)arg, turn;

	own(who);
	cr_set(&family->turn, 0);
	for (;;) {
		turn = cr_get(&family->turn);
		if (turn / 4 == who) {
			look(who, turn % 4);
			cr_set(&family->turn, 0);
		}
		cr_msleep(1);
	}
}

static void family_check(enum cr_phase phase)
{
	long who;

	for (who = 1; who <= CHILDREN; who++) {
		cr_set(&family->turn, who * 4 + phase);
		cr_await(&family->turn, 0);
	}
	look(0, phase);
}

static void family_start(unsigned char *mem, size_t len, bool exact)
{
	long who;

	family = cr_shared(sizeof(*family));
	family->mem = mem;
	family->len = len;
	family->exact = exact;
	cr_pattern(mem, len, 31);
	for (who = 1; who <= CHILDREN; who++) {
		cr_set(&family->turn, 1);
		cr_fork(member, (void *)who);
		cr_await(&family->turn, 0);
	}
	own(0);
}

static void anonymous_setup(void)
{
	unsigned char *mem = anon(4 * MB);

	madvise(mem, 4 * MB, MADV_NOHUGEPAGE);
	family_start(mem, 4 * MB, true);
}

static void huge_setup(void)
{
	family_start(anon(6 * MB), 6 * MB, false);
}

static void file_setup(void)
{
	int fd = open(cr_path("data"), O_RDWR | O_CREAT, 0600);
	unsigned char *mem;

	NEED(fd >= 0 && !ftruncate(fd, MB));
	mem = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	NEED(mem != MAP_FAILED && !close(fd));
	family_start(mem, MB, true);
}

/* The parts of the mapping differ in their rights, in each process anew. */
static void split_setup(void)
{
	unsigned char *mem = anon(2 * MB);

	madvise(mem, 2 * MB, MADV_NOHUGEPAGE);
	cr_pattern(mem, 2 * MB, 31);
	NEED(!mprotect(mem + MB, 100 * page_size, PROT_READ));
	NEED(!mprotect(mem + MB + 50 * page_size, page_size,
		       PROT_READ | PROT_WRITE | PROT_EXEC));
	NEED(!mprotect(mem + MB, 100 * page_size, PROT_READ | PROT_WRITE));
	family_start(mem, 2 * MB, true);
}

/* What they share is in the image once. */
static void size_drive(struct cr_run *run)
{
	cr_drive_small(run, 6 * MB);
}

/* The parent has changed what two of its children still share. */
static void siblings_setup(void)
{
	unsigned char *mem = anon(MB);

	madvise(mem, MB, MADV_NOHUGEPAGE);
	family_start(mem, MB, true);
	memset(mem + MB / 2, 1, MB / 2);
	cr_pattern(mem, MB, 31);
	mem[5 * page_size] = 0x70;
}

/*
 * A process writes to all of its memory, page after page, and compares what
 * was there: a page that is of another moment than the registers, or than
 * another page, shows. Many pages are duplicated, and few are copied.
 */
#define MANY	1024
#define FEW	24

static struct writer {
	unsigned int rounds, wrong;
	unsigned long long longest;
} *writer;

static unsigned int *pages, count;

static void rewrite(void *arg)
{
	unsigned long long last = cr_now_ns(), now;
	unsigned int round, i;

	for (round = 1;; round++) {
		for (i = 0; i < count; i++) {
			unsigned int *page = pages + i * page_size / sizeof(*page);

			if (*page != round - 1 || page[9] != round - 1)
				writer->wrong++;
			page[9] = round;
			*page = round;
		}
		now = cr_now_ns();
		if (now - last > writer->longest)
			writer->longest = now - last;
		last = now;
		__atomic_add_fetch(&writer->rounds, 1, __ATOMIC_RELEASE);
	}
}

static void start_writer(unsigned int n)
{
	writer = cr_shared(sizeof(*writer));
	count = n;
	pages = (void *)anon(count * page_size);
	cr_fork(rewrite, NULL);
}

static void writer_setup(void)
{
	start_writer(MANY);
}

static void small_writer_setup(void)
{
	start_writer(FEW);
}

static unsigned int rounds(void)
{
	return __atomic_load_n(&writer->rounds, __ATOMIC_ACQUIRE);
}

/* How long the image is not read by anybody, and how much of it shows. */
#define STALL_MS	(3000 * cr_slowness())
#define PAUSE_MS	(1500 * cr_slowness())

static void writer_check(enum cr_phase phase)
{
	unsigned int before = rounds();
	int i;

	if (phase == CR_AFTER)
		CHECK(writer->longest < PAUSE_MS * 1000000ULL);
	for (i = 0; i < 1000 && rounds() < before + 3; i++)
		cr_msleep(10);
	CHECK(i < 1000);
	CHECK_EQ(writer->wrong, 0);
	writer->longest = 0;
}

static pid_t slow_reader(struct cr_run *run)
{
	char from[96], to[96], buf[65536];
	ssize_t n;
	pid_t pid;
	int in, out;

	snprintf(from, sizeof(from), "%s/fifo", run->dir);
	snprintf(to, sizeof(to), "%s/image", run->dir);
	if (mkfifo(from, 0600))
		return -1;
	pid = fork();
	if (pid)
		return pid;
	in = open(from, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_msleep(STALL_MS);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, n) != n)
			_exit(1);
	_exit(n || in < 0 || out < 0);
}

static void stalled_drive(struct cr_run *run)
{
	int status = -1;
	pid_t reader;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	reader = slow_reader(run);
	if (reader < 0)
		return cr_failed(run, "no reader");
	if (!cr_checkpoint(run, "fifo", CHECKPOINT_COW)) {
		waitpid(reader, &status, 0);
		return;
	}
	if (waitpid(reader, &status, 0) != reader || status)
		return cr_failed(run, "the reader failed: %#x", status);
	(void)(cr_check(run, CR_AFTER) && cr_kill(run) &&
	       cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* What fork(2) leaves out of a child, or empties, is saved all the same. */
static unsigned char *left_out, *emptied;

static bool has_flag(const void *mem, const char *flag)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool inside = false, has = false;
	char line[256];

	NEED(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (unsigned long)mem >= start &&
				 (unsigned long)mem < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			has = strstr(line, flag);
	}
	fclose(file);
	return has;
}

static void left_out_setup(void)
{
	left_out = anon(MB);
	emptied = anon(MB);
	cr_pattern(left_out, MB, 41);
	cr_pattern(emptied, MB, 42);
	NEED(!madvise(left_out, MB, MADV_DONTFORK));
	NEED(!madvise(emptied, MB, MADV_WIPEONFORK));
}

static void left_out_check(enum cr_phase phase)
{
	CHECK_PATTERN(left_out, MB, 41);
	CHECK_PATTERN(emptied, MB, 42);
	CHECK(has_flag(left_out, " dc"));
	CHECK(has_flag(emptied, " wf"));
}

static void left_out_drive(struct cr_run *run)
{
	(void)(cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "image", CHECKPOINT_COW) &&
	       cr_check(run, CR_AFTER) && cr_kill(run) &&
	       cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/*
 * The duplicates that stay behind refer to files as well; they belong to the
 * tree when it is saved again.
 */
static void kept_drive(struct cr_run *run)
{
	const unsigned long again = CHECKPOINT_TRACK | CHECKPOINT_INCREMENTAL;

	(void)(cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "first", CHECKPOINT_TRACK) &&
	       cr_check(run, CR_AFTER) && cr_checkpoint(run, "more", again) &&
	       cr_check(run, CR_AFTER) && cr_checkpoint(run, "image", 0) &&
	       cr_kill(run) && cr_restart(run, "image", 0) &&
	       cr_check(run, CR_AGAIN));
}

/* Only a tree that goes on can do so at once. */
static void flags_drive(struct cr_run *run)
{
	static const unsigned long with[] = {
		CHECKPOINT_KILL, CHECKPOINT_LEAVE_FROZEN,
	};
	unsigned int i;
	long ret;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	for (i = 0; i < 2; i++) {
		ret = cr_try_checkpoint(run, "image", CHECKPOINT_COW | with[i]);
		if (ret != -EINVAL)
			cr_failed(run, "flags %#lx: %ld", with[i], ret);
	}
	cr_check(run, CR_AFTER);
}

static const struct cr_scenario scenarios[] = {
	{ "fork.anonymous", CR_TREE, anonymous_setup, family_check },
	{ "fork.stored_once", CR_TREE, anonymous_setup, family_check,
	  .drive = size_drive },
	{ "fork.huge_pages", CR_TREE, huge_setup, family_check },
	{ "fork.private_file", CR_TREE, file_setup, family_check },
	{ "fork.split_mapping", CR_TREE, split_setup, family_check },
	{ "fork.siblings", CR_TREE, siblings_setup, family_check },
	{ "cow.written_meanwhile", CR_TREE, writer_setup, writer_check,
	  .drive = stalled_drive },
	{ "cow.few_written_meanwhile", CR_TREE, small_writer_setup,
	  writer_check, .drive = stalled_drive },
	{ "cow.left_out_by_fork", CR_TREE, left_out_setup, left_out_check,
	  .drive = left_out_drive },
	{ "cow.kept", CR_TREE, left_out_setup, left_out_check,
	  .drive = kept_drive },
	{ "cow.flags", CR_SUBTREE, left_out_setup, left_out_check,
	  .drive = flags_drive },
};

int main(int argc, char **argv)
{
	page_size = sysconf(_SC_PAGESIZE);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
