// SPDX-License-Identifier: GPL-2.0
/*
 * Files without a name: memfds, and files that were deleted while somebody has
 * them open, mapped, or runs them.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "cr.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#define MFD_EXEC	0x0010U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE	0x0010
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC	0x0020
#endif

#define TMPFS_MAGIC	0x01021994

static size_t page_size;
static unsigned char *mem, *other;
static int fd = -1, second = -1;
static struct stat st_was;

/* O_LARGEFILE as the kernel shows it: the C library may call it 0. */
static int largefile;

/* What fstat() shows of a file that is not mapped or read meanwhile. */
static void check_stat(int fd)
{
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_mode, st_was.st_mode);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_uid, st_was.st_uid);
	CHECK_EQ(st.st_gid, st_was.st_gid);
	CHECK_EQ(st.st_size, st_was.st_size);
	CHECK_EQ(st.st_mtim.tv_sec, st_was.st_mtim.tv_sec);
	CHECK_EQ(st.st_mtim.tv_nsec, st_was.st_mtim.tv_nsec);
	CHECK_EQ(st.st_dev, st_was.st_dev);
}

static void check_link(int fd, const char *want)
{
	char path[64], target[256];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target) - 1);
	NEED(len > 0);
	target[len] = '\0';
	CHECK_STR(target, want);
}

static void put(int fd, size_t page, unsigned int pattern)
{
	static unsigned char buf[65536];

	cr_pattern(buf, page_size, pattern);
	NEED(pwrite(fd, buf, page_size, page * page_size) ==
	     (ssize_t)page_size);
}

static void check_put(int fd, size_t page, unsigned int pattern)
{
	static unsigned char buf[65536];

	CHECK_EQ(pread(fd, buf, page_size, page * page_size), page_size);
	CHECK_PATTERN(buf, page_size, pattern);
}

static int make_memfd(const char *name, unsigned int flags)
{
	int fd = memfd_create(name, flags);

	if (fd < 0 && cr_unsupported(errno))
		cr_skip("no memfds");
	NEED(fd >= 0);
	return fd;
}

static unsigned char *map(int fd, size_t pages, int prot)
{
	void *p = mmap(NULL, pages * page_size, prot, MAP_SHARED, fd, 0);

	NEED(p != MAP_FAILED);
	return p;
}

/* A descriptor that nobody has mapped: content, holes, position, size. */
static void memfd_setup(void)
{
	fd = make_memfd("a memfd", 0);
	put(fd, 0, 1);
	put(fd, 5, 2);
	put(fd, 6, 3);
	NEED(!ftruncate(fd, 1000 * page_size + 123));
	NEED(pwrite(fd, "end", 3, 1000 * page_size + 120) == 3);
	NEED(lseek(fd, 77, SEEK_SET) == 77);
	NEED(!fchmod(fd, 0640));
	NEED(!fstat(fd, &st_was));
}

static void memfd_check(enum cr_phase phase)
{
	char buf[4] = "";

	check_stat(fd);
	check_link(fd, "/memfd:a memfd (deleted)");
	check_put(fd, 0, 1);
	check_put(fd, 5, 2);
	check_put(fd, 6, 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 77);
	CHECK_EQ(lseek(fd, page_size, SEEK_DATA), 5 * page_size);
	CHECK_EQ(lseek(fd, 5 * page_size, SEEK_HOLE), 7 * page_size);
	CHECK_EQ(lseek(fd, 7 * page_size, SEEK_DATA), 1000 * page_size);
	CHECK_EQ(lseek(fd, 77, SEEK_SET), 77);
	CHECK_EQ(pread(fd, buf, 4, 1000 * page_size + 120), 3);
	CHECK_STR(buf, "end");
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | largefile);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
}

/* Shared by two processes and seen in three ways, one of them private. */
struct both {
	int turn;
	unsigned char *mem;
	struct cr_task task;
};

static struct both *both;
static unsigned char *private;

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

