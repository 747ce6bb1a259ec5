// SPDX-License-Identifier: GPL-2.0

//! Regular files without a name: memfds, and what has been deleted.
//!
//! C headers: [`include/linux/memfd.h`](srctree/include/linux/memfd.h),
//! [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h)

use super::file;
use super::file::FileRef;
use super::file::Path;
use super::page::Hold;
use super::page::Pinned;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::str::CString;

/// Bytes of the longest name and its zero.
const NAME_BYTES: usize = bindings::NAME_MAX as usize + 1;

/// What fstat(2) and fcntl(F_GET_SEALS) tell of such a file, and how it got there.
pub(crate) type State = bindings::checkpoint_unnamed;

/// Whether memfd_create(2) has made it.
pub(crate) fn is_memfd(file: &File) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_is_memfd(file.as_ptr()) }
}

/// Whether its pages are memory of tmpfs or hugetlbfs, which is written without the file system.
pub(crate) fn is_shmem(file: &File) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_is_shmem(file.as_ptr()) }
}

/// The identity of the file behind the open file.
pub(crate) fn key(file: &File) -> usize {
    // SAFETY: The file is referenced, and so is its inode.
    unsafe { (*file.as_ptr()).f_inode as usize }
}

/// Reads the state. `EOPNOTSUPP`: the file system does not keep its pages in memory.
pub(crate) fn state(file: &File) -> Result<State> {
    let mut state = State::default();

    // SAFETY: The file is referenced, and the state is valid for writes.
    to_result(unsafe { bindings::checkpoint_unnamed_get(file.as_ptr(), &raw mut state) })?;
    Ok(state)
}

/// Whether it is what memfd_create(2) returned, not what was opened of it later: it does not count
/// as somebody who writes.
pub(crate) fn is_original(file: &File) -> bool {
    // SAFETY: The file is referenced; what is tested is set when a file is opened.
    let mode = unsafe { (*file.as_ptr()).f_mode };

    mode & bindings::checkpoint_FMODE_WRITE != 0 && mode & bindings::checkpoint_FMODE_WRITER == 0
}

/// The last part of the name that it has or had.
pub(crate) fn last_name(file: &File) -> Result<CString> {
    let mut name = KVec::from_elem(0u8, NAME_BYTES, GFP_KERNEL)?;

    // SAFETY: The file is referenced, and the buffer has the length that the helper fills at most.
    unsafe { bindings::checkpoint_last_name(file.as_ptr(), name.as_mut_ptr().cast()) };
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| EINVAL)?;

    Ok(CString::try_from(name)?)
}

/// The directory that it was in.
pub(crate) fn directory(file: &File) -> Path {
    let mut path = bindings::path::default();

    // SAFETY: The file is referenced; the helper fills in the path and takes references, which are
    // given away.
    unsafe {
        bindings::checkpoint_directory(file.as_ptr(), &raw mut path);
        Path::from_raw(path)
    }
}

/// Makes a memfd that is empty and can be sealed, with the name `memfd:...` and, if `huge` is not
/// 0, with huge pages whose log2 it is. `ENODEV`: the machine has none of that size.
pub(crate) fn create_memfd(name: &CStr, huge: u32) -> Result<FileRef> {
    let huge = match huge {
        0 => 0,
        shift => {
            bindings::MFD_HUGETLB | (shift & bindings::MFD_HUGE_MASK) << bindings::MFD_HUGE_SHIFT
        }
    };

    // SAFETY: The name is a string; the function gives a new reference or an error pointer.
    unsafe {
        file::from_raw(bindings::memfd_alloc_file(
            name.as_char_ptr(),
            bindings::MFD_ALLOW_SEALING | huge,
        ))
    }
}

/// Makes a file that shows as a deleted file of a directory, which is reached from `root`. The file
/// is open for reading.
pub(crate) fn create_deleted(
    root: &Path,
    directory: &CStr,
    name: &CStr,
    linkable: bool,
) -> Result<FileRef> {
    // SAFETY: The path is referenced and the names are strings; the helper gives a new reference
    // or an error pointer.
    unsafe {
        file::from_raw(bindings::checkpoint_create_deleted(
            root.as_ptr(),
            directory.as_char_ptr(),
            name.as_char_ptr(),
            linkable,
        ))
    }
}

