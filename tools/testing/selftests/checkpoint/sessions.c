// SPDX-License-Identifier: GPL-2.0
/* Sessions and process groups, also those whose leader is dead. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cr.h"

/* Children that tell who they are and count the signals that they get. */
#define MEMBERS	4

static struct member {
	int ask, told, go, leave;
	pid_t pid, pgid, sid, ppid;
	int usr1;
} *members;

static struct member were[MEMBERS];
static struct member *me;

static void count_usr1(int sig)
{
	cr_set(&me->usr1, me->usr1 + 1);
}

static void serve(struct member *member)
{
	struct sigaction act = { .sa_handler = count_usr1 };
	int n;

	me = member;
	NEED(!sigaction(SIGUSR1, &act, NULL));
	while (!cr_get(&me->leave)) {
		n = cr_get(&me->ask);
		if (n != me->told) {
			me->pid = getpid();
			me->ppid = getppid();
			me->pgid = getpgrp();
			me->sid = getsid(0);
			cr_set(&me->told, n);
		}
		cr_msleep(2);
	}
}

static void ask(int i)
{
	int n = cr_get(&members[i].ask) + 1;

	cr_set(&members[i].ask, n);
	cr_await(&members[i].told, n);
}

static void remember(int count)
{
	int i;

	for (i = 0; i < count; i++) {
		ask(i);
		were[i] = members[i];
	}
}

static void check_same(int i)
{
	ask(i);
	CHECK_EQ(members[i].pid, were[i].pid);
	CHECK_EQ(members[i].ppid, were[i].ppid);
	CHECK_EQ(members[i].pgid, were[i].pgid);
	CHECK_EQ(members[i].sid, were[i].sid);
}

/* Sends to a group, and checks which members got it. */
static void check_group(pid_t pgid, int count)
{
	int i;

	for (i = 0; i < count; i++)
		cr_set(&members[i].usr1, 0);
	CHECK_EQ(kill(-pgid, SIGUSR1), 0);
	for (i = 0; i < count; i++)
		if (were[i].pgid == pgid)
			cr_await(&members[i].usr1, 1);
	for (i = 0; i < count; i++)
		if (were[i].pgid != pgid)
			CHECK_EQ(cr_get(&members[i].usr1), 0);
}

static void member(void *arg)
{
	serve(arg);
}

static void new_session(void *arg)
{
	NEED(setsid() == getpid());
	serve(arg);
}

/* Two children of the root's session, two leaders of their own. */
static void leaders_setup(void)
{
	members = cr_shared(MEMBERS * sizeof(*members));
	cr_fork(member, &members[0]);
	cr_fork(new_session, &members[1]);
	cr_fork(member, &members[2]);
	cr_fork(new_session, &members[3]);
	remember(4);
	CHECK_EQ(members[0].sid, getpid());
	CHECK_EQ(members[1].sid, members[1].pid);
	CHECK_EQ(members[3].pgid, members[3].pid);
}

static void leaders_check(enum cr_phase phase)
{
	int i;

	CHECK_EQ(getsid(0), getpid());
	for (i = 0; i < 4; i++) {
		check_same(i);
		CHECK_EQ(getsid(members[i].pid), were[i].sid);
		CHECK_EQ(getpgid(members[i].pid), were[i].pgid);
	}
	check_group(were[1].pid, 4);
	check_group(were[3].pid, 4);
}

/* Two groups of two, in the session of the root. */
static void groups_setup(void)
{
	pid_t pids[4];
	int i;

	members = cr_shared(MEMBERS * sizeof(*members));
	for (i = 0; i < 4; i++)
		pids[i] = cr_fork(member, &members[i]);
	for (i = 0; i < 4; i++)
		NEED(!setpgid(pids[i], pids[i & ~1]));
	remember(4);
	CHECK_EQ(members[3].pgid, pids[2]);
	CHECK_EQ(members[3].sid, getpid());
}

static void groups_check(enum cr_phase phase)
{
	int i;

	for (i = 0; i < 4; i++)
		check_same(i);
	check_group(were[0].pgid, 4);
	check_group(were[2].pgid, 4);
}

