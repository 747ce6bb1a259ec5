// SPDX-License-Identifier: GPL-2.0

//! Timers of a process.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use kernel::bindings;

/// The timers of setitimer(2), by `ITIMER_*`, in ns; read by [`super::signal::pending`].
pub(crate) use bindings::checkpoint_itimers as IntervalTimers;

/// Starts the timers of setitimer(2) of the running process; what is left counts from now. No
/// number may be negative.
pub(crate) fn set_itimers(timers: &IntervalTimers) {
    // SAFETY: The helper sets the timers of the running process under its lock.
    unsafe { bindings::checkpoint_set_itimers(&raw const *timers) };
}

/// Ends all timers of the running process, which has one thread, as execve(2) and more.
pub(crate) fn end_timers() {
    // SAFETY: The helper works on the running process.
    unsafe { bindings::checkpoint_end_timers() };
}
