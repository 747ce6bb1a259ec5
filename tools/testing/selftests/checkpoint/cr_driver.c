// SPDX-License-Identifier: GPL-2.0
/*
 * The side of the harness that stays outside the tree: it starts a victim,
 * saves, kills and restarts it, and has it checked at each stage.
 *
 * The victim is this program again, executed anew, so that nothing of the test
 * harness is mapped or open in it.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/sched.h>

#include "cr.h"
#include "kselftest_harness.h"

/*
 * More than a test with several waits that all run into their timeout, or with
 * thousands of restarts, on a kernel that looks for its own mistakes.
 */
#define TEST_TIMEOUT	(16 * CR_TIMEOUT_MS / 1000)

struct cr_test {
	struct __test_metadata meta;
	const struct cr_scenario *scenario;
	enum cr_mode mode;
};

/* Only for the author of a scenario: no checkpoint, no restart. */
static bool dry;

static const char *mode_name(enum cr_mode mode)
{
	switch (mode) {
	case CR_SUBTREE:
		return "subtree";
	case CR_CONTAINER:
		return "container";
	default:
		return "self";
	}
}

unsigned long cr_mode_flags(enum cr_mode mode)
{
	return mode == CR_CONTAINER ? 0 : CHECKPOINT_SUBTREE;
}

static const char *run_path(struct cr_run *run, const char *name)
{
	static char bufs[4][128];
	static unsigned int next;
	char *buf = bufs[next++ % ARRAY_SIZE(bufs)];

	snprintf(buf, sizeof(bufs[0]), "%s/%s", run->dir, name);
	return buf;
}

void cr_failed(struct cr_run *run, const char *fmt, ...)
{
	char buf[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	ksft_print_msg("%s\n", buf);
	run->failed = true;
}

void cr_skipped(struct cr_run *run, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(run->reason, sizeof(run->reason), fmt, args);
	va_end(args);
	run->skipped = true;
}

static void print_file(const char *path, const char *title)
{
	FILE *file = fopen(path, "re");
	char line[512];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		ksft_print_msg("%s: %s\n", title, line);
	}
	fclose(file);
}

/*
 * Everything below the test process is its child sooner or later, since it is
 * a subreaper, so its children are all that it has to look at.
 */
static int each_child(void (*fn)(pid_t pid, const char *stat))
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[64], stat[512];
	int count = 0;

	while (proc && (entry = readdir(proc))) {
		char *comm_end;
		int ppid;

		if (!isdigit(entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/stat", entry->d_name);
		if (cr_slurp(path, stat, sizeof(stat)) <= 0)
			continue;
		comm_end = strrchr(stat, ')');
		if (!comm_end || sscanf(comm_end, ") %*c %d", &ppid) != 1 ||
		    ppid != getpid())
			continue;
		fn(atoi(entry->d_name), stat);
		count++;
	}
	if (proc)
		closedir(proc);
	return count;
}

static void kill_child(pid_t pid, const char *stat)
{
	kill(pid, SIGKILL);
}

static void print_child(pid_t pid, const char *stat)
{
	char path[64], buf[256];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	if (cr_slurp(path, buf, sizeof(buf)) < 0)
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	ksft_print_msg("task: %.60s, system call: %.60s\n", stat, buf);
}

static bool reap_all(struct cr_run *run, bool kill_them)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 1000000ULL;

	for (;;) {
		if (kill_them)
			each_child(kill_child);
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD)
			return true;
		if (cr_now_ns() > end)
			return false;
		cr_msleep(3);
	}
}

static void count_child(pid_t pid, const char *stat)
{
}

int cr_count_children(void)
{
	return each_child(count_child);
}

bool cr_kill(struct cr_run *run)
{
	run->root = 0;
	if (reap_all(run, true))
		return true;
	cr_failed(run, "tasks that cannot be killed");
	each_child(print_child);
	return false;
}

bool cr_none_left(struct cr_run *run)
{
	if (reap_all(run, false))
		return true;
	cr_failed(run, "tasks are left that ought to be gone");
	each_child(print_child);
	return false;
}

static bool root_is_gone(struct cr_run *run)
{
	siginfo_t info = { };

	if (waitid(P_PID, run->root, &info, WEXITED | WNOHANG | WNOWAIT))
		return true;
	return info.si_pid == run->root;
}

