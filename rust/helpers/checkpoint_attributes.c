// SPDX-License-Identifier: GPL-2.0

/* What prctl(2), sched_setattr(2) and similar calls have set. */

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/iocontext.h>
#include <linux/ioprio.h>
#include <linux/nospec.h>
#include <linux/syscall_user_dispatch.h>

/* The kinds of PR_SET_SPECULATION_CTRL have the numbers 0 to 2. */
static_assert(PR_SPEC_STORE_BYPASS == 0 && PR_SPEC_INDIRECT_BRANCH == 1 &&
	      PR_SPEC_L1D_FLUSH == 2);

__rust_helper unsigned int rust_helper_checkpoint_ioprio(struct task_struct *task)
{
	unsigned int ioprio = 0;

#ifdef CONFIG_BLOCK
	task_lock(task);
	if (task->io_context)
		ioprio = task->io_context->ioprio;
	task_unlock(task);
#endif
	return ioprio;
}

__rust_helper void
rust_helper_checkpoint_attributes_get(struct task_struct *task,
				      struct checkpoint_attributes *out)
{
	struct mm_struct *mm;
	int i;

	memset(out, 0, sizeof(*out));
	if (task->sched_reset_on_fork)
		out->flags |= CHECKPOINT_RESET_ON_FORK;
	if (task->policy == SCHED_DEADLINE) {
		out->runtime = task->dl.dl_runtime;
		out->deadline = task->dl.dl_deadline;
		out->period = task->dl.dl_period;
		if (task->dl.flags & SCHED_FLAG_RECLAIM)
			out->flags |= CHECKPOINT_RECLAIM;
		if (task->dl.flags & SCHED_FLAG_DL_OVERRUN)
			out->flags |= CHECKPOINT_OVERRUN;
	} else if (task->se.custom_slice) {
		out->flags |= CHECKPOINT_SLICE;
		out->runtime = task->se.slice;
	}
#ifdef CONFIG_UCLAMP_TASK
	if (task->uclamp_req[UCLAMP_MIN].user_defined) {
		out->flags |= CHECKPOINT_UTIL_MIN;
		out->util_min = task->uclamp_req[UCLAMP_MIN].value;
	}
	if (task->uclamp_req[UCLAMP_MAX].user_defined) {
		out->flags |= CHECKPOINT_UTIL_MAX;
		out->util_max = task->uclamp_req[UCLAMP_MAX].value;
	}
#endif
	if (task->flags & PF_MCE_PROCESS)
		out->flags |= CHECKPOINT_MCE_PROCESS;
	if (task->flags & PF_MCE_EARLY)
		out->flags |= CHECKPOINT_MCE_EARLY;
	if (task->flags & PF_LOCAL_THROTTLE)
		out->flags |= CHECKPOINT_IO_FLUSHER;
	if (arch_checkpoint_no_tsc(task))
		out->flags |= CHECKPOINT_NO_TSC;
	if (task->seccomp.mode == SECCOMP_MODE_STRICT)
		out->flags |= CHECKPOINT_STRICT;
#ifdef CONFIG_SYSCALL_USER_DISPATCH
	if (test_task_syscall_work(task, SYSCALL_USER_DISPATCH)) {
		out->flags |= CHECKPOINT_DISPATCH;
		out->dispatch_offset = task->syscall_dispatch.offset;
		out->dispatch_len = task->syscall_dispatch.len;
		out->dispatch_selector =
			(unsigned long)task->syscall_dispatch.selector;
	}
#endif
	out->ioprio = rust_helper_checkpoint_ioprio(task);
#ifdef CONFIG_BLOCK
	task_lock(task);
	if (task->io_context) {
		out->io_context = (unsigned long)task->io_context;
		out->io_users = atomic_read(&task->io_context->active_ref);
	}
	task_unlock(task);
#endif
	for (i = 0; i < ARRAY_SIZE(out->speculation); i++)
		out->speculation[i] = arch_prctl_spec_ctrl_get(task, i);

	mm = get_task_mm(task);
	if (!mm)
		return;
#ifdef CONFIG_MEMBARRIER
	out->membarrier = atomic_read(&mm->membarrier_state);
#endif
#ifdef CONFIG_FUTEX_PRIVATE_HASH
	i = checkpoint_futex_hash(mm);
	if (i >= 0) {
		out->flags |= CHECKPOINT_FUTEX_SLOTS;
		out->futex_slots = i;
	}
#endif
	mmput(mm);
}

