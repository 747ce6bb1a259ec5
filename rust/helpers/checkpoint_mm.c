// SPDX-License-Identifier: GPL-2.0

/* Address spaces and pages. */

__rust_helper struct vm_area_struct *
rust_helper_checkpoint_next_vma(struct mm_struct *mm, unsigned long addr)
{
	VMA_ITERATOR(vmi, mm, addr);

	return vma_next(&vmi);
}

/*
 * Gives current the address space @mm, which @other has, and lets go of its
 * own: as exec_mmap() does with a new one, but nothing of @mm starts anew.
 */
__rust_helper int rust_helper_checkpoint_share_mm(struct mm_struct *mm,
						  struct task_struct *other)
{
	struct task_exec_state *exec_state = NULL;
	struct task_struct *tsk = current;
	struct mm_struct *old = tsk->mm;
	int ret;

	/* What goes with the address space is shared as well (CLONE_VM). */
	task_lock(other);
	if (other->mm == mm) {
		exec_state = rcu_dereference_protected(other->exec_state,
						       lockdep_is_held(&other->alloc_lock));
		refcount_inc(&exec_state->count);
	}
	task_unlock(other);
	if (!exec_state)
		return -ESRCH;

	sched_mm_cid_before_execve(tsk);
	mm_exit_exec_release(tsk, old);
	ret = down_write_killable(&tsk->signal->exec_update_lock);
	if (ret)
		goto out;

	mmget(mm);
	/* Whoever kills for memory has to look for all that have it. */
	mm_flags_set(MMF_MULTIPROCESS, mm);
	task_lock(tsk);
	local_irq_disable();
	tsk->active_mm = mm;
	tsk->mm = mm;
	membarrier_update_current_mm(mm);
	sched_cache_exec_mmap(tsk, mm);
	exec_state = task_exec_state_replace(tsk, exec_state);
	switch_mm_irqs_off(old, mm, tsk);
	local_irq_enable();
	task_unlock(tsk);
#ifdef finish_arch_post_lock_switch
	finish_arch_post_lock_switch();
#endif
	/* For membarrier(2), between the change of tsk->mm and its use. */
	smp_mb();
	lru_gen_use_mm(mm);
	futex_exec_done(tsk);
	up_write(&tsk->signal->exec_update_lock);
	mm_update_next_owner(old);
	mmput(old);
out:
	sched_mm_cid_after_execve(tsk);
	put_task_exec_state(exec_state);
	return ret;
}

/* Whether there are no more than @max anonymous pages, and none in swap. */
__rust_helper bool rust_helper_checkpoint_is_small(struct mm_struct *mm, u64 max)
{
	return get_mm_counter_sum(mm, MM_ANONPAGES) <= max &&
	       !get_mm_counter_sum(mm, MM_SWAPENTS);
}

/* Whether the OOM killer has emptied a duplicate. */
__rust_helper bool rust_helper_checkpoint_is_emptied(struct mm_struct *mm)
{
	return mm_flags_test(MMF_UNSTABLE, mm);
}

__rust_helper void rust_helper_checkpoint_get_peaks(struct mm_struct *mm,
						    u64 *rss, u64 *vm)
{
	unsigned long now = get_mm_counter_sum(mm, MM_ANONPAGES) +
			    get_mm_counter_sum(mm, MM_FILEPAGES) +
			    get_mm_counter_sum(mm, MM_SHMEMPAGES);

	*rss = max(now, mm->hiwater_rss);
	*vm = get_mm_hiwater_vm(mm);
}

__rust_helper void rust_helper_checkpoint_set_peaks(struct mm_struct *mm,
						    const u64 *rss, const u64 *vm)
{
	mm->hiwater_rss = *rss;
	mm->hiwater_vm = *vm;
}

__rust_helper void rust_helper_checkpoint_hash_page(struct xxh64_state *hash,
						    struct page *page)
{
	const void *data = kmap_local_page(page);

	xxh64_update(hash, data, PAGE_SIZE);
	kunmap_local(data);
}

__rust_helper void rust_helper_checkpoint_put_dirty(struct page *page)
{
	set_page_dirty_lock(page);
	if (!folio_test_hugetlb(page_folio(page)))
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
						       u64 flags, u64 def_flags,
						       const u64 *arch)
{
	__mm_flags_overwrite_word(mm, flags);
	mm->def_flags = def_flags;
	arch_checkpoint_init_mm(mm, arch);
}

