// SPDX-License-Identifier: GPL-2.0
/* User namespaces: who is in which, their maps, what belongs to them. */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/nsfs.h>
#include <linux/securebits.h>

#include "cr.h"

/* A process that answers for itself when it is asked. */
static struct member {
	int turn;
	pid_t pid, outside;
	uid_t uid[3];
	gid_t gid[3], groups[8];
	int ngroups, securebits, named;
	__u64 effective, permitted;
	long limit;
	char maps[3][512], setgroups[16];
	char proc[64];
} *members;

static void read_into(const char *name, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	if (cr_slurp(path, buf, size) < 0)
		strcpy(buf, "unreadable");
}

static void look(struct member *self)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	struct cr_task task;
	struct utsname uts;
	char limit[32];

	self->pid = getpid();
	cr_here(&task);
	snprintf(self->proc, sizeof(self->proc), "/proc/%.50s", task.proc);
	NEED(!getresuid(&self->uid[0], &self->uid[1], &self->uid[2]));
	NEED(!getresgid(&self->gid[0], &self->gid[1], &self->gid[2]));
	self->ngroups = getgroups(8, self->groups);
	NEED(!syscall(SYS_capget, &header, caps));
	self->effective = caps[0].effective | (__u64)caps[1].effective << 32;
	self->permitted = caps[0].permitted | (__u64)caps[1].permitted << 32;
	self->securebits = prctl(PR_GET_SECUREBITS);
	NEED(!uname(&uts));
	self->named = sethostname(uts.nodename, strlen(uts.nodename)) ? errno : 0;
	read_into("uid_map", self->maps[0], sizeof(self->maps[0]));
	read_into("gid_map", self->maps[1], sizeof(self->maps[1]));
	read_into("projid_map", self->maps[2], sizeof(self->maps[2]));
	read_into("setgroups", self->setgroups, sizeof(self->setgroups));
	NEED(cr_slurp("/proc/sys/user/max_ipc_namespaces", limit,
		      sizeof(limit)) > 0);
	self->limit = atol(limit);
}

static void answer(struct member *self)
{
	look(self);
	cr_set(&self->turn, 2);
	for (;;) {
		if (cr_get(&self->turn) == 1) {
			look(self);
			cr_set(&self->turn, 2);
		}
		cr_msleep(2);
	}
}

static struct member *ask(size_t i)
{
	cr_set(&members[i].turn, 1);
	cr_await(&members[i].turn, 2);
	return &members[i];
}

static void write_proc(const char *proc, const char *name, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", proc, name);
	cr_write_file(path, text, strlen(text));
}

/* The namespace that a link in /proc leads to, or one that it knows of. */
static ino_t ns_of(const struct member *who, const char *name, unsigned int ask)
{
	struct stat st = { };
	char path[96];
	int fd, other;

	snprintf(path, sizeof(path), "%s/ns/%s", who->proc, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0);
	other = ask ? ioctl(fd, ask) : fd;
	if (other >= 0)
		NEED(!fstat(other, &st));
	if (other >= 0 && other != fd)
		close(other);
	close(fd);
	return st.st_ino;
}

static uid_t owner_of(const struct member *who)
{
	uid_t uid = -1;
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/ns/user", who->proc);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && !ioctl(fd, NS_GET_OWNER_UID, &uid));
	close(fd);
	return uid;
}

static ino_t own_ns(void)
{
	struct stat st;

	NEED(!stat("/proc/self/ns/user", &st));
	return st.st_ino;
}

/* One goes into a new user namespace, and its parent gives it the ids. */
static void enter(struct member *self)
{
	struct cr_task task;

	NEED(!unshare(CLONE_NEWUSER));
	cr_here(&task);
	snprintf(self->proc, sizeof(self->proc), "/proc/%.50s", task.proc);
	cr_set(&self->turn, 10);
	cr_await(&self->turn, 11);
}

static const char uids[] =
	"         0     100000       1000\n"
	"      1000     201000          1\n"
	"      2000     202000        500\n"
	"      3000     203000          7\n"
	"      4000     204000         10\n"
	"      5000          0          1\n"
	"  90000000  400000000  100000000\n";
static const char gids[] =
	"         0     300000        100\n"
	"      1005       1005          1\n";
static const char projids[] = "        10        700          3\n";

