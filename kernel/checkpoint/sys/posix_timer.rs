// SPDX-License-Identifier: GPL-2.0

//! Timers of timer_create(2).
//!
//! C header: [`include/linux/posix-timers.h`](srctree/include/linux/posix-timers.h)

use super::freeze::Frozen;
use super::ns::PidNs;
use core::ptr;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::task::Task;

/// A timer, and what has become of its signal (`struct checkpoint_timer`).
pub(crate) use bindings::checkpoint_timer as Timer;

/// Whether a timer on the clock can wake the machine, for which one needs the right.
pub(crate) fn is_alarm(clock: i32) -> bool {
    matches!(
        u32::try_from(clock),
        Ok(bindings::CLOCK_REALTIME_ALARM | bindings::CLOCK_BOOTTIME_ALARM)
    )
}

/// The timers of a process, the last that was made first; pids are those of the namespace.
pub(crate) fn get(task: &Frozen, ns: &PidNs) -> Result<KVVec<Timer>> {
    let mut room = 0u32;

    loop {
        let mut timers = KVVec::from_elem(Timer::default(), room as usize, GFP_KERNEL)?;
        // SAFETY: Both are referenced; there is room for as many timers as is said.
        let found = unsafe {
            bindings::checkpoint_timers_get(task.as_ptr(), ns.as_ptr(), timers.as_mut_ptr(), room)
        };

        if found <= room {
            timers.truncate(found as usize);
            return Ok(timers);
        }
        room = found;
    }
}

/// Where the process looks for the number of the next timer, and whether timer_create(2) is told
/// the number (PR_TIMER_CREATE_RESTORE_IDS).
pub(crate) fn ids(task: &Frozen) -> (u32, bool) {
    let mut restore_ids = false;

    // SAFETY: The task is parked and referenced, and its signal_struct lives as long.
    let next = unsafe { bindings::checkpoint_timer_ids_get(task.as_ptr(), &raw mut restore_ids) };

    (next, restore_ids)
}

/// Sets what [`ids`] gives, for the running process.
pub(crate) fn set_ids(next: u32, restore_ids: bool) {
    // SAFETY: The helper sets two numbers of the running process, any value of which is good.
    unsafe { bindings::checkpoint_timer_ids_set(next, restore_ids) };
}

/// Makes a timer of the running process; it does not run. Its clock is one that exists, and `cpu`
/// is set for a CPU clock only. The errnos are those of timer_create(2).
pub(crate) fn create(timer: &Timer) -> Result {
    // SAFETY: The helper makes a new timer; the function of the system call checks the values.
    to_result(unsafe { bindings::checkpoint_timer_create(&raw const *timer) })
}

/// Sets and starts the timers of a process whose tasks wait with all signals blocked. They are
/// all that it has, in the order of [`get`], of which those that can wake the machine were made
/// before the others; if they are not, nothing happens and it is `EINVAL`.
///
/// One that has expired has an interval, and a signal that is pending is that of a timer which has
/// expired or is stale.
pub(crate) fn start(task: &Task, states: &[Timer]) -> Result {
    let mut found = KVVec::from_elem(ptr::null_mut(), states.len(), GFP_KERNEL)?;
    let mut timers = KVVec::from_elem(ptr::null_mut(), states.len(), GFP_KERNEL)?;
    let max = u32::try_from(states.len())?;
    let mut pending = KVVec::new();

    for (index, state) in (0u32..).zip(states) {
        if state.flags & (bindings::CHECKPOINT_TIMER_QUEUED | bindings::CHECKPOINT_TIMER_IGNORED)
            != 0
        {
            pending.push((state.position, index), GFP_KERNEL)?;
        }
    }
    // Each finds those that stand before it in their places.
    pending.sort_unstable();

    let _rcu = kernel::sync::rcu::read_lock();
    // SAFETY: The task is referenced, RCU is held, and there is room for as many as is said.
    let count = unsafe { bindings::checkpoint_timers_find(task.as_ptr(), found.as_mut_ptr(), max) };

    if count != max {
        return Err(EINVAL);
    }
    let mut found = found.iter();

    for alarms in [false, true] {
        let places = timers.iter_mut().zip(states);

        for (place, state) in places.filter(|(_, state)| is_alarm(state.clock) == alarms) {
            let timer = found.next().ok_or(EINVAL)?;

            // SAFETY: What was found is valid under RCU; the number of a timer does not change.
            if unsafe { bindings::checkpoint_timer_id(*timer) } != state.id {
                return Err(EINVAL);
            }
            *place = *timer;
        }
    }
    // SAFETY: The timers are those of the task, each of them once, and valid under RCU.
    unsafe { bindings::checkpoint_timers_order(task.as_ptr(), timers.as_mut_ptr(), max) };
    for (_, index) in &pending {
        let index = *index as usize;

        if let (Some(timer), Some(state)) = (timers.get(index), states.get(index)) {
            // SAFETY: The timer is valid under RCU; the helper locks it.
            unsafe { bindings::checkpoint_timer_queue(*timer, &raw const *state) };
        }
    }
    for (timer, state) in timers.iter().zip(states) {
        // SAFETY: As above. The caller keeps what the documentation demands.
        unsafe { bindings::checkpoint_timer_start(*timer, &raw const *state) };
    }
    Ok(())
}
