// SPDX-License-Identifier: GPL-2.0

/* Descriptor tables, paths and what the open files of all kinds have. */

__rust_helper int rust_helper_path_unlinked(struct dentry *dentry)
{
	return d_unlinked(dentry);
}

__rust_helper long rust_helper_file_count(struct file *file)
{
	return file_count(file);
}

__rust_helper int rust_helper_pipe_buf_confirm(struct pipe_inode_info *pipe,
					       struct pipe_buffer *buf)
{
	return pipe_buf_confirm(pipe, buf);
}

__rust_helper void rust_helper_checkpoint_current_root(struct path *path)
{
	get_fs_root(current->fs, path);
}

__rust_helper int rust_helper_checkpoint_llseek(struct file *file,
						const loff_t *pos)
{
	loff_t ret = vfs_llseek(file, *pos, SEEK_SET);

	return ret == -ESPIPE ? 0 : min(ret, 0LL);
}

__rust_helper bool rust_helper_checkpoint_file_has_owner(struct file *file)
{
	struct fown_struct *owner = file_f_owner(file);

	return owner && READ_ONCE(owner->pid);
}

static inline bool checkpoint_lock_of(struct list_head *locks, struct file *file)
{
	struct file_lock_core *lock;

	list_for_each_entry(lock, locks, flc_list)
		if (lock->flc_file == file)
			return true;
	return false;
}

__rust_helper bool rust_helper_checkpoint_file_has_locks(struct file *file)
{
	struct file_lock_context *ctx = locks_inode_context(file_inode(file));
	bool found;

	if (!ctx)
		return false;
	spin_lock(&ctx->flc_lock);
	found = checkpoint_lock_of(&ctx->flc_flock, file) ||
		checkpoint_lock_of(&ctx->flc_posix, file) ||
		checkpoint_lock_of(&ctx->flc_lease, file);
	spin_unlock(&ctx->flc_lock);
	return found;
}

__rust_helper struct files_struct *
rust_helper_checkpoint_get_files(struct task_struct *task)
{
	struct files_struct *files;

	task_lock(task);
	files = task->files;
	if (files)
		atomic_inc(&files->count);
	task_unlock(task);
	return files;
}

__rust_helper int rust_helper_checkpoint_files_count(struct files_struct *files)
{
	return atomic_read(&files->count);
}

__rust_helper void rust_helper_checkpoint_set_files(struct files_struct *files)
{
	struct files_struct *old;

	atomic_inc(&files->count);
	task_lock(current);
	old = current->files;
	current->files = files;
	task_unlock(current);
	if (old)
		put_files_struct(old);
}

/* The first open file of a table from descriptor *fd on, with a reference. */
__rust_helper struct file *
rust_helper_checkpoint_next_fd(struct files_struct *files, unsigned int *fd,
			       bool *cloexec)
{
	struct file *file = NULL;
	struct fdtable *fdt;

	spin_lock(&files->file_lock);
	fdt = files_fdtable(files);
	for (; *fd < fdt->max_fds; ++*fd) {
		file = rcu_dereference_protected(fdt->fd[*fd], true);
		if (file) {
			get_file(file);
			*cloexec = close_on_exec(*fd, files);
			break;
		}
	}
	spin_unlock(&files->file_lock);
	return file;
}

/*
 * Whether the files of a file system are what users put there. The others
 * (procfs, sysfs, cgroupfs, nsfs ...) show the kernel, which differs from one
 * opening to the next.
 */
__rust_helper bool rust_helper_checkpoint_is_user_fs(struct file *file)
{
	struct super_block *sb = file_inode(file)->i_sb;

	switch (sb->s_magic) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case SELINUX_MAGIC:
	case SMACK_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case NSFS_MAGIC:
	case BPF_FS_MAGIC:
	case PSTOREFS_MAGIC:
	case EFIVARFS_MAGIC:
	case BINFMTFS_MAGIC:
	case HUGETLBFS_MAGIC:
		return false;
	}
	return !(sb->s_flags & SB_NOUSER) && !(sb->s_flags & SB_KERNMOUNT);
}

__rust_helper int rust_helper_checkpoint_fs_get(struct task_struct *task,
						struct path *root,
						struct path *pwd, u32 *umask,
						u32 *users, unsigned long *key)
{
	int ret = -ESRCH;

	task_lock(task);
	if (task->real_fs) {
		struct fs_struct *fs = task->real_fs;

		get_fs_root(fs, root);
		get_fs_pwd(fs, pwd);
		*umask = fs->umask;
		*users = fs->users;
		*key = (unsigned long)fs;
		ret = 0;
	}
	task_unlock(task);
	return ret;
}

__rust_helper void rust_helper_checkpoint_fs_set(const struct path *root,
						 const struct path *pwd,
						 u32 umask)
{
	set_fs_root(current->fs, root);
	set_fs_pwd(current->fs, pwd);
	current->fs->umask = umask & 0777;
}

__rust_helper struct fs_struct *rust_helper_checkpoint_fs_new(void)
{
	return copy_fs_struct(current->fs);
}

__rust_helper void rust_helper_checkpoint_fs_drop(struct fs_struct *fs)
{
	bool last;

	read_seqlock_excl(&fs->seq);
	last = !--fs->users;
	read_sequnlock_excl(&fs->seq);
	if (last)
		free_fs_struct(fs);
}

__rust_helper void rust_helper_checkpoint_fs_install(struct fs_struct *fs)
{
	read_seqlock_excl(&fs->seq);
	fs->users++;
	read_sequnlock_excl(&fs->seq);
	fs = switch_fs_struct(fs);
	if (fs)
		free_fs_struct(fs);
}