__rust_helper void rust_helper_checkpoint_arch_mm_get(struct mm_struct *mm,
						      u64 *state)
{
	arch_checkpoint_mm_get(mm, state);
}

/* A new address space does not have what the restarter's would do by itself. */
__rust_helper int rust_helper_checkpoint_arch_mm_set(struct mm_struct *mm,
						     const u64 *state)
{
	mm_flags_clear(MMF_VM_MERGE_ANY, mm);
	return arch_checkpoint_mm_set(mm, state);
}

__rust_helper bool rust_helper_checkpoint_may_lock(void)
{
	return can_do_mlock();
}

/* Names a range of the current address space, as PR_SET_VMA_ANON_NAME does. */
__rust_helper int rust_helper_checkpoint_set_anon_name(unsigned long start,
						       unsigned long len,
						       const char *name)
{
#ifdef CONFIG_ANON_VMA_NAME
	struct anon_vma_name *anon_name = anon_vma_name_alloc(name);
	int ret;

	if (!anon_name)
		return -ENOMEM;
	ret = madvise_set_anon_name(current->mm, start, len, anon_name);
	anon_vma_name_put(anon_name);
	return ret;
#else
	return -EOPNOTSUPP;
#endif
}

__rust_helper int rust_helper_checkpoint_madvise(unsigned long start,
						 unsigned long len, int behavior)
{
	return do_madvise(current->mm, start, len, behavior);
}

__rust_helper int rust_helper_checkpoint_mseal(unsigned long start,
					       unsigned long end)
{
#ifdef CONFIG_64BIT
	return mseal_range(start, end);
#else
	return -EOPNOTSUPP;
#endif
}

/* As prctl(PR_SET_MEMORY_MERGE), of the current address space. */
__rust_helper int rust_helper_checkpoint_merge_any(void)
{
#ifdef CONFIG_KSM
	struct mm_struct *mm = current->mm;
	int ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	ret = ksm_enable_merge_any(mm);
	mmap_write_unlock(mm);
	return ret;
#else
	return -EOPNOTSUPP;
#endif
}