/* Whether current has utilization clamps of its own. */
__rust_helper bool rust_helper_checkpoint_is_clamped(void)
{
#ifdef CONFIG_UCLAMP_TASK
	return current->uclamp_req[UCLAMP_MIN].user_defined ||
	       current->uclamp_req[UCLAMP_MAX].user_defined;
#else
	return false;
#endif
}

/* ioprio_set(2) */
__rust_helper int rust_helper_checkpoint_set_ioprio(u32 ioprio, bool make)
{
#ifdef CONFIG_BLOCK
	int ret;

	if (ioprio == rust_helper_checkpoint_ioprio(current) &&
	    !(make && !current->io_context))
		return 0;
	if (ioprio > U16_MAX)
		return -EINVAL;
	ret = ioprio_check_cap(ioprio);
	return ret ? ret : set_task_ioprio(current, ioprio);
#else
	return ioprio ? -EOPNOTSUPP : 0;
#endif
}

/* Gives @task, which waits, the I/O context of @first, as CLONE_IO does. */
__rust_helper int rust_helper_checkpoint_share_io(struct task_struct *task,
						  struct task_struct *first)
{
#ifdef CONFIG_BLOCK
	struct io_context *ioc;

	task_lock(first);
	ioc = first->io_context;
	if (ioc)
		atomic_inc(&ioc->active_ref);
	task_unlock(first);
	if (!ioc)
		return -ESRCH;

