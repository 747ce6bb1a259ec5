// SPDX-License-Identifier: GPL-2.0

//! Permissions to use I/O ports.
//!
//! Kept: the level of iopl(2), the bitmap of ioperm(2). Tasks can share a bitmap until one of them
//! changes it; after a restart each has its own, which no program can tell. They are set with the
//! checks of the system calls.
//!
//! C source: `arch/x86/kernel/ioport.c`

use crate::error::Result;
use crate::format::x86::IoPermissions;
use crate::format::ObjRef;
use crate::image;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys::freeze::Frozen;
use crate::sys::ioport;
use kernel::prelude::*;

/// How many bits a word of the bitmap has.
const BITS: u32 = u64::BITS;

/// How many words a bitmap has.
const WORDS: u32 = 0x1_0000 / BITS;

/// The highest level of iopl(2).
const LEVEL_MAX: u32 = 3;

/// Saves what the task may use, if that is anything.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let (level, bitmap) = ioport::get(task)?;

    if level == 0 && bitmap.is_empty() {
        return Ok(());
    }
    saver.out.record(
        &IoPermissions {
            task: number,
            level,
            words: u32::try_from(bitmap.len()).map_err(|_| EINVAL)?,
            reserved: 0,
        },
        &[bitmap.as_slice().as_bytes()],
    )
}

/// Checks the record.
pub(super) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<IoPermissions>()?;
    let bitmap = image::all::<u64>(tail, state.words)?;

    if state.level > LEVEL_MAX
        || state.words > WORDS
        || (state.level == 0 && state.words == 0)
        || bitmap.last() == Some(&u64::MAX)
        || state.reserved != 0
    {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// Lets the running task, which may use nothing, use what it did, if the restarter may.
pub(super) fn restore(restart: &Restart, number: ObjRef) -> Result {
    for record in restart.belonging::<IoPermissions>(number) {
        let (state, tail) = record.parse::<IoPermissions>()?;
        let IoPermissions {
            task: _,
            level,
            words,
            reserved: _,
        } = state;
        let bitmap = image::all::<u64>(tail, words)?;

        ioport::set_iopl(level)
            .and_then(|()| permit(&bitmap))
            .map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!(
                        "object {}: you may not use I/O ports (CAP_SYS_RAWIO)",
                        number.0
                    ),
                )
            })?;
    }
    Ok(())
}

/// Permits the ports whose bits are not set, a run of them at a time.
fn permit(bitmap: &[u64]) -> core::result::Result<(), Error> {
    let mut from = None;
    let ports = bitmap
        .iter()
        .flat_map(|&word| (0..BITS).map(move |bit| word >> bit & 1 == 0));

    for (port, permitted) in (0u32..).zip(Iterator::chain(ports, [false])) {
        match (from, permitted) {
            (None, true) => from = Some(port),
            (Some(first), false) => {
                ioport::ioperm(first, port.saturating_sub(first))?;
                from = None;
            }
            _ => (),
        }
    }
    Ok(())
}
