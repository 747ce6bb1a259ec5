// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoint and restart of what tasks have used: CPU time, faults, switches,
 * I/O. Included by build_policy.c, for the locks of the scheduler.
 */
#include <linux/checkpoint.h>

static void checkpoint_get_io(const struct task_io_accounting *ioac, u64 *io)
{
#ifdef CONFIG_TASK_XACCT
	io[0] = ioac->rchar;
	io[1] = ioac->wchar;
	io[2] = ioac->syscr;
	io[3] = ioac->syscw;
#endif
#ifdef CONFIG_TASK_IO_ACCOUNTING
	io[4] = ioac->read_bytes;
	io[5] = ioac->write_bytes;
	io[6] = ioac->cancelled_write_bytes;
#endif
}

static void checkpoint_set_io(struct task_io_accounting *ioac, const u64 *io)
{
#ifdef CONFIG_TASK_XACCT
	ioac->rchar = io[0];
	ioac->wchar = io[1];
	ioac->syscr = io[2];
	ioac->syscw = io[3];
#endif
#ifdef CONFIG_TASK_IO_ACCOUNTING
	ioac->read_bytes = io[4];
	ioac->write_bytes = io[5];
	ioac->cancelled_write_bytes = io[6];
#endif
}

static void checkpoint_get_shown(struct prev_cputime *prev, u64 *shown)
{
#ifndef CONFIG_VIRT_CPU_ACCOUNTING_NATIVE
	guard(raw_spinlock_irqsave)(&prev->lock);
	shown[0] = prev->utime;
	shown[1] = prev->stime;
#endif
}

static void checkpoint_set_shown(struct prev_cputime *prev, const u64 *shown)
{
#ifndef CONFIG_VIRT_CPU_ACCOUNTING_NATIVE
	guard(raw_spinlock_irqsave)(&prev->lock);
	prev->utime = shown[0];
	prev->stime = shown[1];
#endif
}

void checkpoint_get_usage(struct task_struct *task, struct checkpoint_usage *out)
{
	memset(out, 0, sizeof(*out));
	task_cputime(task, &out->time[0], &out->time[1]);
	out->time[2] = task_gtime(task);
	out->time[3] = task_sched_runtime(task);
	checkpoint_get_shown(&task->prev_cputime, out->shown);
	out->faults[0] = task->min_flt;
	out->faults[1] = task->maj_flt;
	out->switches[0] = task->nvcsw;
	out->switches[1] = task->nivcsw;
	checkpoint_get_io(&task->ioac, out->io);
}

void checkpoint_set_usage(struct task_struct *task,
			  const struct checkpoint_usage *in)
{
	struct rq_flags rf;
	struct rq *rq;
	u64 delta;

	rq = task_rq_lock(task, &rf);
	if (task_current_donor(rq, task)) {
		update_rq_clock(rq);
		task->sched_class->update_curr(rq);
	}
	/* What has been measured since some moment stays as it is. */
	delta = in->time[3] - task->se.sum_exec_runtime;
	task->se.sum_exec_runtime += delta;
	task->se.prev_sum_exec_runtime += delta;
#ifdef CONFIG_NUMA_BALANCING
	task->last_sum_exec_runtime += delta;
#endif
	task->utime = in->time[0];
	task->stime = in->time[1];
	task->gtime = in->time[2];
#ifdef CONFIG_TASK_XACCT
	task->acct_timexpd = in->time[0] + in->time[1];
#endif
	task->min_flt = in->faults[0];
	task->maj_flt = in->faults[1];
	task->nvcsw = in->switches[0];
	task->nivcsw = in->switches[1];
	checkpoint_set_io(&task->ioac, in->io);
	task_rq_unlock(rq, task, &rf);
	checkpoint_set_shown(&task->prev_cputime, in->shown);
}

void checkpoint_get_process_usage(struct task_struct *task,
				  struct checkpoint_process_usage *out)
{
	struct signal_struct *sig = task->signal;

	memset(out, 0, sizeof(*out));
	checkpoint_get_shown(&sig->prev_cputime, out->ended.shown);
	read_seqlock_excl_irq(&sig->stats_lock);
	out->ended.time[0] = sig->utime;
	out->ended.time[1] = sig->stime;
	out->ended.time[2] = sig->gtime;
	out->ended.time[3] = sig->sum_sched_runtime;
	out->ended.faults[0] = sig->min_flt;
	out->ended.faults[1] = sig->maj_flt;
	out->ended.switches[0] = sig->nvcsw;
	out->ended.switches[1] = sig->nivcsw;
	checkpoint_get_io(&sig->ioac, out->ended.io);
	out->blocks[0] = sig->inblock;
	out->blocks[1] = sig->oublock;
	out->child_time[0] = sig->cutime;
	out->child_time[1] = sig->cstime;
	out->child_time[2] = sig->cgtime;
	out->child_faults[0] = sig->cmin_flt;
	out->child_faults[1] = sig->cmaj_flt;
	out->child_switches[0] = sig->cnvcsw;
	out->child_switches[1] = sig->cnivcsw;
	out->child_blocks[0] = sig->cinblock;
	out->child_blocks[1] = sig->coublock;
	out->maxrss[0] = sig->maxrss;
	out->maxrss[1] = sig->cmaxrss;
	read_sequnlock_excl_irq(&sig->stats_lock);
}

void checkpoint_set_process_usage(struct task_struct *task,
				  const struct checkpoint_process_usage *in)
{
	struct signal_struct *sig = task->signal;
#ifdef CONFIG_POSIX_TIMERS
	struct task_cputime_atomic *sample = &sig->cputimer.cputime_atomic;
	struct task_cputime used;
#endif

	checkpoint_set_shown(&sig->prev_cputime, in->ended.shown);
	write_seqlock_irq(&sig->stats_lock);
	sig->utime = in->ended.time[0];
	sig->stime = in->ended.time[1];
	sig->gtime = in->ended.time[2];
	sig->sum_sched_runtime = in->ended.time[3];
	sig->min_flt = in->ended.faults[0];
	sig->maj_flt = in->ended.faults[1];
	sig->nvcsw = in->ended.switches[0];
	sig->nivcsw = in->ended.switches[1];
	checkpoint_set_io(&sig->ioac, in->ended.io);
	sig->inblock = in->blocks[0];
	sig->oublock = in->blocks[1];
	sig->cutime = in->child_time[0];
	sig->cstime = in->child_time[1];
	sig->cgtime = in->child_time[2];
	sig->cmin_flt = in->child_faults[0];
	sig->cmaj_flt = in->child_faults[1];
	sig->cnvcsw = in->child_switches[0];
	sig->cnivcsw = in->child_switches[1];
	sig->cinblock = in->child_blocks[0];
	sig->coublock = in->child_blocks[1];
	sig->maxrss = in->maxrss[0];
	sig->cmaxrss = in->maxrss[1];
	write_sequnlock_irq(&sig->stats_lock);

#ifdef CONFIG_POSIX_TIMERS
	/* A limit of CPU time looks here, where only growth is added. */
	thread_group_cputime(task, &used);
	atomic64_set(&sample->utime, used.utime);
	atomic64_set(&sample->stime, used.stime);
	atomic64_set(&sample->sum_exec_runtime, used.sum_exec_runtime);
#endif
}