/* Takes in what the victim has to say against the state that it found. */
static bool no_complaints(struct cr_run *run)
{
	const char *path = run_path(run, "failures");

	if (access(path, F_OK))
		return true;
	print_file(path, run->scenario->name);
	run->failed = true;
	unlink(path);
	return false;
}

static bool await_reply(struct cr_run *run, const char *what, char *reply,
			size_t size)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 1000000ULL * 3 / 2;
	const char *path = run_path(run, "reply");
	bool gone = false;

	while (access(path, F_OK)) {
		if (gone || cr_now_ns() > end) {
			no_complaints(run);
			cr_failed(run, "%s: the victim %s", what,
				  gone ? "is dead" : "does not answer");
			each_child(print_child);
			return false;
		}
		/* What it posted before it died still counts. */
		gone = root_is_gone(run);
		if (gone && !access(run_path(run, "skip"), F_OK)) {
			cr_slurp(run_path(run, "skip"), run->reason,
				 sizeof(run->reason));
			run->skipped = true;
			return false;
		}
		cr_msleep(3);
	}
	if (cr_slurp(path, reply, size) < 0 || unlink(path)) {
		cr_failed(run, "%s: unreadable answer", what);
		return false;
	}
	return no_complaints(run);
}

static bool send_command(struct cr_run *run, const char *text)
{
	const char *path = run_path(run, "command.new");
	FILE *file = fopen(path, "we");

	if (!file || fputs(text, file) < 0 || fclose(file) ||
	    rename(path, run_path(run, "command"))) {
		cr_failed(run, "cannot write a command: %s", strerror(errno));
		return false;
	}
	return true;
}

bool cr_check(struct cr_run *run, enum cr_phase phase)
{
	static const char * const names[] = {
		"check before", "check after the checkpoint",
		"check again after the restart",
	};
	char text[16], reply[32];

	snprintf(text, sizeof(text), "%d", phase);
	if (!send_command(run, text) ||
	    !await_reply(run, names[phase], reply, sizeof(reply)))
		return false;
	if (strcmp(reply, text)) {
		cr_failed(run, "%s: answer '%s'", names[phase], reply);
		return false;
	}
	return true;
}

static __noreturn void exec_victim(struct cr_run *run)
{
	char slow[32], * const env[] = { "HOME=/", "LANG=C", slow, NULL };
	char self[PATH_MAX] = "";
	char * const argv[] = { self, "--victim", (char *)run->scenario->name,
			 (char *)mode_name(run->mode), run->dir, NULL };
	int null;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
	    setsid() < 0 || chdir("/"))
		_exit(100);
	snprintf(slow, sizeof(slow), "CR_SLOW=%u", cr_slowness());
	umask(022);
	if (run->inherited >= 0 &&
	    dup2(run->inherited, CR_INHERITED_FD) != CR_INHERITED_FD)
		_exit(101);
	close_range(0, CR_INHERITED_FD - (run->inherited < 0 ? 0 : 1), 0);
	close_range(CR_INHERITED_FD + 1, ~0U, 0);
	null = open("/dev/null", O_RDWR);
	if (null || dup(null) != 1 || dup(null) != 2)
		_exit(102);
	execve(self, argv, env);
	_exit(103);
}

static void write_id_maps(pid_t pid)
{
	static const char map[] = "0 0 65536";
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	cr_write_file(path, map, strlen(map));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	cr_write_file(path, map, strlen(map));
}

bool cr_start(struct cr_run *run)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	char reply[32];
	int ready[2];

	if (run->mode == CR_CONTAINER)
		args.flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	if (run->scenario->in_user_ns)
		args.flags |= CLONE_NEWUSER;
	fflush(stdout);
	if (pipe(ready)) {
		cr_failed(run, "pipe: %s", strerror(errno));
		return false;
	}
	run->root = syscall(__NR_clone3, &args, sizeof(args));
	if (run->root < 0) {
		cr_failed(run, "clone3: %s", strerror(errno));
		return false;
	}
	if (!run->root) {
		close(ready[1]);
		if (read(ready[0], reply, 1))
			_exit(104);
		exec_victim(run);
	}
	close(ready[0]);
	if (run->scenario->in_user_ns)
		write_id_maps(run->root);
	close(ready[1]);
	return await_reply(run, "setup", reply, sizeof(reply));
}

