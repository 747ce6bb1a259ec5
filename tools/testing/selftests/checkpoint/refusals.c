// SPDX-License-Identifier: GPL-2.0
/*
 * What cannot be brought back exactly is refused, by name, and the tree that
 * was looked at goes on undisturbed. What is learned later moves from here to
 * the scenarios that bring it back.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "cr.h"

static int fd;

/* Each look finds what setup() has made still at work. */
static void fd_check(enum cr_phase phase)
{
	CHECK(fcntl(fd, F_GETFD) >= 0);
}

static void need_fd(const char *what)
{
	if (fd < 0 && cr_unsupported(errno))
		cr_skip("%s: %s", what, strerror(errno));
	NEED(fd >= 0);
}

/* Files of kinds that are not known */
static void inotify_setup(void)
{
	fd = inotify_init();
	need_fd("inotify");
	NEED(inotify_add_watch(fd, cr_dir, IN_CREATE) > 0);
}

static void inotify_check(enum cr_phase phase)
{
	char buf[512];

	cr_write_file(cr_path("new"), "", 0);
	CHECK(read(fd, buf, sizeof(buf)) > 0);
	NEED(!unlink(cr_path("new")));
}

static void fanotify_setup(void)
{
	fd = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
	need_fd("fanotify");
}

static void io_uring_setup(void)
{
	struct io_uring_params params = { };

	fd = syscall(SYS_io_uring_setup, 4, &params);
	need_fd("io_uring");
}

/* What this task and those that it makes may do with it: nothing any more */
static int limit_io_uring(void)
{
	struct {
		uint16_t flags, count;
		uint32_t reserved[3];
	} none = { };

	return syscall(SYS_io_uring_register, -1, IORING_REGISTER_RESTRICTIONS,
		       &none, 1);
}

static void io_uring_limits_setup(void)
{
	if (limit_io_uring())
		cr_skip("no limits of io_uring for tasks");
}

static void io_uring_limits_check(enum cr_phase phase)
{
	/* Not even that is allowed any more. */
	CHECK_EQ(limit_io_uring(), -1);
	CHECK_EQ(errno, EACCES);
}

static void perf_setup(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
	};

	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	need_fd("perf_event_open");
}

static void userfaultfd_setup(void)
{
	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	need_fd("userfaultfd");
}

static void proc_setup(void)
{
	fd = open("/proc/self/maps", O_RDONLY);
	need_fd("/proc");
}

/* A socket, of a family that need not be there otherwise */
static void netlink_setup(void)
{
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	need_fd("netlink");
}

/* Files without a name, or with a claim on them */
static int make(const char *name)
{
	int n = open(cr_path(name), O_RDWR | O_CREAT | O_TRUNC, 0600);

	NEED(n >= 0);
	NEED(write(n, name, strlen(name)) == (ssize_t)strlen(name));
	return n;
}

static char *mapped;

static void deleted_cwd_setup(void)
{
	NEED(!mkdir(cr_path("gone"), 0755) && !chdir(cr_path("gone")));
	NEED(!rmdir(cr_path("gone")));
}

static void deleted_cwd_check(enum cr_phase phase)
{
	struct stat st;

	CHECK_EQ(stat(".", &st), 0);
	CHECK_EQ(st.st_nlink, 0);
}

static void lease_setup(void)
{
	fd = make("leased");
	NEED(!fcntl(fd, F_SETLEASE, F_WRLCK));
}

static void lease_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
}

static void owner_setup(void)
{
	fd = make("owned");
	NEED(!fcntl(fd, F_SETOWN, getpid()));
}

static void owner_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
}

/* Mappings */
static void perf_mapping_setup(void)
{
	perf_setup();
	mapped = mmap(NULL, 2 * sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED,
		      fd, 0);
	NEED(mapped != MAP_FAILED);
	NEED(!close(fd));
}

static void mapping_check(enum cr_phase phase)
{
	CHECK_EQ(msync(mapped, 1, MS_ASYNC), 0);
}

