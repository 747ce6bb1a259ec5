// SPDX-License-Identifier: GPL-2.0

/* Memory of huge pages (hugetlb): what is behind it, and its pages. */

#include <linux/falloc.h>

/* Log2 of the bytes of a page of the file, or 0 if they are not huge. */
__rust_helper u32 rust_helper_checkpoint_huge_shift(struct file *file)
{
	return is_file_hugepages(file) ? huge_page_shift(hstate_file(file)) : 0;
}

/* Whether mmap(MAP_ANONYMOUS | MAP_HUGETLB) has made the file. */
__rust_helper bool rust_helper_checkpoint_is_huge_anon(struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;

	return is_file_hugepages(file) && IS_ROOT(dentry) &&
	       !strcmp(dentry->d_name.name, HUGETLB_ANON_FILE);
}

/* Such a file, without a reservation. */
__rust_helper struct file *
rust_helper_checkpoint_create_huge(const u64 *size, u32 shift)
{
	return hugetlb_file_setup(HUGETLB_ANON_FILE, *size,
				  mk_vma_flags(VMA_NORESERVE_BIT),
				  HUGETLB_ANONHUGE_INODE, shift);
}

/*
 * The first range of pages of a file that ends behind *@from for which there is
 * a page or a reservation, in huge pages. Returns whether there is one.
 */
__rust_helper bool rust_helper_checkpoint_huge_next_reserved(struct file *file,
							     u64 *from, u64 *to)
{
	bool found = false;
#ifdef CONFIG_HUGETLBFS
	struct resv_map *resv = HUGETLBFS_I(file_inode(file))->resv_map;
	struct file_region *region;

	if (!resv)
		return false;
	spin_lock(&resv->lock);
	list_for_each_entry(region, &resv->regions, link) {
		if (region->to <= *from)
			continue;
		*from = max_t(u64, *from, region->from);
		*to = region->to;
		found = true;
		break;
	}
	spin_unlock(&resv->lock);
#endif
	return found;
}

/* Reserves huge pages for a file. */
__rust_helper int rust_helper_checkpoint_huge_reserve(struct file *file,
						      const u64 *from,
						      const u64 *to)
{
	struct inode *inode = file_inode(file);
	long ret;

	if (!is_file_hugepages(file))
		return -EINVAL;
	inode_lock(inode);
	ret = hugetlb_reserve_pages(inode, *from, *to, NULL, EMPTY_VMA_FLAGS);
	inode_unlock(inode);
	return min(ret, 0L);
}

/* The next range of a file from *@start on that has pages. */
static inline int checkpoint_huge_next_data(struct file *file, u64 *start,
					    u64 *end)
{
	pgoff_t index = *start >> PAGE_SHIFT;
	struct folio_batch batch;

	folio_batch_init(&batch);
	if (!filemap_get_folios(file->f_mapping, &index, ULONG_MAX, &batch))
		return -ENXIO;
	*start = max_t(u64, *start, folio_pos(batch.folios[0]));
	*end = folio_pos(batch.folios[0]) + folio_size(batch.folios[0]);
	folio_batch_release(&batch);
	return 0;
}

/* A page of a file, by its number in small pages; made if it is missing. */
static inline struct page *checkpoint_huge_page(struct file *file,
						unsigned long index)
{
	u64 size = 1ULL << rust_helper_checkpoint_huge_shift(file);
	struct address_space *mapping = file->f_mapping;
	struct folio *folio = filemap_get_folio(mapping, index);
	int ret;

	if (IS_ERR(folio)) {
		/* Not by vfs_fallocate(), which wants it open for writing. */
		ret = file->f_op->fallocate(file, FALLOC_FL_KEEP_SIZE,
					    round_down((u64)index << PAGE_SHIFT, size),
					    size);
		if (ret)
			return ERR_PTR(ret == -ENOSPC ? -ENOMEM : ret);
		folio = filemap_get_folio(mapping, index);
		if (IS_ERR(folio))
			return ERR_CAST(folio);
	}
	return folio_file_page(folio, index);
}

/* Whether a private mapping of huge pages has none reserved, though it counts. */
__rust_helper bool rust_helper_checkpoint_vma_is_unreserved(struct vm_area_struct *vma)
{
#ifdef CONFIG_HUGETLB_PAGE
	return is_vm_hugetlb_page(vma) &&
	       !(vma->vm_flags & (VM_MAYSHARE | VM_NORESERVE)) &&
	       !checkpoint_hugetlb_has_reserve(vma);
#else
	return false;
#endif
}

/* Whether a process has lost pages of the mapping to the one that made it. */
__rust_helper bool rust_helper_checkpoint_vma_is_robbed(struct vm_area_struct *vma)
{
#ifdef CONFIG_HUGETLB_PAGE
	return is_vm_hugetlb_page(vma) && !(vma->vm_flags & VM_MAYSHARE) &&
	       checkpoint_hugetlb_is_robbed(vma);
#else
	return false;
#endif
}

/*
 * Gives a private mapping of huge pages one of its own at @addr, whatever its
 * protection; nobody can write there by get_user_pages(). Returns how many
 * small pages it has from there on, or 0 for a mapping of another sort.
 */
__rust_helper long rust_helper_checkpoint_own_huge_page(struct mm_struct *mm,
							unsigned long addr)
{
	struct vm_area_struct *vma;
	vm_fault_t fault = 0;
	unsigned long size;
	long ret = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, addr);
	if (vma && is_vm_hugetlb_page(vma) && !(vma->vm_flags & VM_MAYSHARE)) {
		size = huge_page_size(hstate_vma(vma));
		/* First what the file has, then a copy of it. */
		for (int i = 0; i < 2 && !(fault & VM_FAULT_ERROR); i++)
			fault = handle_mm_fault(vma, addr & ~(size - 1),
						FAULT_FLAG_UNSHARE | FAULT_FLAG_REMOTE,
						NULL);
		if (!(fault & VM_FAULT_ERROR))
			ret = (size - (addr & (size - 1))) >> PAGE_SHIFT;
		else if (fault & (VM_FAULT_OOM | VM_FAULT_SIGBUS))
			ret = -ENOMEM;
		else
			ret = vm_fault_to_errno(fault, 0);
	}
	mmap_read_unlock(mm);
	return ret;
}

/* Whether a page is part of a huge page that one mapping has for itself. */
__rust_helper bool rust_helper_checkpoint_is_own_huge_page(struct page *page)
{
	struct folio *folio = page_folio(page);

	return folio_test_hugetlb(folio) && folio_test_anon(folio) &&
	       PageAnonExclusive(&folio->page);
}
