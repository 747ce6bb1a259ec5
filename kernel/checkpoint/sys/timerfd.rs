// SPDX-License-Identifier: GPL-2.0

//! Timers that are read: timerfd_create(2).
//!
//! C source: `fs/timerfd.c`

use super::fdtable;
use super::file::FileRef;
use kernel::bindings;
use kernel::fs::File;
use kernel::prelude::*;

/// What a timerfd is.
pub(crate) use bindings::checkpoint_timerfd as State;

/// Reads the timer; none if the file is something else.
pub(crate) fn get(file: &File) -> Option<State> {
    let mut state = State::default();

    // SAFETY: The file is referenced; the function checks that it is a timerfd.
    match unsafe { bindings::checkpoint_timerfd_get(file.as_ptr(), &raw mut state) } {
        0 => Some(state),
        _ => None,
    }
}

/// Makes a timerfd on a clock, with the `O_*` flags of one. `EPERM`: the running task may not wake
/// the machine.
pub(crate) fn create(clock: i32, flags: u32) -> Result<FileRef> {
    let cloexec = flags & bindings::O_CLOEXEC;

    // SAFETY: The function checks its arguments, and gives a new descriptor of the running task
    // or an errno.
    let file = fdtable::take(unsafe { bindings::do_timerfd_create(clock, cloexec as i32) })?;

    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_set_flags(file.as_ptr(), flags) };
    Ok(file)
}

/// Sets what a timerfd is that [`create`] has made, on the same clock. With `start` it runs, if it
/// is armed. It must not be armed and expired at once.
pub(crate) fn set(file: &File, state: &State, start: bool) {
    // SAFETY: The file is referenced, and was made by `create` as the documentation demands.
    unsafe { bindings::checkpoint_timerfd_set(file.as_ptr(), &raw const *state, start) };
}
