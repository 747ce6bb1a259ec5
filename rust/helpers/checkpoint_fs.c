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

__rust_helper bool rust_helper_checkpoint_file_has_lease(struct file *file)
{
	struct file_lock_context *ctx = locks_inode_context(file_inode(file));
	struct file_lock_core *lease;
	bool found = false;

	if (!ctx)
		return false;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(lease, &ctx->flc_lease, flc_list)
		found |= lease->flc_file == file;
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

__rust_helper bool rust_helper_checkpoint_is_shmem(struct file *file)
{
	return shmem_mapping(file->f_mapping) || is_file_hugepages(file);
}

/* Nobody could give a file in a file system such a name that is a root. */
__rust_helper bool rust_helper_checkpoint_is_memfd(struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;

	return rust_helper_checkpoint_is_shmem(file) && IS_ROOT(dentry) &&
	       !strncmp(dentry->d_name.name, "memfd:", 6);
}

__rust_helper int
rust_helper_checkpoint_unnamed_get(struct file *file,
				   struct checkpoint_unnamed *state)
{
	struct inode *inode = file_inode(file);
	struct timespec64 atime = inode_get_atime(inode);
	struct timespec64 mtime = inode_get_mtime(inode);

	if (!rust_helper_checkpoint_is_shmem(file) &&
	    !file->f_mapping->a_ops->read_folio)
		return -EOPNOTSUPP;
	*state = (struct checkpoint_unnamed) {
		.size = i_size_read(inode),
		.atime = { atime.tv_sec, atime.tv_nsec },
		.mtime = { mtime.tv_sec, mtime.tv_nsec },
		.mode = inode->i_mode,
		.uid = from_kuid(current_user_ns(), inode->i_uid),
		.gid = from_kgid(current_user_ns(), inode->i_gid),
		.nlink = inode->i_nlink,
		.huge = rust_helper_checkpoint_huge_shift(file),
	};
	if (rust_helper_checkpoint_is_memfd(file))
		state->seals = memfd_get_seals(file);
	spin_lock(&inode->i_lock);
	state->linkable = inode_state_read(inode) & I_LINKABLE;
	spin_unlock(&inode->i_lock);
	return 0;
}

__rust_helper void rust_helper_checkpoint_last_name(struct file *file, char *to)
{
	struct name_snapshot name;

	take_dentry_name_snapshot(&name, file->f_path.dentry);
	strscpy(to, name.name.name, NAME_MAX + 1);
	release_dentry_name_snapshot(&name);
}

__rust_helper void rust_helper_checkpoint_directory(struct file *file,
						    struct path *path)
{
	path->mnt = mntget(file->f_path.mnt);
	path->dentry = dget_parent(file->f_path.dentry);
}

/*
 * Makes a file without a name in a directory, and a dentry of it that looks
 * as if it had been unlinked: it has a parent and a name, and nobody finds it.
 */
__rust_helper struct file *
rust_helper_checkpoint_create_deleted(const struct path *root, const char *dir,
				      const char *name, bool linkable)
{
	int flags = O_TMPFILE | O_RDWR | O_LARGEFILE | (linkable ? 0 : O_EXCL);
	struct file *made, *file;
	struct path path;

	made = file_open_root(root, dir, flags, 0600);
	if (IS_ERR(made))
		return made;
	path.mnt = made->f_path.mnt;
	path.dentry = d_alloc(made->f_path.dentry->d_parent, &QSTR(name));
	if (path.dentry) {
		ihold(file_inode(made));
		d_instantiate(path.dentry, file_inode(made));
		file = dentry_open(&path, O_RDONLY | O_LARGEFILE,
				   current_cred());
		dput(path.dentry);
	} else {
		file = ERR_PTR(-ENOMEM);
	}
	/* At once, since as a writer it would keep others from executing it. */
	__fput_sync(made);
	return file;
}

/* Whether vm.memfd_noexec keeps memfd_create(2) from making what is executable. */
static inline bool checkpoint_memfd_is_noexec(void)
{
#if defined(CONFIG_SYSCTL) && defined(CONFIG_MEMFD_CREATE)
	return pidns_memfd_noexec_scope(task_active_pid_ns(current)) >=
	       MEMFD_NOEXEC_SCOPE_NOEXEC_ENFORCED;
#else
	return false;
#endif
}

__rust_helper int
rust_helper_checkpoint_unnamed_set(struct file *file,
				   const struct checkpoint_unnamed *state)
{
	struct mnt_idmap *idmap = file_mnt_idmap(file);
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = file_inode(file);
	kuid_t uid = make_kuid(current_user_ns(), state->uid);
	kgid_t gid = make_kgid(current_user_ns(), state->gid);
	struct iattr owner = {
		.ia_valid = ATTR_UID | ATTR_GID,
		.ia_vfsuid = VFSUIDT_INIT(uid),
		.ia_vfsgid = VFSGIDT_INIT(gid),
	};
	struct iattr mode = {
		.ia_valid = ATTR_MODE,
		.ia_mode = state->mode,
	};
	int ret;

	if (!uid_valid(uid) || !gid_valid(gid) ||
	    state->huge != rust_helper_checkpoint_huge_shift(file))
		return -EINVAL;
	if (rust_helper_checkpoint_is_memfd(file) &&
	    (state->mode & 0111 || !(state->seals & F_SEAL_EXEC)) &&
	    checkpoint_memfd_is_noexec())
		return -EACCES;
	ret = mnt_want_write(file->f_path.mnt);
	if (ret)
		return ret;
	inode_lock(inode);
	/* Who owns it already needs no right to give it away. */
	if (!uid_eq(uid, inode->i_uid) || !gid_eq(gid, inode->i_gid))
		ret = notify_change(idmap, dentry, &owner, NULL);
	if (!ret && inode->i_mode != state->mode)
		ret = notify_change(idmap, dentry, &mode, NULL);
	if (!ret && inode->i_mode != state->mode)
		ret = -EPERM;
	inode_unlock(inode);
	if (!ret && state->size)
		ret = do_truncate(idmap, dentry, state->size, 0, NULL);
	mnt_drop_write(file->f_path.mnt);
	return ret;
}

__rust_helper int
rust_helper_checkpoint_unnamed_finish(struct file *file,
				      const struct checkpoint_unnamed *state)
{
	struct timespec64 times[2] = {
		{ state->atime[0], state->atime[1] },
		{ state->mtime[0], state->mtime[1] },
	};
	int ret = vfs_utimes(&file->f_path, times);

	if (!ret && state->seals)
		ret = memfd_add_seals(file, state->seals);
	return ret;
}

__rust_helper void rust_helper_checkpoint_set_tmpfile(struct file *file)
{
	spin_lock(&file->f_lock);
	file->f_flags |= O_TMPFILE;
	spin_unlock(&file->f_lock);
}

__rust_helper struct page *rust_helper_checkpoint_file_page(struct file *file,
							    unsigned long index)
{
	return read_mapping_page(file->f_mapping, index, file);
}

/* Writes from *pos on, no further than to @end. */
__rust_helper ssize_t rust_helper_checkpoint_file_write(struct file *file,
							struct iov_iter *iter,
							u64 *pos, const u64 *end)
{
	loff_t at = *pos;
	ssize_t ret;

	iov_iter_truncate(iter, *end - at);
	ret = vfs_iter_write(file, iter, &at, 0);
	*pos = at;
	return ret;
}