static void secret_setup(void)
{
	fd = syscall(SYS_memfd_secret, 0);
	need_fd("memfd_secret");
	NEED(!ftruncate(fd, 4096));
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(mapped != MAP_FAILED);
	NEED(!close(fd));
	memcpy(mapped, "secret", 7);
}

static void secret_check(enum cr_phase phase)
{
	CHECK_STR(mapped, "secret");
}

/* Keyrings */
static void session_keyring_setup(void)
{
	long ret = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "cr-test");

	if (ret < 0 && cr_unsupported(errno))
		cr_skip("no keyrings");
	NEED(ret > 0);
}

static void process_keyring_setup(void)
{
	long ret = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
			   KEY_SPEC_PROCESS_KEYRING, 1);

	if (ret < 0 && cr_unsupported(errno))
		cr_skip("no keyrings");
	NEED(ret > 0);
}

static void keyring_check(enum cr_phase phase)
{
	CHECK(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
		      KEY_SPEC_SESSION_KEYRING, 0) > 0);
}

/* What has been done to a task, or by it */
static void pause_child(void *arg)
{
	for (;;)
		pause();
}

static pid_t child;

static void posix_queue_setup(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	mqd_t queue = mq_open("/cr", O_CREAT | O_EXCL | O_RDWR, 0600, &attr);

	if (queue == (mqd_t)-1 && cr_unsupported(errno))
		cr_skip("no POSIX message queues");
	NEED(queue != (mqd_t)-1);
	NEED(!mq_close(queue));
}

static void posix_queue_check(enum cr_phase phase)
{
	mqd_t queue = mq_open("/cr", O_RDWR);

	CHECK(queue != (mqd_t)-1);
	CHECK_EQ(mq_close(queue), 0);
}

static void sem_undo_setup(void)
{
	struct sembuf op = { .sem_op = 1, .sem_flg = SEM_UNDO };

	fd = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	if (fd < 0 && cr_unsupported(errno))
		cr_skip("no SysV semaphores");
	NEED(fd >= 0);
	NEED(!semop(fd, &op, 1));
}

/* Gone with the undo, but for what is not in a namespace of its own. */
static void sem_undo_check(enum cr_phase phase)
{
	CHECK_EQ(semctl(fd, 0, GETVAL), 1);
	if (phase == CR_AFTER)
		CHECK_EQ(semctl(fd, 0, IPC_RMID), 0);
}

/* A child in a namespace that cannot be made again */
static void unshare_in_child(int flags)
{
	int *ready = cr_shared(sizeof(*ready));

	child = fork();
	NEED(child >= 0);
	if (!child) {
		cr_set(ready, unshare(flags) ? 2 : 1);
		pause_child(NULL);
	}
	while (!cr_get(ready))
		cr_msleep(2);
	if (cr_get(ready) == 2)
		cr_skip("no such namespace");
}

static void mount_ns_setup(void)
{
	unshare_in_child(CLONE_NEWNS);
}

static void net_ns_setup(void)
{
	unshare_in_child(CLONE_NEWNET);
}

static void child_check(enum cr_phase phase)
{
	CHECK_EQ(kill(child, 0), 0);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
}

/* Confined, and reaped by the kernel */
struct ruleset {
	uint64_t files, net, scoped;
};

static void landlock_setup(void)
{
	struct ruleset rules = { .files = 1ULL << 12 /* MAKE_SYM */ };

	fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	need_fd("Landlock");
	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	NEED(!syscall(SYS_landlock_restrict_self, fd, 0));
	close(fd);
}

static void landlock_check(enum cr_phase phase)
{
	CHECK_EQ(symlink("a", cr_path("b")), -1);
	CHECK_EQ(errno, EACCES);
}

#define AUTOREAP	0x400000000ULL
#define AUTOKILL	0x1000000000ULL

struct clone_args_2 {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack,
		 stack_size, tls;
};

static void clone_child(uint64_t flags)
{
	struct clone_args_2 args = { .flags = flags,
				     .pidfd = (uintptr_t)&fd };

	child = syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0)
		cr_skip("no such flags of clone3()");
	if (!child)
		pause_child(NULL);
}

static void autoreap_setup(void)
{
	clone_child(AUTOREAP);
}

