// SPDX-License-Identifier: GPL-2.0

//! Files, directories and devices that are found again by their path.
//!
//! Kept: the path, the flags, the position. The content of a file is the user's business: a
//! snapshot of the file system belongs between the save and the thaw.
//! Not kept, and refused: what has lost its name; devices other than those of [`DEVICES`]; files
//! of the kernel's own file systems (procfs, sysfs ...), whose content depends on who reads them.
//!
//! C functions: `d_path()`, `file_open_root()`

use super::FileKind;
use crate::error::Result;
use crate::format::file::PathFile;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use kernel::bindings;
use kernel::prelude::*;
use kernel::str::CString;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "a file with a path",
    record: PathFile::KIND,
    is: is_path,
    save,
    restore,
};

const S_IFMT: u32 = 0o170000;
const S_IFREG: u32 = 0o100000;
const S_IFDIR: u32 = 0o040000;
const S_IFCHR: u32 = 0o020000;

/// The memory devices that have no state (`drivers/char/mem.c`, minors of major 1): null, zero,
/// full, random, urandom.
const DEVICES: [u32; 5] = [3, 5, 7, 8, 9];
const MINOR_BITS: u32 = 20;

fn is_memory(rdev: u32) -> bool {
    rdev >> MINOR_BITS == 1 && DEVICES.contains(&(rdev & ((1 << MINOR_BITS) - 1)))
}

/// Terminals: virtual consoles and serial lines, /dev/tty and /dev/console, pseudo-terminals.
fn is_tty(rdev: u32) -> bool {
    matches!(rdev >> MINOR_BITS, 4 | 5 | 136..=143)
}

fn is_path(file: &FileRef) -> bool {
    let status = sys::file::status(file);

    match status.mode & S_IFMT {
        S_IFREG | S_IFDIR => sys::file::is_on_disk(file),
        S_IFCHR => is_memory(status.rdev),
        _ => false,
    }
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    if sys::file::is_unlinked(file) {
        return Err(saver.refuse(fmt!("{}: the file has been deleted", &*saver.name_of(file))));
    }
    let status = sys::file::status(file);
    let name = saver.path_name(&Path::of(file))?;
    let state = PathFile {
        open: super::save_open(saver, file)?,
        mode: status.mode,
        rdev: status.rdev,
    };

    saver.out.object(&state, &[name.to_bytes()])
}

/// Checks the record.
pub(super) fn check(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<PathFile>()?;

    super::open_flags(&state.open)?;
    path_name(tail)?;
    match state.mode & S_IFMT {
        S_IFREG | S_IFDIR if state.open.pos >= 0 => Ok(()),
        S_IFCHR if state.open.pos >= 0 && (is_memory(state.rdev) || is_tty(state.rdev)) => Ok(()),
        _ => Err(EINVAL.into()),
    }
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, tail) = restart.record::<PathFile>(number)?;
    let PathFile { open, mode, rdev } = state;
    let flags = super::open_flags(&open)?;
    let name = path_name(tail)?;
    let file = restart
        .root()
        .open(&name, flags | bindings::O_NOCTTY)
        .map_err(|errno| restart.log.error(errno, fmt!("{}: cannot open it", &*name)))?;
    let status = sys::file::status(&file);

    if (status.mode ^ mode) & S_IFMT != 0 || status.rdev != rdev {
        return Err(restart
            .log
            .error(EINVAL, fmt!("{}: it is not what it was any more", &*name)));
    }
    if open.pos != 0 {
        sys::file::seek(&file, open.pos)?;
    }
    Ok(file)
}

/// A string from an image, without zeros in it.
pub(super) fn c_string(bytes: &[u8]) -> Result<CString> {
    let mut name = KVec::with_capacity(bytes.len().checked_add(1).ok_or(EINVAL)?, GFP_KERNEL)?;

    name.extend_from_slice(bytes, GFP_KERNEL)?;
    name.push(0, GFP_KERNEL)?;
    let name = kernel::str::CStr::from_bytes_with_nul(&name).map_err(|_| EINVAL)?;
    Ok(CString::try_from(name)?)
}

/// A path from an image: not empty, absolute, and without zeros in it.
pub(crate) fn path_name(bytes: &[u8]) -> Result<CString> {
    if bytes.first() != Some(&b'/') || bytes.len() >= sys::file::PATH_MAX {
        return Err(EINVAL.into());
    }
    c_string(bytes)
}
