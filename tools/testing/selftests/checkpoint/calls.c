// SPDX-License-Identifier: GPL-2.0
/* What the two system calls accept, refuse, and leave behind. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cr.h"

/* A tree that is worth saving: memory, a child, and an open file. */
static unsigned char data[10000];
static int *beat, fd;

static void child(void *arg)
{
	for (;;) {
		cr_set(beat, cr_get(beat) + 1);
		cr_msleep(2);
	}
}

static void tree_setup(void)
{
	cr_pattern(data, sizeof(data), 1);
	beat = cr_shared(sizeof(*beat));
	cr_fork(child, NULL);
	cr_write_file(cr_path("open-file"), data, sizeof(data));
	fd = open(cr_path("open-file"), O_RDONLY);
	NEED(fd >= 0);
	NEED(lseek(fd, 777, SEEK_SET) == 777);
}

static void tree_check(enum cr_phase phase)
{
	int n = cr_get(beat), i;

	CHECK_PATTERN(data, sizeof(data), 1);
	for (i = 0; i < 5000 && cr_get(beat) == n; i++)
		cr_msleep(2);
	CHECK(cr_get(beat) != n);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 777);
}

static void alone_setup(void)
{
	cr_pattern(data, sizeof(data), 1);
}

static void alone_check(enum cr_phase phase)
{
	CHECK_PATTERN(data, sizeof(data), 1);
}

static void file_setup(void)
{
	alone_setup();
	cr_write_file(cr_path("open-file"), data, sizeof(data));
	fd = open(cr_path("open-file"), O_RDONLY);
	NEED(fd >= 0);
}

static void expect(struct cr_run *run, const char *what, long ret, int err)
{
	if (ret != -err)
		cr_failed(run, "%s gave %ld (%s), not %d (%s)", what, ret,
			  ret < 0 ? strerror(-ret) : "success", -err,
			  strerror(err));
}

static bool start(struct cr_run *run)
{
	return cr_start(run) && cr_check(run, CR_BEFORE);
}

/* Started, saved, and killed. */
static bool save(struct cr_run *run)
{
	return start(run) && cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
	       cr_none_left(run);
}

static const char *run_path(struct cr_run *run, const char *name)
{
	static char buf[128];

	snprintf(buf, sizeof(buf), "%s/%s", run->dir, name);
	return buf;
}

static long checkpoint(pid_t pid, int n, unsigned long flags, int logfd)
{
	return sys_checkpoint(pid, n, flags, logfd) < 0 ? -errno : 1;
}

static long restart(pid_t pid, int n, unsigned long flags, int logfd)
{
	return sys_restart(pid, n, flags, logfd) < 0 ? -errno : 1;
}

static void arguments_drive(struct cr_run *run)
{
	int rd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int wr = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int path = open("/dev/null", O_PATH | O_CLOEXEC);
	const int tree = CHECKPOINT_SUBTREE;
	pid_t gone;

	if (!start(run))
		return;
	gone = fork();
	if (!gone)
		_exit(0);
	waitpid(gone, NULL, 0);

	expect(run, "an unknown flag",
	       checkpoint(run->root, wr, tree | 1UL << 30, -1), EINVAL);
#if __BITS_PER_LONG == 64
	expect(run, "an unknown high flag",
	       checkpoint(run->root, wr, tree | 1UL << 40, -1), EINVAL);
#endif
	expect(run, "a dead pid", checkpoint(gone, wr, tree, -1), ESRCH);
	expect(run, "a negative pid", checkpoint(-5, wr, tree, -1), EINVAL);
	expect(run, "fd -1", checkpoint(run->root, -1, tree, -1), EBADF);
	expect(run, "fd 999", checkpoint(run->root, 999, tree, -1), EBADF);
	expect(run, "a fd for reading", checkpoint(run->root, rd, tree, -1),
	       EBADF);
	expect(run, "a fd for paths", checkpoint(run->root, path, tree, -1),
	       EBADF);
	expect(run, "logfd 999", checkpoint(run->root, wr, tree, 999), EBADF);
	expect(run, "a logfd for reading",
	       checkpoint(run->root, wr, tree, rd), EBADF);
	expect(run, "a container that is none",
	       checkpoint(run->root, wr, 0, -1), EINVAL);

	expect(run, "restart with an unknown flag",
	       restart(0, rd, 1UL << 30, -1), EINVAL);
	expect(run, "restart of fd -1", restart(0, -1, 0, -1), EBADF);
	expect(run, "restart of a fd for writing", restart(0, wr, 0, -1),
	       EBADF);
	expect(run, "restart with logfd 999", restart(0, rd, 0, 999), EBADF);
	expect(run, "restart of nothing", restart(0, rd, 0, -1), EPIPE);
	close(rd);
	close(wr);
	close(path);

	/* After all that it is as it was. */
	cr_check(run, CR_AFTER);
}