static void autokill_setup(void)
{
	clone_child(AUTOREAP | AUTOKILL | CLONE_PIDFD);
}

static void alive_check(enum cr_phase phase)
{
	CHECK_EQ(kill(child, 0), 0);
}

/* Files that cannot be made again as they were */
static void async_setup(void)
{
	int fds[2];

	NEED(!pipe(fds));
	fd = fds[0];
	NEED(!fcntl(fd, F_SETFL, O_ASYNC));
}

static void async_check(enum cr_phase phase)
{
	CHECK(fcntl(fd, F_GETFL) & O_ASYNC);
}

static void deleted_fifo_setup(void)
{
	NEED(!mkfifo(cr_path("fifo"), 0600));
	fd = open(cr_path("fifo"), O_RDWR);
	NEED(fd >= 0);
	NEED(!unlink(cr_path("fifo")));
}

static void deleted_program_setup(void)
{
	fd = open(cr_path("program"), O_RDWR | O_CREAT, 0700);
	NEED(fd >= 0);
	NEED(!fchmod(fd, 04700));
	NEED(!unlink(cr_path("program")));
}

static void device_setup(void)
{
	fd = open("/dev/kmsg", O_RDONLY);
	need_fd("/dev/kmsg");
}

/* EPIOCSPARAMS; the structure is newer than the C library. */
static void busy_polling_setup(void)
{
	struct {
		uint32_t usecs;
		uint16_t budget;
		uint8_t prefer, pad;
	} params = { .usecs = 10, .budget = 8 };

	fd = epoll_create1(0);
	NEED(fd >= 0);
	if (ioctl(fd, _IOW(0x8a, 1, params), &params))
		cr_skip("no parameters of epoll");
}

/* SysV objects of somebody who is no container */
static void own_ipc_setup(void)
{
	if (unshare(CLONE_NEWIPC))
		cr_skip("no namespaces of IPC");
	NEED(shmget(IPC_PRIVATE, 4096, 0600) >= 0);
}

static void own_ipc_check(enum cr_phase phase)
{
	CHECK(access("/dev/null", F_OK) == 0);
}

/* A tracer that is not in the tree */
static void tracer_setup(void)
{
}

static void tracer_drive(struct cr_run *run)
{
	char path[80];
	pid_t tracer;
	long ret;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	snprintf(path, sizeof(path), "%s/traced", run->dir);
	tracer = fork();
	if (!tracer) {
		if (!ptrace(PTRACE_SEIZE, run->root, 0, 0))
			cr_write_file(path, "", 0);
		pause_child(NULL);
	}
	while (access(path, F_OK) && !waitpid(tracer, NULL, WNOHANG))
		cr_msleep(2);
	ret = cr_try_checkpoint(run, "image", 0);
	if (ret != -CR_REFUSED)
		cr_failed(run, "checkpoint of a traced task gave %ld", ret);
	if (!cr_log_has(run, "outside of the tree"))
		cr_failed(run, "the log does not name the tracer");
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	cr_check(run, CR_AFTER);
}

/*
 * Leaks: the container shares something with the driver, which could not have
 * it again after a restart.
 */
static int leak_pipe(struct cr_run *run)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC)) {
		cr_failed(run, "no pipe");
		return -1;
	}
	return fds[1];
}

static void inherited_setup(void)
{
	fd = CR_INHERITED_FD;
	NEED(fcntl(fd, F_GETFD) >= 0);
}

static void leak_pipe_check(enum cr_phase phase)
{
	CHECK_EQ(write(fd, "x", 1), 1);
}

static int leak_file(struct cr_run *run)
{
	char path[80];
	int n;

	snprintf(path, sizeof(path), "%s/shared-file", run->dir);
	n = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (n < 0)
		cr_failed(run, "no file");
	return n;
}

/*
 * An opening of one's own, of what has no name and of what has one. As long as
 * it lasts there is a leak, and no longer.
 */
static void own_pipe_setup(void)
{
	int fds[2];

	NEED(!pipe(fds) && fds[1] == 4);
	fd = fds[1];
}