	task_lock(task);
	/* One that is being killed would not let go of it any more. */
	if (!(task->flags & PF_EXITING))
		swap(task->io_context, ioc);
	task_unlock(task);
	if (ioc && atomic_dec_and_test(&ioc->active_ref))
		put_io_context(ioc);
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

/*
 * prctl(PR_SET_SPECULATION_CTRL): makes PR_GET_SPECULATION_CTRL say @want, as
 * far as that is the task's own wish and not what the machine is.
 */
__rust_helper int rust_helper_checkpoint_set_speculation(unsigned int which, s32 want)
{
	const s32 wishes = PR_SPEC_ENABLE | PR_SPEC_DISABLE |
			   PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC;
	s32 have = arch_prctl_spec_ctrl_get(current, which);
	int ret;

	if (have == want)
		return 0;
	/* Somebody else decides there, or decided where it was saved. */
	if (want < 0 || !(want & PR_SPEC_PRCTL))
		return have < 0 || !(have & PR_SPEC_PRCTL) ||
		       have == (PR_SPEC_PRCTL | PR_SPEC_ENABLE) ? 0 : -EOPNOTSUPP;
	if (have < 0 || !(have & PR_SPEC_PRCTL))
		return want == (PR_SPEC_PRCTL | PR_SPEC_ENABLE) ? 0 : -EOPNOTSUPP;
	ret = arch_prctl_spec_ctrl_set(current, which, want & wishes);
	if (ret)
		return ret;
	return arch_prctl_spec_ctrl_get(current, which) == want ? 0 : -EOPNOTSUPP;
}

/* prctl(PR_MCE_KILL, PR_SET_IO_FLUSHER, PR_SET_TSC) */
__rust_helper int rust_helper_checkpoint_set_prctls(u32 flags)
{
	const unsigned int io_flusher = PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE;

	if (flags & CHECKPOINT_IO_FLUSHER && !capable(CAP_SYS_RESOURCE))
		return -EPERM;
	current->flags &= ~(PF_MCE_PROCESS | PF_MCE_EARLY | io_flusher);
	if (flags & CHECKPOINT_MCE_PROCESS)
		current->flags |= PF_MCE_PROCESS;
	if (flags & CHECKPOINT_MCE_EARLY)
		current->flags |= PF_MCE_EARLY;
	if (flags & CHECKPOINT_IO_FLUSHER)
		current->flags |= io_flusher;
	arch_checkpoint_set_no_tsc(flags & CHECKPOINT_NO_TSC);
	return 0;
}

/*
 * prctl(PR_SET_SYSCALL_USER_DISPATCH) with what it has stored. A region that
 * wraps around is one where calls are dispatched, inside out.
 */
__rust_helper int
rust_helper_checkpoint_set_dispatch(const struct checkpoint_attributes *in)
{
#ifdef CONFIG_SYSCALL_USER_DISPATCH
	char __user *selector = (char __user *)(unsigned long)in->dispatch_selector;
	unsigned long offset = in->dispatch_offset, len = in->dispatch_len;

	if (!(in->flags & CHECKPOINT_DISPATCH))
		return set_syscall_user_dispatch(PR_SYS_DISPATCH_OFF, 0, 0, NULL);
	if (offset && offset + len <= offset)
		return set_syscall_user_dispatch(PR_SYS_DISPATCH_INCLUSIVE_ON,
						 offset + len, -len, selector);
	return set_syscall_user_dispatch(PR_SYS_DISPATCH_EXCLUSIVE_ON, offset,
					 len, selector);
#else
	return in->flags & CHECKPOINT_DISPATCH ? -EOPNOTSUPP : 0;
#endif
}

/* The registrations of membarrier(2). */
__rust_helper int rust_helper_checkpoint_set_membarrier(u32 state)
{
#ifdef CONFIG_MEMBARRIER
	int ret = 0;

	if (state & MEMBARRIER_STATE_GLOBAL_EXPEDITED_READY)
		ret = membarrier_register_global_expedited();
	if (!ret && state & MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY)
		ret = membarrier_register_private_expedited(0);
	if (!ret && state & MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY)
		ret = membarrier_register_private_expedited(MEMBARRIER_FLAG_SYNC_CORE);
	if (!ret && state & MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY)
		ret = membarrier_register_private_expedited(MEMBARRIER_FLAG_RSEQ);
	return ret;
#else
	return state ? -EOPNOTSUPP : 0;
#endif
}

/* prctl(PR_FUTEX_HASH): tasks that share the address space do it once. */
__rust_helper int rust_helper_checkpoint_set_futex_slots(u32 slots)
{
#ifdef CONFIG_FUTEX_PRIVATE_HASH
	int ret;

	if (checkpoint_futex_hash(current->mm) == slots)
		return 0;
	ret = futex_hash_prctl(PR_FUTEX_HASH_SET_SLOTS, slots, 0);
	return checkpoint_futex_hash(current->mm) == slots ? 0 : ret;
#else
	return -EOPNOTSUPP;
#endif
}

/*
 * Puts a filter on current, with the checks of seccomp(2), which wants to read
 * it from user memory. The address space must be one that nobody looks at.
 */
__rust_helper int rust_helper_checkpoint_seccomp_add(const void *insns, u32 count,
						     bool log)
{
#ifdef CONFIG_SECCOMP_FILTER
	struct sock_fprog prog = { .len = count };
	unsigned long size = PAGE_ALIGN(sizeof(prog) +
					count * sizeof(struct sock_filter));
	unsigned long addr;
	void __user *uaddr;
	int ret = -EFAULT;

	if (!count || count > BPF_MAXINSNS)
		return -EINVAL;
	/* Where mappings go is not known yet; what the image says comes later. */
	if (mmap_write_lock_killable(current->mm))
		return -EINTR;
	if (!current->mm->mmap_base)
		arch_pick_mmap_layout(current->mm,
				      &current->signal->rlim[RLIMIT_STACK]);
	mmap_write_unlock(current->mm);

	addr = vm_mmap(NULL, 0, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	uaddr = (void __user *)addr;
	prog.filter = uaddr + sizeof(prog);
	if (!copy_to_user(uaddr, &prog, sizeof(prog)) &&
	    !copy_to_user(prog.filter, insns, count * sizeof(struct sock_filter)))
		ret = do_seccomp(SECCOMP_SET_MODE_FILTER,
				 SECCOMP_FILTER_FLAG_SPEC_ALLOW |
				 (log ? SECCOMP_FILTER_FLAG_LOG : 0), uaddr);
	vm_munmap(addr, size);
	return ret;
#else
	return -EOPNOTSUPP;
#endif
}

/* The program of a filter: how many instructions, or an errno. */
__rust_helper int
rust_helper_checkpoint_seccomp_read(struct seccomp_filter *filter, bool *log,
				    const void **insns)
{
#ifdef CONFIG_SECCOMP_FILTER
	const struct sock_fprog_kern *prog;
	int ret = checkpoint_seccomp_program(filter, log, &prog);

	if (ret)
		return ret;
	*insns = prog->filter;
	return prog->len;
#else
	return -EOPNOTSUPP;
#endif
}
