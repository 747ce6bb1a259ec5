// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and makes segments of shared memory, for checkpoint/restart.
 *
 * Included by shm.c, to which the structures are private.
 */

int checkpoint_shm_file_id(struct file *file, struct ipc_namespace *ns)
{
	struct shm_file_data *sfd = shm_file_data(file);

	if (file->f_op != &shm_file_operations &&
	    file->f_op != &shm_file_operations_huge)
		return -EINVAL;
	return sfd->ns == ns ? sfd->id : -EXDEV;
}

int checkpoint_shm_get(struct ipc_namespace *ns, int id,
		       struct pid_namespace *pid_ns,
		       struct checkpoint_shm *state)
{
	struct shmid_kernel *shp;

	shp = shm_lock(ns, id);
	if (IS_ERR(shp))
		return PTR_ERR(shp);
	checkpoint_ipc_get_perm(&shp->shm_perm, &state->perm);
	state->size = shp->shm_segsz;
	state->atime = shp->shm_atim;
	state->dtime = shp->shm_dtim;
	state->ctime = shp->shm_ctim;
	state->cpid = pid_nr_ns(shp->shm_cprid, pid_ns);
	state->lpid = pid_nr_ns(shp->shm_lprid, pid_ns);
	state->nattch = shp->shm_nattch;
	/* We are under RCU: see shm_clist_rm(). */
	if (!list_empty(&shp->shm_clist))
		state->creator = task_pid_nr_ns(shp->shm_creator, pid_ns);
	/* Of huge pages those are counted that are reserved. */
	state->noreserve = !is_file_hugepages(shp->shm_file) &&
			   SHMEM_I(file_inode(shp->shm_file))->flags &
			   SHMEM_F_NORESERVE;
	state->file = get_file(shp->shm_file);
	if (sscanf(state->file->f_path.dentry->d_name.name, "SYSV%x",
		   &state->name) != 1)
		state->name = state->perm.key;
	shm_unlock(shp);
	return 0;
}

/* SHM_LOCK, of a segment that the running task has just made. */
static int checkpoint_shm_lock(struct shmid_kernel *shp)
{
	struct ucounts *ucounts = current_ucounts();
	int ret;

	if (is_file_hugepages(shp->shm_file))
		return -EINVAL;
	if (!ns_capable(shp->ns->user_ns, CAP_IPC_LOCK) && !rlimit(RLIMIT_MEMLOCK))
		return -EPERM;
	ret = shmem_lock(shp->shm_file, 1, ucounts);
	if (!ret) {
		shp->shm_perm.mode |= SHM_LOCKED;
		shp->mlock_ucounts = ucounts;
	}
	return ret;
}

struct file *checkpoint_shm_create(const struct checkpoint_shm *state)
{
	struct ipc_namespace *ns = current->nsproxy->ipc_ns;
	struct ipc_params params = {
		.key = state->name,
		.flg = state->noreserve ? SHM_NORESERVE : 0,
		.u.size = state->size,
	};
	struct file *file = ERR_PTR(-EEXIST);
	struct shmid_kernel *shp;
	int id;

	/* What was reserved of them comes later. */
	if (state->huge)
		params.flg = SHM_NORESERVE | SHM_HUGETLB |
			     (state->huge & SHM_HUGE_MASK) << SHM_HUGE_SHIFT;
	down_write(&shm_ids(ns).rwsem);
	shm_ids(ns).next_id = state->perm.id;
	id = newseg(ns, &params);
	shm_ids(ns).next_id = -1;
	if (id < 0) {
		file = ERR_PTR(id);
	} else if (id == state->perm.id) {
		shp = shm_lock(ns, id);
		if (IS_ERR(shp)) {
			file = ERR_CAST(shp);
		} else {
			/* See do_shm_rmid(). */
			if (state->perm.key != state->name)
				ipc_set_key_private(&shm_ids(ns), &shp->shm_perm);
			if (state->perm.mode & SHM_LOCKED)
				id = checkpoint_shm_lock(shp);
			file = id < 0 ? ERR_PTR(id) : get_file(shp->shm_file);
			shm_unlock(shp);
		}
	}
	up_write(&shm_ids(ns).rwsem);
	return file;
}

/* Makes a living task, or nobody, the one that has made the segment. */
static void checkpoint_shm_set_creator(struct shmid_kernel *shp,
				       struct task_struct *task)
{
	shm_clist_rm(shp);
	if (!task)
		return;
	task_lock(task);
	if (!(task->flags & PF_EXITING)) {
		shp->shm_creator = task;
		list_add(&shp->shm_clist, &task->sysvshm.shm_clist);
	}
	task_unlock(task);
}

int checkpoint_shm_set(struct ipc_namespace *ns, struct pid_namespace *pid_ns,
		       const struct checkpoint_shm *state)
{
	struct shmid_kernel *shp = shm_lock(ns, state->perm.id);
	int ret;

	if (IS_ERR(shp))
		return PTR_ERR(shp);
	ret = shp->shm_nattch == state->nattch &&
	      !((shp->shm_perm.mode ^ state->perm.mode) & SHM_LOCKED) ? 0 : -EINVAL;
	if (!ret)
		ret = checkpoint_ipc_set_perm(&shp->shm_perm, &state->perm);
	shp->shm_atim = state->atime;
	shp->shm_dtim = state->dtime;
	shp->shm_ctim = state->ctime;
	checkpoint_ipc_set_pid(&shp->shm_cprid, pid_ns, state->cpid);
	checkpoint_ipc_set_pid(&shp->shm_lprid, pid_ns, state->lpid);
	checkpoint_shm_set_creator(shp, find_task_by_pid_ns(state->creator, pid_ns));
	shm_unlock(shp);
	return ret;
}

/* What do_shmat() maps. */
struct file *checkpoint_shm_open(int id, bool may_write)
{
	struct ipc_namespace *ns = current->nsproxy->ipc_ns;
	struct shm_file_data *sfd;
	struct shmid_kernel *shp;
	struct file *base, *file;

	sfd = kzalloc_obj(*sfd);
	if (!sfd)
		return ERR_PTR(-ENOMEM);
	shp = shm_lock(ns, id);
	if (IS_ERR(shp)) {
		kfree(sfd);
		return ERR_CAST(shp);
	}
	base = get_file(shp->shm_file);
	shm_unlock(shp);
	file = alloc_file_clone(base, may_write ? O_RDWR : O_RDONLY,
				is_file_hugepages(base) ?
				&shm_file_operations_huge : &shm_file_operations);
	if (IS_ERR(file)) {
		kfree(sfd);
		fput(base);
		return file;
	}
	sfd->id = id;
	sfd->ns = get_ipc_ns(ns);
	sfd->file = base;
	file->private_data = sfd;
	return file;
}