static void mapped_setup(void)
{
	size_t i;

	fd = make_memfd("mapped", 0);
	NEED(!ftruncate(fd, 8 * page_size));
	mem = map(fd, 8, PROT_READ | PROT_WRITE);
	for (i = 1; i < 7; i++)
		cr_pattern(mem + i * page_size, page_size, i);
	other = mmap(NULL, 2 * page_size, PROT_READ, MAP_SHARED, fd,
		     3 * page_size);
	private = mmap(NULL, 8 * page_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE, fd, 0);
	NEED(other != MAP_FAILED && private != MAP_FAILED);
	cr_pattern(private + 2 * page_size, page_size, 20);
	both = cr_shared(sizeof(*both));
	both->mem = mem;
	cr_fork(adder, NULL);
}

static void mapped_check(enum cr_phase phase)
{
	unsigned char x;
	size_t i;

	for (i = 1; i < 7; i++)
		CHECK_PATTERN(mem + i * page_size, page_size, i);
	CHECK_MEM(other, mem + 3 * page_size, 2 * page_size);
	CHECK_PATTERN(private + 2 * page_size, page_size, 20);
	CHECK_MEM(private + 3 * page_size, mem + 3 * page_size, page_size);
	/* The other process and the descriptor see what is written here. */
	*mem = 10 * phase;
	cr_set(&both->turn, 1);
	cr_await(&both->turn, 0);
	CHECK_EQ(*mem, 10 * phase + 1);
	CHECK_EQ(pread(fd, &x, 1, 0), 1);
	CHECK_EQ(x, 10 * phase + 1);
	x = 0x50 + phase;
	CHECK_EQ(pwrite(fd, &x, 1, 7 * page_size), 1);
	CHECK_EQ(mem[7 * page_size], x);
	CHECK_EQ(private[7 * page_size], x);
}

/* Only mapped: the descriptor is closed. */
static void only_mapped_setup(void)
{
	mapped_setup();
	NEED(!close(fd));
	fd = make_memfd("another", 0);
	NEED(!close(fd));
}

static void only_mapped_check(enum cr_phase phase)
{
	CHECK_PATTERN(mem + 4 * page_size, page_size, 4);
	*mem = 3;
	cr_set(&both->turn, 1);
	cr_await(&both->turn, 0);
	CHECK_EQ(*mem, 4);
	CHECK_EQ(private[0], 4);
}

/* Opened again read-only: another position, and nobody writes through it. */
static void reopened_setup(void)
{
	char path[64];

	fd = make_memfd("reopened", 0);
	put(fd, 0, 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	second = open(path, O_RDONLY | O_NONBLOCK);
	NEED(second >= 0);
	NEED(lseek(fd, 11, SEEK_SET) == 11 && lseek(second, 5, SEEK_SET) == 5);
	NEED(!fcntl(fd, F_SETFL, O_APPEND));
}

static void reopened_check(enum cr_phase phase)
{
	unsigned char x = 0x30 + phase;
	struct stat a, b;

	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | largefile | O_APPEND);
	CHECK_EQ(fcntl(second, F_GETFL),
		 O_RDONLY | largefile | O_NONBLOCK);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11);
	CHECK_EQ(lseek(second, 0, SEEK_CUR), 5);
	check_put(second, 0, 1);
	CHECK_EQ(write(second, &x, 1), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(fstat(fd, &a) | fstat(second, &b), 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(write(fd, &x, 1), 1);
	CHECK_EQ(pread(second, &x, 1, page_size), 1);
	CHECK_EQ(x, 0x30 + phase);
	CHECK_EQ(ftruncate(fd, page_size), 0);
	CHECK_EQ(lseek(fd, 11, SEEK_SET), 11);
}

/* Seals: what they forbid stays forbidden, and no more. */
static void sealed_setup(void)
{
	fd = make_memfd("sealed", MFD_ALLOW_SEALING);
	put(fd, 0, 4);
	NEED(!fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
	/* Made after the seal: it never becomes writable. */
	mem = map(fd, 1, PROT_READ);
	second = make_memfd("no more seals", MFD_ALLOW_SEALING);
	put(second, 0, 5);
	NEED(!fcntl(second, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL));
}

static void sealed_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_GROW);
	check_put(fd, 0, 4);
	CHECK_PATTERN(mem, page_size, 4);
	CHECK_EQ(pwrite(fd, "x", 1, 0), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(ftruncate(fd, 2 * page_size), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(mprotect(mem, page_size, PROT_READ | PROT_WRITE), -1);
	CHECK_EQ(errno, EACCES);
	CHECK(mmap(NULL, page_size, PROT_WRITE, MAP_SHARED, fd, 0) ==
	      MAP_FAILED);
	CHECK_EQ(fcntl(second, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_SEAL);
	check_put(second, 0, 5);
	CHECK_EQ(ftruncate(second, 2 * page_size), 0);
	CHECK_EQ(ftruncate(second, page_size), -1);
	CHECK_EQ(fcntl(second, F_ADD_SEALS, F_SEAL_GROW), -1);
}

/* What was mapped before may still be written to, by this mapping alone. */
static unsigned char copy[4096];

static void future_setup(void)
{
	fd = make_memfd("future", MFD_ALLOW_SEALING);
	put(fd, 0, 6);
	mem = map(fd, 1, PROT_READ | PROT_WRITE);
	memcpy(copy, mem, sizeof(copy));
	NEED(!fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK));
	other = map(fd, 1, PROT_READ);
}

static void future_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK);
	CHECK_MEM(mem + 1, copy + 1, 4095);
	CHECK_MEM(other + 1, copy + 1, 4095);
	mem[0] = phase;
	CHECK_EQ(other[0], phase);
	CHECK_EQ(pwrite(fd, "x", 1, 0), -1);
	CHECK_EQ(mprotect(other, page_size, PROT_READ | PROT_WRITE), -1);
	CHECK_EQ(mprotect(mem, page_size, PROT_READ), 0);
	CHECK_EQ(mprotect(mem, page_size, PROT_READ | PROT_WRITE), 0);
}

