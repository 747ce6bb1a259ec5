// SPDX-License-Identifier: GPL-2.0
/*
 * The pages of an address space: finding those that exist nowhere else, making
 * a copy-on-write duplicate to save them from, and sharing them again after a
 * restart. It is C because page table entries are macros.
 */
#include <linux/hugetlb.h>
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/rmap.h>
#include <linux/swap.h>
#include <asm/tlbflush.h>

#include "../../mm/internal.h"
#include "checkpoint.h"

struct anon_walk {
	checkpoint_found_t found;
	void *arg;
	struct mm_struct *before;
	bool skip_zeros;
	bool hold;
};

static int leaf_is_anon(softleaf_t leaf, u64 *id)
{
	*id = 0;
	if (softleaf_is_swap(leaf)) {
		*id = CHECKPOINT_SWAP_ID | leaf.val;
		return 1;
	}
	if (softleaf_is_migration(leaf))
		return folio_test_anon(softleaf_to_folio(leaf));
	if (softleaf_is_guard_marker(leaf))
		return 0;
	/* It is brought in when it is saved. */
	if (softleaf_is_image(leaf))
		return 1;
	/* Poison, userfaultfd, memory of devices. */
	return -EOPNOTSUPP;
}

/* An identity for pages that others may have mapped too; 0 for the rest. */
static u64 page_id(struct page *page)
{
	if (!folio_test_ksm(page_folio(page)) && PageAnonExclusive(page))
		return 0;
	return page_to_pfn(page);
}

/* As memchr_inv() would tell, which takes three times as many instructions. */
static bool page_is_zero(struct page *page)
{
	const unsigned long *data = kmap_local_page(page), *word = data;
	const unsigned long *end = data + PAGE_SIZE / sizeof(*data);

	while (word < end && !(word[0] | word[1] | word[2] | word[3] |
			       word[4] | word[5] | word[6] | word[7]))
		word += 8;
	kunmap_local(data);
	return word >= end;
}

/*
 * Whether an earlier duplicate has the same page at the same address: that of
 * the page frame @val, or else what the entry @val of swap stands for. The
 * caller holds the lock of the page table that says so, and thereby the page
 * or the entry; nobody runs in the duplicate, so that its page tables stay.
 */
static bool is_same_before(struct mm_struct *before, unsigned long addr,
			   bool present, unsigned long val)
{
	pte_t *ptep, old;
	pmd_t *pmd, huge;

	if (!before)
		return false;
	pmd = mm_find_pmd(before, addr);
	if (!pmd)
		return false;
	huge = pmdp_get_lockless(pmd);
	if (pmd_present(huge) && pmd_leaf(huge))
		return present && val == pmd_pfn(huge) +
			((addr & ~HPAGE_PMD_MASK) >> PAGE_SHIFT);
	ptep = pte_offset_map(pmd, addr);
	if (!ptep)
		return false;
	old = ptep_get_lockless(ptep);
	pte_unmap(ptep);

	if (pte_none(old) || pte_present(old) != present)
		return false;
	return (present ? pte_pfn(old) : softleaf_from_pte(old).val) == val;
}

/*
 * A page that others may have is held for whoever is told: as long as it is,
 * nothing else has the same identity.
 */
static int tell_page(struct anon_walk *anon, unsigned long addr, u64 id,
		     struct page *page)
{
	u64 held = 0;

	if (id || anon->hold) {
		get_page(page);
		held = page_to_pfn(page);
	}
	return anon->found(anon->arg, addr, addr + PAGE_SIZE, id, held);
}

static int anon_found(struct anon_walk *anon, struct page *page,
		      unsigned long addr)
{
	u64 id = page_id(page);

	if (id && is_same_before(anon->before, addr, true, page_to_pfn(page)))
		id |= CHECKPOINT_SAME_ID;
	else if (anon->skip_zeros && page_is_zero(page))
		return 0;
	return tell_page(anon, addr, id, page);
}

