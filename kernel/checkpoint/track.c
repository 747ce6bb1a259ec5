// SPDX-License-Identifier: GPL-2.0
/*
 * What has changed since a checkpoint: a copy-on-write duplicate of an address
 * space stays behind, and a page that is mapped at the same address of both
 * has not been written to since. It needs no dirty bits and no hooks, works
 * alike on all architectures, and disturbs nobody who tracks memory himself.
 * The price is that of fork(2): the old content of what changes is kept, too.
 */
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "checkpoint.h"

/**
 * struct track - an address space that was saved, and how it was then
 * @notifier: tells when it goes away; holds a reference to the struct alone
 * @node: in @tracks
 * @before: the duplicate; nobody runs in it
 * @origin: where the image has the pages of the duplicate
 */
struct track {
	struct mmu_notifier notifier;
	struct hlist_node node;
	struct mm_struct *before;
	struct checkpoint_origin origin;
};

/* By the address of the mm_struct; protected by the lock. */
static DEFINE_HASHTABLE(tracks, 10);
static DEFINE_SPINLOCK(tracks_lock);

/* Serializes those who make one. */
static DEFINE_MUTEX(tracks_mutex);

static struct track *find(const struct mm_struct *mm)
{
	struct track *track;

	lockdep_assert_held(&tracks_lock);
	hash_for_each_possible(tracks, track, node, (unsigned long)mm) {
		if (track->notifier.mm == mm)
			return track;
	}
	return NULL;
}

/* Gives up the reference to the notifier that the hash table has. */
static void forget(struct track *track)
{
	/* Not by whoever exits. */
	checkpoint_put_mm_async(track->before);
	mmu_notifier_put(&track->notifier);
}

static struct mmu_notifier *alloc_track(struct mm_struct *mm)
{
	struct track *track = kzalloc_obj(*track);

	return track ? &track->notifier : ERR_PTR(-ENOMEM);
}

static void free_track(struct mmu_notifier *notifier)
{
	kfree(container_of(notifier, struct track, notifier));
}

/* Nobody uses @mm any more: all have ended, or execute another program. */
static void release_track(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	checkpoint_track_end(mm);
}

static const struct mmu_notifier_ops track_ops = {
	.release = release_track,
	.alloc_notifier = alloc_track,
	.free_notifier = free_track,
};

/**
 * checkpoint_track_get - how an address space was at an earlier checkpoint
 * @mm: the address space
 * @origin: is set to where the image has the pages
 *
 * Return: a duplicate from then, with a reference, or NULL if there is none
 */
struct mm_struct *checkpoint_track_get(const struct mm_struct *mm,
				       struct checkpoint_origin *origin)
{
	struct mm_struct *before = NULL;
	struct track *track;

	spin_lock(&tracks_lock);
	track = find(mm);
	if (track) {
		before = track->before;
		mmget(before);
		*origin = track->origin;
	}
	spin_unlock(&tracks_lock);
	return before;
}

/* Gives @track what it is to have; returns what it had. */
static struct mm_struct *set(struct track *track, struct mm_struct *before,
			     const struct checkpoint_origin *origin)
{
	struct mm_struct *old = track->before;

	track->before = before;
	track->origin = *origin;
	return old;
}

/**
 * checkpoint_track_set - remember how an address space was at a checkpoint
 * @mm: the address space, with a reference (mm_users)
 * @before: the duplicate, whose reference is taken over if there is no error
 * @origin: where the image has the pages
 *
 * Return: 0 or a negative error
 */
int checkpoint_track_set(struct mm_struct *mm, struct mm_struct *before,
			 const struct checkpoint_origin *origin)
{
	struct mmu_notifier *notifier;
	struct mm_struct *old = NULL;
	struct track *track;

#ifdef CONFIG_MEMCG
	/* It outlives the task that has made it. */
	WRITE_ONCE(before->owner, NULL);
#endif
	mutex_lock(&tracks_mutex);
	spin_lock(&tracks_lock);
	track = find(mm);
	if (track)
		old = set(track, before, origin);
	spin_unlock(&tracks_lock);

	if (!track) {
		notifier = mmu_notifier_get(&track_ops, mm);
		if (IS_ERR(notifier)) {
			mutex_unlock(&tracks_mutex);
			return PTR_ERR(notifier);
		}
		track = container_of(notifier, struct track, notifier);
		set(track, before, origin);
		spin_lock(&tracks_lock);
		hash_add(tracks, &track->node, (unsigned long)mm);
		spin_unlock(&tracks_lock);
	}
	mutex_unlock(&tracks_mutex);
	if (old)
		checkpoint_put_mm(old);
	return 0;
}

/**
 * checkpoint_track_end - forget how an address space was
 * @mm: the address space, which need not be tracked
 */
void checkpoint_track_end(struct mm_struct *mm)
{
	struct track *track;

	spin_lock(&tracks_lock);
	track = find(mm);
	if (track)
		hash_del(&track->node);
	spin_unlock(&tracks_lock);
	if (track)
		forget(track);
}
