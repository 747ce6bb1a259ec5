// SPDX-License-Identifier: GPL-2.0
/* The namespaces of a container, and how its init is different. */
#include <sched.h>
#include <signal.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "cr.h"

/* The driver writes down what it has: a child of it may not look. */
static const char * const kinds[] = {
	"pid", "ipc", "uts", "mnt", "net", "user", "cgroup",
};

static int note_namespaces(struct cr_run *run)
{
	char path[128], link[64];
	ssize_t n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		n = readlink(path, link, sizeof(link));
		if (n <= 0) {
			cr_failed(run, "cannot read %s", path);
			break;
		}
		snprintf(path, sizeof(path), "%s/%s", run->dir, kinds[i]);
		cr_write_file(path, link, n);
	}
	return -1;
}

static bool of_the_host(const char *kind)
{
	char path[64], host[64], mine[64];
	ssize_t n;

	NEED(cr_slurp(cr_path(kind), host, sizeof(host)) > 0);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	n = readlink(path, mine, sizeof(mine) - 1);
	NEED(n > 0);
	mine[n] = '\0';
	return !strcmp(host, mine);
}

static void names_setup(void)
{
	NEED(!sethostname("host-of-the-container", 21));
	NEED(!setdomainname("its.domain", 10));
}

static void names_check(enum cr_phase phase)
{
	struct utsname uts;

	NEED(!uname(&uts));
	CHECK_STR(uts.nodename, "host-of-the-container");
	CHECK_STR(uts.domainname, "its.domain");
	CHECK(!of_the_host("uts"));
	CHECK_EQ(sethostname("host-of-the-container", 21), 0);
}

static void nothing_setup(void)
{
}

/* What was apart from the machine stays so, what was not does as well. */
static void apart_check(enum cr_phase phase)
{
	size_t i;

	/* A container has the first three for itself. */
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		CHECK_EQ(of_the_host(kinds[i]),
			 cr_mode != CR_CONTAINER || i >= 3);
}

/* A process that has a name of its own for the machine, in a subtree. */
static struct renamed {
	int turn;
	char name[65];
} *renamed;

static void own_uts(void *arg)
{
	struct utsname uts;

	NEED(!unshare(CLONE_NEWUTS) && !sethostname("inner", 5));
	for (;;) {
		if (cr_get(&renamed->turn) == 1) {
			NEED(!uname(&uts));
			memcpy(renamed->name, uts.nodename, sizeof(uts.nodename));
			cr_set(&renamed->turn, 2);
		}
		cr_msleep(2);
	}
}

static void own_uts_setup(void)
{
	renamed = cr_shared(sizeof(*renamed));
	cr_fork(own_uts, NULL);
}

static void own_uts_check(enum cr_phase phase)
{
	struct utsname uts;

	cr_set(&renamed->turn, 1);
	cr_await(&renamed->turn, 2);
	CHECK_STR(renamed->name, "inner");
	NEED(!uname(&uts));
	CHECK(strcmp(uts.nodename, "inner"));
}

/* Init gets only the signals that it has a handler for, from inside. */
static int usr1;

static void on_usr1(int sig)
{
	cr_set(&usr1, usr1 + 1);
}

static void attack(void *arg)
{
	NEED(!kill(1, SIGTERM) && !kill(1, SIGKILL) && !kill(1, SIGUSR1));
}

static void init_setup(void)
{
	signal(SIGUSR1, on_usr1);
}

static void init_check(enum cr_phase phase)
{
	cr_set(&usr1, 0);
	CHECK_EQ(getpid(), 1);
	CHECK_EQ(getppid(), 0);
	cr_reap(cr_fork(attack, NULL), 0);
	cr_await(&usr1, 1);
}

/* Who has lost its parent becomes a child of init. */
static int *orphan_leaves;

static void orphan(void *arg)
{
	while (!cr_get(orphan_leaves))
		cr_msleep(2);
	_exit(33);
}

static void short_parent(void *arg)
{
	cr_fork(orphan, NULL);
}

static void orphan_setup(void)
{
	if (!orphan_leaves)
		orphan_leaves = cr_shared(sizeof(*orphan_leaves));
	cr_set(orphan_leaves, 0);
	cr_reap(cr_fork(short_parent, NULL), 0);
}

static void orphan_check(enum cr_phase phase)
{
	siginfo_t info = { };
	int i;

	CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	CHECK_EQ(info.si_pid, 0);
	cr_set(orphan_leaves, 1);
	for (i = 0; i < 5000 && !info.si_pid; i++) {
		CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
		cr_msleep(2);
	}
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_status, 33);
	orphan_setup();
}

/* Numbers go on where they were: none comes twice. */
static pid_t last_pid;

static void empty(void *arg)
{
}

static void numbers_setup(void)
{
	int i;

	for (i = 0; i < 30; i++) {
		last_pid = cr_fork(empty, NULL);
		cr_reap(last_pid, 0);
	}
	CHECK(last_pid >= 31);
}

static void numbers_check(enum cr_phase phase)
{
	pid_t pid = cr_fork(empty, NULL);

	cr_reap(pid, 0);
	CHECK_EQ(pid, last_pid + 1);
	last_pid = pid;
}

static const struct cr_scenario scenarios[] = {
	{ "namespace.host_name", CR_CONTAINER, names_setup, names_check,
	  .prepare = note_namespaces },
	{ "namespace.apart", CR_TREE, nothing_setup, apart_check,
	  .prepare = note_namespaces },
	{ "namespace.uts_of_child", CR_TREE, own_uts_setup, own_uts_check,
	  CR_REFUSED, "namespace" },
	{ "container.init", CR_CONTAINER, init_setup, init_check },
	{ "container.orphan", CR_CONTAINER, orphan_setup, orphan_check },
	{ "container.next_pid", CR_CONTAINER, numbers_setup, numbers_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