/* A system call that hangs shall be a failure, not the end of the test. */
static void on_alarm(int sig)
{
}

typedef long (*call_fn)(struct cr_run *run, int fd, int logfd,
			unsigned long flags);

static long with_log(struct cr_run *run, int fd, call_fn call,
		     unsigned long flags)
{
	struct sigaction act = { .sa_handler = on_alarm };
	int logfd = open(run_path(run, "log"),
			 O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
			 0600);
	long ret;

	if (fd < 0 || logfd < 0) {
		ret = -errno;
		cr_failed(run, "no image or no log file: %s", strerror(errno));
	} else {
		sigaction(SIGALRM, &act, NULL);
		alarm(CR_TIMEOUT_MS / 1000);
		ret = call(run, fd, logfd, flags);
		if (ret < 0)
			ret = -errno;
		alarm(0);
	}
	close(fd);
	close(logfd);
	return ret;
}

static long call_checkpoint(struct cr_run *run, int fd, int logfd,
			    unsigned long flags)
{
	return sys_checkpoint(run->root, fd, flags, logfd);
}

static long call_restart(struct cr_run *run, int fd, int logfd,
			 unsigned long flags)
{
	return sys_restart(0, fd, flags, logfd);
}

long cr_try_checkpoint(struct cr_run *run, const char *image,
		       unsigned long flags)
{
	int fd = open(run_path(run, image),
		      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return with_log(run, fd, call_checkpoint,
			flags | cr_mode_flags(run->mode));
}

long cr_try_restart(struct cr_run *run, const char *image, unsigned long flags)
{
	int fd = open(run_path(run, image), O_RDONLY | O_CLOEXEC);

	return with_log(run, fd, call_restart, flags);
}

bool cr_checkpoint(struct cr_run *run, const char *image, unsigned long flags)
{
	long ret;

	if (dry)
		return true;
	ret = cr_try_checkpoint(run, image, flags);
	if (ret > 0)
		return true;
	cr_failed(run, "checkpoint: %s (%ld)", strerror(-ret), ret);
	return false;
}

bool cr_restart(struct cr_run *run, const char *image, unsigned long flags)
{
	pid_t old = run->root;
	long ret;

	if (dry)
		return true;
	ret = cr_try_restart(run, image, flags);
	if (ret <= 0) {
		cr_failed(run, "restart: %s (%ld)", strerror(-ret), ret);
		return false;
	}
	run->root = ret;
	if (old && run->mode != CR_CONTAINER && ret != old) {
		cr_failed(run, "restart: pid %ld instead of %d", ret, old);
		return false;
	}
	return true;
}

bool cr_log_has(struct cr_run *run, const char *text)
{
	char buf[8192];

	return cr_slurp(run_path(run, "log"), buf, sizeof(buf)) > 0 &&
	       strcasestr(buf, text);
}

static bool killed_by_checkpoint(struct cr_run *run)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 1000000ULL;
	int status;
	pid_t pid;

	if (dry)
		return true;
	while (!(pid = waitpid(run->root, &status, WNOHANG))) {
		if (cr_now_ns() > end) {
			cr_failed(run, "the checkpoint did not kill the root");
			return false;
		}
		cr_msleep(3);
	}
	if (pid != run->root || !WIFSIGNALED(status) ||
	    WTERMSIG(status) != SIGKILL) {
		cr_failed(run, "the root was not killed: status %#x", status);
		return false;
	}
	return cr_none_left(run);
}

static void drive_refusal(struct cr_run *run)
{
	const struct cr_scenario *sc = run->scenario;
	long ret;

	if (dry)
		return;
	ret = cr_try_checkpoint(run, "image", 0);
	if (ret != -sc->refused)
		cr_failed(run, "checkpoint gave %ld (%s), not %d (%s)", ret,
			  ret < 0 ? strerror(-ret) : "success", -sc->refused,
			  strerror(sc->refused));
	if (!cr_log_has(run, sc->log))
		cr_failed(run, "the log does not name '%s'", sc->log);
	cr_check(run, CR_AFTER);
}

