// SPDX-License-Identifier: GPL-2.0
/* Open files and directories, descriptor tables, and a task's place. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/sched.h>

#include "cr.h"

#define LEN	10000

static unsigned char data[LEN];
static int fd, other;

static int make(const char *name, int flags)
{
	int n;

	cr_pattern(data, LEN, 1);
	cr_write_file(cr_path(name), data, LEN);
	n = open(cr_path(name), flags);
	NEED(n >= 0);
	return n;
}

static off_t tell(int n)
{
	return lseek(n, 0, SEEK_CUR);
}

/* Reads and goes back. */
static void check_bytes(int n, off_t offset, size_t len)
{
	unsigned char buf[LEN];

	CHECK_EQ(read(n, buf, len), len);
	CHECK_MEM(buf, data + offset, len);
	CHECK_EQ(lseek(n, offset, SEEK_SET), offset);
}

static void offset_setup(void)
{
	fd = make("file", O_RDONLY);
	NEED(lseek(fd, 4321, SEEK_SET) == 4321);
}

static void offset_check(enum cr_phase phase)
{
	CHECK_EQ(tell(fd), 4321);
	check_bytes(fd, 4321, 100);
	CHECK_EQ(write(fd, "x", 1), -1);
	CHECK_EQ(errno, EBADF);
}

/* Far beyond the end, beyond 32 bits: it is only a number. */
#define FAR	(5LL << 40)

static void far_offset_setup(void)
{
	fd = make("file", O_RDWR);
	NEED(lseek(fd, FAR, SEEK_SET) == FAR);
}

static void far_offset_check(enum cr_phase phase)
{
	char c;

	CHECK_EQ(tell(fd), FAR);
	CHECK_EQ(read(fd, &c, 1), 0);
}

static const struct {
	const char *name;
	int flags;
} modes[] = {
	{ "r", O_RDONLY },
	{ "w", O_WRONLY },
	{ "rw", O_RDWR },
	{ "append", O_WRONLY | O_APPEND },
	{ "nonblock", O_RDWR | O_NONBLOCK },
	{ "dsync", O_RDWR | O_DSYNC },
	{ "sync", O_RDWR | O_SYNC },
	{ "noatime", O_RDONLY | O_NOATIME },
};

static int mode_fds[ARRAY_SIZE(modes)], modes_were[ARRAY_SIZE(modes)];

static void modes_setup(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		mode_fds[i] = make(modes[i].name, modes[i].flags);
		modes_were[i] = fcntl(mode_fds[i], F_GETFL);
		CHECK_EQ(modes_were[i] & modes[i].flags, modes[i].flags);
	}
}

static void modes_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		CHECK_EQ(fcntl(mode_fds[i], F_GETFL), modes_were[i]);
}

/* O_CREAT, O_EXCL and O_TRUNC belong to the opening, not to the file. */
static void created_setup(void)
{
	fd = open(cr_path("new"), O_RDWR | O_CREAT | O_EXCL | O_TRUNC, 0640);
	NEED(fd >= 0);
	cr_pattern(data, LEN, 1);
	NEED(write(fd, data, LEN) == LEN);
}

static void created_check(enum cr_phase phase)
{
	struct stat st;

	CHECK_EQ(tell(fd), LEN);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	check_bytes(fd, 0, LEN);
	CHECK_EQ(lseek(fd, LEN, SEEK_SET), LEN);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, LEN);
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
}

static void append_setup(void)
{
	fd = make("file", O_RDWR | O_APPEND);
}

static void append_check(enum cr_phase phase)
{
	struct stat st;

	CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
	CHECK_EQ(write(fd, "end", 3), 3);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(tell(fd), st.st_size);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	check_bytes(fd, 0, LEN);
}

/* Numbers with gaps between them, close-on-exec by number. */
static const int numbers[] = { 3, 57, 58, 200, 1000 };

static void numbers_setup(void)
{
	size_t i;

	fd = make("file", O_RDONLY);
	NEED(fd == 3);
	for (i = 1; i < ARRAY_SIZE(numbers); i++)
		NEED(dup3(fd, numbers[i], i % 2 ? O_CLOEXEC : 0) ==
		     numbers[i]);
}

