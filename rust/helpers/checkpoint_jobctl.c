// SPDX-License-Identifier: GPL-2.0

/* Job control: tasks that are stopped, that are parked, that wait in vfork(). */

/* The only place where a task counts as frozen and sleeps like this. */
__rust_helper bool rust_helper_checkpoint_in_vfork(struct task_struct *task)
{
	return task->frozen &&
	       READ_ONCE(task->__state) & TASK_UNINTERRUPTIBLE;
}

/* Whether @task is stopped for its ptracer before it waits in vfork() for @child. */
static inline bool checkpoint_at_vfork(struct task_struct *task,
				       struct task_struct *child)
{
	unsigned long flags;
	bool at = false;

	if (!lock_task_sighand(task, &flags))
		return false;
	if (task_is_traced(task) && task->last_siginfo)
		at = task->last_siginfo->si_code ==
			(SIGTRAP | PTRACE_EVENT_VFORK << 8) &&
		     task->ptrace_message ==
			task_pid_nr_ns(child, task_active_pid_ns(task->parent));
	unlock_task_sighand(task, &flags);
	return at;
}

/*
 * The task that waits in vfork() for @child, or is going to: a reference, or
 * NULL.
 */
__rust_helper struct task_struct *
rust_helper_checkpoint_vfork_parent(struct task_struct *child)
{
	struct task_struct *parent = NULL;
	struct swait_queue *wait;
	struct completion *vfork;

	task_lock(child);
	vfork = child->vfork_done;
	if (vfork) {
		raw_spin_lock_irq(&vfork->wait.lock);
		wait = list_first_entry_or_null(&vfork->wait.task_list,
						struct swait_queue, task_list);
		if (wait)
			parent = get_task_struct(wait->task);
		raw_spin_unlock_irq(&vfork->wait.lock);
	}
	task_unlock(child);
	if (!vfork || parent)
		return parent;
	guard(read_lock)(&tasklist_lock);
	if (checkpoint_at_vfork(child->real_parent, child))
		parent = get_task_struct(child->real_parent);
	return parent;
}

__rust_helper void
rust_helper_checkpoint_vfork_set(struct task_struct *child,
				 struct completion *vfork)
{
	init_completion(vfork);
	task_lock(child);
	child->vfork_done = vfork;
	task_unlock(child);
}

__rust_helper void rust_helper_checkpoint_vfork_clear(struct task_struct *child)
{
	task_lock(child);
	child->vfork_done = NULL;
	task_unlock(child);
}

/*
 * Whether a task that has parked stays where it is. Between two places to park
 * it may be on its way from one to the other: to a group stop that another
 * thread began, or back from SIGCONT, of which the parent is told first. One
 * that waits in vfork() does not come to the stop before it has waited, nor does
 * one that is stopped for its ptracer, who may have resumed it just now. One that
 * has ended stays as well.
 */
__rust_helper bool rust_helper_checkpoint_is_settled(struct task_struct *task)
{
	unsigned long flags;
	bool settled;

	if (READ_ONCE(task->exit_state) || !lock_task_sighand(task, &flags))
		return true;
	settled = task->frozen && READ_ONCE(task->__state) != TASK_RUNNING &&
		  (task_is_traced(task) ||
		   ((!(task->jobctl & JOBCTL_STOP_PENDING) ||
		     rust_helper_checkpoint_in_vfork(task)) &&
		    !(task->signal->flags & SIGNAL_CLD_MASK)));
	unlock_task_sighand(task, &flags);
	return settled;
}

__rust_helper void
rust_helper_checkpoint_get_stop(struct task_struct *task,
				struct checkpoint_stop *stop)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *t;
	unsigned long flags;

	memset(stop, 0, sizeof(*stop));
	if (!lock_task_sighand(task, &flags))
		return;
	for_each_thread(task, t) {
		if (t->flags & PF_EXITING)
			continue;
		stop->stopping = sig->group_stop_count ||
				 sig->flags & SIGNAL_CLD_MASK;
		stop->stopped = sig->flags & SIGNAL_STOP_STOPPED;
		stop->continued = sig->flags & SIGNAL_STOP_CONTINUED;
		if (stop->stopped) {
			stop->signal = t->jobctl & JOBCTL_STOP_SIGMASK;
			stop->code = sig->group_exit_code;
		}
		break;
	}
	unlock_task_sighand(task, &flags);
}

/*
 * Has the threads of a process stop on their way to user space, as new threads
 * of a stopped process do (task_join_group_stop()): nobody is told of it. A
 * thread that is traced is stopped for its ptracer, or goes on.
 */
__rust_helper void
rust_helper_checkpoint_set_stop(struct task_struct *task,
				const struct checkpoint_stop *stop)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *t;
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return;
	if (sig->flags & SIGNAL_GROUP_EXIT) {
		unlock_task_sighand(task, &flags);
		return;
	}
	if (stop->continued)
		signal_set_stop_flags(sig, SIGNAL_STOP_CONTINUED);
	if (stop->stopped) {
		signal_set_stop_flags(sig, SIGNAL_STOP_STOPPED);
		sig->group_exit_code = stop->code;
		for_each_thread(task, t)
			if (!t->ptrace)
				task_set_jobctl_pending(t, stop->signal |
							   JOBCTL_STOP_PENDING);
	}
	unlock_task_sighand(task, &flags);
}
