// SPDX-License-Identifier: GPL-2.0

//! Timers that are read: timerfd_create(2).
//!
//! Kept: the clock, the flags, the interval, expirations that were not read, and when the next one
//! is: for an absolute timer of CLOCK_REALTIME the moment, otherwise what was left when the tree
//! was frozen. A timer runs from the end of a restart on.
//!
//! A timer with TFD_TIMER_CANCEL_ON_SET is canceled if it was, or if the clock was set between
//! checkpoint and restart, which is also so after a reboot and on another machine.
//!
//! C source: `fs/timerfd.c`

use super::FileKind;
use crate::error::Result;
use crate::format::file as format;
use crate::format::file::TimerFile;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::timerfd::State;
use kernel::bindings;
use kernel::fs::file::flags;
use kernel::prelude::*;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "a timerfd",
    record: TimerFile::KIND,
    is: is_timerfd,
    save,
    restore,
};

fn is_timerfd(file: &FileRef) -> bool {
    sys::timerfd::get(file).is_some()
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let open = super::save_open(saver, file)?;
    let timer = sys::timerfd::get(file).ok_or(EINVAL)?;
    let flag = |set, flag| if set { flag } else { 0 };
    let state = TimerFile {
        open,
        clock: u32::try_from(timer.clockid).map_err(|_| EINVAL)?,
        settime_flags: timer.settime_flags,
        flags: flag(timer.absolute, format::TIMER_ABSOLUTE)
            | flag(timer.armed, format::TIMER_ARMED)
            | flag(timer.expired, format::TIMER_EXPIRED)
            | flag(timer.cancelable, format::TIMER_CANCELABLE),
        reserved: 0,
        ticks: timer.ticks,
        expires: if timer.absolute {
            timer.expires
        } else {
            timer.expires.saturating_add(saver.since_frozen())
        },
        interval: timer.interval,
        moffs: timer.moffs,
    };

    saver.out.object(&state, &[])
}

/// Checks a record before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<TimerFile>()?;
    let known = format::TIMER_ABSOLUTE
        | format::TIMER_ARMED
        | format::TIMER_EXPIRED
        | format::TIMER_CANCELABLE;
    let has = |flag| state.flags & flag != 0;
    let follows_realtime = matches!(
        state.clock,
        bindings::CLOCK_REALTIME | bindings::CLOCK_REALTIME_ALARM
    );
    let clock_fits = follows_realtime
        || matches!(
            state.clock,
            bindings::CLOCK_MONOTONIC | bindings::CLOCK_BOOTTIME | bindings::CLOCK_BOOTTIME_ALARM
        );

    if super::open_flags(&state.open)? & flags::O_ACCMODE != flags::O_RDWR
        || state.open.pos != 0
        || !clock_fits
        || state.settime_flags & !SETTIME_FLAGS != 0
        || state.flags & !known != 0
        || (has(format::TIMER_ARMED) && has(format::TIMER_EXPIRED))
        || ((has(format::TIMER_ABSOLUTE) || has(format::TIMER_CANCELABLE)) && !follows_realtime)
        || (has(format::TIMER_ABSOLUTE) && state.expires < 0)
        || state.expires == i64::MIN
        || state.interval < 0
        || (!has(format::TIMER_CANCELABLE) && state.moffs != 0)
        || state.reserved != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// `TFD_TIMER_ABSTIME` and `TFD_TIMER_CANCEL_ON_SET`.
const SETTIME_FLAGS: u32 = 3;

/// The timer that a record stands for.
fn timer(state: TimerFile) -> Result<State> {
    let TimerFile {
        open: _,
        clock,
        settime_flags,
        flags,
        reserved: _,
        ticks,
        expires,
        interval,
        moffs,
    } = state;

    Ok(State {
        clockid: i32::try_from(clock).map_err(|_| EINVAL)?,
        settime_flags,
        absolute: flags & format::TIMER_ABSOLUTE != 0,
        armed: flags & format::TIMER_ARMED != 0,
        expired: flags & format::TIMER_EXPIRED != 0,
        cancelable: flags & format::TIMER_CANCELABLE != 0,
        ticks,
        expires,
        interval,
        moffs,
    })
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<TimerFile>(number)?;
    let flags = super::open_flags(&state.open)?;
    let timer = timer(state)?;
    let file = sys::timerfd::create(timer.clockid, flags)?;

    // An epoll set that is made meanwhile finds what there is to be read.
    sys::timerfd::set(&file, &timer, false);
    Ok(file)
}

/// Starts all timers.
pub(crate) fn start_all(restart: &Restart) -> Result {
    for record in restart.records::<TimerFile>() {
        let (state, _) = record.parse::<TimerFile>()?;

        sys::timerfd::set(&*restart.file(record.object)?, &timer(state)?, true);
    }
    Ok(())
}
