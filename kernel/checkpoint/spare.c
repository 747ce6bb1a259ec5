// SPDX-License-Identifier: GPL-2.0
/*
 * Copy-on-write duplicates of address spaces give way where memory is short.
 *
 * What the tasks of a tree write while there is a duplicate takes memory once
 * more, which is charged to their cgroup. No task may be killed for that, so
 * the OOM killer asks here first: a duplicate is emptied as the OOM reaper
 * empties the address space of a victim. Who reads it finds that out, as
 * %MMF_UNSTABLE is set before: a checkpoint fails, and an earlier one that is
 * compared with is as if all had changed since.
 */
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "checkpoint.h"

/**
 * struct spare - a duplicate that may be emptied
 * @notifier: tells when it goes away; holds a reference to the struct alone
 * @node: in @spares
 * @memcg: who pays for it: the cgroup of the original, or NULL
 * @emptied: whether that has been done
 */
struct spare {
	struct mmu_notifier notifier;
	struct list_head node;
	struct mem_cgroup *memcg;
	bool emptied;
};

static LIST_HEAD(spares);
static DEFINE_SPINLOCK(spares_lock);

static struct mmu_notifier *alloc_spare(struct mm_struct *mm)
{
	struct spare *spare = kzalloc_obj(*spare);

	if (!spare)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&spare->node);
	return &spare->notifier;
}

static void free_spare(struct mmu_notifier *notifier)
{
	struct spare *spare = container_of(notifier, struct spare, notifier);

	mem_cgroup_put(spare->memcg);
	kfree(spare);
}

static void release_spare(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct spare *spare = container_of(notifier, struct spare, notifier);

	spin_lock(&spares_lock);
	list_del_init(&spare->node);
	spin_unlock(&spares_lock);
	mmu_notifier_put(notifier);
}

static const struct mmu_notifier_ops spare_ops = {
	.release = release_spare,
	.alloc_notifier = alloc_spare,
	.free_notifier = free_spare,
};

/**
 * checkpoint_may_spare - let a duplicate be emptied when memory is short
 * @dup: the duplicate, which nobody else knows yet
 * @mm: the original
 *
 * Return: 0 or -ENOMEM
 */
int checkpoint_may_spare(struct mm_struct *dup, struct mm_struct *mm)
{
	struct mmu_notifier *notifier = mmu_notifier_get(&spare_ops, dup);
	struct spare *spare;

	if (IS_ERR(notifier))
		return PTR_ERR(notifier);
	spare = container_of(notifier, struct spare, notifier);
	spare->memcg = get_mem_cgroup_from_mm(mm);
	spin_lock(&spares_lock);
	list_add(&spare->node, &spares);
	spin_unlock(&spares_lock);
	return 0;
}

/* A duplicate whose memory would help, with its lock and a reference. */
static struct mm_struct *take_spare(struct mem_cgroup *memcg)
{
	struct mm_struct *mm;
	struct spare *spare;

	guard(spinlock)(&spares_lock);
	list_for_each_entry(spare, &spares, node) {
		mm = spare->notifier.mm;
		if (spare->emptied ||
		    (memcg && !mem_cgroup_is_descendant(spare->memcg, memcg)) ||
		    !mmget_not_zero(mm))
			continue;
		if (mmap_read_trylock(mm)) {
			spare->emptied = true;
			return mm;
		}
		mmput_async(mm);
	}
	return NULL;
}

/**
 * checkpoint_spare_memory - empty the duplicates that a cgroup pays for
 * @oc: what the OOM killer is to do
 *
 * Return: whether there was one, so that nobody need be killed yet
 */
bool checkpoint_spare_memory(struct oom_control *oc)
{
	struct mm_struct *mm;
	bool any = false;

	/* A person who asks for a victim gets one. */
	if (oc->order == -1)
		return false;
	while ((mm = take_spare(oc->memcg))) {
		__oom_reap_task_mm(mm);
		mmap_read_unlock(mm);
		mmput_async(mm);
		any = true;
	}
	return any;
}
