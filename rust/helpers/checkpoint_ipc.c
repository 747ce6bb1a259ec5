// SPDX-License-Identifier: GPL-2.0

/* IPC namespaces. */

/* The IPC namespace of a task, with a reference; NULL if it has ended. */
__rust_helper struct ipc_namespace *
rust_helper_checkpoint_get_ipc_ns(struct task_struct *task)
{
	struct ipc_namespace *ns = NULL;

	task_lock(task);
	if (task->nsproxy)
		ns = get_ipc_ns(task->nsproxy->ipc_ns);
	task_unlock(task);
	return ns;
}

__rust_helper void rust_helper_checkpoint_put_ipc_ns(struct ipc_namespace *ns)
{
	put_ipc_ns(ns);
}

/* The settings of a namespace, in the order of struct IpcNs. */
__rust_helper void rust_helper_checkpoint_ipc_limits(struct ipc_namespace *ns,
						     struct checkpoint_ipc_limits *l)
{
	memset(l, 0, sizeof(*l));
	for (int i = 0; i < 4; i++)
		l->limits[i] = (u32)ns->sem_ctls[i];
	l->limits[4] = ns->msg_ctlmax;
	l->limits[5] = ns->msg_ctlmnb;
	l->limits[6] = ns->msg_ctlmni;
	l->limits[7] = ns->shm_ctlmni;
	l->limits[8] = ns->shm_rmid_forced;
	l->limits[9] = ns->shm_ctlmax;
	l->limits[10] = ns->shm_ctlall;
	for (int i = 0; i < 3; i++) {
		l->next[3 * i] = ns->ids[i].seq;
		l->next[3 * i + 1] = ns->ids[i].last_idx;
		l->next[3 * i + 2] = idr_get_cursor(&ns->ids[i].ipcs_idr);
	}
#ifdef CONFIG_POSIX_MQUEUE
	l->limits[11] = ns->mq_queues_max;
	l->limits[12] = ns->mq_msg_max;
	l->limits[13] = ns->mq_msgsize_max;
	l->limits[14] = ns->mq_msg_default;
	l->limits[15] = ns->mq_msgsize_default;
#endif
}

__rust_helper void
rust_helper_checkpoint_set_ipc_limits(struct ipc_namespace *ns,
				      const struct checkpoint_ipc_limits *l)
{
	for (int i = 0; i < 4; i++)
		ns->sem_ctls[i] = l->limits[i];
	ns->msg_ctlmax = l->limits[4];
	ns->msg_ctlmnb = l->limits[5];
	ns->msg_ctlmni = l->limits[6];
	ns->shm_ctlmni = l->limits[7];
	ns->shm_rmid_forced = l->limits[8];
	ns->shm_ctlmax = l->limits[9];
	ns->shm_ctlall = l->limits[10];
#ifdef CONFIG_POSIX_MQUEUE
	ns->mq_queues_max = l->limits[11];
	ns->mq_msg_max = l->limits[12];
	ns->mq_msgsize_max = l->limits[13];
	ns->mq_msg_default = l->limits[14];
	ns->mq_msgsize_default = l->limits[15];
#endif
}

__rust_helper u32 rust_helper_checkpoint_posix_queues(struct ipc_namespace *ns)
{
#ifdef CONFIG_POSIX_MQUEUE
	return READ_ONCE(ns->mq_queues_count);
#else
	return 0;
#endif
}

/* A pid without a task, held by its namespace; NULL if somebody has it. */
__rust_helper struct pid *
rust_helper_checkpoint_make_pid(struct pid_namespace *ns, pid_t nr)
{
	bool taken;

	rcu_read_lock();
	taken = find_pid_ns(nr, ns);
	rcu_read_unlock();
	return taken ? NULL : alloc_pid(ns, &nr, 1);
}