static int anon_pte_entry(pte_t *pte, unsigned long addr, unsigned long next,
			  struct mm_walk *walk)
{
	struct anon_walk *anon = walk->private;
	pte_t entry = ptep_get(pte);
	struct page *page;
	softleaf_t leaf;
	int ret;
	u64 id;

	if (pte_none(entry))
		return 0;
	if (pte_present(entry)) {
		page = vm_normal_page(walk->vma, addr, entry);
		if (!page || !PageAnon(page))
			return 0;
		return anon_found(anon, page, addr);
	}
	leaf = softleaf_from_pte(entry);
	ret = leaf_is_anon(leaf, &id);
	if (ret <= 0)
		return ret;
	if (id && is_same_before(anon->before, addr, false, leaf.val))
		id |= CHECKPOINT_SAME_ID;
	return anon->found(anon->arg, addr, next, id, 0);
}

static int anon_pmd_entry(pmd_t *pmd, unsigned long addr, unsigned long next,
			  struct mm_walk *walk)
{
	struct anon_walk *anon = walk->private;
	spinlock_t *ptl = pmd_trans_huge_lock(pmd, walk->vma);
	struct page *page;
	int ret = 0;
	u64 id;

	if (!ptl) {
		walk->action = ACTION_SUBTREE;
		return 0;
	}
	if (pmd_present(*pmd)) {
		page = vm_normal_page_pmd(walk->vma, addr, *pmd);
		if (page && PageAnon(page)) {
			page += (addr & ~HPAGE_PMD_MASK) >> PAGE_SHIFT;
			for (; addr < next && !ret; addr += PAGE_SIZE)
				ret = anon_found(anon, page++, addr);
		}
	} else {
		ret = leaf_is_anon(softleaf_from_pmd(*pmd), &id);
		if (ret > 0)
			ret = anon->found(anon->arg, addr, next, 0, 0);
	}
	spin_unlock(ptl);
	walk->action = ACTION_CONTINUE;
	return ret;
}

/*
 * A page of hugetlb, in whole: one that holds zeros is there nevertheless, and
 * need not be found again when it is asked for.
 */
#ifdef CONFIG_HUGETLB_PAGE
static int anon_hugetlb_entry(pte_t *pte, unsigned long hmask,
			      unsigned long addr, unsigned long next,
			      struct mm_walk *walk)
{
	struct anon_walk *anon = walk->private;
	spinlock_t *ptl = huge_pte_lock(hstate_vma(walk->vma), walk->mm, pte);
	pte_t entry = huge_ptep_get(walk->mm, addr & hmask, pte);
	struct page *page;
	int ret = 0;
	u64 id = 0;

	if (huge_pte_none(entry))
		goto unlock;
	if (!pte_present(entry)) {
		ret = leaf_is_anon(softleaf_from_pte(entry), &id);
		if (ret > 0)
			ret = anon->found(anon->arg, addr, next, 0, 0);
		goto unlock;
	}
	page = &page_folio(pte_page(entry))->page;
	if (!PageAnon(page))
		goto unlock;
	if (PageAnonExclusive(page)) {
		ret = anon->found(anon->arg, addr, next, 0, 0);
		goto unlock;
	}
	page += (addr & ~hmask) >> PAGE_SHIFT;
	for (; addr < next && !ret; addr += PAGE_SIZE, page++)
		ret = tell_page(anon, addr, page_to_pfn(page), page);
unlock:
	spin_unlock(ptl);
	return ret;
}

static int not_empty_hugetlb(pte_t *pte, unsigned long hmask,
			     unsigned long addr, unsigned long next,
			     struct mm_walk *walk)
{
	return huge_pte_none(huge_ptep_get(walk->mm, addr & hmask, pte)) ?
	       0 : -EEXIST;
}
#else
#define anon_hugetlb_entry	NULL
#define not_empty_hugetlb	NULL
#endif