static void let_in(struct member *who)
{
	cr_await(&who->turn, 10);
	write_proc(who->proc, "uid_map", uids);
	write_proc(who->proc, "gid_map", gids);
	write_proc(who->proc, "projid_map", projids);
	cr_set(&who->turn, 11);
}

/* In the namespace of the other, who makes it is root there and somebody here. */
static void inner(void *arg)
{
	NEED(!prctl(PR_SET_DUMPABLE, 1));
	NEED(!unshare(CLONE_NEWUSER));
	write_proc("/proc/self", "setgroups", "deny");
	write_proc("/proc/self", "uid_map", "7 2001 1");
	write_proc("/proc/self", "gid_map", "8 51 1");
	NEED(!setresuid(7, 7, 7));
	answer(&members[1]);
}

static void sibling(void *arg)
{
	answer(&members[2]);
}

/* In the order of what they are outside. */
static const gid_t groups[] = { 1005, 3 };

static void outer(void *arg)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { };

	enter(&members[0]);
	NEED(!setgroups(2, groups));
	NEED(!setresgid(50, 51, 52));
	write_proc("/proc/sys", "user/max_ipc_namespaces", "77");
	NEED(!prctl(PR_SET_KEEPCAPS, 1));
	NEED(!setresuid(1000, 2001, 90000000));
	cr_fork(sibling, NULL);
	cr_fork(inner, NULL);
	caps[0].permitted = 1 << CAP_SYS_PTRACE | 1 << CAP_KILL;
	caps[0].effective = 1 << CAP_KILL;
	NEED(!syscall(SYS_capset, &header, caps));
	NEED(!prctl(PR_SET_DUMPABLE, 1));
	answer(&members[0]);
}

static void maps_setup(void)
{
	members = cr_shared(16384);
	cr_fork(outer, NULL);
	let_in(&members[0]);
	cr_await(&members[0].turn, 2);
	cr_await(&members[1].turn, 2);
	cr_await(&members[2].turn, 2);
}

static void maps_check(enum cr_phase phase)
{
	const struct member *who = ask(0), *in = ask(1), *next = ask(2);

	CHECK_EQ(who->uid[0], 1000);
	CHECK_EQ(who->uid[1], 2001);
	CHECK_EQ(who->uid[2], 90000000);
	CHECK_EQ(who->gid[0], 50);
	CHECK_EQ(who->gid[1], 51);
	CHECK_EQ(who->gid[2], 52);
	CHECK_EQ(who->ngroups, 2);
	CHECK_MEM(who->groups, groups, sizeof(groups));
	CHECK_EQ(who->permitted, 1 << CAP_SYS_PTRACE | 1 << CAP_KILL);
	CHECK_EQ(who->effective, 1 << CAP_KILL);
	CHECK_EQ(who->named, EPERM);
	CHECK_EQ(who->limit, 77);
	CHECK_STR(who->setgroups, "allow\n");
	CHECK_STR(who->maps[0], uids);
	CHECK_STR(who->maps[1], gids);
	CHECK_STR(who->maps[2], projids);
	CHECK_EQ(owner_of(who), 0);

	CHECK_EQ(next->uid[1], 2001);
	CHECK_STR(next->maps[0], uids);
	CHECK_EQ(ns_of(next, "user", 0), ns_of(who, "user", 0));

	CHECK_EQ(in->uid[1], 7);
	CHECK_EQ(in->limit, INT_MAX);
	CHECK_STR(in->setgroups, "deny\n");
	CHECK_STR(in->maps[0], "         7       2001          1\n");
	CHECK_STR(in->maps[1], "         8         51          1\n");
	CHECK_STR(in->maps[2], "");
	CHECK_EQ(ns_of(in, "user", NS_GET_PARENT), ns_of(who, "user", 0));
	CHECK(ns_of(in, "user", 0) != ns_of(who, "user", 0));
	CHECK_EQ(ns_of(who, "user", NS_GET_PARENT), own_ns());
	CHECK_EQ(owner_of(in), 202001);
}

/* Without maps nobody is anybody, until somebody sets them: once. */
static void stranger(void *arg)
{
	NEED(!unshare(CLONE_NEWUSER));
	answer(&members[0]);
}

static bool mapped;

static void unmapped_setup(void)
{
	members = cr_shared(16384);
	cr_fork(stranger, NULL);
	cr_await(&members[0].turn, 2);
}