static void noexec_setup(void)
{
	fd = memfd_create("noexec", MFD_NOEXEC_SEAL);
	second = memfd_create("exec", MFD_EXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || second < 0)
		cr_skip("no MFD_NOEXEC_SEAL");
	put(fd, 0, 7);
}

static void noexec_check(enum cr_phase phase)
{
	struct stat st;

	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0666);
	CHECK_EQ(fchmod(fd, 0777), -1);
	CHECK_EQ(errno, EPERM);
	check_put(fd, 0, 7);
	CHECK_EQ(fcntl(second, F_GET_SEALS), 0);
	CHECK_EQ(fstat(second, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0777);
}

/* What memfd_create() returned does not keep anybody from executing it. */
static void copy_self(int to)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	static char buf[65536];
	ssize_t n;

	NEED(from >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		NEED(write(to, buf, n) == n);
	NEED(!n && !close(from));
}

static void runnable_setup(void)
{
	fd = make_memfd("program", 0);
	copy_self(fd);
}

static void runnable_check(enum cr_phase phase)
{
	char path[64];
	pid_t pid;
	int status;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	pid = fork();
	if (!pid) {
		execl(path, "program", "exit", NULL);
		_exit(errno);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 42);
}

/* Deleted files, in the directory of the test or on a tmpfs */
static char name[256];

static int make_deleted(const char *file, const char *text)
{
	int n;

	snprintf(name, sizeof(name), "%s", file);
	n = open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
	NEED(n >= 0);
	NEED(write(n, text, strlen(text)) == (ssize_t)strlen(text));
	NEED(!unlink(name));
	strcat(name, " (deleted)");
	return n;
}

static const char *shm_path(void)
{
	static char path[64];
	struct statfs fs;

	if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS_MAGIC)
		cr_skip("no tmpfs on /dev/shm");
	snprintf(path, sizeof(path), "/dev/shm/cr-%d", getpid());
	return path;
}

static void fill_deleted(void)
{
	put(fd, 3, 1);
	put(fd, 40, 2);
	NEED(!ftruncate(fd, 50 * page_size + 9));
	NEED(lseek(fd, 4, SEEK_SET) == 4);
	NEED(!fstat(fd, &st_was));
}

static void deleted_setup(void)
{
	fd = make_deleted(cr_path("gone"), "gone");
	fill_deleted();
}

static void deleted_shm_setup(void)
{
	fd = make_deleted(shm_path(), "gone");
	fill_deleted();
}

