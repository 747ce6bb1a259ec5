// SPDX-License-Identifier: GPL-2.0

//! Timers of a process: timer_create(2).
//!
//! Kept: numbers, clocks, whom they tell and how, the interval, overruns, a signal that is pending
//! or ignored, and when a timer expires next. That is a moment for a timer on CLOCK_REALTIME that
//! was set to one, and for all on CLOCK_TAI and CLOCK_REALTIME_ALARM, which the kernel keeps so
//! however they were set; for all others it is what was left when the tree was frozen.
//! Not kept, and refused: timers for a thread, or on the CPU clock of a task, that is gone or not
//! in the tree.
//! Not kept: the signal of a timer that has been deleted, which nobody can take.
//!
//! The timers of a process are made by its leader, and started by the coordinator just before the
//! commit: until then all signals are blocked.
//!
//! C source: `kernel/time/posix-timers.c`

use crate::error::Result;
use crate::format::task as format;
use crate::format::task::PosixTimer;
use crate::format::task::PosixTimers;
use crate::format::ObjRef;
use crate::image;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::posix_timer::Timer;
use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;

/// SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD and SIGEV_THREAD_ID.
const NOTIFY: [u32; 4] = [0, SIGEV_NONE, 2, SIGEV_THREAD_ID];
const SIGEV_NONE: u32 = 1;
const SIGEV_THREAD_ID: u32 = 4;

/// The bits of a CPU clock that say which one it is; one of them, CLOCKFD, is none.
const CPU_CLOCK_MASK: i32 = 3;
const CPU_CLOCK_FD: i32 = 3;

/// No time of a timer is further in the past, in ns, and no count is greater: sums of them fit.
const MAX: i64 = 1 << 61;

/// Saves the timers of a process, after what is pending for it.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, process: ObjRef) -> Result {
    let timers = sys::posix_timer::get(task, &saver.ns)?;
    let (next_id, restore_ids) = sys::posix_timer::ids(task);
    let since = saver.since_frozen();
    let mut states = KVVec::with_capacity(timers.len(), GFP_KERNEL)?;

    if timers.is_empty() && next_id == 0 && !restore_ids {
        return Ok(());
    }
    for timer in &timers {
        check_timer(saver, timer)?;
        states.push(to_state(timer, since), GFP_KERNEL)?;
    }
    saver.out.record(
        &PosixTimers {
            process,
            timers: u32::try_from(states.len()).map_err(|_| E2BIG)?,
            next_id,
            restore_ids: u32::from(restore_ids),
        },
        &[states.as_slice().as_bytes()],
    )
}

/// Refuses a timer that cannot be made again.
fn check_timer(saver: &Saver<'_>, timer: &Timer) -> Result {
    let is_in_tree =
        |pid| sys::task::find_in(pid, &saver.ns).is_some_and(|task| saver.tree.has(&task));

    if timer.thread < 0 {
        return Err(saver.refuse(fmt!(
            "has a timer of timer_create(2) for a thread that has ended"
        )));
    }
    if timer.cpu != 0 && (timer.cpu < 0 || !is_in_tree(timer.cpu)) {
        return Err(saver.refuse(fmt!(
            "has a timer of timer_create(2) on the CPU clock of a task that is not in the tree"
        )));
    }
    if !clock_fits(timer.clock, timer.cpu) {
        return Err(saver.refuse(fmt!(
            "has a timer of timer_create(2) on a clock that is not supported: {}",
            timer.clock
        )));
    }
    Ok(())
}

/// Whether a timer can be on the clock, which is that of the task `cpu` if it is a CPU clock.
fn clock_fits(clock: i32, cpu: i32) -> bool {
    match u32::try_from(clock) {
        Ok(clock) => {
            cpu == 0
                && matches!(
                    clock,
                    bindings::CLOCK_REALTIME
                        | bindings::CLOCK_MONOTONIC
                        | bindings::CLOCK_BOOTTIME
                        | bindings::CLOCK_REALTIME_ALARM
                        | bindings::CLOCK_BOOTTIME_ALARM
                        | bindings::CLOCK_TAI
                )
        }
        Err(_) => {
            let named = !(clock >> 3);

            cpu > 0 && clock & CPU_CLOCK_MASK != CPU_CLOCK_FD && (named == 0 || named == cpu)
        }
    }
}

