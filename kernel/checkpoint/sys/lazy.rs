// SPDX-License-Identifier: GPL-2.0

//! Images that memory is filled from when it is touched.
//!
//! C source: [`mm/checkpoint_lazy.c`](srctree/mm/checkpoint_lazy.c)

use super::mm::Mm;
use super::page::Pinned;
use super::stream::InStream;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::to_result;
use kernel::prelude::*;

/// A reference to page data that stays in its file.
pub(crate) struct Image(NonNull<bindings::checkpoint_image>);

// SAFETY: References are counted atomically, and what changes in an image has its own locks.
unsafe impl Send for Image {}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::checkpoint_image_put(self.0.as_ptr()) };
    }
}

impl Image {
    /// Page data of `pages` pages, from page number `first` of the file on, with the CRC of each
    /// chunk. `ESPIPE`: it is no regular file. `EOPNOTSUPP`: this cannot be done with this file on
    /// this kernel now.
    pub(crate) fn open(stream: &InStream, first: u64, pages: u64, hashes: &[u64]) -> Result<Self> {
        let chunks = pages.div_ceil(u64::from(crate::format::header::CHUNK_PAGES));

        if hashes.len() as u64 != chunks {
            return Err(EINVAL);
        }
        // SAFETY: The file is referenced and open for reading, and there is a CRC for each chunk;
        // the function takes a reference to the one, copies the others, and gives a reference.
        let image = from_err_ptr(unsafe {
            bindings::checkpoint_image_open(
                stream.file().as_ptr(),
                usize::try_from(first)?,
                usize::try_from(pages)?,
                hashes.as_ptr(),
            )
        })?;

        NonNull::new(image).map(Self).ok_or(EINVAL)
    }

    /// Lets pages be brought in when they are touched: from `start` on, `pages` of them, with page
    /// number `index` of the page data as the first. Gives of how many this was done: less if
    /// memory comes then that cannot be filled so. `EFAULT`: no private memory is there.
    ///
    /// The page data has to have all of them, and `mm` to belong to a restart.
    pub(crate) fn install(&mut self, mm: &Mm, start: u64, pages: u64, index: u64) -> Result<u64> {
        // SAFETY: Both are referenced. Nobody else installs from the image (`&mut`).
        let done = unsafe {
            bindings::checkpoint_image_install(
                self.0.as_ptr(),
                mm.as_ptr(),
                usize::try_from(start)?,
                usize::try_from(pages)?,
                usize::try_from(index)?,
            )
        };

        to_result(done.min(0) as i32)?;
        Ok(done as u64)
    }

    /// Copies the content of pages from number `index` of the page data on, which has to have
    /// them. `EBADMSG`: it is not what was written.
    pub(crate) fn read(&self, index: u64, to: &Pinned<'_>) -> Result {
        let vecs = to.vecs();

        // SAFETY: The image is referenced, and the pages are held, each as a whole.
        to_result(unsafe {
            bindings::checkpoint_image_read(
                self.0.as_ptr(),
                usize::try_from(index)?,
                vecs.as_ptr(),
                u32::try_from(vecs.len())?,
            )
        })
    }

    /// Has a thread bring in all pages that are still missing. Nothing is installed after this.
    pub(crate) fn start(self) {
        // SAFETY: The image is referenced; the thread gets a reference of its own. Nothing is
        // installed any more, since that takes what is given up here.
        unsafe { bindings::checkpoint_image_start(self.0.as_ptr()) };
    }
}

/// Brings in all pages of a range that are still missing. `EBADMSG`: one is not what was written.
pub(crate) fn pull(mm: &Mm, start: u64, end: u64) -> Result {
    // SAFETY: The address space is referenced.
    to_result(unsafe {
        bindings::checkpoint_image_pull(mm.as_ptr(), usize::try_from(start)?, usize::try_from(end)?)
    })
}
