// SPDX-License-Identifier: GPL-2.0

/* Tasks, and what belongs to no other file here. */

#include <linux/perf_event.h>
#include <linux/syscalls.h>
#include <asm/syscall.h>

__rust_helper void rust_helper_tasklist_read_lock(void)
{
	read_lock(&tasklist_lock);
}

__rust_helper void rust_helper_tasklist_read_unlock(void)
{
	read_unlock(&tasklist_lock);
}

__rust_helper void rust_helper_tasklist_write_lock(void)
{
	write_lock_irq(&tasklist_lock);
}

__rust_helper void rust_helper_tasklist_write_unlock(void)
{
	write_unlock_irq(&tasklist_lock);
}

__rust_helper void rust_helper_task_lock(struct task_struct *task)
{
	task_lock(task);
}

__rust_helper void rust_helper_task_unlock(struct task_struct *task)
{
	task_unlock(task);
}

/* Whether a cgroup wants the task to be frozen. */
__rust_helper bool rust_helper_cgroup_task_freeze(struct task_struct *task)
{
	guard(rcu)();
	return test_bit(CGRP_FREEZE, &task_dfl_cgroup(task)->flags);
}

__rust_helper int rust_helper_syscall_get_nr(struct task_struct *task)
{
	int nr = -1;

	if (try_get_task_stack(task)) {
		nr = syscall_get_nr(task, task_pt_regs(task));
		put_task_stack(task);
	}
	return nr;
}

__rust_helper void *rust_helper_checkpoint_get_stack(struct task_struct *task)
{
	return try_get_task_stack(task);
}

__rust_helper bool rust_helper_task_has_io_uring(struct task_struct *task)
{
#ifdef CONFIG_IO_URING
	return task->io_uring;
#else
	return false;
#endif
}

__rust_helper void rust_helper_checkpoint_put_stack(struct task_struct *task)
{
	put_task_stack(task);
}

__rust_helper bool rust_helper_task_is_frozen(struct task_struct *task)
{
	return task->frozen;
}

__rust_helper u64 rust_helper_task_compat_robust_list(struct task_struct *task)
{
#ifdef CONFIG_COMPAT
	return (unsigned long)task->futex.compat_robust_list;
#else
	return 0;
#endif
}

__rust_helper void rust_helper_checkpoint_set_uts(const char *nodename,
						  const char *domainname)
{
	struct new_utsname *name = utsname();

	guard(rwsem_write)(&uts_sem);
	strscpy_pad(name->nodename, nodename, sizeof(name->nodename));
	strscpy_pad(name->domainname, domainname, sizeof(name->domainname));
}

/* Moves current to the UTS namespace of a task, with the checks of setns(2). */
__rust_helper int rust_helper_checkpoint_join_uts(struct task_struct *task)
{
	struct uts_namespace *uts = NULL;
	struct nsproxy *ns;
	int ret;

	task_lock(task);
	if (task->nsproxy) {
		uts = task->nsproxy->uts_ns;
		get_uts_ns(uts);
	}
	task_unlock(task);
	if (!uts)
		return -ESRCH;
	ret = ns_capable(uts->user_ns, CAP_SYS_ADMIN) ? 0 : -EPERM;
	if (!ret)
		ret = unshare_nsproxy_namespaces(CLONE_NEWUTS, &ns, NULL, NULL);
	if (ret) {
		put_uts_ns(uts);
		return ret;
	}
	put_uts_ns(ns->uts_ns);
	ns->uts_ns = uts;
	switch_task_namespaces(current, ns);
	return 0;
}

__rust_helper void
rust_helper_checkpoint_set_compat_robust_list(unsigned long head)
{
#ifdef CONFIG_COMPAT
	current->futex.compat_robust_list =
		(struct compat_robust_list_head __user *)head;
#endif
}

/* prctl(PR_RSEQ_SLICE_EXTENSION) */
__rust_helper bool rust_helper_checkpoint_rseq_slice(struct task_struct *task)
{
#ifdef CONFIG_RSEQ_SLICE_EXTENSION
	return task->rseq.slice.state.enabled;
#else
	return false;
#endif
}

/*
 * rseq(2) without the initialization of the area, which the image holds.
 * -EOPNOTSUPP if the kernel extends no time slices, and it is to.
 */