/// The state of a timer that was read `since` ns after the tree was frozen.
fn to_state(timer: &Timer, since: i64) -> PosixTimer {
    let runs = timer.flags & (format::POSIX_TIMER_ARMED | format::POSIX_TIMER_FIRED) != 0;
    // CPU clocks stand still while the tree is frozen.
    let is_relative = timer.flags & format::POSIX_TIMER_ABSOLUTE == 0 && timer.cpu == 0;
    let expires = match (runs, is_relative) {
        (false, _) => 0,
        (true, true) => timer.expires.saturating_add(since),
        (true, false) => timer.expires,
    };

    PosixTimer {
        id: timer.id,
        clock: timer.clock,
        notify: timer.notify,
        signal: timer.signal,
        value: timer.value,
        thread: timer.thread,
        cpu: timer.cpu,
        flags: timer.flags,
        position: timer.position,
        expires: expires.max(-MAX),
        interval: timer.interval,
        overrun: timer.overrun.min(MAX),
        overrun_last: timer.overrun_last.min(MAX),
    }
}

/// The timer that a state stands for.
fn to_timer(state: &PosixTimer) -> Timer {
    let PosixTimer {
        id,
        clock,
        notify,
        signal,
        value,
        thread,
        cpu,
        flags,
        position,
        expires,
        interval,
        overrun,
        overrun_last,
    } = *state;

    Timer {
        id,
        clock,
        notify,
        signal,
        value,
        thread,
        cpu,
        flags,
        position,
        expires,
        interval,
        overrun,
        overrun_last,
    }
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<PosixTimers>()?;
    let timers = image::all::<PosixTimer>(tail, state.timers)?;

    if state.restore_ids > 1
        || !timers
            .iter()
            .all(|timer| is_good(timer) && flags_fit(timer))
    {
        return Err(EINVAL.into());
    }
    Ok(state.process)
}

fn is_good(timer: &PosixTimer) -> bool {
    let signals = 1..=sys::signal::SIGNALS as i32;

    timer.id >= 0
        && clock_fits(timer.clock, timer.cpu)
        && NOTIFY.contains(&timer.notify)
        && (timer.notify == SIGEV_NONE || signals.contains(&timer.signal))
        && (timer.thread > 0) == (timer.notify == SIGEV_THREAD_ID)
        && timer.thread >= 0
        && timer.expires >= -MAX
        && timer.interval >= 0
        && (-1..=MAX).contains(&timer.overrun)
        && (-1..=MAX).contains(&timer.overrun_last)
}

/// Whether the kernel could have come to such a state.
fn flags_fit(timer: &PosixTimer) -> bool {
    let known = format::POSIX_TIMER_ARMED
        | format::POSIX_TIMER_FIRED
        | format::POSIX_TIMER_ABSOLUTE
        | format::POSIX_TIMER_QUEUED
        | format::POSIX_TIMER_IGNORED
        | format::POSIX_TIMER_STALE
        | format::POSIX_TIMER_PERIODIC;
    let has = |flag| timer.flags & flag != 0;
    let (armed, fired) = (
        has(format::POSIX_TIMER_ARMED),
        has(format::POSIX_TIMER_FIRED),
    );
    let (queued, ignored) = (
        has(format::POSIX_TIMER_QUEUED),
        has(format::POSIX_TIMER_IGNORED),
    );
    let (stale, periodic) = (
        has(format::POSIX_TIMER_STALE),
        has(format::POSIX_TIMER_PERIODIC),
    );
    let follows_setting = matches!(
        u32::try_from(timer.clock),
        Ok(bindings::CLOCK_REALTIME | bindings::CLOCK_REALTIME_ALARM | bindings::CLOCK_TAI)
    );
    let is_none = timer.notify == SIGEV_NONE;

    timer.flags & !known == 0
        && !(armed && fired)
        && !(queued && ignored)
        && (queued || ignored || !(stale || periodic))
        && !(is_none && (fired || ignored || queued))
        // What is taken starts the timer again if it has an interval, and only then.
        && (!(queued || ignored) || stale || (fired == (timer.interval != 0) && !armed))
        && (!ignored || periodic)
        && (!fired || timer.interval != 0)
        && (armed || fired || (timer.interval == 0 && timer.expires == 0))
        && (!queued || timer.signal != bindings::SIGKILL as i32)
        && (queued || timer.position == 0)
        && (!has(format::POSIX_TIMER_ABSOLUTE)
            || (follows_setting && (armed || fired) && timer.expires >= 0))
}