/* The first address behind those that any process can have. */
__rust_helper unsigned long rust_helper_checkpoint_task_size(void)
{
	return TASK_SIZE_MAX;
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

/* Which format its executable has, which makes its core dumps. */
__rust_helper u32 rust_helper_checkpoint_get_binfmt(struct mm_struct *mm)
{
	if (!mm->binfmt)
		return CHECKPOINT_BINFMT_NONE;
	if (IS_ENABLED(CONFIG_BINFMT_ELF) && mm->binfmt == &elf_format)
		return CHECKPOINT_BINFMT_ELF;
	if (IS_ENABLED(CONFIG_COMPAT_BINFMT_ELF) &&
	    mm->binfmt == &compat_elf_format)
		return CHECKPOINT_BINFMT_COMPAT_ELF;
	return CHECKPOINT_BINFMT_OTHER;
}

/* As execve(2) does, of current. */
__rust_helper int rust_helper_checkpoint_set_binfmt(u32 binfmt)
{
	switch (binfmt) {
	case CHECKPOINT_BINFMT_NONE:
		set_binfmt(NULL);
		return 0;
	case CHECKPOINT_BINFMT_ELF:
		if (!IS_ENABLED(CONFIG_BINFMT_ELF))
			return -EOPNOTSUPP;
		set_binfmt(&elf_format);
		return 0;
	case CHECKPOINT_BINFMT_COMPAT_ELF:
		if (!IS_ENABLED(CONFIG_COMPAT_BINFMT_ELF))
			return -EOPNOTSUPP;
		set_binfmt(&compat_elf_format);
		return 0;
	}
	return -EINVAL;
}

/* NUMA policies. */
__rust_helper bool rust_helper_checkpoint_vma_policy(struct vm_area_struct *vma,
						     struct checkpoint_policy *state)
{
#ifdef CONFIG_NUMA
	return checkpoint_mpol_of_vma(vma, state);
#else
	return false;
#endif
}

/* Pages that are mapped with MAP_SHARED have their policy with the file. */
__rust_helper bool
rust_helper_checkpoint_shared_policy(struct file *file, const u64 *from,
				     struct checkpoint_policy *state)
{
#ifdef CONFIG_NUMA
	return shmem_mapping(file->f_mapping) &&
	       checkpoint_mpol_of_shmem(file, *from, state);
#else
	return false;
#endif
}

__rust_helper int
rust_helper_checkpoint_set_vma_policy(const struct checkpoint_policy *state)
{
#ifdef CONFIG_NUMA
	return checkpoint_mpol_set_vma(state);
#else
	return -EOPNOTSUPP;
#endif
}

__rust_helper bool
rust_helper_checkpoint_task_policy(struct task_struct *task,
				   struct checkpoint_policy *state)
{
#ifdef CONFIG_NUMA
	return checkpoint_mpol_of_task(task, state);
#else
	return false;
#endif
}

__rust_helper int
rust_helper_checkpoint_set_task_policy(const struct checkpoint_policy *state)
{
#ifdef CONFIG_NUMA
	return checkpoint_mpol_set_task(state);
#else
	return state ? -EOPNOTSUPP : 0;
#endif
}

/* Those of mappings have set some; all are taken away without a @state. */
__rust_helper int
rust_helper_checkpoint_set_shared_policy(struct file *file,
					 const struct checkpoint_policy *state)
{
#ifdef CONFIG_NUMA
	if (!shmem_mapping(file->f_mapping))
		return state ? -EINVAL : 0;
	if (state)
		return checkpoint_mpol_set_shmem(file, state);
	checkpoint_mpol_clear_shmem(file);
	return 0;
#else
	return state ? -EOPNOTSUPP : 0;
#endif
}

/* Whether shared memory does not count against overcommit. */
__rust_helper bool rust_helper_checkpoint_is_noreserve(struct file *file)
{
	return SHMEM_I(file_inode(file))->flags & SHMEM_F_NORESERVE;
}

/*
 * A shared mapping that was made after its file was sealed against writing
 * never becomes writable; the seals come back later than the mappings.
 */
static inline int checkpoint_forbid_write(struct mm_struct *mm,
					  unsigned long addr, unsigned long len)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (!vma || !(vma->vm_flags & VM_MAYWRITE))
		return 0;
	if (vma->vm_start != addr || vma->vm_end != addr + len ||
	    vma->vm_flags & VM_WRITE)
		return -EINVAL;
	vm_flags_clear(vma, VM_MAYWRITE);
	/* It counts no longer as one that keeps others from sealing. */
	mapping_unmap_writable(vma->vm_file->f_mapping);
	return 0;
}

/* A mapping of huge pages that a child has inherited: without a reservation. */
static inline void checkpoint_forget_noreserve(struct mm_struct *mm,
					       unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (vma && is_vm_hugetlb_page(vma))
		vm_flags_clear(vma, VM_NORESERVE);
}