bool cr_become(struct cr_run *run, const char *image, pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	long ret;

	fflush(stdout);
	run->root = syscall(__NR_clone3, &args, sizeof(args));
	if (run->root < 0) {
		cr_failed(run, "clone3: %s", strerror(errno));
		return false;
	}
	if (!run->root) {
		setsid();
		if (run->as_caller)
			run->as_caller();
		ret = cr_try_restart(run, image, RESTART_TASKSELF);
		snprintf(run->reason, sizeof(run->reason), "refused: %ld", ret);
		cr_write_file(run_path(run, "reply"), run->reason,
			      strlen(run->reason));
		_exit(1);
	}
	return true;
}

/* The caller of restart() becomes the task. */
static void drive_caller(struct cr_run *run, pid_t root)
{
	char reply[32];

	if (!cr_kill(run) || !cr_become(run, "image", root) ||
	    !await_reply(run, "restart of the caller", reply, sizeof(reply)))
		return;
	if (strcmp(reply, "0"))
		cr_failed(run, "the caller becomes the task: %s", reply);
	else
		cr_check(run, CR_AGAIN);
}

static void drive_self(struct cr_run *run)
{
	char reply[32];
	pid_t root = run->root;

	if (dry) {
		cr_check(run, CR_AGAIN);
		return;
	}
	if (!send_command(run, "self") ||
	    !await_reply(run, "self-checkpoint", reply, sizeof(reply)))
		return;
	if (atol(reply) <= 0) {
		cr_failed(run, "self-checkpoint: %s (%s)",
			  strerror(-atol(reply)), reply);
		return;
	}
	if (!cr_check(run, CR_AFTER) || !cr_kill(run))
		return;
	run->root = root;
	if (!cr_restart(run, "image", 0) ||
	    !await_reply(run, "self-restart", reply, sizeof(reply)))
		return;
	if (strcmp(reply, "0"))
		cr_failed(run, "self-checkpoint returns %s after the restart",
			  reply);
	else if (cr_check(run, CR_AGAIN))
		drive_caller(run, root);
}

bool cr_thaw(struct cr_run *run)
{
	long ret;

	if (dry)
		return true;
	ret = sys_checkpoint(run->root, -1,
			     CHECKPOINT_THAW | cr_mode_flags(run->mode), -1);
	if (!ret)
		return true;
	cr_failed(run, "thaw: %s (%ld)", strerror(errno), ret);
	return false;
}

/*
 * Compares what is told of the restarted tree, which is frozen, with what was
 * told of the original. The tasks need a moment until they have parked.
 */
static void compare(struct cr_run *run, const struct cr_facts *was)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 100000ULL;
	struct cr_facts *is;
	bool last, same;

	do {
		last = cr_now_ns() > end;
		is = cr_observe(run);
		same = cr_same(run, was, is, last);
		cr_forget(is);
		cr_msleep(3);
	} while (!same && !last);
}

bool cr_image_is_free(struct cr_run *run, const char *image)
{
	unsigned long long end = cr_now_ns() + CR_TIMEOUT_MS * 100000ULL;
	int fd = open(run_path(run, image), O_RDWR | O_CLOEXEC);
	int ret;

	/* Nobody else may have a file open that is leased for writing. */
	while ((ret = fcntl(fd, F_SETLEASE, F_WRLCK)) && errno == EAGAIN &&
	       cr_now_ns() < end)
		cr_msleep(3);
	if (ret)
		cr_failed(run, "%s is still in use: %s", image,
			  strerror(errno));
	close(fd);
	return !ret;
}

/* Once more, but its memory is read when it is touched. */
static void restart_lazily(struct cr_run *run)
{
	if (dry || run->failed || run->scenario->goes_on ||
	    run->scenario->many_tasks)
		return;
	(void)(cr_kill(run) && cr_restart(run, "image", RESTART_LAZY) &&
	       cr_check(run, CR_AGAIN) && cr_kill(run) &&
	       cr_image_is_free(run, "image"));
}

/* What is restarted was written while the tree did not run. */
static void drive_frozen(struct cr_run *run)
{
	struct cr_facts *facts = NULL;

	if (cr_checkpoint(run, "frozen", CHECKPOINT_LEAVE_FROZEN)) {
		if (!dry && !run->scenario->many_tasks)
			facts = cr_observe(run);
		if (cr_checkpoint(run, "image", CHECKPOINT_KILL) &&
		    killed_by_checkpoint(run) &&
		    cr_restart(run, "image", RESTART_FROZEN)) {
			if (facts)
				compare(run, facts);
			if (cr_thaw(run))
				cr_check(run, CR_AGAIN);
		}
	}
	cr_forget(facts);
}

