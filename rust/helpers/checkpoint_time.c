// SPDX-License-Identifier: GPL-2.0

/* Clocks, and system calls that were interrupted. */

#include "../../kernel/futex/futex.h"

__rust_helper s64 rust_helper_checkpoint_clock(int clock)
{
	switch (clock) {
	case CLOCK_MONOTONIC:
		return ktime_get_ns();
	case CLOCK_BOOTTIME:
		return ktime_get_boottime_ns();
	case CLOCK_TAI:
		return ktime_get_clocktai_ns();
	default:
		return ktime_get_real_ns();
	}
}

/* The flags of an interrupted futex wait that mean something after a restart. */
#define CHECKPOINT_FUTEX_FLAGS \
	(FLAGS_SIZE_MASK | FLAGS_SHARED | FLAGS_CLOCKRT | FLAGS_HAS_TIMEOUT)

static inline s64 checkpoint_futex_now(unsigned int flags)
{
	return flags & FLAGS_CLOCKRT ? ktime_get_real_ns() : ktime_get_ns();
}

/* By enum alarmtimer_type. */
static inline s64 checkpoint_alarm_clock(u32 type)
{
	return type == ALARM_REALTIME ? ktime_get_real_ns() : ktime_get_boottime_ns();
}

/*
 * A CPU clock of the process of @task, or of one of its threads. -EOPNOTSUPP:
 * it is that of another process, or of a thread that is gone.
 */
static inline int checkpoint_cpu_clock(struct task_struct *task, clockid_t clock,
				       s64 *now)
{
	struct pid_namespace *ns = task_active_pid_ns(task);
	pid_t nr = CPUCLOCK_PID(clock);

	if (clock >= 0 || CPUCLOCK_WHICH(clock) >= CPUCLOCK_MAX)
		return -EINVAL;
	if (CPUCLOCK_PERTHREAD(clock)) {
		struct task_struct *thread;

		guard(rcu)();
		thread = find_task_by_pid_ns(nr, ns);
		if (!thread || !same_thread_group(thread, task))
			return -EOPNOTSUPP;
		*now = checkpoint_cpu_sample(thread, clock);
		return 0;
	}
	if (nr && nr != task_tgid_nr_ns(task, ns))
		return -EOPNOTSUPP;
	*now = checkpoint_cpu_sample(task, clock);
	return 0;
}

static inline void checkpoint_get_sleep(const struct restart_block *block,
					struct checkpoint_restart_block *out,
					u32 call, s64 now)
{
	out->call = call;
	out->arg = block->nanosleep.clockid;
	out->rem_type = block->nanosleep.type;
	if (out->rem_type != TT_NONE)
		out->addr = (unsigned long)block->nanosleep.rmtp;
	out->left = block->nanosleep.expires - now;
}

static inline int checkpoint_set_sleep(struct restart_block *block,
				       const struct checkpoint_restart_block *in,
				       long (*fn)(struct restart_block *), s64 now)
{
	if (in->rem_type > TT_COMPAT ||
	    (in->rem_type == TT_COMPAT && !IS_ENABLED(CONFIG_COMPAT_32BIT_TIME)))
		return -EINVAL;
	block->nanosleep.clockid = in->arg;
	block->nanosleep.type = in->rem_type;
	block->nanosleep.rmtp = (void __user *)(unsigned long)in->addr;
	block->nanosleep.expires = ktime_add_safe(now, max(in->left, 0));
	block->fn = fn;
	return 0;
}

__rust_helper int
rust_helper_checkpoint_get_restart_block(struct task_struct *task,
					 struct checkpoint_restart_block *out)
{
	struct restart_block *block = &task->restart_block;
	s64 now;
	int ret;

