// SPDX-License-Identifier: GPL-2.0
/*
 * Private memory whose content comes from the image of a restart.
 *
 * A fault would clear each page, or copy it from the file of its mapping, and
 * then all of it would be overwritten. So pages are made and read first, and
 * mapped then. In between they belong to nobody: of what is read in part
 * nothing is ever seen.
 *
 * Where there is more to decide, it is left to a fault: pages that are there,
 * huge pages in part, mappings of another kind, memory that is short. The
 * statistics of faults do not count what is made here.
 */
#include <linux/khugepaged.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/pagemap.h>
#include <linux/pgalloc.h>
#include <linux/rmap.h>
#include <linux/swap.h>
#include <linux/userfaultfd_k.h>

#include "../../mm/internal.h"
#include "checkpoint.h"

/* A fault can do more against a lack of memory. */
#define GFP_FILL	(GFP_HIGHUSER_MOVABLE | __GFP_NORETRY | __GFP_NOWARN)

static bool is_plain(struct vm_area_struct *vma)
{
	const vm_flags_t not = VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE |
			       VM_SHADOW_STACK | __VM_UFFD_FLAGS;

	return vma_is_cow_mapping(vma) && !(vma->vm_flags & not) &&
		(vma_is_anonymous(vma) ||
		 (vma->vm_file && S_ISREG(file_inode(vma->vm_file)->i_mode)));
}

/* How many of @max pages a mapping may have from @addr on. */
static unsigned long limit(struct vm_area_struct *vma, unsigned long addr,
			   unsigned long max)
{
	unsigned long end = pmd_addr_end(addr, vma->vm_end);
	pgoff_t index = linear_page_index(vma, addr), size;

	max = min(max, (end - addr) >> PAGE_SHIFT);
	if (vma_is_anonymous(vma))
		return max;
	/*
	 * What is behind the end of the file is an error, now. Who truncates it
	 * before the pages are mapped finds them there still.
	 */
	size = DIV_ROUND_UP(i_size_read(file_inode(vma->vm_file)), PAGE_SIZE);
	return index < size ? min(max, size - index) : 0;
}

/* How many of @max entries of a page table are alike: empty, or not. */
static unsigned long count(pmd_t *pmd, unsigned long addr, unsigned long max,
			   bool *empty)
{
	pte_t *pte = pte_offset_map(pmd, addr);
	unsigned long i;

	*empty = false;
	if (!pte)
		return max;
	*empty = pte_none(ptep_get_lockless(pte));
	for (i = 1; i < max; i++)
		if (pte_none(ptep_get_lockless(pte + i)) != *empty)
			break;
	pte_unmap(pte);
	return i;
}

static struct folio *make_folio(struct vm_area_struct *vma, unsigned long addr,
				gfp_t gfp, int order)
{
	struct folio *folio = vma_alloc_folio(gfp, order, vma, addr);

	if (!folio)
		return NULL;
	if (mem_cgroup_charge(folio, vma->vm_mm, gfp) ||
	    (order > 1 && folio_memcg_alloc_deferred(folio))) {
		folio_put(folio);
		return NULL;
	}
	folio_throttle_swaprate(folio, gfp);
	return folio;
}

static unsigned long make_small(struct vm_area_struct *vma, unsigned long addr,
				unsigned long max, struct page **pages)
{
	unsigned long made;

	for (made = 0; made < max; made++, addr += PAGE_SIZE) {
		struct folio *folio = make_folio(vma, addr, GFP_FILL, 0);

		if (!folio)
			break;
		pages[made] = &folio->page;
	}
	return made;
}

/* Each of its pages is held. */
static bool make_huge(struct vm_area_struct *vma, unsigned long addr,
		      struct page **pages)
{
	struct folio *folio = make_folio(vma, addr, vma_thp_gfp_mask(vma),
					 HPAGE_PMD_ORDER);
	unsigned int i;