static void deleted_check(enum cr_phase phase)
{
	char buf[8] = "";

	check_stat(fd);
	check_link(fd, name);
	CHECK_EQ(pread(fd, buf, 4, 0), 4);
	CHECK_STR(buf, "gone");
	check_put(fd, 3, 1);
	check_put(fd, 40, 2);
	CHECK_EQ(pread(fd, buf, 1, 50 * page_size + 8), 1);
	CHECK_EQ(pread(fd, buf, 1, 50 * page_size + 9), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | largefile);
	/* Nobody finds it by its name, not even its directory. */
	CHECK_EQ(access(cr_path("gone"), F_OK), -1);
}

/* Somebody else has taken the name since: both are what they are. */
static void replaced_setup(void)
{
	int n;

	deleted_setup();
	n = open(cr_path("gone"), O_WRONLY | O_CREAT | O_EXCL, 0600);
	NEED(n >= 0 && write(n, "new", 3) == 3 && !close(n));
}

static void replaced_check(enum cr_phase phase)
{
	char buf[8] = "";

	check_link(fd, name);
	CHECK_EQ(pread(fd, buf, 4, 0), 4);
	CHECK_STR(buf, "gone");
	CHECK_EQ(cr_slurp(cr_path("gone"), buf, sizeof(buf)), 3);
	CHECK_STR(buf, "new");
}

/* Mapped, shared by two, in the two sorts of file systems */
static void share_deleted(void)
{
	NEED(!ftruncate(fd, 4 * page_size));
	put(fd, 2, 8);
	mem = map(fd, 4, PROT_READ | PROT_WRITE);
	private = mmap(NULL, 4 * page_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE, fd, 0);
	NEED(private != MAP_FAILED && !close(fd));
	cr_pattern(private + page_size, page_size, 9);
	both = cr_shared(sizeof(*both));
	both->mem = mem;
	cr_fork(adder, NULL);
}

static void deleted_mapping_setup(void)
{
	fd = make_deleted(cr_path("gone"), "gone");
	share_deleted();
}

static void deleted_shm_mapping_setup(void)
{
	fd = make_deleted(shm_path(), "gone");
	share_deleted();
}

static void deleted_mapping_check(enum cr_phase phase)
{
	static char maps[65536];

	CHECK_PATTERN(mem + 2 * page_size, page_size, 8);
	CHECK_PATTERN(private + page_size, page_size, 9);
	CHECK_MEM(mem + 1, "one", 3);
	*mem = 5;
	cr_set(&both->turn, 1);
	cr_await(&both->turn, 0);
	CHECK_EQ(*mem, 6);
	CHECK_EQ(*private, 6);
	*mem = 'g';
	NEED(cr_slurp("/proc/self/maps", maps, sizeof(maps)) > 0);
	CHECK(strstr(maps, name));
}

/* The program itself has been replaced by a new version. */
static void run_copy(const char *path)
{
	int n = open(path, O_WRONLY | O_CREAT | O_EXCL, 0755);
	pid_t pid;

	snprintf(name, sizeof(name), "%s (deleted)", path);
	NEED(n >= 0);
	copy_self(n);
	NEED(!close(n));
	both = cr_shared(sizeof(*both));
	pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		cr_here(&both->task);
		execl(path, "copy", "wait", NULL);
		_exit(errno);
	}
	both->turn = pid;
	/* It deletes itself when it runs. */
	while (!access(path, F_OK))
		cr_msleep(2);
}

static void deleted_program_setup(void)
{
	run_copy(cr_path("program"));
}

static void deleted_shm_program_setup(void)
{
	run_copy(shm_path());
}

static void deleted_program_check(enum cr_phase phase)
{
	char path[96], target[256];
	ssize_t len;
	int n;

	snprintf(path, sizeof(path), "/proc/%s/exe", both->task.proc);
	len = readlink(path, target, sizeof(target) - 1);
	NEED(len > 0);
	target[len] = '\0';
	CHECK_STR(target, name);
	/* It is being executed: nobody writes to it. */
	n = open(path, O_WRONLY);
	CHECK_EQ(n, -1);
	CHECK_EQ(errno, ETXTBSY);
	n = open(path, O_RDONLY);
	CHECK(n >= 0);
	CHECK_EQ(pread(n, target, 4, 0), 4);
	CHECK_MEM(target, "\177ELF", 4);
	close(n);
	CHECK_EQ(kill(both->turn, 0), 0);
}

