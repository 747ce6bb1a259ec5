// SPDX-License-Identifier: GPL-2.0

/* Locks of files, for fs/checkpoint/lock.rs. */

#include <linux/filelock.h>
#include <linux/security.h>

static inline void checkpoint_get_lock(const struct file_lock *lock, u32 how,
				       struct pid_namespace *ns,
				       struct checkpoint_file_lock *state)
{
	*state = (struct checkpoint_file_lock) {
		.owner = lock->c.flc_owner,
		.start = lock->fl_start,
		.end = lock->fl_end,
		.how = how,
		.write = lock->c.flc_type == F_WRLCK,
		/* As locks_translate_pid() has it for /proc/locks. */
		.pid = ns == &init_pid_ns ? lock->c.flc_pid :
			pid_nr_ns(find_pid_ns(lock->c.flc_pid, &init_pid_ns), ns),
	};
}

__rust_helper unsigned int
rust_helper_checkpoint_file_locks(struct file *file, struct pid_namespace *ns,
				  struct checkpoint_file_lock *locks,
				  unsigned int max)
{
	struct file_lock_context *ctx = locks_inode_context(file_inode(file));
	struct file_lock *lock;
	unsigned int n = 0;

	if (!ctx)
		return 0;
	rcu_read_lock();
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(lock, &ctx->flc_flock, c.flc_list)
		if (lock->c.flc_file == file && n < max)
			checkpoint_get_lock(lock, CHECKPOINT_LOCK_FLOCK, ns,
					    &locks[n++]);
	list_for_each_entry(lock, &ctx->flc_posix, c.flc_list)
		if (lock->c.flc_file == file && n < max)
			checkpoint_get_lock(lock,
					    lock->c.flc_flags & FL_OFDLCK ?
						    CHECKPOINT_LOCK_OFD :
						    CHECKPOINT_LOCK_POSIX,
					    ns, &locks[n++]);
	spin_unlock(&ctx->flc_lock);
	rcu_read_unlock();
	return n;
}

/* What flock(2) and fcntl(2) do for current, but for whose pid is shown. */
__rust_helper int
rust_helper_checkpoint_set_file_lock(struct file *file, struct pid_namespace *ns,
				     const struct checkpoint_file_lock *state)
{
	fmode_t mode = state->write ? FMODE_WRITE : FMODE_READ;
	struct file_lock lock;
	int error;

	if (state->how == CHECKPOINT_LOCK_FLOCK)
		mode = FMODE_READ | FMODE_WRITE;
	if (!(file->f_mode & mode))
		return -EBADF;

	locks_init_lock(&lock);
	lock.c.flc_file = file;
	lock.c.flc_owner = file;
	lock.c.flc_type = state->write ? F_WRLCK : F_RDLCK;
	lock.fl_start = state->start;
	lock.fl_end = state->end;
	switch (state->how) {
	case CHECKPOINT_LOCK_FLOCK:
		lock.c.flc_flags = FL_FLOCK;
		break;
	case CHECKPOINT_LOCK_POSIX:
		lock.c.flc_flags = FL_POSIX;
		lock.c.flc_owner = current->files;
		break;
	default:
		lock.c.flc_flags = FL_POSIX | FL_OFDLCK;
	}
	rcu_read_lock();
	lock.c.flc_pid = pid_nr(find_pid_ns(state->pid, ns));
	rcu_read_unlock();
	/* Who has ended is shown by the number in the first namespace only. */
	if (!lock.c.flc_pid && ns == &init_pid_ns)
		lock.c.flc_pid = state->pid;

	error = security_file_lock(file, lock.c.flc_type);
	if (error)
		return error;
	if (state->how != CHECKPOINT_LOCK_FLOCK)
		error = vfs_lock_file(file, F_SETLK, &lock, NULL);
	else if (file->f_op->flock)
		error = file->f_op->flock(file, F_SETLK, &lock);
	else
		error = locks_lock_file_wait(file, &lock);
	locks_release_private(&lock);
	return error;
}