	if (!folio)
		return false;
	folio_ref_add(folio, HPAGE_PMD_NR - 1);
	for (i = 0; i < HPAGE_PMD_NR; i++)
		pages[i] = folio_page(folio, i);
	return true;
}

static unsigned long make(struct vm_area_struct *vma, unsigned long addr,
			  unsigned long *nr, struct page **pages)
{
	unsigned long max = limit(vma, addr, *nr), orders = 0;
	pmd_t *pmd = mm_find_pmd(vma->vm_mm, addr);
	bool empty = !pmd || pmd_none(pmdp_get_lockless(pmd));

	if (!max)
		return 0;
	*nr = max;
	if (vma_is_anonymous(vma)) {
		orders = thp_vma_allowable_orders(vma, vma->vm_flags,
						  TVA_PAGEFAULT,
						  THP_ORDERS_ALL_ANON);
		orders = thp_vma_suitable_orders(vma, addr, orders);
	}
	if (orders & BIT(PMD_ORDER) && empty) {
		if (max < HPAGE_PMD_NR)
			return 0;
		if (make_huge(vma, addr, pages))
			return max;
	}
	if (orders & ~BIT(PMD_ORDER))
		return 0;
	if (!empty)
		*nr = count(pmd, addr, max, &empty);
	if (!empty)
		return 0;
	max = make_small(vma, addr, *nr, pages);
	*nr = max ?: 1;
	return max;
}

/**
 * checkpoint_make_pages - make pages of an address space that are mapped later
 * @mm: the address space
 * @addr: of the first
 * @nr: how many there may be; it comes down to how many there are, or how many
 *	a fault should make
 * @pages: where they go, with a reference to each; they have any content
 *
 * Return: how many there are, 0 if it is left to a fault, or -EINTR
 */
long checkpoint_make_pages(struct mm_struct *mm, unsigned long addr,
			   unsigned long *nr, struct page **pages)
{
	struct vm_area_struct *vma;
	long made = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, addr);
	if (vma && is_plain(vma))
		made = make(vma, addr, nr, pages);
	mmap_read_unlock(mm);
	return made;
}

/* Whether nobody has mapped it yet. */
static bool is_new(struct folio *folio)
{
	return !folio_test_anon(folio);
}

static pmd_t *alloc_pmd(struct mm_struct *mm, unsigned long addr)
{
	p4d_t *p4d = p4d_alloc(mm, pgd_offset(mm, addr), addr);
	pud_t *pud = p4d ? pud_alloc(mm, p4d, addr) : NULL;

	return pud ? pmd_alloc(mm, pud, addr) : NULL;
}

/* Whether a huge page may be mapped at @addr, which needs an empty place. */
static bool fits_huge(struct vm_area_struct *vma, unsigned long addr)
{
	unsigned long start = addr & PMD_MASK;

	return start >= vma->vm_start && vma->vm_end - start >= PMD_SIZE;
}

/**
 * checkpoint_make_tables - make the page tables that a mapping will need
 * @mm: the address space
 * @addr: address of the first page
 * @end: address behind the last
 * @max: how many there may be; it comes down by those that were looked at
 *
 * Whoever maps pages there later finds them. Memory that is short is noticed
 * then.
 */
void checkpoint_make_tables(struct mm_struct *mm, unsigned long addr,
			    unsigned long end, unsigned long *max)
{
	struct vm_area_struct *vma;

	if (mmap_read_lock_killable(mm))
		return;
	for (; addr < end && *max; (*max)--) {
		pmd_t *pmd;

		vma = vma_lookup(mm, addr);
		if (!vma || !is_plain(vma))
			break;
		pmd = alloc_pmd(mm, addr);
		if (!pmd || (!fits_huge(vma, addr) && pte_alloc(mm, pmd)))
			break;
		addr = pmd_addr_end(addr, min(end, vma->vm_end));
	}
	mmap_read_unlock(mm);
}

