// SPDX-License-Identifier: GPL-2.0

//! Timers of a process: setitimer(2), alarm(2).
//!
//! Kept: what was left when the tree was frozen, and the interval.
//!
//! A timer starts when its process is let go, so that neither the time on disk nor that of the
//! restart counts. What a timer has sent before the tree was frozen is a pending signal.
//!
//! C source: `kernel/time/itimer.c`

use crate::error::Result;
use crate::format::task::IntervalTimers;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use kernel::bindings;
use kernel::prelude::*;

/// Saves the timers of setitimer(2), which were read with the pending signals of the process.
pub(super) fn save_itimers(
    saver: &mut Saver<'_>,
    process: ObjRef,
    timers: &sys::timer::IntervalTimers,
) -> Result {
    let mut left = timers.left;
    let interval = timers.interval;

    if left == [0; 3] && interval == [0; 3] {
        return Ok(());
    }
    // CPU clocks stand still while a process is frozen.
    if let Some(left) = left.get_mut(bindings::ITIMER_REAL as usize) {
        if *left != 0 {
            *left = left.saturating_add(saver.since_frozen());
        }
    }
    saver.out.record(
        &IntervalTimers {
            process,
            reserved: 0,
            left,
            interval,
        },
        &[],
    )
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<IntervalTimers>()?;
    let is_negative = |times: &[i64]| times.iter().any(|&time| time < 0);

    if state.reserved != 0
        || is_negative(&state.left)
        || is_negative(&state.interval)
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(state.process)
}

/// Starts the timers of the running process; called by its leader.
pub(super) fn start(restart: &Restart, process: ObjRef) -> Result {
    for record in restart.belonging::<IntervalTimers>(process) {
        let (state, _) = record.parse::<IntervalTimers>()?;
        let IntervalTimers {
            process: _,
            reserved: _,
            left,
            interval,
        } = state;

        sys::timer::set_itimers(&sys::timer::IntervalTimers { left, interval });
    }
    Ok(())
}
