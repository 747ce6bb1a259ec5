// SPDX-License-Identifier: GPL-2.0

/* Timers of timer_create(). */

#include <linux/alarmtimer.h>
#include <linux/hrtimer_bases.h>
#include <linux/sched/cputime.h>
#include <linux/signalfd.h>

#include "../../kernel/time/posix-timers.h"

static inline bool checkpoint_timer_is_alarm(const struct k_itimer *timer)
{
	return timer->it_clock == CLOCK_REALTIME_ALARM ||
	       timer->it_clock == CLOCK_BOOTTIME_ALARM;
}

static inline bool checkpoint_timer_is_cpu(const struct k_itimer *timer)
{
	return timer->kclock == &clock_posix_cpu;
}

/* What a CPU clock of @task shows; whether of a thread or not says @clock. */
static inline u64 checkpoint_cpu_sample(struct task_struct *task, clockid_t clock)
{
	struct task_cputime used = {};

	if (CPUCLOCK_PERTHREAD(clock)) {
		task_cputime(task, &used.utime, &used.stime);
		used.sum_exec_runtime = task_sched_runtime(task);
	} else {
		thread_group_cputime(task, &used);
	}
	if (CPUCLOCK_WHICH(clock) == CPUCLOCK_SCHED)
		return used.sum_exec_runtime;
	if (CPUCLOCK_WHICH(clock) == CPUCLOCK_VIRT)
		return used.utime;
	return used.utime + used.stime;
}

/* The task whose CPU clock it is, under RCU; NULL if it is gone. */
static inline struct task_struct *checkpoint_timer_cpu(const struct k_itimer *timer)
{
	return pid_task(timer->it.cpu.pid, CPUCLOCK_PERTHREAD(timer->it_clock) ?
					   PIDTYPE_PID : PIDTYPE_TGID);
}

static inline struct sigpending *
checkpoint_timer_pending(const struct k_itimer *timer, struct task_struct *target)
{
	return timer->it_pid_type == PIDTYPE_PID ? &target->pending :
						   &target->signal->shared_pending;
}

static inline bool checkpoint_timer_is_gone(const struct sigqueue *q)
{
	return q->flags & SIGQUEUE_PREALLOC &&
	       !posixtimer_valid(container_of(q, struct k_itimer, sigq));
}

/* What has become of the signal of a timer, which is locked. */
static inline void checkpoint_timer_get_signal(struct k_itimer *timer,
					       struct checkpoint_timer *out)
{
	struct task_struct *target = pid_task(timer->it_pid, timer->it_pid_type);
	struct sigqueue *q;
	unsigned long flags;

	if (!target || !lock_task_sighand(target, &flags))
		return;
	if (!list_empty(&timer->sigq.list)) {
		out->flags |= CHECKPOINT_TIMER_QUEUED;
		list_for_each_entry(q, &checkpoint_timer_pending(timer, target)->list, list) {
			if (q == &timer->sigq)
				break;
			out->position += !checkpoint_timer_is_gone(q);
		}
	} else if (!hlist_unhashed(&timer->ignored_list)) {
		out->flags |= CHECKPOINT_TIMER_IGNORED;
	}
	unlock_task_sighand(target, &flags);
	if (!(out->flags & (CHECKPOINT_TIMER_QUEUED | CHECKPOINT_TIMER_IGNORED)))
		return;
	if (timer->it_sigqueue_seq != timer->it_signal_seq)
		out->flags |= CHECKPOINT_TIMER_STALE;
	if (timer->it_sig_periodic)
		out->flags |= CHECKPOINT_TIMER_PERIODIC;
}

static inline void checkpoint_timer_get_cpu(struct k_itimer *timer,
					    struct pid_namespace *ns,
					    struct checkpoint_timer *out)
{
	struct task_struct *task = checkpoint_timer_cpu(timer);
	u64 expires = cpu_timer_getexpires(&timer->it.cpu);

	out->cpu = -1;
	if (!task)
		return;
	out->cpu = pid_nr_ns(timer->it.cpu.pid, ns);
	/* One of SIGEV_NONE is never armed: it is looked at when it is asked for. */
	if (timer->it_sigev_notify == SIGEV_NONE && expires)
		out->flags |= CHECKPOINT_TIMER_ARMED;
	if (out->flags & (CHECKPOINT_TIMER_ARMED | CHECKPOINT_TIMER_FIRED))
		out->expires = expires - checkpoint_cpu_sample(task, timer->it_clock);
}

static inline void checkpoint_timer_get_expiry(struct k_itimer *timer,
					       struct checkpoint_timer *out)
{
	struct hrtimer *hrtimer = &timer->it.real.timer;
	bool absolute = timer->it_clock == CLOCK_TAI;

