// SPDX-License-Identifier: GPL-2.0

/* Descriptors of tasks. */

#include <linux/pid.h>
#include <linux/pidfs.h>

__rust_helper struct task_struct *
rust_helper_checkpoint_pidfd_task(struct file *file)
{
	return get_pid_task(pidfd_pid(file), PIDTYPE_PID);
}

/* Whether the pid still names a process group or a session. */
__rust_helper bool rust_helper_checkpoint_pidfd_names_group(struct file *file)
{
	struct pid *pid = pidfd_pid(file);

	return pid_has_task(pid, PIDTYPE_PGID) || pid_has_task(pid, PIDTYPE_SID);
}

/*
 * A pidfd of the task with the number @nr in @ns, or of the one that @same
 * refers to; without either, of a task that is gone.
 */
__rust_helper struct file *
rust_helper_checkpoint_pidfd_open(pid_t nr, struct pid_namespace *ns,
				  struct file *same, unsigned int flags)
{
	bool make = !nr && !same;
	struct file *file;
	struct pid *pid;
	int ret;

	if (make) {
		pid = alloc_pid(task_active_pid_ns(current), NULL, 0);
	} else if (same) {
		pid = pidfd_pid(same);
	} else {
		rcu_read_lock();
		pid = get_pid(find_pid_ns(nr, ns));
		rcu_read_unlock();
	}
	if (IS_ERR_OR_NULL(pid))
		return pid ? ERR_CAST(pid) : ERR_PTR(-ESRCH);
	if (make || same)
		get_pid(pid);
	if (pid_has_task(pid, PIDTYPE_PID)) {
		ret = pidfd_prepare(pid, flags, &file);
		if (ret >= 0)
			put_unused_fd(ret);
	} else {
		ret = pidfs_register_pid(pid);
		if (!ret)
			file = pidfs_alloc_file(pid, flags);
	}
	if (make)
		free_pid(pid);
	put_pid(pid);
	return ret < 0 ? ERR_PTR(ret) : file;
}
