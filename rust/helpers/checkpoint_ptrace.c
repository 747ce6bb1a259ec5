// SPDX-License-Identifier: GPL-2.0

/* Tasks that are traced with ptrace(). */

#include <linux/entry-common.h>
#include <linux/ptrace.h>

/* prctl(PR_SET_PTRACER): see checkpoint_yama_ptracer(). */
__rust_helper bool
rust_helper_checkpoint_get_ptracer(struct task_struct *task,
				   unsigned long *tracer)
{
#ifdef CONFIG_SECURITY_YAMA
	return checkpoint_yama_ptracer(task, tracer);
#else
	return false;
#endif
}

/* -ENOSYS if nobody cares. */
__rust_helper int rust_helper_checkpoint_set_ptracer(unsigned long tracer)
{
	return security_task_prctl(PR_SET_PTRACER, tracer, 0, 0, 0);
}

/* Which stop a task is in, or -1 for one that is not known. */
static inline int checkpoint_stop_kind(struct task_struct *task)
{
	const kernel_siginfo_t *info = task->last_siginfo;

	if (!task_is_traced(task))
		return CHECKPOINT_STOP_NONE;
	if (task->jobctl & JOBCTL_TRAP_SIGNAL)
		return CHECKPOINT_STOP_SIGNAL;
	if (!info)
		return CHECKPOINT_STOP_TRAP;
	switch (info->si_code) {
	case SIGTRAP:
	case SIGTRAP | 0x80:
		if (task->ptrace_message == PTRACE_EVENTMSG_SYSCALL_ENTRY)
			return CHECKPOINT_STOP_ENTRY;
		if (task->ptrace_message == PTRACE_EVENTMSG_SYSCALL_EXIT)
			return CHECKPOINT_STOP_EXIT;
		return info->si_code == SIGTRAP ? CHECKPOINT_STOP_TRAP : -1;
	case SIGTRAP | PTRACE_EVENT_FORK << 8:
	case SIGTRAP | PTRACE_EVENT_CLONE << 8:
	case SIGTRAP | PTRACE_EVENT_VFORK_DONE << 8:
		return CHECKPOINT_STOP_CLONE;
	case SIGTRAP | PTRACE_EVENT_EXEC << 8:
		return CHECKPOINT_STOP_EXEC;
	case SIGTRAP | PTRACE_EVENT_VFORK << 8:
		return CHECKPOINT_STOP_VFORK;
	case SIGTRAP | PTRACE_EVENT_SECCOMP << 8:
		return CHECKPOINT_STOP_SECCOMP;
	}
	return info->si_code >> 8 == PTRACE_EVENT_STOP ? CHECKPOINT_STOP_TRAP : -1;
}

/* What ptracer_capable() asks of the ptracer. */
static inline bool checkpoint_traces_all(const struct cred *cred)
{
	return cap_raised(cred->cap_effective, CAP_SYS_PTRACE);
}

/*
 * What the clone() or vfork() that a task is stopped in is going to return: the
 * message is the same pid, as the ptracer sees it. 0 if nobody knows any more.
 */
static inline pid_t checkpoint_stop_child(struct task_struct *task)
{
	struct pid_namespace *ns = task_active_pid_ns(task);
	struct pid_namespace *seen = task_active_pid_ns(task->parent);

	if (ns == seen)
		return task->ptrace_message;
	return pid_nr_ns(find_pid_ns(task->ptrace_message, seen), ns);
}

static inline const char *checkpoint_ptrace_refused(struct task_struct *task, int stop)
{
	const struct cred *cred = task->ptracer_cred;
	bool capable = checkpoint_traces_all(cred);

	if (stop < 0)
		return "is stopped by ptrace(2) at an event that is not supported";
	if (task->ptrace & PT_SUSPEND_SECCOMP)
		return "is traced with PTRACE_O_SUSPEND_SECCOMP";
	if (cred->user_ns != current_user_ns() ||
	    (capable != checkpoint_traces_all(__task_cred(task)) &&
	     capable != checkpoint_traces_all(__task_cred(task->parent))))
		return "is traced with rights that its tracer does not have";
	return arch_checkpoint_ptrace_refused(task);
}

/*
 * How a task that has parked, or has ended, is traced, and the siginfo of its
 * stop. Returns its ptracer with a reference, or NULL.
 */
__rust_helper struct task_struct *
rust_helper_checkpoint_ptrace_get(struct task_struct *task,
				  struct checkpoint_ptrace *out, siginfo_t *info)
{
	struct task_struct *tracer = NULL;
	unsigned long flags;
	int stop;