/* Never had a name, and may be given one. */
static void tmpfile_setup(void)
{
	fd = open(cr_dir, O_TMPFILE | O_RDWR, 0600);
	if (fd < 0 && cr_unsupported(errno))
		cr_skip("no O_TMPFILE");
	NEED(fd >= 0);
	put(fd, 0, 3);
	second = open(cr_dir, O_TMPFILE | O_RDWR | O_EXCL, 0600);
	NEED(second >= 0);
}

static void tmpfile_check(enum cr_phase phase)
{
	char path[64];

	CHECK_EQ(fcntl(fd, F_GETFL), O_TMPFILE | O_RDWR | largefile);
	check_put(fd, 0, 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", second);
	CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, cr_path("linked"),
			AT_SYMLINK_FOLLOW), -1);
	CHECK_EQ(errno, ENOENT);
	if (phase != CR_AGAIN)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, cr_path("linked"),
			AT_SYMLINK_FOLLOW), 0);
	CHECK_EQ(unlink(cr_path("linked")), 0);
}

static void linked_setup(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s", cr_path("elsewhere"));
	fd = open(cr_path("gone"), O_RDWR | O_CREAT, 0600);
	NEED(fd >= 0 && write(fd, "gone", 4) == 4);
	NEED(!link(cr_path("gone"), path) && !unlink(cr_path("gone")));
}

static void linked_check(enum cr_phase phase)
{
	char buf[8] = "";

	CHECK_EQ(pread(fd, buf, 4, 0), 4);
	CHECK_STR(buf, "gone");
}

static void directory_setup(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s", cr_path("folder"));
	NEED(!mkdir(path, 0700));
	fd = open(cr_path("folder/gone"), O_RDWR | O_CREAT, 0600);
	NEED(fd >= 0 && write(fd, "gone", 4) == 4);
	NEED(!unlink(cr_path("folder/gone")) && !rmdir(path));
}

static const struct cr_scenario scenarios[] = {
	{ "memfd.content", CR_ANY, memfd_setup, memfd_check },
	{ "memfd.mapped", CR_TREE, mapped_setup, mapped_check },
	{ "memfd.only_mapped", CR_TREE, only_mapped_setup,
	  only_mapped_check },
	{ "memfd.reopened", CR_ANY, reopened_setup, reopened_check },
	{ "memfd.sealed", CR_ANY, sealed_setup, sealed_check },
	{ "memfd.sealed_for_the_future", CR_ANY, future_setup, future_check },
	{ "memfd.noexec", CR_ANY, noexec_setup, noexec_check },
	{ "memfd.program", CR_ANY, runnable_setup, runnable_check },
	{ "deleted.file", CR_ANY, deleted_setup, deleted_check },
	{ "deleted.file_in_memory", CR_ANY, deleted_shm_setup,
	  deleted_check },
	{ "deleted.replaced", CR_ANY, replaced_setup, replaced_check },
	{ "deleted.mapping", CR_TREE, deleted_mapping_setup,
	  deleted_mapping_check },
	{ "deleted.mapping_in_memory", CR_TREE, deleted_shm_mapping_setup,
	  deleted_mapping_check },
	{ "deleted.program", CR_SUBTREE, deleted_program_setup,
	  deleted_program_check },
	{ "deleted.program_in_memory", CR_SUBTREE, deleted_shm_program_setup,
	  deleted_program_check },
	{ "deleted.never_named", CR_ANY, tmpfile_setup, tmpfile_check },
	{ "deleted.has_another_name", CR_TREE, linked_setup, linked_check,
	  CR_REFUSED, "has another name" },
	{ "deleted.with_its_directory", CR_TREE, directory_setup,
	  linked_check, CR_REFUSED, "deleted" },
};

int main(int argc, char **argv)
{
	int n;

	page_size = sysconf(_SC_PAGESIZE);
	/* What runs a copy of this program */
	if (argc == 2 && !strcmp(argv[1], "exit"))
		return 42;
	if (argc == 2 && !strcmp(argv[1], "wait")) {
		char path[256];
		ssize_t len = readlink("/proc/self/exe", path,
				       sizeof(path) - 1);

		if (len < 0)
			return 1;
		path[len] = '\0';
		unlink(path);
		for (;;)
			pause();
	}
	n = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	largefile = fcntl(n, F_GETFL) & ~O_ACCMODE & ~O_DIRECTORY;
	close(n);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
