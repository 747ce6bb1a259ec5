// SPDX-License-Identifier: GPL-2.0

//! Permissions to use I/O ports, of x86.
//!
//! C source: `arch/x86/kernel/ioport.c`

use super::freeze::Frozen;
use core::ptr;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// The level of iopl(2), and the bitmap of ioperm(2) up to the last word that permits a port.
pub(crate) fn get(task: &Frozen) -> Result<(u32, KVVec<u64>)> {
    let mut bitmap = ptr::null();
    let mut longs = 0;
    let mut words = KVVec::new();
    // SAFETY: The task is referenced.
    let level = unsafe { bindings::checkpoint_io(task.as_ptr(), &raw mut bitmap, &raw mut longs) };

    for i in 0..longs as usize {
        // SAFETY: The bitmap belongs to the parked task, which does not change it, and has so many
        // words.
        words.push(unsafe { *bitmap.add(i) } as u64, GFP_KERNEL)?;
    }
    Ok((level, words))
}

/// iopl(2) of the running task, which has no level.
pub(crate) fn set_iopl(level: u32) -> Result {
    // SAFETY: The helper works on the running task, and checks its rights and the level.
    to_result(unsafe { bindings::checkpoint_set_iopl(level) })
}

/// Permits ports to the running task (`ioperm`).
pub(crate) fn ioperm(from: u32, count: u32) -> Result {
    // SAFETY: The function works on the running task, and checks its rights and the numbers.
    to_result(unsafe { bindings::ksys_ioperm(from as usize, count as usize, 1) } as i32)
}
