// SPDX-License-Identifier: GPL-2.0

#include "../../kernel/checkpoint/checkpoint.h"
#include <asm/syscall.h>

#include "checkpoint_files.c"
#include "../../kernel/futex/futex.h"

__rust_helper void rust_helper_tasklist_read_lock(void)
{
	read_lock(&tasklist_lock);
}

__rust_helper void rust_helper_tasklist_read_unlock(void)
{
	read_unlock(&tasklist_lock);
}

__rust_helper void rust_helper_tasklist_write_lock(void)
{
	write_lock_irq(&tasklist_lock);
}

__rust_helper void rust_helper_tasklist_write_unlock(void)
{
	write_unlock_irq(&tasklist_lock);
}

__rust_helper void rust_helper_task_lock(struct task_struct *task)
{
	task_lock(task);
}

__rust_helper void rust_helper_task_unlock(struct task_struct *task)
{
	task_unlock(task);
}

/* Whether a cgroup wants the task to be frozen. */
__rust_helper bool rust_helper_cgroup_task_freeze(struct task_struct *task)
{
	guard(rcu)();
	return test_bit(CGRP_FREEZE, &task_dfl_cgroup(task)->flags);
}

__rust_helper struct pt_regs *rust_helper_task_pt_regs(struct task_struct *task)
{
	return task_pt_regs(task);
}

__rust_helper int rust_helper_syscall_get_nr(struct task_struct *task)
{
	int nr = -1;

	if (try_get_task_stack(task)) {
		nr = syscall_get_nr(task, task_pt_regs(task));
		put_task_stack(task);
	}
	return nr;
}

__rust_helper void *rust_helper_checkpoint_get_stack(struct task_struct *task)
{
	return try_get_task_stack(task);
}

__rust_helper void rust_helper_checkpoint_put_stack(struct task_struct *task)
{
	put_task_stack(task);
}

__rust_helper bool rust_helper_test_tsk_restore_sigmask(struct task_struct *task)
{
	return test_tsk_restore_sigmask(task);
}

__rust_helper void rust_helper_set_restore_sigmask(void)
{
	set_restore_sigmask();
}

__rust_helper void rust_helper_set_sigpending(void)
{
	set_thread_flag(TIF_SIGPENDING);
}

__rust_helper bool rust_helper_task_no_new_privs(struct task_struct *task)
{
	return task_no_new_privs(task);
}

__rust_helper void rust_helper_task_set_no_new_privs(struct task_struct *task)
{
	task_set_no_new_privs(task);
}

__rust_helper struct vm_area_struct *
rust_helper_checkpoint_next_vma(struct mm_struct *mm, unsigned long addr)
{
	VMA_ITERATOR(vmi, mm, addr);

	return vma_next(&vmi);
}

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

__rust_helper bool rust_helper_task_is_frozen(struct task_struct *task)
{
	return task->frozen;
}

__rust_helper u64 rust_helper_task_compat_robust_list(struct task_struct *task)
{
#ifdef CONFIG_COMPAT
	return (unsigned long)task->futex.compat_robust_list;
#else
	return 0;
#endif
}

__rust_helper bool rust_helper_task_uses_syscall_dispatch(struct task_struct *task)
{
	return test_task_syscall_work(task, SYSCALL_USER_DISPATCH);
}

__rust_helper bool rust_helper_task_has_itimer(struct task_struct *task)
{
	struct signal_struct *sig = task->signal;

	return hrtimer_active(&sig->real_timer) ||
	       sig->it[CPUCLOCK_PROF].expires || sig->it[CPUCLOCK_VIRT].expires;
}

#ifdef CONFIG_SECURITY_LANDLOCK
#include "../../security/landlock/cred.h"
#endif

__rust_helper bool rust_helper_task_is_landlocked(struct task_struct *task)
{
#ifdef CONFIG_SECURITY_LANDLOCK
	return landlocked(task);
#else
	return false;
#endif
}

