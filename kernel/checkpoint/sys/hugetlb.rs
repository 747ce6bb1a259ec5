// SPDX-License-Identifier: GPL-2.0

//! Files whose pages are huge.
//!
//! C header: [`include/linux/hugetlb.h`](srctree/include/linux/hugetlb.h)

use super::file;
use super::file::FileRef;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;

/// Log2 of the bytes of a page of the file, or 0 if they are not huge.
pub(crate) fn shift(file: &File) -> u32 {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_huge_shift(file.as_ptr()) }
}

/// Whether mmap(MAP_ANONYMOUS | MAP_HUGETLB) has made it.
pub(crate) fn is_anonymous(file: &File) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_is_huge_anon(file.as_ptr()) }
}

/// Makes such a file, without a reservation. `ENODEV`: the machine has no pages of that size.
pub(crate) fn create(size: u64, shift: u32) -> Result<FileRef> {
    // SAFETY: The helper gives a new reference or an error pointer.
    unsafe { file::from_raw(bindings::checkpoint_create_huge(&raw const size, shift)) }
}

/// The first range of pages from number `from` on that are there or reserved, in huge pages.
pub(crate) fn next_reserved(file: &File, from: u64) -> Option<(u64, u64)> {
    let (mut start, mut end) = (from, 0);

    // SAFETY: The file is referenced, and its pages are huge.
    unsafe { bindings::checkpoint_huge_next_reserved(file.as_ptr(), &raw mut start, &raw mut end) }
        .then_some((start, end))
}

/// Reserves huge pages for a file. `ENOMEM`: there are not enough.
pub(crate) fn reserve(file: &File, start: u64, end: u64) -> Result {
    // SAFETY: The file is referenced; the helper checks that its pages are huge.
    to_result(unsafe {
        bindings::checkpoint_huge_reserve(file.as_ptr(), &raw const start, &raw const end)
    })
}
