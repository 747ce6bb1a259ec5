// SPDX-License-Identifier: GPL-2.0

//! Duplicates of address spaces that stay behind, to tell what has changed since.
//!
//! C file: [`kernel/checkpoint/track.c`](srctree/kernel/checkpoint/track.c)

use super::mm::Mm;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// A reference to an address space that does not keep its contents (`mm_count`).
pub(crate) struct Outline(NonNull<bindings::mm_struct>);

// SAFETY: Address spaces are shared by threads and have their own locks.
unsafe impl Send for Outline {}
// SAFETY: As above.
unsafe impl Sync for Outline {}

impl Drop for Outline {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::mmdrop(self.0.as_ptr()) };
    }
}

impl Outline {
    /// Of an address space that has its contents.
    pub(crate) fn of(mm: &Mm) -> Self {
        // SAFETY: The address space is referenced.
        unsafe { bindings::mmgrab(mm.as_ptr()) };
        Self(mm.as_non_null())
    }

    /// The address space, if it still has its contents.
    fn upgrade(&self) -> Option<Mm> {
        // SAFETY: The address space is referenced; the function takes the reference that the new
        // object owns, or none.
        unsafe { bindings::mmget_not_zero(self.0.as_ptr()).then(|| Mm::from_non_null(self.0)) }
    }
}

/// Where the pages of a duplicate have been saved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Number of the image.
    pub(crate) id: u64,
    /// When its tree was frozen, in ns.
    pub(crate) realtime: i64,
    /// Number of the address space in that image.
    pub(crate) object: u32,
}

/// How an address space was when it was saved (`checkpoint_track_get`).
pub(crate) fn get(mm: &Mm) -> Option<(Mm, Origin)> {
    let mut origin = bindings::checkpoint_origin::default();
    // SAFETY: The address space is referenced; the function gives a reference or null.
    let before = unsafe { bindings::checkpoint_track_get(mm.as_ptr(), &raw mut origin) };
    let bindings::checkpoint_origin {
        id,
        realtime,
        object,
    } = origin;

    // SAFETY: The reference is ours.
    let before = unsafe { Mm::from_non_null(NonNull::new(before)?) };

    Some((
        before,
        Origin {
            id,
            realtime,
            object,
        },
    ))
}

/// Remembers how an address space was when it was saved (`checkpoint_track_set`): as its duplicate
/// is. Nothing is to be remembered of one that has gone meanwhile.
pub(crate) fn set(mm: &Outline, before: Mm, origin: Origin) -> Result {
    let Some(mm) = mm.upgrade() else {
        return Ok(());
    };
    let Origin {
        id,
        realtime,
        object,
    } = origin;
    let origin = bindings::checkpoint_origin {
        id,
        realtime,
        object,
    };
    let before = ManuallyDrop::new(before);

    // SAFETY: Both address spaces are referenced, and nobody runs in the second, whose reference
    // the function takes over unless it fails.
    to_result(unsafe {
        bindings::checkpoint_track_set(mm.as_ptr(), before.as_ptr(), &raw const origin)
    })
    .inspect_err(|_| drop(ManuallyDrop::into_inner(before)))
}

/// Forgets how an address space was (`checkpoint_track_end`).
pub(crate) fn end(mm: &Outline) {
    if let Some(mm) = mm.upgrade() {
        // SAFETY: The address space is referenced.
        unsafe { bindings::checkpoint_track_end(mm.as_ptr()) };
    }
}
