// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and makes sets of semaphores and what tasks are to undo of them
 * (SEM_UNDO), for checkpoint/restart.
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

/*
 * A number that tells the list of adjustments of @task from others, and how
 * many tasks have it; 0 if it has none. With the lock it is there: a task that
 * is killed meanwhile gives it up in exit_sem().
 */
unsigned long checkpoint_semundo(struct task_struct *task, unsigned int *users)
{
	struct sem_undo_list *ulp;

	task_lock(task);
	ulp = task->sysvsem.undo_list;
	*users = ulp ? refcount_read(&ulp->refcnt) : 0;
	task_unlock(task);
	return (unsigned long)ulp;
}

/* The sets that @task has adjustments of, @max at most; how many there are. */
unsigned int checkpoint_semundo_sets(struct task_struct *task, int *ids,
				     unsigned int max)
{
	struct sem_undo_list *ulp;
	struct sem_undo *un;
	unsigned int count = 0;

	task_lock(task);
	ulp = task->sysvsem.undo_list;
	if (ulp) {
		spin_lock(&ulp->lock);
		list_for_each_entry(un, &ulp->list_proc, list_proc) {
			if (count < max)
				ids[count] = un->semid;
			count++;
		}
		spin_unlock(&ulp->lock);
	}
	task_unlock(task);
	return count;
}

/* What the list, which is only compared, is to undo of a set, or NULL. */
static struct sem_undo *checkpoint_find_undo(struct sem_array *sma,
					     const struct sem_undo_list *ulp)
{
	struct sem_undo *un;

	ipc_assert_locked_object(&sma->sem_perm);
	list_for_each_entry(un, &sma->list_id, list_id) {
		if (un->ulp == ulp)
			return un;
	}
	return NULL;
}

/* Locks a set as exit_sem() does. */
static struct sem_array *checkpoint_lock_sem(struct ipc_namespace *ns, int id)
{
	struct sem_array *sma;

	rcu_read_lock();
	sma = sem_obtain_object_check(ns, id);
	if (IS_ERR(sma)) {
		rcu_read_unlock();
		return sma;
	}
	sem_lock(sma, NULL, -1);
	if (ipc_valid_object(&sma->sem_perm))
		return sma;
	sem_unlock(sma, -1);
	rcu_read_unlock();
	return ERR_PTR(-EIDRM);
}

static void checkpoint_unlock_sem(struct sem_array *sma)
{
	sem_unlock(sma, -1);
	rcu_read_unlock();
}

/*
 * Reads the adjustments of a set that a list has, see checkpoint_semundo():
 * @max at most. Returns how many there are, -EIDRM if they are gone.
 */
int checkpoint_semundo_get(struct ipc_namespace *ns, unsigned long list, int id,
			   short *adjustments, unsigned int max)
{
	struct sem_array *sma = checkpoint_lock_sem(ns, id);
	struct sem_undo *un;
	int ret = -EIDRM;

	if (IS_ERR(sma))
		return PTR_ERR(sma);
	un = checkpoint_find_undo(sma, (struct sem_undo_list *)list);
	if (un) {
		ret = sma->sem_nsems;
		if (ret <= max)
			memcpy(adjustments, un->semadj, ret * sizeof(short));
	}
	checkpoint_unlock_sem(sma);
	return ret;
}

/* Gives @task, which waits and has none, an empty list. */
int checkpoint_semundo_make(struct task_struct *task)
{
	struct sem_undo_list *ulp = kzalloc_obj(*ulp, GFP_KERNEL_ACCOUNT);

	if (!ulp)
		return -ENOMEM;
	spin_lock_init(&ulp->lock);
	refcount_set(&ulp->refcnt, 1);
	INIT_LIST_HEAD(&ulp->list_proc);
	task_lock(task);
	/* One that is being killed would not let go of it any more. */
	if (!(task->flags & PF_EXITING) && !task->sysvsem.undo_list)
		swap(task->sysvsem.undo_list, ulp);
	task_unlock(task);
	kfree(ulp);
	return 0;
}

/*
 * Gives @task, which waits and has none, the list of @first, as CLONE_SYSVSEM
 * does. -ESRCH: one of them is being killed.
 */
int checkpoint_semundo_share(struct task_struct *task, struct task_struct *first)
{
	struct sem_undo_list *ulp;
	int ret = -ESRCH;

	if (task == first)
		return -EINVAL;
	/* Nobody else takes two: they cannot be taken in the other order. */
	task_lock(first);
	spin_lock_nested(&task->alloc_lock, SINGLE_DEPTH_NESTING);
	ulp = first->sysvsem.undo_list;
	if (ulp && !(task->flags & PF_EXITING) && !task->sysvsem.undo_list) {
		refcount_inc(&ulp->refcnt);
		task->sysvsem.undo_list = ulp;
		ret = 0;
	}
	spin_unlock(&task->alloc_lock);
	task_unlock(first);
	return ret;
}

/*
 * Appends the adjustments of a set to the list of @task. -EINVAL: the set does
 * not have so many semaphores; -EEXIST: it has some of that set; -ESRCH: it has
 * no list.
 */
int checkpoint_semundo_add(struct task_struct *task, struct ipc_namespace *ns,
			   int id, const short *adjustments, unsigned int count)
{
	struct sem_undo_list *ulp;
	struct sem_array *sma;
	struct sem_undo *un;
	int ret = 0;

	un = kvzalloc_flex(*un, semadj, count, GFP_KERNEL_ACCOUNT);
	if (!un)
		return -ENOMEM;
	un->semid = id;
	memcpy(un->semadj, adjustments, count * sizeof(short));

	sma = checkpoint_lock_sem(ns, id);
	if (IS_ERR(sma)) {
		kvfree(un);
		return PTR_ERR(sma);
	}
	task_lock(task);
	ulp = task->sysvsem.undo_list;
	if (!ulp) {
		ret = -ESRCH;
	} else if (sma->sem_nsems != count) {
		ret = -EINVAL;
	} else if (checkpoint_find_undo(sma, ulp)) {
		ret = -EEXIST;
	} else {
		un->ulp = ulp;
		spin_lock(&ulp->lock);
		list_add_tail_rcu(&un->list_proc, &ulp->list_proc);
		list_add(&un->list_id, &sma->list_id);
		spin_unlock(&ulp->lock);
		un = NULL;
	}
	task_unlock(task);
	checkpoint_unlock_sem(sma);
	kvfree(un);
	return ret;
}
