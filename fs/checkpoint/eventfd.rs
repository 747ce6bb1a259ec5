// SPDX-License-Identifier: GPL-2.0

//! Event counters: eventfd(2).
//!
//! Kept: the counter, up to the overflow that only the kernel can bring about, EFD_SEMAPHORE, the
//! flags.
//!
//! C source: `fs/eventfd.c`

use super::FileKind;
use crate::error::Result;
use crate::format::file::EventFile;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use kernel::fs::file::flags;
use kernel::prelude::*;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "an eventfd",
    record: EventFile::KIND,
    is: is_eventfd,
    save,
    restore,
};

/// [`EventFile::flags`]: `EFD_SEMAPHORE`.
const SEMAPHORE: u32 = 1;

fn is_eventfd(file: &FileRef) -> bool {
    sys::eventfd::get(file).is_some()
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let sys::eventfd::State { count, semaphore } = sys::eventfd::get(file).ok_or(EINVAL)?;
    let state = EventFile {
        open: super::save_open(saver, file)?,
        count,
        flags: if semaphore { SEMAPHORE } else { 0 },
        reserved: 0,
    };

    saver.out.object(&state, &[])
}

/// Checks a record before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>, _kind_of: &dyn Fn(ObjRef) -> Option<u16>) -> Result {
    let (state, tail) = record.parse::<EventFile>()?;
    let EventFile {
        open,
        count: _,
        flags,
        reserved,
    } = state;

    if super::open_flags(&open)? & flags::O_ACCMODE != flags::O_RDWR
        || open.pos != 0
        || flags & !SEMAPHORE != 0
        || reserved != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<EventFile>(number)?;
    let EventFile {
        open,
        count,
        flags,
        reserved: _,
    } = state;
    let state = sys::eventfd::State {
        count,
        semaphore: flags & SEMAPHORE != 0,
    };

    Ok(sys::eventfd::create(&state, super::open_flags(&open)?)?)
}