static void own_fifo_setup(void)
{
	NEED(!mkfifo(cr_path("fifo"), 0600));
	fd = open(cr_path("fifo"), O_RDWR);
	NEED(fd >= 0);
}

static void while_open(struct cr_run *run, const char *path, const char *name)
{
	int n = open(path, O_WRONLY | O_CLOEXEC);
	long ret;

	if (n < 0)
		return cr_failed(run, "cannot open %s", path);
	ret = cr_try_checkpoint(run, "image", 0);
	if (ret != -EBUSY)
		cr_failed(run, "checkpoint beside a leak gave %ld", ret);
	if (!cr_log_has(run, name))
		cr_failed(run, "the log does not name '%s'", name);
	close(n);
	(void)(cr_check(run, CR_AFTER) && cr_checkpoint(run, "image", 0) &&
	       cr_check(run, CR_AFTER));
}

static void leak_pipe_drive(struct cr_run *run)
{
	char path[80];

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/4", run->root);
	while_open(run, path, "pipe");
}

static void leak_fifo_drive(struct cr_run *run)
{
	char path[80];

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	snprintf(path, sizeof(path), "%s/fifo", run->dir);
	while_open(run, path, "fifo");
}

static void *shared;

static void shared_memory_setup(void)
{
	shared = cr_shared(4096);
	cr_pattern(shared, 4096, 6);
}

static void shared_memory_check(enum cr_phase phase)
{
	CHECK_PATTERN(shared, 4096, 6);
}

/* Opens the first shared memory without a name that a process has mapped. */
static int open_shared_memory(const char *pid)
{
	char path[128], line[512], range[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	file = fopen(path, "re");
	*path = 0;
	while (file && !*path && fgets(line, sizeof(line), file))
		if (strstr(line, "/dev/zero (deleted)") &&
		    sscanf(line, "%63s", range) == 1)
			snprintf(path, sizeof(path), "/proc/%s/map_files/%s",
				 pid, range);
	if (file)
		fclose(file);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void private_of_shared_setup(void)
{
	void *at;
	int n;

	shared_memory_setup();
	n = open_shared_memory("self");
	if (n < 0)
		cr_skip("no /proc/PID/map_files");
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, n, 0);
	NEED(at != MAP_FAILED);
	close(n);
	*(char *)at = 1;
}

static void leak_shared_memory_drive(struct cr_run *run)
{
	char pid[16];
	long ret;
	void *at;
	int n;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	snprintf(pid, sizeof(pid), "%d", run->root);
	n = open_shared_memory(pid);
	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, n, 0);
	close(n);
	if (at == MAP_FAILED)
		return cr_failed(run, "cannot map the memory of the tree");
	ret = cr_try_checkpoint(run, "image", 0);
	if (ret != -EBUSY || !cr_log_has(run, "shared memory without a name"))
		cr_failed(run, "checkpoint beside a leak gave %ld", ret);
	munmap(at, 4096);
	(void)(cr_check(run, CR_AFTER) && cr_checkpoint(run, "image", 0) &&
	       cr_check(run, CR_AFTER));
}

