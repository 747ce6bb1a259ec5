// SPDX-License-Identifier: GPL-2.0

//! Open files that are closed at once when the last reference is dropped.
//!
//! C header: [`include/linux/file.h`](srctree/include/linux/file.h)

use super::file::FileRef;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use kernel::bindings;
use kernel::fs::File;
use kernel::sync::aref::ARef;

/// A reference to a file. If it is the last one, dropping it closes the file before the drop
/// returns and not on the way to user space: whoever looks next sees that the file is gone.
pub(crate) struct Kept(ManuallyDrop<FileRef>);

impl Kept {
    /// Keeps a file.
    pub(crate) fn new(file: FileRef) -> Self {
        Self(ManuallyDrop::new(file))
    }

    /// A reference of the usual kind.
    pub(crate) fn file(&self) -> FileRef {
        (*self.0).clone()
    }
}

impl Deref for Kept {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: The field is not used after this.
        let file = unsafe { ManuallyDrop::take(&mut self.0) };

        // SAFETY: The reference is ours and given away. This is process context, and nobody holds
        // a lock of the file that he closes.
        unsafe { bindings::__fput_sync(ARef::into_raw(file).as_ptr().cast()) };
    }
}
