// SPDX-License-Identifier: GPL-2.0

//! The files that an image is written to and read from, one byte after the other.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::page::Pinned;
use kernel::bindings;
use kernel::fs::LocalFile;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// The pseudo-files whose position is nobody's business (pipes, sockets) get none.
fn has_position(file: &LocalFile) -> bool {
    // SAFETY: `f_mode` does not change once a file is open.
    let mode = unsafe { (*file.as_ptr()).f_mode };

    mode & bindings::fmode_t::from(bindings::checkpoint_FMODE_STREAM) == 0
}

/// The caller's descriptor, if it is open for what `mode` says.
fn fget(fd: i32, mode: u32) -> Result<ARef<LocalFile>> {
    let file = LocalFile::fget(u32::try_from(fd).map_err(|_| EBADF)?)?;

    // SAFETY: `f_mode` does not change once a file is open.
    if unsafe { (*file.as_ptr()).f_mode } & bindings::fmode_t::from(mode) == 0 {
        return Err(EBADF);
    }
    Ok(file)
}

/// A file that is only ever written to, at its position.
pub(crate) struct OutStream {
    file: ARef<LocalFile>,
    written: u64,
}

// SAFETY: Only `LocalFile`'s position makes it local, and whoever writes through this type holds
// it exclusively (`&mut self`).
unsafe impl Send for OutStream {}

impl OutStream {
    /// The caller's descriptor. `EBADF`: there is none, or it is not open for writing.
    pub(crate) fn fget(fd: i32) -> Result<Self> {
        Ok(Self {
            file: fget(fd, bindings::checkpoint_FMODE_WRITE)?,
            written: 0,
        })
    }

    /// How many bytes were written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Where the file stands; a stream has no position.
    fn position(&self) -> *mut bindings::loff_t {
        if has_position(&self.file) {
            // SAFETY: The file is referenced, so that its position is valid memory.
            unsafe { &raw mut (*self.file.as_ptr()).f_pos }
        } else {
            core::ptr::null_mut()
        }
    }

    fn wrote(&mut self, ret: isize) -> Result<usize> {
        if ret < 0 {
            return Err(interrupted(ret));
        }
        if ret == 0 {
            return Err(EIO);
        }
        self.written = self.written.saturating_add(ret as u64);
        Ok(ret as usize)
    }

    /// Writes all of `data`. `EINTR`: a signal came first.
    ///
    /// Not by `kernel_write`, which refuses files with a `write` of their own, like /dev/null.
    pub(crate) fn write_all(&mut self, mut data: &[u8]) -> Result {
        while !data.is_empty() {
            let vec = bindings::kvec {
                iov_base: data.as_ptr().cast_mut().cast(),
                iov_len: data.len(),
            };
            let mut iter = bindings::iov_iter::default();
            // SAFETY: The iterator describes `data`, which is only read and outlives the call; the
            // file is referenced and open for writing; the position is the file's own or null.
            let ret = unsafe {
                bindings::iov_iter_kvec(
                    &raw mut iter,
                    bindings::ITER_SOURCE,
                    &raw const vec,
                    1,
                    data.len(),
                );
                bindings::checkpoint_transfer(
                    self.file.as_ptr(),
                    &raw mut iter,
                    self.position(),
                    false,
                )
            };
            let n = self.wrote(ret)?;

            data = data.get(n..).ok_or(EIO)?;
        }
        Ok(())
    }

    /// Writes all of the pages, from where they are; past the page cache, if the file is open with
    /// O_DIRECT and stands at the start of a page.
    pub(crate) fn write_pages(&mut self, pages: &Pinned<'_>) -> Result {
        let total = pages.bytes();
        let mut done = 0;

        while done < total {
            let mut iter = pages.iter(bindings::ITER_SOURCE, done);
            // SAFETY: The iterator describes pinned pages, which outlive the call; the file is
            // referenced and open for writing; the position is the file's own or null.
            let ret = unsafe {
                bindings::checkpoint_transfer(
                    self.file.as_ptr(),
                    &raw mut iter,
                    self.position(),
                    true,
                )
            };

            done = done.checked_add(self.wrote(ret)?).ok_or(EIO)?;
        }
        Ok(())
    }
}

/// A file that is only ever read, from its position.
pub(crate) struct InStream {
    file: ARef<LocalFile>,
}

// SAFETY: As for `OutStream`.
unsafe impl Send for InStream {}

impl InStream {
    /// The caller's descriptor. `EBADF`: there is none, or it is not open for reading.
    pub(crate) fn fget(fd: i32) -> Result<Self> {
        Ok(Self {
            file: fget(fd, bindings::checkpoint_FMODE_READ)?,
        })
    }