/* A child joins the group of its parent's child: not of its own ancestors. */
static void grandchild_leader(void *arg)
{
	pid_t pid;

	NEED(!setpgid(0, 0));
	pid = cr_fork(member, &members[1]);
	NEED(!setpgid(pid, pid));
	NEED(!setpgid(0, pid));
	serve(&members[0]);
}

static void group_of_child_setup(void)
{
	members = cr_shared(MEMBERS * sizeof(*members));
	cr_fork(grandchild_leader, NULL);
	remember(2);
	CHECK_EQ(members[0].pgid, members[1].pid);
}

static void group_of_child_check(enum cr_phase phase)
{
	check_same(0);
	check_same(1);
	check_group(were[1].pid, 2);
}

/* The leader of a group has gone: its number still is the group's. */
static void dead_group_setup(void)
{
	pid_t pids[2];
	int i;

	members = cr_shared(MEMBERS * sizeof(*members));
	for (i = 0; i < 2; i++)
		pids[i] = cr_fork(member, &members[i]);
	NEED(!setpgid(pids[0], pids[0]) && !setpgid(pids[1], pids[0]));
	cr_set(&members[0].leave, 1);
	cr_reap(pids[0], 0);
	ask(1);
	were[1] = members[1];
	CHECK_EQ(members[1].pgid, pids[0]);
}

static void dead_group_check(enum cr_phase phase)
{
	check_same(1);
	cr_set(&members[1].usr1, 0);
	CHECK_EQ(kill(-were[1].pgid, SIGUSR1), 0);
	cr_await(&members[1].usr1, 1);
	/* It leads nothing else: there is no process of that number. */
	CHECK_EQ(kill(were[1].pgid, 0), -1);
	CHECK_EQ(errno, ESRCH);
}

/* The same with a session, whose last member hangs below the root then. */
static void dying_leader(void *arg)
{
	NEED(setsid() == getpid());
	cr_fork(member, &members[1]);
	serve(&members[0]);
}

static void dead_session_setup(void)
{
	pid_t pid;

	NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	members = cr_shared(MEMBERS * sizeof(*members));
	pid = cr_fork(dying_leader, NULL);
	ask(0);
	ask(1);
	cr_set(&members[0].leave, 1);
	cr_reap(pid, 0);
	ask(1);
	were[1] = members[1];
	CHECK_EQ(members[1].sid, pid);
	CHECK_EQ(members[1].pgid, pid);
	CHECK_EQ(members[1].ppid, getpid());
}

static void dead_session_check(enum cr_phase phase)
{
	check_same(1);
	CHECK_EQ(getsid(were[1].pid), were[1].sid);
	cr_set(&members[1].usr1, 0);
	CHECK_EQ(kill(-were[1].pgid, SIGUSR1), 0);
	cr_await(&members[1].usr1, 1);
}

/* A zombie leads its group as long as nobody waits for it. */
static void zombie_leader_setup(void)
{
	siginfo_t info;
	pid_t pids[2];
	int i;

	members = cr_shared(MEMBERS * sizeof(*members));
	for (i = 0; i < 2; i++)
		pids[i] = cr_fork(member, &members[i]);
	NEED(!setpgid(pids[0], pids[0]) && !setpgid(pids[1], pids[0]));
	remember(2);
	cr_set(&members[0].leave, 1);
	NEED(!waitid(P_PID, pids[0], &info, WEXITED | WNOWAIT));
}

static void zombie_leader_check(enum cr_phase phase)
{
	siginfo_t info = { };

	check_same(1);
	CHECK_EQ(waitid(P_PGID, were[0].pid, &info,
			WEXITED | WNOWAIT | WNOHANG), 0);
	CHECK_EQ(info.si_pid, were[0].pid);
	CHECK_EQ(getpgid(were[0].pid), were[0].pid);
}

static const struct cr_scenario scenarios[] = {
	{ "session.leaders", CR_TREE, leaders_setup, leaders_check },
	{ "session.dead_leader", CR_TREE, dead_session_setup,
	  dead_session_check },
	{ "group.members", CR_TREE, groups_setup, groups_check },
	{ "group.led_by_child", CR_TREE, group_of_child_setup,
	  group_of_child_check },
	{ "group.dead_leader", CR_TREE, dead_group_setup, dead_group_check },
	{ "group.zombie_leader", CR_TREE, zombie_leader_setup,
	  zombie_leader_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
