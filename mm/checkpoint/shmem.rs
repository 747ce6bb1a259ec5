// SPDX-License-Identifier: GPL-2.0

//! Shared memory without a name (MAP_SHARED | MAP_ANONYMOUS).
//!
//! It is a file of tmpfs that nobody can open, which all who inherited the mapping share.
//!
//! C function: `shmem_zero_setup()`

use super::mempolicy;
use super::pages;
use super::pages::Run;
use crate::error::Result;
use crate::format::memory::Shmem;
use crate::format::memory::VMA_NORESERVE;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::object::Class;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use kernel::prelude::*;

/// Saves the memory, unless it is known already.
pub(super) fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let (key, size) = sys::shmem::key_and_size(file);

    if let Some(number) = saver.objects.refer(Class::Shmem, key) {
        return Ok(number);
    }
    let flags = if sys::shmem::is_noreserve(file) {
        VMA_NORESERVE
    } else {
        0
    };
    let number = saver.out.object(&Shmem { size, flags }, &[])?;
    let mut runs = KVVec::new();
    let mut from = 0;

    saver.objects.insert(Class::Shmem, key, number)?;
    mempolicy::save_shared(saver, file, number)?;
    while let Some((start, end)) = sys::shmem::next_data(file, from)? {
        runs.push(Run::of_bytes(start, end)?, GFP_KERNEL)?;
        from = end;
    }
    saver
        .pages
        .add(number, pages::Owner::Shmem(file.clone()), runs)
}

/// How often the memory is mapped by the tree, and how often by anybody.
pub(crate) fn count_mappings(saver: &Saver<'_>, file: &FileRef) -> (u64, u64) {
    let (key, _) = sys::shmem::key_and_size(file);

    (
        saver.objects.references(Class::Shmem, key),
        sys::shmem::mappings(file),
    )
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<Shmem>()?;

    if state.flags & !VMA_NORESERVE != 0
        || state.size == 0
        || i64::try_from(state.size).is_err()
        || !sys::page::is_aligned(state.size)
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Makes the memory, without its content.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<Shmem>(number)?;
    let Shmem { size, flags } = state;

    Ok(sys::shmem::create(size, flags & VMA_NORESERVE != 0)?)
}
