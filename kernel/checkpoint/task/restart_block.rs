// SPDX-License-Identifier: GPL-2.0

//! System calls that go on with the time that was left: `struct restart_block`.
//!
//! Kept: nanosleep(2), clock_nanosleep(2), poll(2) and futex(2), as what they mean: an interval
//! instead of a moment, a name instead of a pointer to code.
//! Not kept, and refused: sleeping on the CPU clock of another process.

use crate::error::Result;
use crate::format::task as format;
use crate::format::task::RestartBlock;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use kernel::prelude::*;

/// Saves what the task waits for, if it has to be told when it goes on.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let block = sys::time::restart_block(task).map_err(|errno| {
        saver.log.error(
            errno,
            fmt!(
                "pid {}: sleeps on a clock that is not supported",
                task.pid()
            ),
        )
    })?;
    let Some(block) = block else {
        return Ok(());
    };

    // CPU clocks stand still while the tree is frozen.
    let left = if block.call == format::RESTART_CPU {
        block.left
    } else {
        block.left.saturating_add(saver.since_frozen())
    };

    saver.out.record(
        &RestartBlock {
            task: number,
            call: block.call,
            arg: block.arg,
            value: block.value,
            bitset: block.bitset,
            rem_type: block.rem_type,
            addr: block.addr,
            addr2: block.addr2,
            left,
            reserved: 0,
        },
        &[],
    )
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<RestartBlock>()?;

    if state.reserved != 0
        || !(format::RESTART_NANOSLEEP..=format::RESTART_CPU).contains(&state.call)
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// Sets the restart block of the running task, as far as that can fail.
pub(super) fn restore(restart: &Restart, number: ObjRef) -> Result {
    for record in restart.belonging::<RestartBlock>(number) {
        let (state, _) = record.parse::<RestartBlock>()?;

        sys::time::set_restart_block(&to_block(state), false)?;
    }
    Ok(())
}

/// Lets what is left count from now: the time that a restart takes does not count. CPU clocks have
/// been set to what they showed since the block was.
pub(super) fn start(restart: &Restart, number: ObjRef) -> Result {
    for record in restart.belonging::<RestartBlock>(number) {
        let (state, _) = record.parse::<RestartBlock>()?;

        sys::time::set_restart_block(&to_block(state), true)?;
    }
    Ok(())
}

fn to_block(state: RestartBlock) -> sys::time::RestartBlock {
    let RestartBlock {
        task: _,
        call,
        arg,
        value,
        bitset,
        rem_type,
        addr,
        addr2,
        left,
        reserved: _,
    } = state;

    sys::time::RestartBlock {
        call,
        arg,
        value,
        bitset,
        rem_type,
        addr,
        addr2,
        left,
    }
}