/* Maps in current's address space what mmap(2) and madvise(2) would. */
__rust_helper int rust_helper_checkpoint_mmap(struct file *file,
					      unsigned long addr,
					      unsigned long len,
					      const u64 *vm_flags,
					      unsigned long pgoff, bool unreserved)
{
	const vm_flags_t by_prot = VM_READ | VM_WRITE | VM_EXEC | VM_MAYREAD |
		VM_MAYWRITE | VM_MAYEXEC | VM_SHARED | VM_MAYSHARE | VM_ACCOUNT |
		VM_SOFTDIRTY | VM_NORESERVE | VM_GROWSDOWN | VM_DROPPABLE;
	/*
	 * mmap(2) accounts for what can be written to. What was made read-only
	 * later is accounted for still.
	 */
	const vm_flags_t by_itself = VM_WRITE | VM_MAYSHARE | VM_NORESERVE;
	unsigned long flags = MAP_FIXED_NOREPLACE, prot = 0, populate, got;
	struct mm_struct *mm = current->mm;
	vm_flags_t vm = *vm_flags, charged = 0, by_flag;
	LIST_HEAD(uf);
	int ret;

	flags |= vm & VM_MAYSHARE ? MAP_SHARED :
		 vm & VM_DROPPABLE ? MAP_DROPPABLE : MAP_PRIVATE;
	if (vm & VM_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	if (vm & VM_NORESERVE || unreserved)
		flags |= MAP_NORESERVE;
	if (unreserved && (!file || !is_file_hugepages(file)))
		return -EINVAL;
	if (vm & ARCH_VM_PKEY_FLAGS && !arch_pkeys_enabled())
		return -EOPNOTSUPP;
	if (vm & VM_SHADOW_STACK && !arch_checkpoint_has_shadow_stacks())
		return -EOPNOTSUPP;
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

	if (vm & VM_ACCOUNT && !(vm & by_itself)) {
		ret = security_vm_enough_memory_mm(mm, len >> PAGE_SHIFT);
		if (ret)
			return ret;
		charged = VM_ACCOUNT;
	}
	by_flag = (vm & ~by_prot) | (vm & (VM_READ | VM_EXEC)) | charged;

	got = -EINTR;
	if (!mmap_write_lock_killable(mm)) {
		/*
		 * What may be read and executed goes by flags: from PROT_* more
		 * would follow, by the personality and for memory that is only
		 * executed.
		 */
		got = do_mmap(file, addr, len, prot & PROT_WRITE, flags,
			      legacy_to_vma_flags(by_flag), pgoff, &populate,
			      &uf);
		if (got == addr && vm & VM_SHARED && !(vm & VM_MAYWRITE) &&
		    checkpoint_forbid_write(mm, addr, len))
			got = -EINVAL;
		if (got == addr && unreserved)
			checkpoint_forget_noreserve(mm, addr);
		mmap_write_unlock(mm);
	}
	if (charged && IS_ERR_VALUE(got))
		vm_unacct_memory(len >> PAGE_SHIFT);
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
	/* As mmap(2) does. */
	if (sysctl_overcommit_memory == OVERCOMMIT_NEVER)
		noreserve = false;
	return shmem_kernel_file_setup("dev/zero", *size,
				       legacy_to_vma_flags(noreserve ? VM_NORESERVE : 0));
}

/* How often it is mapped, through any opening of it. */
__rust_helper unsigned long
rust_helper_checkpoint_count_mappings(struct file *file)
{
	struct address_space *mapping = file->f_mapping;
	struct vm_area_struct *vma;
	unsigned long count = 0;

	i_mmap_lock_read(mapping);
	mapping_rmap_tree_foreach(vma, mapping, 0, ULONG_MAX)
		count++;
	i_mmap_unlock_read(mapping);
	return count;
}

__rust_helper int rust_helper_checkpoint_next_data(struct file *file, u64 *start,
						   u64 *end)
{
	loff_t data, hole;

	if (is_file_hugepages(file))
		return checkpoint_huge_next_data(file, start, end);
	data = vfs_llseek(file, *start, SEEK_DATA);
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
	if (is_file_hugepages(file))
		return checkpoint_huge_page(file, index);
	return shmem_read_mapping_page(file->f_mapping, index);
}

__rust_helper u64 rust_helper_checkpoint_vdso(struct mm_struct *mm)
{
	return arch_checkpoint_vdso(mm);
}

__rust_helper u32 rust_helper_checkpoint_vdso_crc(const u64 *arch)
{
	return arch_checkpoint_vdso_crc(arch);
}

__rust_helper int rust_helper_checkpoint_map_vdso(unsigned long addr,
						  const u64 *arch)
{
	return arch_checkpoint_map_vdso(addr, arch);
}

__rust_helper void rust_helper_checkpoint_put_frame(u64 pfn)
{
	put_page(pfn_to_page(pfn));
}

__rust_helper void rust_helper_checkpoint_put_page(struct page *page)
{
	put_page(page);
}

__rust_helper void rust_helper_checkpoint_copy_frame(struct page *to, u64 pfn)
{
	copy_highpage(to, pfn_to_page(pfn));
}

/* Fills in @count pages, less if memory is short. Gives how many. */
__rust_helper unsigned long
rust_helper_checkpoint_new_pages(struct page **pages, unsigned long count)
{
	unsigned long done = 0, got;

	/* It may give a part of what is asked for, and one page at a time. */
	while (done < count) {
		got = alloc_pages_bulk(GFP_KERNEL_ACCOUNT, count - done,
				       pages + done);
		if (!got)
			break;
		done += got;
	}
	return done;
}

__rust_helper void rust_helper_checkpoint_copy_page(struct page *to,
						    struct page *from)
{
	copy_highpage(to, from);
}