/* What is restarted was written while the tree ran on. */
static void drive_cow(struct cr_run *run)
{
	(void)(cr_checkpoint(run, "image", CHECKPOINT_COW) && cr_kill(run) &&
	       cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

static void drive_tree(struct cr_run *run)
{
	if (!cr_checkpoint(run, "first", 0) || !cr_check(run, CR_AFTER))
		return;
	if (run->mode == CR_SUBTREE && !run->scenario->goes_on)
		drive_cow(run);
	else
		drive_frozen(run);
	restart_lazily(run);
}

void cr_drive_small(struct cr_run *run, unsigned long max)
{
	struct stat st;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	if (stat(run_path(run, "image"), &st) || st.st_size > (off_t)max)
		cr_failed(run, "the image has %lld bytes",
			  (long long)st.st_size);
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

static void drive(struct cr_run *run)
{
	const struct cr_scenario *sc = run->scenario;

	if (sc->prepare) {
		run->inherited = sc->prepare(run);
		if (run->failed || run->skipped)
			return;
	}
	if (sc->drive) {
		if (!dry)
			sc->drive(run);
	} else if (cr_start(run) && cr_check(run, CR_BEFORE)) {
		if (sc->refused)
			drive_refusal(run);
		else if (run->mode == CR_SELF)
			drive_self(run);
		else
			drive_tree(run);
	}
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

static void run_test(struct __test_metadata *_metadata,
		     struct __fixture_variant_metadata *variant)
{
	struct cr_test *test = (struct cr_test *)_metadata;
	struct cr_run run = {
		.scenario = test->scenario,
		.mode = test->mode,
		.dir = "/tmp/cr-XXXXXX",
		.inherited = -1,
	};

	umask(0);
	if (!mkdtemp(run.dir) || chmod(run.dir, 0777) ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1)) {
		ksft_perror("cannot prepare the test");
		_metadata->exit_code = KSFT_FAIL;
		return;
	}
	drive(&run);
	if (run.failed)
		print_file(run_path(&run, "log"), "log");
	cr_kill(&run);
	nftw(run.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

	if (run.failed)
		_metadata->exit_code = KSFT_FAIL;
	else if (run.skipped)
		SKIP(return, "%s", run.reason);
}

static void add_test(struct __fixture_metadata *fixture,
		     const struct cr_scenario *scenario, enum cr_mode mode)
{
	struct cr_test *test;

	if (!(scenario->modes & mode))
		return;
	test = calloc(1, sizeof(*test));
	test->meta.name = mode_name(mode);
	test->meta.fn = run_test;
	test->meta.fixture = fixture;
	test->meta.termsig = -1;
	test->meta.timeout = TEST_TIMEOUT;
	test->scenario = scenario;
	test->mode = mode;
	__register_test(&test->meta);
}

static void add_scenario(const struct cr_scenario *scenario)
{
	struct __fixture_metadata *fixture = calloc(1, sizeof(*fixture));

	fixture->name = scenario->name;
	__register_fixture(fixture);
	add_test(fixture, scenario, CR_SUBTREE);
	add_test(fixture, scenario, CR_CONTAINER);
	add_test(fixture, scenario, CR_SELF);
}

static int victim_main(char **argv, const struct cr_scenario *table, size_t len)
{
	enum cr_mode mode = CR_SUBTREE;
	size_t i;

	while (mode != CR_SELF && strcmp(argv[3], mode_name(mode)))
		mode <<= 1;
	for (i = 0; i < len; i++)
		if (!strcmp(table[i].name, argv[2]))
			return cr_victim(&table[i], mode, argv[4]);
	return 104;
}

int cr_main(int argc, char **argv, const struct cr_scenario *table, size_t len)
{
	size_t i;

	if (argc == 5 && !strcmp(argv[1], "--victim"))
		return victim_main(argv, table, len);

	dry = getenv("CR_DRY");
	if (!dry && sys_checkpoint(-1, -1, 0, -1) < 0 && cr_unsupported(errno))
		ksft_exit_skip("this kernel has no checkpoint\n");
	if (geteuid())
		ksft_exit_skip("needs to be root\n");

	for (i = 0; i < len; i++)
		add_scenario(&table[i]);
	return test_harness_run(argc, argv);
}
