// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and sets NUMA policies of mappings, of shared memory and of tasks, for
 * checkpoint/restart.
 *
 * Included by mempolicy.c, whose functions are private.
 */

#include <linux/shmem_fs.h>

/* Nodes are kept in as many words as any configuration has. */
static_assert(MAX_NUMNODES <= 64 * CHECKPOINT_NODE_WORDS);

static void checkpoint_read_policy(const struct mempolicy *pol,
				   struct checkpoint_policy *state)
{
	const nodemask_t *nodes = mpol_store_user_nodemask(pol) ?
				  &pol->w.user_nodemask : &pol->nodes;
	int node;

	memset(state->nodes, 0, sizeof(state->nodes));
	state->mode = pol->mode;
	state->flags = pol->flags & MPOL_MODE_FLAGS;
	state->home = pol->home_node;
	if (pol->mode == MPOL_LOCAL)
		return;
	for_each_node_mask(node, *nodes)
		state->nodes[node / 64] |= 1ULL << (node % 64);
}

bool checkpoint_mpol_of_vma(struct vm_area_struct *vma,
			    struct checkpoint_policy *state)
{
	if (!vma->vm_policy)
		return false;
	state->start = vma->vm_start;
	state->end = vma->vm_end;
	checkpoint_read_policy(vma->vm_policy, state);
	return true;
}

bool checkpoint_mpol_of_task(struct task_struct *task,
			     struct checkpoint_policy *state)
{
	guard(task_lock)(task);
	if (!task->mempolicy)
		return false;
	state->start = clamp(task->il_prev, 0, MAX_NUMNODES - 1);
	state->end = task->il_weight;
	checkpoint_read_policy(task->mempolicy, state);
	return true;
}

/* The first policy of pages from *@from on, in pages. */
bool checkpoint_mpol_of_shmem(struct file *file, u64 from,
			      struct checkpoint_policy *state)
{
	struct shared_policy *sp = &SHMEM_I(file_inode(file))->policy;
	struct rb_node *nd;
	bool found = false;

	read_lock(&sp->lock);
	for (nd = rb_first(&sp->root); nd && !found; nd = rb_next(nd)) {
		struct sp_node *n = rb_entry(nd, struct sp_node, nd);

		if (n->start < from)
			continue;
		state->start = n->start;
		state->end = n->end;
		checkpoint_read_policy(n->policy, state);
		found = true;
	}
	read_unlock(&sp->lock);
	return found;
}

/* What mbind(2) and set_mempolicy_home_node(2) would make; nodes must be there. */
static struct mempolicy *
checkpoint_make_policy(const struct checkpoint_policy *state)
{
	NODEMASK_SCRATCH(scratch);
	struct mempolicy *pol = ERR_PTR(-ENOMEM);
	struct checkpoint_policy made = { };
	int mode = state->mode | state->flags, ret;
	unsigned short flags;
	nodemask_t nodes;
	int node;

	if (!scratch)
		return pol;
	nodes_clear(nodes);
	ret = state->mode == MPOL_DEFAULT ? -EINVAL :
					    sanitize_mpol_flags(&mode, &flags);
	for (node = 0; node < 64 * CHECKPOINT_NODE_WORDS && !ret; node++) {
		if (!(state->nodes[node / 64] >> (node % 64) & 1))
			continue;
		if (node < MAX_NUMNODES)
			node_set(node, nodes);
		else
			ret = -EINVAL;
	}
	if (!ret && state->home != NUMA_NO_NODE &&
	    ((mode != MPOL_BIND && mode != MPOL_PREFERRED_MANY) ||
	     state->home < 0 || state->home >= MAX_NUMNODES ||
	     !node_online(state->home)))
		ret = -EINVAL;
	if (ret) {
		pol = ERR_PTR(ret);
		goto out;
	}
	pol = mpol_new(mode, flags, &nodes);
	if (IS_ERR(pol))
		goto out;
	task_lock(current);
	ret = mpol_set_nodemask(pol, &nodes, scratch);
	task_unlock(current);
	if (!ret) {
		pol->home_node = state->home;
		checkpoint_read_policy(pol, &made);
		if (memcmp(made.nodes, state->nodes, sizeof(made.nodes)))
			ret = -EINVAL;
	}
	if (ret) {
		mpol_put(pol);
		pol = ERR_PTR(ret);
	}
out:
	NODEMASK_SCRATCH_FREE(scratch);
	return pol;
}

/* Sets the policy of a range of the current address space. */
int checkpoint_mpol_set_vma(const struct checkpoint_policy *state)
{
	VMA_ITERATOR(vmi, current->mm, state->start);
	unsigned long start = state->start, end = state->end;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma, *prev;
	struct mempolicy *pol;
	unsigned long at = start;
	int ret = 0;

	pol = checkpoint_make_policy(state);
	if (IS_ERR(pol))
		return PTR_ERR(pol);
	if (mmap_write_lock_killable(mm)) {
		mpol_put(pol);
		return -EINTR;
	}
	prev = vma_prev(&vmi);
	for_each_vma_range(vmi, vma, end) {
		if (vma->vm_start > at)
			break;
		at = vma->vm_end;
		vma_start_write(vma);
		ret = mbind_range(&vmi, vma, &prev, start, end, pol);
		if (ret)
			break;
	}
	mmap_write_unlock(mm);
	mpol_put(pol);
	return ret ?: at < end ? -EINVAL : 0;
}

int checkpoint_mpol_set_task(const struct checkpoint_policy *state)
{
	struct mempolicy *pol = state ? checkpoint_make_policy(state) : NULL;

	if (IS_ERR(pol))
		return PTR_ERR(pol);
	task_lock(current);
	swap(current->mempolicy, pol);
	if (state) {
		current->il_prev = min(state->start, MAX_NUMNODES - 1);
		current->il_weight = min(state->end, U8_MAX);
	}
	task_unlock(current);
	mpol_put(pol);
	return 0;
}

/* Takes all policies from shared memory, ... */
void checkpoint_mpol_clear_shmem(struct file *file)
{
	mpol_free_shared_policy(&SHMEM_I(file_inode(file))->policy);
}

/* ... and sets one of a range of its pages. */
int checkpoint_mpol_set_shmem(struct file *file,
			      const struct checkpoint_policy *state)
{
	struct mempolicy *pol = checkpoint_make_policy(state);
	struct vm_area_struct vma;
	int ret;

	if (IS_ERR(pol))
		return PTR_ERR(pol);
	/* Pages have the policy of where they are, so a place stands for them. */
	vma_init(&vma, current->mm);
	vma.vm_start = 0;
	vma.vm_end = (state->end - state->start) << PAGE_SHIFT;
	vma.vm_pgoff = state->start;
	ret = mpol_set_shared_policy(&SHMEM_I(file_inode(file))->policy, &vma,
				     pol);
	mpol_put(pol);
	return ret;
}
