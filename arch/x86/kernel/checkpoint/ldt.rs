// SPDX-License-Identifier: GPL-2.0

//! Local descriptor tables.
//!
//! Kept: every entry that modify_ldt(2) has made. The table belongs to the address space.
//!
//! C source: `arch/x86/kernel/ldt.c`

use crate::error::Result;
use crate::format::memory::Ldt;
use crate::format::ObjRef;
use crate::image;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::mm::Mm;
use kernel::prelude::*;

/// How many entries a table may have.
const ENTRIES_MAX: u32 = 8192;

/// Saves the table of an address space, if it has one.
pub(crate) fn save(saver: &mut Saver<'_>, mm: &Mm, number: ObjRef) -> Result {
    let entries = sys::ldt::get(mm)?;

    if entries.is_empty() {
        return Ok(());
    }
    saver.out.record(
        &Ldt {
            mm: number,
            entries: u32::try_from(entries.len()).map_err(|_| EINVAL)?,
        },
        &[entries.as_slice().as_bytes()],
    )
}

/// Checks the record. The entries are checked when they are set.
pub(super) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (Ldt { mm, entries }, tail) = record.parse::<Ldt>()?;

    if !(1..=ENTRIES_MAX).contains(&entries) {
        return Err(EINVAL.into());
    }
    image::all::<u64>(tail, entries)?;
    Ok(mm)
}

/// Gives the running task's address space, which is new, its table.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result {
    for record in restart.belonging::<Ldt>(number) {
        let (Ldt { mm: _, entries }, tail) = record.parse::<Ldt>()?;

        sys::ldt::set(&image::all::<u64>(tail, entries)?).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!("object {}: its local descriptor table", number.0),
            )
        })?;
    }
    Ok(())
}
