// SPDX-License-Identifier: GPL-2.0

//! What tasks have used, and when they were made.
//!
//! C headers: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/checkpoint.h`](srctree/include/linux/checkpoint.h)

use super::freeze::Frozen;
use kernel::bindings;

/// What a task has used.
pub(crate) use bindings::checkpoint_process_usage as ProcessUsage;
pub(crate) use bindings::checkpoint_usage as Usage;

/// CLOCK_MONOTONIC and CLOCK_BOOTTIME, in ns.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) monotonic: i64,
    pub(crate) boottime: i64,
}

/// What a task has used; it may have ended.
pub(crate) fn of(task: &Frozen) -> Usage {
    let mut usage = Usage::default();

    // SAFETY: The task is referenced and off its CPU, so that it uses nothing meanwhile.
    unsafe { bindings::checkpoint_get_usage(task.as_ptr(), &raw mut usage) };
    usage
}

/// Sets what a task has used.
pub(crate) fn set(task: &Frozen, usage: &Usage) {
    // SAFETY: The task is referenced, and off its CPU or the running one; the function takes the
    // lock under which others read.
    unsafe { bindings::checkpoint_set_usage(task.as_ptr(), usage) };
}

/// What the process of a task has used, apart from its threads.
pub(crate) fn of_process(task: &Frozen) -> ProcessUsage {
    let mut usage = ProcessUsage::default();

    // SAFETY: The task is referenced, and so is its process; the function takes its lock.
    unsafe { bindings::checkpoint_get_process_usage(task.as_ptr(), &raw mut usage) };
    usage
}

/// Sets what the process of a task has used, when that of all its threads is set.
pub(crate) fn set_process(task: &Frozen, usage: &ProcessUsage) {
    // SAFETY: As above.
    unsafe { bindings::checkpoint_set_process_usage(task.as_ptr(), usage) };
}

/// When a task was made, on the clocks of the machine. Moments before the machine was started are
/// negative.
pub(crate) fn start(task: &Frozen) -> Start {
    // SAFETY: The task is referenced; execve(2) alone changes the moments.
    unsafe {
        Start {
            monotonic: (*task.as_ptr()).start_time.cast_signed(),
            boottime: (*task.as_ptr()).start_boottime.cast_signed(),
        }
    }
}

/// Sets when a task was made.
pub(crate) fn set_start(task: &Frozen, start: Start) {
    // SAFETY: The task is referenced and in no system call but the restart; who reads a moment
    // meanwhile, for people to see, gets the old one or the new one.
    unsafe {
        core::ptr::write_volatile(
            &raw mut (*task.as_ptr()).start_time,
            start.monotonic.cast_unsigned(),
        );
        core::ptr::write_volatile(
            &raw mut (*task.as_ptr()).start_boottime,
            start.boottime.cast_unsigned(),
        );
    }
}
