// SPDX-License-Identifier: GPL-2.0

/* Job control: tasks that are stopped, and those that are parked. */

/*
 * Whether a task that has parked stays where it is. Between two places to park
 * it may be on its way from one to the other: to a group stop that another
 * thread began, or back from SIGCONT, of which the parent is told first.
 */
__rust_helper bool rust_helper_checkpoint_is_settled(struct task_struct *task)
{
	unsigned long flags;
	bool settled;

	if (!lock_task_sighand(task, &flags))
		return true;
	settled = task->frozen &&
		  !(task->jobctl & JOBCTL_STOP_PENDING) &&
		  !(task->signal->flags & SIGNAL_CLD_MASK);
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
 * of a stopped process do (task_join_group_stop()): nobody is told of it.
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
			task_set_jobctl_pending(t, stop->signal |
						   JOBCTL_STOP_PENDING);
	}
	unlock_task_sighand(task, &flags);
}
