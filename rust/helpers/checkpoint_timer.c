// SPDX-License-Identifier: GPL-2.0

/* Timers of a process. */

#include <linux/sched/cputime.h>

/* With siglock held, under which the timers expire. */
static inline void checkpoint_get_itimers(struct task_struct *task,
					  struct checkpoint_itimers *out)
{
	struct signal_struct *sig = task->signal;
	struct hrtimer *real = &sig->real_timer;
	struct task_cputime used;

	memset(out, 0, sizeof(*out));
	out->interval[ITIMER_REAL] = sig->it_real_incr;
	/* One that waits for siglock in order to send its signal is active. */
	if (hrtimer_active(real))
		out->left[ITIMER_REAL] = max(hrtimer_get_expires(real) - ktime_get(), 1);
	/* One whose signal has not been taken goes on in its rhythm then. */
	else if (sig->it_real_incr)
		out->left[ITIMER_REAL] = min(hrtimer_get_expires(real) - ktime_get(), 0) - 1;
	out->interval[ITIMER_VIRTUAL] = sig->it[CPUCLOCK_VIRT].incr;
	out->interval[ITIMER_PROF] = sig->it[CPUCLOCK_PROF].incr;
	thread_group_cputime(task, &used);
	if (sig->it[CPUCLOCK_VIRT].expires)
		out->left[ITIMER_VIRTUAL] =
			max((s64)(sig->it[CPUCLOCK_VIRT].expires - used.utime), 1);
	if (sig->it[CPUCLOCK_PROF].expires)
		out->left[ITIMER_PROF] =
			max((s64)(sig->it[CPUCLOCK_PROF].expires - used.utime - used.stime), 1);
}

static inline void checkpoint_set_cpu_itimer(unsigned int clock, u64 left,
					     u64 interval)
{
	struct cpu_itimer *it = &current->signal->it[clock];
	u64 old = 0;

	/* It becomes the moment, on the clock of the process. */
	if (left)
		set_process_cpu_timer(current, clock, &left, &old);
	it->expires = left;
	it->incr = interval;
}

/* setitimer(2) adds a tick to what the others than ITIMER_REAL have left. */
__rust_helper void
rust_helper_checkpoint_set_itimers(const struct checkpoint_itimers *in)
{
	struct signal_struct *sig = current->signal;

	spin_lock_irq(&current->sighand->siglock);
	sig->it_real_incr = in->interval[ITIMER_REAL];
	if (in->left[ITIMER_REAL] < 0)
		hrtimer_set_expires(&sig->real_timer, ktime_get() + in->left[ITIMER_REAL] + 1);
	else if (in->left[ITIMER_REAL])
		hrtimer_start(&sig->real_timer, in->left[ITIMER_REAL], HRTIMER_MODE_REL);
	checkpoint_set_cpu_itimer(CPUCLOCK_VIRT, in->left[ITIMER_VIRTUAL],
				  in->interval[ITIMER_VIRTUAL]);
	checkpoint_set_cpu_itimer(CPUCLOCK_PROF, in->left[ITIMER_PROF],
				  in->interval[ITIMER_PROF]);
	spin_unlock_irq(&current->sighand->siglock);
}

/* Ends all timers of the running process, which has one thread. */
__rust_helper void rust_helper_checkpoint_end_timers(void)
{
	static const struct checkpoint_itimers none;

	hrtimer_cancel(&current->signal->real_timer);
	exit_itimers(current);
	rust_helper_checkpoint_set_itimers(&none);
}
