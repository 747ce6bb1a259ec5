// SPDX-License-Identifier: GPL-2.0
/*
 * Tells who may trace a process, PR_SET_PTRACER, for checkpoint/restart.
 *
 * Included by yama_lsm.c, to which the relations are private.
 */

#include <linux/checkpoint.h>

bool checkpoint_yama_ptracer(struct task_struct *task, unsigned long *tracer)
{
	struct ptrace_relation *relation;

	guard(rcu)();
	list_for_each_entry_rcu(relation, &ptracer_relations, node) {
		if (relation->invalid || relation->tracee != task->group_leader)
			continue;
		*tracer = (unsigned long)relation->tracer;
		return true;
	}
	return false;
}