static void numbers_check(enum cr_phase phase)
{
	size_t i;
	int n, flags;

	for (n = 3; n < 1024; n++) {
		flags = -1;
		for (i = 0; i < ARRAY_SIZE(numbers); i++)
			if (n == numbers[i])
				flags = i % 2 ? FD_CLOEXEC : 0;
		CHECK_EQ(fcntl(n, F_GETFD), flags);
	}
	/* The lowest free number is the next one. */
	n = dup(3);
	CHECK_EQ(n, 4);
	close(n);
}

/* Many files, each with its own offset, and each twice. */
#define MANY	300

static void many_setup(void)
{
	char name[16];
	int i, n;

	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		n = make(name, O_RDONLY);
		NEED(dup2(n, 700 + i) == 700 + i);
		NEED(lseek(n, i, SEEK_SET) == i);
		if (!i)
			fd = n;
		NEED(n == fd + i);
	}
}

static void many_check(enum cr_phase phase)
{
	int i;

	for (i = 0; i < MANY; i++) {
		CHECK_EQ(tell(fd + i), i);
		CHECK_EQ(lseek(700 + i, 2 * i + 1, SEEK_SET), 2 * i + 1);
		CHECK_EQ(tell(fd + i), 2 * i + 1);
		CHECK_EQ(lseek(fd + i, i, SEEK_SET), i);
	}
}

/* Duplicates are one open file, a second open() is another one. */
static void dup_setup(void)
{
	fd = make("file", O_RDWR);
	other = open(cr_path("file"), O_RDWR);
	NEED(dup2(fd, 40) == 40 && other >= 0);
}

