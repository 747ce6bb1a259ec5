// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and makes contexts of asynchronous I/O, for checkpoint/restart.
 *
 * Included by aio.c, to which the structures are private.
 */
#include <linux/checkpoint.h>

bool checkpoint_is_aio_ring(struct file *file)
{
	return file->f_op == &aio_ring_fops;
}

/*
 * Whether a request has been submitted that is not through: its event may be
 * there, but not yet in the eventfd. Nobody submits any meanwhile, so the sum
 * only falls. ioctx_alloc() has taken one reference.
 */
static bool checkpoint_aio_ctx_busy(struct kioctx *ctx)
{
	unsigned long __percpu *counts;
	unsigned long sum = 0;
	int cpu;

	if (!__ref_is_percpu(&ctx->reqs, &counts))
		return true;
	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counts, cpu));
	return sum != 1;
}

bool checkpoint_aio_busy(struct mm_struct *mm)
{
	struct kioctx_table *table;
	struct kioctx *ctx;
	unsigned int i;

	guard(rcu)();
	table = rcu_dereference(mm->ioctx_table);
	for (i = 0; table && i < table->nr; i++) {
		ctx = rcu_dereference(table->table[i]);
		if (ctx && checkpoint_aio_ctx_busy(ctx))
			return true;
	}
	/* What the requests have changed is looked at afterwards. */
	smp_mb();
	return false;
}

static void checkpoint_aio_state(struct kioctx *ctx, struct checkpoint_aio *state)
{
	guard(spinlock_irq)(&ctx->completion_lock);
	*state = (struct checkpoint_aio) {
		.address = ctx->mmap_base,
		.size = ctx->mmap_size,
		.id = ctx->id,
		.max_reqs = ctx->max_reqs,
		.tail = ctx->tail,
		.completed = ctx->completed_events,
	};
}

int checkpoint_aio_get(struct mm_struct *mm, u32 *next, struct checkpoint_aio *state)
{
	struct kioctx_table *table;
	struct kioctx *ctx;

	guard(rcu)();
	table = rcu_dereference(mm->ioctx_table);
	while (table && *next < table->nr) {
		ctx = rcu_dereference(table->table[(*next)++]);
		if (ctx) {
			checkpoint_aio_state(ctx, state);
			return 0;
		}
	}
	return -ENOENT;
}

/* Copies between the ring and a buffer that is not longer. */
static void checkpoint_aio_copy(struct kioctx *ctx, u8 *data, size_t len, bool to_ring)
{
	size_t at, part;
	u8 *page;

	for (at = 0; at < len; at += part) {
		page = folio_address(ctx->ring_folios[at / PAGE_SIZE]);
		part = min(len - at, PAGE_SIZE);
		if (to_ring)
			memcpy(page, data + at, part);
		else
			memcpy(data + at, page, part);
	}
}

int checkpoint_aio_read(struct mm_struct *mm, u64 address, u8 *data, size_t len)
{
	struct kioctx_table *table;
	struct kioctx *ctx = NULL;
	unsigned int i;

	scoped_guard(rcu) {
		table = rcu_dereference(mm->ioctx_table);
		for (i = 0; table && i < table->nr; i++) {
			ctx = rcu_dereference(table->table[i]);
			if (ctx && ctx->mmap_base == address)
				break;
			ctx = NULL;
		}
		if (!ctx || !percpu_ref_tryget_live(&ctx->users))
			return -ENOENT;
	}
	mutex_lock(&ctx->ring_lock);
	len = min(len, ctx->nr_pages * PAGE_SIZE);
	checkpoint_aio_copy(ctx, data, len, false);
	mutex_unlock(&ctx->ring_lock);
	percpu_ref_put(&ctx->users);
	return 0;
}

/* The number by which the ring leads to the context */
static int checkpoint_aio_set_id(struct kioctx *ctx, u32 id)
{
	struct mm_struct *mm = current->mm;
	struct kioctx_table *table;

	guard(spinlock)(&mm->ioctx_lock);
	table = rcu_dereference_protected(mm->ioctx_table,
					  lockdep_is_held(&mm->ioctx_lock));
	if (id == ctx->id)
		return 0;
	if (id >= table->nr || rcu_access_pointer(table->table[id]))
		return -EINVAL;
	RCU_INIT_POINTER(table->table[ctx->id], NULL);
	ctx->id = id;
	rcu_assign_pointer(table->table[id], ctx);
	return 0;
}

/* The program can write to the ring: whatever it holds is its own business. */
static int checkpoint_aio_fill(struct kioctx *ctx, const struct checkpoint_aio *state,
			       u8 *data, size_t len)
{
	if (ctx->mmap_size != state->size)
		return -EOPNOTSUPP;
	if (len > state->size || state->tail >= ctx->nr_events ||
	    state->completed >= ctx->nr_events ||
	    checkpoint_aio_set_id(ctx, state->id))
		return -EINVAL;
	guard(mutex)(&ctx->ring_lock);
	/* There is a new header. */
	memset(folio_address(ctx->ring_folios[0]), 0, PAGE_SIZE);
	checkpoint_aio_copy(ctx, data, len, true);
	guard(spinlock_irq)(&ctx->completion_lock);
	ctx->tail = state->tail;
	ctx->completed_events = state->completed;
	atomic_sub(state->completed, &ctx->reqs_available);
	return 0;
}

int checkpoint_aio_reserve(u32 id)
{
	struct mm_struct *mm = current->mm;
	struct kioctx_table *table;
	u32 nr = 4;

	if (id > CHECKPOINT_AIO_MAX)
		return -EINVAL;
	/* As ioctx_add_table() makes it. */
	while (nr <= id)
		nr *= 4;
	table = kzalloc_flex(*table, table, nr);
	if (!table)
		return -ENOMEM;
	table->nr = nr;
	scoped_guard(spinlock, &mm->ioctx_lock) {
		if (!rcu_access_pointer(mm->ioctx_table)) {
			rcu_assign_pointer(mm->ioctx_table, table);
			return 0;
		}
	}
	kfree(table);
	return -EINVAL;
}

int checkpoint_aio_make(const struct checkpoint_aio *state, u8 *data, size_t len)
{
	struct kioctx *ctx;
	int ret;

	if (!state->max_reqs || !state->address)
		return -EINVAL;
	ctx = ioctx_alloc(state->max_reqs, state->address);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	ret = checkpoint_aio_fill(ctx, state, data, len);
	if (ret)
		kill_ioctx(current->mm, ctx, NULL);
	percpu_ref_put(&ctx->users);
	return ret;
}
