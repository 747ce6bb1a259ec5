// SPDX-License-Identifier: GPL-2.0

//! Clocks, and the system calls that wait for them.
//!
//! C headers: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h),
//! [`include/linux/restart_block.h`](srctree/include/linux/restart_block.h)

use super::freeze::Frozen;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// CLOCK_REALTIME, CLOCK_MONOTONIC and CLOCK_BOOTTIME of one moment, in ns.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) realtime: i64,
    pub(crate) monotonic: i64,
    pub(crate) boottime: i64,
}

/// Reads the clocks.
pub(crate) fn now() -> Now {
    // SAFETY: The functions may be called in any context.
    unsafe {
        Now {
            realtime: bindings::checkpoint_clock(bindings::CLOCK_REALTIME as i32),
            monotonic: bindings::checkpoint_clock(bindings::CLOCK_MONOTONIC as i32),
            boottime: bindings::checkpoint_clock(bindings::CLOCK_BOOTTIME as i32),
        }
    }
}

/// What an interrupted system call waits for: `struct restart_block` without its pointers to
/// code, times in ns on the clock that they are of.
pub(crate) use bindings::checkpoint_restart_block as RestartBlock;

/// The restart block of a parked task; none if none is in use. `EOPNOTSUPP`: it is of a system
/// call that is not supported.
pub(crate) fn restart_block(task: &Frozen) -> Result<Option<RestartBlock>> {
    let mut block = RestartBlock::default();

    // SAFETY: The task is parked, so that its restart block does not change.
    match unsafe { bindings::checkpoint_get_restart_block(task.as_ptr(), &raw mut block) } {
        0 => Ok(None),
        1 => Ok(Some(block)),
        error => Err(Error::from_errno(error)),
    }
}

/// Sets the restart block of the running task; the time left counts from now. With `again` that has
/// been done before, and rights are not asked for any more.
pub(crate) fn set_restart_block(block: &RestartBlock, again: bool) -> Result {
    // SAFETY: The helper sets the running task's own; the addresses are followed by user access.
    to_result(unsafe { bindings::checkpoint_set_restart_block(&raw const *block, again) })
}