static void no_log_drive(struct cr_run *run)
{
	int n = open(run_path(run, "image"), O_RDWR | O_CREAT | O_CLOEXEC,
		     0600);
	long id[2];
	size_t i;

	if (!start(run))
		return;
	for (i = 0; i < 2; i++) {
		if (ftruncate(n, 0) || lseek(n, 0, SEEK_SET))
			cr_failed(run, "cannot rewind");
		id[i] = sys_checkpoint(run->root, n, CHECKPOINT_SUBTREE, -1);
	}
	if (id[0] <= 0 || id[1] <= 0 || id[0] == id[1])
		cr_failed(run, "ids are %ld and %ld", id[0], id[1]);
	if (!cr_kill(run))
		return;
	if (lseek(n, 0, SEEK_SET))
		cr_failed(run, "cannot rewind");
	run->root = sys_restart(0, n, 0, -1);
	close(n);
	if (run->root <= 0)
		cr_failed(run, "restart: %s", strerror(errno));
	else
		cr_check(run, CR_AGAIN);
}

/* How long would the tree stand still? Nobody wants the image. */
static void nowhere_drive(struct cr_run *run)
{
	int n = open("/dev/null", O_WRONLY | O_CLOEXEC);
	long ret;

	if (n < 0 || !start(run))
		return cr_failed(run, "no /dev/null or no tree");
	ret = checkpoint(run->root, n, CHECKPOINT_SUBTREE | CHECKPOINT_COW, -1);
	if (ret <= 0)
		cr_failed(run, "to /dev/null: %s", strerror(-ret));
	close(n);
	cr_check(run, CR_AFTER);
}

/* An image that cannot be written costs the tree nothing. */
static void unwritable_drive(struct cr_run *run)
{
	struct rlimit limit = { .rlim_cur = 20000, .rlim_max = RLIM_INFINITY };
	int n = open(run_path(run, "image"), O_WRONLY | O_CREAT | O_CLOEXEC,
		     0600);
	int fds[2];

	if (!start(run) || n < 0 || pipe2(fds, O_CLOEXEC))
		return cr_failed(run, "no image or no pipe");
	/* There is room for the metadata, and for little more. */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	expect(run, "an image that is too large",
	       checkpoint(run->root, n, CHECKPOINT_SUBTREE, -1), EFBIG);
	if (lseek(n, 0, SEEK_SET))
		cr_failed(run, "cannot rewind");
	expect(run, "an image that is too large, of a tree to be killed",
	       checkpoint(run->root, n, CHECKPOINT_SUBTREE | CHECKPOINT_KILL,
			  -1), EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGPIPE, SIG_IGN);
	close(fds[0]);
	expect(run, "a broken pipe",
	       checkpoint(run->root, fds[1], CHECKPOINT_SUBTREE, -1), EPIPE);
	close(fds[1]);
	close(n);
	cr_check(run, CR_AFTER);
}

/* Nothing is ever sought: an image may come and go through a pipe. */
static void copy(int from, int to)
{
	static char buf[65536];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, n) != n)
			_exit(1);
	_exit(0);
}

static pid_t copier(int from, int to, int other)
{
	pid_t pid = fork();

	if (!pid) {
		close(other);
		copy(from, to);
	}
	return pid;
}

