// SPDX-License-Identifier: GPL-2.0

//! Shared memory without a name, as mmap(2) makes it for MAP_SHARED | MAP_ANONYMOUS.
//!
//! C header: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h)

use super::file;
use super::file::FileRef;
use super::page::Hold;
use super::page::Pinned;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::prelude::*;

/// Whether the file is such memory.
pub(crate) fn is_anonymous(file: &FileRef) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_is_shared_anon(file.as_ptr()) }
}

/// The identity of the memory, and how many bytes it has.
pub(crate) fn key_and_size(file: &FileRef) -> (usize, u64) {
    // SAFETY: The file is referenced, and so is its inode.
    unsafe {
        let inode = (*file.as_ptr()).f_inode;

        (inode as usize, (*inode).i_size as u64)
    }
}

/// How often it is mapped, by anybody.
pub(crate) fn mappings(file: &FileRef) -> u64 {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_count_mappings(file.as_ptr()) as u64 }
}

/// Whether it does not count against overcommit (MAP_NORESERVE).
pub(crate) fn is_noreserve(file: &FileRef) -> bool {
    // SAFETY: The file is referenced, and one of tmpfs.
    unsafe { bindings::checkpoint_is_noreserve(file.as_ptr()) }
}

/// Makes some.
pub(crate) fn create(size: u64, noreserve: bool) -> Result<FileRef> {
    // SAFETY: The helper gives a new reference or an error pointer.
    unsafe { file::from_raw(bindings::checkpoint_shared_anon(&raw const size, noreserve)) }
}

/// The first range of pages from `from` on that have content, as offsets in bytes; none if
/// there is none (`SEEK_DATA`, `SEEK_HOLE`).
pub(crate) fn next_data(file: &FileRef, from: u64) -> Result<Option<(u64, u64)>> {
    let (mut start, mut end) = (from, 0);

    // SAFETY: The file is referenced.
    match unsafe { bindings::checkpoint_next_data(file.as_ptr(), &raw mut start, &raw mut end) } {
        0 => Ok(Some((start, end))),
        error if error == ENXIO.to_errno() => Ok(None),
        error => Err(Error::from_errno(error)),
    }
}

/// Holds `count` pages from page number `index` on, made if they are missing.
pub(crate) fn pages(file: &FileRef, index: u64, count: usize, write: bool) -> Result<Pinned<'_>> {
    let mut pages = KVec::with_capacity(count, GFP_KERNEL)?;
    let hold = if write { Hold::Write } else { Hold::Read };
    let mut result = Ok(());

    for i in 0..count {
        let index = index.checked_add(i as u64).ok_or(EOVERFLOW)?;
        // SAFETY: The file is referenced; the helper gives a page with a reference or an
        // error pointer.
        let page = from_err_ptr(unsafe {
            bindings::checkpoint_shmem_page(file.as_ptr(), usize::try_from(index)?)
        });

        match page {
            Ok(page) => pages.push(page, GFP_KERNEL)?,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    // SAFETY: Each page has a reference.
    let pinned = unsafe { Pinned::new(&pages, hold)? };

    result.map(|()| pinned)
}