	memset(out, 0, sizeof(*out));
	guard(read_lock)(&tasklist_lock);
	guard(rcu)();
	if (!task->ptrace || !lock_task_sighand(task, &flags))
		return NULL;
	tracer = get_task_struct(task->parent);
	stop = task->exit_state ? CHECKPOINT_STOP_NONE : checkpoint_stop_kind(task);
	out->refused = checkpoint_ptrace_refused(task, stop);
	if (task->ptrace & PT_SEIZED)
		out->flags |= CHECKPOINT_PTRACE_SEIZED;
	if (checkpoint_traces_all(task->ptracer_cred))
		out->flags |= CHECKPOINT_PTRACE_CAPABLE;
	out->options = task->ptrace >> PT_OPT_FLAG_SHIFT & PTRACE_O_MASK;
	if (task->exit_state)
		goto unlock;
	if (test_task_syscall_work(task, SYSCALL_TRACE))
		out->flags |= CHECKPOINT_PTRACE_SYSCALLS;
	if (test_task_syscall_work(task, SYSCALL_EMU))
		out->flags |= CHECKPOINT_PTRACE_EMULATES;
	if (arch_checkpoint_is_stepped(task))
		out->flags |= CHECKPOINT_PTRACE_STEPS;
	if (task->jobctl & JOBCTL_STOP_DEQUEUED)
		out->flags |= CHECKPOINT_PTRACE_DEQUEUED;
	if (task->jobctl & JOBCTL_STOP_PENDING)
		out->flags |= CHECKPOINT_PTRACE_JOINS;
	if (task->jobctl & JOBCTL_TRAP_STOP)
		out->flags |= CHECKPOINT_PTRACE_INTERRUPTED;
	if (task->jobctl & JOBCTL_TRAP_NOTIFY)
		out->flags |= CHECKPOINT_PTRACE_NOTIFIES;
	if (task->jobctl & JOBCTL_LISTENING)
		out->flags |= CHECKPOINT_PTRACE_LISTENS;
	out->stop_signal = task->jobctl & JOBCTL_STOP_SIGMASK;
	out->stop = stop;
	if (stop == CHECKPOINT_STOP_NONE)
		goto unlock;
	out->exit_code = task->exit_code;
	out->message = task->ptrace_message;
	if (stop == CHECKPOINT_STOP_CLONE || stop == CHECKPOINT_STOP_VFORK) {
		out->child = checkpoint_stop_child(task);
		if (out->child <= 0)
			out->refused = "is stopped by ptrace(2) for a child whose pid is unknown";
	}
	if (task->last_siginfo) {
		out->flags |= CHECKPOINT_PTRACE_SIGINFO;
		memset(info, 0, sizeof(*info));
		memcpy(info, task->last_siginfo, sizeof(*task->last_siginfo));
	}
unlock:
	unlock_task_sighand(task, &flags);
	return tracer;
}

/* Whether a task traces others, and is traced itself. */
__rust_helper bool rust_helper_checkpoint_ptrace_nests(struct task_struct *task)
{
	return task->ptrace && !list_empty_careful(&task->ptraced);
}

/*
 * Has @tracer trace a task, both of a restart and of different processes.
 * -ESRCH if one of them has been killed.
 */
__rust_helper int
rust_helper_checkpoint_ptrace_attach(struct task_struct *task,
				     struct task_struct *tracer,
				     const struct checkpoint_ptrace *state)
{
	const struct cred *cred = get_task_cred(tracer);
	bool capable = state->flags & CHECKPOINT_PTRACE_CAPABLE;
	unsigned int flags = PT_PTRACED | state->options << PT_OPT_FLAG_SHIFT;
	int ret = -ESRCH;

	/* With PTRACE_TRACEME the rights are those of the task itself. */
	if (checkpoint_traces_all(cred) != capable) {
		put_cred(cred);
		cred = get_task_cred(task);
	}
	if (checkpoint_traces_all(cred) != capable) {
		put_cred(cred);
		return -EPERM;
	}
	if (state->flags & CHECKPOINT_PTRACE_SEIZED)
		flags |= PT_SEIZED;

	write_lock_irq(&tasklist_lock);
	if (task->sighand && !task->ptrace && !same_thread_group(task, tracer) &&
	    task->exit_state != EXIT_DEAD && !(tracer->flags & PF_EXITING)) {
		task->ptrace = flags;
		__ptrace_link(task, tracer, cred);
		if (state->flags & CHECKPOINT_PTRACE_SYSCALLS)
			set_task_syscall_work(task, SYSCALL_TRACE);
		if (state->flags & CHECKPOINT_PTRACE_EMULATES)
			set_task_syscall_work(task, SYSCALL_EMU);
		ret = 0;
	}
	write_unlock_irq(&tasklist_lock);
	put_cred(cred);
	if (!ret && state->flags & CHECKPOINT_PTRACE_STEPS)
		user_enable_single_step(task);
	return ret;
}

__rust_helper bool rust_helper_checkpoint_is_traced(struct task_struct *task)
{
	return task_is_traced(task);
}

/*
 * Sets what a task of a restart does when it goes on, and, if it is stopped,
 * what its tracer finds.
 */