#define CHECKPOINT_RSEQ_V1_SIZE 32
__rust_helper int rust_helper_checkpoint_set_rseq(unsigned long addr, u32 len,
						  u32 sig, bool slice)
{
#ifdef CONFIG_RSEQ
	struct rseq __user *rseq = (struct rseq __user *)addr;

	if (!addr)
		return 0;
	if (len < CHECKPOINT_RSEQ_V1_SIZE || !access_ok(rseq, len))
		return -EINVAL;
	if (len == CHECKPOINT_RSEQ_V1_SIZE ?
	    !IS_ALIGNED(addr, CHECKPOINT_RSEQ_V1_SIZE) :
	    !IS_ALIGNED(addr, rseq_alloc_align()) ||
	    len < offsetof(struct rseq, end))
		return -EINVAL;
	current->rseq.usrptr = rseq;
	current->rseq.len = len;
	current->rseq.sig = sig;
	current->rseq.event.has_rseq =
		IS_ENABLED(CONFIG_GENERIC_IRQ_ENTRY) && len > CHECKPOINT_RSEQ_V1_SIZE ? 2 : 1;
	if (!slice)
		return 0;
#ifdef CONFIG_RSEQ_SLICE_EXTENSION
	if (rseq_slice_extension_enabled() && rseq_v2(current)) {
		current->rseq.slice.state.enabled = true;
		return 0;
	}
#endif
	return -EOPNOTSUPP;
#else
	return addr ? -EINVAL : 0;
#endif
}

#ifdef CONFIG_RSEQ
/* What the kernel of an image has told of itself in the area. */
static inline void checkpoint_sync_rseq_flags(struct rseq __user *rseq)
{
	u32 old, flags;

	if (!rseq_v2(current) || get_user(old, &rseq->flags))
		return;
	flags = old & ~(RSEQ_CS_FLAG_SLICE_EXT_AVAILABLE |
			RSEQ_CS_FLAG_SLICE_EXT_ENABLED);
	if (rseq_slice_extension_enabled())
		flags |= RSEQ_CS_FLAG_SLICE_EXT_AVAILABLE;
	if (rust_helper_checkpoint_rseq_slice(current))
		flags |= RSEQ_CS_FLAG_SLICE_EXT_ENABLED;
	/* As with the ids: rseq ends a task that has taken its area away. */
	if (flags != old && put_user(flags, &rseq->flags))
		return;
}
#endif

/*
 * Before the kernel writes new ids to the area it wants to find there what it
 * has written last: that was on another machine, and is in the area.
 */
__rust_helper void rust_helper_checkpoint_sync_rseq(void)
{
#ifdef CONFIG_RSEQ
	struct rseq __user *rseq = current->rseq.usrptr;
	struct rseq_ids ids;

	if (!rseq)
		return;
	/* If the area cannot be read, rseq itself ends the task. */
	if (!get_user(ids.cpu_id, &rseq->cpu_id) &&
	    !get_user(ids.mm_cid, &rseq->mm_cid) &&
	    !get_user(ids.node_id, &rseq->node_id))
		current->rseq.ids = ids;
	checkpoint_sync_rseq_flags(rseq);
	rseq_force_update();
#endif
}

/*
 * Whether the number @nr belongs to tasks that have ended, or are about to, and
 * to nobody else: it is free when somebody has waited for them.
 */
__rust_helper bool rust_helper_checkpoint_pid_is_ending(pid_t nr,
							struct pid_namespace *ns)
{
	bool ending = false, running = false;
	struct task_struct *task;
	struct pid *pid;
	int type;

	guard(read_lock)(&tasklist_lock);
	pid = find_pid_ns(nr, ns);
	for (type = 0; pid && type < PIDTYPE_MAX; type++) {
		do_each_pid_task(pid, type, task) {
			if (task->exit_state ||
			    task->signal->flags & SIGNAL_GROUP_EXIT)
				ending = true;
			else
				running = true;
		} while_each_pid_task(pid, type, task);
	}
	return ending && !running;
}

/*
 * Moves a process to the session or group that has the number @nr. Either a
 * pid has it, or one is made that has no task, as if its task had ended.
 */
__rust_helper int rust_helper_checkpoint_set_pid(struct task_struct *task,
						 struct pid_namespace *ns,
						 enum pid_type type, pid_t nr,
						 bool make)
{
	struct pid *free[PIDTYPE_MAX] = {};
	struct tty_struct *tty = NULL;
	struct pid *pid;

	if (make) {
		pid = alloc_pid(ns, &nr, 1);
		if (IS_ERR(pid))
			return PTR_ERR(pid);
		get_pid(pid);
	} else {
		rcu_read_lock();
		pid = get_pid(find_pid_ns(nr, ns));
		rcu_read_unlock();
		if (!pid)
			return -ESRCH;
	}
	write_lock_irq(&tasklist_lock);
	if (!task->sighand) {	/* It was killed, and is released. */
		write_unlock_irq(&tasklist_lock);
		if (make)
			free_pid(pid);
		put_pid(pid);
		return -ESRCH;
	}
	if (task_pid_type(task, type) != pid)
		change_pid(free, task, type, pid);
	if (type == PIDTYPE_SID) {
		task->signal->leader = pid == task_tgid(task);
		spin_lock(&task->sighand->siglock);
		tty = task->signal->tty;
		task->signal->tty = NULL;
		spin_unlock(&task->sighand->siglock);
	}
	write_unlock_irq(&tasklist_lock);
	free_pids(free);
	put_pid(pid);
	tty_kref_put(tty);
	return 0;
}