/* A caller whose root directory is below what the tree uses. */
static long checkpoint_from(struct cr_run *run, const char *root)
{
	char image[96], log[96];
	int fd, logfd, status;
	pid_t pid;

	snprintf(image, sizeof(image), "%s/image", run->dir);
	snprintf(log, sizeof(log), "%s/log", run->dir);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		fd = open(image, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		logfd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || logfd < 0 || chroot(root) || chdir("/"))
			_exit(255);
		_exit(sys_checkpoint(run->root, fd, cr_mode_flags(run->mode),
				     logfd) < 0 ? errno : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return -WEXITSTATUS(status);
}

static void below_drive(struct cr_run *run)
{
	char root[80];
	long ret;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	snprintf(root, sizeof(root), "%s/root", run->dir);
	if (mkdir(root, 0700))
		return cr_failed(run, "no directory");
	ret = checkpoint_from(run, root);
	if (ret != -EXDEV)
		cr_failed(run, "checkpoint from another root gave %ld", ret);
	if (!cr_log_has(run, "cannot be reached from the root directory"))
		cr_failed(run, "the log does not say why");
	cr_check(run, CR_AFTER);
}

static const struct cr_scenario scenarios[] = {
#define REFUSED(name, setup, check, text) \
	{ "refused." name, CR_TREE, setup, check, CR_REFUSED, text }
	REFUSED("inotify", inotify_setup, inotify_check, "inotify"),
	REFUSED("fanotify", fanotify_setup, fd_check, "fanotify"),
	REFUSED("io_uring", io_uring_setup, fd_check, "io_uring"),
	REFUSED("io_uring_limits", io_uring_limits_setup, io_uring_limits_check,
		"IORING_REGISTER_RESTRICTIONS"),
	REFUSED("perf_event", perf_setup, fd_check, "perf"),
	REFUSED("userfaultfd", userfaultfd_setup, fd_check, "userfault"),
	REFUSED("proc_file", proc_setup, fd_check, "/maps"),
	REFUSED("netlink_socket", netlink_setup, fd_check, "not supported"),
	REFUSED("deleted_cwd", deleted_cwd_setup, deleted_cwd_check, "/gone"),
	REFUSED("lease", lease_setup, lease_check, "lease"),
	REFUSED("owner", owner_setup, owner_check, "F_SETOWN"),
	REFUSED("perf_mapping", perf_mapping_setup, mapping_check, "perf"),
	REFUSED("secret_memory", secret_setup, secret_check, "secret"),
	REFUSED("session_keyring", session_keyring_setup, keyring_check,
		"session keyring of its own"),
	REFUSED("process_keyring", process_keyring_setup, keyring_check,
		"has a keyring"),
	{ "refused.sem_undo", CR_SUBTREE, sem_undo_setup, sem_undo_check,
	  CR_REFUSED, "not in the tree (SEM_UNDO)" },
	REFUSED("mount_namespace", mount_ns_setup, child_check, "mount"),
	REFUSED("net_namespace", net_ns_setup, child_check, "net"),
	REFUSED("landlock", landlock_setup, landlock_check, "Landlock"),
	REFUSED("autoreap", autoreap_setup, alive_check, "CLONE_AUTOREAP"),
	REFUSED("autokill", autokill_setup, alive_check, "not supported"),
	REFUSED("async", async_setup, async_check, "O_ASYNC"),
	REFUSED("deleted_fifo", deleted_fifo_setup, fd_check,
		"the fifo has been deleted"),
	REFUSED("deleted_set_user_id", deleted_program_setup, fd_check,
		"is set-user-id or set-group-id"),
	REFUSED("device", device_setup, fd_check, "/dev/kmsg"),
	REFUSED("busy_polling", busy_polling_setup, fd_check, "busy polling"),
	{ "refused.own_ipc", CR_SUBTREE, own_ipc_setup, own_ipc_check,
	  CR_REFUSED, "supported in a container only" },
	{ "refused.tracer", CR_TREE, tracer_setup, NULL,
	  .drive = tracer_drive },
	REFUSED("private_of_shared", private_of_shared_setup,
		shared_memory_check, "a private mapping of shared memory"),
	{ "refused.root_directory", CR_TREE, shared_memory_setup,
	  shared_memory_check, .drive = below_drive },
	{ "leak.pipe", CR_CONTAINER, inherited_setup, leak_pipe_check,
	  EBUSY, "pipe", .prepare = leak_pipe },
	{ "leak.pipe_opened_anew", CR_CONTAINER, own_pipe_setup,
	  leak_pipe_check, .drive = leak_pipe_drive },
	{ "refused.posix_queue", CR_CONTAINER, posix_queue_setup,
	  posix_queue_check, CR_REFUSED, "message queues of POSIX" },
	{ "leak.fifo", CR_CONTAINER, own_fifo_setup, leak_pipe_check,
	  .drive = leak_fifo_drive },
	{ "leak.shared_memory", CR_CONTAINER, shared_memory_setup,
	  shared_memory_check, .drive = leak_shared_memory_drive },
	{ "leak.file", CR_CONTAINER, inherited_setup, fd_check,
	  EBUSY, "shared-file", .prepare = leak_file },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
