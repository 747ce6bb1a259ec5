// SPDX-License-Identifier: GPL-2.0
/*
 * Finds the pages of a mapping that exist nowhere else: anonymous memory,
 * present or swapped out. It is C because page table entries are macros.
 */
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/pagewalk.h>

#include "checkpoint.h"

struct anon_walk {
	int (*found)(void *arg, unsigned long addr, unsigned long end);
	void *arg;
};

static int leaf_is_anon(softleaf_t leaf)
{
	if (softleaf_is_swap(leaf))
		return 1;
	if (softleaf_is_migration(leaf))
		return folio_test_anon(softleaf_to_folio(leaf));
	if (softleaf_is_guard_marker(leaf))
		return 0;
	/* Poison, userfaultfd, memory of devices. */
	return -EOPNOTSUPP;
}

static int anon_pte_entry(pte_t *pte, unsigned long addr, unsigned long next,
			  struct mm_walk *walk)
{
	struct anon_walk *anon = walk->private;
	pte_t entry = ptep_get(pte);
	int ret;

	if (pte_none(entry))
		return 0;
	if (pte_present(entry)) {
		struct page *page = vm_normal_page(walk->vma, addr, entry);

		ret = page && PageAnon(page);
	} else {
		ret = leaf_is_anon(softleaf_from_pte(entry));
	}
	return ret > 0 ? anon->found(anon->arg, addr, next) : ret;
}

static int anon_pmd_entry(pmd_t *pmd, unsigned long addr, unsigned long next,
			  struct mm_walk *walk)
{
	struct anon_walk *anon = walk->private;
	spinlock_t *ptl = pmd_trans_huge_lock(pmd, walk->vma);
	int ret;

	if (!ptl) {
		walk->action = ACTION_SUBTREE;
		return 0;
	}
	if (pmd_present(*pmd)) {
		struct page *page = vm_normal_page_pmd(walk->vma, addr, *pmd);

		ret = page && PageAnon(page);
	} else {
		ret = leaf_is_anon(softleaf_from_pmd(*pmd));
	}
	spin_unlock(ptl);
	walk->action = ACTION_CONTINUE;
	return ret > 0 ? anon->found(anon->arg, addr, next) : ret;
}

static const struct mm_walk_ops anon_walk_ops = {
	.pmd_entry = anon_pmd_entry,
	.pte_entry = anon_pte_entry,
	.walk_lock = PGWALK_RDLOCK,
};

/**
 * checkpoint_walk_anon - find the anonymous pages of a mapping
 * @vma: the mapping; its mm is locked for reading at least
 * @from: where to start, or before the mapping for its start
 * @found: called with each range of such pages, in order, in atomic context
 * @arg: its first argument
 *
 * Return: 0, what @found returned, or -EOPNOTSUPP for a page that is neither
 * present nor swapped out.
 */
int checkpoint_walk_anon(struct vm_area_struct *vma, unsigned long from,
			 int (*found)(void *arg, unsigned long addr,
				      unsigned long end),
			 void *arg)
{
	struct anon_walk anon = { .found = found, .arg = arg };

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
	return guard->found(guard->arg, addr, next);
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
			   int (*found)(void *arg, unsigned long addr,
					unsigned long end),
			   void *arg)
{
	struct anon_walk guard = { .found = found, .arg = arg };

	return walk_page_range_vma(vma, max(from, vma->vm_start), vma->vm_end,
				   &guard_walk_ops, &guard);
}
