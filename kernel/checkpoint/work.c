// SPDX-License-Identifier: GPL-2.0
/*
 * Processors that have nothing to do, for long jobs.
 *
 * A workqueue that is not bound leaves it to the scheduler where its workers
 * run, and that looks for idle processors only if few are busy. A restart keeps
 * all of them busy until the last moment.
 */
#include <linux/cpumask.h>
#include <linux/cpuset.h>
#include <linux/init.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "checkpoint.h"

struct workqueue_struct *checkpoint_workqueue __ro_after_init;

/**
 * checkpoint_idle_cpu - find a processor that has nothing to do
 *
 * Return: one that the running task may use, too, but not the one that it is
 * on; or -1
 */
int checkpoint_idle_cpu(void)
{
	int here = raw_smp_processor_id(), cpu;

	if (!checkpoint_workqueue)
		return -1;
	/* Whoever helps knows nothing of where the caller may have memory. */
	if (!nodes_subset(node_states[N_MEMORY], cpuset_current_mems_allowed))
		return -1;
#ifdef CONFIG_NUMA
	if (current->mempolicy)
		return -1;
#endif
	for_each_cpu_wrap(cpu, current->cpus_ptr, here + 1)
		if (cpu != here && cpu_online(cpu) && idle_cpu(cpu))
			return cpu;
	return -1;
}

static int __init checkpoint_work_init(void)
{
	checkpoint_workqueue = alloc_workqueue("checkpoint",
					       WQ_PERCPU | WQ_CPU_INTENSIVE, 0);
	return checkpoint_workqueue ? 0 : -ENOMEM;
}
subsys_initcall(checkpoint_work_init);
