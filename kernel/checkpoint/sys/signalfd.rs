// SPDX-License-Identifier: GPL-2.0

//! Signals that are read: signalfd(2).
//!
//! C source: `fs/signalfd.c`

use super::fdtable;
use super::file::FileRef;
use super::signal::from_set;
use super::signal::to_set;
use kernel::bindings;
use kernel::fs::File;
use kernel::prelude::*;

/// The mask; none if the file is something else.
pub(crate) fn get(file: &File) -> Option<u64> {
    let mut mask = bindings::sigset_t::default();

    // SAFETY: The file is referenced; the function checks that it is a signalfd.
    match unsafe { bindings::checkpoint_signalfd_get(file.as_ptr(), &raw mut mask) } {
        0 => Some(from_set(&mask)),
        _ => None,
    }
}

/// Makes a signalfd, with the `O_*` flags of one.
pub(crate) fn create(mask: u64, flags: u32) -> Result<FileRef> {
    let mut mask = to_set(mask);
    let cloexec = flags & bindings::O_CLOEXEC;

    // SAFETY: The mask is valid; the function gives a new descriptor of the running task or an
    // errno.
    let file = fdtable::take(unsafe { bindings::do_signalfd4(-1, &raw mut mask, cloexec as i32) })?;

    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_set_flags(file.as_ptr(), flags) };
    Ok(file)
}

/// The identity of the handlers ([`super::signal::handlers_key`]) that a queue belongs to on which
/// the users of a signalfd wait.
pub(crate) fn handlers_of(queue: usize) -> usize {
    queue.wrapping_sub(core::mem::offset_of!(
        bindings::sighand_struct,
        signalfd_wqh
    ))
}