static int map_small(struct vm_area_struct *vma, unsigned long addr,
		     unsigned long nr, const struct bio_vec *pages)
{
	unsigned long i, mapped = 0;
	spinlock_t *ptl = NULL;
	pmd_t *pmd = alloc_pmd(vma->vm_mm, addr);
	/* There may be a huge page by now. */
	pte_t *pte = pmd ? pte_alloc_map_lock(vma->vm_mm, pmd, addr, &ptl) : NULL;

	if (!pte)
		return -EAGAIN;
	for (i = 0; i < nr && !check_stable_address_space(vma->vm_mm); i++) {
		struct folio *folio = page_folio(pages[i].bv_page);

		if (!is_new(folio) || !pte_none(ptep_get(pte + i)))
			continue;
		folio_get(folio);
		__folio_mark_uptodate(folio);
		flush_dcache_folio(folio);
		flush_icache_pages(vma, &folio->page, 1);
		map_anon_folio_pte_nopf(folio, pte + i, vma,
					addr + i * PAGE_SIZE, false);
		mapped++;
	}
	add_mm_counter(vma->vm_mm, MM_ANONPAGES, mapped);
	pte_unmap_unlock(pte, ptl);
	return mapped == nr ? 0 : -EAGAIN;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
static int map_huge(struct vm_area_struct *vma, unsigned long addr,
		    unsigned long nr, struct folio *folio)
{
	struct mm_struct *mm = vma->vm_mm;
	pgtable_t pgtable;
	spinlock_t *ptl = NULL;
	pmd_t *pmd;

	if (!is_new(folio) || nr != HPAGE_PMD_NR || addr & ~HPAGE_PMD_MASK)
		return -EAGAIN;
	khugepaged_enter_vma(vma, vma->vm_flags);
	pmd = alloc_pmd(mm, addr);
	pgtable = pmd ? pte_alloc_one(mm) : NULL;
	if (!pgtable)
		return -EAGAIN;
	ptl = pmd_lock(mm, pmd);
	if (!pmd_none(*pmd) || check_stable_address_space(mm)) {
		spin_unlock(ptl);
		pte_free(mm, pgtable);
		return -EAGAIN;
	}
	pgtable_trans_huge_deposit(mm, pmd, pgtable);
	mm_inc_nr_ptes(mm);
	folio_get(folio);
	__folio_mark_uptodate(folio);
	flush_dcache_folio(folio);
	flush_icache_pages(vma, &folio->page, HPAGE_PMD_NR);
	map_anon_folio_pmd_nopf(folio, pmd, vma, addr);
	add_mm_counter(mm, MM_ANONPAGES, HPAGE_PMD_NR);
	spin_unlock(ptl);
	return 0;
}
#else
static int map_huge(struct vm_area_struct *vma, unsigned long addr,
		    unsigned long nr, struct folio *folio)
{
	return -EAGAIN;
}
#endif

/**
 * checkpoint_map_pages - map pages that were made before, with their content
 * @mm: the address space that they were made for
 * @addr: of the first
 * @nr: how many were made
 * @pages: each as a whole; the references stay with the caller
 *
 * Return: 0; -EAGAIN if not all could be mapped, as others had some there
 * meanwhile, or memory is short; or -EINTR
 */
int checkpoint_map_pages(struct mm_struct *mm, unsigned long addr,
			 unsigned long nr, const struct bio_vec *pages)
{
	struct folio *first = page_folio(pages->bv_page);
	struct vm_area_struct *vma;
	int ret = -EAGAIN;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, addr);
	if (vma && is_plain(vma) && nr <= limit(vma, addr, nr) &&
	    !anon_vma_prepare(vma))
		ret = folio_test_large(first) ?
		      map_huge(vma, addr, nr, first) :
		      map_small(vma, addr, nr, pages);
	mmap_read_unlock(mm);
	return ret;
}