static void unmapped_check(enum cr_phase phase)
{
	const struct member *who = ask(0);

	CHECK_EQ(who->uid[0], mapped ? 0 : 65534);
	CHECK_EQ(who->gid[0], mapped ? 0 : 65534);
	CHECK_STR(who->maps[0], mapped ? "         0          0          1\n" : "");
	if (phase != CR_AGAIN || mapped)
		return;
	write_proc(who->proc, "uid_map", "0 0 1");
	write_proc(who->proc, "gid_map", "0 0 1");
	mapped = true;
	ask(0);
	CHECK_EQ(who->uid[0], 0);
	CHECK_EQ(who->gid[0], 0);
}

/* As a user without rights does it: namespaces for the user who is root there. */
static void rootless_init(void *arg)
{
	answer(&members[1]);
}

static void rootless(void *arg)
{
	pid_t pid;

	NEED(!setgroups(0, NULL) && !setresgid(1001, 1001, 1001) &&
	     !setresuid(1000, 1000, 1000) && !prctl(PR_SET_DUMPABLE, 1));
	NEED(!unshare(CLONE_NEWUSER | CLONE_NEWUTS));
	write_proc("/proc/self", "setgroups", "deny");
	write_proc("/proc/self", "uid_map", "0 1000 1");
	write_proc("/proc/self", "gid_map", "0 1001 1");
	NEED(!sethostname("rootless", 8));
	pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	NEED(pid >= 0);
	if (!pid)
		rootless_init(NULL);
	NEED(!unshare(CLONE_NEWPID));
	cr_fork(sibling, NULL);
	answer(&members[0]);
}

static void rootless_setup(void)
{
	members = cr_shared(16384);
	cr_fork(rootless, NULL);
	cr_await(&members[0].turn, 2);
	cr_await(&members[1].turn, 2);
	cr_await(&members[2].turn, 2);
}

static void rootless_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		const struct member *who = ask(i);

		CHECK_EQ(who->uid[1], 0);
		CHECK_EQ(who->gid[1], 0);
		CHECK_EQ(who->ngroups, 0);
		CHECK(who->effective >> CAP_SYS_ADMIN & 1);
		/* The names of the machine are its own. */
		CHECK_EQ(who->named, 0);
		CHECK_EQ(ns_of(who, "uts", NS_GET_USERNS), ns_of(who, "user", 0));
		CHECK_EQ(ns_of(who, "user", NS_GET_PARENT), own_ns());
		CHECK_EQ(owner_of(who), 1000);
		if (!i)
			continue;
		CHECK_EQ(who->pid, 1);
		CHECK_EQ(ns_of(who, "pid", NS_GET_USERNS), ns_of(who, "user", 0));
	}
}

/* The root of the tree is in a user namespace, and what it has belongs to it. */
static int segment = -1;

static void root_setup(void)
{
	members = cr_shared(16384);
	if (cr_mode != CR_CONTAINER)
		return;
	segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	NEED(segment >= 0);
	NEED(!sethostname("inside", 6));
}