    fn position(&self) -> *mut bindings::loff_t {
        if has_position(&self.file) {
            // SAFETY: The file is referenced, so that its position is valid memory.
            unsafe { &raw mut (*self.file.as_ptr()).f_pos }
        } else {
            core::ptr::null_mut()
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &LocalFile {
        &self.file
    }

    /// The file, for those who read it at the same time, if that is of use.
    pub(crate) fn shared(&self) -> Option<ImageFile> {
        // SAFETY: The file is referenced.
        let is_cached = unsafe { bindings::checkpoint_reads_cached(self.file.as_ptr()) };

        is_cached.then(|| ImageFile {
            file: self.file.clone(),
        })
    }

    /// The position; 0 in what has none.
    pub(crate) fn tell(&self) -> u64 {
        let position = self.position();

        if position.is_null() {
            return 0;
        }
        // SAFETY: The file is referenced, so that its position is valid memory; whoever changes it
        // meanwhile has the image read from somewhere else, which its CRCs tell.
        u64::try_from(unsafe { position.read() }).unwrap_or(0)
    }

    /// Reads on from another position, in a file that has one.
    pub(crate) fn seek(&mut self, to: u64) -> Result {
        let position = self.position();

        if position.is_null() {
            return Err(ESPIPE);
        }
        // SAFETY: As for `tell`.
        unsafe { position.write(i64::try_from(to).map_err(|_| EINVAL)?) };
        Ok(())
    }

    /// Fills all of `data`. `EPIPE`: the stream ended first.
    pub(crate) fn read_exact(&mut self, mut data: &mut [u8]) -> Result {
        while !data.is_empty() {
            let vec = bindings::kvec {
                iov_base: data.as_mut_ptr().cast(),
                iov_len: data.len(),
            };
            let mut iter = bindings::iov_iter::default();
            // SAFETY: The iterator describes `data`, which outlives the call; the file is
            // referenced and open for reading; the position is the file's own or null.
            let ret = unsafe {
                bindings::iov_iter_kvec(
                    &raw mut iter,
                    bindings::ITER_DEST,
                    &raw const vec,
                    1,
                    data.len(),
                );
                bindings::checkpoint_transfer(
                    self.file.as_ptr(),
                    &raw mut iter,
                    self.position(),
                    false,
                )
            };
            let n = read(ret)?;

            data = data.get_mut(n..).ok_or(EIO)?;
        }
        Ok(())
    }

    /// Fills all of the pages, where they are; past the page cache, as they are written.
    pub(crate) fn read_pages(&mut self, pages: &Pinned<'_>) -> Result {
        let total = pages.bytes();
        let mut done = 0;

        while done < total {
            let mut iter = pages.iter(bindings::ITER_DEST, done);
            // SAFETY: The iterator describes pinned pages, which outlive the call; the file is
            // referenced and open for reading; the position is the file's own or null.
            let ret = unsafe {
                bindings::checkpoint_transfer(
                    self.file.as_ptr(),
                    &raw mut iter,
                    self.position(),
                    true,
                )
            };

            done = done.checked_add(read(ret)?).ok_or(EIO)?;
        }
        Ok(())
    }
}

/// An image that is read from several places at once; its position is not looked at.
pub(crate) struct ImageFile {
    file: ARef<LocalFile>,
}

// SAFETY: Only `LocalFile`'s position makes it local, and this type does not use that.
unsafe impl Send for ImageFile {}
// SAFETY: As above; any number of tasks may read a file.
unsafe impl Sync for ImageFile {}

impl ImageFile {
    /// Fills all of the pages with what stands at a position. `EPIPE`: the file ends before.
    /// `EAGAIN`: not all of it is in memory, and the caller may not wait; the pages have any content
    /// then.
    pub(crate) fn read(&self, pages: &Pinned<'_>, position: u64, may_wait: bool) -> Result {
        let total = pages.bytes();
        let mut done = 0;

        while done < total {
            let position = position.checked_add(done as u64).ok_or(EINVAL)?;
            let position = i64::try_from(position).map_err(|_| EINVAL)?;
            let mut iter = pages.iter(bindings::ITER_DEST, done);
            // SAFETY: The iterator describes pinned pages, which outlive the call; the file is
            // referenced and open for reading.
            let ret = unsafe {
                bindings::checkpoint_read_at(self.file.as_ptr(), &raw mut iter, position, !may_wait)
            };

            done = done.checked_add(read(ret)?).ok_or(EIO)?;
        }
        Ok(())
    }
}

fn read(ret: isize) -> Result<usize> {
    match ret {
        0 => Err(EPIPE),
        n if n < 0 => Err(interrupted(n)),
        n => Ok(n as usize),
    }
}

/// A system call that a signal interrupts is not restarted: half of the stream is gone.
fn interrupted(ret: isize) -> Error {
    let error = kernel::error::to_result(ret as i32).err().unwrap_or(EIO);

    if error == ERESTARTSYS {
        EINTR
    } else {
        error
    }
}
