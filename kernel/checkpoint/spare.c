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
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "checkpoint.h"

/**
 * struct spare - a duplicate that may be emptied
 * @node: in @spares, by the address of @mm
 * @mm: the duplicate, with a reference to the struct alone
 * @memcg: who pays for it: the cgroup of the original, or NULL
 * @emptied: whether that has been done
 * @shared: whether somebody had it still when a reference was given up
 * @puts: how many references the worker is to give up
 */
struct spare {
	struct hlist_node node;
	struct mm_struct *mm;
	struct mem_cgroup *memcg;
	bool emptied;
	bool shared;
	unsigned int puts;
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

static DEFINE_HASHTABLE(spares, 10);
static LIST_HEAD(readers);
static DEFINE_SPINLOCK(spares_lock);

static struct spare *find(const struct mm_struct *mm)
{
	struct spare *spare;

	lockdep_assert_held(&spares_lock);
	hash_for_each_possible(spares, spare, node, (unsigned long)mm) {
		if (spare->mm == mm)
			return spare;
	}
	return NULL;
}

/**
 * checkpoint_may_spare - let a duplicate be emptied when memory is short
 * @dup: the duplicate, which nobody else knows yet; from now on references to
 *	it are given up with checkpoint_put_mm() and checkpoint_put_mm_async()
 * @mm: the original
 *
 * Return: 0 or -ENOMEM
 */
int checkpoint_may_spare(struct mm_struct *dup, struct mm_struct *mm)
{
	struct spare *spare = kzalloc_obj(*spare);

	if (!spare)
		return -ENOMEM;
	mmgrab(dup);
	spare->mm = dup;
	spare->memcg = get_mem_cgroup_from_mm(mm);
	guard(spinlock)(&spares_lock);
	hash_add(spares, &spare->node, (unsigned long)dup);
	return 0;
}

static void free_spare(struct spare *spare)
{
	mem_cgroup_put(spare->memcg);
	mmdrop(spare->mm);
	kfree(spare);
}

/* One that nobody has any more; whether to look again later. */
static struct spare *next_unused(bool *again)
{
	struct spare *spare;
	int i;

	*again = false;
	guard(spinlock)(&spares_lock);
	hash_for_each(spares, i, spare, node) {
		if (!atomic_read(&spare->mm->mm_users)) {
			hash_del(&spare->node);
			return spare;
		}
		*again |= spare->shared;
	}
	return NULL;
}

/*
 * Others may have the last reference to a duplicate: swapoff(2) goes through
 * all address spaces. They do not know who else is to be freed then.
 */
static void sweep_all(struct work_struct *work)
{
	struct spare *spare;
	bool again;

	while ((spare = next_unused(&again))) {
		free_spare(spare);
		cond_resched();
	}
	if (again)
		schedule_delayed_work(to_delayed_work(work), HZ);
}

static DECLARE_DEFERRABLE_WORK(sweep, sweep_all);

/**
 * checkpoint_put_mm - mmput() for what may be a duplicate
 * @mm: the address space
 */
void checkpoint_put_mm(struct mm_struct *mm)
{
	struct spare *spare;

	mmput(mm);
	/*
	 * As long as there is a struct spare, nothing else has that address.
	 * So whoever gives up the last reference finds it, if it was not swept
	 * away; one of another duplicate is not taken as long as that is used.
	 */
	scoped_guard(spinlock, &spares_lock) {
		spare = find(mm);
		if (!spare)
			return;
		if (atomic_read(&spare->mm->mm_users)) {
			spare->shared = true;
			schedule_delayed_work(&sweep, HZ);
			return;
		}
		hash_del(&spare->node);
	}
	free_spare(spare);
}

/* Who has a reference to give up. */
static struct mm_struct *next_put(void)
{
	struct spare *spare;
	int i;

	guard(spinlock)(&spares_lock);
	hash_for_each(spares, i, spare, node) {
		if (spare->puts) {
			spare->puts--;
			return spare->mm;
		}
	}
	return NULL;
}

static void put_all(struct work_struct *work)
{
	struct mm_struct *mm;

	while ((mm = next_put())) {
		checkpoint_put_mm(mm);
		cond_resched();
	}
}

static DECLARE_WORK(puts, put_all);

/**
 * checkpoint_put_mm_async - checkpoint_put_mm() by somebody else, later
 * @dup: the duplicate
 */
void checkpoint_put_mm_async(struct mm_struct *dup)
{
	struct spare *spare;

	scoped_guard(spinlock, &spares_lock) {
		spare = find(dup);
		if (!WARN_ON_ONCE(!spare))
			spare->puts++;
	}
	schedule_work(&puts);
}

/* A duplicate whose memory would help, with its lock and a reference. */
static struct mm_struct *take_spare(struct mem_cgroup *memcg)
{
	struct spare *spare;
	int i;

	guard(spinlock)(&spares_lock);
	hash_for_each(spares, i, spare, node) {
		if (spare->emptied ||
		    (memcg && !mem_cgroup_is_descendant(spare->memcg, memcg)) ||
		    !mmap_read_trylock(spare->mm))
			continue;
		if (mmget_not_zero(spare->mm)) {
			spare->emptied = true;
			return spare->mm;
		}
		mmap_read_unlock(spare->mm);
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
		checkpoint_put_mm_async(mm);
		oc->chosen = (void *)-1UL;
	}
	return oc->chosen || (oc->memcg && is_reader(current));
}