	memset(out, 0, sizeof(*out));
	/* The block of a system call that has returned is still there. */
	if (syscall_get_nr(task, task_pt_regs(task)) == -1 ||
	    syscall_get_error(task, task_pt_regs(task)) != -ERESTART_RESTARTBLOCK)
		return 0;
	if (block->fn == hrtimer_nanosleep_restart) {
		now = rust_helper_checkpoint_clock(block->nanosleep.clockid);
		checkpoint_get_sleep(block, out, CHECKPOINT_RESTART_NANOSLEEP, now);
	} else if (block->fn == alarm_timer_nsleep_restart) {
		now = checkpoint_alarm_clock(block->nanosleep.clockid);
		checkpoint_get_sleep(block, out, CHECKPOINT_RESTART_ALARM, now);
	} else if (block->fn == posix_cpu_nsleep_restart) {
		ret = checkpoint_cpu_clock(task, block->nanosleep.clockid, &now);
		if (ret)
			return -EOPNOTSUPP;
		checkpoint_get_sleep(block, out, CHECKPOINT_RESTART_CPU, now);
	} else if (block->fn == do_restart_poll) {
		out->call = CHECKPOINT_RESTART_POLL;
		out->addr = (unsigned long)block->poll.ufds;
		out->arg = block->poll.nfds;
		out->value = block->poll.has_timeout;
		if (out->value)
			out->left = timespec64_to_ns(&block->poll.end_time) -
				ktime_get_ns();
	} else if (block->fn == futex_wait_restart) {
		out->call = CHECKPOINT_RESTART_FUTEX;
		out->addr = (unsigned long)block->futex.uaddr;
		out->addr2 = (unsigned long)block->futex.uaddr2;
		out->arg = block->futex.flags;
		out->value = block->futex.val;
		out->bitset = block->futex.bitset;
		if (out->arg & ~CHECKPOINT_FUTEX_FLAGS ||
		    (out->arg & FLAGS_SIZE_MASK) != FLAGS_SIZE_32)
			return -EOPNOTSUPP;
		out->left = block->futex.time - checkpoint_futex_now(out->arg);
	} else {
		return -EOPNOTSUPP;
	}
	return 1;
}

/* With @again it has been set before, by one who had the right to. */
__rust_helper int
rust_helper_checkpoint_set_restart_block(const struct checkpoint_restart_block *in,
					 bool again)
{
	struct restart_block *block = &current->restart_block;
	struct timespec64 end;
	s64 now;
	int ret;

	switch (in->call) {
	case CHECKPOINT_RESTART_NANOSLEEP:
		switch (in->arg) {
		case CLOCK_REALTIME:
		case CLOCK_MONOTONIC:
		case CLOCK_BOOTTIME:
		case CLOCK_TAI:
			break;
		default:
			return -EINVAL;
		}
		return checkpoint_set_sleep(block, in, hrtimer_nanosleep_restart,
					    rust_helper_checkpoint_clock(in->arg));
	case CHECKPOINT_RESTART_ALARM:
		/* The checks of clock_nanosleep(2). */
		if (in->arg != ALARM_REALTIME && in->arg != ALARM_BOOTTIME)
			return -EINVAL;
		if (!again && !alarmtimer_get_rtcdev())
			return -EOPNOTSUPP;
		if (!again && !capable(CAP_WAKE_ALARM))
			return -EPERM;
		return checkpoint_set_sleep(block, in, alarm_timer_nsleep_restart,
					    checkpoint_alarm_clock(in->arg));
	case CHECKPOINT_RESTART_CPU:
		ret = checkpoint_cpu_clock(current, in->arg, &now);
		if (ret)
			return -EINVAL;
		return checkpoint_set_sleep(block, in, posix_cpu_nsleep_restart, now);
	case CHECKPOINT_RESTART_POLL:
		block->poll.ufds = (void __user *)(unsigned long)in->addr;
		block->poll.nfds = in->arg;
		block->poll.has_timeout = !!in->value;
		end = ns_to_timespec64(ktime_add_safe(ktime_get(), max(in->left, 0)));
		block->poll.end_time = end;
		block->fn = do_restart_poll;
		return 0;
	case CHECKPOINT_RESTART_FUTEX:
		if (in->arg & ~CHECKPOINT_FUTEX_FLAGS ||
		    (in->arg & FLAGS_SIZE_MASK) != FLAGS_SIZE_32)
			return -EINVAL;
		block->futex.uaddr = (void __user *)(unsigned long)in->addr;
		block->futex.uaddr2 = (void __user *)(unsigned long)in->addr2;
		block->futex.flags = in->arg;
		block->futex.val = in->value;
		block->futex.bitset = in->bitset;
		block->futex.time = ktime_add_safe(checkpoint_futex_now(in->arg),
						   max(in->left, 0));
		block->fn = futex_wait_restart;
		return 0;
	default:
		return -EINVAL;
	}
}