static const struct mm_walk_ops anon_walk_ops = {
	.hugetlb_entry = anon_hugetlb_entry,
	.pmd_entry = anon_pmd_entry,
	.pte_entry = anon_pte_entry,
	.walk_lock = PGWALK_RDLOCK,
};

/**
 * checkpoint_walk_anon - find the anonymous pages of a mapping
 * @vma: the mapping; its mm is locked for reading at least
 * @from: where to start, or before the mapping for its start
 * @skip_zeros: leave out pages that hold only zeros, which need not be saved
 *	where untouched memory reads as zeros
 * @hold: hold all small pages that are present
 * @before: a duplicate that was made earlier, or NULL
 * @found: called with each range of such pages, in order, in atomic context;
 *	the range is one page if @id is not 0, and pages with the same @id are
 *	the same page; CHECKPOINT_SAME_ID is added if @before has it, too. Such
 *	a page is held for @found, which puts it, unless it is in swap. @held
 *	is the number of the page that is held, or 0
 * @arg: its first argument
 *
 * Return: 0, what @found returned, or -EOPNOTSUPP for a page that is neither
 * present nor swapped out.
 */
int checkpoint_walk_anon(struct vm_area_struct *vma, unsigned long from,
			 bool skip_zeros, bool hold, struct mm_struct *before,
			 checkpoint_found_t found, void *arg)
{
	struct anon_walk anon = {
		.found = found,
		.arg = arg,
		.before = before,
		.skip_zeros = skip_zeros,
		.hold = hold,
	};

	/* Files that nobody has written to have none, and need no look. */
	if (!vma->anon_vma)
		return 0;
	return walk_page_range_vma(vma, max(from, vma->vm_start), vma->vm_end,
				   &anon_walk_ops, &anon);
}

static int guard_pte_entry(pte_t *pte, unsigned long addr, unsigned long next,
			   struct mm_walk *walk)
{
	struct anon_walk *guard = walk->private;
	pte_t entry = ptep_get(pte);

	if (pte_none(entry) || pte_present(entry) ||
	    !softleaf_is_guard_marker(softleaf_from_pte(entry)))
		return 0;
	return guard->found(guard->arg, addr, next, 0, 0);
}

/* A huge page has no guards in it, and is not to be split in search of them. */
static int guard_pmd_entry(pmd_t *pmd, unsigned long addr, unsigned long next,
			   struct mm_walk *walk)
{
	spinlock_t *ptl = pmd_trans_huge_lock(pmd, walk->vma);

	walk->action = ptl ? ACTION_CONTINUE : ACTION_SUBTREE;
	if (ptl)
		spin_unlock(ptl);
	return 0;
}

static const struct mm_walk_ops guard_walk_ops = {
	.pmd_entry = guard_pmd_entry,
	.pte_entry = guard_pte_entry,
	.walk_lock = PGWALK_RDLOCK,
};

/**
 * checkpoint_walk_guards - find the guard regions of a mapping
 * @vma: the mapping; its mm is locked for reading at least
 * @from: where to start, or before the mapping for its start
 * @found: called with each page of them, in order, in atomic context
 * @arg: its first argument
 *
 * Return: 0 or what @found returned.
 */
int checkpoint_walk_guards(struct vm_area_struct *vma, unsigned long from,
			   checkpoint_found_t found, void *arg)
{
	struct anon_walk guard = { .found = found, .arg = arg };

	return walk_page_range_vma(vma, max(from, vma->vm_start), vma->vm_end,
				   &guard_walk_ops, &guard);
}

/* What fork(2) would leave out of the duplicate. */
#define VM_NOT_FORKED	(VM_DONTCOPY | VM_WIPEONFORK)

struct not_forked {
	unsigned long start, end;
	vm_flags_t flags;
};

