// SPDX-License-Identifier: GPL-2.0

/* Signals. */

#include <linux/signalfd.h>

__rust_helper bool rust_helper_test_tsk_restore_sigmask(struct task_struct *task)
{
	return test_tsk_restore_sigmask(task);
}

__rust_helper void rust_helper_set_restore_sigmask(void)
{
	set_restore_sigmask();
}

__rust_helper void rust_helper_set_sigpending(void)
{
	set_thread_flag(TIF_SIGPENDING);
}

__rust_helper int rust_helper_checkpoint_sighand_key(struct task_struct *task,
						     unsigned long *key, u32 *count)
{
	struct sighand_struct *sighand;
	unsigned long flags;

	sighand = lock_task_sighand(task, &flags);
	if (!sighand)
		return -ESRCH;
	*key = (unsigned long)sighand;
	*count = refcount_read(&sighand->count);
	unlock_task_sighand(task, &flags);
	return 0;
}

/*
 * Gives current, which has no threads yet, the signal handlers of @other, as if
 * it had been made with CLONE_SIGHAND.
 */
__rust_helper int rust_helper_checkpoint_share_sighand(struct task_struct *other)
{
	struct sighand_struct *old = current->sighand, *new;

	write_lock_irq(&tasklist_lock);
	/* It keeps them until it is released, under the same lock. */
	new = other->sighand;
	if (new) {
		refcount_inc(&new->count);
		spin_lock(&old->siglock);
		rcu_assign_pointer(current->sighand, new);
		spin_unlock(&old->siglock);
	}
	write_unlock_irq(&tasklist_lock);
	if (!new)
		return -ESRCH;
	__cleanup_sighand(old);
	return 0;
}

/* Has those look again that wait for the signals of current. */
__rust_helper void rust_helper_checkpoint_signalfd_notify(void)
{
	signalfd_notify(current, 0);
}

__rust_helper int rust_helper_checkpoint_get_actions(struct task_struct *task,
						     struct k_sigaction *actions)
{
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	memcpy(actions, task->sighand->action, sizeof(task->sighand->action));
	unlock_task_sighand(task, &flags);
	return 0;
}

/* Whether @sig has that action already, and nothing waits that it would drop. */
static inline bool checkpoint_has_action(int sig, const struct k_sigaction *ka)
{
	return sigisemptyset(&current->pending.signal) &&
	       sigisemptyset(&current->signal->shared_pending.signal) &&
	       !memcmp(&current->sighand->action[sig - 1], ka, sizeof(*ka));
}

__rust_helper int rust_helper_checkpoint_set_action(int sig, unsigned long handler,
						    unsigned long flags,
						    unsigned long restorer,
						    const u64 *mask)
{
	struct k_sigaction ka = {};
	u32 abi;
	int ret;

	ka.sa.sa_handler = (__sighandler_t)handler;
	ka.sa.sa_flags = flags;
#ifdef __ARCH_HAS_SA_RESTORER
	ka.sa.sa_restorer = (__sigrestore_t)restorer;
#endif
	siginitset(&ka.sa.sa_mask, *mask);
#if _NSIG_WORDS > 1
	ka.sa.sa_mask.sig[1] = *mask >> 32;
#else
	ka.sa.sa_mask.sig[0] = *mask;
#endif
	/* A new process has most from its parent. */
	if (valid_signal(sig) && sig > 0 && checkpoint_has_action(sig, &ka))
		return 0;

	abi = arch_checkpoint_enter_abi(&ka.sa.sa_flags);
	ret = do_sigaction(sig, &ka, NULL);
	arch_checkpoint_leave_abi(abi);
	return ret;
}

/*
 * Copies up to @max siginfos of 128 bytes; returns how many there are, or
 * -ESRCH. Signals of timers of timer_create() belong to the timers, or will be
 * dropped since their timer is gone. With @shared it also reads the timers of
 * setitimer(), at the same moment: one that runs has not sent its signal, any
 * other has.
 */
__rust_helper int rust_helper_checkpoint_get_pending(struct task_struct *task,
						     bool shared,
						     siginfo_t *infos, u32 max,
						     u64 *set,
						     struct checkpoint_itimers *itimers)
{
	struct sigpending *pending;
	struct sigqueue *q;
	unsigned long flags;
	u64 of_timers = 0, of_others = 0;
	int n = 0;

	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	pending = shared ? &task->signal->shared_pending : &task->pending;
	*set = pending->signal.sig[0];
#if _NSIG_WORDS > 1
	*set |= (u64)pending->signal.sig[1] << 32;
#endif
	list_for_each_entry(q, &pending->list, list) {
		if (q->flags & SIGQUEUE_PREALLOC) {
			of_timers |= BIT_ULL(q->info.si_signo - 1);
			continue;
		}
		of_others |= BIT_ULL(q->info.si_signo - 1);
		if (n < max) {
			memset(&infos[n], 0, sizeof(infos[n]));
			memcpy(&infos[n], &q->info, sizeof(q->info));
		}
		n++;
	}
	*set &= ~of_timers | of_others;
	if (shared)
		checkpoint_get_itimers(task, itimers);
	unlock_task_sighand(task, &flags);
	return n;
}

__rust_helper int rust_helper_checkpoint_send_siginfo(const siginfo_t *from,
						      bool shared)
{
	struct kernel_siginfo info;

	memcpy(&info, from, sizeof(info));
	if (!valid_signal(info.si_signo) || !info.si_signo ||
	    info.si_signo == SIGKILL)
		return -EINVAL;
	return do_send_sig_info(info.si_signo, &info, current,
				shared ? PIDTYPE_TGID : PIDTYPE_PID);
}

__rust_helper void rust_helper_checkpoint_add_pending(const u64 *set, bool shared)
{
	struct sigpending *pending;

	spin_lock_irq(&current->sighand->siglock);
	pending = shared ? &current->signal->shared_pending : &current->pending;
	pending->signal.sig[0] |= *set & ~sigmask(SIGKILL);
#if _NSIG_WORDS > 1
	pending->signal.sig[1] |= *set >> 32;
#endif
	recalc_sigpending();
	spin_unlock_irq(&current->sighand->siglock);
}

__rust_helper bool rust_helper_checkpoint_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}