/* Tells autogroups apart; 0 for none. */
__rust_helper unsigned long
rust_helper_checkpoint_get_autogroup(struct task_struct *task, int *nice)
{
#ifdef CONFIG_SCHED_AUTOGROUP
	return checkpoint_autogroup(task, nice);
#else
	return 0;
#endif
}

/* Gives current the autogroup of @other, or a new one. */
__rust_helper void
rust_helper_checkpoint_set_autogroup(struct task_struct *other)
{
#ifdef CONFIG_SCHED_AUTOGROUP
	if (other)
		checkpoint_share_autogroup(other);
	else
		sched_autogroup_create_attach(current);
#endif
}

__rust_helper int rust_helper_checkpoint_autogroup_nice(int nice)
{
#ifdef CONFIG_SCHED_AUTOGROUP
	return proc_sched_autogroup_set_nice(current, nice);
#else
	return 0;
#endif
}

__rust_helper int rust_helper_checkpoint_task_nice(struct task_struct *task)
{
	return task_nice(task);
}

/*
 * The CPUs that a task was bound to, as words of 64; returns how many words, 0
 * for a task that may run everywhere.
 */
__rust_helper u32 rust_helper_checkpoint_get_affinity(struct task_struct *task,
						      u64 *words, u32 max)
{
	unsigned int cpu;

	guard(raw_spinlock_irq)(&task->pi_lock);
	if (!task->user_cpus_ptr || DIV_ROUND_UP(nr_cpu_ids, 64) > max)
		return 0;
	memset(words, 0, max * sizeof(*words));
	for_each_cpu(cpu, task->user_cpus_ptr)
		words[cpu / 64] |= BIT_ULL(cpu % 64);
	return DIV_ROUND_UP(nr_cpu_ids, 64);
}

__rust_helper int rust_helper_checkpoint_set_affinity(const u64 *words, u32 count)
{
	cpumask_var_t mask;
	u32 cpu;
	int ret = -EINVAL;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;
	for (cpu = 0; cpu < min(nr_cpu_ids, count * 64); cpu++)
		if (words[cpu / 64] & BIT_ULL(cpu % 64))
			cpumask_set_cpu(cpu, mask);
	if (!cpumask_empty(mask))
		ret = sched_setaffinity(0, mask);
	free_cpumask_var(mask);
	return ret;
}

__rust_helper void rust_helper_checkpoint_arch_get_state(struct task_struct *task,
							 u64 *state)
{
	arch_checkpoint_get_state(task, state);
}

__rust_helper void rust_helper_checkpoint_arch_set_state(const u64 *state)
{
	arch_checkpoint_set_state(state);
}

__rust_helper const char *rust_helper_checkpoint_arch_lacks(const u64 *state)
{
	return arch_checkpoint_lacks(state);
}

__rust_helper void rust_helper_checkpoint_arch_reset(void)
{
	arch_checkpoint_reset();
}

__rust_helper const struct user_regset_view *
rust_helper_checkpoint_regset_view(unsigned int n)
{
	return arch_checkpoint_view(n);
}

/*
 * What a task is that cannot be saved and only words of C tell; NULL if there
 * is nothing.
 */
__rust_helper const char *rust_helper_checkpoint_refused(struct task_struct *task)
{
	/* A cpuset sets the second, and would set it anew. */
	const unsigned long known = BIT(PFA_NO_NEW_PRIVS) | BIT(PFA_SPREAD_PAGE) |
		BIT(PFA_SPEC_SSB_DISABLE) | BIT(PFA_SPEC_SSB_FORCE_DISABLE) |
		BIT(PFA_SPEC_SSB_NOEXEC) | BIT(PFA_SPEC_IB_DISABLE) |
		BIT(PFA_SPEC_IB_FORCE_DISABLE);
	const struct perf_event_context *ctx;
	unsigned int nr_breakpoints;
	const char *sentence;

	if (READ_ONCE(task->atomic_flags) & ~known)
		return "has attributes of prctl(2) set that are not supported";
#ifdef CONFIG_IO_URING
	if (task->io_uring_restrict)
		return "may not do all that io_uring(7) can (IORING_REGISTER_RESTRICTIONS)";
#endif
#ifdef CONFIG_USER_EVENTS
	if (task->user_event_mm)
		return "has events of its own for tracing (user_events)";
#endif
#ifdef CONFIG_SCHED_CORE
	if (task->core_cookie)
		return "has a cookie of core scheduling (PR_SCHED_CORE)";
#endif
	sentence = arch_checkpoint_refused(task);
	if (sentence)
		return sentence;
	/* Hardware breakpoints of ptrace() are such events, too. */
	nr_breakpoints = arch_checkpoint_nr_breakpoints(task);
	guard(rcu)();
	ctx = READ_ONCE(task->perf_event_ctxp);
	if (ctx && READ_ONCE(ctx->nr_events) > nr_breakpoints)
		return "is measured with perf_event_open(2)";
	return NULL;
}