static void dup_check(enum cr_phase phase)
{
	CHECK_EQ(lseek(fd, 100 + phase, SEEK_SET), 100 + phase);
	CHECK_EQ(tell(40), 100 + phase);
	CHECK_EQ(tell(other), 0);
	CHECK_EQ(fcntl(40, F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(other, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(fcntl(fd, F_SETFL, 0), 0);
	CHECK_EQ(fcntl(40, F_GETFL) & O_NONBLOCK, 0);
}

/* A child that runs one request at a time. */
struct request {
	int turn;
	void (*fn)(void);
	long result;
};

static struct request *request;
static pid_t child;

static void worker(void *arg)
{
	for (;;) {
		if (cr_get(&request->turn) == 1) {
			request->fn();
			cr_set(&request->turn, 0);
		}
		cr_msleep(2);
	}
}

static long in_child(void (*fn)(void))
{
	request->fn = fn;
	cr_set(&request->turn, 1);
	cr_await(&request->turn, 0);
	return request->result;
}

static void start_worker(void)
{
	request = cr_shared(sizeof(*request));
	child = cr_fork(worker, NULL);
}

static void child_reads_10(void)
{
	char buf[10];

	request->result = read(fd, buf, sizeof(buf));
}

static void forked_setup(void)
{
	fd = make("file", O_RDONLY);
	start_worker();
}

static void forked_check(enum cr_phase phase)
{
	CHECK_EQ(lseek(fd, 500, SEEK_SET), 500);
	CHECK_EQ(in_child(child_reads_10), 10);
	CHECK_EQ(tell(fd), 510);
	CHECK_EQ(in_child(child_reads_10), 10);
	CHECK_EQ(tell(fd), 520);
}

static void child_closes(void)
{
	request->result = close(fd);
}

static void child_opens(void)
{
	request->result = open(cr_path("file"), O_RDONLY);
}

/* After fork() the files are shared, the numbers are not. */
static void own_table_check(enum cr_phase phase)
{
	CHECK_EQ(in_child(child_closes), 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(in_child(child_opens), fd);
	CHECK_EQ(lseek(fd, 600, SEEK_SET), 600);
	CHECK_EQ(in_child(child_reads_10), 10);
	CHECK_EQ(tell(fd), 600);
}

/* With CLONE_FILES there is one table. */
static void shared_table_setup(void)
{
	struct clone_args args = {
		.flags = CLONE_FILES,
		.exit_signal = SIGCHLD,
	};

	fd = make("file", O_RDONLY);
	request = cr_shared(sizeof(*request));
	child = syscall(SYS_clone3, &args, sizeof(args));
	NEED(child >= 0);
	if (!child)
		worker(NULL);
}

static void shared_table_check(enum cr_phase phase)
{
	CHECK_EQ(in_child(child_closes), 0);
	CHECK_EQ(fcntl(fd, F_GETFD), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(in_child(child_opens), fd);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	check_bytes(fd, 0, 20);
}

/* A directory is read on from where it was. */
#define ENTRIES	300

static unsigned char seen[ENTRIES];

static void read_entries(int n, unsigned char *marks, size_t size)
{
	static uint64_t buf[512];
	struct dirent64 *entry;
	long len, at;

	len = syscall(SYS_getdents64, n, buf, size);
	CHECK(len >= 0);
	for (at = 0; at < len; at += entry->d_reclen) {
		entry = (void *)((char *)buf + at);
		if (!strncmp(entry->d_name, "entry", 5))
			marks[atoi(entry->d_name + 5)]++;
	}
}

static void directory_setup(void)
{
	char name[32];
	int i;

	NEED(!mkdir(cr_path("sub"), 0755));
	for (i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "sub/entry%d", i);
		cr_write_file(cr_path(name), "", 0);
	}
	fd = open(cr_path("sub"), O_RDONLY | O_DIRECTORY);
	NEED(fd >= 0);
	read_entries(fd, seen, 2000);
}

/* Each look reads a part; at the end each entry was seen just once. */
static void directory_check(enum cr_phase phase)
{
	int i, round, missing = 0, twice = 0;

	read_entries(fd, seen, 2000);
	if (phase != CR_AGAIN)
		return;
	for (i = 0; i < ENTRIES; i++)
		missing += !seen[i];
	CHECK(missing > 0);
	for (round = 0; round < 100; round++)
		read_entries(fd, seen, 2000);
	missing = 0;
	for (i = 0; i < ENTRIES; i++) {
		missing += !seen[i];
		twice += seen[i] > 1;
	}
	CHECK_EQ(missing, 0);
	CHECK_EQ(twice, 0);
}

static void path_fd_setup(void)
{
	make("file", O_RDONLY);
	fd = open(cr_path("file"), O_PATH);
	NEED(fd >= 0);
}

static void path_fd_check(enum cr_phase phase)
{
	struct stat st, want;
	char c;

	CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	CHECK_EQ(read(fd, &c, 1), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(fstat(fd, &st), 0);
	NEED(!stat(cr_path("file"), &want));
	CHECK_EQ(st.st_ino, want.st_ino);
}

/* A file that got another name after it was opened. */
static void renamed_setup(void)
{
	fd = make("old", O_RDWR);
	NEED(!rename(cr_path("old"), cr_path("name with space\n")));
	cr_write_file(cr_path("old"), "other", 5);
}

static void renamed_check(enum cr_phase phase)
{
	struct stat st;

	check_bytes(fd, 0, LEN);
	NEED(!stat(cr_path("name with space\n"), &st));
	CHECK_EQ(st.st_size, LEN);
}

/* /dev/null, zero, full, random and urandom. */
static int devices[5];

static void devices_setup(void)
{
	static const char * const names[] = {
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		"/dev/urandom",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		devices[i] = open(names[i], i < 3 ? O_RDWR : O_RDONLY);
		NEED(devices[i] >= 0);
	}
}

static void devices_check(enum cr_phase phase)
{
	static const unsigned char zero[64];
	unsigned char a[64], b[64];
	size_t i;

	CHECK_EQ(read(devices[0], a, sizeof(a)), 0);
	CHECK_EQ(write(devices[0], a, sizeof(a)), sizeof(a));
	CHECK_EQ(read(devices[1], a, sizeof(a)), sizeof(a));
	CHECK_MEM(a, zero, sizeof(a));
	CHECK_EQ(write(devices[2], a, 1), -1);
	CHECK_EQ(errno, ENOSPC);
	for (i = 3; i < 5; i++) {
		CHECK_EQ(read(devices[i], a, sizeof(a)), sizeof(a));
		CHECK_EQ(read(devices[i], b, sizeof(b)), sizeof(b));
		CHECK(memcmp(a, b, sizeof(a)));
	}
}

/* Where a task is, and what it takes off the modes of new files. */
static void check_cwd(const char *want)
{
	char buf[PATH_MAX] = "";

	CHECK(syscall(SYS_getcwd, buf, sizeof(buf)) > 0);
	CHECK_STR(buf, want);
}

static void cwd_setup(void)
{
	NEED(!mkdir(cr_path("a"), 0755) && !mkdir(cr_path("a/b"), 0755));
	NEED(!chdir(cr_path("a/b")));
}

static void cwd_check(enum cr_phase phase)
{
	check_cwd(cr_path("a/b"));
	CHECK_EQ(access("../../a", F_OK), 0);
}

static struct stat root_was;

static void chroot_setup(void)
{
	NEED(!mkdir(cr_path("inner"), 0755) &&
	     !mkdir(cr_path("inner/deep"), 0755));
	NEED(!chroot(cr_dir) && !chdir("/inner/deep"));
	cr_dir = "";
	NEED(!stat("/", &root_was));
}

static void chroot_check(enum cr_phase phase)
{
	struct stat st;

	CHECK_EQ(stat("/", &st), 0);
	CHECK_EQ(st.st_ino, root_was.st_ino);
	CHECK_EQ(st.st_dev, root_was.st_dev);
	CHECK_EQ(access("/inner/deep", F_OK), 0);
	CHECK_EQ(access("/proc/self", F_OK), -1);
	check_cwd("/inner/deep");
}

static void umask_setup(void)
{
	umask(0157);
}

static void umask_check(enum cr_phase phase)
{
	struct stat st;

	cr_write_file(cr_path("mode"), "", 0);
	CHECK_EQ(stat(cr_path("mode"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0666 & ~0157);
	NEED(!unlink(cr_path("mode")));
	CHECK_EQ(umask(0157), 0157);
}

/* With CLONE_FS they are in one place. */
static void child_moves(void)
{
	static int turn;

	request->result = chdir(cr_path(turn++ % 2 ? "a" : "a/b"));
}

static void shared_fs_setup(void)
{
	struct clone_args args = {
		.flags = CLONE_FS,
		.exit_signal = SIGCHLD,
	};

	NEED(!mkdir(cr_path("a"), 0755) && !mkdir(cr_path("a/b"), 0755));
	request = cr_shared(sizeof(*request));
	child = syscall(SYS_clone3, &args, sizeof(args));
	NEED(child >= 0);
	if (!child)
		worker(NULL);
}

static void shared_fs_check(enum cr_phase phase)
{
	CHECK_EQ(in_child(child_moves), 0);
	check_cwd(cr_path("a/b"));
	CHECK_EQ(in_child(child_moves), 0);
	check_cwd(cr_path("a"));
}

static const struct cr_scenario scenarios[] = {
	{ "file.offset", CR_ANY, offset_setup, offset_check },
	{ "file.far_offset", CR_ANY, far_offset_setup, far_offset_check },
	{ "file.flags", CR_ANY, modes_setup, modes_check },
	{ "file.created", CR_ANY, created_setup, created_check },
	{ "file.append", CR_ANY, append_setup, append_check },
	{ "file.renamed", CR_ANY, renamed_setup, renamed_check },
	{ "file.path_only", CR_ANY, path_fd_setup, path_fd_check },
	{ "file.memory_devices", CR_ANY, devices_setup, devices_check },
	{ "file.directory", CR_TREE, directory_setup, directory_check },
	{ "descriptor.numbers", CR_TREE, numbers_setup, numbers_check },
	{ "descriptor.many", CR_TREE, many_setup, many_check },
	{ "descriptor.dup", CR_ANY, dup_setup, dup_check },
	{ "descriptor.shared_offset", CR_TREE, forked_setup, forked_check },
	{ "descriptor.own_table", CR_TREE, forked_setup, own_table_check },
	{ "descriptor.shared_table", CR_TREE, shared_table_setup,
	  shared_table_check },
	{ "place.cwd", CR_ANY, cwd_setup, cwd_check },
	{ "place.chroot", CR_TREE, chroot_setup, chroot_check },
	{ "place.umask", CR_ANY, umask_setup, umask_check },
	{ "place.shared", CR_TREE, shared_fs_setup, shared_fs_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
