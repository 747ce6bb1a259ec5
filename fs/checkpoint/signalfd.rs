// SPDX-License-Identifier: GPL-2.0

//! Signals that are read: signalfd(2).
//!
//! Kept: the mask and the flags. The signals themselves belong to the processes, and which process
//! an epoll set waits for belongs to the set.
//!
//! C source: `fs/signalfd.c`

use super::FileKind;
use crate::error::Result;
use crate::format::file::SignalFile;
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
    name: "a signalfd",
    record: SignalFile::KIND,
    is: is_signalfd,
    save,
    restore,
};

fn is_signalfd(file: &FileRef) -> bool {
    sys::signalfd::get(file).is_some()
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let state = SignalFile {
        open: super::save_open(saver, file)?,
        mask: sys::signalfd::get(file).ok_or(EINVAL)?,
    };

    saver.signalfds.push(sys::file::key(file), GFP_KERNEL)?;
    saver.out.object(&state, &[])
}

/// Checks a record before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>) -> Result {
    // SIGKILL and SIGSTOP of a mask have no effect.
    let (SignalFile { open, mask: _ }, tail) = record.parse::<SignalFile>()?;

    if super::open_flags(&open)? & flags::O_ACCMODE != flags::O_RDWR
        || open.pos != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (SignalFile { open, mask }, _) = restart.record::<SignalFile>(number)?;

    Ok(sys::signalfd::create(mask, super::open_flags(&open)?)?)
}
