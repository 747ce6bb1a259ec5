// SPDX-License-Identifier: GPL-2.0
/*
 * Nobody is killed for memory because of a checkpoint.
 *
 * What the tasks of a tree write while there is a duplicate takes memory once
 * more, which is charged to their cgroup. No task may be killed for that, so
 * the OOM killer asks here first: a duplicate is emptied as the OOM reaper
 * empties the address space of a victim. Who reads it finds that out, as
 * %MMF_UNSTABLE is set before: a checkpoint fails, and an earlier one that is
 * compared with is as if all had changed since.
 *
 * Pages that are swapped out are charged to that cgroup, too, when a checkpoint
 * reads them. If there is no room for them, the checkpoint waits, and fails.
 */
#include <linux/delay.h>
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

/**
 * struct reader - a task that reads pages of others
 * @node: in @readers
 * @task: the task
 */
struct reader {
	struct list_head node;
	struct task_struct *task;
};

static LIST_HEAD(spares);
static LIST_HEAD(readers);
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

static long get_pages(struct mm_struct *mm, unsigned long address,
		      unsigned long max, unsigned int flags,
		      struct page **pages)
{
	struct reader reader = { .task = current };
	int locked = 1;
	long got;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	scoped_guard(spinlock, &spares_lock)
		list_add(&reader.node, &readers);
	got = get_user_pages_remote(mm, address, max, flags, pages, &locked);
	scoped_guard(spinlock, &spares_lock)
		list_del(&reader.node);
	if (locked)
		mmap_read_unlock(mm);
	return got;
}

/**
 * checkpoint_get_pages - get_user_pages_remote() for which nobody is killed
 * @mm: address space, not locked
 * @address: of the first page
 * @max: number of pages; there may be fewer
 * @flags: FOLL_*
 * @pages: where they go, with a reference to each
 *
 * In a cgroup at its limit, reclaim may find nothing to do at first: what has
 * just been read counts as used. So it is tried for a second.
 *
 * Return: number of pages, or a negative error; -EINTR: a fatal signal came,
 * -ENOMEM: there was no room for a page for a second
 */
long checkpoint_get_pages(struct mm_struct *mm, unsigned long address,
			  unsigned long max, unsigned int flags,
			  struct page **pages)
{
	long got = get_pages(mm, address, max, flags, pages);
	unsigned int tries = 50;

	while (got == -ENOMEM && tries-- && !msleep_interruptible(20)) {
		/* What reclaim goes by may be two seconds old. */
		mem_cgroup_flush_stats(NULL);
		got = get_pages(mm, address, 1, flags, pages);
	}
	return got;
}

static bool is_reader(struct task_struct *task)
{
	struct reader *reader;

	guard(spinlock)(&spares_lock);
	list_for_each_entry(reader, &readers, node)
		if (reader->task == task)
			return true;
	return false;
}

/**
 * checkpoint_spare_memory - see whether checkpoint spares somebody's life
 * @oc: what the OOM killer is to do
 *
 * Empties the duplicates that a cgroup pays for; @oc->chosen is set if there
 * was one, as if a victim were on its way out.
 *
 * Return: whether nobody need be killed yet, as there was a duplicate, or as it
 * is a checkpoint that finds no room in a cgroup, which takes that for an answer
 */
bool checkpoint_spare_memory(struct oom_control *oc)
{
	struct mm_struct *mm;

	/* A person who asks for a victim gets one. */
	if (oc->order == -1)
		return false;
	while ((mm = take_spare(oc->memcg))) {
		__oom_reap_task_mm(mm);
		mmap_read_unlock(mm);
		mmput_async(mm);
		oc->chosen = (void *)-1UL;
	}
	return oc->chosen || (oc->memcg && is_reader(current));
}
