// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and makes message queues, for checkpoint/restart.
 *
 * Included by msg.c, to which the structures are private.
 */

static struct msg_queue *checkpoint_msq_lock(struct ipc_namespace *ns, int id)
{
	struct msg_queue *msq;

	rcu_read_lock();
	msq = msq_obtain_object(ns, id);
	if (IS_ERR(msq)) {
		rcu_read_unlock();
		return msq;
	}
	ipc_lock_object(&msq->q_perm);
	return msq;
}

static void checkpoint_msq_unlock(struct msg_queue *msq)
{
	ipc_unlock_object(&msq->q_perm);
	rcu_read_unlock();
}

int checkpoint_msg_get(struct ipc_namespace *ns, int id,
		       struct pid_namespace *pid_ns, struct checkpoint_msg *state)
{
	struct msg_queue *msq = checkpoint_msq_lock(ns, id);

	if (IS_ERR(msq))
		return PTR_ERR(msq);
	checkpoint_ipc_get_perm(&msq->q_perm, &state->perm);
	state->stime = msq->q_stime;
	state->rtime = msq->q_rtime;
	state->ctime = msq->q_ctime;
	state->lspid = pid_nr_ns(msq->q_lspid, pid_ns);
	state->lrpid = pid_nr_ns(msq->q_lrpid, pid_ns);
	state->qbytes = msq->q_qbytes;
	state->bytes = msq->q_cbytes;
	state->count = msq->q_qnum;
	checkpoint_msq_unlock(msq);
	return 0;
}

int checkpoint_msg_read(struct ipc_namespace *ns, int id,
			struct checkpoint_msg_head *heads, unsigned int count,
			void *data, size_t size)
{
	struct msg_queue *msq = checkpoint_msq_lock(ns, id);
	struct msg_msg *msg;
	int n = 0;

	if (IS_ERR(msq))
		return PTR_ERR(msq);
	list_for_each_entry(msg, &msq->q_messages, m_list) {
		if (n == count || msg->m_ts > size) {
			n = -EAGAIN;
			break;
		}
		heads[n].type = msg->m_type;
		heads[n].len = msg->m_ts;
		checkpoint_store_msg(data, msg);
		data += msg->m_ts;
		size -= msg->m_ts;
		n++;
	}
	checkpoint_msq_unlock(msq);
	return n;
}

int checkpoint_msg_create(const struct checkpoint_msg *state)
{
	struct ipc_namespace *ns = current->nsproxy->ipc_ns;
	struct ipc_params params = { .key = state->perm.key };
	int id;

	down_write(&msg_ids(ns).rwsem);
	msg_ids(ns).next_id = state->perm.id;
	id = newque(ns, &params);
	msg_ids(ns).next_id = -1;
	up_write(&msg_ids(ns).rwsem);
	if (id < 0)
		return id;
	return id == state->perm.id ? 0 : -EEXIST;
}

int checkpoint_msg_append(int id, const struct checkpoint_msg_head *head,
			  const void *data)
{
	struct ipc_namespace *ns = current->nsproxy->ipc_ns;
	struct msg_msg *msg = checkpoint_load_msg(data, head->len);
	struct msg_queue *msq;

	if (IS_ERR(msg))
		return PTR_ERR(msg);
	msg->m_type = head->type;
	msg->m_ts = head->len;
	msq = checkpoint_msq_lock(ns, id);
	if (IS_ERR(msq)) {
		free_msg(msg);
		return PTR_ERR(msq);
	}
	list_add_tail(&msg->m_list, &msq->q_messages);
	msq->q_cbytes += head->len;
	msq->q_qnum++;
	percpu_counter_add_local(&ns->percpu_msg_bytes, head->len);
	percpu_counter_add_local(&ns->percpu_msg_hdrs, 1);
	checkpoint_msq_unlock(msq);
	return 0;
}

int checkpoint_msg_set(struct ipc_namespace *ns, struct pid_namespace *pid_ns,
		       const struct checkpoint_msg *state)
{
	struct msg_queue *msq;
	int ret;

	if (state->qbytes > ns->msg_ctlmnb && !capable(CAP_SYS_RESOURCE))
		return -EPERM;
	msq = checkpoint_msq_lock(ns, state->perm.id);
	if (IS_ERR(msq))
		return PTR_ERR(msq);
	ret = checkpoint_ipc_set_perm(&msq->q_perm, &state->perm);
	msq->q_stime = state->stime;
	msq->q_rtime = state->rtime;
	msq->q_ctime = state->ctime;
	msq->q_qbytes = state->qbytes;
	checkpoint_ipc_set_pid(&msq->q_lspid, pid_ns, state->lspid);
	checkpoint_ipc_set_pid(&msq->q_lrpid, pid_ns, state->lrpid);
	checkpoint_msq_unlock(msq);
	return ret;
}