/*
 * The flags of a mapping that are others while it is duplicated. What has no
 * pages of its own is left out: it has nothing that is saved from a duplicate,
 * which shall not use files and count as a mapping of them (shm_nattch).
 */
static vm_flags_t other_flags(struct vm_area_struct *vma)
{
	if ((vma->vm_flags & (VM_SHARED | VM_MAYSHARE)) ||
	    (vma->vm_file && !vma->anon_vma))
		return ~vma->vm_flags & VM_DONTCOPY;
	if (vma->vm_flags & VM_DROPPABLE)
		return 0;
	return vma->vm_flags & VM_NOT_FORKED;
}

static void change_flags(struct vm_area_struct *vma, vm_flags_t flags)
{
	vm_flags_mod(vma, flags & ~vma->vm_flags, flags & vma->vm_flags);
}

/*
 * Lets fork duplicate all mappings that have pages of their own, and no others;
 * returns how many have other flags for it.
 */
static int fork_all(struct mm_struct *mm, struct not_forked *list, int max)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;
	int n = 0;

	mmap_write_lock(mm);
	for_each_vma(vmi, vma) {
		if (!other_flags(vma))
			continue;
		if (n++ >= max)
			continue;
		list[n - 1].start = vma->vm_start;
		list[n - 1].end = vma->vm_end;
		list[n - 1].flags = other_flags(vma);
	}
	if (n <= max) {
		vma_iter_set(&vmi, 0);
		for_each_vma(vmi, vma)
			change_flags(vma, other_flags(vma));
	}
	mmap_write_unlock(mm);
	return n;
}

static void fork_as_before(struct mm_struct *mm, const struct not_forked *list,
			   int n)
{
	struct vm_area_struct *vma;

	mmap_write_lock(mm);
	for (; n; n--, list++) {
		VMA_ITERATOR(vmi, mm, list->start);

		for_each_vma_range(vmi, vma, list->end)
			change_flags(vma, list->flags);
	}
	mmap_write_unlock(mm);
}

/**
 * checkpoint_dup_mm - duplicate an address space as fork(2) does, copy-on-write
 * @mm: whose users are all parked
 *
 * All private mappings with pages are duplicated, also those that fork(2)
 * leaves out or empties; that is why nobody may be able to fork meanwhile.
 *
 * Return: the duplicate, or NULL
 */
struct mm_struct *checkpoint_dup_mm(struct mm_struct *mm)
{
	struct not_forked *list = NULL;
	struct mm_struct *dup;
	int max = 0, n;

	while ((n = fork_all(mm, list, max)) > max) {
		kvfree(list);
		max = n;
		list = kvmalloc_objs(*list, max);
		if (!list)
			return NULL;
	}
	dup = dup_mm(current, mm);
	fork_as_before(mm, list, n);
	kvfree(list);
	if (dup && checkpoint_may_spare(dup, mm)) {
		mmput(dup);
		return NULL;
	}
	return dup;
}

static int not_empty_pte(pte_t *pte, unsigned long addr, unsigned long next,
			 struct mm_walk *walk)
{
	return pte_none(ptep_get(pte)) ? 0 : -EEXIST;
}

static int not_empty_pmd(pmd_t *pmd, unsigned long addr, unsigned long next,
			 struct mm_walk *walk)
{
	return pmd_none(*pmd) || !pmd_leaf(*pmd) ? 0 : -EEXIST;
}

static const struct mm_walk_ops not_empty_ops = {
	.hugetlb_entry = not_empty_hugetlb,
	.pmd_entry = not_empty_pmd,
	.pte_entry = not_empty_pte,
	.walk_lock = PGWALK_WRLOCK,
};

