// SPDX-License-Identifier: GPL-2.0

//! Pipes and fifos.
//!
//! C header: [`include/linux/pipe_fs_i.h`](srctree/include/linux/pipe_fs_i.h)

use super::file;
use super::file::FileRef;
use super::file::Path;
use core::marker::PhantomData;
use core::ptr;
use core::ptr::NonNull;
use kernel::alloc::allocator::KVmalloc;
use kernel::alloc::Vec;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;

/// Flags of a buffer that say nothing to whoever reads it, or that [`Buffer::is_packet`] tells.
const KNOWN_FLAGS: u32 = bindings::PIPE_BUF_FLAG_LRU
    | bindings::PIPE_BUF_FLAG_ATOMIC
    | bindings::PIPE_BUF_FLAG_GIFT
    | bindings::PIPE_BUF_FLAG_PACKET
    | bindings::PIPE_BUF_FLAG_CAN_MERGE;

fn info(file: &File) -> Option<NonNull<bindings::pipe_inode_info>> {
    // SAFETY: The file is referenced; the function checks what it is.
    NonNull::new(unsafe { bindings::get_pipe_info(file.as_ptr(), false) })
}

/// Whether the file is an end of a pipe or of a fifo.
pub(crate) fn is_pipe(file: &File) -> bool {
    info(file).is_some()
}

/// The identity of the pipe that the file is an end of.
pub(crate) fn key(file: &File) -> usize {
    info(file).map_or(0, |pipe| pipe.as_ptr() as usize)
}

/// How many open files are ends of the same pipe.
pub(crate) fn files(file: &File) -> u32 {
    // SAFETY: The pipe lives as long as a file that is an end of it. The count is a single word.
    info(file).map_or(0, |pipe| unsafe {
        ptr::read_volatile(&raw const (*pipe.as_ptr()).files)
    })
}

/// Whether the pipe has a name.
pub(crate) fn is_fifo(file: &File) -> bool {
    // SAFETY: The file is referenced, and so is its inode.
    is_pipe(file) && unsafe { bindings::checkpoint_is_fifo(file.as_ptr()) }
}

/// Whether the file reads from a fifo and nobody has opened it for writing since.
pub(crate) fn is_unseen(file: &File) -> bool {
    // SAFETY: The file is referenced, and an end of a pipe.
    is_fifo(file) && unsafe { bindings::checkpoint_fifo_unseen(file.as_ptr()) }
}

/// Forgets that a writer was there when the end of a fifo was opened.
pub(crate) fn set_unseen(file: &File) -> Result {
    if !is_fifo(file) {
        return Err(EINVAL);
    }
    // SAFETY: The file is referenced, and an end of a pipe.
    unsafe { bindings::checkpoint_fifo_set_unseen(file.as_ptr()) };
    Ok(())
}

/// A pipe that nobody reads from or writes to meanwhile: `pipe->mutex`.
pub(crate) struct Locked<'a> {
    pipe: NonNull<bindings::pipe_inode_info>,
    file: PhantomData<&'a File>,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard holds the lock.
        unsafe { bindings::checkpoint_pipe_unlock(self.pipe.as_ptr()) };
    }
}

impl<'a> Locked<'a> {
    /// Locks the pipe that the file is an end of. `EINTR`: a fatal signal came first.
    pub(crate) fn new(file: &'a File) -> Result<Self> {
        let pipe = info(file).ok_or(EINVAL)?;

        // SAFETY: The pipe lives as long as a file that is an end of it.
        to_result(unsafe { bindings::checkpoint_pipe_lock(pipe.as_ptr()) })?;
        Ok(Self {
            pipe,
            file: PhantomData,
        })
    }

    /// Bytes that it can hold (F_GETPIPE_SZ).
    pub(crate) fn capacity(&self) -> Option<u32> {
        // SAFETY: The lock is held.
        let slots = unsafe { (*self.pipe.as_ptr()).max_usage };

        slots.checked_mul(super::page::SIZE as u32)
    }

    /// Whether it carries notifications of the kernel (O_NOTIFICATION_PIPE).
    pub(crate) fn has_watch_queue(&self) -> bool {
        // SAFETY: The lock is held.
        unsafe { bindings::checkpoint_pipe_has_watch_queue(self.pipe.as_ptr()) }
    }

