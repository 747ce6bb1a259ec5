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
    left[0] = real(left[0], interval[0], saver.since_frozen());
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

/// What was left of ITIMER_REAL when the tree was frozen, `since` ns ago.
fn real(left: i64, interval: i64, since: i64) -> i64 {
    match left {
        0 => 0,
        1.. => left.saturating_add(since),
        // Only its place in the rhythm counts.
        _ => left
            .saturating_add(since)
            .min(-1)
            .saturating_add(1)
            .checked_rem(interval)
            .map_or(0, |past| past.saturating_sub(1)),
    }
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<IntervalTimers>()?;
    let is_negative = |times: &[i64]| times.iter().any(|&time| time < 0);
    let ([real, others @ ..], [interval, ..]) = (&state.left, &state.interval);

    if state.reserved != 0
        || is_negative(others)
        || is_negative(&state.interval)
        || *real < interval.saturating_neg()
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
