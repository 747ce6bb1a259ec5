// SPDX-License-Identifier: GPL-2.0
/*
 * NUMA policies of mappings and of shared memory, mbind(2), and of tasks,
 * set_mempolicy(2). One node is enough for all of them. Where policies start and
 * end shows in the mappings, too, which are compared for every test.
 */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "cr.h"

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY	5
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node	450
#endif

#define PAGES	12

static size_t page_size;
static unsigned char *mem;
static int fd, id;

struct both {
	int done;
};

static struct both *both;

/* Each page of the memory has a policy of its own, or none. */
static const struct {
	int mode;
	unsigned long nodes;
} policies[PAGES] = {
	[1] = { MPOL_BIND, 1 },
	[2] = { MPOL_BIND, 1 },
	[3] = { MPOL_INTERLEAVE, 1 },
	[4] = { MPOL_PREFERRED, 1 },
	[5] = { MPOL_LOCAL, 0 },
	[6] = { MPOL_PREFERRED_MANY, 1 },
	[7] = { MPOL_BIND | MPOL_F_STATIC_NODES, 1 },
	/* Of the nodes that were asked for only the first need be there. */
	[8] = { MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 3 },
	[9] = { MPOL_BIND | MPOL_F_RELATIVE_NODES, 2 },
	[10] = { MPOL_BIND, 1 },
};

static void bind_page(unsigned char *p, int mode, unsigned long nodes)
{
	long ret = syscall(SYS_mbind, p, page_size, mode,
			   nodes ? &nodes : NULL, nodes ? 64UL : 0UL, 0);

	if (ret && cr_unsupported(errno))
		cr_skip("no NUMA policies");
	NEED(!ret);
}

static void check_page(size_t page, unsigned char *p, int mode,
		       unsigned long nodes)
{
	unsigned long is[16] = { };
	int got = -1;

	CHECK_EQ(syscall(SYS_get_mempolicy, &got, is, 1024UL, p,
			 (unsigned long)MPOL_F_ADDR), 0);
	if (got != mode || is[0] != nodes)
		cr_note(__FILE__, __LINE__,
			"page %zu has mode %#x nodes %#lx, not %#x %#lx", page,
			got, is[0], mode, nodes);
}

static void *map(int flags, int fd)
{
	void *p = mmap(NULL, PAGES * page_size, PROT_READ | PROT_WRITE, flags,
		       fd, 0);

	NEED(p != MAP_FAILED);
	return p;
}

static void bind_all(unsigned char *p)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		if (policies[i].mode)
			bind_page(p + i * page_size, policies[i].mode,
				  policies[i].nodes);
}

static void check_all(unsigned char *p)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		check_page(i, p + i * page_size, policies[i].mode,
			   policies[i].nodes);
}

static void private_setup(void)
{
	mem = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	bind_all(mem);
	/* Two that only differ in that, so that they stay apart. */
	if (syscall(SYS_set_mempolicy_home_node, mem + 2 * page_size, page_size,
		    0UL, 0UL))
		NEED(cr_unsupported(errno));
	cr_pattern(mem, PAGES * page_size, 1);
}

static void private_check(enum cr_phase phase)
{
	check_all(mem);
	CHECK_PATTERN(mem, PAGES * page_size, 1);
}

/*
 * A policy of shared memory belongs to its pages: who asks sees what somebody
 * else has set or taken back since, and each has mappings of his own.
 */
static void changer(void *arg)
{
	bind_page(mem + page_size, MPOL_PREFERRED, 1);
	bind_page(mem, MPOL_BIND, 1);
	bind_page(mem + 10 * page_size, MPOL_DEFAULT, 0);
	cr_set(&both->done, 1);
	for (;;)
		pause();
}

static void shared_setup(void)
{
	both = cr_shared(sizeof(*both));
	mem = map(MAP_SHARED | MAP_ANONYMOUS, -1);
	bind_all(mem);
	cr_pattern(mem, PAGES * page_size, 2);
	NEED(cr_fork(changer, NULL) > 0);
	NEED(cr_await(&both->done, 1));
}

static void shared_check(enum cr_phase phase)
{
	size_t i;

	check_page(0, mem, MPOL_BIND, 1);
	check_page(1, mem + page_size, MPOL_PREFERRED, 1);
	for (i = 2; i < 10; i++)
		check_page(i, mem + i * page_size, policies[i].mode,
			   policies[i].nodes);
	check_page(10, mem + 10 * page_size, MPOL_DEFAULT, 0);
	CHECK_PATTERN(mem, PAGES * page_size, 2);
}

/* A policy that outlives the mapping. */
static void memfd_setup(void)
{
	fd = memfd_create("bound", 0);
	if (fd < 0 && cr_unsupported(errno))
		cr_skip("no memfds");
	NEED(fd >= 0 && !ftruncate(fd, PAGES * page_size));
	mem = map(MAP_SHARED, fd);
	bind_all(mem);
	cr_pattern(mem, PAGES * page_size, 3);
	NEED(!munmap(mem, PAGES * page_size));
}

static void memfd_check(enum cr_phase phase)
{
	mem = map(MAP_SHARED, fd);
	check_all(mem);
	CHECK_PATTERN(mem, PAGES * page_size, 3);
	CHECK_EQ(munmap(mem, PAGES * page_size), 0);
}

