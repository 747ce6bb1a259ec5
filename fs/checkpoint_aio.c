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
	return false;
}

static void checkpoint_aio_state(struct kioctx *ctx, struct checkpoint_aio *state)
{
	guard(spinlock_irq)(&ctx->completion_lock);
	*state = (struct checkpoint_aio) {
		.address = ctx->mmap_base,
		.size = ctx->mmap_size,
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

/* What the ring says of itself is up to the program, but for its number. */
static int checkpoint_aio_fill(struct kioctx *ctx, const struct checkpoint_aio *state,
			       u8 *data, size_t len)
{
	struct aio_ring *ring;

	if (ctx->mmap_size != state->size)
		return -EOPNOTSUPP;
	if (len > state->size || state->tail >= ctx->nr_events ||
	    state->completed >= ctx->nr_events)
		return -EINVAL;
	guard(mutex)(&ctx->ring_lock);
	checkpoint_aio_copy(ctx, data, len, true);
	guard(spinlock_irq)(&ctx->completion_lock);
	ring = folio_address(ctx->ring_folios[0]);
	ring->id = ctx->id;
	ctx->tail = state->tail;
	ctx->completed_events = state->completed;
	atomic_sub(state->completed, &ctx->reqs_available);
	return 0;
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