	if (!(out->flags & (CHECKPOINT_TIMER_ARMED | CHECKPOINT_TIMER_FIRED)))
		return;
	if (checkpoint_timer_is_alarm(timer)) {
		out->expires = timer->it.alarm.alarmtimer.node.expires;
		absolute = timer->it_clock == CLOCK_REALTIME_ALARM;
	} else {
		out->expires = hrtimer_get_expires(hrtimer);
		/* A relative one has become one of CLOCK_MONOTONIC. */
		if (timer->it_clock == CLOCK_REALTIME)
			absolute = hrtimer->base->clockid == CLOCK_REALTIME;
	}
	if (absolute)
		out->flags |= CHECKPOINT_TIMER_ABSOLUTE;
	else
		out->expires -= timer->kclock->clock_get_ktime(timer->it_clock);
}

static inline void checkpoint_timer_get_one(struct k_itimer *timer,
					    struct pid_namespace *ns,
					    struct checkpoint_timer *out)
{
	memset(out, 0, sizeof(*out));
	out->id = timer->it_id;
	out->clock = timer->it_clock;
	out->notify = timer->it_sigev_notify;
	out->signal = timer->sigq.info.si_signo;
	out->value = (unsigned long)timer->sigq.info.si_value.sival_ptr;
	if (timer->it_pid_type == PIDTYPE_PID)
		out->thread = pid_task(timer->it_pid, PIDTYPE_PID) ?
			      pid_nr_ns(timer->it_pid, ns) : -1;
	if (timer->it_status == POSIX_TIMER_ARMED)
		out->flags = CHECKPOINT_TIMER_ARMED;
	else if (timer->it_status == POSIX_TIMER_REQUEUE_PENDING)
		out->flags = CHECKPOINT_TIMER_FIRED;
	out->interval = timer->it_interval;
	out->overrun = timer->it_overrun;
	out->overrun_last = timer->it_overrun_last;
	checkpoint_timer_get_signal(timer, out);
	if (checkpoint_timer_is_cpu(timer))
		checkpoint_timer_get_cpu(timer, ns, out);
	else
		checkpoint_timer_get_expiry(timer, out);
}

/* Reads up to @max timers of a process; returns how many there are. */
__rust_helper u32
rust_helper_checkpoint_timers_get(struct task_struct *task,
				  struct pid_namespace *ns,
				  struct checkpoint_timer *out, u32 max)
{
	struct k_itimer *timer;
	u32 n = 0;

	guard(rcu)();
	hlist_for_each_entry_rcu(timer, &task->signal->posix_timers, list) {
		guard(spinlock_irq)(&timer->it_lock);
		if (!posixtimer_valid(timer))
			continue;
		if (n < max)
			checkpoint_timer_get_one(timer, ns, &out[n]);
		n++;
	}
	return n;
}

__rust_helper u32
rust_helper_checkpoint_timer_ids_get(struct task_struct *task, bool *restore_ids)
{
	*restore_ids = task->signal->timer_create_restore_ids;
	return atomic_read(&task->signal->next_posix_timer_id);
}

__rust_helper void rust_helper_checkpoint_timer_ids_set(u32 next, bool restore_ids)
{
	atomic_set(&current->signal->next_posix_timer_id, next);
	current->signal->timer_create_restore_ids = restore_ids;
}

/* Makes a timer of current, which does not run. */
__rust_helper int
rust_helper_checkpoint_timer_create(const struct checkpoint_timer *in)
{
	struct sigevent event = {
		.sigev_notify = in->notify,
		.sigev_signo = in->signal,
		.sigev_value.sival_ptr = (void __user *)(unsigned long)in->value,
	};
	clockid_t clock = in->clock;
	struct k_itimer *timer;
	timer_t id = in->id;
	int ret;

	if (in->notify & SIGEV_THREAD_ID)
		event.sigev_notify_thread_id = in->thread;
	/* "This thread" may have been another one than current. */
	if (in->cpu)
		clock = make_process_cpuclock(in->cpu, clock & (CPUCLOCK_PERTHREAD_MASK |
								CPUCLOCK_CLOCK_MASK));
	ret = do_timer_create(clock, &event, NULL, &id);
	if (ret)
		return ret;
	/* No other thread of the process runs its own code yet. */
	timer = hlist_entry(current->signal->posix_timers.first, struct k_itimer, list);
	timer->it_clock = in->clock;
	return 0;
}

/*
 * The timers of a process of a restart, at most @max; returns how many there
 * are. They are valid under RCU.
 */
__rust_helper u32
rust_helper_checkpoint_timers_find(struct task_struct *task,
				   struct k_itimer **timers, u32 max)
{
	struct k_itimer *timer;
	u32 n = 0;

	hlist_for_each_entry_rcu(timer, &task->signal->posix_timers, list) {
		if (n < max)
			timers[n] = timer;
		n++;
	}
	return n;
}

/* Gives the list of the timers of a process the order of the array. */
__rust_helper void
rust_helper_checkpoint_timers_order(struct task_struct *task,
				    struct k_itimer **timers, u32 n)
{
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return;
	/* A process that ends has taken all of them from the list. */
	while (n-- && !hlist_empty(&task->signal->posix_timers)) {
		hlist_del_rcu(&timers[n]->list);
		hlist_add_head_rcu(&timers[n]->list, &task->signal->posix_timers);
	}
	unlock_task_sighand(task, &flags);
}

