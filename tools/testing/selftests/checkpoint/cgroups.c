// SPDX-License-Identifier: GPL-2.0
/* The cgroups (version 2) of tasks, which keep their places around that of the root. */
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cr.h"

#define TOP	"/sys/fs/cgroup/"

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, len) == len;
	return !close(fd) && ok;
}

static void make(const char *cgroup)
{
	if (access(TOP "cgroup.procs", F_OK))
		cr_skip("no cgroups of version 2 in /sys/fs/cgroup");
	NEED(!mkdir(cgroup, 0755) || errno == EEXIST);
}

static bool enter(const char *cgroup, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	return write_text(path, "0");
}

/* The cgroup of the calling thread. */
static void where(char *text, size_t size)
{
	char all[1024], *found;

	NEED(cr_slurp("/proc/thread-self/cgroup", all, sizeof(all)) > 0);
	found = strstr(all, "0::/");
	NEED(found);
	found[strcspn(found, "\n")] = '\0';
	snprintf(text, size, "%s", found + 4);
}

/* Each says where it is when it is asked. */
static struct member {
	const char *cgroup, *file;
	int turn;
	char is_in[256];
} *members;

static void answer(struct member *self)
{
	NEED(enter(self->cgroup, self->file));
	cr_set(&self->turn, 2);
	for (;;) {
		if (cr_get(&self->turn) == 1) {
			where(self->is_in, sizeof(self->is_in));
			cr_set(&self->turn, 2);
		}
		cr_msleep(2);
	}
}

static void child(void *arg)
{
	answer(arg);
}

static void join_cgroup(struct member *self, const char *cgroup)
{
	self->cgroup = cgroup;
	self->file = "cgroup.procs";
	cr_fork(child, self);
	cr_await(&self->turn, 2);
}

static void check_member(struct member *self)
{
	cr_set(&self->turn, 1);
	cr_await(&self->turn, 2);
	CHECK_STR(self->is_in, self->cgroup + strlen(TOP));
}

/* Below the cgroup of the root, one below the other. */
static void below_setup(void)
{
	make(TOP "cr.below");
	make(TOP "cr.below/..inner");
	members = cr_shared(4096);
	join_cgroup(&members[0], TOP "cr.below/..inner");
	join_cgroup(&members[1], TOP "cr.below");
}

static void below_check(enum cr_phase phase)
{
	char mine[256];

	check_member(&members[0]);
	check_member(&members[1]);
	where(mine, sizeof(mine));
	CHECK_STR(mine, "");
}

/* One that has ended there. */
static void ends(void *arg)
{
	NEED(enter(TOP "cr.ended", "cgroup.procs"));
	_exit(7);
}

static pid_t ended;

static void ended_setup(void)
{
	make(TOP "cr.ended");
	ended = cr_fork(ends, NULL);
	NEED(!waitid(P_PID, ended, NULL, WEXITED | WNOWAIT));
}

static void ended_check(enum cr_phase phase)
{
	siginfo_t info = {};

	/* Where it was is compared by the observer. */
	CHECK_EQ(waitid(P_PID, ended, &info, WEXITED | WNOWAIT), 0);
	CHECK_EQ(info.si_status, 7);
}

static void removed_setup(void)
{
	ended_setup();
	NEED(!rmdir(TOP "cr.ended"));
}

/* Threads that are apart, in a threaded cgroup. */
static void *in_thread(void *arg)
{
	answer(arg);
	return NULL;
}

static void threaded_process(void *arg)
{
	pthread_t thread;
	int i;

	NEED(enter(TOP "cr.threaded", "cgroup.procs"));
	for (i = 1; i < 3; i++) {
		NEED(!pthread_create(&thread, NULL, in_thread, &members[i]));
		cr_await(&members[i].turn, 2);
	}
	answer(&members[0]);
}

static void threads_setup(void)
{
	make(TOP "cr.threaded");
	make(TOP "cr.threaded/a");
	make(TOP "cr.threaded/b");
	write_text(TOP "cr.threaded/a/cgroup.type", "threaded");
	write_text(TOP "cr.threaded/b/cgroup.type", "threaded");
	members = cr_shared(4096);
	members[0] = (struct member){ TOP "cr.threaded", "cgroup.threads" };
	members[1] = (struct member){ TOP "cr.threaded/a", "cgroup.threads" };
	members[2] = (struct member){ TOP "cr.threaded/b", "cgroup.threads" };
	cr_fork(threaded_process, NULL);
	cr_await(&members[0].turn, 2);
}

static void threads_check(enum cr_phase phase)
{
	int i;

	for (i = 0; i < 3; i++)
		check_member(&members[i]);
}

/* For those whose driver changes the cgroup. */
static void one_setup(void)
{
	make(TOP "cr.below");
	members = cr_shared(4096);
	join_cgroup(&members[0], TOP "cr.below");
}

static void one_check(enum cr_phase phase)
{
	check_member(&members[0]);
}

/* Beside the root, which is in a cgroup itself: the restarter chooses that. */
static void beside_setup(void)
{
	make(TOP "cr.beside");
	make(TOP "cr.beside/root");
	make(TOP "cr.beside/other");
	make(TOP "cr.beside/other/inner");
	NEED(enter(TOP "cr.beside/root", "cgroup.procs"));
	members = cr_shared(4096);
	join_cgroup(&members[0], TOP "cr.beside/other/inner");
	join_cgroup(&members[1], TOP "cr.beside");
}