static void root_check(enum cr_phase phase)
{
	struct member *self = &members[0];
	struct shmid_ds ds;

	look(self);
	CHECK_EQ(self->uid[1], 0);
	CHECK_STR(self->maps[0], "         0          0      65536\n");
	CHECK(self->effective >> CAP_SYS_ADMIN & 1);
	if (cr_mode != CR_CONTAINER) {
		CHECK_EQ(self->named, EPERM);
		return;
	}
	CHECK_EQ(self->named, 0);
	CHECK_EQ(ns_of(self, "uts", NS_GET_USERNS), ns_of(self, "user", 0));
	CHECK_EQ(ns_of(self, "ipc", NS_GET_USERNS), ns_of(self, "user", 0));
	CHECK_EQ(ns_of(self, "pid", NS_GET_USERNS), ns_of(self, "user", 0));
	CHECK_EQ(shmctl(segment, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.shm_perm.uid, 0);
}

/*
 * A program that was started in a user namespace, and of which there is no dump:
 * to /proc it belongs to the root of that namespace.
 */
static void starter(void *arg)
{
	char self[PATH_MAX] = "";

	NEED(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	enter(&members[0]);
	execl(self, self, "--undumpable", cr_path("started"), NULL);
}

static __noreturn void undumpable(const char *path)
{
	NEED(!prctl(PR_SET_DUMPABLE, 0));
	cr_write_file(path, "x", 1);
	for (;;)
		pause();
}

static void program_setup(void)
{
	struct stat st;

	/* It may write there. */
	NEED(!chmod(cr_path("."), 0777));
	members = cr_shared(16384);
	cr_fork(starter, NULL);
	let_in(&members[0]);
	while (stat(cr_path("started"), &st))
		cr_msleep(2);
}

static void program_check(enum cr_phase phase)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/status", members[0].proc);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_uid, 100000);
	CHECK_EQ(st.st_gid, 300000);
}

/* Ids that mean nothing to who saves cannot be told. */
static void unknown_setup(void)
{
	NEED(!unshare(CLONE_NEWUSER));
}

static void from_inside(void *arg)
{
	struct cr_run *run = arg;
	char path[64];
	long ret;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", run->root);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWUSER))
		_exit(1);
	close(fd);
	ret = cr_try_checkpoint(run, "image", 0);
	if (ret != -CR_REFUSED || !cr_log_has(run, "has no number"))
		_exit(2);
}

static void unknown_drive(struct cr_run *run)
{
	char path[128];
	int status;
	pid_t pid;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	/* Nobody can make a file there. */
	snprintf(path, sizeof(path), "%s/image", run->dir);
	cr_write_file(path, "", 0);
	snprintf(path, sizeof(path), "%s/log", run->dir);
	cr_write_file(path, "", 0);
	pid = cr_fork(from_inside, run);
	if (waitpid(pid, &status, 0) != pid || status)
		cr_failed(run, "not refused as it should be: %#x", status);
	cr_check(run, CR_AFTER);
}

static void unknown_check(enum cr_phase phase)
{
	CHECK_EQ(getuid(), 65534);
}

/* Keys that only users of the namespace have are lost with it. */
static void with_key(void *arg)
{
	long key;

	enter(&members[0]);
	key = syscall(SYS_add_key, "user", "of-the-namespace", "x", 1,
		      KEY_SPEC_USER_KEYRING);
	NEED(key > 0);
	answer(&members[0]);
}

static void keys_setup(void)
{
	members = cr_shared(16384);
	cr_fork(with_key, NULL);
	let_in(&members[0]);
	cr_await(&members[0].turn, 2);
}

static void keys_check(enum cr_phase phase)
{
	CHECK_EQ(ask(0)->uid[0], 5000);
}

/*
 * Whoever may choose pids, but may not be somebody else, cannot have namespaces
 * of root.
 */
static void as_somebody(void *arg)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { };
	struct cr_run *run = arg;
	long ret;

	if (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) ||
	    setresgid(1001, 1001, 1001) || setresuid(1000, 1000, 1000))
		_exit(1);
	caps[0].permitted = 1 << CAP_DAC_OVERRIDE | 1 << CAP_SYS_ADMIN |
			    1 << CAP_SYS_RESOURCE;
	caps[1].permitted = 1 << (CAP_CHECKPOINT_RESTORE - 32);
	caps[0].effective = caps[0].permitted;
	caps[1].effective = caps[1].permitted;
	if (syscall(SYS_capset, &header, caps))
		_exit(2);
	ret = cr_try_restart(run, "image", 0);
	if (ret != -EPERM || !cr_log_has(run, "you may not make a user namespace"))
		_exit(3);
}

static void not_allowed_drive(struct cr_run *run)
{
	int status;
	pid_t pid;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_kill(run))
		return;
	pid = cr_fork(as_somebody, run);
	if (waitpid(pid, &status, 0) != pid || status)
		cr_failed(run, "not refused as it should be: %#x", status);
	if (cr_restart(run, "image", 0))
		cr_check(run, CR_AGAIN);
}

static const struct cr_scenario scenarios[] = {
	{ "users.maps", CR_TREE, maps_setup, maps_check },
	{ "users.unmapped", CR_TREE, unmapped_setup, unmapped_check },
	{ "users.rootless", CR_TREE, rootless_setup, rootless_check },
	{ "users.root", CR_TREE, root_setup, root_check, .in_user_ns = true },
	{ "users.program", CR_SUBTREE, program_setup, program_check },
	{ "users.unknown", CR_SUBTREE, unknown_setup, unknown_check,
	  .drive = unknown_drive },
	{ "users.keys", CR_TREE, keys_setup, keys_check,
	  CR_REFUSED, "has keys that belong to its users" },
	{ "users.not_allowed", CR_SUBTREE, maps_setup, maps_check,
	  .drive = not_allowed_drive },
};

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--undumpable"))
		undumpable(argv[2]);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