__rust_helper int rust_helper_checkpoint_timer_id(const struct k_itimer *timer)
{
	return timer->it_id;
}

/*
 * Makes the signal of a timer pending again, in its place, or ignored. All
 * signals are blocked: nobody is to be woken but those who poll.
 */
__rust_helper void
rust_helper_checkpoint_timer_queue(struct k_itimer *timer,
				   const struct checkpoint_timer *in)
{
	struct sigqueue *q = &timer->sigq;
	struct list_head *place;
	struct sigpending *pending;
	struct task_struct *target;
	u32 before = in->position;
	unsigned long flags;

	guard(spinlock_irq)(&timer->it_lock);
	target = pid_task(timer->it_pid, timer->it_pid_type);
	if (!posixtimer_valid(timer) || !target ||
	    !lock_task_sighand(target, &flags))
		return;
	timer->it_sigqueue_seq = timer->it_signal_seq;
	if (in->flags & CHECKPOINT_TIMER_STALE)
		timer->it_sigqueue_seq--;
	timer->it_sig_periodic = in->flags & CHECKPOINT_TIMER_PERIODIC;
	posixtimer_sigqueue_getref(q);
	if (in->flags & CHECKPOINT_TIMER_QUEUED) {
		pending = checkpoint_timer_pending(timer, target);
		list_for_each(place, &pending->list) {
			if (!before--)
				break;
		}
		list_add_tail(&q->list, place);
		sigaddset(&pending->signal, q->info.si_signo);
		signalfd_notify(target, q->info.si_signo);
	} else {
		hlist_add_head(&timer->ignored_list,
			       &target->signal->ignored_posix_timers);
	}
	unlock_task_sighand(target, &flags);
}

static inline void checkpoint_timer_start_cpu(struct k_itimer *timer,
					      const struct checkpoint_timer *in)
{
	struct task_struct *task = checkpoint_timer_cpu(timer);
	bool sigev_none = timer->it_sigev_notify == SIGEV_NONE;
	struct itimerspec64 value = {
		.it_value = ns_to_timespec64(max(in->expires, 1)),
		.it_interval = ns_to_timespec64(in->interval),
	};
	s64 expires;

	if (!task)
		return;
	if (in->flags & CHECKPOINT_TIMER_ARMED && !sigev_none) {
		timer->kclock->timer_set(timer, 0, &value, NULL);
		return;
	}
	expires = checkpoint_cpu_sample(task, timer->it_clock);
	expires = in->expires < 0 ? expires + in->expires :
				    ktime_add_safe(expires, in->expires);
	/* 0 would be none. */
	cpu_timer_setexpires(&timer->it.cpu, max(expires, 1));
	if (!sigev_none)
		timer->it_status = POSIX_TIMER_REQUEUE_PENDING;
}

static inline void checkpoint_timer_start_clock(struct k_itimer *timer,
						const struct checkpoint_timer *in)
{
	bool absolute = in->flags & CHECKPOINT_TIMER_ABSOLUTE;
	struct alarm *alarm = &timer->it.alarm.alarmtimer;
	struct hrtimer *hrtimer = &timer->it.real.timer;
	bool queued;

	/* So far it is not started. */
	timer->kclock->timer_arm(timer, max(in->expires, 0), absolute, true);
	if (in->expires < 0 && checkpoint_timer_is_alarm(timer))
		alarm->node.expires += in->expires;
	else if (in->expires < 0)
		hrtimer_add_expires_ns(hrtimer, in->expires);
	if (in->flags & CHECKPOINT_TIMER_FIRED) {
		timer->it_status = POSIX_TIMER_REQUEUE_PENDING;
		return;
	}
	timer->it_status = POSIX_TIMER_ARMED;
	if (timer->it_sigev_notify == SIGEV_NONE)
		return;
	if (checkpoint_timer_is_alarm(timer))
		queued = timer->kclock->timer_arm(timer, alarm->node.expires, true, false);
	else
		queued = hrtimer_start_expires_user(hrtimer, HRTIMER_MODE_ABS);
	if (!queued)
		posix_timer_queue_signal(timer);
}

/* Sets what a timer is that does not run, and starts it if it ran. */
__rust_helper void
rust_helper_checkpoint_timer_start(struct k_itimer *timer,
				   const struct checkpoint_timer *in)
{
	guard(spinlock_irq)(&timer->it_lock);
	if (!posixtimer_valid(timer))
		return;
	timer->it_interval = in->interval;
	if (in->flags & (CHECKPOINT_TIMER_ARMED | CHECKPOINT_TIMER_FIRED)) {
		if (checkpoint_timer_is_cpu(timer))
			checkpoint_timer_start_cpu(timer, in);
		else
			checkpoint_timer_start_clock(timer, in);
	}
	timer->it_overrun = in->overrun;
	timer->it_overrun_last = in->overrun_last;
}