    /// The buffer that is `nr` places behind the next one to be read. `EIO`, `ENODATA` ...: it
    /// was spliced from a file that could not be read.
    pub(crate) fn buffer(&self, nr: u32) -> Result<Option<Buffer<'_>>> {
        // SAFETY: The lock is held.
        let buf = unsafe { bindings::checkpoint_pipe_buf(self.pipe.as_ptr(), nr) };

        let Some(buf) = NonNull::new(buf) else {
            return Ok(None);
        };
        // SAFETY: The lock is held, and the buffer is one of this pipe.
        to_result(unsafe { bindings::pipe_buf_confirm(self.pipe.as_ptr(), buf.as_ptr()) })?;
        Ok(Some(Buffer {
            buf,
            lock: PhantomData,
        }))
    }

    /// Appends a buffer. `ENOSPC`: there is no room.
    pub(crate) fn push(&mut self, data: &[u8], packet: bool) -> Result {
        let flags = if packet {
            bindings::PIPE_BUF_FLAG_PACKET
        } else {
            bindings::PIPE_BUF_FLAG_CAN_MERGE
        };
        let len = u32::try_from(data.len())?;

        // SAFETY: The lock is held, and the data is as long as is told.
        to_result(unsafe {
            bindings::checkpoint_pipe_push(self.pipe.as_ptr(), data.as_ptr().cast(), len, flags)
        })
    }
}

/// A buffer of a locked pipe, whose data is there.
pub(crate) struct Buffer<'a> {
    buf: NonNull<bindings::pipe_buffer>,
    lock: PhantomData<&'a Locked<'a>>,
}

impl Buffer<'_> {
    fn flags(&self) -> u32 {
        // SAFETY: The pipe is locked.
        unsafe { (*self.buf.as_ptr()).flags }
    }

    /// Whether a read gives it alone.
    pub(crate) fn is_packet(&self) -> bool {
        self.flags() & bindings::PIPE_BUF_FLAG_PACKET != 0
    }

    /// Whether there is nothing about it that these methods do not tell.
    pub(crate) fn is_plain(&self) -> bool {
        self.flags() & !KNOWN_FLAGS == 0
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: The pipe is locked.
        unsafe { (*self.buf.as_ptr()).len }
    }

    /// Appends what is in it to `bytes`.
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8, KVmalloc>) -> Result {
        let old = bytes.len();
        let new = old.checked_add(self.len() as usize).ok_or(EOVERFLOW)?;

        bytes.resize(new, 0, GFP_KERNEL)?;
        let to = bytes.get_mut(old..).ok_or(EINVAL)?;

        // SAFETY: The pipe is locked and the buffer is confirmed; `to` has the length of it.
        unsafe {
            bindings::checkpoint_pipe_buf_copy(self.buf.as_ptr(), to.as_mut_ptr().cast());
        }
        Ok(())
    }
}

/// A new pipe: the end to read from, and the end to write to.
pub(crate) fn create() -> Result<[FileRef; 2]> {
    let mut files = [ptr::null_mut(); 2];

    // SAFETY: There is room for two files.
    to_result(unsafe { bindings::create_pipe_files(files.as_mut_ptr(), 0) })?;
    // SAFETY: The function gave a reference to each file, and nobody else knows them.
    let [read, write] = files.map(|file| unsafe { file::from_raw(file) });

    Ok([read?, write?])
}

/// Opens an end of the pipe that is there.
pub(crate) fn open_here(path: &Path, flags: u32) -> Result<FileRef> {
    // Packet mode is for F_SETFL: open(2) takes O_DIRECT for something else.
    let file = path.open_here(flags & !bindings::O_DIRECT)?;

    if !is_pipe(&file) {
        return Err(EINVAL);
    }
    set_flags(&file, flags);
    Ok(file)
}

/// Sets those of the flags that can change while an end of a pipe is open.
pub(crate) fn set_flags(file: &File, flags: u32) {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_set_flags(file.as_ptr(), flags) };
}

/// Makes room for so many bytes (F_SETPIPE_SZ).
pub(crate) fn set_capacity(file: &File, bytes: u32) -> Result {
    // SAFETY: The file is referenced; the function checks what it is.
    let ret = unsafe { bindings::pipe_fcntl(file.as_ptr(), bindings::F_SETPIPE_SZ, bytes) };

    to_result(ret.min(0) as i32)
}