__rust_helper const struct cred *rust_helper_checkpoint_current_cred(void)
{
	return current_cred();
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

__rust_helper void rust_helper_checkpoint_set_uts(const char *nodename,
						  const char *domainname)
{
	struct new_utsname *name = utsname();

	guard(rwsem_write)(&uts_sem);
	strscpy_pad(name->nodename, nodename, sizeof(name->nodename));
	strscpy_pad(name->domainname, domainname, sizeof(name->domainname));
}

__rust_helper u32 rust_helper_checkpoint_ipc_objects(struct task_struct *task)
{
	u32 n = 0;
#ifdef CONFIG_SYSVIPC
	int i;

	task_lock(task);
	if (task->nsproxy)
		for (i = 0; i < 3; i++)
			n += task->nsproxy->ipc_ns->ids[i].in_use;
#ifdef CONFIG_POSIX_MQUEUE
	if (task->nsproxy)
		n += task->nsproxy->ipc_ns->mq_queues_count;
#endif
	task_unlock(task);
#endif
	return n;
}

__rust_helper u32 rust_helper_checkpoint_page_crc(struct page *page, u32 crc)
{
	const void *data = kmap_local_page(page);

	crc = ~crc32_le(~crc, data, PAGE_SIZE);
	kunmap_local(data);
	return crc;
}

__rust_helper void rust_helper_checkpoint_put_dirty(struct page *page)
{
	set_page_dirty_lock(page);
	mark_page_accessed(page);
	put_page(page);
}

__rust_helper int rust_helper_checkpoint_mm_users(struct mm_struct *mm)
{
	return atomic_read(&mm->mm_users);
}

__rust_helper u64 rust_helper_checkpoint_mm_flags(struct mm_struct *mm)
{
	return __mm_flags_get_word(mm);
}

__rust_helper u64 rust_helper_checkpoint_mm_def_flags(struct mm_struct *mm)
{
	return mm->def_flags;
}

__rust_helper void rust_helper_checkpoint_set_mm_flags(struct mm_struct *mm,
						       u64 flags, u64 def_flags)
{
	__mm_flags_overwrite_word(mm, flags);
	mm->def_flags = def_flags;
	arch_checkpoint_init_mm(mm);
}

__rust_helper unsigned long rust_helper_checkpoint_task_size(void)
{
	return TASK_SIZE;
}

__rust_helper bool rust_helper_checkpoint_mm_has_aio(struct mm_struct *mm)
{
#ifdef CONFIG_AIO
	return rcu_access_pointer(mm->ioctx_table);
#else
	return false;
#endif
}

__rust_helper int rust_helper_checkpoint_mmap_read_lock(struct mm_struct *mm)
{
	return mmap_read_lock_killable(mm);
}

__rust_helper void rust_helper_checkpoint_mmap_read_unlock(struct mm_struct *mm)
{
	mmap_read_unlock(mm);
}

/* The name of a mapping that the kernel makes by itself; NULL for others. */
__rust_helper const char *
rust_helper_checkpoint_special_name(struct vm_area_struct *vma)
{
	if (vma->vm_file || !vma->vm_ops || !vma->vm_ops->name)
		return NULL;
	return vma->vm_ops->name(vma);
}

__rust_helper const char *
rust_helper_checkpoint_anon_name(struct vm_area_struct *vma)
{
	struct anon_vma_name *name = anon_vma_name(vma);

	return name ? name->name : NULL;
}

__rust_helper bool rust_helper_checkpoint_vma_has_policy(struct vm_area_struct *vma)
{
#ifdef CONFIG_NUMA
	return vma->vm_policy;
#else
	return false;
#endif
}

/* Maps in current's address space what mmap(2) and madvise(2) would. */
__rust_helper int rust_helper_checkpoint_mmap(struct file *file,
					      unsigned long addr,
					      unsigned long len,
					      const u64 *vm_flags,
					      unsigned long pgoff)
{
	const vm_flags_t by_prot = VM_READ | VM_WRITE | VM_EXEC | VM_MAYREAD |
		VM_MAYWRITE | VM_MAYEXEC | VM_SHARED | VM_MAYSHARE | VM_ACCOUNT |
		VM_SOFTDIRTY | VM_NORESERVE | VM_GROWSDOWN | VM_DROPPABLE;
	unsigned long flags = MAP_FIXED_NOREPLACE, prot = 0, populate, got;
	struct mm_struct *mm = current->mm;
	vm_flags_t vm = *vm_flags;
	LIST_HEAD(uf);
	int ret;

	flags |= vm & VM_MAYSHARE ? MAP_SHARED :
		 vm & VM_DROPPABLE ? MAP_DROPPABLE : MAP_PRIVATE;
	if (vm & VM_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	if (vm & VM_NORESERVE)
		flags |= MAP_NORESERVE;
	if (vm & VM_READ)
		prot |= PROT_READ;
	if (vm & VM_WRITE)
		prot |= PROT_WRITE;
	if (vm & VM_EXEC)
		prot |= PROT_EXEC;
	if (!can_do_mlock() && vm & VM_LOCKED)
		return -EPERM;

	ret = security_mmap_file(file, prot, flags);
	if (!ret && file)
		ret = fsnotify_mmap_perm(file, prot, (loff_t)pgoff << PAGE_SHIFT,
					 len);
	if (ret)
		return ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	got = do_mmap(file, addr, len, prot, flags,
		      legacy_to_vma_flags(vm & ~by_prot), pgoff, &populate, &uf);
	mmap_write_unlock(mm);
	return IS_ERR_VALUE(got) ? (int)got : got == addr ? 0 : -EINVAL;
}

__rust_helper bool rust_helper_checkpoint_is_shared_anon(struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;

	/* Nobody could give a file in a file system a name with a slash. */
	return shmem_mapping(file->f_mapping) && IS_ROOT(dentry) &&
	       !strcmp(dentry->d_name.name, "dev/zero");
}

__rust_helper struct file *rust_helper_checkpoint_shared_anon(const u64 *size,
							      bool noreserve)
{
	return shmem_kernel_file_setup("dev/zero", *size,
				       legacy_to_vma_flags(noreserve ? VM_NORESERVE : 0));
}

__rust_helper int rust_helper_checkpoint_next_data(struct file *file, u64 *start,
						   u64 *end)
{
	loff_t data = vfs_llseek(file, *start, SEEK_DATA), hole;

	if (data < 0)
		return data;
	hole = vfs_llseek(file, data, SEEK_HOLE);
	if (hole < 0)
		return hole;
	*start = data;
	*end = hole;
	return 0;
}

__rust_helper struct page *rust_helper_checkpoint_shmem_page(struct file *file,
							     unsigned long index)
{
	return shmem_read_mapping_page(file->f_mapping, index);
}

__rust_helper u64 rust_helper_checkpoint_vdso(struct mm_struct *mm)
{
	return arch_checkpoint_vdso(mm);
}

__rust_helper u32 rust_helper_checkpoint_vdso_crc(void)
{
	return arch_checkpoint_vdso_crc();
}

__rust_helper int rust_helper_checkpoint_map_vdso(unsigned long addr)
{
	return arch_checkpoint_map_vdso(addr);
}

/* Credentials as plain numbers, in the caller's user namespace. */
__rust_helper void rust_helper_checkpoint_cred_get(const struct cred *cred,
						   struct checkpoint_cred *out)
{
	struct user_namespace *ns = current_user_ns();

	out->uid[0] = from_kuid(ns, cred->uid);
	out->uid[1] = from_kuid(ns, cred->euid);
	out->uid[2] = from_kuid(ns, cred->suid);
	out->uid[3] = from_kuid(ns, cred->fsuid);
	out->gid[0] = from_kgid(ns, cred->gid);
	out->gid[1] = from_kgid(ns, cred->egid);
	out->gid[2] = from_kgid(ns, cred->sgid);
	out->gid[3] = from_kgid(ns, cred->fsgid);
	out->caps[0] = cred->cap_inheritable.val;
	out->caps[1] = cred->cap_permitted.val;
	out->caps[2] = cred->cap_effective.val;
	out->caps[3] = cred->cap_bset.val;
	out->caps[4] = cred->cap_ambient.val;
	out->securebits = cred->securebits;
	out->same_user_ns = cred->user_ns == ns;
	out->has_keyrings = false;
#ifdef CONFIG_KEYS
	out->has_keyrings = cred->session_keyring || cred->process_keyring ||
			    cred->thread_keyring;
#endif
}

__rust_helper u32 rust_helper_checkpoint_cred_groups(const struct cred *cred)
{
	return cred->group_info->ngroups;
}

__rust_helper u32 rust_helper_checkpoint_cred_group(const struct cred *cred, u32 i)
{
	return from_kgid(current_user_ns(), cred->group_info->gid[i]);
}

/*
 * Gives current the credentials. Whether it may have them was checked before;
 * here only numbers that mean nothing in the user namespace are refused.
 */
__rust_helper int
rust_helper_checkpoint_cred_set(const struct checkpoint_cred *in,
				const u32 *groups, u32 ngroups)
{
	struct user_namespace *ns = current_user_ns();
	struct group_info *info;
	kuid_t uid[4];
	kgid_t gid[4];
	struct cred *new;
	u32 i;
	int ret;

	for (i = 0; i < 4; i++) {
		uid[i] = make_kuid(ns, in->uid[i]);
		gid[i] = make_kgid(ns, in->gid[i]);
		if (!uid_valid(uid[i]) || !gid_valid(gid[i]))
			return -EINVAL;
	}
	info = groups_alloc(ngroups);
	if (!info)
		return -ENOMEM;
	for (i = 0; i < ngroups; i++) {
		info->gid[i] = make_kgid(ns, groups[i]);
		if (!gid_valid(info->gid[i])) {
			put_group_info(info);
			return -EINVAL;
		}
	}
	groups_sort(info);

	new = prepare_creds();
	if (!new) {
		put_group_info(info);
		return -ENOMEM;
	}
	set_groups(new, info);
	put_group_info(info);

	new->uid = uid[0];
	new->euid = uid[1];
	new->suid = uid[2];
	new->fsuid = uid[3];
	new->gid = gid[0];
	new->egid = gid[1];
	new->sgid = gid[2];
	new->fsgid = gid[3];
	if (!uid_eq(new->uid, current_uid())) {
		struct user_struct *user = alloc_uid(new->uid);

		ret = -EAGAIN;
		if (!user)
			goto abort;
		free_uid(new->user);
		new->user = user;
	}
	ret = security_task_fix_setuid(new, current_cred(), LSM_SETID_RES);
	if (ret)
		goto abort;
	new->cap_inheritable.val = in->caps[0];
	new->cap_permitted.val = in->caps[1];
	new->cap_effective.val = in->caps[2];
	new->cap_bset.val = in->caps[3];
	new->cap_ambient.val = in->caps[4];
	new->securebits = in->securebits;
	ret = set_cred_ucounts(new);
	if (ret)
		goto abort;
	return commit_creds(new);

abort:
	abort_creds(new);
	return ret;
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

__rust_helper bool rust_helper_checkpoint_capable(int cap)
{
	return ns_capable(current_user_ns(), cap);
}

__rust_helper int rust_helper_checkpoint_sighand_key(struct task_struct *task,
						     unsigned long *key, u32 *count)
{
	struct sighand_struct *sighand;
	unsigned long flags;

	sighand = lock_task_sighand(task, &flags);
	if (!sighand)
		return -ESRCH;
	*key = (unsigned long)sighand;
	*count = refcount_read(&sighand->count);
	unlock_task_sighand(task, &flags);
	return 0;
}

__rust_helper int rust_helper_checkpoint_get_actions(struct task_struct *task,
						     struct k_sigaction *actions)
{
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	memcpy(actions, task->sighand->action, sizeof(task->sighand->action));
	unlock_task_sighand(task, &flags);
	return 0;
}

__rust_helper int rust_helper_checkpoint_set_action(int sig, unsigned long handler,
						    unsigned long flags,
						    unsigned long restorer,
						    const u64 *mask)
{
	struct k_sigaction ka = {};

	ka.sa.sa_handler = (__sighandler_t)handler;
	ka.sa.sa_flags = flags;
#ifdef __ARCH_HAS_SA_RESTORER
	ka.sa.sa_restorer = (__sigrestore_t)restorer;
#endif
	siginitset(&ka.sa.sa_mask, *mask);
#if _NSIG_WORDS > 1
	ka.sa.sa_mask.sig[1] = *mask >> 32;
#else
	ka.sa.sa_mask.sig[0] = *mask;
#endif
	return do_sigaction(sig, &ka, NULL);
}

/*
 * Copies up to @max siginfos of 128 bytes; returns how many there are, or
 * -ESRCH.
 */
__rust_helper int rust_helper_checkpoint_get_pending(struct task_struct *task,
						     bool shared,
						     siginfo_t *infos, u32 max,
						     u64 *set)
{
	struct sigpending *pending;
	struct sigqueue *q;
	unsigned long flags;
	int n = 0;

	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	pending = shared ? &task->signal->shared_pending : &task->pending;
	*set = pending->signal.sig[0];
#if _NSIG_WORDS > 1
	*set |= (u64)pending->signal.sig[1] << 32;
#endif
	list_for_each_entry(q, &pending->list, list) {
		if (n < max) {
			memset(&infos[n], 0, sizeof(infos[n]));
			memcpy(&infos[n], &q->info, sizeof(q->info));
		}
		n++;
	}
	unlock_task_sighand(task, &flags);
	return n;
}

__rust_helper int rust_helper_checkpoint_send_siginfo(const siginfo_t *from,
						      bool shared)
{
	struct kernel_siginfo info;

	memcpy(&info, from, sizeof(info));
	if (!valid_signal(info.si_signo) || !info.si_signo ||
	    info.si_signo == SIGKILL)
		return -EINVAL;
	return do_send_sig_info(info.si_signo, &info, current,
				shared ? PIDTYPE_TGID : PIDTYPE_PID);
}

__rust_helper void rust_helper_checkpoint_add_pending(const u64 *set, bool shared)
{
	struct sigpending *pending;

	spin_lock_irq(&current->sighand->siglock);
	pending = shared ? &current->signal->shared_pending : &current->pending;
	pending->signal.sig[0] |= *set & ~sigmask(SIGKILL);
#if _NSIG_WORDS > 1
	pending->signal.sig[1] |= *set >> 32;
#endif
	recalc_sigpending();
	spin_unlock_irq(&current->sighand->siglock);
}

__rust_helper bool rust_helper_checkpoint_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

__rust_helper void
rust_helper_checkpoint_set_compat_robust_list(unsigned long head)
{
#ifdef CONFIG_COMPAT
	current->futex.compat_robust_list =
		(struct compat_robust_list_head __user *)head;
#endif
}

/* rseq(2) without the initialization of the area, which the image holds. */
#define CHECKPOINT_RSEQ_V1_SIZE 32
__rust_helper int rust_helper_checkpoint_set_rseq(unsigned long addr, u32 len,
						  u32 sig)
{
#ifdef CONFIG_RSEQ
	struct rseq __user *rseq = (struct rseq __user *)addr;

	if (!addr)
		return 0;
	if (len < CHECKPOINT_RSEQ_V1_SIZE || !access_ok(rseq, len))
		return -EINVAL;
	if (len == CHECKPOINT_RSEQ_V1_SIZE ?
	    !IS_ALIGNED(addr, CHECKPOINT_RSEQ_V1_SIZE) :
	    !IS_ALIGNED(addr, rseq_alloc_align()) ||
	    len < offsetof(struct rseq, end))
		return -EINVAL;
	current->rseq.usrptr = rseq;
	current->rseq.len = len;
	current->rseq.sig = sig;
	current->rseq.event.has_rseq =
		IS_ENABLED(CONFIG_GENERIC_IRQ_ENTRY) && len > CHECKPOINT_RSEQ_V1_SIZE ? 2 : 1;
	return 0;
#else
	return addr ? -EINVAL : 0;
#endif
}

/*
 * Before the kernel writes new ids to the area it wants to find there what it
 * has written last: that was on another machine, and is in the area.
 */
__rust_helper void rust_helper_checkpoint_sync_rseq(void)
{
#ifdef CONFIG_RSEQ
	struct rseq __user *rseq = current->rseq.usrptr;
	struct rseq_ids ids;

	if (!rseq)
		return;
	/* If the area cannot be read, rseq itself ends the task. */
	if (!get_user(ids.cpu_id, &rseq->cpu_id) &&
	    !get_user(ids.mm_cid, &rseq->mm_cid) &&
	    !get_user(ids.node_id, &rseq->node_id))
		current->rseq.ids = ids;
	rseq_force_update();
#endif
}

/*
 * Moves a process to the session or group that has the number @nr. Either a
 * pid has it, or one is made that has no task, as if its task had ended.
 */
__rust_helper int rust_helper_checkpoint_set_pid(struct task_struct *task,
						 struct pid_namespace *ns,
						 enum pid_type type, pid_t nr,
						 bool make)
{
	struct pid *free[PIDTYPE_MAX] = {};
	struct tty_struct *tty = NULL;
	struct pid *pid;

	if (make) {
		pid = alloc_pid(ns, &nr, 1);
		if (IS_ERR(pid))
			return PTR_ERR(pid);
		get_pid(pid);
	} else {
		rcu_read_lock();
		pid = get_pid(find_pid_ns(nr, ns));
		rcu_read_unlock();
		if (!pid)
			return -ESRCH;
	}
	write_lock_irq(&tasklist_lock);
	if (!task->sighand) {	/* It was killed, and is released. */
		write_unlock_irq(&tasklist_lock);
		if (make)
			free_pid(pid);
		put_pid(pid);
		return -ESRCH;
	}
	if (task_pid_type(task, type) != pid)
		change_pid(free, task, type, pid);
	if (type == PIDTYPE_SID) {
		task->signal->leader = pid == task_tgid(task);
		spin_lock(&task->sighand->siglock);
		tty = task->signal->tty;
		task->signal->tty = NULL;
		spin_unlock(&task->sighand->siglock);
	}
	write_unlock_irq(&tasklist_lock);
	free_pids(free);
	put_pid(pid);
	tty_kref_put(tty);
	return 0;
}

__rust_helper s64 rust_helper_checkpoint_clock(int clock)
{
	switch (clock) {
	case CLOCK_MONOTONIC:
		return ktime_get_ns();
	case CLOCK_BOOTTIME:
		return ktime_get_boottime_ns();
	case CLOCK_TAI:
		return ktime_get_clocktai_ns();
	default:
		return ktime_get_real_ns();
	}
}

/* The flags of an interrupted futex wait that mean something after a restart. */
#define CHECKPOINT_FUTEX_FLAGS \
	(FLAGS_SIZE_MASK | FLAGS_SHARED | FLAGS_CLOCKRT | FLAGS_HAS_TIMEOUT)

static inline s64 checkpoint_futex_now(unsigned int flags)
{
	return flags & FLAGS_CLOCKRT ? ktime_get_real_ns() : ktime_get_ns();
}

__rust_helper int
rust_helper_checkpoint_get_restart_block(struct task_struct *task,
					 struct checkpoint_restart_block *out)
{
	struct restart_block *block = &task->restart_block;

	memset(out, 0, sizeof(*out));
	/* The block of a system call that has returned is still there. */
	if (syscall_get_nr(task, task_pt_regs(task)) == -1 ||
	    syscall_get_error(task, task_pt_regs(task)) != -ERESTART_RESTARTBLOCK)
		return 0;
	if (block->fn == hrtimer_nanosleep_restart) {
		out->call = CHECKPOINT_RESTART_NANOSLEEP;
		out->arg = block->nanosleep.clockid;
		out->rem_type = block->nanosleep.type;
		if (out->rem_type != TT_NONE)
			out->addr = (unsigned long)block->nanosleep.rmtp;
		out->left = block->nanosleep.expires -
			rust_helper_checkpoint_clock(out->arg);
	} else if (block->fn == do_restart_poll) {
		out->call = CHECKPOINT_RESTART_POLL;
		out->addr = (unsigned long)block->poll.ufds;
		out->arg = block->poll.nfds;
		out->value = block->poll.has_timeout;
		if (out->value)
			out->left = timespec64_to_ns(&block->poll.end_time) -
				ktime_get_ns();
	} else if (block->fn == futex_wait_restart) {
		out->call = CHECKPOINT_RESTART_FUTEX;
		out->addr = (unsigned long)block->futex.uaddr;
		out->addr2 = (unsigned long)block->futex.uaddr2;
		out->arg = block->futex.flags;
		out->value = block->futex.val;
		out->bitset = block->futex.bitset;
		if (out->arg & ~CHECKPOINT_FUTEX_FLAGS ||
		    (out->arg & FLAGS_SIZE_MASK) != FLAGS_SIZE_32)
			return -EOPNOTSUPP;
		out->left = block->futex.time - checkpoint_futex_now(out->arg);
	} else {
		return -EOPNOTSUPP;
	}
	return 1;
}

__rust_helper int
rust_helper_checkpoint_set_restart_block(const struct checkpoint_restart_block *in)
{
	struct restart_block *block = &current->restart_block;
	struct timespec64 end;
	s64 now;

	switch (in->call) {
	case CHECKPOINT_RESTART_NANOSLEEP:
		switch (in->arg) {
		case CLOCK_REALTIME:
		case CLOCK_MONOTONIC:
		case CLOCK_BOOTTIME:
		case CLOCK_TAI:
			break;
		default:
			return -EINVAL;
		}
		if (in->rem_type > TT_COMPAT)
			return -EINVAL;
		now = rust_helper_checkpoint_clock(in->arg);
		block->nanosleep.clockid = in->arg;
		block->nanosleep.type = in->rem_type;
		block->nanosleep.rmtp = (void __user *)(unsigned long)in->addr;
		block->nanosleep.expires = ktime_add_safe(now, max(in->left, 0));
		block->fn = hrtimer_nanosleep_restart;
		return 0;
	case CHECKPOINT_RESTART_POLL:
		block->poll.ufds = (void __user *)(unsigned long)in->addr;
		block->poll.nfds = in->arg;
		block->poll.has_timeout = !!in->value;
		end = ns_to_timespec64(ktime_add_safe(ktime_get(), max(in->left, 0)));
		block->poll.end_time = end;
		block->fn = do_restart_poll;
		return 0;
	case CHECKPOINT_RESTART_FUTEX:
		if (in->arg & ~CHECKPOINT_FUTEX_FLAGS ||
		    (in->arg & FLAGS_SIZE_MASK) != FLAGS_SIZE_32)
			return -EINVAL;
		block->futex.uaddr = (void __user *)(unsigned long)in->addr;
		block->futex.uaddr2 = (void __user *)(unsigned long)in->addr2;
		block->futex.flags = in->arg;
		block->futex.val = in->value;
		block->futex.bitset = in->bitset;
		block->futex.time = ktime_add_safe(checkpoint_futex_now(in->arg),
						   max(in->left, 0));
		block->fn = futex_wait_restart;
		return 0;
	default:
		return -EINVAL;
	}
}

__rust_helper void rust_helper_checkpoint_put_page(struct page *page)
{
	put_page(page);
}

__rust_helper int rust_helper_checkpoint_task_nice(struct task_struct *task)
{
	return task_nice(task);
}

/*
 * The CPUs that a task was bound to, as words of 64; returns how many words, 0
 * for a task that may run everywhere.
 */
__rust_helper u32 rust_helper_checkpoint_get_affinity(struct task_struct *task,
						      u64 *words, u32 max)
{
	unsigned int cpu;

	guard(raw_spinlock_irq)(&task->pi_lock);
	if (!task->user_cpus_ptr || DIV_ROUND_UP(nr_cpu_ids, 64) > max)
		return 0;
	memset(words, 0, max * sizeof(*words));
	for_each_cpu(cpu, task->user_cpus_ptr)
		words[cpu / 64] |= BIT_ULL(cpu % 64);
	return DIV_ROUND_UP(nr_cpu_ids, 64);
}

__rust_helper int rust_helper_checkpoint_set_affinity(const u64 *words, u32 count)
{
	cpumask_var_t mask;
	u32 cpu;
	int ret = -EINVAL;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;
	for (cpu = 0; cpu < min(nr_cpu_ids, count * 64); cpu++)
		if (words[cpu / 64] & BIT_ULL(cpu % 64))
			cpumask_set_cpu(cpu, mask);
	if (!cpumask_empty(mask))
		ret = sched_setaffinity(0, mask);
	free_cpumask_var(mask);
	return ret;
}

/*
 * What a task is that cannot be saved and only words of C tell; NULL if there
 * is nothing.
 */
__rust_helper const char *rust_helper_checkpoint_refused(struct task_struct *task)
{
	unsigned long atomic_flags = READ_ONCE(task->atomic_flags);

	__clear_bit(PFA_NO_NEW_PRIVS, &atomic_flags);
	if (atomic_flags)
		return "has speculation control or other attributes of prctl(2) set";
	if (task->flags & (PF_MCE_PROCESS | PF_MCE_EARLY | PF_LOCAL_THROTTLE))
		return "has attributes of prctl(2) set (PR_MCE_KILL, PR_SET_IO_FLUSHER)";
#ifdef CONFIG_NUMA
	if (task->mempolicy)
		return "has a NUMA memory policy (set_mempolicy(2))";
#endif
	if (task->sched_reset_on_fork)
		return "has SCHED_RESET_ON_FORK set";
#ifdef CONFIG_UCLAMP_TASK
	if (task->uclamp_req[UCLAMP_MIN].user_defined ||
	    task->uclamp_req[UCLAMP_MAX].user_defined)
		return "has utilization clamps (sched_setattr(2))";
#endif
#ifdef CONFIG_BLOCK
	if (task->io_context && task->io_context->ioprio)
		return "has an I/O priority (ioprio_set(2))";
#endif
#ifdef CONFIG_RSEQ_SLICE_EXTENSION
	if (task->rseq.slice.state.enabled)
		return "uses the time slice extension of rseq(2)";
#endif
#ifdef CONFIG_MEMBARRIER
	if (task->mm && atomic_read(&task->mm->membarrier_state))
		return "is registered with membarrier(2)";
#endif
	return arch_checkpoint_refused(task);
}