/* Whether pages of @src may be mapped at the same addresses of @dst. */
static bool may_share(struct vm_area_struct *dst, struct vm_area_struct *src,
		      unsigned long addr)
{
	const bool huge = is_vm_hugetlb_page(src);
	const vm_flags_t not = (huge ? VM_SPECIAL & ~VM_DONTEXPAND : VM_SPECIAL) |
			       VM_DROPPABLE | __VM_UFFD_FLAGS;

	return is_vm_hugetlb_page(dst) == huge &&
		(!huge || hstate_vma(dst) == hstate_vma(src)) &&
		vma_is_cow_mapping(dst) && vma_is_cow_mapping(src) &&
		!((dst->vm_flags | src->vm_flags) & not) &&
		/* Sharing would not lock the page for @dst. */
		!(dst->vm_flags & VM_LOCKED) &&
		/* The place in the mapping is how a page knows its mappers. */
		linear_page_index(dst, addr) == linear_page_index(src, addr);
}

/* Makes @dst a child of @src, as fork(2) does before it copies page tables. */
static int fork_anon_vma(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	int ret;

	/* Nobody may find the mapping meanwhile, as is so during fork(2). */
	vma_mark_detached(dst);
	ret = anon_vma_fork(dst, src);
	vma_mark_attached(dst);
	return ret;
}

/* The huge pages of a part of a mapping. */
static int share_hugetlb(struct vm_area_struct *dst, struct vm_area_struct *src,
			 unsigned long start, unsigned long end)
{
	struct vm_area_struct part = *src;

	/* fork(2) copies all of a mapping, so the part stands for one. */
	part.vm_start = start;
	part.vm_end = end;
	return copy_hugetlb_page_range(dst->vm_mm, src->vm_mm, dst, &part);
}

static int share_range(struct vm_area_struct *dst, struct vm_area_struct *src,
		       unsigned long start, unsigned long end)
{
	int ret;

	if (!src->anon_vma || !may_share(dst, src, start))
		return 0;
	if (is_vm_hugetlb_page(src) &&
	    (start | end) & ~huge_page_mask(hstate_vma(src)))
		return 0;
	vma_start_write(src);
	vma_start_write(dst);
	ret = walk_page_range_vma(dst, start, end, &not_empty_ops, NULL);
	if (ret)
		return ret;
	ret = dst->anon_vma ? anon_vma_link(dst, src) : fork_anon_vma(dst, src);
	if (ret)
		return ret == -EXDEV ? 0 : ret;
	if (is_vm_hugetlb_page(src)) {
		ret = share_hugetlb(dst, src, start, end);
	} else {
		if (start & ~HPAGE_PMD_MASK)
			split_huge_pmd_address(src, start, false);
		if (end & ~HPAGE_PMD_MASK)
			split_huge_pmd_address(src, end, false);
		ret = copy_page_range_part(dst, src, start, end);
	}
	flush_tlb_range(src, start, end);
	return ret ?: 1;
}

/**
 * checkpoint_share_pages - map pages of an address space into another one too
 * @dst_mm: has nothing there yet
 * @src_mm: where the pages are
 * @start: address of the first, in both
 * @end: address behind the last; it comes down to the end of what was done
 *
 * They are shared copy-on-write, as after fork(2). Nobody runs in either.
 *
 * Return: 1 if the pages up to @end are shared, 0 if those up to @end cannot
 * be shared, or a negative error
 */
int checkpoint_share_pages(struct mm_struct *dst_mm, struct mm_struct *src_mm,
			   unsigned long start, unsigned long *end)
{
	struct vm_area_struct *dst, *src;
	int ret = -EFAULT;

	if (dst_mm == src_mm)
		return -EINVAL;
	if (mmap_write_lock_killable(src_mm))
		return -EINTR;
	mmap_write_lock_nested(dst_mm, SINGLE_DEPTH_NESTING);
	src = vma_lookup(src_mm, start);
	dst = vma_lookup(dst_mm, start);
	if (src && dst) {
		*end = min3(*end, src->vm_end, dst->vm_end);
		ret = share_range(dst, src, start, *end);
	}
	mmap_write_unlock(dst_mm);
	mmap_write_unlock(src_mm);
	return ret;
}