static void beside_check(enum cr_phase phase)
{
	char mine[256];

	check_member(&members[0]);
	check_member(&members[1]);
	where(mine, sizeof(mine));
	CHECK_STR(mine, "cr.beside/root");
}

static void beside_drive(struct cr_run *run)
{
	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) || !cr_kill(run))
		return;
	/* From the top there is nothing above. */
	if (cr_try_restart(run, "image", 0) != -ENOENT ||
	    !cr_log_has(run, "cgroup \"other/inner\""))
		return cr_failed(run, "it was restarted at the top");
	if (!enter(TOP "cr.beside/root", "cgroup.procs"))
		return cr_failed(run, "cannot enter the cgroup of the root");
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN) &&
	       cr_checkpoint(run, "second", CHECKPOINT_KILL) && cr_kill(run) &&
	       cr_restart(run, "second", 0) && cr_check(run, CR_AGAIN));
	if (!enter(TOP, "cgroup.procs"))
		cr_failed(run, "cannot go back");
}

/* One image after which the driver changes the cgroup that a task was in. */
static bool saved(struct cr_run *run)
{
	return cr_start(run) && cr_check(run, CR_BEFORE) &&
	       cr_checkpoint(run, "image", CHECKPOINT_KILL) && cr_kill(run);
}

static void fails_with(struct cr_run *run, int errno_)
{
	long ret = cr_try_restart(run, "image", 0);

	if (ret != -errno_)
		cr_failed(run, "restart gave %ld, not -%d", ret, errno_);
	else if (!cr_log_has(run, "cgroup \"cr.below\""))
		cr_failed(run, "the log does not name the cgroup");
	(void)cr_none_left(run);
}

static void succeeds(struct cr_run *run)
{
	(void)(!run->failed && cr_restart(run, "image", 0) &&
	       cr_check(run, CR_AGAIN));
}

static void missing_drive(struct cr_run *run)
{
	rmdir(TOP "cr.below/..inner");
	if (!saved(run))
		return;
	if (rmdir(TOP "cr.below"))
		return cr_failed(run, "cannot remove the cgroup");
	fails_with(run, ENOENT);
	mkdir(TOP "cr.below", 0755);
	succeeds(run);
}

/* Without the right to write to a file of others. */
static bool override(bool may)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	const unsigned int bit = 1U << CAP_DAC_OVERRIDE;

	if (syscall(SYS_capget, &head, data))
		return false;
	data[0].effective = may ? data[0].effective | bit :
				  data[0].effective & ~bit;
	return !syscall(SYS_capset, &head, data);
}

static void not_allowed_drive(struct cr_run *run)
{
	static const char file[] = TOP "cr.below/cgroup.procs";

	if (!saved(run))
		return;
	if (chown(file, 65534, 65534) || !override(false))
		return cr_failed(run, "cannot give the cgroup away");
	fails_with(run, EACCES);
	if (!override(true) || chown(file, 0, 0))
		return cr_failed(run, "cannot take the cgroup back");
	succeeds(run);
}

/* The common ancestor counts as well, as it does for who writes. */
static void not_from_here_drive(struct cr_run *run)
{
	static const char file[] = TOP "cgroup.procs";

	if (!saved(run))
		return;
	if (chown(file, 65534, 65534) || !override(false))
		return cr_failed(run, "cannot give the cgroup away");
	fails_with(run, EACCES);
	if (!override(true) || chown(file, 0, 0))
		return cr_failed(run, "cannot take the cgroup back");
	succeeds(run);
}

static void frozen_drive(struct cr_run *run)
{
	static const char file[] = TOP "cr.below/cgroup.freeze";

	if (!saved(run))
		return;
	if (!write_text(file, "1"))
		return cr_failed(run, "cannot freeze the cgroup");
	fails_with(run, EBUSY);
	if (!write_text(file, "0"))
		cr_failed(run, "cannot thaw the cgroup");
	succeeds(run);
}

static const struct cr_scenario scenarios[] = {
	{ "cgroup.below", CR_TREE, below_setup, below_check },
	{ "cgroup.ended", CR_TREE, ended_setup, ended_check },
	{ "cgroup.removed", CR_TREE, removed_setup, ended_check,
	  CR_REFUSED, "has ended in a cgroup that has been removed" },
	{ "cgroup.threads", CR_TREE, threads_setup, threads_check },
	{ "cgroup.beside", CR_TREE, beside_setup, beside_check,
	  .drive = beside_drive },
	{ "cgroup.missing", CR_TREE, one_setup, one_check,
	  .drive = missing_drive },
	{ "cgroup.not_allowed", CR_TREE, one_setup, one_check,
	  .drive = not_allowed_drive },
	{ "cgroup.not_from_here", CR_TREE, one_setup, one_check,
	  .drive = not_from_here_drive },
	{ "cgroup.frozen", CR_TREE, one_setup, one_check,
	  .drive = frozen_drive },
};

int main(int argc, char **argv)
{
	static const char * const made[] = {
		TOP "cr.below/..inner", TOP "cr.below", TOP "cr.ended",
		TOP "cr.threaded/a", TOP "cr.threaded/b", TOP "cr.threaded",
		TOP "cr.beside/other/inner", TOP "cr.beside/other",
		TOP "cr.beside/root", TOP "cr.beside",
	};
	int ret = cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(made); i++)
		rmdir(made[i]);
	return ret;
}