static int make_pipe(int fds[2])
{
	return pipe2(fds, O_CLOEXEC);
}

/* Its ends are alike: what is written to the second is read from the first. */
static int make_sockets(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

static void through(struct cr_run *run, int (*make)(int fds[2]))
{
	int n = open(run_path(run, "image"), O_RDWR | O_CREAT | O_CLOEXEC,
		     0600);
	int fds[2];
	pid_t pid;
	long ret;

	if (!start(run) || n < 0 || make(fds))
		return cr_failed(run, "no image or no stream");
	pid = copier(fds[0], n, fds[1]);
	ret = checkpoint(run->root, fds[1],
			 CHECKPOINT_SUBTREE | CHECKPOINT_KILL, -1);
	close(fds[0]);
	close(fds[1]);
	waitpid(pid, NULL, 0);
	expect(run, "a checkpoint into a stream", ret, -1);
	if (!cr_none_left(run))
		return;

	if (lseek(n, 0, SEEK_SET) || make(fds))
		return cr_failed(run, "no second stream");
	pid = copier(n, fds[1], fds[0]);
	close(fds[1]);
	run->root = sys_restart(0, fds[0], 0, -1);
	if (run->root < 0)
		return cr_failed(run, "restart from a stream: %s",
				 strerror(errno));
	close(fds[0]);
	close(n);
	waitpid(pid, NULL, 0);
	cr_check(run, CR_AGAIN);
}

static void stream_drive(struct cr_run *run)
{
	through(run, make_pipe);
}

static void socket_drive(struct cr_run *run)
{
	through(run, make_sockets);
}

/* One image can be restarted as often as one likes. */
static void twice_drive(struct cr_run *run)
{
	if (!save(run))
		return;
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN) &&
	       cr_kill(run) &&
	       cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* A restarted tree can be saved and restarted again. */
static void again_drive(struct cr_run *run)
{
	int i;

	if (!start(run))
		return;
	for (i = 0; i < 4; i++)
		if (!cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
		    !cr_none_left(run) || !cr_restart(run, "image", 0) ||
		    !cr_check(run, CR_AGAIN))
			return;
}

/* Pids that are in use cannot be had: all or nothing. */
static void kill_original(struct cr_run *run)
{
	kill(run->root, SIGKILL);
	waitpid(run->root, NULL, 0);
}

static void pid_taken_drive(struct cr_run *run)
{
	if (!start(run) || !cr_checkpoint(run, "image", 0))
		return;
	expect(run, "restart beside the original",
	       cr_try_restart(run, "image", 0), EEXIST);
	cr_check(run, CR_AFTER);
	/* Only the original and its child are there. */
	kill_original(run);
	if (cr_count_children() != 1)
		cr_failed(run, "%d tasks are left", cr_count_children());
}

/*
 * A checkpoint that kills has killed when it returns. Pids are free only when
 * the parents have waited for who had them, which a restart gives them time to
 * do: who kills and restarts cannot know when init has done it.
 */
static bool is_over(struct cr_run *run)
{
	siginfo_t info = {};

	waitid(P_PID, run->root, &info, WEXITED | WNOHANG | WNOWAIT);
	if (info.si_pid != run->root)
		cr_failed(run, "the root has not ended");
	return !run->failed;
}

static void *wait_late(void *arg)
{
	cr_msleep(200);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return NULL;
}

static void killed_drive(struct cr_run *run)
{
	pthread_t thread;

	if (!start(run) || !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !is_over(run))
		return;
	expect(run, "restart beside a process that nobody waits for",
	       cr_try_restart(run, "image", 0), EEXIST);
	pthread_create(&thread, NULL, wait_late, NULL);
	if (cr_restart(run, "image", 0))
		cr_check(run, CR_AGAIN);
	pthread_join(thread, NULL);
}

/* The same when only one of several is taken: by the child of the root. */
static void child_pid_taken_drive(struct cr_run *run)
{
	if (!start(run) || !cr_checkpoint(run, "image", 0))
		return;
	/* The child is left alone, with its number. */
	kill_original(run);
	expect(run, "restart beside a child", cr_try_restart(run, "image", 0),
	       EEXIST);
	if (cr_count_children() != 1)
		cr_failed(run, "%d tasks are left", cr_count_children());
	if (!cr_kill(run))
		return;
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* A file that has gone in between. */
static void lost_file_drive(struct cr_run *run)
{
	if (!save(run))
		return;
	if (rename(run_path(run, "open-file"), "/tmp/cr-elsewhere"))
		return cr_failed(run, "cannot rename");
	expect(run, "restart without the file",
	       cr_try_restart(run, "image", 0), ENOENT);
	if (!cr_log_has(run, "open-file"))
		cr_failed(run, "the log does not name the file");
	if (cr_count_children())
		cr_failed(run, "a failed restart left tasks");
	if (rename("/tmp/cr-elsewhere", run_path(run, "open-file")))
		return cr_failed(run, "cannot rename back");
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* Somebody without rights, in a child: gives the errno of what it does. */
static int as_nobody(struct cr_run *run, bool do_restart)
{
	const char *path = run_path(run, "image");
	int n = open(path, do_restart ? O_RDONLY : O_WRONLY | O_CREAT, 0666);
	int status;
	pid_t pid;
	long ret;

	pid = fork();
	if (!pid) {
		if (n < 0 || setgid(65534) || setuid(65534))
			_exit(255);
		if (do_restart)
			ret = sys_restart(0, n, 0, -1);
		else
			ret = sys_checkpoint(run->root, n, CHECKPOINT_SUBTREE,
					     -1);
		_exit(ret < 0 ? errno : 0);
	}
	close(n);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 254;
}

static void unprivileged_drive(struct cr_run *run)
{
	if (!start(run))
		return;
	expect(run, "checkpoint of root's process by nobody",
	       -as_nobody(run, false), EPERM);
	if (!cr_check(run, CR_AFTER) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	expect(run, "restart of root's process by nobody",
	       -as_nobody(run, true), EPERM);
	if (cr_count_children())
		cr_failed(run, "a failed restart left tasks");
}

/* A frozen tree does nothing until it is let go. */
static bool is_frozen(struct cr_run *run)
{
	const char *text = "0";
	int n = open(run_path(run, "command"), O_WRONLY | O_CREAT | O_CLOEXEC,
		     0644);
	bool frozen;

	if (n < 0 || write(n, text, 1) != 1)
		cr_failed(run, "cannot write a command");
	close(n);
	cr_msleep(300);
	frozen = !access(run_path(run, "command"), F_OK);
	unlink(run_path(run, "command"));
	return frozen;
}

static void thaw(struct cr_run *run)
{
	long ret = sys_checkpoint(run->root, -1,
				  CHECKPOINT_THAW | cr_mode_flags(run->mode),
				  -1);

	if (ret < 0)
		cr_failed(run, "cannot let it go: %s", strerror(errno));
}

static void leave_frozen_drive(struct cr_run *run)
{
	if (!start(run) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_LEAVE_FROZEN))
		return;
	if (!is_frozen(run))
		cr_failed(run, "it was not left frozen");
	thaw(run);
	cr_check(run, CR_AFTER);
}

/* What is left frozen can be killed. */
static void kill_frozen_drive(struct cr_run *run)
{
	(void)(start(run) &&
	       cr_checkpoint(run, "image", CHECKPOINT_LEAVE_FROZEN) &&
	       cr_kill(run));
}

static void restart_frozen_drive(struct cr_run *run)
{
	if (!save(run) || !cr_restart(run, "image", RESTART_FROZEN))
		return;
	if (!is_frozen(run))
		cr_failed(run, "it was not left frozen");
	thaw(run);
	cr_check(run, CR_AGAIN);
}

/* What is not there yet is refused before anything is made. */
static void refused_flag(struct cr_run *run, unsigned long flag)
{
	int n, logfd, ret;

	if (!save(run))
		return;
	n = open(run_path(run, "image"), O_RDONLY | O_CLOEXEC);
	logfd = open(run_path(run, "log"), O_WRONLY | O_CREAT | O_CLOEXEC,
		     0600);
	ret = sys_restart(0, n, flag, logfd) < 0 ? -errno : 0;
	close(n);
	close(logfd);
	if (ret != -EOPNOTSUPP)
		cr_failed(run, "flag %#lx gave %d", flag, ret);
	if (!cr_log_has(run, "not supported"))
		cr_failed(run, "the log does not say why");
	if (cr_restart(run, "image", 0))
		cr_check(run, CR_AGAIN);
}

/* The kernel chooses the numbers when it is asked to: not yet. */
static void new_pids_drive(struct cr_run *run)
{
	refused_flag(run, RESTART_NEW_PIDS);
}

static void labels_drive(struct cr_run *run)
{
	refused_flag(run, RESTART_KEEP_LSM);
}

/* Nor are network namespaces saved: nothing is written. */
static void network_drive(struct cr_run *run)
{
	struct stat st;

	if (!start(run))
		return;
	if (cr_try_checkpoint(run, "image", CHECKPOINT_NETNS) != -EOPNOTSUPP)
		cr_failed(run, "CHECKPOINT_NETNS is not refused");
	if (!cr_log_has(run, "CHECKPOINT_NETNS"))
		cr_failed(run, "the log does not say why");
	if (!stat(run_path(run, "image"), &st) && st.st_size)
		cr_failed(run, "there is an image of %ld bytes", st.st_size);
	cr_check(run, CR_AFTER);
}

/* Saves a process from within its tree; gives what the call gives. */
static long save_here(pid_t pid, unsigned long flags)
{
	int image = open(cr_path("own"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int log = open(cr_path("log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	long ret = sys_checkpoint(pid, image, flags, log);

	if (ret < 0)
		ret = -errno;
	close(image);
	close(log);
	return ret;
}

static bool log_says(const char *text)
{
	static char buf[4096];

	return cr_slurp(cr_path("log"), buf, sizeof(buf)) > 0 &&
	       strstr(buf, text);
}

static void inside_check(enum cr_phase phase)
{
	tree_check(phase);
	CHECK_EQ(save_here(getpid(), 0), -EINVAL);
	CHECK(log_says("not from inside"));
}

/* With children one cannot save oneself. */
static void self_check(enum cr_phase phase)
{
	tree_check(phase);
	CHECK_EQ(save_here(0, CHECKPOINT_SUBTREE), -EOPNOTSUPP);
	CHECK(log_says("has other threads or children"));
}

/* A child saves the tree that it belongs to, when the driver asks for that. */
struct member {
	int told;
	long result;
};

static struct member *member;

static void be_member(void *arg)
{
	while (access(cr_path("ask"), F_OK))
		cr_msleep(2);
	member->result = save_here(getppid(), CHECKPOINT_SUBTREE);
	cr_set(&member->told, 1);
	if (member->result > 0)
		cr_write_file(cr_path("saved"), "", 0);
	for (;;)
		pause();
}

static void member_setup(void)
{
	member = cr_shared(sizeof(*member));
	cr_fork(be_member, NULL);
}

/* The call gives the number of the image, and 0 in the copy. */
static void member_check(enum cr_phase phase)
{
	if (phase == CR_BEFORE)
		return;
	cr_await(&member->told, 1);
	if (phase == CR_AFTER)
		CHECK(member->result > 0);
	else
		CHECK_EQ(member->result, 0);
}

static void member_drive(struct cr_run *run)
{
	int i;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	cr_write_file(run_path(run, "ask"), "", 0);
	for (i = 0; i < 5000 && access(run_path(run, "saved"), F_OK); i++)
		cr_msleep(2);
	if (cr_check(run, CR_AFTER) && cr_kill(run) &&
	    cr_restart(run, "own", 0))
		cr_check(run, CR_AGAIN);
}

/*
 * The caller's process is spared by its own CHECKPOINT_KILL: both threads of a
 * child go on, alone, when one of them has saved and killed the tree.
 */
static void *save_and_kill(void *arg)
{
	member->result = save_here(getppid(),
				   CHECKPOINT_SUBTREE | CHECKPOINT_KILL);
	cr_set(&member->told, 1);
	for (;;)
		pause();
}

static void be_killer(void *arg)
{
	pthread_t thread;

	while (access(cr_path("ask"), F_OK))
		cr_msleep(2);
	NEED(!pthread_create(&thread, NULL, save_and_kill, NULL));
	cr_await(&member->told, 1);
	if (member->result > 0) {
		cr_write_file(cr_path("saved"), "", 0);
		_exit(0);
	}
	for (;;)
		pause();
}

static void killer_setup(void)
{
	member = cr_shared(sizeof(*member));
	cr_fork(be_killer, NULL);
}

static void killer_drive(struct cr_run *run)
{
	int i;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	cr_write_file(run_path(run, "ask"), "", 0);
	for (i = 0; i < 5000 && access(run_path(run, "saved"), F_OK); i++)
		cr_msleep(2);
	if (access(run_path(run, "saved"), F_OK))
		return cr_failed(run, "the caller's process is gone");
	if (is_over(run) && cr_none_left(run) && cr_restart(run, "own", 0))
		cr_check(run, CR_AGAIN);
}

/*
 * A caller that cannot become what is in the image goes on. That it can become
 * a task is shown with all images of tasks that have saved themselves.
 */
static void refuse_task_self(struct cr_run *run, long errnum, const char *log)
{
	long ret = cr_try_restart(run, "image", RESTART_TASKSELF);

	if (ret != -errnum)
		cr_failed(run, "RESTART_TASKSELF gave %ld", ret);
	if (!cr_log_has(run, log))
		cr_failed(run, "the log does not say '%s'", log);
	if (cr_count_children())
		cr_failed(run, "something is left");
}

/* The task was saved by others, while it slept. */
static void task_self_drive(struct cr_run *run)
{
	pid_t pid;

	if (!start(run))
		return;
	pid = run->root;
	if (cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
	    cr_none_left(run) && cr_become(run, "image", pid))
		cr_check(run, CR_AGAIN);
}

/* What the caller was to undo when it ends is undone. */
static int semaphores;

static void adjust(void)
{
	struct sembuf op = { .sem_op = 1, .sem_flg = SEM_UNDO };

	NEED(!semop(semaphores, &op, 1));
}

static void task_self_undo_drive(struct cr_run *run)
{
	semaphores = semget(IPC_PRIVATE, 1, 0600);
	if (semaphores < 0) {
		cr_skipped(run, "no SysV semaphores");
		return;
	}
	run->as_caller = adjust;
	task_self_drive(run);
	if (semctl(semaphores, 0, GETPID) != run->root)
		cr_failed(run, "nothing was adjusted");
	if (semctl(semaphores, 0, GETVAL))
		cr_failed(run, "the caller has not undone its adjustment");
	semctl(semaphores, 0, IPC_RMID);
}

static void task_self_tree_drive(struct cr_run *run)
{
	if (save(run))
		refuse_task_self(run, EINVAL,
				 run->mode == CR_CONTAINER ?
				 "become a container" : "has several");
}

static void task_self_lost_drive(struct cr_run *run)
{
	if (!save(run))
		return;
	if (unlink(run_path(run, "open-file")))
		cr_failed(run, "no file");
	refuse_task_self(run, ENOENT, "open-file");
}

static void *idle_thread(void *arg)
{
	pause();
	return NULL;
}

static void task_self_threads_drive(struct cr_run *run)
{
	pthread_t thread;

	if (!save(run))
		return;
	NEED(!pthread_create(&thread, NULL, idle_thread, NULL));
	refuse_task_self(run, EBUSY, "the caller has threads");
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

/* Reads what /proc tells of a process, again and again, as top(1) does. */
static void watch(pid_t pid)
{
	static const char * const names[] = {
		"maps", "cmdline", "environ", "fd/0", "fd/1", "fd/2", "exe",
		"smaps", "fdinfo/1", "cwd", "stat"
	};
	static char buf[65536];
	char path[64];
	unsigned int i;
	int fd;

	for (i = 0;; i = (i + 1) % ARRAY_SIZE(names)) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[i]);
		if (readlink(path, buf, sizeof(buf)) > 0)
			continue;
		fd = open(path, O_RDONLY);
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
	}
}

/* Who looks from outside shares an address space and files for a moment. */
static void watched_drive(struct cr_run *run)
{
	pid_t watchers[3];
	unsigned int i;

	if (!start(run))
		return;
	for (i = 0; i < ARRAY_SIZE(watchers); i++) {
		watchers[i] = fork();
		if (!watchers[i])
			watch(run->root);
	}
	for (i = 0; i < 20 && cr_checkpoint(run, "image", 0); i++)
		;
	for (i = 0; i < ARRAY_SIZE(watchers); i++) {
		kill(watchers[i], SIGKILL);
		waitpid(watchers[i], NULL, 0);
	}
	(void)(cr_check(run, CR_AFTER) &&
	       cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
	       cr_none_left(run) && cr_restart(run, "image", 0) &&
	       cr_check(run, CR_AGAIN));
}

static void stats_drive(struct cr_run *run)
{
	if (!start(run) || !cr_checkpoint(run, "image", CHECKPOINT_STATS))
		return;
	if (!cr_log_has(run, "frozen"))
		cr_failed(run, "the log does not tell the frozen time");
	cr_check(run, CR_AFTER);
}

static const struct cr_scenario scenarios[] = {
#define DRIVEN(name, modes, how) \
	{ "call." name, modes, tree_setup, tree_check, .drive = how }
	DRIVEN("arguments", CR_SUBTREE, arguments_drive),
	DRIVEN("no_log", CR_SUBTREE, no_log_drive),
	DRIVEN("unwritable", CR_SUBTREE, unwritable_drive),
	DRIVEN("nowhere", CR_SUBTREE, nowhere_drive),
	DRIVEN("stream", CR_SUBTREE, stream_drive),
	DRIVEN("socket", CR_SUBTREE, socket_drive),
	DRIVEN("restart_twice", CR_TREE, twice_drive),
	DRIVEN("again_and_again", CR_TREE, again_drive),
	DRIVEN("pid_taken", CR_SUBTREE, pid_taken_drive),
	DRIVEN("killed", CR_SUBTREE, killed_drive),
	DRIVEN("pid_of_child_taken", CR_SUBTREE, child_pid_taken_drive),
	DRIVEN("file_is_lost", CR_TREE, lost_file_drive),
	DRIVEN("unprivileged", CR_SUBTREE, unprivileged_drive),
	DRIVEN("leave_frozen", CR_TREE, leave_frozen_drive),
	DRIVEN("kill_frozen", CR_TREE, kill_frozen_drive),
	DRIVEN("restart_frozen", CR_TREE, restart_frozen_drive),
	DRIVEN("new_pids", CR_SUBTREE, new_pids_drive),
	DRIVEN("labels", CR_SUBTREE, labels_drive),
	DRIVEN("network", CR_SUBTREE, network_drive),
	{ "call.from_inside", CR_CONTAINER, tree_setup, inside_check },
	{ "call.member", CR_SUBTREE, member_setup, member_check,
	  .drive = member_drive },
	{ "call.killer", CR_SUBTREE, killer_setup, member_check,
	  .drive = killer_drive },
	{ "call.self_with_children", CR_SUBTREE, tree_setup, self_check },
	DRIVEN("stats", CR_SUBTREE, stats_drive),
	DRIVEN("watched", CR_TREE, watched_drive),
	{ "call.task_self", CR_SUBTREE, file_setup, alone_check,
	  .drive = task_self_drive },
	{ "call.task_self_undo", CR_SUBTREE, file_setup, alone_check,
	  .drive = task_self_undo_drive },
	DRIVEN("task_self_tree", CR_TREE, task_self_tree_drive),
	{ "call.task_self_lost_file", CR_SUBTREE, file_setup, alone_check,
	  .drive = task_self_lost_drive },
	{ "call.task_self_threads", CR_SUBTREE, alone_setup, alone_check,
	  .drive = task_self_threads_drive },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
