// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and makes sets of semaphores, for checkpoint/restart.
 *
 * Included by sem.c, to which the structures are private.
 */

int checkpoint_sem_get(struct ipc_namespace *ns, int id,
		       struct pid_namespace *pid_ns,
		       struct checkpoint_sem *state,
		       struct checkpoint_sem_value *values, unsigned int max)
{
	struct sem_array *sma;
	int i, ret = -E2BIG;

	rcu_read_lock();
	sma = sem_obtain_object(ns, id);
	if (IS_ERR(sma)) {
		rcu_read_unlock();
		return PTR_ERR(sma);
	}
	sem_lock(sma, NULL, -1);
	checkpoint_ipc_get_perm(&sma->sem_perm, &state->perm);
	state->otime = get_semotime(sma);
	state->ctime = sma->sem_ctime;
	state->count = sma->sem_nsems;
	if (sma->sem_nsems <= max) {
		for (i = 0; i < sma->sem_nsems; i++) {
			values[i].value = sma->sems[i].semval;
			values[i].pid = pid_nr_ns(sma->sems[i].sempid, pid_ns);
		}
		ret = 0;
	}
	sem_unlock(sma, -1);
	rcu_read_unlock();
	return ret;
}

int checkpoint_sem_create(const struct checkpoint_sem *state)
{
	struct ipc_namespace *ns = current->nsproxy->ipc_ns;
	struct ipc_params params = {
		.key = state->perm.key,
		.u.nsems = state->count,
	};
	int id;

	if (state->count > ns->sc_semmsl)
		return -EINVAL;
	down_write(&sem_ids(ns).rwsem);
	sem_ids(ns).next_id = state->perm.id;
	id = newary(ns, &params);
	sem_ids(ns).next_id = -1;
	up_write(&sem_ids(ns).rwsem);
	if (id < 0)
		return id;
	return id == state->perm.id ? 0 : -EEXIST;
}

/* @values are as many as the set was created with. */
int checkpoint_sem_set(struct ipc_namespace *ns, struct pid_namespace *pid_ns,
		       const struct checkpoint_sem *state,
		       const struct checkpoint_sem_value *values)
{
	struct sem_array *sma;
	int i, ret = -EINVAL;

	rcu_read_lock();
	sma = sem_obtain_object(ns, state->perm.id);
	if (IS_ERR(sma)) {
		rcu_read_unlock();
		return PTR_ERR(sma);
	}
	sem_lock(sma, NULL, -1);
	if (sma->sem_nsems == state->count) {
		ret = checkpoint_ipc_set_perm(&sma->sem_perm, &state->perm);
		for (i = 0; i < sma->sem_nsems; i++) {
			sma->sems[i].semval = values[i].value;
			checkpoint_ipc_set_pid(&sma->sems[i].sempid, pid_ns,
					       values[i].pid);
		}
		sma->sems[0].sem_otime = state->otime;
		sma->sem_ctime = state->ctime;
	}
	sem_unlock(sma, -1);
	rcu_read_unlock();
	return ret;
}
