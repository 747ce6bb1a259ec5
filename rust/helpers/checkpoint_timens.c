// SPDX-License-Identifier: GPL-2.0

/* Time namespaces. */

#ifdef CONFIG_TIME_NS
#include "../../kernel/time/namespace_internal.h"

__rust_helper int
rust_helper_checkpoint_timens_get(struct task_struct *task, s64 *monotonic,
				  s64 *boottime)
{
	struct timens_offsets *offsets;
	int ret = -ESRCH;

	task_lock(task);
	if (task->nsproxy) {
		offsets = &task->nsproxy->time_ns->offsets;
		*monotonic = timespec64_to_ns(&offsets->monotonic);
		*boottime = timespec64_to_ns(&offsets->boottime);
		ret = 0;
	}
	task_unlock(task);
	return ret;
}

__rust_helper int rust_helper_checkpoint_timens_join(void)
{
	struct time_namespace *ns = current->nsproxy->time_ns_for_children;

	/* As for writing to /proc/PID/timens_offsets. */
	if (!ns_capable(ns->user_ns, CAP_SYS_TIME))
		return -EPERM;
	return exec_task_namespaces();
}

__rust_helper int
rust_helper_checkpoint_timens_set(struct task_struct *task,
				  const s64 *monotonic, const s64 *boottime)
{
	struct time_namespace *ns __free(time_ns) = NULL;

	task_lock(task);
	if (task->nsproxy)
		ns = get_time_ns(task->nsproxy->time_ns);
	task_unlock(task);
	if (!ns)
		return -ESRCH;
	if (ns == current->nsproxy->time_ns)
		return -EINVAL;
	mutex_lock(&timens_offset_lock);
	ns->offsets.monotonic = ns_to_timespec64(*monotonic - ktime_get_ns());
	ns->offsets.boottime = ns_to_timespec64(*boottime - ktime_get_boottime_ns());
	/* The page that the vDSO looks at is filled once more. */
	ns->frozen_offsets = false;
	mutex_unlock(&timens_offset_lock);
	timens_commit(current, ns);
	return 0;
}
#else /* !CONFIG_TIME_NS */
__rust_helper int
rust_helper_checkpoint_timens_get(struct task_struct *task, s64 *monotonic,
				  s64 *boottime)
{
	return -EOPNOTSUPP;
}

__rust_helper int rust_helper_checkpoint_timens_join(void)
{
	return -EOPNOTSUPP;
}

__rust_helper int
rust_helper_checkpoint_timens_set(struct task_struct *task,
				  const s64 *monotonic, const s64 *boottime)
{
	return -EOPNOTSUPP;
}
#endif /* CONFIG_TIME_NS */