/// Makes the timers of the running process that can wake the machine, with the rights of the
/// restarter: what the process may now is something else. Called by its leader.
pub(crate) fn make_alarms(restart: &Restart, process: ObjRef) -> Result {
    make(restart, process, true)
}

/// Makes the other timers of the running process, and sets how it gives them numbers; called by its
/// leader after [`make_alarms`].
pub(crate) fn make_others(restart: &Restart, process: ObjRef) -> Result {
    make(restart, process, false)?;
    for record in restart.belonging::<PosixTimers>(process) {
        let (state, _) = record.parse::<PosixTimers>()?;
        let PosixTimers {
            process: _,
            timers: _,
            next_id,
            restore_ids,
        } = state;

        sys::posix_timer::set_ids(next_id, restore_ids != 0);
    }
    Ok(())
}

fn make(restart: &Restart, process: ObjRef, alarms: bool) -> Result {
    for record in restart.belonging::<PosixTimers>(process) {
        let (state, tail) = record.parse::<PosixTimers>()?;

        // The kernel puts what is made before what there is.
        for timer in image::all::<PosixTimer>(tail, state.timers)?.iter().rev() {
            if sys::posix_timer::is_alarm(timer.clock) != alarms {
                continue;
            }
            let wanted = Timer {
                thread: restart.tid(timer.thread)?,
                cpu: restart.tid(timer.cpu)?,
                ..to_timer(timer)
            };

            sys::posix_timer::create(&wanted).map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!(
                        "object {}: timer {} of timer_create(2)",
                        process.0,
                        timer.id
                    ),
                )
            })?;
        }
    }
    Ok(())
}

/// Starts the timers of a process; called by the coordinator, before any task runs its own code.
pub(crate) fn start(restart: &Restart, task: &Task, process: ObjRef) -> Result {
    for record in restart.belonging::<PosixTimers>(process) {
        let (state, tail) = record.parse::<PosixTimers>()?;
        let mut timers = KVVec::new();

        for timer in &image::all::<PosixTimer>(tail, state.timers)? {
            timers.push(to_timer(timer), GFP_KERNEL)?;
        }
        sys::posix_timer::start(task, &timers)?;
    }
    Ok(())
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[kunit_tests(checkpoint_posix_timer)]
mod tests {
    use super::*;

    fn is_fine(change: impl FnOnce(&mut PosixTimer)) -> bool {
        let mut timer = PosixTimer {
            id: 3,
            clock: bindings::CLOCK_MONOTONIC as i32,
            signal: 14,
            flags: format::POSIX_TIMER_ARMED,
            expires: 1,
            interval: 1,
            overrun: -1,
            ..zerocopy::FromZeros::new_zeroed()
        };

        change(&mut timer);
        is_good(&timer) && flags_fit(&timer)
    }

    #[test]
    fn takes_what_can_be() {
        assert!(is_fine(|_| ()));
        assert!(is_fine(|timer| {
            timer.flags = format::POSIX_TIMER_FIRED
                | format::POSIX_TIMER_QUEUED
                | format::POSIX_TIMER_PERIODIC;
            timer.expires = -5;
            timer.position = 2;
        }));
        assert!(is_fine(|timer| {
            timer.clock = !7 << 3 | 2;
            timer.cpu = 7;
        }));
        assert!(is_fine(|timer| {
            timer.clock = -2;
            timer.cpu = 7;
        }));
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert!(!is_fine(|timer| timer.id = -1));
        assert!(!is_fine(|timer| timer.clock = 4));
        assert!(!is_fine(|timer| timer.clock = -1));
        assert!(!is_fine(|timer| timer.cpu = 1));
        assert!(!is_fine(|timer| timer.notify = 3));
        assert!(!is_fine(|timer| timer.notify = SIGEV_THREAD_ID));
        assert!(!is_fine(|timer| timer.signal = 0));
        assert!(!is_fine(|timer| timer.expires = i64::MIN));
        assert!(!is_fine(|timer| timer.overrun = i64::MAX));
        assert!(!is_fine(|timer| timer.flags |= format::POSIX_TIMER_FIRED));
        assert!(!is_fine(|timer| timer.flags |= format::POSIX_TIMER_QUEUED));
        assert!(!is_fine(|timer| timer.flags |= format::POSIX_TIMER_ABSOLUTE));
        assert!(!is_fine(|timer| timer.flags = 0));
        assert!(!is_fine(|timer| timer.flags |= 0x80));
    }
}
