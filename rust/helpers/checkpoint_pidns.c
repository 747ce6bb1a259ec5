// SPDX-License-Identifier: GPL-2.0

/* Nested pid namespaces. */

/* The pid namespace of the children of a task that has not ended, referenced. */
__rust_helper struct pid_namespace *
rust_helper_checkpoint_pidns_for_children(struct task_struct *task)
{
	struct pid_namespace *ns = NULL;

	task_lock(task);
	if (task->nsproxy)
		ns = get_pid_ns(task->nsproxy->pid_ns_for_children);
	task_unlock(task);
	return ns;
}

/* Whether nobody has been in the namespace so far. */
__rust_helper bool rust_helper_checkpoint_pidns_is_new(struct pid_namespace *ns)
{
	return READ_ONCE(ns->pid_allocated) == PIDNS_ADDING &&
	       !idr_get_cursor(&ns->idr);
}

/*
 * Whether the process group or the session of a task has the pid of a leader
 * that has been reaped and was in a namespace below @ns.
 */
__rust_helper bool
rust_helper_checkpoint_pid_outlives(struct task_struct *task,
				    struct pid_namespace *ns)
{
	struct pid *group, *session;

	guard(rcu)();
	group = task_pgrp(task);
	session = task_session(task);
	return (group && group->level > ns->level &&
		!pid_task(group, PIDTYPE_PID)) ||
	       (session && session->level > ns->level &&
		!pid_task(session, PIDTYPE_PID));
}
