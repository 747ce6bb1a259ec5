// SPDX-License-Identifier: GPL-2.0
/*
 * The cgroups (version 2) of tasks.
 *
 * A task is moved as anybody moves one: its number is written to a file of the
 * cgroup, which is opened through a mount that the caller sees. So all checks
 * of opening and writing hold.
 */
#include <linux/kernfs.h>
#include <linux/mount.h>

/*
 * The way from the cgroup of one task to that of another, like "/../a/b"; its
 * length, which is 0 if both are the same. -ENOENT: the other cgroup has been
 * removed.
 */
__rust_helper int
rust_helper_checkpoint_cgroup_way(struct task_struct *from,
				  struct task_struct *to, char *buf, size_t size)
{
	struct cgroup *cgrp, *base;
	int len;

	guard(rcu)();
	base = task_dfl_cgroup(from);
	cgrp = task_dfl_cgroup(to);
	if (cgrp == base)
		return 0;
	if (!(cgrp->self.flags & CSS_ONLINE))
		return -ENOENT;
	len = kernfs_path_from_node(cgrp->kn, base->kn, buf, size);
	/* A name that does not fit is cut off without a word. */
	return len + 1 < size ? len : -ENAMETOOLONG;
}

/*
 * Where the cgroup that is @up above that of the caller is in what is mounted;
 * the length of the path.
 */
static inline int checkpoint_cgroup_in_mount(const struct path *mnt,
					     unsigned int up, char *buf,
					     size_t size)
{
	struct dentry *dentry = mnt->dentry;
	struct cgroup *cgrp;
	int len;

	if (dentry->d_sb->s_magic != CGROUP2_SUPER_MAGIC ||
	    !d_can_lookup(dentry) || path_is_mountpoint(mnt))
		return -ENOENT;
	guard(rcu)();
	cgrp = task_dfl_cgroup(current);
	while (cgrp && up--)
		cgrp = cgroup_parent(cgrp);
	if (!cgrp)
		return -ENOENT;
	len = kernfs_path_from_node(cgrp->kn, kernfs_node_from_dentry(dentry),
				    buf, size);
	if (len < 0 || len + 1 >= size)
		return -ENAMETOOLONG;
	if (!strcmp(buf, "/..") || !strncmp(buf, "/../", 4))
		return -ENOENT;
	return len;
}

/*
 * Opens a file of a cgroup for writing: of the one with that path below the
 * one that is @up above that of the caller.
 */
__rust_helper struct file *
rust_helper_checkpoint_cgroup_open(unsigned int up, const char *path,
				   const char *name)
{
	char *buf __free(kfree) = kmalloc(PATH_MAX, GFP_KERNEL);
	struct file *file = ERR_PTR(-ENOENT);
	const struct path *mounts, *mnt;
	struct path root;
	int len;

	if (!buf)
		return ERR_PTR(-ENOMEM);
	get_fs_root(current->fs, &root);
	mounts = collect_paths(&root, NULL, 0);
	path_put(&root);
	if (IS_ERR(mounts))
		return ERR_CAST(mounts);
	for (mnt = mounts; mnt->mnt; mnt++) {
		len = checkpoint_cgroup_in_mount(mnt, up, buf, PATH_MAX);
		if (len < 0)
			continue;
		if (snprintf(buf + len, PATH_MAX - len, "/%s/%s", path, name) >=
		    PATH_MAX - len) {
			file = ERR_PTR(-ENAMETOOLONG);
			break;
		}
		file = file_open_root(mnt, buf, O_WRONLY, 0);
		/* Something else may be mounted on a cgroup. */
		if (!IS_ERR(file) && file->f_path.mnt != mnt->mnt) {
			fput(file);
			file = ERR_PTR(-EXDEV);
		}
		/* There may be another mount that is not read-only. */
		if (!IS_ERR(file) || PTR_ERR(file) != -EROFS)
			break;
	}
	drop_collected_paths(mounts, NULL);
	return file;
}

/* Moves a task to the cgroup, or its process: that depends on the file. */
__rust_helper int rust_helper_checkpoint_cgroup_move(struct file *file,
						     struct task_struct *task)
{
	char pid[16];
	loff_t pos = 0;
	ssize_t ret;

	ret = kernel_write(file, pid,
			   scnprintf(pid, sizeof(pid), "%d",
				     task_pid_vnr(task)), &pos);
	return ret < 0 ? ret : 0;
}