/// Sets owner, permissions and size, as far as the running task may.
pub(crate) fn set_attributes(file: &File, state: &State) -> Result {
    // SAFETY: The file is referenced.
    to_result(unsafe { bindings::checkpoint_unnamed_set(file.as_ptr(), state) })
}

/// Sets times and seals, when the content is there. `EBUSY`: it is mapped where a seal does not
/// allow it.
pub(crate) fn finish(file: &File, state: &State) -> Result {
    // SAFETY: The file is referenced.
    to_result(unsafe { bindings::checkpoint_unnamed_finish(file.as_ptr(), state) })
}

/// Adds `O_TMPFILE` to what fcntl(F_GETFL) shows, which nothing but open(2) looks at.
pub(crate) fn set_tmpfile(file: &File) {
    // SAFETY: The file is referenced, and new.
    unsafe { bindings::checkpoint_set_tmpfile(file.as_ptr()) };
}

/// Holds `count` pages of a file from page number `index` on, to read them.
pub(crate) fn pages(file: &FileRef, index: u64, count: usize) -> Result<Pinned<'_>> {
    collect(count, |i| {
        let index = index.checked_add(i as u64).ok_or(EOVERFLOW)?;

        // SAFETY: The file is referenced; the helper gives a page with a reference or an error
        // pointer.
        from_err_ptr(unsafe {
            bindings::checkpoint_file_page(file.as_ptr(), usize::try_from(index)?)
        })
    })
}

fn collect<'a>(
    count: usize,
    mut get: impl FnMut(usize) -> Result<*mut bindings::page>,
) -> Result<Pinned<'a>> {
    let mut pages = KVec::with_capacity(count, GFP_KERNEL)?;
    let mut result = Ok(());

    for i in 0..count {
        match get(i) {
            Ok(page) => pages.push_within_capacity(page).map_err(|_| ENOMEM)?,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    // SAFETY: Each page has a reference.
    let pinned = unsafe { Pinned::new(&pages, Hold::Read)? };

    result.map(|()| pinned)
}

/// A file that is open for writing and is closed at once when this is dropped, so that it does not
/// keep anybody from executing it.
pub(crate) struct Writer {
    file: core::mem::ManuallyDrop<FileRef>,
    size: u64,
}

// SAFETY: The file is used by one task at a time, and closed by any.
unsafe impl Send for Writer {}

impl Writer {
    /// Opens the file behind an open file.
    pub(crate) fn open(file: &FileRef) -> Result<Self> {
        let flags = bindings::O_WRONLY | bindings::O_LARGEFILE;

        Ok(Self {
            size: state(file)?.size,
            file: core::mem::ManuallyDrop::new(Path::of(file).open_here(flags)?),
        })
    }

    /// Writes whole pages from page number `index` on, as far as the file goes.
    pub(crate) fn write(&self, index: u64, pages: &Pinned<'_>) -> Result {
        let mut pos = index
            .checked_mul(super::page::SIZE as u64)
            .ok_or(EOVERFLOW)?;
        let end = pos
            .checked_add(pages.bytes() as u64)
            .ok_or(EOVERFLOW)?
            .min(self.size);
        let mut skip = 0;

        while pos < end {
            let mut iter = pages.iter(bindings::ITER_SOURCE, skip);
            // SAFETY: The iterator describes pinned pages, which outlive the call; the file is
            // referenced and open for writing; the position is a local variable.
            let ret = unsafe {
                bindings::checkpoint_file_write(
                    self.file.as_ptr(),
                    &raw mut iter,
                    &raw mut pos,
                    &raw const end,
                )
            };

            if ret <= 0 {
                to_result(ret as i32)?;
                return Err(EIO);
            }
            skip = skip.checked_add(ret as usize).ok_or(EIO)?;
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, and not used any more; no lock is held.
        unsafe { bindings::__fput_sync(self.file.as_ptr()) };
    }
}