static void sysv_setup(void)
{
	id = shmget(IPC_PRIVATE, PAGES * page_size, IPC_CREAT | 0600);
	if (id < 0 && cr_unsupported(errno))
		cr_skip("no SysV shared memory");
	NEED(id >= 0);
	mem = shmat(id, NULL, 0);
	NEED(mem != (void *)-1);
	bind_all(mem);
	cr_pattern(mem, PAGES * page_size, 4);
}

static void sysv_check(enum cr_phase phase)
{
	check_all(mem);
	CHECK_PATTERN(mem, PAGES * page_size, 4);
}

static void set_policy(int mode, unsigned long nodes)
{
	if (syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL,
		    nodes ? 64UL : 0UL))
		cr_skip("no NUMA policies");
}

static void get_policy(int *mode, unsigned long *nodes)
{
	unsigned long is[16] = { };

	*mode = -1;
	CHECK_EQ(syscall(SYS_get_mempolicy, mode, is, 1024UL, NULL, 0UL), 0);
	*nodes = is[0];
}

static void check_policy(int mode, unsigned long nodes)
{
	unsigned long got_nodes;
	int got;

	get_policy(&got, &got_nodes);
	CHECK_EQ(got, mode);
	CHECK_EQ(got_nodes, nodes);
}

static void task_setup(void)
{
	set_policy(MPOL_BIND | MPOL_F_STATIC_NODES, 3);
}

static void task_check(enum cr_phase phase)
{
	check_policy(MPOL_BIND | MPOL_F_STATIC_NODES, 3);
}

/* Which node is next, of the one that there is. */
static void interleave_setup(void)
{
	set_policy(MPOL_INTERLEAVE, 1);
	/* Memory without a policy of its own goes by that of the task. */
	mem = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	cr_pattern(mem, PAGES * page_size, 6);
}

static void interleave_check(enum cr_phase phase)
{
	int node = -1;

	check_policy(MPOL_INTERLEAVE, 1);
	CHECK_EQ(syscall(SYS_get_mempolicy, &node, NULL, 0UL, NULL,
			 (unsigned long)MPOL_F_NODE), 0);
	CHECK_EQ(node, 0);
	CHECK_PATTERN(mem, PAGES * page_size, 6);
}

/* Each task has its own policy, or none: a child, and a thread of it. */
struct told {
	int asked, answered[2], ready[2];
	int mode[2];
	unsigned long nodes[2];
};

static struct told *told;

static void answer(int i)
{
	cr_set(&told->ready[i], 1);
	for (;;) {
		int n = cr_get(&told->asked);

		if (n != cr_get(&told->answered[i])) {
			get_policy(&told->mode[i], &told->nodes[i]);
			cr_set(&told->answered[i], n);
		}
		cr_msleep(2);
	}
}

static void *with_none(void *arg)
{
	set_policy(MPOL_DEFAULT, 0);
	answer(1);
	return NULL;
}

static void with_another(void *arg)
{
	pthread_t id;

	set_policy(MPOL_PREFERRED, 1);
	NEED(!pthread_create(&id, NULL, with_none, NULL));
	answer(0);
}

static void tasks_setup(void)
{
	told = cr_shared(sizeof(*told));
	set_policy(MPOL_LOCAL, 0);
	cr_fork(with_another, NULL);
	NEED(cr_await(&told->ready[0], 1) && cr_await(&told->ready[1], 1));
}

static void tasks_check(enum cr_phase phase)
{
	check_policy(MPOL_LOCAL, 0);
	cr_set(&told->asked, told->asked + 1);
	cr_await(&told->answered[0], told->asked);
	cr_await(&told->answered[1], told->asked);
	CHECK_EQ(told->mode[0], MPOL_PREFERRED);
	CHECK_EQ(told->nodes[0], 1);
	CHECK_EQ(told->mode[1], MPOL_DEFAULT);
	CHECK_EQ(told->nodes[1], 0);
}

/* What the restarter has does not pass to those that it restarts. */
static void others_check(enum cr_phase phase)
{
	check_policy(MPOL_DEFAULT, 0);
}

static void others_setup(void)
{
}

static void others_drive(struct cr_run *run)
{
	unsigned long first_node = 1;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", 0) || !cr_kill(run))
		return;
	if (syscall(SYS_set_mempolicy, MPOL_BIND, &first_node, 64UL)) {
		cr_skipped(run, "no NUMA policies");
		return;
	}
	if (cr_restart(run, "image", 0))
		cr_check(run, CR_AGAIN);
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL);
}

static const struct cr_scenario scenarios[] = {
	{ "numa.private", CR_ANY, private_setup, private_check },
	{ "numa.shared", CR_TREE, shared_setup, shared_check },
	{ "numa.memfd", CR_ANY, memfd_setup, memfd_check },
	{ "numa.sysv", CR_CONTAINER, sysv_setup, sysv_check },
	{ "numa.task", CR_ANY, task_setup, task_check },
	{ "numa.interleave", CR_ANY, interleave_setup, interleave_check },
	{ "numa.tasks", CR_TREE, tasks_setup, tasks_check },
	{ "numa.restarter", CR_TREE, others_setup, others_check,
	  .drive = others_drive },
};

int main(int argc, char **argv)
{
	page_size = sysconf(_SC_PAGESIZE);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