__rust_helper void
rust_helper_checkpoint_ptrace_set(struct task_struct *task,
				  const struct checkpoint_ptrace *state,
				  const siginfo_t *info, const u64 *blocked)
{
	unsigned long flags, jobctl = state->stop_signal & JOBCTL_STOP_SIGMASK;

	if (state->flags & CHECKPOINT_PTRACE_DEQUEUED)
		jobctl |= JOBCTL_STOP_DEQUEUED;
	if (state->flags & CHECKPOINT_PTRACE_JOINS)
		jobctl |= JOBCTL_STOP_PENDING;
	if (state->flags & CHECKPOINT_PTRACE_INTERRUPTED)
		jobctl |= JOBCTL_TRAP_STOP;
	if (state->flags & CHECKPOINT_PTRACE_NOTIFIES)
		jobctl |= JOBCTL_TRAP_NOTIFY;
	if (state->flags & CHECKPOINT_PTRACE_LISTENS)
		jobctl |= JOBCTL_LISTENING;

	if (!lock_task_sighand(task, &flags))
		return;
	task->jobctl &= ~(JOBCTL_STOP_SIGMASK | JOBCTL_STOP_DEQUEUED);
	task->jobctl |= jobctl;
	if (task_is_traced(task)) {
		task->exit_code = state->exit_code;
		if (task->last_siginfo)
			memcpy(task->last_siginfo, info,
			       sizeof(*task->last_siginfo));
		siginitset(&task->blocked, *blocked);
#if _NSIG_WORDS > 1
		task->blocked.sig[1] = *blocked >> 32;
#else
		task->blocked.sig[0] = *blocked;
#endif
		sigdelsetmask(&task->blocked, sigmask(SIGKILL) | sigmask(SIGSTOP));
	}
	unlock_task_sighand(task, &flags);
}

/*
 * What is left of vfork() when the ptracer has been told of the child. @child
 * completes @done; without one it has done so. The call returns @nr, or if that
 * is 0 what the registers have. A ptracer elsewhere sees it as @message.
 */
__rust_helper void
rust_helper_checkpoint_vfork_finish(struct task_struct *child,
				    struct completion *done, pid_t nr,
				    unsigned long message)
{
	struct pt_regs *regs = current_pt_regs();
	struct pid *pid;
	int killed = 0;

	if (!nr)
		nr = syscall_get_return_value(current, regs);
	pid = child ? get_task_pid(child, PIDTYPE_PID) : find_get_pid(nr);
	if (child) {
		get_task_struct(child);
		killed = wait_for_vfork_done(child, done);
	}
	if (!killed && pid)
		ptrace_event_pid(PTRACE_EVENT_VFORK_DONE, pid);
	else if (!killed)
		ptrace_event(PTRACE_EVENT_VFORK_DONE, message ?: nr);
	put_pid(pid);
	syscall_set_return_value(current, regs, 0, nr);
	syscall_exit_to_user_mode_work(regs);
}

/*
 * Stops current for its tracer where checkpoint_stop_kind() has seen it, and
 * does what is left to do from there. In vfork() that is for the caller.
 */
__rust_helper void
rust_helper_checkpoint_ptrace_stop_again(const struct checkpoint_ptrace *state)
{
	const unsigned long calls = SYSCALL_WORK_SECCOMP |
				    SYSCALL_WORK_SYSCALL_TRACEPOINT;
	struct pt_regs *regs = current_pt_regs();
	bool has_info = state->flags & CHECKPOINT_PTRACE_SIGINFO;
	kernel_siginfo_t info;
	unsigned long work;
	int signr;

	clear_siginfo(&info);
	signr = checkpoint_ptrace_stop(state->message, has_info ? &info : NULL);
	if (signr && (state->stop == CHECKPOINT_STOP_ENTRY ||
		      state->stop == CHECKPOINT_STOP_EXIT))
		send_sig(signr, current, 1);
	if (fatal_signal_pending(current))
		return;
	switch (state->stop) {
	case CHECKPOINT_STOP_ENTRY:
		work = READ_ONCE(current_thread_info()->syscall_work) & calls;
		if (!(state->flags & CHECKPOINT_PTRACE_EMULATES) &&
		    syscall_trace_enter(regs, work, syscall_get_nr(current, regs)))
			arch_checkpoint_syscall(regs);
		break;
	case CHECKPOINT_STOP_SECCOMP:
		work = READ_ONCE(current_thread_info()->syscall_work) &
		       SYSCALL_WORK_SYSCALL_TRACEPOINT;
		if (checkpoint_seccomp_resume() &&
		    syscall_trace_enter(regs, work, syscall_get_nr(current, regs)))
			arch_checkpoint_syscall(regs);
		break;
	case CHECKPOINT_STOP_CLONE:
		syscall_set_return_value(current, regs, 0, state->child);
		break;
	case CHECKPOINT_STOP_EXEC:
		syscall_set_return_value(current, regs, 0, 0);
		break;
	default:
		return;
	}
	syscall_exit_to_user_mode_work(regs);
}
