// SPDX-License-Identifier: GPL-2.0

//! Reservations of huge pages (hugetlb).
//!
//! Kept: which pages of a file are there or reserved, so that nobody gets `SIGBUS` who could count
//! on a page; and that a private mapping has its pages reserved, or, in a child, has not.
//! Refused: a child that has lost pages to the process that made the mapping, since it is killed
//! where it touches one.
//!
//! Pages are saved as so many small ones. One that is there comes back, even if it holds zeros.
//!
//! C function: `hugetlb_reserve_pages()`

use crate::error::Result;
use crate::format::file::Unnamed;
use crate::format::memory::HugeReserve;
use crate::format::memory::Range;
use crate::format::namespace::ShmSegment;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys::file::FileRef;
use crate::sys::hugetlb;
use kernel::prelude::*;

/// Log2 of bytes that a huge page can have.
pub(crate) fn is_shift(shift: u32) -> bool {
    shift > crate::sys::page::SHIFT && shift < 48
}

/// Saves what is reserved for a file, if its pages are huge.
pub(crate) fn save(saver: &mut Saver<'_>, file: &FileRef, owner: ObjRef) -> Result {
    let mut ranges = KVVec::new();
    let mut from = 0;

    if hugetlb::shift(file) == 0 {
        return Ok(());
    }
    while let Some((start, end)) = hugetlb::next_reserved(file, from) {
        ranges.push(Range { start, end }, GFP_KERNEL)?;
        from = end;
    }
    saver.out.record(
        &HugeReserve {
            owner,
            count: u32::try_from(ranges.len()).map_err(|_| E2BIG)?,
        },
        &[ranges.as_slice().as_bytes()],
    )
}

/// Checks the record; gives the file that it is about.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<HugeReserve>()?;
    let mut free = 0;

    if !matches!(kind_of(state.owner), Some(Unnamed::KIND | ShmSegment::KIND)) {
        return Err(EINVAL.into());
    }
    for range in &image::all::<Range>(tail, state.count)? {
        if range.start < free || range.start >= range.end || range.end > i64::MAX as u64 >> 12 {
            return Err(EINVAL.into());
        }
        free = range.end;
    }
    Ok(state.owner)
}

/// Reserves what a file had, which is new.
pub(crate) fn restore(restart: &Restart, file: &FileRef, owner: ObjRef) -> Result {
    for record in restart.belonging::<HugeReserve>(owner) {
        let (HugeReserve { owner: _, count }, tail) = record.parse::<HugeReserve>()?;

        for Range { start, end } in image::all::<Range>(tail, count)? {
            hugetlb::reserve(file, start, end).map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!(
                        "object {}: cannot reserve {} huge pages",
                        owner.0,
                        end.saturating_sub(start)
                    ),
                )
            })?;
        }
    }
    Ok(())
}
