// SPDX-License-Identifier: GPL-2.0

//! Event counters.
//!
//! C source: `fs/eventfd.c`

use super::fdtable;
use super::file::FileRef;
use kernel::bindings;
use kernel::fs::File;
use kernel::prelude::*;

/// What an event counter holds.
pub(crate) struct State {
    /// The counter.
    pub(crate) count: u64,
    /// Whether a read takes one from the counter (`EFD_SEMAPHORE`).
    pub(crate) semaphore: bool,
}

/// Reads the counter; none if the file is something else.
pub(crate) fn get(file: &File) -> Option<State> {
    let mut state = bindings::checkpoint_eventfd::default();

    // SAFETY: The file is referenced; the function checks that it is an eventfd.
    match unsafe { bindings::checkpoint_eventfd_get(file.as_ptr(), &raw mut state) } {
        0 => Some(State {
            count: state.count,
            semaphore: state.flags != 0,
        }),
        _ => None,
    }
}

/// Makes an eventfd, with the `O_*` flags of an eventfd.
pub(crate) fn create(state: &State, flags: u32) -> Result<FileRef> {
    let State { count, semaphore } = *state;
    let raw = bindings::checkpoint_eventfd {
        count,
        flags: if semaphore {
            bindings::EFD_SEMAPHORE
        } else {
            0
        },
    };
    let cloexec = flags & bindings::O_CLOEXEC;

    // SAFETY: The state is valid; the function gives a new descriptor of the running task or an
    // errno.
    let file =
        fdtable::take(unsafe { bindings::checkpoint_do_eventfd(&raw const raw, cloexec as i32) })?;

    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_set_flags(file.as_ptr(), flags) };
    Ok(file)
}
